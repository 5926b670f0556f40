#include "sql.h"

#include "account.h"
#include "certdb.h"
#include "issued.h"

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

/* Nobody changes the row of what nobody decided in time. */
#define STATE "CASE WHEN state = 'pending' AND expires_at <= now() " \
	"THEN 'expired' ELSE state END"
#define REQUEST_ROW \
	"SELECT " HEX("id") ", number, " STATE ", " UTC("received_at") ", " \
	UTC("decided_at") ", ca, account, " METHOD ", worker, signer, " \
	"client_address, template, template_major || '.' || template_minor, " \
	"(SELECT max(version) FROM countersign.policy p " \
	"WHERE p.sha256 = policy_hash), " HEX("policy_hash") ", " \
	"CASE WHEN hresult <> 0 THEN '0x' || upper(to_hex(hresult)) END, " \
	"message, subject, san, " SERIAL("serial") ", " SERIAL("renews") ", " \
	"coalesce((SELECT string_agg(" SERIAL("s") ", E'\\n' ORDER BY i) " \
	"FROM countersign.renewal_chain(renews) WITH ORDINALITY AS c(s, i)), " \
	"''), " \
	"CASE WHEN evidence IS NOT NULL THEN " HEX("sha256(evidence)") " END, " \
	HEX("sha256(token)") ", length(token), " UTC("expires_at") \
	", approved_by, approval_reason FROM countersign.request "

const struct db_stmt cli_sql[] = {
	{ "policy_id", "SELECT policy_id FROM countersign.deployment", 0 },
	{ "ca_all", "SELECT name, certificate FROM countersign.ca "
	    "ORDER BY name", 0 },
	{ "ca_names", "SELECT name FROM countersign.ca "
	    "WHERE $1::text IS NULL OR name = $1 ORDER BY name", 1 },
	/* The CA's certificate, then its issuers up to the root. */
	{ "ca_chain", "SELECT x FROM countersign.ca, "
	    "unnest(array_prepend(certificate, chain)) "
	    "WITH ORDINALITY AS u(x, i) WHERE name = $1 ORDER BY i", 1 },
	{ "ca_register", "SELECT countersign.ca_register($1, "
	    "decode($2, 'hex'), ARRAY(SELECT decode(x, 'hex') "
	    "FROM unnest($3::text[]) WITH ORDINALITY AS u(x, i) "
	    "ORDER BY i))", 3 },

	{ "policy_last", "SELECT version, body, " HEX("sha256") ", "
	    UTC("published_at") ", published_by FROM countersign.policy "
	    "ORDER BY version DESC LIMIT 1", 0 },
	{ "policy_get", "SELECT version, body, " HEX("sha256") ", "
	    UTC("published_at") ", published_by FROM countersign.policy "
	    "WHERE version = $1::bigint", 1 },
	{ "policy_publish", "SELECT countersign.policy_publish($1)", 1 },

	ACCOUNT_STMT_NO_PASSWORD,
	ISSUED_STMT,
	CERTDB_STMTS,
	{ "account_list", "SELECT name, machine, disabled, cn, dns, upn, "
	    "email, dn, sid, " GROUPS ", " UTC("created_at")
	    " FROM countersign.account a WHERE ($1::text IS NULL OR EXISTS "
	    "(SELECT FROM countersign.account_group m "
	    "WHERE m.account = a.name AND m.name = $1)) ORDER BY name", 1 },
	{ "account_clash", "SELECT what, name FROM (SELECT name, CASE "
	    "WHEN name = $1 THEN 'name' "
	    "WHEN lower(dns) = lower($2) THEN 'dns name' "
	    "WHEN lower(upn) = lower($3) THEN 'upn' "
	    "WHEN lower(email) = lower($4) THEN 'e-mail address' "
	    "WHEN sid = $5 THEN 'sid' END AS what "
	    "FROM countersign.account) c WHERE what IS NOT NULL LIMIT 1", 5 },
	{ "account_add", "SELECT countersign.account_add($1, $2::boolean, $3, "
	    "$4, $5, $6, $7, $8, $9, $10::text[])", 10 },
	{ "account_passwd", "SELECT countersign.account_set_password($1, $2)",
	    2 },
	{ "account_disabled", "SELECT countersign.account_set_disabled($1, "
	    "$2::boolean)", 2 },
	{ "account_group", "SELECT countersign.account_set_group($1, $2, "
	    "$3::boolean)", 3 },

	/* Pages: newest first, from behind the row that --after names. */
	{ "request_list", "SELECT " HEX("id") ", number, " STATE ", "
	    UTC("received_at") ", account, ca, template, " METHOD ", "
	    SERIAL("serial") ", message FROM countersign.request "
	    "WHERE day BETWEEN $1::integer AND $2::integer "
	    "AND ($3::text IS NULL OR account = $3) "
	    "AND ($4::text IS NULL OR " STATE " = $4) "
	    "AND ($5::text IS NULL OR lower(template) = lower($5)) "
	    "AND ($6::bigint IS NULL OR received_at >= to_timestamp($6)) "
	    "AND ($7::timestamptz IS NULL "
	    "OR (received_at, id) < ($7, decode($8, 'hex'))) "
	    "ORDER BY received_at DESC, id DESC LIMIT $9::bigint", 9 },
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
	    "WHEN a.one_time_template IS NULL THEN 'is an ordinary account' WHEN a.disabled THEN 'is disabled' "
	    "ELSE 'has another dns name' END FROM unnest($1::text[]) n "
	    "JOIN countersign.account a ON a.name = n OR lower(a.dns) = n "
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
	    "ORDER BY serial DESC LIMIT $6::bigint", 6 },
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
	{ "crl_list", "SELECT DISTINCT ON (ca) ca, number, "
	    UTC("this_update") ", " UTC("next_update") ", entries, octets, "
	    "signer, " HEX("tbs_digest") ", next_update < now(), "
	    "coalesce((SELECT n <> c.change FROM countersign.revocation_change "
	    "r WHERE r.ca = c.ca), false) FROM countersign.crl c "
	    "WHERE $1::text IS NULL OR ca = $1 ORDER BY ca, number DESC", 1 },
	{ "crl_parts", "SELECT body FROM countersign.crl_part WHERE ca = $1 "
	    "AND number = $2::bigint ORDER BY part", 2 },

	{ "key_recover", "SELECT countersign.key_recover(decode($1, 'hex'))",
	    1 },

	/* Ledger verification: hex lists in, what does not fit out. */
	{ "ledger_missing", "SELECT s, " HEX("sha256(c.der)") ", "
	    "EXISTS (SELECT FROM countersign.void_serial v "
	    "WHERE v.serial = decode(s, 'hex')) "
	    "FROM unnest($1::text[], $2::text[]) AS t(s, h) "
	    "LEFT JOIN countersign.certificate c ON c.serial = decode(s, 'hex') "
	    "WHERE c.serial IS NULL OR " HEX("sha256(c.der)") " <> h", 2 },
	{ "ledger_known", "SELECT FROM countersign.certificate "
	    "WHERE serial = decode($1, 'hex') UNION ALL "
	    "SELECT FROM countersign.void_serial "
	    "WHERE serial = decode($1, 'hex')", 1 },
	{ "ledger_crl", "SELECT FROM countersign.crl WHERE ca = $1 "
	    "AND number = $2::numeric AND " HEX("tbs_digest") " <> $3", 3 },
	{ "cert_der", "SELECT der FROM countersign.certificate "
	    "WHERE serial = decode($1, 'hex')", 1 },
	{ "signer_prefix", "SELECT prefix FROM countersign.signer "
	    "WHERE name = $1", 1 },
	{ "signer_all", "SELECT prefix FROM countersign.signer", 0 },
	{ "ledger_rows", "SELECT " HEX("serial") " FROM countersign.certificate "
	    "WHERE serial > decode($1, 'hex') ORDER BY serial LIMIT 10000", 1 },
	{ "ledger_voids", "SELECT " HEX("serial") " FROM "
	    "countersign.void_serial WHERE serial > decode($1, 'hex') "
	    "ORDER BY serial LIMIT 10000", 1 },
	{ "ledger_both", "SELECT " HEX("v.serial") " FROM "
	    "countersign.void_serial v JOIN countersign.certificate c "
	    "USING (serial) WHERE v.serial > decode($1, 'hex') "
	    "ORDER BY v.serial LIMIT 10000", 1 },
	{ NULL, NULL, 0 }
};
