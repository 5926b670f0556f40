-- Renewal: how many renewals led to a certificate.
SET search_path = countersign;

ALTER TABLE certificate ADD COLUMN renewals integer NOT NULL DEFAULT 0
    CHECK (renewals >= 0);

-- As little to be changed as the rest of an issued certificate.
CREATE TRIGGER keep_renewals BEFORE UPDATE ON certificate
    FOR EACH ROW WHEN ((OLD.renewals, OLD.not_before, OLD.not_after,
	OLD.spki_sha256) IS DISTINCT FROM (NEW.renewals, NEW.not_before,
	NEW.not_after, NEW.spki_sha256)) EXECUTE FUNCTION keep();

-- The certificates a renewal goes back to, the nearest first.
CREATE FUNCTION renewal_chain(first bytea) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = countersign, pg_temp
AS $$
	WITH RECURSIVE chain(n, serial) AS (
		SELECT 1, first WHERE first IS NOT NULL
		UNION ALL
		SELECT chain.n + 1, r.renews FROM chain
		    JOIN certificate c ON c.serial = chain.serial
		    JOIN request r ON r.day = get_byte(c.request_id, 0) * 256
			+ get_byte(c.request_id, 1) AND r.id = c.request_id
		    WHERE r.renews IS NOT NULL AND chain.n < 1000
	) SELECT serial FROM chain ORDER BY n
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION renewal_chain(bytea)
    TO countersign_operator, countersign_auditor;
