/*
 * Statements of the operator's command, all in one list.  What it may do in
 * the database is what these and the functions they call may.
 */
#include "sql.h"

#include "account.h"
#include "certdb.h"
#include "issued.h"
#include "ledger_sql.h"
#include "report_sql.h"

/* Times as people and JSON see them. */
#define UTC(x) "to_char(" x " AT TIME ZONE 'UTC', " \
	"'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define HEX(x) "encode(" x ", 'hex')"
/* As openssl x509 -serial prints it. */
#define SERIAL(x) "upper(encode(" x ", 'hex'))"
#define METHOD "CASE method WHEN 1 THEN 'anonymous' " \
	"WHEN 2 THEN 'kerberos' WHEN 4 THEN 'password' " \
	"WHEN 8 THEN 'certificate' WHEN 16 THEN 'operator' " \
	"ELSE method::text END"
#define GROUPS "coalesce((SELECT string_agg(g.name, E'\\n' ORDER BY g.name) " \
	"FROM countersign.account_group g WHERE g.account = a.name), '')"

/* A parameter {hex,hex} as an array of bytea, in order. */
#define BYTEAS(x) "ARRAY(SELECT decode(x, 'hex') FROM unnest(" x \
	"::text[]) WITH ORDINALITY AS u(x, i) ORDER BY i)"

/* Nobody changes the row of what nobody decided in time. */
#define STATE "CASE WHEN state = 'pending' AND expires_at <= now() " \
	"AND approved_by IS NULL " \
	"THEN 'expired' ELSE state END"
#define REQUEST_ROW \
	"SELECT " HEX("id") ", number, " STATE ", " UTC("received_at") ", " \
	UTC("CASE WHEN state <> 'pending' THEN decided_at END") \
	", ca, account, agent, " METHOD ", worker, signer, " \
	"client_address, template, template_major || '.' || template_minor, " \
	"(SELECT max(version) FROM countersign.policy p " \
	"WHERE p.sha256 = policy_hash), " HEX("policy_hash") ", " \
	"CASE WHEN hresult <> 0 THEN '0x' || upper(to_hex(hresult)) END, " \
	"message, subject, san, " SERIAL("serial") ", " SERIAL("renews") ", " \
	"coalesce((SELECT string_agg(" SERIAL("s") ", E'\\n' ORDER BY i) " \
	"FROM countersign.renewal_chain(renews) WITH ORDINALITY AS c(s, i)), " \
	"''), " \
	"CASE WHEN evidence IS NOT NULL THEN " HEX("sha256(evidence)") \
	" END, " \
	HEX("sha256(token)") ", length(token), " UTC("expires_at") \
	", approved_by, approval_reason FROM countersign.request "

/* Of each key the last complete list, and the last delta if that is newer. */
#define LAST_LISTS "SELECT l.* FROM countersign.ca k CROSS JOIN LATERAL (" \
	"(SELECT * FROM countersign.crl WHERE ca = k.name " \
	"AND coalesce(base, 0) = 0 ORDER BY number DESC LIMIT 1) UNION ALL " \
	"(SELECT d.* FROM (SELECT * FROM countersign.crl WHERE ca = k.name " \
	"ORDER BY number DESC LIMIT 1) d WHERE d.base > 0)) l"

/* A piece of a name in a certificate or request; no index helps. */
#define NAMED(p) "(" p "::text IS NULL OR position(lower(" p ") IN " \
	"lower(concat_ws(' ', subject, san))) > 0)"

/* Who writes to a table has this lock on it until its rows are seen. */
#define ISSUING "FROM pg_locks WHERE granted AND mode = 'RowExclusiveLock' " \
	"AND database = (SELECT oid FROM pg_database " \
	"WHERE datname = current_database()) " \
	"AND relation = 'countersign.certificate'::regclass "

/* Who has the name of a new secret; each of two ways by its own index. */
#define CLASH "name, dns, machine, disabled, one_time_template " \
	"FROM countersign.account"

const struct db_stmt cli_sql[] = {
	{ "claim", "SELECT set_config('countersign.operator', $1, false)",
	    1 },
	{ "policy_id", "SELECT policy_id FROM countersign.deployment", 0 },
	{ "ca_all", "SELECT name, certificate, of_ca, in_use "
	    "FROM countersign.ca ORDER BY created_at, name", 0 },
	{ "ca_names", "SELECT name, of_ca, in_use FROM countersign.ca "
	    "WHERE $1::text IS NULL OR name = $1 ORDER BY name", 1 },
	/*
	 * When the last certificate of a key ends; nothing: all have.  Of those
	 * that it issued elsewhere nobody knows.
	 */
	{ "ca_last", "SELECT CASE WHEN EXISTS (SELECT "
	    "FROM countersign.crl_before WHERE ca = $1) "
	    "THEN 'it ends itself' ELSE " UTC("max(not_after)") " END "
	    "FROM countersign.certificate WHERE ca = $1 "
	    "AND not_after > now()", 1 },
	/* The CA's certificate, then its issuers up to the root. */
	{ "ca_chain", "SELECT x FROM countersign.ca, "
	    "unnest(array_prepend(certificate, chain)) "
	    "WITH ORDINALITY AS u(x, i) WHERE name = $1 ORDER BY i", 1 },
	{ "ca_also", "SELECT unnest(also) FROM countersign.ca "
	    "WHERE name = $1", 1 },
	{ "ca_register", "SELECT countersign.ca_register($1, "
	    "decode($2, 'hex'), " BYTEAS("$3") ", " BYTEAS("$4") ", $5)", 5 },
	{ "ca_replace", "SELECT countersign.ca_replace($1, "
	    "decode($2, 'hex'), " BYTEAS("$3") ", " BYTEAS("$4") ")", 4 },
	{ "crl_before_put", "SELECT countersign.crl_before_put($1, "
	    "$2::bigint, to_timestamp($3::bigint), decode($4, 'hex'), "
	    BYTEAS("$5") ", $6::bigint[], $7::smallint[])", 7 },
	/* A key's CA, and a CA's keys. */
	{ "ca_key", "SELECT of_ca FROM countersign.ca WHERE name = $1", 1 },
	{ "ca_keys", "SELECT name, certificate FROM countersign.ca "
	    "WHERE of_ca = $1 ORDER BY created_at", 1 },
	{ "ca_activate", "SELECT countersign.ca_activate($1)", 1 },

	{ "policy_last", "SELECT version, body, " HEX("sha256") ", "
	    UTC("published_at") ", published_by, "
	    "floor(extract(epoch FROM published_at))::bigint "
	    "FROM countersign.policy "
	    "ORDER BY version DESC LIMIT 1", 0 },
	{ "policy_get", "SELECT version, body, " HEX("sha256") ", "
	    UTC("published_at") ", published_by FROM countersign.policy "
	    "WHERE version = $1::bigint", 1 },
	{ "policy_publish", "SELECT countersign.policy_publish($1)", 1 },

	ACCOUNT_STMT_NO_PASSWORD,
	ISSUED_STMT, EARLIER_STMT,
	CERTDB_STMTS,
	{ "account_list", "SELECT name, machine, disabled, cn, dns, upn, "
	    "email, dn, sid, " GROUPS ", " UTC("created_at")
	    " FROM countersign.account a WHERE ($1::text IS NULL OR EXISTS "
	    "(SELECT FROM countersign.account_group m "
	    "WHERE m.account = a.name AND m.name = $1)) "
	    "AND ($2::text IS NULL OR name = $2) "
	    "AND ($3::text IS NULL OR name > $3) "
	    "AND ($4::text IS NULL OR position(lower($4) IN lower(concat_ws("
	    "' ', name, cn, dns, upn, email, dn, sid))) > 0) "
	    "ORDER BY name LIMIT $5::bigint", 5 },
	/* Each by its own index: not all accounts are read for one. */
	{ "account_clash", "SELECT what, name FROM ("
	    "SELECT 'name' AS what, name FROM countersign.account "
	    "WHERE name = $1 UNION ALL "
	    "SELECT 'dns name', name FROM countersign.account "
	    "WHERE lower(dns) = lower($2) UNION ALL "
	    "SELECT 'upn', name FROM countersign.account "
	    "WHERE lower(upn) = lower($3) UNION ALL "
	    "SELECT 'e-mail address', name FROM countersign.account "
	    "WHERE lower(email) = lower($4) UNION ALL "
	    "SELECT 'sid', name FROM countersign.account WHERE sid = $5) c "
	    "WHERE name IS DISTINCT FROM $6 LIMIT 1", 6 },
	{ "account_add", "SELECT countersign.account_add($1, $2::boolean, $3, "
	    "$4, $5, $6, $7, $8, $9, $10::text[])", 10 },
	{ "account_passwd", "SELECT countersign.account_set_password($1, $2)",
	    2 },
	{ "account_disabled", "SELECT countersign.account_set_disabled($1, "
	    "$2::boolean)", 2 },
	{ "account_group", "SELECT countersign.account_set_group($1, $2, "
	    "$3::boolean)", 3 },
	{ "account_names", "SELECT countersign.account_set_names($1, $2, $3, "
	    "$4, $5, $6, $7)", 7 },

	{ "import_begin", "SELECT countersign.import_begin()", 0 },
	{ "import_state", LASTWORD_STATE, 0 },
	{ "import_add", "SELECT countersign.import_add($1::text[], "
	    "$2::boolean[], $3::text[], $4::text[], $5::text[], $6::text[], "
	    "$7::text[], $8::text[], $9::text[])", 9 },
	{ "import_names", "SELECT countersign.import_names($1::text[], "
	    "$2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
	    "$7::text[], $8::boolean, $9::boolean)", 9 },
	{ "import_stragglers", "SELECT countersign.import_stragglers()", 0 },
	{ "import_replace", "SELECT countersign.import_replace($1::text[])",
	    1 },
	{ "import_groups", "SELECT countersign.import_groups($1::text[], "
	    "$2::text[], $3::boolean[])", 3 },
	{ "import_disable", "SELECT countersign.import_disable($1::text[])",
	    1 },
	{ "import_enable", "SELECT countersign.import_enable($1::text[])", 1 },

	/* Pages: newest first, from behind the row that --after names. */
	{ "request_list", "SELECT " HEX("id") ", number, " STATE ", "
	    UTC("received_at") ", account, agent, ca, template, " METHOD ", "
	    SERIAL("serial") ", message FROM countersign.request "
	    "WHERE day BETWEEN $1::integer AND $2::integer "
	    "AND ($3::text IS NULL OR account = $3 OR agent = $3) "
	    "AND ($4::text IS NULL OR " STATE " = $4) "
	    "AND ($5::text IS NULL OR lower(template) = lower($5)) "
	    "AND ($6::bigint IS NULL OR received_at >= to_timestamp($6)) "
	    "AND ($7::timestamptz IS NULL "
	    "OR (received_at, id) < ($7, decode($8, 'hex'))) "
	    "AND " NAMED("$10") " "
	    "AND ($11::bigint IS NULL OR received_at <= to_timestamp($11)) "
	    "ORDER BY received_at DESC, id DESC LIMIT $9::bigint", 11 },
	{ "request_at", "SELECT received_at, "
	    "extract(epoch FROM received_at)::bigint "
	    "FROM countersign.request WHERE day = $1::integer "
	    "AND id = decode($2, 'hex')", 2 },
	{ "request_first_day", "SELECT min(day) FROM countersign.request", 0 },
	{ "request_by_id", REQUEST_ROW "WHERE day = $1::integer "
	    "AND id = decode($2, 'hex')", 2 },
	{ "request_by_number", REQUEST_ROW "WHERE number = $1::integer "
	    "ORDER BY received_at DESC", 1 },

	{ "waiting_by_id", "SELECT " HEX("id") ", number, ca FROM "
	    "countersign.request WHERE id = decode($1, 'hex') AND day = "
	    "get_byte(decode($1, 'hex'), 0) * 256 "
	    "+ get_byte(decode($1, 'hex'), 1)", 1 },
	/* Decided ones only when none waits: the signer says what they are. */
	{ "waiting_by_number", "SELECT " HEX("id") ", number, ca FROM "
	    "countersign.request r WHERE number = $1::integer "
	    "AND (state = 'pending' OR NOT EXISTS (SELECT FROM "
	    "countersign.request p WHERE p.number = r.number "
	    "AND p.state = 'pending'))", 1 },
	{ "secret_clash", "SELECT a.name, CASE "
	    "WHEN a.one_time_template IS NULL THEN 'is an ordinary account' "
	    "WHEN a.disabled THEN 'is disabled' "
	    "ELSE 'has another dns name' END FROM unnest($1::text[]) n "
	    "CROSS JOIN LATERAL (SELECT " CLASH " WHERE name = n "
	    "UNION ALL SELECT " CLASH " WHERE lower(dns) = n) a "
	    "WHERE a.one_time_template IS NULL OR a.disabled OR NOT a.machine "
	    "OR a.name <> n OR a.dns IS DISTINCT FROM n "
	    "ORDER BY 1 LIMIT 1", 1 },
	{ "secret_create", "SELECT countersign.secret_create($1::text[], "
	    "$2::text[], $3::bigint[], $4::text[])", 4 },
	{ "secret_list", "SELECT name, dns, one_time_template, CASE "
	    "WHEN one_time_used IS NOT NULL THEN 'used' "
	    "WHEN one_time_expires <= now() THEN 'expired' ELSE 'good' END, "
	    UTC("one_time_expires") ", " HEX("one_time_used")
	    " FROM countersign.account WHERE one_time_template IS NOT NULL "
	    "ORDER BY name", 0 },
	{ "secret_revoke", "SELECT countersign.secret_revoke($1)", 1 },

	{ "cert_list", "SELECT " SERIAL("serial") ", account, template, ca, "
	    "subject, san, " UTC("not_before") ", " UTC("not_after") ", "
	    UTC("revoked_at") " FROM countersign.certificate "
	    "WHERE ($1::text IS NULL OR serial < decode($1, 'hex')) "
	    "AND ($2::text IS NULL OR serial = decode($2, 'hex')) "
	    "AND ($3::text IS NULL OR account = $3) "
	    "AND ($4::text IS NULL OR lower(template) = lower($4)) "
	    "AND ($5::bigint IS NULL OR (not_after > now() AND not_after <= "
	    "now() + make_interval(secs => $5) AND revoked_at IS NULL)) "
	    "AND " NAMED("$7") " ORDER BY serial DESC LIMIT $6::bigint", 7 },
	{ "cert_get", "SELECT " SERIAL("serial") ", " HEX("request_id")
	    ", account, template, ca, subject, san, " UTC("not_before") ", "
	    UTC("not_after") ", " HEX("spki_sha256") ", " HEX("sha256(der)")
	    ", " UTC("revoked_at") ", revocation_reason, revoked_by, "
	    "revocation_note, der FROM countersign.certificate "
	    "WHERE serial = decode($1, 'hex')", 1 },

	{ "cert_revoke", "SELECT " SERIAL("number") ", holder, made_from, "
	    "name, " UTC("ends") ", outcome FROM countersign.cert_revoke("
	    "CASE WHEN $1::text[] IS NOT NULL THEN ARRAY(SELECT "
	    "decode(x, 'hex') FROM unnest($1::text[]) x) END, $2, $3, "
	    "decode($4, 'hex'), to_timestamp($5::bigint), "
	    "to_timestamp($6::bigint), decode($7, 'hex'), $8::smallint, $9, "
	    "$10::boolean)", 10 },
	{ "cert_release", "SELECT countersign.cert_release(decode($1, 'hex'), "
	    "$2)", 2 },
	/* Transactions that certificates are put in, and those that last. */
	{ "issuing", "SELECT coalesce(array_agg(DISTINCT virtualtransaction), "
	    "'{}') " ISSUING, 0 },
	{ "issuing_still", "SELECT EXISTS (SELECT " ISSUING
	    "AND virtualtransaction = ANY ($1::text[]))", 1 },
	/* Of certificates that a CA issued before it came here. */
	{ "earlier_get", "SELECT ca, " UTC("at") ", reason "
	    "FROM countersign.revoked WHERE serial = decode($1, 'hex') "
	    "AND countersign.is_earlier(serial) ORDER BY ca", 1 },
	{ "earlier_revoke", "SELECT " SERIAL("number") ", holder, made_from, "
	    "name, " UTC("ends") ", outcome FROM countersign.earlier_revoke("
	    "$1, " BYTEAS("$2") ", $3::smallint, $4, $5::boolean)", 5 },
	{ "earlier_release", "SELECT countersign.earlier_release($1, "
	    "decode($2, 'hex'), $3)", 3 },
	/*
	 * The last complete list, and the delta behind it if there is one; its
	 * thisUpdate, which is ISSUED_EARLY before the row's.
	 */
	{ "crl_list", "SELECT ca, number, "
	    UTC("(this_update - interval '10 minutes')") ", "
	    UTC("next_update") ", entries, octets, signer, "
	    HEX("tbs_digest") ", next_update < now(), "
	    "coalesce((SELECT n <> c.change FROM countersign.revocation_change "
	    "r WHERE r.ca = c.ca), false) AND number = max(number) "
	    "OVER (PARTITION BY ca), nullif(base, 0) FROM (" LAST_LISTS ") c "
	    "WHERE $1::text IS NULL OR ca = $1 ORDER BY ca, number", 1 },
	/* Of the CAs above ours: whose certificates are known. */
	{ "crl_issuers", "SELECT DISTINCT x FROM countersign.ca, "
	    "unnest(array_cat(chain, also)) x", 0 },
	{ "crl_above_put", "SELECT countersign.crl_above_put($1, "
	    "decode($2, 'hex'), $3::numeric, to_timestamp($4::bigint), "
	    "to_timestamp($5::bigint), $6::bigint, decode($7, 'hex'))", 7 },
	{ "crl_above", "SELECT name, number, " UTC("this_update") ", "
	    UTC("next_update") ", entries, octet_length(der), NULL, "
	    HEX("sha256(der)") ", next_update < now(), false, NULL "
	    "FROM countersign.crl_above WHERE $1::text IS NULL OR name = $1 "
	    "ORDER BY name", 1 },
	{ "crl_above_left", "SELECT name, number, " UTC("next_update") ", "
	    "extract(epoch FROM next_update - now())::bigint, issuer "
	    "FROM countersign.crl_above ORDER BY name", 0 },
	{ "crl_above_files", "SELECT der, issuer FROM countersign.crl_above "
	    "WHERE name = $1", 1 },
	{ "crl_to_publish", "SELECT l.ca, l.number::text, "
	    HEX("sha256(c.certificate)") ", true, coalesce(l.base, 0) > 0 "
	    "FROM (" LAST_LISTS ") l JOIN countersign.ca c ON c.name = l.ca "
	    "UNION ALL SELECT name, number::text, '', false, false "
	    /* A complete list takes its predecessor's delta away: first. */
	    "FROM countersign.crl_above ORDER BY 1, 5", 0 },
	{ "metrics_crl", "SELECT ca, "
	    "floor(extract(epoch FROM this_update))::bigint, "
	    "floor(extract(epoch FROM next_update))::bigint, "
	    "coalesce(base, 0) > 0, c.certificate FROM (" LAST_LISTS ") l "
	    "JOIN countersign.ca c ON c.name = l.ca", 0 },
	{ "metrics_expiring", "SELECT template, d.days, count(*) "
	    "FROM (VALUES (7), (30)) d(days), countersign.certificate "
	    "WHERE not_after >= now() AND revoked_at IS NULL "
	    /* What the index can take: the other end is each row's of d. */
	    "AND not_after < now() + interval '30 days' "
	    "AND not_after < now() + d.days * interval '1 day' "
	    "GROUP BY 1, 2", 0 },
	{ "crl_publishing", "SELECT countersign.crl_publishing($1, "
	    "$2::bigint)", 2 },
	/* How the last complete list begins: its head, part 0, is short. */
	{ "crl_begins", "SELECT (SELECT string_agg(substring(p.body FROM 1 "
	    "FOR 1024), ''::bytea ORDER BY p.part) "
	    "FROM countersign.crl_part p WHERE p.ca = l.ca "
	    "AND p.number = l.number AND p.part <= 1), "
	    "l.this_update < now() - interval '1 minute' FROM (" LAST_LISTS
	    ") l WHERE l.ca = $1 AND coalesce(l.base, 0) = 0", 1 },
	{ "crl_parts", "SELECT body FROM countersign.crl_part WHERE ca = $1 "
	    "AND number = $2::bigint ORDER BY part", 2 },

	{ "key_recover", "SELECT countersign.key_recover(decode($1, 'hex'))",
	    1 },

	{ "airgap_add_ca", "SELECT countersign.airgap_add_ca($1)", 1 },
	{ "airgap_vault", "SELECT countersign.airgap_vault($1)", 1 },
	{ "airgap_open", "SELECT round, old, made_at, previous "
	    "FROM countersign.airgap_open($1)", 1 },
	{ "airgap_items", "SELECT r.day, r.id, r.number, r.ca, r.method::int4, "
	    "floor(extract(epoch FROM r.received_at))::bigint, r.worker, "
	    "coalesce(r.agent, r.account), coalesce(r.template, ''), r.token, "
	    "coalesce(r.evidence, ''), a.accounts, "
	    "coalesce(r.approved_by, ''), coalesce(a.operator, ''), "
	    "coalesce(r.approval_reason, ''), coalesce(a.subject, ''), "
	    "sha256(r.token) = r.token_sha256, coalesce(r.decision_id, '') "
	    "FROM (SELECT * FROM countersign.airgap_request "
	    "WHERE round = $1::bigint AND (day, id) > ($2::int4, $3) "
	    "ORDER BY day, id LIMIT 100) a CROSS JOIN LATERAL (SELECT * "
	    "FROM countersign.request r WHERE r.day = a.day AND r.id = a.id "
	    "LIMIT 1) r ORDER BY a.day, a.id", 3 },
	{ "airgap_orders", "SELECT change, serial, "
	    "(extract(epoch FROM at) * 1000000)::bigint, "
	    "coalesce(reason, 8)::int4, CASE WHEN not_after = 'infinity' "
	    "THEN 0 ELSE (extract(epoch FROM not_after) * 1000000)::bigint "
	    "END, who, coalesce(left(note, 200), '') "
	    "FROM countersign.revocation_event WHERE ca = $1 "
	    "AND change <= $2::bigint AND (change, serial) > ($3::bigint, $4) "
	    "ORDER BY change, serial LIMIT 1000", 4 },
	{ "airgap_wishes", "SELECT g.name, coalesce((SELECT c.n "
	    "FROM countersign.revocation_change c WHERE c.ca = g.name), 0), "
	    "coalesce((SELECT max(l.number) FROM countersign.crl l "
	    "WHERE l.ca = g.name), 0) FROM countersign.airgap_ca g "
	    "ORDER BY g.name", 0 },
	{ "airgap_has", "SELECT EXISTS (SELECT FROM countersign.airgap_ca "
	    "WHERE name = $1)", 1 },
	{ "airgap_part_put", "SELECT countersign.airgap_part_put($1::bigint, "
	    "$2::integer, $3)", 3 },
	{ "airgap_made", "SELECT countersign.airgap_made($1::bigint, $2)", 2 },
	{ "airgap_parts", "SELECT body FROM countersign.airgap_part "
	    "WHERE n = $1::bigint AND part = $2::integer", 2 },
	{ "airgap_last", "SELECT n, coalesce(bundle, ''), imported_at IS NOT "
	    "NULL FROM countersign.airgap_round ORDER BY n DESC LIMIT 1", 0 },
	{ "airgap_result", "SELECT countersign.airgap_result($1::bigint, $2, "
	    "$3, $4, $5::bigint, $6, $7, $8, $9::bigint, $10::bigint, $11, "
	    "$12::bigint, $13::bigint, $14, $15, $16::integer, $17, $18, "
	    "$19, $20::bigint)", 20 },
	{ "airgap_void", "SELECT countersign.airgap_void($1, $2, $3, $4)", 4 },
	{ "airgap_list_part", "SELECT countersign.airgap_list_part($1, "
	    "$2::bigint, $3::integer, $4)", 4 },
	{ "airgap_list", "SELECT countersign.airgap_list($1, $2::bigint, "
	    "$3::bigint, $4::bigint, $5::bigint, $6::bigint, $7, "
	    "$8::bigint, $9)", 9 },
	{ "airgap_close", "SELECT countersign.airgap_close($1::bigint, $2)",
	    2 },
	{ "airgap_rounds", "SELECT n, " UTC("exported_at") ", exported_by, "
	    "items, orders, " HEX("bundle") ", " UTC("imported_at") ", "
	    "imported_by, " HEX("response") " FROM countersign.airgap_round "
	    "ORDER BY n DESC LIMIT $1::bigint", 1 },
	/* For doctor: domains where some accounts have a SID and some not. */
	{ "account_sids", "SELECT split_part(name, '@', 2), "
	    "count(*) - count(sid), min(name) FILTER (WHERE sid IS NULL) "
	    "FROM countersign.account WHERE NOT disabled "
	    "AND split_part(name, '@', 2) = ANY "
	    "(string_to_array(btrim(lower($1)), ' ')) GROUP BY 1 "
	    "HAVING count(sid) > 0 AND count(sid) < count(*) ORDER BY 1", 1 },
	/* For doctor: the last list of each key, and what waits. */
	{ "airgap_lists", "SELECT g.name, l.number, " UTC("l.next_update")
	    ", extract(epoch FROM l.next_update - now())::bigint "
	    "FROM countersign.airgap_ca g LEFT JOIN LATERAL (SELECT number, "
	    "next_update FROM countersign.crl c WHERE c.ca = g.name "
	    "ORDER BY number DESC LIMIT 1) l ON true ORDER BY g.name", 0 },
	{ "airgap_round", "SELECT n, imported_at IS NULL, extract(epoch FROM "
	    "now() - coalesce(imported_at, exported_at))::bigint "
	    "FROM countersign.airgap_round ORDER BY n DESC LIMIT 1", 0 },
	{ "airgap_waiting", "SELECT 'requests', count(*), extract(epoch FROM "
	    "now() - min(r.received_at))::bigint "
	    "FROM countersign.airgap_request a JOIN countersign.request r "
	    "ON r.day = a.day AND r.id = a.id WHERE NOT a.waits "
	    "AND NOT a.answered AND r.state = 'pending' UNION ALL "
	    "SELECT 'revocations', count(*), extract(epoch FROM "
	    "now() - min(e.at))::bigint FROM countersign.revocation_event e "
	    "JOIN countersign.airgap_ca g ON g.name = e.ca", 0 },
	LEDGER_STMTS, CHECK_STMTS, REPORT_STMTS,
	{ NULL, NULL, 0 }
};
