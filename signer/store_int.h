/* What the files of the store share; not for others. */
#ifndef STORE_INT_H
#define STORE_INT_H

#include "store.h"

struct store {
	struct db	*db;
	char		*signer;
	bool		 session;	/* this connection is set up */
};

/* A statement whose result does not matter. */
int	 store_run(struct store *, const char *stmt, const struct db_param *,
	    int n, struct err *);
/* A transaction in the session that was set up, and in no other. */
int	 store_begin(struct store *, struct err *);

#define CRL_LOCK_CLASS	"71200104"
#define CRL_PAGE	"8192"		/* rows at a time */

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
	{ "ocsp_keep", "SELECT countersign.ocsp_keep($1, $2, "		\
	    "$3::smallint, $4::smallint, to_timestamp($5::bigint), "	\
	    "to_timestamp($6::bigint), $7)", 7 },			\
	{ "responder_put", "INSERT INTO countersign.responder "		\
	    "(serial, ca, signer, not_after, der) VALUES ($1, $2, $3, "	\
	    "to_timestamp($4::bigint), $5)", 5 }

#endif
