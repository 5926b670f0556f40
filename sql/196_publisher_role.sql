-- Publishers are on web hosts, and had the role of auditors there: whoever took
-- such a host over could read every request, with the client's own bytes.  They
-- get a role of their own, for lists and CAs, for the ends of certificates that
-- their metrics count, and for what "doctor" looks at beside a web server.
SET search_path = countersign;

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles
	    WHERE rolname = 'countersign_publisher') THEN
		CREATE ROLE countersign_publisher LOGIN;
	END IF;
EXCEPTION
WHEN duplicate_object THEN
	NULL;		-- by another database's migration, just now
WHEN insufficient_privilege THEN
	RAISE EXCEPTION 'only a superuser makes roles: have one execute '
	    'CREATE ROLE countersign_publisher LOGIN, and migrate again';
END $$;

GRANT USAGE ON SCHEMA countersign TO countersign_publisher;
GRANT SELECT ON deployment, ca, policy, crl, crl_part, crl_above,
    crl_published, revocation_change, rollback, airgap_ca
    TO countersign_publisher;
GRANT SELECT (template, not_after, revoked_at) ON certificate
    TO countersign_publisher;
GRANT SELECT (tableoid, day, id, state, received_at) ON request
    TO countersign_publisher;
GRANT SELECT (n, exported_at, imported_at) ON airgap_round
    TO countersign_publisher;
GRANT SELECT (day, id, waits, answered) ON airgap_request
    TO countersign_publisher;
GRANT SELECT (ca, at) ON revocation_event TO countersign_publisher;
GRANT SELECT (name, disabled, sid) ON account
    TO countersign_publisher;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crl_publishing(text, bigint), migrations()
    TO countersign_publisher;
