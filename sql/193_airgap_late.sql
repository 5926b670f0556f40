-- What was decided at the desk while a request was across is not known to the
-- vault: its key was blocked, or its account became another principal's.  Such a
-- certificate comes back revoked, and the next round tells the vault.
SET search_path = countersign;

CREATE FUNCTION airgap_judge(a airgap_request, r request, num bytea)
RETURNS void
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
DECLARE why smallint; remark text;
BEGIN
	PERFORM FROM blocked_key b WHERE b.blocked
	    AND b.spki_sha256 IN (a.spki_sha256, a.key_other);
	IF FOUND THEN
		why := 1; remark := 'key was blocked meanwhile';
	ELSE
		PERFORM FROM account c WHERE c.name IN (r.account, r.agent)
		    AND r.received_at <= c.replaced_at + interval '1 minute';
		IF NOT FOUND THEN RETURN; END IF;
		why := 4; remark := 'account was replaced meanwhile';
	END IF;
	PERFORM cert_revoke(ARRAY[num], NULL, NULL, NULL, NULL, NULL, NULL,
	    why, remark, false);
END $$;

-- As 155_airgap_keys.sql has it, but for that.
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
		PERFORM airgap_judge(a, r, num);
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
