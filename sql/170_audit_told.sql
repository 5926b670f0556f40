-- Signers write the rows of audit into their ledgers, in this order and each
-- once: docs/ledger.md.
SET search_path = countersign;

-- A restored backup gives numbers away anew; a row that is put back then
-- stands beside the one that has its number now.
ALTER TABLE audit DROP CONSTRAINT audit_pkey, ADD PRIMARY KEY (n, at);

-- What comes behind this row.  Numbers are taken in another order than they
-- are committed in, so nobody may be writing while they are read: whoever has
-- taken one has locked the table for it and holds that until the end.  When
-- somebody is at it for long, as a mass revocation, there is nothing new yet;
-- others wait for that tenth of a second at most.
CREATE FUNCTION audit_after(number bigint, moment timestamptz)
RETURNS SETOF audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp
SET lock_timeout = '100ms' AS $$
BEGIN
	-- Of one statement each the views must be, or the lock is for nothing.
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'audit_after needs read committed';
	END IF;
	IF NOT EXISTS (SELECT FROM audit WHERE (n, at) > (number, moment)) THEN
		RETURN;
	END IF;
	BEGIN
		LOCK TABLE audit IN SHARE MODE;
	EXCEPTION WHEN lock_not_available THEN
		RETURN;
	END;
	RETURN QUERY SELECT * FROM audit WHERE (n, at) > (number, moment)
	    ORDER BY n, at LIMIT 250;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON audit TO countersign_signer;
GRANT EXECUTE ON FUNCTION audit_after(bigint, timestamptz)
    TO countersign_signer;
