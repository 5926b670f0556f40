/*
 * Accounts, blocked keys and keys' owners, which no ledger has rows of: the
 * first two against the last word of audit (lastword.h), the owners against
 * the certificates.
 */
#include "compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lastword.h"
#include "rowform.h"
#include "tuple.h"

/* Rows of audit that a ledger has and the table lacks, as arrays. */
struct lost {
	struct chronicle *c;
	bool		*taken;		/* by the index in c->audit */
	struct buf	 n, at, action, detail;
};

static void
put_number(struct buf *b, int64_t n)
{
	buf_addc(b, b->n == 0 ? '{' : ',');
	buf_dec(b, n);
}

static void
put_text(struct buf *b, struct slice s)
{
	size_t i;

	buf_puts(b, b->n == 0 ? "{\"" : ",\"");
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, s.p[i]);
	}
	buf_addc(b, '"');
}

static const char *
array(struct buf *b)
{
	buf_puts(b, b->n == 0 ? "{}" : "}");
	return buf_str(b);
}

/* Several ledgers have it: the first that does is asked. */
static bool
is_lost(const struct lost *l, const struct chr_audit *key)
{
	const struct chronicle *c = l->c;
	struct chr_audit *a, *end = c->audit + c->naudit;
	bool claimed = false;

	a = bsearch(key, c->audit, c->naudit, sizeof *a, chr_audit_cmp);
	if (a == NULL || a->seen)
		return false;
	while (a > c->audit && chr_audit_cmp(a - 1, key) == 0)
		a--;
	if (l->taken[a - c->audit])
		return false;
	l->taken[a - c->audit] = true;
	for (; a < end && chr_audit_cmp(a, key) == 0; a++)
		claimed = claimed || a->claimed;
	return claimed;
}

static bool
speaks_of_us(struct slice action)
{
	return (action.n > 8 && memcmp(action.p, "account ", 8) == 0) ||
	    slice_is(action, "secret create") ||
	    slice_is(action, "secret revoke") ||
	    slice_is(action, "key block") || slice_is(action, "key unblock");
}

/* What is no row was told of when the ledgers were read. */
static int
lost_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	struct lost *l = arg;
	struct chr_audit key;
	struct buf row = { 0 };
	struct tuple t;

	if (strcmp(e->type, "audit") == 0 &&
	    ledger_get_base64(e, "row", &row, err) == 0 &&
	    chr_audit_row(buf_slice(&row), &key) == 0 &&
	    tuple_parse(buf_slice(&row), &t) == 0 &&
	    speaks_of_us(t.field[AUDIT_ACTION]) && is_lost(l, &key)) {
		put_number(&l->n, key.n);
		put_number(&l->at, key.at);
		put_text(&l->action, t.field[AUDIT_ACTION]);
		put_text(&l->detail, t.field[AUDIT_DETAIL]);
	}
	buf_free(&row);
	return 0;
}

static bool
has_lost_some(const struct chronicle *c)
{
	size_t i;

	for (i = 0; i < c->naudit; i++)
		if (c->audit[i].claimed && !c->audit[i].seen)
			return true;
	return false;
}

static void
find_all(struct compare *m, const PGresult *res)
{
	const struct lastword *w;
	char text[800];
	int row;

	for (row = 0; row < PQntuples(res); row++) {
		if ((w = lastword_of(res, row)) == NULL)
			continue;
		lastword_text(res, row, w->text, text, sizeof text);
		compare_find(m, w->check, w->what,
		    PQgetvalue(res, row, LASTWORD_OBJECT), text);
	}
}

/* Only for a database that lacks rows the ledgers are read once more. */
static int
compare_words(struct compare *m, struct err *err)
{
	struct lost l = { .c = m->c };
	struct err told = ERR_INIT;
	const char *p[5];
	char time[24];
	PGresult *res;
	size_t i;

	snprintf(time, sizeof time, "%" PRId64, chronicle_audit_latest(m->c));
	p[4] = NULL;
	if (has_lost_some(m->c)) {
		p[4] = time;
		l.taken = xcalloc(m->c->naudit, sizeof *l.taken);
		for (i = 0; i < m->c->nledger; i++)
			(void)ledger_walk(m->c->ledger[i].dir, lost_entry, &l,
			    &told);
		free(l.taken);
	}
	p[0] = array(&l.n);
	p[1] = array(&l.at);
	p[2] = array(&l.action);
	p[3] = array(&l.detail);
	if ((res = cli_query(m->cli, "verify_words", p, 5, err)) != NULL)
		find_all(m, res);
	PQclear(res);
	buf_free(&l.n);
	buf_free(&l.at);
	buf_free(&l.action);
	buf_free(&l.detail);
	return res == NULL ? -1 : 0;
}

/* Who has no row there may get another account's key certified. */
static int
compare_owners(struct compare *m, struct err *err)
{
	static const struct compare_query checks[] = {
		{ "verify_unowned", "certificate", "its key has no owner" },
		{ "verify_owners", "key", "belongs to an account that no "
		    "certificate of it names" },
	};

	return compare_queries(m, checks, sizeof checks / sizeof checks[0],
	    err);
}

int
compare_accounts(struct compare *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "verify_counts", NULL, 0, err);

	if (res == NULL)
		return -1;
	m->accounts = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	m->keys = strtoull(PQgetvalue(res, 0, 1), NULL, 10);
	m->owners = strtoull(PQgetvalue(res, 0, 2), NULL, 10);
	PQclear(res);
	return compare_words(m, err) != 0 ? -1 : compare_owners(m, err);
}
