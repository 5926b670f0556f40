-- What was published last.  The publisher writes it before the file: when that
-- is committed, so is the list that it read, and all that stands on it, also
-- on the standby.  A list that a failover took back would otherwise be out,
-- and the next one would have its number again, or a lower one.
SET search_path = countersign;

CREATE TABLE crl_published (
	ca		text PRIMARY KEY,
	number		bigint NOT NULL,
	at		timestamptz NOT NULL
);
GRANT SELECT ON crl_published TO countersign_operator, countersign_auditor;

CREATE FUNCTION crl_publishing(ca_name text, num bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO crl_published AS p VALUES (ca_name, num, now())
	    ON CONFLICT (ca) DO UPDATE
	    SET number = greatest(p.number, num), at = now()
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crl_publishing(text, bigint)
    TO countersign_operator;
