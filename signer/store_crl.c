/*
 * Revocation lists and OCSP answers in PostgreSQL: for crlmake.c and
 * ocspresp.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store_crl.h"
#include "store_int.h"

#define PG_EPOCH	INT64_C(946684800)	/* 2000-01-01 in unix time */

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
	out->told = (uint64_t)cell(r, 0, 17);
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
	    store_run(st, "crl_idle", NULL, 0, err) == 0 &&
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

/* timestamptz: us since 2000 */
static int64_t
seconds(int64_t at)
{
	return at / 1000000 - (at % 1000000 < 0) + PG_EPOCH;
}

static int
take_row(const PGresult *r, int row, struct crl_walk *w, struct crl *crl,
    struct err *err)
{
	struct crl_entry e = {
		.serial = db_field(r, row, 0),
		.at = seconds(db_int(r, row, 1)),
		.reason = (unsigned)db_int(r, row, 2)
	};
	struct crl_shape shape = crl_shape_of(&e);

	if (db_int(r, row, 4) == 0)
		return 0;
	w->entries++;
	w->octets += crl_entry_octets(&shape);
	return crl == NULL ? 0 : crl_add(crl, &e, err);
}

static int
take_page(const PGresult *r, struct crl_walk *w, struct crl *crl,
    struct err *err)
{
	int i, n = PQntuples(r);
	struct slice last;

	for (i = 0; i < n; i++)
		if (take_row(r, i, w, crl, err) == -1)
			return -1;
	if (n > 0) {
		last = db_field(r, n - 1, 0);
		buf_reset(&w->serial);
		buf_add(&w->serial, last.p, last.n);
		w->change = db_int(r, n - 1, 3);
	}
	return n;
}

/* Before the first row of a table. */
static void
first_place(struct crl_walk *w)
{
	buf_extend(&w->serial, 1);	/* never NULL, which is SQL's NULL */
	buf_reset(&w->serial);
	w->change = w->q.since + 1;
}

/* Of one table: how many rows. */
static int
next_page(struct store *st, struct crl_walk *w, struct crl *crl,
    struct err *err)
{
	const struct crl_query *q = &w->q;
	struct number from = number(q->delta ? w->change : q->valid_at);
	struct db_param p[] = { DB_TEXT(q->ca),
	    DB_BIN(w->serial.p, w->serial.n), DB_TEXT(from.text) };
	PGresult *r = db_exec_bin(st->db, !q->delta ? "crl_page" :
	    w->released ? "released_page" : "delta_page", p, 3, err);
	int n = r == NULL ? -1 : take_page(r, w, crl, err);

	PQclear(r);
	return n;
}

int
store_crl_page(struct store *st, struct crl_walk *w, struct crl *crl,
    struct err *err)
{
	int n;

	if (w->serial.p == NULL)
		first_place(w);
	n = next_page(st, w, crl, err);
	if (n >= 0 && n < atoi(CRL_PAGE) && w->q.delta && !w->released) {
		w->released = true;
		first_place(w);
		n = next_page(st, w, crl, err);
	}
	return n == -1 ? -1 : n == atoi(CRL_PAGE);
}

void
store_crl_rewind(struct crl_walk *w)
{
	buf_free(&w->serial);
	*w = (struct crl_walk){ .q = w->q };
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
