-- Delta lists ([RFC5280] 5.2.4): what has changed since a complete list.
SET search_path = countersign;

-- The change (revocation_change) that a row comes from.  Rows older than this
-- column, and rows of a database that was put back from the ledgers, have the
-- number of that moment: "stamped".  Who inserts without it shall fail.
ALTER TABLE revocation_change ADD stamped bigint NOT NULL DEFAULT 0;
ALTER TABLE revoked ADD change bigint NOT NULL DEFAULT 0;
ALTER TABLE revoked ALTER change DROP DEFAULT;
UPDATE revocation_change SET stamped = n;
UPDATE revoked r SET change = c.n FROM revocation_change c WHERE c.ca = r.ca;
CREATE INDEX revoked_change ON revoked (ca, change, serial);

-- Holds that ended: removeFromCRL, until two complete lists were made since.
CREATE TABLE released (
	ca		text NOT NULL,
	serial		bytea NOT NULL,
	at		timestamptz NOT NULL,
	change		bigint NOT NULL,
	PRIMARY KEY (ca, serial)
);
CREATE INDEX released_change ON released (ca, change, serial);

-- base: of a delta the number of the complete list that it adds to; 0: a
-- complete list with deltas to follow; NULL: one without.
ALTER TABLE crl ADD base bigint CHECK (base >= 0);
CREATE INDEX crl_complete ON crl (ca, number) WHERE coalesce(base, 0) = 0;
CREATE INDEX crl_delta ON crl (ca, number) WHERE base > 0;

-- As before; and [RFC5280] 5.2.3: a delta and a complete list of one moment
-- would have to have one number.
CREATE OR REPLACE FUNCTION crl_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
DECLARE last crl;
BEGIN
	SELECT * INTO last FROM crl WHERE ca = NEW.ca
	    ORDER BY number DESC LIMIT 1;
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

-- Of each kind the parts of the last two are kept.
CREATE OR REPLACE FUNCTION crl_stored(ca_name text, num bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE complete bigint[]; oldest bigint;
BEGIN
	SELECT array_agg(l.number), min(l.change) INTO complete, oldest FROM (
	    SELECT c.number, c.change FROM crl c WHERE c.ca = ca_name
	    AND coalesce(c.base, 0) = 0 ORDER BY c.number DESC LIMIT 2) l;
	DELETE FROM crl_part p WHERE p.ca = ca_name
	    AND p.number <> ALL (complete) AND p.number NOT IN (
	    SELECT c.number FROM crl c WHERE c.ca = ca_name AND c.base > 0
	    ORDER BY c.number DESC LIMIT 2);
	DELETE FROM released r WHERE r.ca = ca_name AND r.change <= oldest;
	PERFORM pg_notify('countersign_published', ca_name);
END $$;

CREATE OR REPLACE FUNCTION revoke_void() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE step bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM revoked r WHERE r.ca = NEW.ca
	    AND r.serial = NEW.serial) THEN
		step := revocation_next(NEW.ca);
		INSERT INTO revoked VALUES (NEW.ca, NEW.serial, NEW.at, 0,
		    'infinity', step);
		INSERT INTO revocation_event VALUES (NEW.ca, step, NEW.serial,
		    NEW.at, 0, 'infinity', NEW.signer, 'void');
	END IF;
	DELETE FROM ocsp WHERE ca = NEW.ca AND serial = NEW.serial;
	RETURN NULL;
END $$;

-- As in 110, and the row tells its change.
CREATE OR REPLACE FUNCTION cert_revoke(serials bytea[], who text, tmpl text,
    key bytea, since timestamptz, until timestamptz, request bytea,
    why smallint, remark text, dry boolean)
RETURNS TABLE (number bytea, holder text, made_from text, name text,
    ends timestamptz, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE
	c certificate; issuers text[] := '{}'; changes bigint[] := '{}';
	moment timestamptz; step bigint;
BEGIN
	IF why NOT IN (0, 1, 3, 4, 5, 6, 9) THEN
		RAISE EXCEPTION 'reason % is none for a certificate', why;
	END IF;
	-- Two that revoke for several CAs shall not wait for each other.
	IF NOT dry THEN
		PERFORM FROM revocation_change ORDER BY ca FOR UPDATE;
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
			moment := coalesce(c.revoked_at, now());
			IF NOT c.ca = ANY (issuers) THEN
				issuers := issuers || c.ca;
				changes := changes || revocation_next(c.ca);
			END IF;
			step := changes[array_position(issuers, c.ca)];
			UPDATE certificate x SET revoked_at = moment,
			    revocation_reason = why,
			    revoked_by = session_user,
			    revocation_note = remark
			    WHERE x.serial = c.serial;
			INSERT INTO revoked AS r VALUES (c.ca, c.serial,
			    moment, why, c.not_after, step)
			    ON CONFLICT (ca, serial) DO UPDATE
			    SET reason = why, change = step;
			INSERT INTO revocation_event VALUES (c.ca, step,
			    c.serial, moment, why, c.not_after, session_user,
			    remark)
			    ON CONFLICT ON CONSTRAINT revocation_event_pkey
			    DO UPDATE SET reason = why, note = remark;
			DELETE FROM ocsp o WHERE o.ca = c.ca
			    AND o.serial = c.serial;
			PERFORM note('cert revoke', upper(encode(c.serial,
			    'hex')) || ' of ' || c.account || ' reason '
			    || why || coalesce(': ' || remark, ''));
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION cert_release(num bytea, remark text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c certificate; step bigint;
BEGIN
	PERFORM FROM revocation_change ORDER BY ca FOR UPDATE;
	SELECT * INTO c FROM certificate WHERE serial = num FOR UPDATE;
	IF NOT FOUND THEN RETURN 'absent'; END IF;
	IF c.revoked_at IS NULL THEN RETURN 'valid'; END IF;
	IF c.revocation_reason <> 6 THEN RETURN 'final'; END IF;
	step := revocation_next(c.ca);
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL WHERE serial = num;
	DELETE FROM revoked WHERE ca = c.ca AND serial = num;
	INSERT INTO released AS r VALUES (c.ca, num, now(), step)
	    ON CONFLICT (ca, serial) DO UPDATE SET at = now(), change = step;
	DELETE FROM ocsp WHERE ca = c.ca AND serial = num;
	INSERT INTO revocation_event VALUES (c.ca, step, num,
	    now(), NULL, c.not_after, session_user, remark);
	PERFORM note('cert release', upper(encode(num, 'hex')) || ' of '
	    || c.account || coalesce(': ' || remark, ''));
	RETURN 'released';
END $$;

-- For "countersign reconcile", before the rows.  Numbers that the database gave
-- out after it was restored stand in no relation to those of lists that are put
-- back: all is on the next delta.
CREATE OR REPLACE FUNCTION change_put_back(ca_name text, number bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE step bigint;
BEGIN
	INSERT INTO revocation_change AS c VALUES (ca_name, number + 1)
	    ON CONFLICT (ca) DO UPDATE SET n = greatest(c.n, number) + 1
	    RETURNING n INTO step;
	UPDATE revocation_change SET stamped = step WHERE ca = ca_name;
	UPDATE revoked SET change = step WHERE ca = ca_name;
	UPDATE released SET change = step WHERE ca = ca_name;
END $$;

CREATE OR REPLACE FUNCTION revocation_put_back(ca_name text, num bytea,
    at_usec text, why text, whose text, remark text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE moment timestamptz := to_timestamp(at_usec::bigint / 1e6);
	ends timestamptz; step bigint;
BEGIN
	UPDATE certificate SET revoked_at = moment,
	    revocation_reason = why::smallint, revoked_by = whose,
	    revocation_note = nullif(remark, '')
	    WHERE serial = num AND ca = ca_name RETURNING not_after INTO ends;
	IF ends IS NULL THEN
		RAISE EXCEPTION 'certificate % is not there',
		    encode(num, 'hex');
	END IF;
	SELECT stamped INTO step FROM revocation_change WHERE ca = ca_name;
	INSERT INTO revoked VALUES (ca_name, num, moment, why::smallint, ends,
	    step) ON CONFLICT (ca, serial) DO UPDATE SET at = moment,
	    reason = why::smallint, change = step;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
END $$;

CREATE OR REPLACE FUNCTION release_put_back(ca_name text, num bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL
	    WHERE serial = num AND ca = ca_name;
	DELETE FROM revoked WHERE ca = ca_name AND serial = num;
	INSERT INTO released SELECT ca_name, num, now(), stamped
	    FROM revocation_change WHERE ca = ca_name ON CONFLICT DO NOTHING;
	DELETE FROM ocsp WHERE ca = ca_name AND serial = num;
$$;

CREATE OR REPLACE FUNCTION airgap_add_ca(ca_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO airgap_ca VALUES (ca_name) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN RETURN; END IF;
	INSERT INTO revocation_event SELECT r.ca, r.change, r.serial, r.at,
	    r.reason, r.not_after, coalesce(c.revoked_by, 'void'),
	    c.revocation_note
	    FROM revoked r LEFT JOIN certificate c ON c.serial = r.serial
	    WHERE r.ca = ca_name ON CONFLICT DO NOTHING;
	PERFORM note('airgap ca', ca_name);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON released
    TO countersign_signer, countersign_operator, countersign_auditor;
