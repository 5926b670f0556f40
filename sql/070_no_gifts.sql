-- PostgreSQL lets every role take advisory locks, keep large objects and write
-- messages into its log.  With them a worker's role, which is to write nothing,
-- could fill the disk, keep a signer from opening its session, or keep all
-- signers from making revocation lists without anybody being told.
SET search_path = countersign;

DO $$
DECLARE
	f regprocedure;
	owner name;
BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
	    THEN
		RAISE WARNING 'only a superuser can take advisory locks and '
		    'large objects from everybody';
		RETURN;
	END IF;
	FOR f IN SELECT p.oid FROM pg_proc p
	    WHERE p.pronamespace = 'pg_catalog'::regnamespace
	    AND (p.proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'
	    OR p.proname IN ('pg_logical_emit_message', 'lo_create',
		'lo_creat', 'lo_from_bytea', 'lo_put', 'lo_open', 'lowrite',
		'lo_truncate', 'lo_truncate64')) LOOP
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
	-- Functions run with their owner's rights, who may be no superuser.
	SELECT pg_get_userbyid(nspowner) INTO owner FROM pg_namespace
	    WHERE nspname = 'countersign';
	EXECUTE format('GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint), '
	    'pg_advisory_xact_lock(bigint), '
	    'pg_advisory_xact_lock(integer, integer), '
	    'pg_try_advisory_xact_lock(bigint), '
	    'pg_try_advisory_xact_lock(integer, integer) TO %I', owner);
	GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(integer, integer),
	    pg_try_advisory_xact_lock(integer, integer),
	    pg_logical_emit_message(boolean, text, text)
	    TO countersign_signer;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
