/* What the files of the store share; not for others. */
#ifndef STORE_INT_H
#define STORE_INT_H

#include "store.h"

struct store {
	struct db	*db;
	char		*signer;
	bool		 session;	/* this connection is set up */
	bool		 reserved;	/* a transaction with locks is open */
};

/* A statement whose result does not matter. */
int	 store_run(struct store *, const char *stmt, const struct db_param *,
	    int n, struct err *);
/* A transaction in the session that was set up, and in no other. */
int	 store_begin(struct store *, struct err *);

/* A one-dimensional array in PostgreSQL's binary form: n elements follow. */
void	 store_array(struct buf *, uint32_t element_oid, size_t n);
/* Days and ids (or replay keys) as two arrays.  The id tells the day. */
void	 store_put_keys(const struct store_key *, size_t n, bool replay,
	    struct buf *days, struct buf *keys);
/* What the insertion of a job's row implies; see store_approval.c. */
int	 store_use_up(struct store *, const struct job *, struct err *);

/* What a row answers a repeated request with. */
#define STORED "r.id, r.replay_key, r.state, r.number, r.hresult, " \
	"r.message, coalesce(r.agent, r.account), r.ca, " \
	"coalesce(r.template, ''), " \
	"sha256(r.token), r.serial, c.der, " \
	"extract(epoch FROM r.received_at)::bigint, r.decision_id, " \
	"coalesce(floor(extract(epoch FROM r.expires_at)), 0)::bigint"
#define WITH_CERTIFICATE " LEFT JOIN countersign.certificate c " \
	"ON c.serial = r.serial "

/* Approval's and one-time secrets' part; see store_approval.c. */
#define APPROVAL_STATEMENTS \
	{ "pending", "SELECT " STORED ", r.token, r.token_sha256, " \
	    "coalesce(r.evidence, ''), r.method FROM countersign.request r" \
	    WITH_CERTIFICATE "WHERE r.day = $1 AND r.id = $2 AND r.ca = $3", \
	    3 }, \
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
	    "template_minor = coalesce($16::bigint, template_minor) " \
	    "WHERE day = $1::int4 AND id = $2 AND state = 'pending' " \
	    "RETURNING number", 16 }

#define CRL_LOCK_CLASS	"71200104"
#define CRL_PAGE	"8192"		/* rows at a time */

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

/* Revocation's part of the list of statements; see store_crl.c. */
#define REVOCATION_STATEMENTS						\
	{ "crl_state", "SELECT coalesce((SELECT n "			\
	    "FROM countersign.revocation_change WHERE ca = $1), 0), "	\
	    "c.number, floor(extract(epoch FROM c.this_update))::bigint, " \
	    "floor(extract(epoch FROM c.next_update))::bigint, c.change " \
	    "FROM (SELECT 1) one LEFT JOIN (SELECT * "			\
	    "FROM countersign.crl WHERE ca = $1 "			\
	    "ORDER BY number DESC LIMIT 1) c ON true", 1 },		\
	{ "crl_snapshot", "SET TRANSACTION ISOLATION LEVEL "		\
	    "REPEATABLE READ", 0 },					\
	{ "crl_lock", "SELECT pg_try_advisory_xact_lock("		\
	    CRL_LOCK_CLASS ", hashtext($1))", 1 },			\
	{ "crl_shapes", "SELECT length(serial), "			\
	    "get_byte(serial, 0) >= 128, at >= '2050-01-01 00:00:00Z', " \
	    "reason <> 0, count(*) FROM countersign.revoked "		\
	    "WHERE ca = $1 AND not_after > to_timestamp($2::bigint) "	\
	    "GROUP BY 1, 2, 3, 4", 2 },					\
	{ "crl_page", "SELECT serial, "					\
	    "floor(extract(epoch FROM at))::bigint, reason::int4 "	\
	    "FROM countersign.revoked WHERE ca = $1 AND serial > $2 "	\
	    "AND not_after > to_timestamp($3::bigint) "			\
	    "ORDER BY serial LIMIT " CRL_PAGE, 3 },			\
	{ "crl_part", "INSERT INTO countersign.crl_part "		\
	    "(ca, number, part, body) VALUES ($1, $2, $3, $4)", 4 },	\
	{ "crl_put", "INSERT INTO countersign.crl (ca, number, "	\
	    "this_update, next_update, entries, octets, tbs_digest, "	\
	    "change, signer) VALUES ($1, $2, to_timestamp($3::bigint), " \
	    "to_timestamp($4::bigint), $5, $6, $7, $8, $9)", 9 },	\
	{ "crl_stored", "SELECT countersign.crl_stored($1, $2)", 2 },	\
	{ "ocsp_status", "SELECT r.reason, "				\
	    "floor(extract(epoch FROM r.at))::bigint, EXISTS (SELECT "	\
	    "FROM countersign.certificate c "				\
	    "WHERE c.serial = $2 AND c.ca = $1) "			\
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
