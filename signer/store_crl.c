/*
 * Revocation lists and OCSP answers in PostgreSQL: for crlmake.c and
 * ocspresp.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store_crl.h"
#include "store_int.h"

struct number {
	char	 text[24];
};

static struct number
number(int64_t v)
{
	struct number n;

	snprintf(n.text, sizeof(n.text), "%" PRId64, v);
	return n;
}

static int64_t
cell(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? 0 :
	    strtoll(PQgetvalue(r, row, col), NULL, 10);
}

/* The five columns of CRL_STATE. */
static void
read_list(const PGresult *r, int col, struct crl_list *l)
{
	l->number = (uint64_t)cell(r, 0, col);
	l->this_update = cell(r, 0, col + 1);
	l->next_update = cell(r, 0, col + 2);
	l->seen = cell(r, 0, col + 3);
	l->base = (uint64_t)cell(r, 0, col + 4);
	l->followed = !PQgetisnull(r, 0, col + 4) && l->base == 0;
}

int
store_crl_state(struct store *st, const char *ca, struct crl_state *out,
    struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca) };
	PGresult *r = db_exec(st->db, "crl_state", p, 1, err);

	if (r == NULL)
		return -1;
	out->changes = cell(r, 0, 0);
	read_list(r, 1, &out->last);
	read_list(r, 6, &out->complete);
	read_list(r, 11, &out->before);
	out->whole = *PQgetvalue(r, 0, 16) == 't';
	PQclear(r);
	return 0;
}

int
store_crl_claim(struct store *st, const char *ca, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca) };
	PGresult *r;
	int got;

	if (store_ready(st, err) == -1 ||
	    (r = db_exec(st->db, "crl_claim", p, 1, err)) == NULL)
		return -1;
	got = *PQgetvalue(r, 0, 0) == 't';
	PQclear(r);
	return got;
}

/* What is not given back here the session's end gives back. */
void
store_crl_yield(struct store *st, const char *ca)
{
	struct db_param p[] = { DB_TEXT(ca) };
	struct err ignored = ERR_INIT;

	(void)store_run(st, "crl_yield", p, 1, &ignored);
}

int
store_crl_begin(struct store *st, const char *ca, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca) };
	PGresult *r = NULL;
	int got = -1;

	if (store_begin(st, err) == -1)
		return -1;
	if (store_run(st, "crl_snapshot", NULL, 0, err) == 0 &&
	    (r = db_exec(st->db, "crl_lock", p, 1, err)) != NULL)
		got = *PQgetvalue(r, 0, 0) == 't';
	PQclear(r);
	if (got != 1)
		db_rollback(st->db);
	return got;
}

int
store_crl_commit(struct store *st, struct err *err)
{
	bool in_doubt;

	/* In doubt: the next list has a higher number in any case. */
	return db_commit(st->db, &in_doubt, err);
}

void
store_crl_rollback(struct store *st)
{
	db_rollback(st->db);
}

int
store_crl_count(struct store *st, const struct crl_query *q,
    uint64_t *entries, uint64_t *octets, struct err *err)
{
	struct number since = number(q->delta ? q->since : q->valid_at);
	struct db_param p[] = { DB_TEXT(q->ca), DB_TEXT(since.text) };
	PGresult *r = db_exec(st->db, q->delta ? "delta_shapes" :
	    "crl_shapes", p, 2, err);
	struct crl_shape shape;
	uint64_t n;
	int i;

	if (r == NULL)
		return -1;
	*entries = *octets = 0;
	for (i = 0; i < PQntuples(r); i++) {
		shape.serial_octets = (size_t)cell(r, i, 0);
		shape.high = *PQgetvalue(r, i, 1) == 't';
		shape.generalized = *PQgetvalue(r, i, 2) == 't';
		shape.reason = *PQgetvalue(r, i, 3) == 't';
		n = (uint64_t)cell(r, i, 4);
		*entries += n;
		*octets += n * crl_entry_octets(&shape);
	}
	PQclear(r);
	return 0;
}

/* Where a page ended. */
struct place {
	struct buf	 serial;
	int64_t		 change;
};

static int
add_page(const PGresult *r, struct crl *crl, struct place *last,
    struct err *err)
{
	struct crl_entry e;
	int i, n = PQntuples(r);

	for (i = 0; i < n; i++) {
		e.serial = db_field(r, i, 0);
		e.at = db_int(r, i, 1);
		e.reason = (unsigned)db_int(r, i, 2);
		if (crl_add(crl, &e, err) == -1)
			return -1;
	}
	if (n > 0) {
		buf_reset(&last->serial);
		buf_add(&last->serial, e.serial.p, e.serial.n);
		last->change = db_int(r, n - 1, 3);
	}
	return n;
}

/* Of one table, in the order of the statement. */
static int
add_pages(struct store *st, const char *stmt, const struct crl_query *q,
    struct crl *crl, struct err *err)
{
	struct place last = { .change = q->since + 1 };
	struct number from;
	struct db_param p[3];
	PGresult *r;
	int n;

	buf_extend(&last.serial, 1);	/* never NULL, which is SQL's NULL */
	buf_reset(&last.serial);
	do {
		from = number(q->delta ? last.change : q->valid_at);
		p[0] = DB_TEXT(q->ca);
		p[1] = DB_BIN(last.serial.p, last.serial.n);
		p[2] = DB_TEXT(from.text);
		r = db_exec_bin(st->db, stmt, p, 3, err);
		n = r == NULL ? -1 : add_page(r, crl, &last, err);
		PQclear(r);
	} while (n > 0);
	buf_free(&last.serial);
	return n;
}

int
store_crl_entries(struct store *st, const struct crl_query *q,
    struct crl *crl, struct err *err)
{
	if (!q->delta)
		return add_pages(st, "crl_page", q, crl, err);
	return add_pages(st, "delta_page", q, crl, err) == -1 ? -1 :
	    add_pages(st, "released_page", q, crl, err);
}

int
store_crl_part(struct store *st, const struct crl_made *m, unsigned part,
    struct slice body, struct err *err)
{
	struct number num = number((int64_t)m->number), nth = number(part);
	struct db_param p[] = {
		DB_TEXT(m->ca), DB_TEXT(num.text), DB_TEXT(nth.text),
		DB_BIN(body.p, body.n)
	};

	return store_run(st, "crl_part", p, 4, err);
}

int
store_crl_put(struct store *st, const struct crl_made *m, struct err *err)
{
	bool plain = m->base == 0 && !m->followed;
	struct number n[7] = {
		number((int64_t)m->number), number(m->this_update),
		number(m->next_update), number((int64_t)m->entries),
		number((int64_t)m->octets), number(m->seen),
		number((int64_t)m->base)
	};
	struct db_param p[] = {
		DB_TEXT(m->ca), DB_TEXT(n[0].text), DB_TEXT(n[1].text),
		DB_TEXT(n[2].text), DB_TEXT(n[3].text), DB_TEXT(n[4].text),
		DB_BIN(m->digest.p, m->digest.n), DB_TEXT(n[5].text),
		DB_TEXT(st->signer), DB_TEXT(plain ? NULL : n[6].text)
	};

	if (store_run(st, "crl_put", p, 10, err) == -1)
		return -1;
	return store_run(st, "crl_stored", p, 2, err);
}

int
store_cert_status(struct store *st, const char *ca, struct slice serial,
    struct cert_status *out, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca), DB_BIN(serial.p, serial.n) };
	PGresult *r = db_exec(st->db, "ocsp_status", p, 2, err);

	if (r == NULL)
		return -1;
	memset(out, 0, sizeof(*out));
	if (!PQgetisnull(r, 0, 0)) {
		out->state = CERT_REVOKED;
		out->reason = (unsigned)cell(r, 0, 0);
		out->at = cell(r, 0, 1);
		out->untold = *PQgetvalue(r, 0, 3) == 't';
	} else if (*PQgetvalue(r, 0, 2) == 't')
		out->state = CERT_GOOD;
	PQclear(r);
	return 0;
}

int
store_ocsp_keep(struct store *st, const struct ocsp_row *o, bool *kept,
    struct err *err)
{
	struct number n[4] = {
		number(o->hash), number(o->status.reason),
		number(o->this_update), number(o->next_update)
	};
	bool revoked = o->status.state == CERT_REVOKED;
	struct db_param p[] = {
		DB_TEXT(o->ca), DB_BIN(o->serial.p, o->serial.n),
		DB_TEXT(n[0].text), DB_TEXT(revoked ? n[1].text : NULL),
		DB_TEXT(n[2].text), DB_TEXT(n[3].text),
		DB_BIN(o->der.p, o->der.n)
	};
	PGresult *r = db_exec(st->db, "ocsp_keep", p, 7, err);

	if (r == NULL)
		return -1;
	*kept = *PQgetvalue(r, 0, 0) == 't';
	PQclear(r);
	return 0;
}

PGresult *
store_ocsp_due(struct store *st, const char *ca, int64_t before,
    struct err *err)
{
	struct number end = number(before);
	struct db_param p[] = { DB_TEXT(ca), DB_TEXT(end.text) };

	return db_exec_bin(st->db, "ocsp_due", p, 2, err);
}

void
store_ocsp_due_get(const PGresult *r, int row, struct slice *serial,
    int *hash)
{
	*serial = db_field(r, row, 0);
	*hash = (int)db_int(r, row, 1);
}

int
store_ocsp_forget(struct store *st, struct err *err)
{
	return store_run(st, "ocsp_forget", NULL, 0, err);
}

int
store_responder(struct store *st, const char *ca, struct slice serial,
    int64_t not_after, struct slice der, struct err *err)
{
	struct number end = number(not_after);
	struct db_param p[] = {
		DB_BIN(serial.p, serial.n), DB_TEXT(ca), DB_TEXT(st->signer),
		DB_TEXT(end.text), DB_BIN(der.p, der.n)
	};

	return store_run(st, "responder_put", p, 5, err);
}
