-- For "countersign reconcile", which the owner runs: nobody else may.
SET search_path = countersign;

CREATE FUNCTION signer_put_back(signer_name text, number integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	DELETE FROM signer WHERE name = signer_name AND prefix <> number;
	-- Who registered meanwhile got a number that was taken.
	UPDATE signer SET prefix = (SELECT max(prefix) + 1 FROM signer)
	    WHERE prefix = number AND name <> signer_name;
	INSERT INTO signer (name, prefix) VALUES (signer_name, number)
	    ON CONFLICT (name) DO NOTHING;
END $$;

-- Above the ledger's number and above what is here: a list is due.
CREATE FUNCTION change_put_back(ca_name text, number bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO revocation_change AS c VALUES (ca_name, number + 1)
	    ON CONFLICT (ca) DO UPDATE SET n = greatest(c.n, number) + 1
$$;

-- A ledger has this one: nothing goes to revocation_event.
CREATE FUNCTION revocation_put_back(ca_name text, num bytea, at_usec text,
    why text, whose text, remark text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE moment timestamptz := to_timestamp(at_usec::bigint / 1e6);
	ends timestamptz;
BEGIN
	UPDATE certificate SET revoked_at = moment,
	    revocation_reason = why::smallint, revoked_by = whose,
	    revocation_note = nullif(remark, '')
	    WHERE serial = num AND ca = ca_name RETURNING not_after INTO ends;
	IF ends IS NULL THEN
		RAISE EXCEPTION 'certificate % is not there',
		    encode(num, 'hex');
	END IF;
	INSERT INTO revoked VALUES (ca_name, num, moment, why::smallint, ends)
	    ON CONFLICT (ca, serial) DO UPDATE SET at = moment,
	    reason = why::smallint;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
END $$;

CREATE FUNCTION release_put_back(ca_name text, num bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL
	    WHERE serial = num AND ca = ca_name;
	DELETE FROM revoked WHERE ca = ca_name AND serial = num;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
$$;

CREATE FUNCTION rollback_end(detail text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE n bigint;
BEGIN
	UPDATE rollback SET ended_at = now(), ended_by = session_user
	    WHERE ended_at IS NULL;
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM note('reconcile', detail);
	RETURN n;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
