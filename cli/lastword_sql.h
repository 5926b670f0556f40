/*
 * What is true of accounts and keys against the last word that the table
 * audit has of it; lastword.h tells what comes out.
 */
#ifndef LASTWORD_SQL_H
#define LASTWORD_SQL_H

/*
 * Rows of audit: those that are there, and $1 to $4 (numbers, microseconds
 * since 2000, actions, details) which the ledgers have and the table lacks.
 * Then what is younger than $5, the latest of the ledgers' times, was done
 * after the restore, with numbers that are given anew.
 */
#define LASTWORD_USEC(x) "timestamptz '2000-01-01 00:00:00+00' + " x \
	" * interval '1 microsecond'"
#define LASTWORD_TOLD \
	"told AS MATERIALIZED (SELECT n, at, action, detail, " \
	    "coalesce(at > " LASTWORD_USEC("$5::bigint") ", false) AS late " \
	    "FROM countersign.audit WHERE action LIKE 'account %' " \
	    "OR action IN ('secret create', 'secret revoke', 'key block', " \
		"'key unblock') " \
	    "UNION ALL SELECT u.n, " LASTWORD_USEC("u.at") ", u.action, " \
	    "u.detail, false FROM unnest($1::bigint[], $2::bigint[], " \
	    "$3::text[], $4::text[]) u (n, at, action, detail))"

/*
 * No account has a space in its name: the rest is what was said of it.  What
 * an import says ("account import", "account import group", ...) is the same
 * as what an operator does ("account add", "account group", ...).
 */
#define LASTWORD_ACCOUNTS \
	"acc AS MATERIALIZED (SELECT late, n, at, CASE action " \
	    "WHEN 'account import' THEN 'account add' " \
	    "ELSE replace(action, 'account import ', 'account ') " \
	    "END AS action, " \
	    "action LIKE 'account import%' AS imported, " \
	    "split_part(detail, ' ', 1) AS name, " \
	    "substr(detail, strpos(detail || ' ', ' ') + 1) AS rest " \
	    "FROM told WHERE action NOT LIKE 'key %'), " \
	"life AS (SELECT DISTINCT ON (name) name, action, imported FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'account disable', 'account enable', 'secret create') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	"secret AS (SELECT DISTINCT ON (name) name, action, at, rest " \
	    "FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'secret create', 'secret revoke') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	/* Rows of before 176_passwords_told.sql do not say which password. */ \
	"pass AS (SELECT DISTINCT ON (name) name, CASE action " \
	    "WHEN 'account add' THEN CASE WHEN imported THEN 'none' END " \
	    "WHEN 'account passwd' THEN substring(rest " \
		"FROM '^(none|sha256 [0-9a-f]{64})$') " \
	    "WHEN 'secret create' THEN substring(rest " \
		"FROM '(sha256 [0-9a-f]{64})$') END AS told, action " \
	    "FROM acc WHERE action IN ('account add', 'account lost', " \
		"'account passwd', 'secret create', 'secret revoke') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	/* \
	 * Nor which names, those of before 187_directory.sql; one for a \
	 * one-time secret has no others than these. \
	 */ \
	"called AS (SELECT DISTINCT ON (name) name, imported, CASE action " \
	    "WHEN 'account names' THEN rest WHEN 'secret create' " \
	    "THEN countersign.names_told(true, name, name, NULL, NULL, " \
		"NULL, NULL) END AS told FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'account names', 'secret create') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	"given AS (SELECT DISTINCT ON (name) name, action, at FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'account replace') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	/* What was said of groups before an account was lost is void. */ \
	"base AS (SELECT DISTINCT ON (name) name, late, n, at, " \
	    "imported AND action = 'account add' AS imported FROM acc " \
	    "WHERE action IN ('account add', 'account lost') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	"groups AS (SELECT late, n, at, name, imported, g AS grp, " \
	    "true AS member " \
	    "FROM acc, unnest(string_to_array(substr(rest, 8), ',')) g " \
	    "WHERE action = 'account add' AND g <> '' UNION ALL " \
	    "SELECT late, n, at, name, imported, substr(rest, 3), " \
	    "left(rest, 1) = '+' FROM acc WHERE action = 'account group'), " \
	"member AS (SELECT DISTINCT ON (g.name, g.grp) g.name, g.grp, " \
	    "g.member, g.imported FROM groups g LEFT JOIN base b " \
	    "ON b.name = g.name " \
	    "WHERE b.name IS NULL OR (g.late, g.n, g.at) >= " \
		"(b.late, b.n, b.at) " \
	    "ORDER BY g.name, g.grp, g.late DESC, g.n DESC, g.at DESC)"

/*
 * For "account import": every account and who had the last word of it.  Of
 * groups a line each: "*" an import has put it in, "+" somebody else, "-" an
 * operator has taken it out.
 */
#define LASTWORD_STATE \
	"WITH told AS MATERIALIZED (SELECT n, at, action, detail, " \
	    "false AS late FROM countersign.audit " \
	    "WHERE action LIKE 'account %' OR action = 'secret create'), " \
	LASTWORD_ACCOUNTS ", mem AS (SELECT coalesce(g.account, m.name) " \
	    "AS name, string_agg(CASE WHEN g.name IS NULL THEN '-' " \
		"WHEN m.imported AND m.member THEN '*' ELSE '+' END " \
		"|| coalesce(g.name, m.grp), E'\n' " \
		"ORDER BY coalesce(g.name, m.grp) COLLATE \"C\") AS list " \
	    "FROM countersign.account_group g FULL JOIN member m " \
	    "ON m.name = g.account AND m.grp = g.name " \
	    "WHERE g.name IS NOT NULL OR NOT (m.member OR m.imported) " \
	    "GROUP BY 1) " \
	"SELECT a.name, a.machine, a.disabled, a.cn, a.dns, a.upn, a.email, " \
	    "a.dn, a.sid, a.one_time_template IS NOT NULL, " \
	    "coalesce(b.imported, false), " \
	    "coalesce(l.imported AND l.action = 'account disable', false), " \
	    "coalesce(c.imported, false), coalesce(m.list, '') " \
	    "FROM countersign.account a LEFT JOIN base b ON b.name = a.name " \
	    "LEFT JOIN life l ON l.name = a.name " \
	    "LEFT JOIN called c ON c.name = a.name " \
	    "LEFT JOIN mem m ON m.name = a.name " \
	    "ORDER BY a.name COLLATE \"C\""

/*
 * Rows of before 175_lists_told.sql do not name the keys of a list: what they
 * changed has their time.
 */
#define LASTWORD_KEYS \
	"keys AS (SELECT DISTINCT ON (h) h, action = 'key block' AS blocked " \
	    "FROM told, unnest(string_to_array(regexp_replace(split_part(" \
	    "detail, ': ', 1), '^[0-9]+ keys of a list, ', ''), ', ')) h " \
	    "WHERE action LIKE 'key %' " \
	    "AND length(h) IN (20, 64) " \
	    "AND translate(h, '0123456789abcdef', '') = '' " \
	    "ORDER BY h, late DESC, n DESC, at DESC), " \
	"silent AS (SELECT at, action = 'key block' AS blocked FROM told " \
	    "WHERE action LIKE 'key %' " \
	    "AND detail ~ '^[0-9]+ keys of a list(: |$)')"

/*
 * Object, fault, group ('' when it is about none), and was the last word an
 * import's?
 */
#define LASTWORD_SQL \
	"WITH " LASTWORD_TOLD ", " LASTWORD_ACCOUNTS ", " LASTWORD_KEYS " " \
	"SELECT coalesce(a.name, l.name), CASE WHEN a.name IS NULL " \
	    "THEN 'gone' WHEN coalesce(l.action, 'account lost') = " \
	    "'account lost' THEN 'unknown' WHEN a.disabled THEN 'off' " \
	    "ELSE 'on' END, '', coalesce(l.imported, false) " \
	    "FROM countersign.account a " \
	    "FULL JOIN life l ON l.name = a.name " \
	    "WHERE CASE WHEN a.name IS NULL THEN l.action <> 'account lost' " \
	    "ELSE coalesce(l.action, 'account lost') = 'account lost' " \
	    "OR a.disabled <> (l.action = 'account disable') END " \
	"UNION ALL SELECT a.name, 'secret', '', false " \
	    "FROM countersign.account a JOIN secret s ON s.name = a.name " \
	    "WHERE s.action = 'secret revoke' AND a.one_time_expires > s.at " \
	/* The same secret for something else; told since 189_cas_told.sql. */ \
	"UNION ALL SELECT a.name, 'term', '', false " \
	    "FROM countersign.account a JOIN secret s ON s.name = a.name " \
	    "LEFT JOIN pass p ON p.name = a.name " \
	    "JOIN countersign.passwords_told() t ON t.account = a.name " \
	    "WHERE CASE s.action WHEN 'secret create' THEN p.told = t.told " \
	    "AND substring(s.rest FROM '^template .* until [0-9]+') <> " \
	    "'template ' || coalesce(a.one_time_template, '') || ' until ' " \
	    "|| coalesce(extract(epoch FROM a.one_time_expires)::bigint, 0) " \
	    "ELSE s.action = 'account add' " \
	    "AND a.one_time_template IS NOT NULL END " \
	/* A database's clock and a signer's are not one. */ \
	"UNION ALL SELECT a.name, 'unspent', '', false " \
	    "FROM countersign.account a JOIN secret s ON s.name = a.name " \
	    "WHERE s.action = 'secret create' AND a.one_time_used IS NULL " \
	    "AND EXISTS (SELECT FROM countersign.request q " \
	    "WHERE q.account = a.name AND q.state = 'issued' " \
	    "AND q.renews IS NULL " \
	    "AND q.decided_at > s.at + interval '5 seconds') " \
	"UNION ALL SELECT p.name, CASE WHEN p.action = 'secret create' " \
	    "THEN 'replaced' ELSE 'password' END, '', false FROM pass p " \
	    "JOIN countersign.passwords_told() t ON t.account = p.name " \
	    "WHERE p.told <> t.told " \
	"UNION ALL SELECT c.name, 'names', '', c.imported FROM called c " \
	    "JOIN countersign.account a ON a.name = c.name " \
	    "WHERE c.told <> countersign.names_told(a.machine, a.cn, a.dns, " \
	    "a.upn, a.email, a.dn, a.sid) " \
	/* Until then others asked under its name; an import's word. */ \
	"UNION ALL SELECT a.name, CASE WHEN g.action = 'account replace' " \
	    "THEN 'given' ELSE 'kept' END, '', true " \
	    "FROM countersign.account a LEFT JOIN given g ON g.name = a.name " \
	    "WHERE CASE WHEN g.action = 'account replace' " \
	    "THEN coalesce(a.replaced_at < g.at, true) " \
	    "ELSE a.replaced_at IS NOT NULL END " \
	"UNION ALL SELECT g.account, CASE WHEN m.member IS NULL " \
	    "THEN 'alien' ELSE 'in' END, g.name, coalesce(m.imported, false) " \
	    "FROM countersign.account_group g LEFT JOIN member m " \
	    "ON m.name = g.account AND m.grp = g.name " \
	    "WHERE NOT coalesce(m.member, false) " \
	"UNION ALL SELECT m.name, 'out', m.grp, m.imported FROM member m " \
	    "JOIN countersign.account a ON a.name = m.name " \
	    "LEFT JOIN countersign.account_group g " \
	    "ON g.account = m.name AND g.name = m.grp " \
	    "WHERE m.member AND g.name IS NULL " \
	"UNION ALL SELECT coalesce(k.h, encode(b.spki_sha256, 'hex')), " \
	    "CASE WHEN k.blocked THEN 'free' WHEN k.h IS NULL THEN 'strange' " \
	    "ELSE 'blocked' END, '', false FROM keys k " \
	    "FULL JOIN countersign.blocked_key b " \
	    "ON b.spki_sha256 = decode(k.h, 'hex') " \
	    "WHERE coalesce(b.blocked, false) <> coalesce(k.blocked, false) " \
	    "AND NOT EXISTS (SELECT FROM silent s WHERE s.at = b.at " \
		"AND s.blocked = b.blocked) " \
	"ORDER BY 1, 2, 3"

#endif
