-- A ledger must not say of a revocation what a failover takes back.  Only
-- those that were durable before they were told go, each by its key: others
-- came meanwhile.
SET search_path = countersign;

CREATE FUNCTION revocations_told(ca_name text, changes bigint[],
    serials bytea[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	DELETE FROM revocation_event e
	    USING unnest(changes, serials) AS t (change, serial)
	    WHERE e.ca = ca_name AND e.change = t.change
	    AND e.serial = t.serial
$$;
REVOKE ALL ON FUNCTION revocations_told(text, bigint[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revocations_told(text, bigint[], bytea[])
    TO countersign_signer;
