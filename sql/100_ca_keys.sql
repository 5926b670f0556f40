-- A CA of the policy has one or more keys: the first bears the CA's name, the
-- next ones names of their own.  Certificates, revocations, lists and OCSP
-- answers belong to the key that signs them, requests to the CA.
SET search_path = countersign;

-- also: certificates that answers carry besides the chain: earlier ones of the
-- same key, and those that lead to another root.
ALTER TABLE ca ADD of_ca text, ADD in_use boolean NOT NULL DEFAULT true,
    ADD also bytea[] NOT NULL DEFAULT '{}';
UPDATE ca SET of_ca = name;
ALTER TABLE ca ALTER of_ca SET NOT NULL, ALTER in_use DROP DEFAULT;
CREATE UNIQUE INDEX ca_in_use ON ca (of_ca) WHERE in_use;

-- Nobody becomes another CA's key, and no key goes away while its
-- certificates live.
CREATE FUNCTION keep_ca() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'ca % keeps its name', OLD.name;
END $$;
CREATE TRIGGER keep_name BEFORE UPDATE ON ca FOR EACH ROW
    WHEN ((OLD.name, OLD.of_ca) IS DISTINCT FROM (NEW.name, NEW.of_ca))
    EXECUTE FUNCTION keep_ca();

-- of: the CA whose next key it is; NULL: a new CA.
DROP FUNCTION ca_register(text, bytea, bytea[]);
CREATE FUNCTION ca_register(ca_name text, cert bytea, issuers bytea[],
    more bytea[] DEFAULT '{}', next_of text DEFAULT NULL) RETURNS void
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
	    ''));
END $$;

-- Another certificate for the same key.  The last one goes on travelling.
CREATE FUNCTION ca_replace(ca_name text, cert bytea, issuers bytea[],
    more bytea[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE ca SET also = also || certificate || more, certificate = cert,
	    chain = issuers WHERE name = ca_name;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('ca replace', ca_name || ' certificate '
	    || encode(sha256(cert), 'hex'));
	PERFORM pg_notify('countersign_published', ca_name);
	RETURN true;
END $$;

-- From now on this key signs certificates.  Its list must be there before: the
-- first certificate names it.
CREATE FUNCTION ca_activate(ca_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE c ca;
BEGIN
	SELECT * INTO c FROM ca WHERE name = ca_name FOR UPDATE;
	IF NOT FOUND THEN RETURN 'absent'; END IF;
	IF c.in_use THEN RETURN 'already'; END IF;
	PERFORM FROM crl WHERE ca = ca_name AND next_update > now();
	IF NOT FOUND THEN RETURN 'no list'; END IF;
	UPDATE ca SET in_use = false WHERE of_ca = c.of_ca AND in_use;
	UPDATE ca SET in_use = true WHERE name = ca_name;
	PERFORM note('ca activate', ca_name || ' of ' || c.of_ca);
	RETURN 'active';
END $$;

-- Revocation lists of the CAs above ours, made on their own hosts.
CREATE TABLE crl_above (
	name		text PRIMARY KEY,	-- of the file it becomes
	issuer		bytea NOT NULL,		-- DER of the certificate
	number		numeric NOT NULL,
	this_update	timestamptz NOT NULL,
	next_update	timestamptz NOT NULL,
	entries		bigint NOT NULL,
	der		bytea NOT NULL
);
ALTER TABLE crl_above ALTER der SET STORAGE EXTERNAL;

CREATE FUNCTION crl_above_put(crl_name text, cert bytea, num numeric,
    this_time timestamptz, next_time timestamptz, n bigint, list bytea)
RETURNS text
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
	PERFORM note('crl install', crl_name || ' number ' || num);
	PERFORM pg_notify('countersign_published', crl_name);
	RETURN 'installed';
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON crl_above TO countersign_operator, countersign_auditor;
GRANT EXECUTE ON FUNCTION ca_register(text, bytea, bytea[], bytea[], text),
    ca_replace(text, bytea, bytea[], bytea[]), ca_activate(text),
    crl_above_put(text, bytea, numeric, timestamptz, timestamptz, bigint,
    bytea) TO countersign_operator;
