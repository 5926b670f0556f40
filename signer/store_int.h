/* What the files of the store share; not for others. */
#ifndef STORE_INT_H
#define STORE_INT_H

#include "rowform.h"
#include "store.h"
#include "store_crl.h"
#include "tuple.h"

#define OID_INT4	23
#define OID_TEXT	25

struct store {
	struct db	*db;
	char		*signer;
	bool		 beside;	/* without the name's lock and lease */
	bool		 session;	/* this connection is set up */
	unsigned long	 sessions;	/* set up so far */
	unsigned long	 followed;	/* beside that one of the first's */
	bool		 reserved;	/* a transaction with locks is open */
	bool		 fenced;	/* another process has the lease */
	struct lease	 lease;		/* epoch 0: none yet */
	uint32_t	 settled;	/* see store_poll.c; 0: nothing is */
};

/* A statement whose result does not matter. */
int	 store_run(struct store *, const char *stmt, const struct db_param *,
	    int n, struct err *);
/* A statement whose parameters are all binary; frees them. */
PGresult *store_run_bin(struct store *, const char *stmt, struct buf *, int n,
	    struct err *);
/* A transaction in the session that was set up, and in no other. */
int	 store_begin(struct store *, struct err *);

/* A one-dimensional array in PostgreSQL's binary form: n elements follow. */
void	 store_array(struct buf *, uint32_t element_oid, size_t n);
/* Days and ids (or replay keys) as two arrays.  The id tells the day. */
void	 store_put_keys(const struct store_key *, size_t n, bool replay,
	    struct buf *days, struct buf *keys);
/* Takes the result over, and reads the certificates of its rows. */
int	 store_found(struct store *, PGresult *, struct found *,
	    struct err *);
/* A field of a row, p NULL when it is NULL; a big endian one. */
struct slice found_column(const struct found *, size_t row, int col);
int64_t	 found_int(const struct found *, size_t row, int col);
/* What the insertion of a job's row implies; see store_approval.c. */
int	 store_use_up(struct store *, const struct job *, struct err *);

/*
 * What a row answers a repeated request with.  The certificate is looked up
 * apart: nearly every request is new, and a join costs before it finds that.
 */
#define STORED STORED_WITH(HASHED("r.token"))
#define STORED_WITH(hash) \
	"r.id, r.replay_key, r.state, r.number, r.hresult, " \
	"r.message, coalesce(r.agent, r.account), r.ca, " \
	"coalesce(r.template, ''), " hash ", r.serial, " \
	"extract(epoch FROM r.received_at)::bigint, r.decision_id, " \
	"coalesce(floor(extract(epoch FROM r.expires_at)), 0)::bigint, " \
	"r.response"
/* Whom a key is certified for, in the same columns: the state is "key". */
#define STORED_OWNER "k.key AS id, NULL::bytea, 'key', NULL::int4, " \
	"NULL::bigint, NULL::text, k.account, NULL::text, NULL::text, " \
	"NULL::bytea, NULL::bytea, NULL::bigint, NULL::bytea, NULL::bigint, " \
	"NULL::bytea"
/* Its columns, and what a statement appends. */
enum { STORED_ID, STORED_REPLAY_KEY, STORED_STATE, STORED_NUMBER,
    STORED_HRESULT, STORED_TEXT, STORED_ACCOUNT, STORED_CA, STORED_TEMPLATE,
    STORED_TOKEN_SHA256, STORED_SERIAL, STORED_RECEIVED, STORED_DECISION,
    STORED_EXPIRES, STORED_RESPONSE, STORED_TOKEN,
    QUERY_REVOKED, QUERY_XMIN, QUERY_NTH,
    PENDING_SHA256 = STORED_TOKEN + 1, PENDING_EVIDENCE, PENDING_METHOD,
    PENDING_SUBJECT, PENDING_SAN };

/*
 * Polls; see store_poll.c.  No job of theirs is compared with the row's hash.
 * Days as bounds, as in ISSUED_STMT.
 */
#define POLL_STATEMENTS \
	{ "query", "SELECT r.*, k.nth FROM unnest($1::int4[], $2::text[], " \
	    "$3::text[], $4::int4[]) WITH ORDINALITY " \
	    "k(number, owner, ca, methods, nth) CROSS JOIN LATERAL (SELECT " \
	    STORED_WITH("NULL::bytea") ", r.token, EXISTS (SELECT " \
	    "FROM countersign.ca c JOIN countersign.revoked v " \
	    "ON v.ca = c.name AND v.serial = r.serial " \
	    "WHERE c.of_ca = r.ca) AS revoked, r.xmin " \
	    "FROM countersign.request r WHERE r.number = k.number " \
	    "AND r.day BETWEEN $5::int4 AND $6::int4 " \
	    "AND coalesce(r.agent, r.account) = k.owner " \
	    "AND r.ca = k.ca AND (r.method & k.methods) <> 0 " \
	    "ORDER BY r.received_at DESC LIMIT 1) r", 6 }, \
	{ "barrier", "SELECT pg_snapshot_xmin(pg_current_snapshot()), " \
	    "pg_logical_emit_message(true, 'countersign', 'barrier')", 0 }

/* Approval's and one-time secrets' part; see store_approval.c. */
#define APPROVAL_STATEMENTS \
	{ "pending", "SELECT " STORED ", r.token, r.token_sha256, " \
	    "coalesce(r.evidence, ''), r.method, r.subject, r.san " \
	    "FROM countersign.request r " \
	    "WHERE r.day = $1 AND r.id = $2 AND r.ca = $3", 3 }, \
	{ "lock_secrets", "SELECT countersign.secret_lock($1::text[])", 1 }, \
	{ "lock_pending", "SELECT r.id FROM unnest($1::int4[], $2::bytea[]) " \
	    "k(day, id) JOIN countersign.request r " \
	    "ON r.day = k.day AND r.id = k.id WHERE r.state = 'pending' " \
	    "ORDER BY r.day, r.id FOR NO KEY UPDATE OF r", 2 }, \
	{ "use_secret", "SELECT countersign.secret_use($1, $2)", 2 }, \
	{ "decide", "UPDATE countersign.request SET state = $3, " \
	    "decided_at = to_timestamp($4::bigint / 1e6), signer = $5, " \
	    "policy_hash = $6, hresult = $7::bigint, message = $8, " \
	    "approved_by = $9, approval_reason = nullif($10, ''), " \
	    "decision_id = $11, subject = coalesce($12, subject), " \
	    "san = coalesce($13, san), serial = $14, " \
	    "template_major = coalesce($15::bigint, template_major), " \
	    "template_minor = coalesce($16::bigint, template_minor), " \
	    "response = $17 " \
	    "WHERE day = $1::int4 AND id = $2 AND state = 'pending' " \
	    "RETURNING number", 17 }

/* See store_ledger.c. */
#define LEDGER_STATEMENTS \
	{ "head_get", "SELECT seq, encode(hash, 'hex') " \
	    "FROM countersign.ledger_head WHERE signer = $1", 1 }, \
	{ "head_put", "SELECT countersign.ledger_head_put($1, $2, " \
	    "decode($3, 'hex'), $4)", 4 }, \
	{ "rollback_found", "SELECT countersign.rollback_found($1, $2, " \
	    "$3::bigint)", 3 }, \
	{ "rollback_ended", "SELECT count(*) FROM countersign.rollback " \
	    "WHERE ended_at IS NOT NULL", 0 }, \
	{ "rollback_settled", "SELECT FROM countersign.rollback " \
	    "WHERE signer = $1 AND found = $2 AND ended_at IS NOT NULL " \
	    "LIMIT 1", 2 }, \
	{ "rollback_open", "SELECT signer FROM countersign.rollback " \
	    "WHERE ended_at IS NULL ORDER BY n LIMIT 1", 0 }, \
	{ "audit_after", "SELECT " AUDIT_AS_KEPT \
	    " FROM countersign.audit_after($1, $2)", 2 }, \
	{ "audit_there", "SELECT EXISTS (SELECT FROM countersign.audit " \
	    "WHERE n = $1 AND at = $2)", 2 }, \
	{ "blocked_change", "SELECT coalesce(max(change), 0) " \
	    "FROM countersign.blocked_key", 0 }, \
	{ "blocked", "SELECT spki_sha256, blocked, change " \
	    "FROM countersign.blocked_key WHERE change > $1::bigint " \
	    "ORDER BY change LIMIT 32768", 1 }, \
	{ "key_owner", "SELECT account FROM countersign.key_owner " \
	    "WHERE spki_sha256 IN ($1, $2) " \
	    "ORDER BY spki_sha256 <> $1 LIMIT 1", 2 }, \
	{ "kept", "SELECT der, " CERTIFICATE_AS_KEPT \
	    " FROM countersign.certificate WHERE serial = $1", 1 }, \
	{ "crl_row", "SELECT " CRL_COLUMNS " FROM countersign.crl " \
	    "WHERE ca = $1 AND number = $2::bigint", 2 }, \
	{ "revocations", "SELECT " REVOCATION_AS_KEPT ", serial " \
	    "FROM countersign.revocation_event WHERE ca = $1 " \
	    "AND (change, serial) > ($2::bigint, $3) " \
	    "ORDER BY change, serial LIMIT " REVOCATIONS_PAGE, 3 }, \
	{ "revocation_of", "SELECT " REVOCATION_AS_KEPT \
	    " FROM countersign.revocation_event WHERE ca = $1 " \
	    "AND serial = $2 ORDER BY change", 2 }, \
	{ "revocations_told", "SELECT countersign.revocations_told($1, " \
	    "$2::bigint[], $3::bytea[])", 3 }, \
	{ "revocations_untold", "SELECT EXISTS (SELECT " \
	    "FROM countersign.revocation_event WHERE ca = $1)", 1 }

#define CRL_LOCK_CLASS	"71200104"
#define CRL_PAGE	"8192"		/* rows between two batches */

/* Keys' part; see store_key.c.  A day is left for the client to use it. */
#define KEY_STATEMENTS							\
	{ "exchange_current", "SELECT c.der FROM countersign.exchange_key e " \
	    "JOIN countersign.certificate c ON c.serial = e.serial "	\
	    "WHERE e.ca = $1 AND e.not_after > now() + interval '1 day' " \
	    "AND e.sealed IS NOT NULL AND c.revoked_at IS NULL "	\
	    "ORDER BY e.not_after DESC LIMIT 1", 1 },			\
	{ "exchange_find", "SELECT sealed FROM countersign.exchange_key " \
	    "WHERE ca = $1 AND serial = $2 "				\
	    "AND not_after > now() - interval '7 days'", 2 },		\
	{ "exchange_put", "INSERT INTO countersign.exchange_key "	\
	    "(serial, ca, sealed, not_after) SELECT $1, $2, $3, not_after " \
	    "FROM countersign.certificate WHERE serial = $1", 3 },	\
	{ "exchange_wipe", "SELECT countersign.exchange_wipe()", 0 },	\
	{ "archive_put", "INSERT INTO countersign.archived_key "	\
	    "(serial, body) VALUES ($1, $2)", 2 }

/* See store_airgap.c. */
#define AIRGAP_STATEMENTS						\
	{ "airgap_crosses", "SELECT FROM countersign.airgap_request "	\
	    "WHERE day = $1::int4 AND id = $2 AND round IS NOT NULL", 2 }, \
	{ "airgap_approve", "UPDATE countersign.airgap_request "	\
	    "SET waits = false, accounts = accounts || $3, "		\
	    "subject = nullif($4, ''), operator = $5 "			\
	    "WHERE day = $1::int4 AND id = $2 AND waits "		\
	    "RETURNING id", 5 }

/* A list, or NULLs; base as the column is. */
#define CRL_STATE(x) x ".number, floor(extract(epoch FROM " x		\
	".this_update))::bigint, floor(extract(epoch FROM " x		\
	".next_update))::bigint, " x ".change, " x ".base"
#define CRL_COMPLETE "SELECT * FROM countersign.crl WHERE ca = $1 "	\
	"AND coalesce(base, 0) = 0 ORDER BY number DESC LIMIT 1"
/* removeFromCRL (8) is for what is not on hold again. */
#define NOT_REVOKED "AND NOT EXISTS (SELECT FROM countersign.revoked r " \
	"WHERE r.ca = x.ca AND r.serial = x.serial) "

/* Revocation's part of the list of statements; see store_crl.c. */
#define REVOCATION_STATEMENTS						\
	/* The last list, the last complete one and the one before that. */ \
	{ "crl_state", "SELECT coalesce((SELECT n "			\
	    "FROM countersign.revocation_change WHERE ca = $1), 0), "	\
	    CRL_STATE("l") ", " CRL_STATE("f") ", " CRL_STATE("p")	\
	    ", EXISTS (SELECT FROM countersign.crl_part "		\
	    "WHERE ca = $1 AND number = f.number), "			\
	    "coalesce((SELECT told FROM countersign.revocation_change "	\
	    "WHERE ca = $1), 0) "					\
	    "FROM (SELECT 1) one LEFT JOIN (SELECT number, "		\
	    "this_update, next_update, change, base "			\
	    "FROM countersign.crl WHERE ca = $1 UNION ALL "		\
	    /* The one that the CA came with. */			\
	    "SELECT number, this_update, this_update, 0, NULL "	\
	    "FROM countersign.crl_before WHERE ca = $1 "		\
	    "ORDER BY number DESC LIMIT 1) l ON true "			\
	    "LEFT JOIN (" CRL_COMPLETE ") f ON true "			\
	    "LEFT JOIN (" CRL_COMPLETE " OFFSET 1) p ON true", 1 },	\
	{ "crl_snapshot", "SET TRANSACTION ISOLATION LEVEL "		\
	    "REPEATABLE READ", 0 },					\
	/* A process that is stopped shall not keep others from it. */	\
	{ "crl_idle", "SET LOCAL idle_in_transaction_session_timeout "	\
	    "= '60s'", 0 },						\
	{ "crl_lock", "SELECT pg_try_advisory_xact_lock("		\
	    CRL_LOCK_CLASS ", hashtext($1))", 1 },			\
	{ "crl_claim", "SELECT pg_try_advisory_lock("			\
	    CRL_LOCK_CLASS ", hashtext($1))", 1 },			\
	{ "crl_yield", "SELECT pg_advisory_unlock("			\
	    CRL_LOCK_CLASS ", hashtext($1))", 1 },			\
	{ "delta_page", "SELECT serial, at, reason::int4, change, true " \
	    "FROM countersign.revoked WHERE ca = $1 "			\
	    "AND (change, serial) > ($3::bigint, $2) "			\
	    "ORDER BY change, serial LIMIT " CRL_PAGE, 3 },		\
	{ "released_page", "SELECT serial, at, 8, change, true "	\
	    "FROM countersign.released x WHERE ca = $1 "		\
	    "AND (change, serial) > ($3::bigint, $2) " NOT_REVOKED	\
	    "ORDER BY change, serial LIMIT " CRL_PAGE, 3 },		\
	/* Of those that have ended, too: a page shall not take long. */ \
	{ "crl_page", "SELECT serial, at, reason::int4, 0::bigint, "	\
	    "not_after > to_timestamp($3::bigint) "			\
	    "FROM countersign.revoked WHERE ca = $1 AND serial > $2 "	\
	    "ORDER BY serial LIMIT " CRL_PAGE, 3 },			\
	{ "crl_part", "INSERT INTO countersign.crl_part "		\
	    "(ca, number, part, body) VALUES ($1, $2, $3, $4)", 4 },	\
	{ "crl_put", "INSERT INTO countersign.crl (ca, number, "	\
	    "this_update, next_update, entries, octets, tbs_digest, "	\
	    "change, signer, base) VALUES ($1, $2, "			\
	    "to_timestamp($3::bigint), to_timestamp($4::bigint), $5, $6, " \
	    "$7, $8, $9, $10::bigint)", 10 },				\
	{ "crl_stored", "SELECT countersign.crl_stored($1, $2)", 2 },	\
	{ "ocsp_status", "SELECT r.reason, "				\
	    "floor(extract(epoch FROM r.at))::bigint, EXISTS (SELECT "	\
	    "FROM countersign.certificate c "				\
	    "WHERE c.serial = $2 AND c.ca = $1), r.reason IS NOT NULL "	\
	    "AND EXISTS (SELECT FROM countersign.revocation_event e "	\
	    "WHERE e.ca = $1 AND e.serial = $2) "			\
	    "FROM (SELECT 1) one LEFT JOIN countersign.revoked r "	\
	    "ON r.ca = $1 AND r.serial = $2", 2 },			\
	{ "ocsp_due", "SELECT o.serial, o.hash::int4 "			\
	    "FROM countersign.ocsp o JOIN countersign.certificate c "	\
	    "ON c.serial = o.serial AND c.not_after > now() "		\
	    "WHERE o.ca = $1 AND o.next_update < to_timestamp($2::bigint) " \
	    "ORDER BY o.next_update LIMIT 64", 2 },			\
	{ "ocsp_forget", "SELECT countersign.ocsp_forget()", 0 },	\
	{ "ocsp_keep", "SELECT countersign.ocsp_keep($1, $2, "		\
	    "$3::smallint, $4::smallint, to_timestamp($5::bigint), "	\
	    "to_timestamp($6::bigint), $7)", 7 },			\
	{ "responder_put", "INSERT INTO countersign.responder "		\
	    "(serial, ca, signer, not_after, der) VALUES ($1, $2, $3, "	\
	    "to_timestamp($4::bigint), $5)", 5 }

#endif
