-- Keys of a CA behind an air gap follow one another; its vault is no signer
-- with a network, and such a signer is no vault: serial numbers of both would
-- have the same prefix.
SET search_path = countersign;

ALTER TABLE signer ADD apart boolean NOT NULL DEFAULT false;
UPDATE signer SET apart = true WHERE epoch = 0
    AND name IN (SELECT detail FROM audit WHERE action = 'airgap vault');

-- The vault's two octets in serial numbers; NULL: it is a signer with a
-- network.
CREATE OR REPLACE FUNCTION airgap_vault(vault text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE p integer;
BEGIN
	p := signer_register(vault);
	UPDATE signer SET apart = true WHERE name = vault AND epoch = 0;
	IF NOT FOUND THEN RETURN NULL; END IF;
	PERFORM note('airgap vault', vault);
	RETURN p;
END $$;

-- As in 130, and for none that is a vault.
CREATE OR REPLACE FUNCTION signer_lease(signer_name text, above bigint,
    OUT prefix integer, OUT epoch bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM signer_register(signer_name);
	UPDATE signer s SET epoch = greatest(s.epoch, above) + 1
	    WHERE s.name = signer_name AND above IS NOT NULL;
	SELECT s.prefix, s.epoch INTO prefix, epoch FROM signer s
	    WHERE s.name = signer_name AND NOT s.apart;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'signer % is the vault behind the air gap',
		    signer_name;
	END IF;
END $$;

-- As in 120; requests for keys that were blocked meanwhile stay behind, too.
CREATE OR REPLACE FUNCTION airgap_open(most integer)
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
	    AND NOT EXISTS (SELECT FROM blocked_key b WHERE b.blocked
		AND b.spki_sha256 = x.spki_sha256)
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

-- As in 120; the certificate is of the key that signed it, which is one of the
-- CA that was asked.
CREATE OR REPLACE FUNCTION airgap_result(k bigint, of_id bytea, from_ca text,
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
	IF outcome = 'issued' AND NOT EXISTS (SELECT FROM ca k
	    WHERE k.name = from_ca AND k.of_ca = r.ca) THEN
		RETURN 'is for another ca than its certificate';
	END IF;
	UPDATE airgap_request x SET answered = true
	    WHERE x.day = a.day AND x.id = a.id;
	IF outcome = 'issued' THEN
		INSERT INTO certificate (serial, ca, request_id, account,
		    template, subject, san, not_before, not_after,
		    spki_sha256, der, renewals, chain_start) VALUES (num,
		    from_ca, r.id, r.account, r.template, dn, names,
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
