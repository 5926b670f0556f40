-- A web host's publisher runs as countersign_auditor, which was not let say
-- what it publishes, and so published nothing.  It may now, and for that
-- nobody can say it of a list that is not there.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION crl_publishing(ca_name text, num bigint)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO crl_published AS p
	    SELECT ca, number, now() FROM crl
	    WHERE ca = ca_name AND number = num
	    ON CONFLICT (ca) DO UPDATE
	    SET number = greatest(p.number, num), at = now()
$$;

REVOKE ALL ON FUNCTION crl_publishing(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crl_publishing(text, bigint)
    TO countersign_operator, countersign_auditor;
