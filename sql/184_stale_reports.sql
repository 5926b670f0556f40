-- A signer that had found something missing waited with its report for
-- reconcile (the lock of 183), told what reconcile had just put back, and all
-- signers waited for another reconcile.  It says now how many reports had ended
-- when it began to look; one that ended since then makes its own a stale one.
SET search_path = countersign;

CREATE FUNCTION rollback_found(signer_name text, what text, ended bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rollback WHERE ended_at IS NULL
	    AND signer = signer_name) THEN
		RETURN;
	END IF;
	-- In the order in which reconcile comes to them.
	LOCK TABLE request IN SHARE MODE;
	LOCK TABLE rollback IN SHARE ROW EXCLUSIVE MODE;
	IF (SELECT count(*) FROM rollback WHERE ended_at IS NOT NULL) = ended THEN
		PERFORM rollback_found(signer_name, what);
	END IF;
END $$;

CREATE OR REPLACE FUNCTION rollback_end(detail text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE n bigint;
BEGIN
	LOCK TABLE rollback IN SHARE ROW EXCLUSIVE MODE;
	UPDATE rollback SET ended_at = now(), ended_by = session_user
	    WHERE ended_at IS NULL;
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM note('reconcile', detail);
	RETURN n;
END $$;

REVOKE ALL ON FUNCTION rollback_found(text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rollback_found(text, text, bigint)
    TO countersign_signer;
