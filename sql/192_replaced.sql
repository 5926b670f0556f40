-- An account that "account import --replace" gave to another principal: what the
-- one before asked for, and is still to be decided, is not the new one's.
SET search_path = countersign;

ALTER TABLE account ADD COLUMN replaced_at timestamptz;
GRANT SELECT (replaced_at) ON account TO countersign_worker,
    countersign_signer, countersign_auditor, countersign_operator;

-- Now, not when the transaction began: until then the old one may have asked.
CREATE FUNCTION import_replace(names text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	WITH done AS (UPDATE account a SET replaced_at = clock_timestamp()
	    WHERE a.name = ANY (names) AND a.one_time_template IS NULL
	    RETURNING a.name)
	INSERT INTO audit (who, action, detail) SELECT session_user,
	    'account import replace', d.name FROM done d ORDER BY d.name
$$;

-- As in 191_airgap_quietly.sql, but for those.  A minute: as far apart as the
-- clocks of a signer and of the database may be.
CREATE OR REPLACE FUNCTION airgap_open(most integer)
RETURNS TABLE (round bigint, old boolean, made_at bigint, previous bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last airgap_round; k bigint; i integer; o integer;
BEGIN
	LOCK TABLE airgap_round IN EXCLUSIVE MODE;
	SELECT * INTO last FROM airgap_round r ORDER BY r.n DESC LIMIT 1;
	IF last.n IS NOT NULL AND last.imported_at IS NULL THEN
		PERFORM FROM airgap_round r WHERE r.n = last.n FOR UPDATE;
		RETURN QUERY SELECT last.n, true,
		    extract(epoch FROM last.exported_at)::bigint, NULL::bytea;
		RETURN;
	END IF;
	k := coalesce(last.n, 0) + 1;
	INSERT INTO airgap_round (n, items, orders) VALUES (k, 0, 0);
	UPDATE airgap_request a SET round = k FROM (SELECT x.day, x.id
	    FROM airgap_request x JOIN request r
	    ON r.day = x.day AND r.id = x.id JOIN account c
	    ON c.name = r.account LEFT JOIN account g ON g.name = r.agent
	    WHERE x.round IS NULL AND NOT x.waits AND r.state = 'pending'
	    AND NOT c.disabled AND NOT coalesce(g.disabled, false)
	    AND NOT coalesce(r.received_at <= greatest(c.replaced_at,
		g.replaced_at) + interval '1 minute', false)
	    AND NOT EXISTS (SELECT FROM blocked_key b WHERE b.blocked
		AND b.spki_sha256 IN (x.spki_sha256, x.key_other))
	    ORDER BY x.day, x.id LIMIT most) w
	    WHERE a.day = w.day AND a.id = w.id;
	GET DIAGNOSTICS i = ROW_COUNT;
	SELECT count(*) INTO o FROM revocation_event e
	    JOIN airgap_ca g ON g.name = e.ca;
	UPDATE airgap_round r SET items = i, orders = o WHERE r.n = k;
	PERFORM note('airgap export', 'round ' || k || ', ' || i
	    || ' requests, ' || o || ' revocations');
	RETURN QUERY SELECT k, false, extract(epoch FROM now())::bigint,
	    coalesce(last.response, decode(repeat('00', 32), 'hex'));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION import_replace(text[]) TO countersign_operator;
