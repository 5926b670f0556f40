-- A CA that comes from elsewhere brings its last list: numbers go on behind its
-- own ([RFC5280] 5.2.3), and what it revoked stays revoked.  Of those earlier
-- certificates there is no row; in "revoked" they have not_after 'infinity', as
-- void serials, which have one in void_serial.
SET search_path = countersign;

CREATE TABLE crl_before (
	ca		text PRIMARY KEY REFERENCES ca (name),
	number		bigint NOT NULL CHECK (number > 0),
	this_update	timestamptz NOT NULL,
	entries		bigint NOT NULL,
	sha256		bytea NOT NULL	-- of the list
);
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON crl_before
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON crl_before
    FOR EACH STATEMENT EXECUTE FUNCTION keep();

CREATE FUNCTION crl_before_told(b crl_before) RETURNS text
LANGUAGE sql STABLE SET search_path = countersign, pg_temp
SET TimeZone = 'UTC' AS $$
	SELECT b.ca || ' number ' || b.number || ' of '
	    || to_char(b.this_update, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
	    || ', entries ' || b.entries || ' sha256 '
	    || encode(b.sha256, 'hex')
$$;

-- Behind ca_register, in its transaction: the first change of its revocations,
-- whenever this is done, so that ledgers know them again.
CREATE FUNCTION crl_before_put(ca_name text, num bigint, from_time timestamptz,
    digest bytea, serials bytea[], dates bigint[], reasons smallint[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE b crl_before; step bigint;
BEGIN
	INSERT INTO crl_before VALUES (ca_name, num, from_time,
	    cardinality(serials), digest) RETURNING * INTO b;
	step := revocation_next(ca_name);
	INSERT INTO revoked SELECT ca_name, u.s, to_timestamp(u.d), u.r,
	    'infinity', step FROM unnest(serials, dates, reasons) u (s, d, r);
	INSERT INTO revocation_event SELECT r.ca, step, r.serial, r.at,
	    r.reason, r.not_after, session_user, 'list ' || num
	    FROM revoked r WHERE r.ca = ca_name;
	PERFORM note('crl before', crl_before_told(b));
END $$;

-- As 150_delta.sql has it, and behind the list from elsewhere.
CREATE OR REPLACE FUNCTION crl_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
DECLARE last crl; before crl_before;
BEGIN
	SELECT * INTO before FROM crl_before WHERE ca = NEW.ca;
	SELECT * INTO last FROM crl WHERE ca = NEW.ca
	    ORDER BY number DESC LIMIT 1;
	IF NEW.number <= before.number OR NEW.this_update < before.this_update
	    THEN
		RAISE EXCEPTION 'crl % of ca % is not newer than %, which it '
		    'came with', NEW.number, NEW.ca, before.number;
	END IF;
	IF NEW.number <= last.number OR NEW.this_update < last.this_update
	    OR (NEW.this_update = last.this_update
	    AND (coalesce(NEW.base, 0) > 0 OR last.base > 0)) THEN
		RAISE EXCEPTION 'crl % of ca % is not newer than %',
		    NEW.number, NEW.ca, last.number;
	END IF;
	IF NEW.base > 0 AND NOT EXISTS (SELECT FROM crl
	    WHERE ca = NEW.ca AND number = NEW.base AND base = 0) THEN
		RAISE EXCEPTION 'crl % of ca %: % is no list that deltas add '
		    'to', NEW.number, NEW.ca, NEW.base;
	END IF;
	RETURN NEW;
END $$;

-- Nothing that we issued, nor void: a number of before.
CREATE FUNCTION is_earlier(num bytea) RETURNS boolean
LANGUAGE sql STABLE SET search_path = countersign, pg_temp AS $$
	SELECT NOT EXISTS (SELECT FROM certificate WHERE serial = num)
	    AND NOT EXISTS (SELECT FROM void_serial WHERE serial = num)
$$;

-- As cert_revoke, for earlier certificates, which nothing but their numbers
-- names.
CREATE FUNCTION earlier_revoke(ca_name text, serials bytea[], why smallint,
    remark text, dry boolean)
RETURNS TABLE (number bytea, holder text, made_from text, name text,
    ends timestamptz, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last revoked; moment timestamptz; step bigint;
BEGIN
	IF why NOT IN (0, 1, 3, 4, 5, 6, 9) THEN
		RAISE EXCEPTION 'reason % is none for a certificate', why;
	END IF;
	PERFORM FROM ca c WHERE c.name = ca_name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no ca %', ca_name;
	END IF;
	IF NOT dry THEN
		PERFORM FROM revocation_change ORDER BY ca FOR UPDATE;
	END IF;
	FOR number IN SELECT DISTINCT s FROM unnest(serials) s ORDER BY s LOOP
		SELECT * INTO last FROM revoked r WHERE r.ca = ca_name
		    AND r.serial = number FOR UPDATE;
		IF NOT is_earlier(number) THEN
			outcome := 'ours';
		ELSIF last.reason <> 6 OR last.reason = why THEN
			outcome := 'already';
		ELSIF dry THEN
			outcome := 'would';
		ELSE
			outcome := 'revoked';
			moment := coalesce(last.at, now());
			step := coalesce(step, revocation_next(ca_name));
			INSERT INTO revoked AS r VALUES (ca_name, number,
			    moment, why, 'infinity', step)
			    ON CONFLICT (ca, serial) DO UPDATE
			    SET reason = why, change = step;
			INSERT INTO revocation_event VALUES (ca_name, step,
			    number, moment, why, 'infinity', session_user,
			    remark);
			DELETE FROM ocsp o WHERE o.ca = ca_name
			    AND o.serial = number;
			PERFORM note('cert revoke', upper(encode(number,
			    'hex')) || ' of before, ca ' || ca_name
			    || ' reason ' || why || coalesce(': ' || remark,
			    ''));
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;

-- As cert_release.
CREATE FUNCTION earlier_release(ca_name text, num bytea, remark text)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last revoked; step bigint;
BEGIN
	PERFORM FROM revocation_change ORDER BY ca FOR UPDATE;
	SELECT * INTO last FROM revoked WHERE ca = ca_name AND serial = num
	    FOR UPDATE;
	IF NOT is_earlier(num) THEN RETURN 'ours'; END IF;
	IF last.serial IS NULL THEN RETURN 'valid'; END IF;
	IF last.reason <> 6 THEN RETURN 'final'; END IF;
	step := revocation_next(ca_name);
	DELETE FROM revoked WHERE ca = ca_name AND serial = num;
	INSERT INTO released VALUES (ca_name, num, now(), step)
	    ON CONFLICT (ca, serial) DO UPDATE SET at = now(), change = step;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
	INSERT INTO revocation_event VALUES (ca_name, step, num, now(), NULL,
	    'infinity', session_user, remark);
	PERFORM note('cert release', upper(encode(num, 'hex'))
	    || ' of before, ca ' || ca_name || coalesce(': ' || remark, ''));
	RETURN 'released';
END $$;

-- For "countersign reconcile": the last word of the ledgers, why = '' where a
-- hold ended.  What is revoked for good here stays so, and is told anew.
CREATE FUNCTION earlier_put_back(ca_name text, num bytea, at_usec text,
    why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last revoked; step bigint;
BEGIN
	IF NOT is_earlier(num) THEN
		RAISE EXCEPTION 'certificate % is not of before',
		    encode(num, 'hex');
	END IF;
	SELECT stamped INTO step FROM revocation_change WHERE ca = ca_name;
	SELECT * INTO last FROM revoked WHERE ca = ca_name AND serial = num
	    FOR UPDATE;
	IF last.reason <> 6 THEN
		INSERT INTO revocation_event VALUES (ca_name, step, num,
		    last.at, last.reason, 'infinity', session_user, NULL)
		    ON CONFLICT ON CONSTRAINT revocation_event_pkey DO NOTHING;
		PERFORM note('revocation stands', upper(encode(num, 'hex'))
		    || ' of before, ca ' || ca_name || ' reason '
		    || last.reason);
		RETURN;
	END IF;
	IF why = '' THEN
		DELETE FROM revoked WHERE ca = ca_name AND serial = num;
		INSERT INTO released VALUES (ca_name, num, now(), step)
		    ON CONFLICT DO NOTHING;
	ELSE
		INSERT INTO revoked VALUES (ca_name, num,
		    to_timestamp(at_usec::bigint / 1e6), why::smallint,
		    'infinity', step) ON CONFLICT (ca, serial) DO UPDATE
		    SET at = EXCLUDED.at, reason = EXCLUDED.reason,
		    change = step;
	END IF;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON crl_before
    TO countersign_signer, countersign_operator, countersign_auditor;
GRANT EXECUTE ON FUNCTION crl_before_told(crl_before), is_earlier(bytea)
    TO countersign_operator, countersign_auditor;
GRANT EXECUTE ON FUNCTION crl_before_put(text, bigint, timestamptz, bytea,
    bytea[], bigint[], smallint[]), earlier_revoke(text, bytea[], smallint,
    text, boolean), earlier_release(text, bytea, text)
    TO countersign_operator;
