-- Requests that wait for a manager, and accounts with a one-time secret.
SET search_path = countersign;

ALTER TABLE request
	ADD approved_by text,		-- who approved or denied it
	ADD approval_reason text,
	ADD decision_id bytea CHECK (length(decision_id) = 16),
	ADD expires_at timestamptz,	-- of a pending one
	ADD token_sha256 bytea CHECK (length(token_sha256) = 32);
-- What waits already was submitted without a hash and with the default time.
UPDATE request SET token_sha256 = sha256(token),
    expires_at = received_at + interval '30 days' WHERE state = 'pending';
CREATE INDEX request_pending ON request (received_at)
    WHERE state = 'pending';

-- pending -> issued or denied, once.  What was submitted stays as it was.
CREATE FUNCTION decide_pending() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	IF (OLD.day, OLD.id, OLD.replay_key, OLD.number, OLD.received_at,
	    OLD.ca, OLD.account, OLD.method, OLD.worker, OLD.client_address,
	    OLD.template, OLD.evidence, OLD.token, OLD.token_sha256,
	    OLD.expires_at) IS DISTINCT FROM (NEW.day, NEW.id,
	    NEW.replay_key, NEW.number, NEW.received_at, NEW.ca, NEW.account,
	    NEW.method, NEW.worker, NEW.client_address, NEW.template,
	    NEW.evidence, NEW.token, NEW.token_sha256, NEW.expires_at) THEN
		RAISE EXCEPTION 'request %: what was submitted is kept',
		    OLD.number;
	END IF;
	IF NEW.state NOT IN ('issued', 'denied') OR NEW.approved_by IS NULL
	    OR NEW.decision_id IS NULL THEN
		RAISE EXCEPTION 'request %: not a decision', OLD.number;
	END IF;
	IF NEW.state = 'denied' THEN
		IF NEW.serial IS NOT NULL THEN
			RAISE EXCEPTION 'request %: denied with a serial',
			    OLD.number;
		END IF;
		RETURN NEW;
	END IF;
	IF OLD.expires_at <= now() THEN
		RAISE EXCEPTION 'request %: expired', OLD.number;
	END IF;
	PERFORM FROM certificate c WHERE c.serial = NEW.serial
	    AND c.request_id = NEW.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'request %: issued without a certificate',
		    OLD.number;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER decide_pending BEFORE UPDATE ON request
    FOR EACH ROW WHEN (OLD.state = 'pending')
    EXECUTE FUNCTION decide_pending();

GRANT UPDATE (state, decided_at, signer, template_major, template_minor,
    policy_hash, hresult, message, subject, san, serial, approved_by,
    approval_reason, decision_id) ON request TO countersign_signer;

-- A secret that gets one certificate from one template.
ALTER TABLE account
	ADD one_time_template text,
	ADD one_time_expires timestamptz,
	ADD one_time_used bytea,	-- id of the request that did
	ADD CONSTRAINT one_time CHECK (
	    (one_time_template IS NULL) = (one_time_expires IS NULL)
	    AND (one_time_used IS NULL OR one_time_template IS NOT NULL));
GRANT SELECT (one_time_template, one_time_expires, one_time_used) ON account
    TO countersign_signer, countersign_auditor, countersign_operator;

-- All of them or none.  An account that had a secret before gets a new one.
CREATE FUNCTION secret_create(names text[], templates text[],
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
		    || templates[i]);
	END LOOP;
END $$;

CREATE FUNCTION secret_revoke(who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET password = NULL,
	    one_time_expires = least(one_time_expires, now())
	    WHERE name = who AND one_time_template IS NOT NULL;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('secret revoke', who);
	RETURN true;
END $$;

-- For the signer, before it signs: those still good, locked until it commits.
CREATE FUNCTION secret_lock(names text[]) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	SELECT a.name FROM account a WHERE a.name = ANY (names)
	    AND a.one_time_template IS NOT NULL AND a.one_time_used IS NULL
	    AND a.one_time_expires > now() AND NOT a.disabled
	    ORDER BY a.name FOR NO KEY UPDATE
$$;

CREATE FUNCTION secret_use(who text, request_id bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET one_time_used = request_id WHERE name = who
	    AND one_time_template IS NOT NULL AND NOT disabled
	    AND one_time_used IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the secret of account % was used', who;
	END IF;
END $$;

-- A password that can be used again would undo what the template binds.
CREATE OR REPLACE FUNCTION account_set_password(who text, hash text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET password = hash WHERE name = who
	    AND one_time_template IS NULL;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('account passwd', who);
	RETURN true;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret_create(text[], text[], bigint[], text[]),
    secret_revoke(text) TO countersign_operator;
GRANT EXECUTE ON FUNCTION secret_lock(text[]), secret_use(text, bytea)
    TO countersign_signer;
