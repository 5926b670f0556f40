-- After the database was restored from a backup: a round that the vault's
-- ledger says was answered is over, whatever was exported since.  As the
-- owner, with keep_round switched off.
SET search_path = countersign;

CREATE FUNCTION airgap_round_put_back(k bigint, exported bytea,
    answer bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO airgap_round AS a (n, items, orders, bundle, imported_at,
	    imported_by, response) VALUES (k, 0, 0, exported, now(),
	    session_user, answer) ON CONFLICT (n) DO UPDATE
	    SET bundle = exported, imported_at = now(),
	    imported_by = session_user, response = answer
	    WHERE a.imported_at IS NULL;
	IF NOT FOUND THEN RETURN false; END IF;
	UPDATE airgap_request x SET answered = true FROM request q
	    WHERE x.round = k AND NOT x.answered AND q.day = x.day
	    AND q.id = x.id AND q.state <> 'pending';
	-- of a bundle that the vault refused, its round being over
	UPDATE airgap_request x SET round = NULL
	    WHERE x.round = k AND NOT x.answered;
	DELETE FROM airgap_part WHERE n = k;
	PERFORM note('airgap reconcile', 'round ' || k);
	RETURN true;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
