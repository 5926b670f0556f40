-- An answer about a certificate of before, which has no row that could be
-- locked: its row in "revoked" is, or what "cert release --earlier" has just
-- taken away would be told on.
SET search_path = countersign;

-- As 040_revocation.sql has it, but for FOR SHARE of revoked.
CREATE OR REPLACE FUNCTION ocsp_keep(ca_name text, num bytea,
    hash_kind smallint, revoked_as smallint, from_time timestamptz,
    until timestamptz, answer bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE now_reason smallint;
BEGIN
	PERFORM FROM certificate c WHERE c.serial = num AND c.ca = ca_name
	    FOR SHARE;
	SELECT r.reason INTO now_reason FROM revoked r
	    WHERE r.ca = ca_name AND r.serial = num FOR SHARE;
	IF now_reason IS DISTINCT FROM revoked_as THEN
		RETURN false;
	END IF;
	INSERT INTO ocsp VALUES (ca_name, num, hash_kind, from_time, until,
	    answer) ON CONFLICT (ca, serial, hash) DO UPDATE
	    SET this_update = from_time, next_update = until, der = answer;
	RETURN true;
END $$;
