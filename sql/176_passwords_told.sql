-- Which password was set last, for "ledger verify": an old database, or
-- somebody in it, would make another good.  The hash of what stands in the
-- table tells nobody more than that: its salt is secret as well.
SET search_path = countersign;

CREATE FUNCTION password_told(hash text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = countersign, pg_temp AS $$
	SELECT coalesce('sha256 ' || encode(sha256(convert_to(hash, 'UTF8')),
	    'hex'), 'none')
$$;

CREATE OR REPLACE FUNCTION account_add(name text, machine boolean, cn text,
    dns text, upn text, email text, dn text, sid text, password text,
    groups text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO account (name, machine, cn, dns, upn, email, dn, sid,
	    password) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);
	INSERT INTO account_group SELECT $1, g FROM unnest($10) g;
	PERFORM note('account add', $1 || ' groups '
	    || coalesce(array_to_string($10, ','), ''));
	PERFORM note('account passwd', $1 || ' ' || password_told($9));
END $$;

CREATE OR REPLACE FUNCTION account_set_password(who text, hash text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET password = hash WHERE name = who
	    AND one_time_template IS NULL;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM note('account passwd', who || ' ' || password_told(hash));
	RETURN true;
END $$;

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
		    || templates[i] || ' ' || password_told(hashes[i]));
	END LOOP;
END $$;

-- For those who may not see the password.
CREATE FUNCTION passwords_told() RETURNS TABLE (account text, told text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = countersign, pg_temp
AS $$
	SELECT name, password_told(password) FROM account
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION passwords_told()
    TO countersign_operator, countersign_auditor;
