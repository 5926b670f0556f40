-- What ties the database to the signers' ledgers: docs/ledger.md.
SET search_path = countersign;

-- Revocations that no ledger has yet: a signer copies them into its own
-- before it signs the list, and takes them away with that list.
CREATE TABLE revocation_event (
	ca		text NOT NULL,
	change		bigint NOT NULL,	-- of the CA, growing
	serial		bytea NOT NULL,
	at		timestamptz NOT NULL,	-- of the revocation
	reason		smallint,		-- NULL: a hold that ended
	not_after	timestamptz NOT NULL,
	who		text NOT NULL,
	note		text,
	PRIMARY KEY (ca, change, serial)
);
CREATE INDEX revocation_event_serial ON revocation_event (ca, serial);

-- The last signed head of each ledger (common/head.h): a ledger without that
-- entry was cut off.
CREATE TABLE ledger_head (
	signer		text PRIMARY KEY,
	seq		bigint NOT NULL,
	hash		bytea NOT NULL CHECK (length(hash) = 32),
	head		text NOT NULL,
	at		timestamptz NOT NULL DEFAULT now()
);

-- A signer's ledger knows more than this database: it was restored from an
-- old backup.  While one of these has not ended no signer signs.
CREATE TABLE rollback (
	n		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	signer		text NOT NULL,
	found		text NOT NULL,
	found_at	timestamptz NOT NULL DEFAULT now(),
	ended_at	timestamptz,
	ended_by	text
);
CREATE INDEX rollback_open ON rollback (n) WHERE ended_at IS NULL;

CREATE FUNCTION ledger_head_put(signer_name text, number bigint, digest bytea,
    line text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO ledger_head AS h (signer, seq, hash, head)
	    VALUES (signer_name, number, digest, line)
	    ON CONFLICT (signer) DO UPDATE SET seq = number, hash = digest,
	    head = line, at = now() WHERE h.seq < number
$$;

CREATE FUNCTION rollback_found(signer_name text, what text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rollback WHERE ended_at IS NULL
	    AND signer = signer_name) THEN
		RETURN;
	END IF;
	INSERT INTO rollback (signer, found) VALUES (signer_name, what);
	PERFORM note('rollback found', signer_name || ': ' || what);
END $$;

-- The number of this change.  The row is locked until the transaction ends,
-- so that numbers become visible in their order.
CREATE FUNCTION revocation_next(ca_name text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE change bigint;
BEGIN
	INSERT INTO revocation_change AS c VALUES (ca_name, 1)
	    ON CONFLICT (ca) DO UPDATE SET n = c.n + 1 RETURNING c.n
	    INTO change;
	PERFORM pg_notify('countersign_crl', ca_name);
	RETURN change;
END $$;

CREATE OR REPLACE FUNCTION revoke_void() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO revoked VALUES (NEW.ca, NEW.serial, NEW.at, 0, 'infinity')
	    ON CONFLICT DO NOTHING;
	IF FOUND THEN
		INSERT INTO revocation_event VALUES (NEW.ca,
		    revocation_next(NEW.ca), NEW.serial, NEW.at, 0,
		    'infinity', NEW.signer, 'void');
	END IF;
	DELETE FROM ocsp WHERE ca = NEW.ca AND serial = NEW.serial;
	RETURN NULL;
END $$;

-- As before, and each change goes to revocation_event.
CREATE OR REPLACE FUNCTION cert_revoke(serials bytea[], who text, tmpl text,
    key bytea, since timestamptz, until timestamptz, request bytea,
    why smallint, remark text, dry boolean)
RETURNS TABLE (number bytea, holder text, made_from text, name text,
    ends timestamptz, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE
	c certificate; issuers text[] := '{}'; changes bigint[] := '{}';
	moment timestamptz;
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
			UPDATE certificate x SET revoked_at = moment,
			    revocation_reason = why,
			    revoked_by = session_user,
			    revocation_note = remark
			    WHERE x.serial = c.serial;
			INSERT INTO revoked AS r VALUES (c.ca, c.serial,
			    moment, why, c.not_after)
			    ON CONFLICT (ca, serial) DO UPDATE SET reason = why;
			INSERT INTO revocation_event VALUES (c.ca,
			    changes[array_position(issuers, c.ca)], c.serial,
			    moment, why, c.not_after, session_user, remark)
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
DECLARE c certificate;
BEGIN
	PERFORM FROM revocation_change ORDER BY ca FOR UPDATE;
	SELECT * INTO c FROM certificate WHERE serial = num FOR UPDATE;
	IF NOT FOUND THEN RETURN 'absent'; END IF;
	IF c.revoked_at IS NULL THEN RETURN 'valid'; END IF;
	IF c.revocation_reason <> 6 THEN RETURN 'final'; END IF;
	UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL,
	    revoked_by = NULL, revocation_note = NULL WHERE serial = num;
	DELETE FROM revoked WHERE ca = c.ca AND serial = num;
	DELETE FROM ocsp WHERE ca = c.ca AND serial = num;
	INSERT INTO revocation_event VALUES (c.ca, revocation_next(c.ca), num,
	    now(), NULL, c.not_after, session_user, remark);
	PERFORM note('cert release', upper(encode(num, 'hex')) || ' of '
	    || c.account || coalesce(': ' || remark, ''));
	RETURN 'released';
END $$;
DROP FUNCTION revocation_changed(text);

-- What was revoked before there was this table is in no ledger.
INSERT INTO revocation_event SELECT r.ca, 0, r.serial, r.at, r.reason,
    r.not_after, coalesce(c.revoked_by, 'void'), c.revocation_note
    FROM revoked r LEFT JOIN certificate c ON c.serial = r.serial;
UPDATE revocation_change SET n = n + 1
    WHERE ca IN (SELECT ca FROM revocation_event);

-- In the transaction, and with the view of the rows, in which the list was
-- made: what came since stays.
CREATE FUNCTION revocations_told(ca_name text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	DELETE FROM revocation_event WHERE ca = ca_name
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON revocation_event, ledger_head, rollback
    TO countersign_signer, countersign_operator, countersign_auditor;
GRANT EXECUTE ON FUNCTION ledger_head_put(text, bigint, bytea, text),
    rollback_found(text, text), revocations_told(text)
    TO countersign_signer;
