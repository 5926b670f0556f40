-- Two signers that certify a key in the same instant did not see each other:
-- now the second transaction to get here ends.
SET search_path = countersign;

-- Whoever writes certificates.  Signers, who say so in their session, get none
-- of a key that is another account's.  What the import of an air gap and
-- reconcile write was issued long ago, and stays: "countersign cert check
-- --all" tells of it.
CREATE OR REPLACE FUNCTION key_taken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE n bigint; taken bytea;
BEGIN
	-- in one order, lest two wait for each other
	INSERT INTO key_owner SELECT spki_sha256, account FROM fresh
	    ORDER BY spki_sha256 ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	IF current_setting('countersign.one_account', true) IS DISTINCT FROM
	    'on' OR n = (SELECT count(*) FROM fresh) THEN
		RETURN NULL;
	END IF;
	-- a statement of its own: it sees what this transaction waited for
	SELECT f.spki_sha256 INTO taken FROM fresh f JOIN key_owner o
	    ON o.spki_sha256 = f.spki_sha256 AND o.account <> f.account
	    LIMIT 1;
	IF FOUND THEN
		RAISE unique_violation USING TABLE = 'key_owner',
		    MESSAGE = 'public key ' || encode(taken, 'hex')
		    || ' is certified for another account';
	END IF;
	RETURN NULL;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
