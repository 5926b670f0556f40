/*
 * Polls: whose request a number is, and is what is told of it durable?  For
 * poll.c.
 */
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "store_int.h"

#define FIRST_XID	3	/* those below are PostgreSQL's own */

/*
 * Kerberos, passwords and certificates prove the same account; nobody proves
 * one anonymously, and operators are a class of their own.
 */
static int
method_class(enum auth_method m)
{
	const int proven = AUTH_KERBEROS | AUTH_PASSWORD | AUTH_CERTIFICATE;

	return (m & proven) != 0 ? proven : (int)m;
}

static void
put_int4(struct buf *b, uint32_t v)
{
	row_be32(b, 4);
	row_be32(b, v);
}

static void
put_text(struct buf *b, const char *s)
{
	row_be32(b, (uint32_t)strlen(s));
	buf_puts(b, s);
}

int
store_query(struct store *st, const struct store_polls *q, struct found *f,
    struct err *err)
{
	struct buf b[6] = { { 0 } };
	const struct job *j;
	size_t i;

	store_array(&b[0], OID_INT4, q->n);
	store_array(&b[1], OID_TEXT, q->n);
	store_array(&b[2], OID_TEXT, q->n);
	store_array(&b[3], OID_INT4, q->n);
	for (i = 0; i < q->n; i++) {
		j = q->v[i];
		put_int4(&b[0], j->ask.number);
		put_text(&b[1], j->account);
		put_text(&b[2], j->ca->of);
		put_int4(&b[3], (uint32_t)method_class(j->ask.method));
	}
	row_be32(&b[4], q->first);
	row_be32(&b[5], q->last);
	return store_found(st, store_run_bin(st, "query", b, 6, err), f, err);
}

size_t
found_nth(const struct found *f, size_t i)
{
	return (size_t)found_int(f, i, QUERY_NTH) - 1;
}

bool
found_revoked(const struct found *f, size_t i)
{
	return found_int(f, i, QUERY_REVOKED) != 0;
}

/*
 * Every transaction that was over when a barrier's snapshot was taken stands
 * before it in the WAL: what it wrote is durable since the barrier is.  Of
 * numbers that go round, those behind are at most half of all away.  The row's
 * says nothing of its certificate's revocation.
 */
bool
found_durable(const struct store *st, const struct found *f, size_t i)
{
	uint32_t xmin = (uint32_t)found_int(f, i, QUERY_XMIN);

	return !found_revoked(f, i) && st->settled != 0 && xmin >= FIRST_XID &&
	    (int32_t)(xmin - st->settled) < 0;
}

int
store_barrier(struct store *st, struct err *err)
{
	uint32_t xmin;
	PGresult *r;

	if (store_ready(st, err) == -1 ||
	    (r = db_durable(st->db, "barrier", err)) == NULL)
		return -1;
	xmin = (uint32_t)strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	if (store_same_session(st, err) == -1)
		return -1;
	st->settled = xmin;
	return 0;
}
