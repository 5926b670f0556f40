-- A CA's certificate and chain go to every client, a list from above to all
-- relying parties, and none of them is in a ledger: audit tells which they are,
-- so that "ledger verify" knows another one.  It tells of a policy its hash, and
-- of a one-time secret until when it is good.
SET search_path = countersign;

CREATE FUNCTION ca_told(certificate bytea, chain bytea[], also bytea[])
RETURNS text
LANGUAGE sql STABLE SET search_path = countersign, pg_temp
SET bytea_output = hex AS $$
	SELECT 'sha256 ' || encode(sha256(convert_to(ROW($1, $2, $3)::text,
	    'UTF8')), 'hex')
$$;

CREATE FUNCTION crl_above_told(issuer bytea, number numeric,
    this_update timestamptz, next_update timestamptz, entries bigint,
    der bytea) RETURNS text
LANGUAGE sql STABLE SET search_path = countersign, pg_temp
SET bytea_output = hex SET TimeZone = 'UTC' SET DateStyle = ISO AS $$
	SELECT 'sha256 ' || encode(sha256(convert_to(ROW($1, $2, $3, $4, $5,
	    $6)::text, 'UTF8')), 'hex')
$$;

-- As 100_ca_keys.sql has them, but for what note() is told.
CREATE OR REPLACE FUNCTION ca_register(ca_name text, cert bytea,
    issuers bytea[], more bytea[] DEFAULT '{}', next_of text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF next_of IS NOT NULL THEN
		PERFORM FROM ca WHERE name = next_of AND of_ca = next_of;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'there is no ca %', next_of;
		END IF;
	END IF;
	INSERT INTO ca (name, certificate, chain, also, of_ca, in_use)
	    VALUES (ca_name, cert, issuers, more,
	    coalesce(next_of, ca_name), next_of IS NULL);
	PERFORM note('ca register', ca_name || coalesce(' key of ' || next_of,
	    '') || ' ' || ca_told(cert, issuers, more));
END $$;

CREATE OR REPLACE FUNCTION ca_replace(ca_name text, cert bytea,
    issuers bytea[], more bytea[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c ca;
BEGIN
	UPDATE ca SET also = also || certificate || more, certificate = cert,
	    chain = issuers WHERE name = ca_name RETURNING * INTO c;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('ca replace', ca_name || ' certificate '
	    || encode(sha256(cert), 'hex') || ' '
	    || ca_told(c.certificate, c.chain, c.also));
	PERFORM pg_notify('countersign_published', ca_name);
	RETURN true;
END $$;

CREATE OR REPLACE FUNCTION crl_above_put(crl_name text, cert bytea,
    num numeric, this_time timestamptz, next_time timestamptz, n bigint,
    list bytea) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last crl_above;
BEGIN
	PERFORM FROM ca WHERE name = crl_name;
	IF FOUND THEN RETURN 'name of a ca'; END IF;
	SELECT * INTO last FROM crl_above WHERE name = crl_name FOR UPDATE;
	IF FOUND AND last.issuer <> cert THEN RETURN 'other issuer'; END IF;
	IF FOUND AND (last.number >= num OR last.this_update > this_time) THEN
		RETURN 'not newer';
	END IF;
	INSERT INTO crl_above VALUES (crl_name, cert, num, this_time,
	    next_time, n, list) ON CONFLICT (name) DO UPDATE SET number = num,
	    this_update = this_time, next_update = next_time, entries = n,
	    der = list;
	PERFORM note('crl install', crl_name || ' number ' || num || ' '
	    || crl_above_told(cert, num, this_time, next_time, n, list));
	PERFORM pg_notify('countersign_published', crl_name);
	RETURN 'installed';
END $$;

-- As 182_publish_quietly.sql has it.
CREATE OR REPLACE FUNCTION policy_publish(text_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE v bigint; last bytea;
BEGIN
	LOCK TABLE policy IN EXCLUSIVE MODE;
	SELECT version, sha256 INTO v, last FROM policy
	    ORDER BY version DESC LIMIT 1;
	IF last = sha256(text_body) THEN
		PERFORM FROM policy WHERE version = v FOR UPDATE;
		RETURN v;
	END IF;
	v := coalesce(v, 0) + 1;
	INSERT INTO policy (version, sha256, body, published_by)
	    VALUES (v, sha256(text_body), text_body, session_user);
	PERFORM note('policy publish', 'version ' || v || ' sha256 '
	    || encode(sha256(text_body), 'hex'));
	RETURN v;
END $$;

-- As 176_passwords_told.sql has it.
CREATE OR REPLACE FUNCTION secret_create(names text[], templates text[],
    expires bigint[], hashes text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE i integer;
BEGIN
	FOR i IN 1 .. cardinality(names) LOOP
		INSERT INTO account AS a (name, machine, cn, dns, password,
		    one_time_template, one_time_expires) VALUES (names[i],
		    true, names[i], names[i], hashes[i], templates[i],
		    to_timestamp(expires[i]))
		ON CONFLICT (name) DO UPDATE SET password = EXCLUDED.password,
		    one_time_template = EXCLUDED.one_time_template,
		    one_time_expires = EXCLUDED.one_time_expires,
		    one_time_used = NULL
		    WHERE a.one_time_template IS NOT NULL AND a.machine
		    AND NOT a.disabled AND a.dns = EXCLUDED.dns;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'account % is not for secrets',
			    names[i];
		END IF;
		PERFORM note('secret create', names[i] || ' template '
		    || templates[i] || ' until ' || expires[i] || ' '
		    || password_told(hashes[i]));
	END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ca_told(bytea, bytea[], bytea[]),
    crl_above_told(bytea, numeric, timestamptz, timestamptz, bigint, bytea)
    TO countersign_operator, countersign_auditor;
