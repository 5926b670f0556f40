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

/* No account has a space in its name: the rest is what was said of it. */
#define LASTWORD_ACCOUNTS \
	"acc AS MATERIALIZED (SELECT late, n, at, action, " \
	    "split_part(detail, ' ', 1) AS name, " \
	    "substr(detail, strpos(detail || ' ', ' ') + 1) AS rest " \
	    "FROM told WHERE action NOT LIKE 'key %'), " \
	"life AS (SELECT DISTINCT ON (name) name, action FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'account disable', 'account enable', 'secret create') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	"secret AS (SELECT DISTINCT ON (name) name, action, at FROM acc " \
	    "WHERE action IN ('account add', 'account lost', " \
		"'secret create', 'secret revoke') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	/* Rows of before 176_passwords_told.sql do not say which password. */ \
	"pass AS (SELECT DISTINCT ON (name) name, CASE action " \
	    "WHEN 'account passwd' THEN substring(rest " \
		"FROM '^(none|sha256 [0-9a-f]{64})$') " \
	    "WHEN 'secret create' THEN substring(rest " \
		"FROM '(sha256 [0-9a-f]{64})$') END AS told, action " \
	    "FROM acc WHERE action IN ('account add', 'account lost', " \
		"'account passwd', 'secret create', 'secret revoke') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	/* What was said of groups before an account was lost is void. */ \
	"base AS (SELECT DISTINCT ON (name) name, late, n, at FROM acc " \
	    "WHERE action IN ('account add', 'account lost') " \
	    "ORDER BY name, late DESC, n DESC, at DESC), " \
	"groups AS (SELECT late, n, at, name, g AS grp, true AS member " \
	    "FROM acc, unnest(string_to_array(substr(rest, 8), ',')) g " \
	    "WHERE action = 'account add' AND g <> '' UNION ALL " \
	    "SELECT late, n, at, name, substr(rest, 3), " \
	    "left(rest, 1) = '+' FROM acc WHERE action = 'account group'), " \
	"member AS (SELECT DISTINCT ON (g.name, g.grp) g.name, g.grp, " \
	    "g.member FROM groups g LEFT JOIN base b ON b.name = g.name " \
	    "WHERE b.name IS NULL OR (g.late, g.n, g.at) >= " \
		"(b.late, b.n, b.at) " \
	    "ORDER BY g.name, g.grp, g.late DESC, g.n DESC, g.at DESC)"

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

/* Object, fault, group: '' when it is about none. */
#define LASTWORD_SQL \
	"WITH " LASTWORD_TOLD ", " LASTWORD_ACCOUNTS ", " LASTWORD_KEYS " " \
	"SELECT coalesce(a.name, l.name), CASE WHEN a.name IS NULL " \
	    "THEN 'gone' WHEN coalesce(l.action, 'account lost') = " \
	    "'account lost' THEN 'unknown' WHEN a.disabled THEN 'off' " \
	    "ELSE 'on' END, '' FROM countersign.account a " \
	    "FULL JOIN life l ON l.name = a.name " \
	    "WHERE CASE WHEN a.name IS NULL THEN l.action <> 'account lost' " \
	    "ELSE coalesce(l.action, 'account lost') = 'account lost' " \
	    "OR a.disabled <> (l.action = 'account disable') END " \
	"UNION ALL SELECT a.name, 'secret', '' FROM countersign.account a " \
	    "JOIN secret s ON s.name = a.name " \
	    "WHERE s.action = 'secret revoke' AND a.one_time_expires > s.at " \
	"UNION ALL SELECT p.name, CASE WHEN p.action = 'secret create' " \
	    "THEN 'replaced' ELSE 'password' END, '' FROM pass p " \
	    "JOIN countersign.passwords_told() t ON t.account = p.name " \
	    "WHERE p.told <> t.told " \
	"UNION ALL SELECT g.account, CASE WHEN m.member IS NULL " \
	    "THEN 'alien' ELSE 'in' END, g.name " \
	    "FROM countersign.account_group g LEFT JOIN member m " \
	    "ON m.name = g.account AND m.grp = g.name " \
	    "WHERE NOT coalesce(m.member, false) " \
	"UNION ALL SELECT m.name, 'out', m.grp FROM member m " \
	    "JOIN countersign.account a ON a.name = m.name " \
	    "LEFT JOIN countersign.account_group g " \
	    "ON g.account = m.name AND g.name = m.grp " \
	    "WHERE m.member AND g.name IS NULL " \
	"UNION ALL SELECT coalesce(k.h, encode(b.spki_sha256, 'hex')), " \
	    "CASE WHEN k.blocked THEN 'free' WHEN k.h IS NULL THEN 'strange' " \
	    "ELSE 'blocked' END, '' FROM keys k " \
	    "FULL JOIN countersign.blocked_key b " \
	    "ON b.spki_sha256 = decode(k.h, 'hex') " \
	    "WHERE coalesce(b.blocked, false) <> coalesce(k.blocked, false) " \
	    "AND NOT EXISTS (SELECT FROM silent s WHERE s.at = b.at " \
		"AND s.blocked = b.blocked) " \
	"ORDER BY 1, 2, 3"

#endif
