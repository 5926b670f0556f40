-- Revocation: who revoked what and why, revocation lists, answers of OCSP.
SET search_path = countersign;

-- What revocation lists are read from: narrow, and the index holds all of it.
-- not_after 'infinity': a void serial, of which nothing else is known.
CREATE TABLE revoked (
	ca		text NOT NULL,
	serial		bytea NOT NULL,
	at		timestamptz NOT NULL,
	reason		smallint NOT NULL,
	not_after	timestamptz NOT NULL,
	PRIMARY KEY (ca, serial) INCLUDE (at, reason, not_after)
);

-- Grows with each change of "revoked": a list knows which it has seen.
CREATE TABLE revocation_change (
	ca		text PRIMARY KEY,
	n		bigint NOT NULL
);

-- A list as signed, in parts; the parts of the last ones are kept.
CREATE TABLE crl (
	ca		text NOT NULL,
	number		bigint NOT NULL CHECK (number > 0),
	this_update	timestamptz NOT NULL,
	next_update	timestamptz NOT NULL,
	entries		bigint NOT NULL,
	octets		bigint NOT NULL,
	tbs_digest	bytea NOT NULL,	-- as in the ledger
	change		bigint NOT NULL,
	signer		text NOT NULL,
	PRIMARY KEY (ca, number)
);
CREATE TABLE crl_part (
	ca		text NOT NULL,
	number		bigint NOT NULL,
	part		integer NOT NULL,
	body		bytea NOT NULL,
	PRIMARY KEY (ca, number, part)
);
ALTER TABLE crl_part ALTER body SET STORAGE EXTERNAL;

-- Certificates of OCSP responders: the CA signed them, so they are recorded.
CREATE TABLE responder (
	serial		bytea PRIMARY KEY,
	ca		text NOT NULL,
	signer		text NOT NULL,
	not_after	timestamptz NOT NULL,
	der		bytea NOT NULL,
	issued_at	timestamptz NOT NULL DEFAULT now()
);

-- Signed answers.  hash: how the question named the issuer, 1 is SHA-1 and 2
-- is SHA-256 ([RFC6960] 4.1.1: an answer repeats it).
CREATE TABLE ocsp (
	ca		text NOT NULL,
	serial		bytea NOT NULL,
	hash		smallint NOT NULL CHECK (hash IN (1, 2)),
	this_update	timestamptz NOT NULL,
	next_update	timestamptz NOT NULL,
	der		bytea NOT NULL,
	PRIMARY KEY (ca, serial, hash)
);

CREATE FUNCTION revocation_changed(ca_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO revocation_change AS c VALUES (ca_name, 1)
	    ON CONFLICT (ca) DO UPDATE SET n = c.n + 1;
	PERFORM pg_notify('countersign_crl', ca_name);
END $$;

-- A serial that may have been signed is on the list for ever.
CREATE FUNCTION revoke_void() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO revoked VALUES (NEW.ca, NEW.serial, NEW.at, 0, 'infinity')
	    ON CONFLICT DO NOTHING;
	DELETE FROM ocsp WHERE ca = NEW.ca AND serial = NEW.serial;
	PERFORM revocation_changed(NEW.ca);
	RETURN NULL;
END $$;
INSERT INTO revoked SELECT ca, serial, at, 0, 'infinity' FROM void_serial;
INSERT INTO revoked SELECT ca, serial, revoked_at,
    coalesce(revocation_reason, 0), not_after FROM certificate
    WHERE revoked_at IS NOT NULL ON CONFLICT DO NOTHING;
CREATE TRIGGER revoke_void AFTER INSERT ON void_serial
    FOR EACH ROW EXECUTE FUNCTION revoke_void();

-- Only a hold (6) can end or become something else.
CREATE FUNCTION keep_revoked() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'certificate % is revoked for good',
	    upper(encode(OLD.serial, 'hex'));
END $$;
CREATE TRIGGER keep_revoked BEFORE UPDATE ON certificate
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL
	AND OLD.revocation_reason <> 6 AND (OLD.revoked_at,
	OLD.revocation_reason) IS DISTINCT FROM (NEW.revoked_at,
	NEW.revocation_reason))
    EXECUTE FUNCTION keep_revoked();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON crl
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON responder
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON crl
    FOR EACH STATEMENT EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON responder
    FOR EACH STATEMENT EXECUTE FUNCTION keep();

-- [RFC5280] 5.2.3: numbers grow, whichever signer made the one before, and a
-- list is never older than it.
CREATE FUNCTION crl_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
DECLARE last crl;
BEGIN
	SELECT * INTO last FROM crl WHERE ca = NEW.ca
	    ORDER BY number DESC LIMIT 1;
	IF NEW.number <= last.number OR NEW.this_update < last.this_update THEN
		RAISE EXCEPTION 'crl % of ca % is not newer than %',
		    NEW.number, NEW.ca, last.number;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER crl_check BEFORE INSERT ON crl
    FOR EACH ROW EXECUTE FUNCTION crl_check();

-- After a list is stored: drop the parts of old ones, tell publishers.
CREATE FUNCTION crl_stored(ca_name text, num bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	DELETE FROM crl_part WHERE ca = ca_name AND number < num - 1;
	PERFORM pg_notify('countersign_published', ca_name);
END $$;

-- Keeps an answer, unless the status it tells changed since it was read: the
-- row lock makes a revocation wait, or this one see it.
CREATE FUNCTION ocsp_keep(ca_name text, num bytea, hash_kind smallint,
    revoked_as smallint, from_time timestamptz, until timestamptz,
    answer bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE now_reason smallint;
BEGIN
	PERFORM FROM certificate c WHERE c.serial = num AND c.ca = ca_name
	    FOR SHARE;
	SELECT r.reason INTO now_reason FROM revoked r
	    WHERE r.ca = ca_name AND r.serial = num;
	IF now_reason IS DISTINCT FROM revoked_as THEN
		RETURN false;
	END IF;
	INSERT INTO ocsp VALUES (ca_name, num, hash_kind, from_time, until,
	    answer) ON CONFLICT (ca, serial, hash) DO UPDATE
	    SET this_update = from_time, next_update = until, der = answer;
	RETURN true;
END $$;

-- Certificates that match everything that is given.
CREATE FUNCTION cert_match(serials bytea[], who text, tmpl text, key bytea,
    since timestamptz, until timestamptz, request bytea)
RETURNS SETOF certificate
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF num_nonnulls(serials, who, tmpl, key, since, until, request) = 0
	    THEN
		RAISE EXCEPTION 'no certificate is named';
	END IF;
	RETURN QUERY SELECT c.* FROM certificate c
	    WHERE (serials IS NULL OR c.serial = ANY (serials))
	    AND (who IS NULL OR c.account = who)
	    AND (tmpl IS NULL OR lower(c.template) = lower(tmpl))
	    AND (key IS NULL OR c.spki_sha256 = key)
	    -- serials begin with the time; not_before is some minutes early
	    AND (since IS NULL OR (c.serial >= serial_time(since
		- interval '1 hour') AND c.not_before
		+ interval '10 minutes' >= since))
	    AND (until IS NULL OR c.not_before
		+ interval '10 minutes' <= until)
	    AND (request IS NULL OR c.request_id = request)
	    -- of a group, what has ended needs no revocation
	    AND (serials IS NOT NULL OR c.not_after > now())
	    ORDER BY c.serial FOR UPDATE;
END $$;

-- Revoke, or with dry tell what would be.  Reasons: [RFC5280] 5.3.1, those
-- that end-entity certificates have.  A hold may become something final; the
-- date stays that of the hold.
CREATE FUNCTION cert_revoke(serials bytea[], who text, tmpl text, key bytea,
    since timestamptz, until timestamptz, request bytea, why smallint,
    remark text, dry boolean)
RETURNS TABLE (number bytea, holder text, made_from text, name text,
    ends timestamptz, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c certificate; issuers text[] := '{}'; n bigint := 0;
BEGIN
	IF why NOT IN (0, 1, 3, 4, 5, 6, 9) THEN
		RAISE EXCEPTION 'reason % is none for a certificate', why;
	END IF;
	FOR c IN SELECT * FROM cert_match(serials, who, tmpl, key, since,
	    until, request) LOOP
		number := c.serial; holder := c.account;
		made_from := c.template; name := c.subject;
		ends := c.not_after;
		IF c.revoked_at IS NOT NULL AND (c.revocation_reason <> 6
		    OR why = 6) THEN
			outcome := 'already';
		ELSIF dry THEN
			outcome := 'would';
		ELSE
			outcome := 'revoked';
			n := n + 1;
			UPDATE certificate x SET revoked_at =
			    coalesce(c.revoked_at, now()),
			    revocation_reason = why,
			    revoked_by = session_user,
			    revocation_note = remark
			    WHERE x.serial = c.serial;
			INSERT INTO revoked AS r VALUES (c.ca, c.serial,
			    coalesce(c.revoked_at, now()), why, c.not_after)
			    ON CONFLICT (ca, serial) DO UPDATE SET reason = why;
			DELETE FROM ocsp o WHERE o.ca = c.ca
			    AND o.serial = c.serial;
			IF NOT c.ca = ANY (issuers) THEN
				issuers := issuers || c.ca;
			END IF;
			PERFORM note('cert revoke', upper(encode(c.serial,
			    'hex')) || ' of ' || c.account || ' reason '
			    || why || coalesce(': ' || remark, ''));
		END IF;
		RETURN NEXT;
	END LOOP;
	PERFORM revocation_changed(i) FROM unnest(issuers) i ORDER BY i;
END $$;

-- Ends a hold.
CREATE FUNCTION cert_release(num bytea, remark text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c certificate;
BEGIN
	SELECT * INTO c FROM certificate WHERE serial = num FOR UPDATE;
	IF NOT FOUND THEN RETURN 'absent'; END IF;
	IF c.revoked_at IS NULL THEN RETURN 'valid'; END IF;
	IF c.revocation_reason <> 6 THEN RETURN 'final'; END IF;
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL WHERE serial = num;
	DELETE FROM revoked WHERE ca = c.ca AND serial = num;
	DELETE FROM ocsp WHERE ca = c.ca AND serial = num;
	PERFORM note('cert release', upper(encode(num, 'hex')) || ' of '
	    || c.account || coalesce(': ' || remark, ''));
	PERFORM revocation_changed(c.ca);
	RETURN 'released';
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON crl, crl_part, ocsp TO countersign_worker;
GRANT SELECT ON revoked, revocation_change, crl, crl_part, responder, ocsp
    TO countersign_signer, countersign_operator, countersign_auditor;
GRANT INSERT ON crl, crl_part, responder TO countersign_signer;
GRANT EXECUTE ON FUNCTION crl_stored(text, bigint),
    ocsp_keep(text, bytea, smallint, smallint, timestamptz, timestamptz,
    bytea) TO countersign_signer;
GRANT EXECUTE ON FUNCTION cert_revoke(bytea[], text, text, bytea,
    timestamptz, timestamptz, bytea, smallint, text, boolean),
    cert_release(bytea, text) TO countersign_operator;
