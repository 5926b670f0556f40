/* Statements of verify, reconcile, cert check, key block; part of sql.c. */
#ifndef LEDGER_SQL_H
#define LEDGER_SQL_H

#include "lastword_sql.h"
#include "rowform.h"

/*
 * The last word that audit has of each thing (name, by the expression), with
 * the first word of its text and the hash at its end; lost: a reconcile came
 * after it, which does not put such things back.
 */
#define WORDS(actions, name) \
	"(SELECT DISTINCT ON (1) " name " AS name, detail, " \
	    "split_part(detail, ' ', 1) AS first, " \
	    "substring(detail FROM 'sha256 [0-9a-f]{64}$') AS told, " \
	    "EXISTS (SELECT FROM countersign.audit r " \
		"WHERE r.action = 'reconcile' AND r.at > a.at) AS lost " \
	    "FROM countersign.audit a WHERE action IN (" actions ") " \
	    "ORDER BY 1, n DESC, at DESC) w "
#define CA_WORDS WORDS("'ca register', 'ca replace'", \
	    "split_part(detail, ' ', 1)")
#define ABOVE_WORDS WORDS("'crl install'", "split_part(detail, ' ', 1)")
#define BEFORE_WORDS WORDS("'crl before'", "split_part(detail, ' ', 1)")

#define LEDGER_STMTS \
	{ "snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, " \
	    "READ ONLY", 0 }, \
	/* A vault is one that audit tells of: anybody can say so in the row. */ \
	{ "signer_names", "SELECT name, prefix, apart AND EXISTS (SELECT " \
	    "FROM countersign.audit a WHERE a.action = 'airgap vault' " \
	    "AND a.detail = name), epoch FROM countersign.signer " \
	    "ORDER BY name", \
	    0 }, \
	{ "verify_rounds", "SELECT n::text, coalesce(bundle, ''), " \
	    "coalesce(response, '') FROM countersign.airgap_round", 0 }, \
	{ "rollback_open", "SELECT signer, found FROM countersign.rollback " \
	    "WHERE ended_at IS NULL ORDER BY n", 0 }, \
	{ "verify_policies", "SELECT version FROM countersign.policy " \
	    "WHERE sha256(body) <> sha256 ORDER BY version", 0 }, \
	{ "verify_policies_gone", "SELECT w.name FROM " \
	    WORDS("'policy publish'", "split_part(detail, ' ', 2)") \
	    "LEFT JOIN countersign.policy p ON p.version::text = w.name " \
	    "WHERE p.version IS NULL AND NOT w.lost", 0 }, \
	/* Its hash audit tells since 189_cas_told.sql. */ \
	{ "verify_policies_alien", "SELECT p.version " \
	    "FROM countersign.policy p WHERE NOT EXISTS (SELECT " \
	    "FROM countersign.audit a WHERE a.action = 'policy publish' " \
	    "AND split_part(a.who, ' (says ', 1) = p.published_by " \
	    "AND a.at = p.published_at " \
	    "AND a.detail IN ('version ' || p.version, 'version ' " \
	    "|| p.version || ' sha256 ' || encode(p.sha256, 'hex')))", 0 }, \
	{ "verify_cas_gone", "SELECT w.name FROM " CA_WORDS \
	    "LEFT JOIN countersign.ca c ON c.name = w.name " \
	    "WHERE c.name IS NULL AND NOT w.lost", 0 }, \
	{ "verify_cas_alien", "SELECT c.name FROM countersign.ca c " \
	    "LEFT JOIN " WORDS("'ca register'", "split_part(detail, ' ', 1)") \
	    "ON c.name = w.name WHERE w.name IS NULL OR c.of_ca <> coalesce(" \
	    "substring(w.detail FROM '^[^ ]+ key of ([^ ]+)'), c.name)", 0 }, \
	{ "verify_cas", "SELECT c.name FROM countersign.ca c " \
	    "JOIN " CA_WORDS "ON c.name = w.name " \
	    "WHERE NOT w.lost AND w.told <> " \
	    "countersign.ca_told(c.certificate, c.chain, c.also)", 0 }, \
	/* The first key issues until another is activated. */ \
	{ "verify_cas_in_use", "SELECT c.name FROM countersign.ca c " \
	    "LEFT JOIN " WORDS("'ca activate'", "split_part(detail, ' ', 3)") \
	    "ON c.of_ca = w.name WHERE NOT coalesce(w.lost, false) " \
	    "AND c.in_use <> (c.name = coalesce(w.first, c.of_ca))", 0 }, \
	/* Without its row no revocation of it goes into a bundle. */ \
	{ "verify_apart_gone", "SELECT w.name FROM " \
	    WORDS("'airgap ca'", "detail") \
	    "LEFT JOIN countersign.airgap_ca g ON g.name = w.name " \
	    "WHERE g.name IS NULL AND NOT w.lost", 0 }, \
	{ "verify_apart_alien", "SELECT g.name FROM countersign.airgap_ca g " \
	    "LEFT JOIN " WORDS("'airgap ca'", "detail") \
	    "ON w.name = g.name WHERE w.name IS NULL", 0 }, \
	{ "verify_above_gone", "SELECT w.name FROM " ABOVE_WORDS \
	    "LEFT JOIN countersign.crl_above l ON l.name = w.name " \
	    "WHERE l.name IS NULL AND NOT w.lost", 0 }, \
	{ "verify_above_alien", "SELECT l.name FROM countersign.crl_above l " \
	    "LEFT JOIN " ABOVE_WORDS "ON l.name = w.name " \
	    "WHERE w.name IS NULL", 0 }, \
	{ "verify_above", "SELECT l.name FROM countersign.crl_above l " \
	    "JOIN " ABOVE_WORDS "ON l.name = w.name WHERE NOT w.lost " \
	    "AND (split_part(w.detail, ' ', 3) <> l.number::text " \
	    "OR w.told <> countersign.crl_above_told(l.issuer, l.number, " \
	    "l.this_update, l.next_update, l.entries, l.der))", 0 }, \
	{ "verify_before_gone", "SELECT w.name FROM " BEFORE_WORDS \
	    "LEFT JOIN countersign.crl_before b ON b.ca = w.name " \
	    "WHERE b.ca IS NULL AND NOT w.lost", 0 }, \
	{ "verify_before", "SELECT b.ca FROM countersign.crl_before b " \
	    "LEFT JOIN " BEFORE_WORDS "ON b.ca = w.name " \
	    "WHERE w.name IS NULL OR (NOT w.lost " \
	    "AND w.detail <> countersign.crl_before_told(b))", 0 }, \
	{ "verify_loose_parts", "SELECT DISTINCT p.ca || ' ' || p.number " \
	    "FROM countersign.crl_part p WHERE NOT EXISTS (SELECT " \
	    "FROM countersign.crl l WHERE l.ca = p.ca " \
	    "AND l.number = p.number)", 0 }, \
	{ "verify_audit", "SELECT " AUDIT_AS_KEPT " FROM countersign.audit " \
	    "WHERE (n, at) > ($1, $2) ORDER BY n, at LIMIT 2000", 2 }, \
	{ "verify_counts", "SELECT (SELECT count(*) " \
	    "FROM countersign.account), (SELECT count(*) " \
	    "FROM countersign.blocked_key WHERE blocked), (SELECT count(*) " \
	    "FROM countersign.key_owner)", 0 }, \
	{ "verify_words", LASTWORD_SQL, 5 }, \
	{ "verify_unowned", "SELECT encode(c.serial, 'hex') " \
	    "FROM countersign.certificate c WHERE NOT EXISTS (SELECT " \
	    "FROM countersign.key_owner o " \
	    "WHERE o.spki_sha256 = c.spki_sha256)", 0 }, \
	{ "verify_owners", "SELECT encode(o.spki_sha256, 'hex') " \
	    "FROM countersign.key_owner o WHERE NOT EXISTS (SELECT " \
	    "FROM countersign.certificate c " \
	    "WHERE c.spki_sha256 = o.spki_sha256 " \
	    "AND c.account = o.account)", 0 }, \
	{ "verify_heads", "SELECT head, signer, seq, encode(hash, 'hex') " \
	    "FROM countersign.ledger_head", 0 }, \
	{ "verify_events", "SELECT ca, " REVOCATION_AS_KEPT \
	    " FROM countersign.revocation_event", 0 }, \
	/* The last column in binary form: is a hash all there is? */ \
	{ "verify_requests", "SELECT " SUBMITTED_AS_KEPT ", " \
	    REQUEST_DECIDED ", length(token) = 32 FROM countersign.request " \
	    "WHERE (day, id) > ($1::integer, decode($2, 'hex')) " \
	    "ORDER BY day, id LIMIT 2000", 2 }, \
	{ "verify_certificates", "SELECT " CERTIFICATE_AS_KEPT \
	    " FROM countersign.certificate WHERE serial > decode($1, 'hex') " \
	    "ORDER BY serial LIMIT 2000", 1 }, \
	{ "verify_voids", "SELECT serial, ca, request_id, signer " \
	    "FROM countersign.void_serial WHERE serial > decode($1, 'hex') " \
	    "ORDER BY serial LIMIT 2000", 1 }, \
	{ "verify_revoked", "SELECT r.ca, encode(r.serial, 'hex'), " \
	    USEC("r.at") ", r.reason, " USEC("r.not_after") ", " \
	    "coalesce(c.revoked_by, v.signer, ''), " \
	    "coalesce(c.revocation_note, ''), c.serial IS NULL, " \
	    /* Of an earlier certificate the ledger alone tells. */ \
	    "CASE WHEN c.serial IS NULL AND v.serial IS NULL " \
	    "THEN r.not_after = 'infinity' " \
	    "WHEN c.serial IS NULL THEN v.at IS NOT DISTINCT FROM r.at " \
	    "AND v.ca = r.ca AND r.reason = 0 AND r.not_after = 'infinity' " \
	    "ELSE (c.ca, c.revoked_at, c.revocation_reason, c.not_after) " \
	    "IS NOT DISTINCT FROM (r.ca, r.at, r.reason, r.not_after) END, " \
	    "r.change, coalesce((SELECT stamped " \
	    "FROM countersign.revocation_change n WHERE n.ca = r.ca), 0) " \
	    "FROM countersign.revoked r LEFT JOIN countersign.certificate c " \
	    "ON c.serial = r.serial LEFT JOIN countersign.void_serial v " \
	    "ON v.serial = r.serial " \
	    "WHERE (r.ca, r.serial) > ($1, decode($2, 'hex')) " \
	    "ORDER BY r.ca, r.serial LIMIT 2000", 2 }, \
	{ "verify_halves", "SELECT encode(c.serial, 'hex') " \
	    "FROM countersign.certificate c LEFT JOIN countersign.revoked r " \
	    "ON r.ca = c.ca AND r.serial = c.serial " \
	    "WHERE (c.revoked_at IS NOT NULL OR c.revocation_reason " \
	    "IS NOT NULL OR c.revoked_by IS NOT NULL OR c.revocation_note " \
	    "IS NOT NULL) AND r.serial IS NULL", 0 }, \
	{ "verify_changes", "SELECT coalesce(c.ca, t.ca), coalesce(c.n, 0), " \
	    "coalesce(t.top, 0) > coalesce(c.n, 0) " \
	    "OR coalesce(c.stamped > c.n, false) " \
	    "FROM countersign.revocation_change c FULL JOIN (SELECT ca, " \
	    "max(n) AS top FROM (SELECT ca, max(change) AS n " \
	    "FROM countersign.revoked GROUP BY ca UNION ALL " \
	    "SELECT ca, change FROM countersign.released UNION ALL " \
	    "SELECT ca, change FROM countersign.revocation_event UNION ALL " \
	    "SELECT ca, change FROM countersign.crl) x GROUP BY ca) t " \
	    "ON t.ca = c.ca", 0 }, \
	{ "verify_lists", "SELECT " CRL_COLUMNS " FROM countersign.crl " \
	    "ORDER BY ca, number", 0 }, \
	{ "verify_last_lists", "SELECT l.ca, l.number, l.octets, " \
	    "encode(l.tbs_digest, 'hex'), a.certificate, l.k = 1 AND " \
	    "(NOT l.delta OR l.newest) FROM (SELECT d.*, row_number() OVER " \
	    "(PARTITION BY ca, delta ORDER BY number DESC) k, number = " \
	    "max(number) OVER (PARTITION BY ca) newest FROM (SELECT *, " \
	    "coalesce(base, 0) > 0 delta FROM countersign.crl) d) l " \
	    "JOIN countersign.ca a " \
	    "ON a.name = l.ca WHERE l.k <= 2", 0 }, \
	{ "verify_parts", "SELECT body, part::text FROM countersign.crl_part " \
	    "WHERE ca = $1 AND number = $2::bigint ORDER BY part", 2 }, \
	{ "verify_responders", "SELECT serial, ca, signer, der, " \
	    "floor(extract(epoch FROM not_after))::bigint::text " \
	    "FROM countersign.responder", 0 }, \
	/* Unless they are too old for workers to give them to anybody. */ \
	{ "verify_ocsp", "SELECT o.ca, o.serial, o.hash::text, " \
	    "floor(extract(epoch FROM o.this_update))::bigint::text, " \
	    "floor(extract(epoch FROM o.next_update))::bigint::text, " \
	    "r.reason::text, " \
	    "floor(extract(epoch FROM r.at))::bigint::text, " \
	    "c.certificate, o.der FROM countersign.ocsp o " \
	    "JOIN countersign.ca c ON c.name = o.ca " \
	    "LEFT JOIN countersign.revoked r " \
	    "ON r.ca = o.ca AND r.serial = o.serial " \
	    "WHERE (o.ca, o.serial, o.hash) > ($1, decode($2, 'hex'), " \
	    "$3::smallint) AND o.next_update > now() " \
	    "ORDER BY o.ca, o.serial, o.hash LIMIT 2000", 3 }, \
	/* Nobody at work, or somebody who refuses to; see store.c. */ \
	{ "reconcile_quiet", "SELECT EXISTS (SELECT " \
	    "FROM countersign.rollback WHERE ended_at IS NULL) " \
	    "OR NOT EXISTS (SELECT FROM pg_locks l JOIN countersign.signer s " \
	    "ON l.objid = hashtext(s.name)::oid WHERE l.locktype = " \
	    "'advisory' AND l.classid = 71200103 AND l.granted)", 0 }, \
	{ "cert_der", "SELECT der FROM countersign.certificate " \
	    "WHERE serial = decode($1, 'hex')", 1 }

/* serial, ca, certificate, does it count still? */
#define CHECK_COLUMNS "SELECT encode(c.serial, 'hex'), c.ca, c.der, " \
	"c.revoked_at IS NULL AND c.not_after > now() " \
	"FROM countersign.certificate c "
#define CHECK_STMTS \
	{ "check_page", CHECK_COLUMNS "WHERE c.serial > decode($1, 'hex') " \
	    "ORDER BY c.serial LIMIT 1000", 1 }, \
	{ "check_one", CHECK_COLUMNS "WHERE c.serial = decode($1, 'hex')", \
	    1 }, \
	{ "check_shared", "SELECT encode(spki_sha256, 'hex'), " \
	    "string_agg(DISTINCT account, ', ') FROM countersign.certificate " \
	    "GROUP BY spki_sha256 HAVING count(DISTINCT account) > 1", 0 }, \
	{ "key_block_all", "SELECT countersign.key_block_all($1::bytea[], " \
	    "$2::boolean, $3)", 3 }, \
	{ "keys_blocked", "SELECT spki_sha256 FROM countersign.blocked_key " \
	    "WHERE blocked", 0 }, \
	/* Of a request's key, and its other hash (badkey.h): is it blocked, \
	 * whose is it? */ \
	{ "key_state", "SELECT EXISTS (SELECT FROM countersign.blocked_key " \
	    "WHERE blocked AND spki_sha256 IN (decode($1, 'hex'), " \
	    "decode($2, 'hex'))), (SELECT account " \
	    "FROM countersign.key_owner WHERE spki_sha256 IN " \
	    "(decode($1, 'hex'), decode($2, 'hex')) " \
	    "ORDER BY spki_sha256 <> decode($1, 'hex') LIMIT 1)", 2 }, \
	{ "key_list", "SELECT encode(b.spki_sha256, 'hex'), to_char(b.at " \
	    "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), b.who, " \
	    "b.note FROM countersign.blocked_key b WHERE b.blocked " \
	    "ORDER BY b.at", 0 }

#endif
