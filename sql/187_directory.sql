-- Accounts out of a directory: "account import" and its own words in audit,
-- so that a later import knows what an operator has said since; and names of
-- accounts, which audit tells now and which can be changed.
SET search_path = countersign;

-- As audit tells them: what is absent is left out.
CREATE FUNCTION names_told(machine boolean, cn text, dns text, upn text,
    email text, dn text, sid text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = countersign, pg_temp AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('machine', machine,
	    'cn', cn, 'dns', dns, 'upn', upn, 'email', email, 'dn', dn,
	    'sid', sid))::text
$$;

-- The names that some accounts have now become the last word, in this order.
CREATE FUNCTION names_tell(names text[], word text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	INSERT INTO audit (who, action, detail) SELECT session_user, word,
	    a.name || ' ' || names_told(a.machine, a.cn, a.dns, a.upn,
	    a.email, a.dn, a.sid)
	    FROM unnest(names) WITH ORDINALITY AS u(name, i)
	    JOIN account a ON a.name = u.name ORDER BY i
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
	PERFORM names_tell(ARRAY[$1], 'account names');
END $$;

-- One import at a time, and no operator's word meanwhile: it would be older than
-- the import's plan, or undone by it.
CREATE FUNCTION import_begin() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	SELECT pg_advisory_xact_lock(71200105)
$$;

-- As in 175_lists_told.sql, but for its first line.
CREATE OR REPLACE FUNCTION account_set_group(who text, grp text,
    member boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM import_begin();
	PERFORM FROM account WHERE name = who FOR NO KEY UPDATE;
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

-- An operator changes names: NULL leaves one as it is, '' takes it away.
CREATE FUNCTION account_set_names(who text, cn text, dns text,
    upn text, email text, dn text, sid text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM import_begin();
	UPDATE account a SET cn = coalesce($2, a.cn),
	    dns = nullif(coalesce($3, a.dns), ''),
	    upn = nullif(coalesce($4, a.upn), ''),
	    email = nullif(coalesce($5, a.email), ''),
	    dn = nullif(coalesce($6, a.dn), ''),
	    sid = nullif(coalesce($7, a.sid), '')
	    WHERE a.name = $1 AND a.one_time_template IS NULL;
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM names_tell(ARRAY[$1], 'account names');
	RETURN true;
END $$;

-- New accounts, without a password; of each the groups, with commas between.
CREATE FUNCTION import_add(names text[], machines boolean[], cns text[],
    dnss text[], upns text[], emails text[], dns text[], sids text[],
    groups text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO account (name, machine, cn, dns, upn, email, dn, sid)
	    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8);
	INSERT INTO account_group SELECT u.name, g
	    FROM unnest($1, $9) AS u(name, list),
	    unnest(string_to_array(u.list, ',')) g;
	INSERT INTO audit (who, action, detail)
	    SELECT session_user, 'account import', u.name || ' groups '
	    || u.list FROM unnest($1, $9) WITH ORDINALITY
	    AS u(name, list, i) ORDER BY i;
	PERFORM names_tell($1, 'account import names');
END $$;

-- All have none of the unique ones for a moment: two may change places.
CREATE FUNCTION import_names(names text[], cns text[],
    dnss text[], upns text[], emails text[], dns text[], sids text[],
    first boolean, last boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	IF first THEN
		UPDATE account a SET dns = NULL, upn = NULL, email = NULL,
		    sid = NULL WHERE a.name = ANY ($1)
		    AND a.one_time_template IS NULL;
	END IF;
	IF last THEN
		UPDATE account a SET cn = u.cn, dns = u.dns, upn = u.upn,
		    email = u.email, dn = u.dn, sid = u.sid
		    FROM unnest($1, $2, $3, $4, $5, $6, $7)
		    AS u(name, cn, dns, upn, email, dn, sid)
		    WHERE a.name = u.name AND a.one_time_template IS NULL;
	END IF;
	PERFORM names_tell($1, 'account import names');
END $$;

-- Into a group, or out of it.  Told is what was done, of two lines about one
-- group, too.
CREATE FUNCTION import_groups(names text[], groups text[],
    members boolean[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	WITH u AS (SELECT * FROM unnest(names, groups, members)
	    WITH ORDINALITY AS u(name, grp, member, i)),
	came AS (INSERT INTO account_group SELECT u.name, u.grp FROM u
	    WHERE u.member ON CONFLICT DO NOTHING
	    RETURNING account_group.account, account_group.name, true),
	went AS (DELETE FROM account_group g USING u WHERE NOT u.member
	    AND g.account = u.name AND g.name = u.grp
	    RETURNING g.account, g.name, false)
	INSERT INTO audit (who, action, detail)
	    SELECT session_user, 'account import group', u.name
	    || CASE WHEN u.member THEN ' + ' ELSE ' - ' END || u.grp FROM u
	    WHERE (u.name, u.grp, u.member) IN (TABLE came
		UNION ALL TABLE went) ORDER BY i
$$;

CREATE FUNCTION import_disable(names text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	WITH done AS (UPDATE account a SET disabled = true
	    WHERE a.name = ANY (names) AND NOT a.disabled RETURNING a.name)
	INSERT INTO audit (who, action, detail) SELECT session_user,
	    'account import disable', d.name FROM done d ORDER BY d.name
$$;

-- Only whom an import has disabled.  The rows are locked before audit is
-- read: an operator who disables one of them meanwhile comes after this.
CREATE FUNCTION import_enable(names text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM FROM account a WHERE a.name = ANY (names) ORDER BY a.name
	    FOR UPDATE;
	WITH word AS (SELECT DISTINCT ON (w.name) w.name, w.action FROM (
		SELECT split_part(x.detail, ' ', 1) AS name, x.action, x.n,
		    x.at FROM audit x WHERE x.action IN ('account add',
		    'account lost', 'account disable', 'account enable',
		    'account import', 'account import disable',
		    'account import enable', 'secret create')) w
	    WHERE w.name = ANY (names) ORDER BY w.name, w.n DESC, w.at DESC),
	done AS (UPDATE account a SET disabled = false FROM word w
	    WHERE a.name = w.name AND a.disabled
	    AND w.action = 'account import disable' RETURNING a.name)
	INSERT INTO audit (who, action, detail) SELECT session_user,
	    'account import enable', d.name FROM done d ORDER BY d.name;
END $$;

-- For reconcile: the stricter of two words, told as whoever had the last one,
-- so that the next import may put right what was the directory's.
CREATE FUNCTION strict_disable(who text, imported boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	UPDATE account SET disabled = true WHERE name = who;
	PERFORM note(CASE WHEN imported THEN 'account import disable'
	    ELSE 'account disable' END, who);
END $$;

CREATE FUNCTION strict_leave(who text, grp text, imported boolean)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	DELETE FROM account_group WHERE account = who AND name = grp;
	PERFORM note(CASE WHEN imported THEN 'account import group'
	    ELSE 'account group' END, who || ' - ' || grp);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION names_told(boolean, text, text, text, text, text,
    text) TO countersign_operator, countersign_auditor;
GRANT EXECUTE ON FUNCTION account_set_names(text, text, text, text, text,
    text, text), import_begin(), import_add(text[], boolean[], text[], text[],
    text[], text[], text[], text[], text[]), import_names(text[], text[],
    text[], text[], text[], text[], text[], boolean, boolean),
    import_groups(text[], text[], boolean[]), import_disable(text[]),
    import_enable(text[]) TO countersign_operator;
