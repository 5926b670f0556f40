-- A signer that lost nothing finds nothing missing, and asks only now and then
-- what others have found: until reconcile nobody's rows are taken.  The report
-- waits for rows on their way, so that none comes behind it.
SET search_path = countersign;

CREATE FUNCTION rollback_fence() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rollback WHERE ended_at IS NULL) THEN
		RAISE EXCEPTION 'this database was restored from an old backup'
		    USING HINT = 'run countersign reconcile';
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER rollback_fence BEFORE INSERT OR UPDATE ON request
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_fence();
REVOKE ALL ON FUNCTION rollback_fence() FROM PUBLIC;

CREATE OR REPLACE FUNCTION rollback_found(signer_name text, what text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rollback WHERE ended_at IS NULL
	    AND signer = signer_name) THEN
		RETURN;
	END IF;
	LOCK TABLE request IN SHARE MODE;
	INSERT INTO rollback (signer, found) VALUES (signer_name, what);
	PERFORM note('rollback found', signer_name || ': ' || what);
END $$;
