-- CAs whose key has no network: what waits for them, what crossed, what came
-- back.  See docs/airgap.md.
SET search_path = countersign;

CREATE TABLE airgap_ca (
	name		text PRIMARY KEY REFERENCES ca
);

-- One file each way.  bundle and response: their SHA-256.
CREATE TABLE airgap_round (
	n		bigint PRIMARY KEY CHECK (n > 0),
	exported_at	timestamptz NOT NULL DEFAULT now(),
	exported_by	text NOT NULL DEFAULT session_user,
	items		integer NOT NULL,
	orders		integer NOT NULL,
	bundle		bytea CHECK (length(bundle) = 32),
	imported_at	timestamptz,
	imported_by	text,
	response	bytea CHECK (length(response) = 32)
);
-- The file of the open round, to be written again.
CREATE TABLE airgap_part (
	n		bigint NOT NULL REFERENCES airgap_round,
	part		integer NOT NULL,
	body		bytea NOT NULL,
	PRIMARY KEY (n, part)
);
ALTER TABLE airgap_part ALTER body SET STORAGE EXTERNAL;

-- Beside the row of a request to such a CA.
CREATE TABLE airgap_request (
	day		integer NOT NULL,
	id		bytea NOT NULL,
	spki_sha256	bytea NOT NULL,
	accounts	bytea NOT NULL,	-- Account values, common/bundle.h
	waits		boolean NOT NULL, -- for a manager
	operator	text,		-- who let the approver approve
	subject		text,		-- the approver's
	round		bigint REFERENCES airgap_round,
	answered	boolean NOT NULL DEFAULT false,
	PRIMARY KEY (day, id)
);
CREATE INDEX airgap_request_next ON airgap_request (day, id)
    WHERE round IS NULL AND NOT waits;
CREATE INDEX airgap_request_open ON airgap_request (round)
    WHERE NOT answered;

-- Also what was revoked before the key went behind the gap.
CREATE FUNCTION airgap_add_ca(ca_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO airgap_ca VALUES (ca_name) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN RETURN; END IF;
	INSERT INTO revocation_event SELECT r.ca, 0, r.serial, r.at, r.reason,
	    r.not_after, coalesce(c.revoked_by, 'void'), c.revocation_note
	    FROM revoked r LEFT JOIN certificate c ON c.serial = r.serial
	    WHERE r.ca = ca_name ON CONFLICT DO NOTHING;
	PERFORM note('airgap ca', ca_name);
END $$;

-- As in 030, and for these requests: an approval leaves them pending, and
-- from the export to the import nobody but the import decides.
CREATE OR REPLACE FUNCTION decide_pending() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE a airgap_request; approving boolean;
BEGIN
	SELECT * INTO a FROM airgap_request x
	    WHERE x.day = OLD.day AND x.id = OLD.id;
	approving := a.id IS NOT NULL AND NEW.state = 'pending'
	    AND OLD.approved_by IS NULL AND NEW.serial IS NULL;
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
	IF (NEW.state NOT IN ('issued', 'denied') AND NOT approving)
	    OR NEW.approved_by IS NULL OR NEW.decision_id IS NULL THEN
		RAISE EXCEPTION 'request %: not a decision', OLD.number;
	END IF;
	IF a.id IS NOT NULL AND NOT a.answered AND (NEW.state = 'issued'
	    OR a.round IS NOT NULL) THEN
		RAISE EXCEPTION 'request %: is for the other side of the gap',
		    OLD.number;
	END IF;
	IF NEW.state = 'denied' THEN
		IF NEW.serial IS NOT NULL THEN
			RAISE EXCEPTION 'request %: denied with a serial',
			    OLD.number;
		END IF;
		RETURN NEW;
	END IF;
	-- Approved in time is in time, however long the stick takes.
	IF OLD.expires_at <= now() AND OLD.approved_by IS NULL THEN
		RAISE EXCEPTION 'request %: expired', OLD.number;
	END IF;
	IF approving THEN RETURN NEW; END IF;
	PERFORM FROM certificate c WHERE c.serial = NEW.serial
	    AND c.request_id = NEW.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'request %: issued without a certificate',
		    OLD.number;
	END IF;
	RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION note_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO audit (who, action, detail) VALUES (
	    CASE WHEN EXISTS (SELECT FROM airgap_request a
		WHERE a.day = NEW.day AND a.id = NEW.id AND a.answered)
		THEN session_user ELSE NEW.approved_by END,
	    CASE WHEN EXISTS (SELECT FROM airgap_request a
		WHERE a.day = NEW.day AND a.id = NEW.id AND a.answered)
		THEN 'airgap ' || NEW.state
		WHEN NEW.state = 'denied' THEN 'request deny'
		ELSE 'request approve' END,
	    'request ' || NEW.number || ' '
	    || encode(NEW.id, 'hex') || coalesce(': ' || NEW.approval_reason,
	    ''));
	RETURN NULL;
END $$;

-- The round that is open, or a new one with what waits.  previous: of the
-- last response.  Requests of accounts that are disabled now stay behind.
CREATE FUNCTION airgap_open(most integer)
RETURNS TABLE (round bigint, old boolean, made_at bigint, previous bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE last airgap_round; k bigint; i integer; o integer;
BEGIN
	LOCK TABLE airgap_round IN EXCLUSIVE MODE;
	SELECT * INTO last FROM airgap_round r ORDER BY r.n DESC LIMIT 1;
	IF last.n IS NOT NULL AND last.imported_at IS NULL THEN
		RETURN QUERY SELECT last.n, true,
		    extract(epoch FROM last.exported_at)::bigint, NULL::bytea;
		RETURN;
	END IF;
	k := coalesce(last.n, 0) + 1;
	INSERT INTO airgap_round (n, items, orders) VALUES (k, 0, 0);
	UPDATE airgap_request a SET round = k FROM (SELECT x.day, x.id
	    FROM airgap_request x JOIN request r
	    ON r.day = x.day AND r.id = x.id JOIN account c
	    ON c.name = r.account LEFT JOIN account g ON g.name = r.agent
	    WHERE x.round IS NULL AND NOT x.waits AND r.state = 'pending'
	    AND NOT c.disabled AND NOT coalesce(g.disabled, false)
	    ORDER BY x.day, x.id LIMIT most) w
	    WHERE a.day = w.day AND a.id = w.id;
	GET DIAGNOSTICS i = ROW_COUNT;
	SELECT count(*) INTO o FROM revocation_event e
	    JOIN airgap_ca g ON g.name = e.ca;
	UPDATE airgap_round r SET items = i, orders = o WHERE r.n = k;
	PERFORM note('airgap export', 'round ' || k || ', ' || i
	    || ' requests, ' || o || ' revocations');
	RETURN QUERY SELECT k, false, extract(epoch FROM now())::bigint,
	    coalesce(last.response, decode(repeat('00', 32), 'hex'));
END $$;

CREATE FUNCTION airgap_part_put(k bigint, p integer, piece bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO airgap_part SELECT k, p, piece FROM airgap_round r
	    WHERE r.n = k AND r.bundle IS NULL
$$;

CREATE FUNCTION airgap_made(k bigint, hash bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	UPDATE airgap_round SET bundle = hash WHERE n = k AND bundle IS NULL
$$;

-- One answer: the row of the certificate, the request's decision, and what
-- polls are answered with.  Anything but 'ok' is why not.
CREATE FUNCTION airgap_result(k bigint, of_id bytea, from_ca text,
    outcome text, hr bigint, words text, dn text, names text, major bigint, minor bigint,
    num bytea, starts bigint, ends bigint, key bytea, cert bytea,
    renewed integer, cmc bytea, policy bytea, maker text, at bigint)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE a airgap_request; r request;
BEGIN
	SELECT * INTO a FROM airgap_request x WHERE x.id = of_id
	    AND x.day = get_byte(of_id, 0) * 256 + get_byte(of_id, 1)
	    FOR UPDATE;
	IF a.round IS DISTINCT FROM k THEN
		RETURN 'is not in the round';
	ELSIF a.answered THEN
		RETURN 'is answered twice';
	ELSIF outcome = 'issued' AND a.spki_sha256 <> key THEN
		RETURN 'has another public key than its certificate';
	END IF;
	SELECT * INTO STRICT r FROM request x
	    WHERE x.day = a.day AND x.id = a.id FOR UPDATE;
	IF outcome = 'issued' AND r.ca <> from_ca THEN
		RETURN 'is for another ca than its certificate';
	END IF;
	UPDATE airgap_request x SET answered = true
	    WHERE x.day = a.day AND x.id = a.id;
	IF outcome = 'issued' THEN
		INSERT INTO certificate (serial, ca, request_id, account,
		    template, subject, san, not_before, not_after,
		    spki_sha256, der, renewals, chain_start) VALUES (num,
		    r.ca, r.id, r.account, r.template, dn, names,
		    to_timestamp(starts), to_timestamp(ends), key, cert,
		    renewed, CASE WHEN renewed > 0 THEN (SELECT coalesce(
		    o.chain_start, o.not_before) FROM certificate o
		    WHERE o.serial = r.renews) END);
	END IF;
	UPDATE request x SET state = outcome,
	    decided_at = to_timestamp(at / 1e6), response = nullif(cmc, ''),
	    signer = maker, policy_hash = policy, hresult = hr,
	    message = words, serial = CASE WHEN outcome = 'issued' THEN num
		END,
	    subject = CASE WHEN outcome = 'issued' THEN dn ELSE x.subject END,
	    san = CASE WHEN outcome = 'issued' THEN names ELSE x.san END,
	    template_major = CASE WHEN outcome = 'issued' THEN major
		ELSE x.template_major END,
	    template_minor = CASE WHEN outcome = 'issued' THEN minor
		ELSE x.template_minor END,
	    approved_by = coalesce(x.approved_by, 'airgap:' || maker),
	    decision_id = coalesce(x.decision_id, x.id)
	    WHERE x.day = a.day AND x.id = a.id;
	RETURN 'ok';
END $$;

CREATE FUNCTION airgap_void(num bytea, ca_name text, of_id bytea, maker text)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO void_serial (serial, ca, request_id, signer)
	    SELECT num, g.name, of_id, maker FROM airgap_ca g
	    WHERE g.name = ca_name ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION airgap_list_part(ca_name text, num bigint, p integer,
    piece bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO crl_part SELECT g.name, num, p, piece FROM airgap_ca g
	    WHERE g.name = ca_name
$$;

CREATE FUNCTION airgap_list(ca_name text, num bigint, starts bigint,
    ends bigint, many bigint, size bigint, digest bytea, seen bigint,
    maker text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO crl SELECT g.name, num, to_timestamp(starts),
	    to_timestamp(ends), many, size, digest, seen, maker
	    FROM airgap_ca g WHERE g.name = ca_name;
	IF NOT FOUND THEN RETURN; END IF;
	PERFORM crl_stored(ca_name, num);
	-- the vault's ledger has them now
	DELETE FROM revocation_event e WHERE e.ca = ca_name
	    AND e.change <= seen;
END $$;

-- The number of requests without an answer; 0: the round is over.
CREATE FUNCTION airgap_close(k bigint, hash bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE n_open integer;
BEGIN
	SELECT count(*) INTO n_open FROM airgap_request a
	    WHERE a.round = k AND NOT a.answered;
	IF n_open > 0 THEN RETURN n_open; END IF;
	UPDATE airgap_round SET imported_at = now(),
	    imported_by = session_user, response = hash
	    WHERE n = k AND imported_at IS NULL;
	DELETE FROM airgap_part WHERE n = k;
	PERFORM note('airgap import', 'round ' || k);
	RETURN 0;
END $$;

-- The vault's two octets in serial numbers.
CREATE FUNCTION airgap_vault(vault text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM note('airgap vault', vault);
	RETURN signer_register(vault);
END $$;

-- What crossed the gap stays as it was.
CREATE FUNCTION keep_round() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	IF OLD.imported_at IS NOT NULL OR (OLD.bundle IS NOT NULL
	    AND OLD.bundle IS DISTINCT FROM NEW.bundle) THEN
		RAISE EXCEPTION 'round % is kept', OLD.n;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER keep_round BEFORE UPDATE ON airgap_round
    FOR EACH ROW EXECUTE FUNCTION keep_round();
CREATE TRIGGER keep BEFORE DELETE ON airgap_round
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON airgap_request
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep_answered BEFORE UPDATE ON airgap_request
    FOR EACH ROW WHEN (OLD.answered) EXECUTE FUNCTION keep();
-- An approval is of what waits for one, and comes once.
CREATE TRIGGER keep_judged BEFORE UPDATE ON airgap_request
    FOR EACH ROW WHEN (((OLD.accounts, OLD.operator, OLD.subject)
	IS DISTINCT FROM (NEW.accounts, NEW.operator, NEW.subject)
	AND NOT OLD.waits) OR (NEW.waits AND NOT OLD.waits))
    EXECUTE FUNCTION keep();
DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['airgap_round', 'airgap_request'] LOOP
		EXECUTE format('CREATE TRIGGER keep_all BEFORE TRUNCATE ON %I '
		    'FOR EACH STATEMENT EXECUTE FUNCTION keep()', t);
	END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON airgap_ca, airgap_round, airgap_part, airgap_request
    TO countersign_operator, countersign_auditor;
GRANT SELECT, INSERT ON airgap_request TO countersign_signer;
GRANT UPDATE (waits, accounts, operator, subject) ON airgap_request
    TO countersign_signer;
GRANT EXECUTE ON FUNCTION airgap_add_ca(text), airgap_vault(text),
    airgap_open(integer), airgap_part_put(bigint, integer, bytea),
    airgap_made(bigint, bytea), airgap_result(bigint, bytea, text, text,
    bigint, text, text, text, bigint, bigint, bytea, bigint, bigint, bytea, bytea,
    integer, bytea, bytea, text, bigint), airgap_void(bytea, text, bytea, text),
    airgap_list_part(text, bigint, integer, bytea), airgap_list(text, bigint,
    bigint, bigint, bigint, bigint, bytea, bigint, text),
    airgap_close(bigint, bytea) TO countersign_operator;
