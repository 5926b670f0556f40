-- Whom a public key was certified for first.  Two accounts with one key are
-- two who can act as each other: a signer looks here before it signs, beside
-- the look-up that each request costs anyway.  A table of its own, since an
-- index over the months' partitions would be searched in each of them.
SET search_path = countersign;

CREATE TABLE key_owner (
	spki_sha256	bytea PRIMARY KEY,
	account		text NOT NULL
);
INSERT INTO key_owner SELECT DISTINCT ON (spki_sha256) spki_sha256, account
    FROM certificate ORDER BY spki_sha256, serial;

-- Whoever writes certificates: signers, the import of an air gap, reconcile.
-- A key that two signers certified in the same instant stays the first's;
-- "countersign cert check --all" tells of it.
CREATE FUNCTION key_taken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO key_owner SELECT spki_sha256, account FROM fresh
	    ON CONFLICT DO NOTHING;
	RETURN NULL;
END $$;
CREATE TRIGGER key_taken AFTER INSERT ON certificate
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION key_taken();

CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON key_owner
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON key_owner
    FOR EACH STATEMENT EXECUTE FUNCTION keep();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON key_owner TO countersign_signer, countersign_operator,
    countersign_auditor;
