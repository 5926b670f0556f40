-- Grants, and the functions through which operators act: each leaves a line
-- in audit.  No program but the owner's migrations changes a table otherwise.
SET search_path = countersign;

GRANT SELECT ON deployment, ca, policy, account, account_group
    TO countersign_worker;

GRANT SELECT ON deployment, ca, policy, account_group, signer,
    request, certificate, void_serial TO countersign_signer;
GRANT INSERT ON request, certificate, void_serial TO countersign_signer;
GRANT EXECUTE ON FUNCTION make_partitions(integer), signer_register(text)
    TO countersign_signer;

GRANT SELECT ON deployment, ca, policy, signer, request, certificate,
    void_serial, audit, account_group TO countersign_auditor,
    countersign_operator;
-- Not the password.
GRANT SELECT (name, machine, disabled, cn, dns, upn, email, dn, sid,
    created_at) ON account TO countersign_signer, countersign_auditor,
    countersign_operator;

CREATE FUNCTION note(action text, detail text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO audit (who, action, detail)
	    VALUES (session_user, action, detail)
$$;

CREATE FUNCTION account_add(name text, machine boolean, cn text, dns text,
    upn text, email text, dn text, sid text, password text, groups text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO account (name, machine, cn, dns, upn, email, dn, sid,
	    password) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);
	INSERT INTO account_group SELECT $1, g FROM unnest($10) g;
	PERFORM note('account add', $1 || ' groups '
	    || coalesce(array_to_string($10, ','), ''));
END $$;

CREATE FUNCTION account_set_password(who text, hash text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET password = hash WHERE name = who;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('account passwd', who);
	RETURN true;
END $$;

CREATE FUNCTION account_set_disabled(who text, off boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET disabled = off WHERE name = who;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note(CASE WHEN off THEN 'account disable'
	    ELSE 'account enable' END, who);
	RETURN true;
END $$;

CREATE FUNCTION account_set_group(who text, grp text, member boolean)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM FROM account WHERE name = who;
	IF NOT FOUND THEN RETURN false; END IF;
	IF member THEN
		INSERT INTO account_group VALUES (who, grp)
		    ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM account_group WHERE account = who AND name = grp;
	END IF;
	PERFORM note('account group', who || CASE WHEN member THEN ' + '
	    ELSE ' - ' END || grp);
	RETURN true;
END $$;

CREATE FUNCTION ca_register(ca_name text, cert bytea, issuers bytea[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO ca (name, certificate, chain)
	    VALUES (ca_name, cert, issuers);
	PERFORM note('ca register', ca_name);
END $$;

-- The next version; publishing the text in force again changes nothing.
CREATE FUNCTION policy_publish(text_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE v bigint; last bytea;
BEGIN
	LOCK TABLE policy IN EXCLUSIVE MODE;
	SELECT version, sha256 INTO v, last FROM policy
	    ORDER BY version DESC LIMIT 1;
	IF last = sha256(text_body) THEN RETURN v; END IF;
	v := coalesce(v, 0) + 1;
	INSERT INTO policy (version, sha256, body, published_by)
	    VALUES (v, sha256(text_body), text_body, session_user);
	PERFORM note('policy publish', 'version ' || v);
	RETURN v;
END $$;

-- PostgreSQL lets everybody execute a new function, and default privileges of
-- a schema cannot take that back: every migration ends like this.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_add(text, boolean, text, text, text, text,
    text, text, text, text[]), account_set_password(text, text),
    account_set_disabled(text, boolean),
    account_set_group(text, text, boolean),
    ca_register(text, bytea, bytea[]), policy_publish(bytea)
    TO countersign_operator;
