/*
 * The chronicle in order, and what is found in it: for compare.c and
 * restore.c.
 */
#include "chronicle.h"

#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "rowform.h"
#include "tuple.h"

struct chronicle *
chronicle_new(const struct strlist *dirs, struct headset *heads,
    struct chr_sink sink)
{
	struct chronicle *c = xcalloc(1, sizeof *c);
	size_t i;

	c->heads = heads;
	c->sink = sink;
	c->ledger = xcalloc(dirs->n + 1, sizeof *c->ledger);
	for (i = 0; i < dirs->n; i++) {
		c->ledger[i].dir = xstrdup(dirs->v[i]);
		c->ledger[i].size = ledger_total(dirs->v[i]);
		c->all += c->ledger[i].size;
	}
	c->nledger = dirs->n;
	return c;
}

void
chronicle_free(struct chronicle *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nrow; i++)
		buf_free(&c->row[i].tuple);
	for (i = 0; i < c->nledger; i++) {
		free(c->ledger[i].dir);
		free(c->ledger[i].signer);
		free(c->ledger[i].deployment);
	}
	strlist_free(&c->ca);
	sigcounts_free(&c->counts);
	free(c->row);
	free(c->by_serial);
	free(c->rev);
	free(c->list);
	free(c->audit);
	buf_free(&c->late_n);
	buf_free(&c->late_at);
	free(c->given);
	free(c->used);
	free(c->round);
	free(c->resp);
	free(c->ledger);
	free(c);
}

/* The index of a name; one behind all, if no entry is about it. */
static uint16_t
ca_of(const struct chronicle *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->ca.n && strcmp(c->ca.v[i], name) != 0; i++)
		;
	return (uint16_t)i;
}

uint16_t
chronicle_ca(struct chronicle *c, const char *name)
{
	uint16_t i = ca_of(c, name);

	if (i < c->ca.n)
		return i;
	if (i == UINT16_MAX)
		abort();	/* no deployment has as many */
	strlist_add(&c->ca, name);
	return i;
}

void
chronicle_add(struct chronicle *c, const struct chr_revocation *rev)
{
	c->rev = xgrow(c->rev, c->nrev, &c->caprev, sizeof *c->rev);
	c->rev[c->nrev] = *rev;
	c->rev[c->nrev].order = (uint32_t)c->nrev;
	c->nrev++;
}

/*
 * What a request came with before what was decided of it later.  That is all
 * the order there is: entries of several ledgers have no common one.
 */
static int
by_id(const void *a, const void *b)
{
	const struct chr_row *x = a, *y = b;
	int c = memcmp(x->id, y->id, CHR_ID);

	return c != 0 ? c : (int)y->fresh - (int)x->fresh;
}

static int
by_serial(const void *a, const void *b)
{
	return memcmp((*(struct chr_row *const *)a)->serial,
	    (*(struct chr_row *const *)b)->serial, CHR_SERIAL);
}

/* Order of the certificates that two revocations are about: 0, the same. */
static int
same_certificate(const struct chr_revocation *x,
    const struct chr_revocation *y)
{
	int c = (x->ca > y->ca) - (x->ca < y->ca);

	if (c == 0)
		c = memcmp(x->serial, y->serial, sizeof x->serial);
	return c != 0 ? c : (int)x->octets - (int)y->octets;
}

static int
by_change(const void *a, const void *b)
{
	const struct chr_revocation *x = a, *y = b;
	int c = same_certificate(x, y);

	if (c == 0)
		c = (x->change > y->change) - (x->change < y->change);
	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

/* Attempts before the one that was listed. */
static int
by_number(const void *a, const void *b)
{
	const struct chr_list *x = a, *y = b;
	int c = (x->ca > y->ca) - (x->ca < y->ca);

	if (c == 0)
		c = (x->number > y->number) - (x->number < y->number);
	return c != 0 ? c : (int)x->listed - (int)y->listed;
}

static int
by_responder(const void *a, const void *b)
{
	const struct chr_responder *x = a, *y = b;
	int c = memcmp(x->serial, y->serial, CHR_SERIAL);

	return c != 0 ? c : (int)x->has_der - (int)y->has_der;
}

int
chr_audit_cmp(const void *a, const void *b)
{
	const struct chr_audit *x = a, *y = b;

	return x->n != y->n ? (x->n > y->n) - (x->n < y->n) :
	    (x->at > y->at) - (x->at < y->at);
}

/* One record of each responder: the halves put together. */
static void
join_halves(struct chronicle *c)
{
	size_t i, n;

	for (i = n = 0; i < c->nresp; i++) {
		if (n > 0 && c->resp[i].has_der && memcmp(c->resp[n - 1].serial,
		    c->resp[i].serial, CHR_SERIAL) == 0) {
			memcpy(c->resp[i].tbs, c->resp[n - 1].tbs, CHR_DIGEST);
			c->resp[n - 1] = c->resp[i];
		} else
			c->resp[n++] = c->resp[i];
	}
	c->nresp = n;
}

/*
 * A manager's denial keeps what the request came with: its NULLs.  And what
 * was decided was there, though a signer that crashed does not say so yet.
 */
static void
merge(struct chr_row *row, struct chr_row *pending)
{
	static const enum decided kept[] = { DEC_MAJOR, DEC_MINOR,
	    DEC_SUBJECT, DEC_SAN };
	struct tuple was, is;
	struct buf b = { 0 };
	size_t i;

	row->has_rows = pending != NULL &&
	    memcmp(pending->id, row->id, CHR_ID) == 0 &&
	    tuple_parse(buf_slice(&pending->tuple), &was) == 0 &&
	    tuple_parse(buf_slice(&row->tuple), &is) == 0 &&
	    was.n >= DEC_N && is.n >= DEC_N;
	if (!row->has_rows)
		return;
	if (row->committed && !pending->committed && !pending->voided) {
		pending->committed = true;
		pending->claimed = row->claimed;
	}
	for (i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (is.field[kept[i]].p == NULL)
			is.field[kept[i]] = was.field[kept[i]];
	tuple_put(&b, &is);
	buf_free(&row->tuple);
	row->tuple = b;
	chr_digest(buf_slice(&b), row->decided);
	memcpy(row->submitted, pending->submitted, CHR_DIGEST);
}

/* How sure is it that this has a row? */
static int
certainty(const struct chr_row *row)
{
	return row->committed ? 2 : row->voided ? 0 : 1;
}

/* No two signers share a prefix, so this is damage, whoever has done it. */
static void
find_doubles(struct chronicle *c)
{
	char hex[2 * CHR_SERIAL + 1];
	size_t i;

	for (i = 1; i < c->nserial; i++) {
		if (by_serial(&c->by_serial[i - 1], &c->by_serial[i]) != 0)
			continue;
		hex_encode(c->by_serial[i]->serial, CHR_SERIAL, hex);
		c->sink.finding(c->sink.arg, "intent", hex,
		    "the same serial number twice");
	}
}

#define SORT(v, n, by)	do { if ((n) > 0) \
	qsort((v), (n), sizeof *(v), (by)); } while (0)

static int
by_approval(const void *a, const void *b)
{
	const struct chr_approval *x = a, *y = b;
	int c = memcmp(x->id, y->id, CHR_ID);

	return c != 0 ? c : memcmp(x->by, y->by, CHR_DIGEST);
}

bool
chronicle_given(const struct chronicle *c, const struct chr_approval *a)
{
	return c->ngiven > 0 && bsearch(a, c->given, c->ngiven,
	    sizeof *c->given, by_approval) != NULL;
}

/*
 * Into the order of the header, and each later decision completed by what its
 * request came with (merge): only then it is comparable with a row.
 */
void
chronicle_sort(struct chronicle *c)
{
	struct chr_row *pending = NULL;
	size_t i;

	SORT(c->row, c->nrow, by_id);
	SORT(c->rev, c->nrev, by_change);
	SORT(c->list, c->nlist, by_number);
	SORT(c->resp, c->nresp, by_responder);
	SORT(c->given, c->ngiven, by_approval);
	SORT(c->audit, c->naudit, chr_audit_cmp);
	join_halves(c);
	c->by_serial = xcalloc(c->nrow + 1, sizeof *c->by_serial);
	for (i = 0; i < c->nrow; i++) {
		/* The same request may have failed at another signer. */
		if (c->row[i].fresh && (pending == NULL ||
		    memcmp(pending->id, c->row[i].id, CHR_ID) != 0 ||
		    certainty(&c->row[i]) >= certainty(pending)))
			pending = &c->row[i];
		else if (!c->row[i].fresh && c->row[i].has_rows)
			merge(&c->row[i], pending);
		if (c->row[i].kind == CHR_ISSUE)
			c->by_serial[c->nserial++] = &c->row[i];
	}
	SORT(c->by_serial, c->nserial, by_serial);
	find_doubles(c);
}

/* Where the first is that is not below the key: n, if all are. */
static size_t
first(const void *key, const void *v, size_t n, size_t size,
    int (*by)(const void *, const void *))
{
	size_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (by((const char *)v + mid * size, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct chr_row *
chronicle_request(const struct chronicle *c, const uint8_t id[CHR_ID])
{
	struct chr_row key = { .fresh = true };
	size_t i;

	memcpy(key.id, id, CHR_ID);
	i = first(&key, c->row, c->nrow, sizeof *c->row, by_id);
	return i < c->nrow && memcmp(c->row[i].id, id, CHR_ID) == 0 ?
	    &c->row[i] : NULL;
}

struct chr_row *
chronicle_serial(const struct chronicle *c, const uint8_t serial[CHR_SERIAL])
{
	struct chr_row key, *p = &key, **found;

	if (c->nserial == 0)
		return NULL;
	memcpy(key.serial, serial, CHR_SERIAL);
	found = bsearch(&p, c->by_serial, c->nserial, sizeof p, by_serial);
	return found != NULL ? *found : NULL;
}

struct chr_revocation *
chronicle_revocation(const struct chronicle *c, const char *ca,
    const uint8_t *serial, size_t octets)
{
	struct chr_revocation key = { .ca = ca_of(c, ca),
	    .octets = (uint8_t)octets, .change = INT64_MIN };
	size_t i;

	if (octets > sizeof key.serial)
		return NULL;
	memcpy(key.serial, serial, octets);
	i = first(&key, c->rev, c->nrev, sizeof *c->rev, by_change);
	return i < c->nrev && same_certificate(&c->rev[i], &key) == 0 ?
	    &c->rev[i] : NULL;
}

struct chr_list *
chronicle_list(const struct chronicle *c, const char *ca, uint64_t number)
{
	struct chr_list key = { .ca = ca_of(c, ca), .number = number };
	size_t i = first(&key, c->list, c->nlist, sizeof *c->list, by_number);

	return i < c->nlist && c->list[i].number == number &&
	    c->list[i].ca == key.ca ? &c->list[i] : NULL;
}

bool
chronicle_has_prefix(const struct chronicle *c, unsigned prefix)
{
	size_t i;

	for (i = 0; i < c->nledger; i++)
		if (c->ledger[i].prefix == prefix)
			return true;
	return false;
}

bool
chronicle_has_signer(const struct chronicle *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nledger; i++)
		if (c->ledger[i].signer != NULL &&
		    strcmp(c->ledger[i].signer, name) == 0)
			return true;
	return false;
}

bool
chronicle_is_of(const struct chronicle *c, uint16_t ledger,
    const char *signer)
{
	const char *is = c->ledger[ledger].signer;

	return is != NULL && strcmp(is, signer) == 0;
}

int64_t
chronicle_change(const struct chronicle *c, size_t ca, bool claimed)
{
	int64_t highest = 0;
	size_t i;

	for (i = 0; i < c->nrev; i++)
		if (c->rev[i].ca == ca && c->rev[i].change > highest &&
		    (c->rev[i].claimed || !claimed))
			highest = c->rev[i].change;
	for (i = 0; i < c->nlist; i++)
		if (c->list[i].ca == ca && c->list[i].change > highest &&
		    (c->list[i].claimed || !claimed))
			highest = c->list[i].change;
	return highest;
}

uint64_t
chronicle_number(const struct chronicle *c, size_t ca)
{
	uint64_t highest = 0;
	size_t i;

	for (i = 0; i < c->nlist; i++)
		if (c->list[i].ca == ca && c->list[i].number > highest)
			highest = c->list[i].number;
	return highest;
}

int64_t
chronicle_audit_latest(const struct chronicle *c)
{
	int64_t t = 0;
	size_t i;

	for (i = 0; i < c->nledger; i++)
		if (c->ledger[i].audit_latest > t)
			t = c->ledger[i].audit_latest;
	return t;
}
