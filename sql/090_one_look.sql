-- One statement reads the rows of certificates, for renewals, agents and
-- log-on, in workers too; what it adds for a worker names nobody.
SET search_path = countersign;

GRANT SELECT (renewals, spki_sha256) ON certificate TO countersign_worker;

-- The signed answer to a request that waits, the same for every poll.
ALTER TABLE request ADD response bytea;
ALTER TABLE request ALTER response SET STORAGE EXTERNAL;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
