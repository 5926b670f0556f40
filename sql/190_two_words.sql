-- For "countersign reconcile": two databases that went on apart, or a
-- certificate that was revoked once more after a restore.  What is revoked for
-- good stays as it is here, and is told anew, so that it is the last word of the
-- ledgers, too.
SET search_path = countersign;

-- Behind change_put_back, whose number is above all that ledgers have.
CREATE FUNCTION revocation_stands(num bytea, ca_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c certificate;
BEGIN
	SELECT * INTO c FROM certificate WHERE serial = num AND ca = ca_name
	    FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'certificate % is not there',
		    encode(num, 'hex');
	END IF;
	IF c.revoked_at IS NULL OR c.revocation_reason = 6 THEN
		RETURN false;
	END IF;
	INSERT INTO revocation_event SELECT ca_name, stamped, num,
	    c.revoked_at, c.revocation_reason, c.not_after, c.revoked_by,
	    c.revocation_note FROM revocation_change WHERE ca = ca_name
	    ON CONFLICT ON CONSTRAINT revocation_event_pkey DO NOTHING;
	PERFORM note('revocation stands', upper(encode(num, 'hex')) || ' of '
	    || c.account || ' reason ' || c.revocation_reason);
	RETURN true;
END $$;

-- As 150_delta.sql has them, behind that.
CREATE OR REPLACE FUNCTION revocation_put_back(ca_name text, num bytea,
    at_usec text, why text, whose text, remark text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE moment timestamptz := to_timestamp(at_usec::bigint / 1e6);
	ends timestamptz; step bigint;
BEGIN
	IF revocation_stands(num, ca_name) THEN RETURN; END IF;
	UPDATE certificate SET revoked_at = moment,
	    revocation_reason = why::smallint, revoked_by = whose,
	    revocation_note = nullif(remark, '')
	    WHERE serial = num AND ca = ca_name RETURNING not_after INTO ends;
	SELECT stamped INTO step FROM revocation_change WHERE ca = ca_name;
	INSERT INTO revoked VALUES (ca_name, num, moment, why::smallint, ends,
	    step) ON CONFLICT (ca, serial) DO UPDATE SET at = moment,
	    reason = why::smallint, change = step;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
END $$;

CREATE OR REPLACE FUNCTION release_put_back(ca_name text, num bytea)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF revocation_stands(num, ca_name) THEN RETURN; END IF;
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL
	    WHERE serial = num AND ca = ca_name;
	DELETE FROM revoked WHERE ca = ca_name AND serial = num;
	INSERT INTO released SELECT ca_name, num, now(), stamped
	    FROM revocation_change WHERE ca = ca_name ON CONFLICT DO NOTHING;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
