/*
 * The table audit against the ledgers.  Each signer copies all of it in the
 * order of its key, so that what stands before the last row that a ledger has
 * and is in no ledger was slipped in later.
 */
#include "compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tuple.h"

static void
complain(const struct compare *m, const char *check, int64_t n,
    const char *text)
{
	char name[24];

	snprintf(name, sizeof name, "%" PRId64, n);
	compare_find(m, check, "audit", name, text);
}

static void
put_late(struct chronicle *c, const struct chr_audit *a)
{
	const char *sep = c->late_n.n == 0 ? "" : ",";

	buf_printf(&c->late_n, "%s%" PRId64, sep, a->n);
	buf_printf(&c->late_at, "%s%" PRId64, sep, a->at);
}

/*
 * A database that was restored gives numbers away again: what is younger than
 * all that a ledger knows is no forgery of the past.  Nor is what stands behind
 * all that a signer has copied, where another one did so elsewhere: it was
 * found out in between.
 */
static void
judge_untold(struct compare *m, const struct chr_audit *a)
{
	const struct chr_ledger *l, *end = m->c->ledger + m->c->nledger;
	bool passed = false, younger = true, behind = false;

	for (l = m->c->ledger; l < end; l++) {
		if (a->n > l->audit_n || (a->n == l->audit_n &&
		    a->at > l->audit_at)) {
			behind = behind || l->audit_n > 0;
			continue;
		}
		passed = true;
		younger = younger && a->at > l->audit_latest;
	}
	if (!passed)
		m->untold++;
	else if (!m->all_tell)
		m->elsewhere++;		/* put back from a ledger not here */
	else if (younger || behind) {
		if (!younger)
			put_late(m->c, a);
		complain(m, COMPARE_MISSING, a->n, "has a number that was "
		    "another row's, says the ledger");
	} else
		complain(m, "row", a->n, "is in no ledger");
}

static void
take_row(struct compare *m, const struct chr_audit *a, struct chr_audit **at)
{
	struct chr_audit *p = *at, *end = m->c->audit + m->c->naudit;
	bool same = true;

	m->audit++;
	while (p < end && chr_audit_cmp(p, a) < 0)
		p++;
	if (p == end || chr_audit_cmp(p, a) != 0)
		judge_untold(m, a);
	for (; p < end && chr_audit_cmp(p, a) == 0; p++) {
		p->seen = true;
		same = same && memcmp(p->row, a->row, sizeof p->row) == 0;
	}
	if (!same)
		complain(m, "row", a->n, "is not what the ledger says");
	*at = p;
}

/* Of the page's last row, for the next page. */
static void
keep_key(const PGresult *res, int row, uint8_t key[2][8])
{
	memcpy(key[0], PQgetvalue(res, row, 0), 8);
	memcpy(key[1], PQgetvalue(res, row, 1), 8);
}

static int
take_page(struct compare *m, uint8_t key[2][8], struct chr_audit **at,
    struct err *err)
{
	struct chr_audit a;
	struct buf b = { 0 };
	struct tuple t;
	PGresult *res = db_exec_bin(m->cli->db, "verify_audit",
	    (struct db_param[]){ DB_BIN(key[0], 8), DB_BIN(key[1], 8) }, 2,
	    err);
	int row, n;

	if (res == NULL)
		return -1;
	n = PQntuples(res);
	for (row = 0; row < n; row++) {
		tuple_of(res, row, 0, PQnfields(res) - 1, &t);
		buf_reset(&b);
		tuple_put(&b, &t);
		if (chr_audit_row(buf_slice(&b), &a) == 0)
			take_row(m, &a, at);
	}
	if (n > 0)
		keep_key(res, n - 1, key);
	buf_free(&b);
	PQclear(res);
	return n;
}

int
compare_audit(struct compare *m, struct err *err)
{
	/* Before all others: the first of numbers and the first of times. */
	uint8_t key[2][8] = { { 0x80 }, { 0x80 } };
	struct chr_audit *a, *at = m->c->audit, *end = at + m->c->naudit;
	int64_t told = 0;
	int n;

	while ((n = take_page(m, key, &at, err)) > 0)
		progress_show(m->progress, "audit rows", m->audit,
		    m->c->naudit);
	for (a = m->c->audit; a < end; a++) {
		if (a->claimed && !a->seen && a->n != told)
			complain(m, COMPARE_MISSING, told = a->n,
			    "is in the ledger, but not in the database");
	}
	return n;
}
