-- Tables, roles and the functions through which operators change them.
-- Applied by "countersign db migrate" as the owner, in one transaction.

-- Roles are cluster-wide: made if absent, never dropped.
DO $$
DECLARE r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['countersign_worker', 'countersign_signer',
	    'countersign_operator', 'countersign_auditor'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
			EXECUTE format('CREATE ROLE %I LOGIN', r);
		END IF;
	END LOOP;
END $$;

CREATE SCHEMA countersign;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$
BEGIN
	EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC',
	    current_database());
END $$;
GRANT USAGE ON SCHEMA countersign TO countersign_worker, countersign_signer,
    countersign_operator, countersign_auditor;
SET search_path = countersign;

-- One row.  The policy ID never changes: Windows keys its cache on it.
CREATE TABLE deployment (
	one		boolean PRIMARY KEY DEFAULT true CHECK (one),
	policy_id	text NOT NULL DEFAULT
			    '{' || upper(gen_random_uuid()::text) || '}',
	created_at	timestamptz NOT NULL DEFAULT now()
);
INSERT INTO deployment DEFAULT VALUES;

CREATE TABLE ca (
	name		text PRIMARY KEY,
	certificate	bytea NOT NULL,		-- DER
	chain		bytea[] NOT NULL,	-- issuers up to the root, DER
	created_at	timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE policy (
	version		bigint PRIMARY KEY,
	sha256		bytea NOT NULL CHECK (length(sha256) = 32),
	body		bytea NOT NULL,
	published_at	timestamptz NOT NULL DEFAULT now(),
	published_by	text NOT NULL
);

CREATE TABLE account (
	name		text PRIMARY KEY	-- see account_canonical
			    CHECK (name ~ '^[a-z0-9@_$-][a-z0-9@._$-]*$'
				AND length(name) <= 128),
	machine		boolean NOT NULL DEFAULT false,
	disabled	boolean NOT NULL DEFAULT false,
	cn		text NOT NULL,
	dns		text,
	upn		text,
	email		text,
	dn		text,
	sid		text,
	password	text CHECK (password LIKE '$argon2id$%'),
	created_at	timestamptz NOT NULL DEFAULT now()
);
-- Two principals with one name would be one to a relying party (Certifried).
CREATE UNIQUE INDEX account_dns ON account (lower(dns));
CREATE UNIQUE INDEX account_upn ON account (lower(upn));
CREATE UNIQUE INDEX account_email ON account (lower(email));
CREATE UNIQUE INDEX account_sid ON account (sid);

CREATE TABLE account_group (
	account		text NOT NULL REFERENCES account,
	name		text NOT NULL CHECK (name !~ '[[:cntrl:]]'
			    AND length(name) BETWEEN 1 AND 128),
	PRIMARY KEY (account, name)
);

-- A signer's two octets in every serial number.
CREATE TABLE signer (
	name		text PRIMARY KEY,
	prefix		integer NOT NULL UNIQUE
			    CHECK (prefix BETWEEN 0 AND 65535),
	registered_at	timestamptz NOT NULL DEFAULT now()
);

-- id begins with the UTC day (days since 1970), see common/msg.h.
CREATE TABLE request (
	day		integer NOT NULL,
	id		bytea NOT NULL CHECK (length(id) = 16),
	replay_key	bytea NOT NULL,
	number		integer NOT NULL CHECK (number > 0),
	state		text NOT NULL
			    CHECK (state IN ('issued', 'pending', 'denied')),
	received_at	timestamptz NOT NULL,
	decided_at	timestamptz NOT NULL,
	ca		text NOT NULL,
	account		text NOT NULL,
	method		smallint NOT NULL,	-- clientAuthentication
	worker		text NOT NULL,		-- name in the allow-list
	signer		text NOT NULL,
	client_address	text NOT NULL,
	template	text,			-- NULL: none could be told
	template_major	bigint,
	template_minor	bigint,
	policy_hash	bytea NOT NULL,
	hresult		bigint NOT NULL DEFAULT 0,
	message		text NOT NULL,
	subject		text NOT NULL DEFAULT '',	-- issued or asked for
	san		text NOT NULL DEFAULT '',
	serial		bytea,			-- of the certificate
	renews		bytea,			-- serial renewed
	evidence	bytea,
	token		bytea NOT NULL,		-- the client's bytes
	PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
ALTER TABLE request ALTER token SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX request_replay ON request (day, replay_key)
    WHERE state <> 'denied';
CREATE INDEX request_number ON request (number);
CREATE INDEX request_account ON request (account, received_at);

-- serial: 3 octets of time, 2 of signer, 11 random; see signer/serial.h.
CREATE TABLE certificate (
	serial		bytea PRIMARY KEY CHECK (length(serial) BETWEEN 1 AND 20),
	ca		text NOT NULL,
	request_id	bytea NOT NULL,
	account		text NOT NULL,
	template	text NOT NULL,
	subject		text NOT NULL,
	san		text NOT NULL,
	not_before	timestamptz NOT NULL,
	not_after	timestamptz NOT NULL,
	spki_sha256	bytea NOT NULL,
	der		bytea NOT NULL,
	revoked_at	timestamptz,
	revocation_reason smallint,
	revoked_by	text,
	revocation_note	text
) PARTITION BY RANGE (serial);
ALTER TABLE certificate ALTER der SET STORAGE EXTERNAL;
CREATE INDEX certificate_account ON certificate (account, not_before);
CREATE INDEX certificate_revoked ON certificate (serial)
    WHERE revoked_at IS NOT NULL;

-- Serials that may have been signed but have no certificate row.
CREATE TABLE void_serial (
	serial		bytea PRIMARY KEY,
	ca		text NOT NULL,
	request_id	bytea NOT NULL,
	signer		text NOT NULL,
	at		timestamptz NOT NULL DEFAULT now()
);

-- What operators did.
CREATE TABLE audit (
	n		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at		timestamptz NOT NULL DEFAULT now(),
	who		text NOT NULL,
	action		text NOT NULL,
	detail		text NOT NULL
);

-- Partitions: a month each, made ahead.  Called by the migration and by every
-- signer at start and once a day.  A month whose first rows came before its
-- partitions (a clock gone wild) stays in the default partitions: no reason to
-- stop issuing.
CREATE FUNCTION make_partitions(months integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE
	m0 timestamptz; m1 timestamptz; suffix text; made integer := 0;
	i integer;
BEGIN
	PERFORM pg_advisory_xact_lock(71200101);
	FOR i IN -1 .. months LOOP
		m0 := (date_trunc('month', now() AT TIME ZONE 'UTC')
		    + make_interval(months => i)) AT TIME ZONE 'UTC';
		m1 := (date_trunc('month', now() AT TIME ZONE 'UTC')
		    + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
		suffix := to_char(m0 AT TIME ZONE 'UTC', 'YYYYMM');
		IF to_regclass('countersign.request_' || suffix) IS NOT NULL THEN
			CONTINUE;
		END IF;
		BEGIN
			EXECUTE format('CREATE TABLE request_%s PARTITION OF '
			    'request FOR VALUES FROM (%s) TO (%s)', suffix,
			    extract(epoch FROM m0)::bigint / 86400,
			    extract(epoch FROM m1)::bigint / 86400);
			EXECUTE format('CREATE TABLE certificate_%s '
			    'PARTITION OF certificate '
			    'FOR VALUES FROM (%L) TO (%L)', suffix,
			    serial_time(m0), serial_time(m1));
			made := made + 1;
		EXCEPTION WHEN check_violation THEN
			RAISE WARNING 'month % stays in the default partitions',
			    suffix;
		END;
	END LOOP;
	RETURN made;
END $$;

-- First three octets of a serial made at that time: 0x400000 + units of
-- 1024 s since 2020-01-01 (unix 1577836800).
CREATE FUNCTION serial_time(t timestamptz) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = countersign, pg_temp AS $$
	SELECT substring(int4send((4194304
	    + floor((extract(epoch FROM t) - 1577836800) / 1024))::integer)
	    FROM 2 FOR 3)
$$;

-- What falls outside the months made so far is kept all the same.
CREATE TABLE request_other PARTITION OF request DEFAULT;
CREATE TABLE certificate_other PARTITION OF certificate DEFAULT;
SELECT make_partitions();

CREATE FUNCTION signer_register(signer_name text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE p integer;
BEGIN
	PERFORM pg_advisory_xact_lock(71200102);
	SELECT prefix INTO p FROM signer WHERE name = signer_name;
	IF NOT FOUND THEN
		SELECT coalesce(max(prefix), 0) + 1 INTO p FROM signer;
		INSERT INTO signer (name, prefix) VALUES (signer_name, p);
	END IF;
	RETURN p;
END $$;

-- Everybody who keeps a copy hears of a change.
CREATE FUNCTION tell() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM pg_notify('countersign', TG_TABLE_NAME);
	RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON account_group FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER INSERT ON policy
    FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON ca
    FOR EACH STATEMENT EXECUTE FUNCTION tell();

-- Rows of what was issued and decided are never changed back or removed.
CREATE FUNCTION keep() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '% rows are kept', TG_TABLE_NAME;
END $$;
CREATE TRIGGER keep BEFORE DELETE ON request
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON certificate
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON void_serial
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON deployment
    FOR EACH ROW EXECUTE FUNCTION keep();
-- A decision is final, and only the revocation of a certificate is news.
CREATE TRIGGER keep_decided BEFORE UPDATE ON request
    FOR EACH ROW WHEN (OLD.state <> 'pending') EXECUTE FUNCTION keep();
CREATE TRIGGER keep_issued BEFORE UPDATE ON certificate
    FOR EACH ROW WHEN ((OLD.serial, OLD.ca, OLD.request_id, OLD.account,
	OLD.template, OLD.der) IS DISTINCT FROM (NEW.serial, NEW.ca,
	NEW.request_id, NEW.account, NEW.template, NEW.der))
    EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON policy
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION keep();

-- TRUNCATE asks no row trigger.
DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['deployment', 'policy', 'request',
	    'certificate', 'void_serial', 'audit'] LOOP
		EXECUTE format('CREATE TRIGGER keep_all BEFORE TRUNCATE ON %I '
		    'FOR EACH STATEMENT EXECUTE FUNCTION keep()', t);
	END LOOP;
END $$;

-- Nothing is anybody's by default; what is granted stands in the next file.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
