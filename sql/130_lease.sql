-- A signer's prefix is leased: epoch counts who has had it.  Whoever comes
-- back with an older one, a process that was stopped while another took over
-- under its name, finds out in its next session and ends.
SET search_path = countersign;

ALTER TABLE signer ADD epoch bigint NOT NULL DEFAULT 0;

-- Who holds it now; with above, the lease is taken with a higher epoch than
-- that and all before.  The caller has the session's lock of that name.
CREATE FUNCTION signer_lease(signer_name text, above bigint,
    OUT prefix integer, OUT epoch bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM signer_register(signer_name);
	UPDATE signer s SET epoch = greatest(s.epoch, above) + 1
	    WHERE s.name = signer_name AND above IS NOT NULL;
	SELECT s.prefix, s.epoch INTO prefix, epoch FROM signer s
	    WHERE s.name = signer_name;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION signer_register(text) FROM countersign_signer;
GRANT EXECUTE ON FUNCTION signer_lease(text, bigint) TO countersign_signer;
