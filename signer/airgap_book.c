/*
 * The vault's ledger in memory.  What a signer asks its database, a vault
 * asks the book: certificates to renew, revocations, numbers of lists,
 * rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airgap_book.h"
#include "airgap_index.h"
#include "digest.h"
#include "rowform.h"
#include "tuple.h"

#define PG_EPOCH	INT64_C(946684800)	/* 2000-01-01 in unix time */

struct book {
	struct book_round	 round;
	struct book_cert	*cert;
	struct book_revoked	*revoked;
	struct book_list	*list;
	size_t			 ncert, cap, nrevoked, rcap, nlist;
	size_t			 first_open;	/* none before it is open */
	struct index		 by_id, by_serial, by_key, by_revoked;
	size_t			*unsaid;	/* void since the last answer */
	size_t			 nunsaid;
};

/* A reader of ledger lines: which type, and what it tells the book. */
struct line_type {
	const char	*name;
	int		(*take)(struct book *, const struct ledger_entry *,
			    struct err *);
};

/* "" when it is absent. */
static char *
get_text(const struct ledger_entry *e, const char *key)
{
	struct buf b = { 0 };
	char *s;

	if (ledger_get(e, key, &b) == -1)
		buf_reset(&b);
	s = xstrdup(buf_str(&b));
	buf_free(&b);
	return s;
}

/* 0 when it is absent or, as "infinity", no number. */
static int64_t
get_number(const struct ledger_entry *e, const char *key)
{
	int64_t v = 0;

	(void)ledger_get_num(e, key, &v);
	return v;
}

/* Serial numbers of any length as a key of one length. */
static void
serial_key(struct slice s, uint8_t out[BOOK_SERIAL + 1])
{
	memset(out, 0, BOOK_SERIAL + 1);
	out[0] = (uint8_t)s.n;
	if (s.n <= BOOK_SERIAL)
		memcpy(out + 1, s.p, s.n);
}

struct book_round *
book_round(struct book *b)
{
	return &b->round;
}

struct book_cert *
book_by_id(struct book *b, const uint8_t id[MSG_ID])
{
	int64_t i = index_find(&b->by_id, b->cert, id);

	return i < 0 ? NULL : &b->cert[i];
}

struct book_cert *
book_by_serial(struct book *b, struct slice serial)
{
	int64_t i;

	if (serial.n != SERIAL_LEN)
		return NULL;
	i = index_find(&b->by_serial, b->cert, serial.p);
	return i < 0 ? NULL : &b->cert[i];
}

struct book_cert *
book_by_key(struct book *b, const uint8_t spki[32])
{
	int64_t i = index_find(&b->by_key, b->cert, spki);

	return i < 0 ? NULL : &b->cert[i];
}

struct book_revoked *
book_revoked(struct book *b, struct slice serial)
{
	uint8_t key[BOOK_SERIAL + 1];
	int64_t i;

	serial_key(serial, key);
	i = index_find(&b->by_revoked, b->revoked, key);
	return i < 0 ? NULL : &b->revoked[i];
}

bool
book_is_revoked(struct book *b, struct slice serial)
{
	const struct book_revoked *r = book_revoked(b, serial);

	return r != NULL && !r->released;
}

void
book_add(struct book *b, const struct book_cert *c)
{
	struct book_cert *n;

	if (b->ncert == b->cap) {
		b->cap = b->cap == 0 ? 256 : 2 * b->cap;
		b->cert = xreallocarray(b->cert, b->cap, sizeof(*b->cert));
	}
	n = &b->cert[b->ncert];
	*n = *c;
	n->account = xstrdup(c->account);
	n->template_name = xstrdup(c->template_name);
	n->ca = xstrdup(c->ca);
	index_put(&b->by_id, b->cert, b->ncert);
	index_put(&b->by_serial, b->cert, b->ncert);
	b->ncert++;
}

void
book_issued(struct book *b, struct book_cert *c, struct slice der,
    const uint8_t spki[32])
{
	digest_sha256(der, c->sha256);
	c->issued = true;
	memcpy(c->spki, spki, sizeof(c->spki));
	index_put(&b->by_key, b->cert, (size_t)(c - b->cert));
}

struct book_cert *
book_open_intent(struct book *b)
{
	struct book_cert *c;

	for (; b->first_open < b->ncert; b->first_open++) {
		c = &b->cert[b->first_open];
		if (!c->issued && !c->voided)
			return c;
	}
	return NULL;
}

void
book_void(struct book *b, struct book_cert *c, int64_t at)
{
	struct bundle_order o = { .ca = slice_str(c->ca), .at = at * 1000000,
	    .serial = slice_of(c->serial, SERIAL_LEN) };

	c->voided = true;
	book_revoke(b, &o);
	book_revoked(b, o.serial)->untold = true;
	b->unsaid = xreallocarray(b->unsaid, b->nunsaid + 1,
	    sizeof(*b->unsaid));
	b->unsaid[b->nunsaid++] = (size_t)(c - b->cert);
}

const struct book_cert *
book_void_next(struct book *b, size_t *i)
{
	return *i < b->nunsaid ? &b->cert[b->unsaid[(*i)++]] : NULL;
}

void
book_answered(struct book *b)
{
	b->nunsaid = 0;
}

/* A second one for a serial changes the reason, not the date. */
void
book_revoke(struct book *b, const struct bundle_order *o)
{
	struct book_revoked *r = book_revoked(b, o->serial);

	if (r == NULL) {
		if (b->nrevoked == b->rcap) {
			b->rcap = b->rcap == 0 ? 256 : 2 * b->rcap;
			b->revoked = xreallocarray(b->revoked, b->rcap,
			    sizeof(*b->revoked));
		}
		r = &b->revoked[b->nrevoked];
		memset(r, 0, sizeof(*r));
		serial_key(o->serial, r->serial);
		r->ca = xstrndup((const char *)o->ca.p, o->ca.n);
		r->at = o->at / 1000000;
		index_put(&b->by_revoked, b->revoked, b->nrevoked++);
	} else if (r->released)
		r->at = o->at / 1000000;
	r->released = r->untold = false;
	r->reason = o->reason;
	/* Rounded up: on the list until it has ended. */
	r->not_after = (o->not_after + 999999) / 1000000;
}

void
book_release(struct book_revoked *r)
{
	r->released = true;
}

static int
by_serial(const void *a, const void *b)
{
	const struct book_revoked *const *x = a, *const *y = b;

	return memcmp((*x)->serial, (*y)->serial, BOOK_SERIAL + 1);
}

struct book_revoked **
book_entries(struct book *b, const char *ca, int64_t valid_at, size_t *n)
{
	struct book_revoked **v = xcalloc(b->nrevoked + 1, sizeof(*v)), *r;
	size_t i;

	*n = 0;
	for (i = 0; i < b->nrevoked; i++) {
		r = &b->revoked[i];
		if (!r->released && strcmp(r->ca, ca) == 0 &&
		    (r->not_after == 0 || r->not_after > valid_at))
			v[(*n)++] = r;
	}
	qsort(v, *n, sizeof(*v), by_serial);
	return v;
}

struct book_list *
book_list(struct book *b, const char *ca)
{
	size_t i;

	for (i = 0; i < b->nlist; i++)
		if (strcmp(b->list[i].ca, ca) == 0)
			return &b->list[i];
	b->list = xreallocarray(b->list, b->nlist + 1, sizeof(*b->list));
	memset(&b->list[i], 0, sizeof(b->list[i]));
	b->list[i].ca = xstrdup(ca);
	b->nlist++;
	return &b->list[i];
}

static int
take_intent(struct book *b, const struct ledger_entry *e, struct err *err)
{
	struct book_cert c = { .renewals = 0 }, *old;
	uint8_t renews[SERIAL_LEN];
	char *s = get_text(e, "renews");
	int rc;

	if (strlen(s) == 2 * SERIAL_LEN &&
	    hex_decode(s, renews, SERIAL_LEN) == 0 &&
	    (old = book_by_serial(b, slice_of(renews, SERIAL_LEN))) != NULL)
		c.renewals = old->renewals + 1;
	free(s);
	rc = ledger_get_hex(e, "id", c.id, sizeof(c.id), err);
	if (rc == 0)
		rc = ledger_get_hex(e, "serial", c.serial, sizeof(c.serial),
		    err);
	if (rc == -1)
		return -1;
	c.ca = get_text(e, "ca");
	c.account = get_text(e, "account");
	c.template_name = get_text(e, "template");
	book_add(b, &c);
	free(c.ca);
	free(c.account);
	free(c.template_name);
	return 0;
}

static struct book_cert *
named(struct book *b, const struct ledger_entry *e, struct err *err)
{
	uint8_t serial[SERIAL_LEN];
	struct book_cert *c;

	if (ledger_get_hex(e, "serial", serial, sizeof(serial), err) == -1)
		return NULL;
	c = book_by_serial(b, slice_of(serial, sizeof(serial)));
	if (c == NULL)
		ledger_bad(e, "serial: has no intent", err);
	return c;
}

/*
 * Since when its chain of renewals goes on, and the hash of its key, from the
 * row it has outside.
 */
static int
get_row(const struct ledger_entry *e, int64_t *out, uint8_t spki[32],
    struct err *err)
{
	struct slice at = { NULL, 0 }, key;
	struct buf row = { 0 };
	struct tuple t;

	if (ledger_get_base64(e, "row", &row, err) == 0 &&
	    tuple_parse(buf_slice(&row), &t) == 0 &&
	    t.n == CERT_N && (key = t.field[CERT_SPKI]).n == 32) {
		at = t.field[CERT_CHAIN_START].p != NULL ?
		    t.field[CERT_CHAIN_START] : t.field[CERT_BEFORE];
		memcpy(spki, key.p, key.n);
	}
	*out = slice_int(at) / 1000000 + PG_EPOCH;
	buf_free(&row);
	return at.n == 8 ? 0 : ledger_bad(e, "row", err);
}

static int
take_issued(struct book *b, const struct ledger_entry *e, struct err *err)
{
	struct book_cert *c = named(b, e, err);
	struct buf der = { 0 };
	uint8_t spki[32];
	int rc;

	if (c == NULL || get_row(e, &c->chain_start, spki, err) == -1)
		return -1;
	if ((rc = ledger_get_base64(e, "certificate", &der, err)) == 0)
		book_issued(b, c, buf_slice(&der), spki);
	buf_free(&der);
	return rc;
}

static int
take_void(struct book *b, const struct ledger_entry *e, struct err *err)
{
	struct book_cert *c = named(b, e, err);

	if (c == NULL)
		return -1;
	book_void(b, c, get_number(e, "time"));
	return 0;
}

static int
take_revoke(struct book *b, const struct ledger_entry *e, struct err *err)
{
	struct bundle_order o = { .reason = (unsigned)get_number(e,
	    "reason"), .at = get_number(e, "date"),
	    .not_after = get_number(e, "until") };
	char *ca = get_text(e, "ca"), *hex = get_text(e, "serial");
	uint8_t serial[BOOK_SERIAL];
	size_t n = strlen(hex) / 2;
	struct book_revoked *r;
	int rc = -1;

	if (n >= 1 && n <= BOOK_SERIAL && hex_decode(hex, serial, n) == 0) {
		o.ca = slice_str(ca);
		o.serial = slice_of(serial, n);
		rc = 0;
		if (strcmp(e->type, "revoked") == 0)
			book_revoke(b, &o);
		else if ((r = book_revoked(b, o.serial)) != NULL)
			book_release(r);
	}
	free(ca);
	free(hex);
	return rc == 0 ? 0 : ledger_bad(e, "serial", err);
}

static int
take_crl(struct book *b, const struct ledger_entry *e, struct err *err)
{
	char *ca = get_text(e, "ca");
	struct book_list *l = book_list(b, ca);
	uint64_t n = (uint64_t)get_number(e, "number");

	free(ca);
	if (n <= l->number)
		return ledger_bad(e, "number", err);
	l->number = n;
	l->this_update = get_number(e, "time");
	return 0;
}

static int
take_in(struct book *b, const struct ledger_entry *e, struct err *err)
{
	char *s = get_text(e, "deployment");

	snprintf(b->round.deployment, sizeof(b->round.deployment), "%s", s);
	free(s);
	b->round.in = (uint64_t)get_number(e, "round");
	return ledger_get_hex(e, "bundle", b->round.request, BUNDLE_HASH, err);
}

static int
take_out(struct book *b, const struct ledger_entry *e, struct err *err)
{
	b->round.out = (uint64_t)get_number(e, "round");
	book_answered(b);
	return ledger_get_hex(e, "bundle", b->round.response, BUNDLE_HASH, err);
}

static int
take_line(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct line_type lines[] = {
		{ "intent", take_intent }, { "issued", take_issued },
		{ "void", take_void }, { "revoked", take_revoke },
		{ "released", take_revoke }, { "crl", take_crl },
		{ "airgap-in", take_in }, { "airgap-out", take_out }
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strcmp(lines[i].name, e->type) == 0)
			return lines[i].take(arg, e, err);
	return 0;
}

struct book *
book_open(const char *ledger, struct err *err)
{
	struct book *b = xcalloc(1, sizeof(*b));
	const size_t cert = sizeof(struct book_cert);

	b->by_id = (struct index){ .size = cert, .octets = MSG_ID,
	    .offset = offsetof(struct book_cert, id) };
	b->by_serial = (struct index){ .size = cert, .octets = SERIAL_LEN,
	    .offset = offsetof(struct book_cert, serial) };
	b->by_key = (struct index){ .size = cert, .octets = 32,
	    .offset = offsetof(struct book_cert, spki) };
	b->by_revoked = (struct index){ .size = sizeof(struct book_revoked),
	    .offset = offsetof(struct book_revoked, serial),
	    .octets = BOOK_SERIAL + 1 };
	if (ledger_walk(ledger, take_line, b, err) == 0)
		return b;
	book_free(b);
	return NULL;
}

/* What the row of the request says of its decision. */
static int
fetch_intent(struct book *b, const struct ledger_entry *e, struct err *err)
{
	struct book_cert *c = named(b, e, err);
	struct buf row = { 0 };
	struct tuple t;
	int rc = -1;

	if (c == NULL || !c->wanted)
		return c == NULL ? -1 : 0;
	if (ledger_get_base64(e, "decision", &row, err) == 0 &&
	    tuple_parse(buf_slice(&row), &t) == 0 && t.n >= DEC_N) {
		c->decided = slice_int(t.field[DEC_AT]) + PG_EPOCH * 1000000;
		c->major = (uint32_t)slice_int(t.field[DEC_MAJOR]);
		c->minor = (uint32_t)slice_int(t.field[DEC_MINOR]);
		rc = 0;
	}
	buf_free(&row);
	return rc == 0 ? 0 : ledger_bad(e, "decision", err);
}

static int
fetch_line(void *arg, const struct ledger_entry *e, struct err *err)
{
	struct book_cert *c;

	if (strcmp(e->type, "intent") == 0)
		return fetch_intent(arg, e, err);
	if (strcmp(e->type, "issued") != 0)
		return 0;
	if ((c = named(arg, e, err)) == NULL)
		return -1;
	if (!c->wanted || c->der != NULL)
		return 0;
	c->der = xcalloc(1, sizeof(*c->der));
	return ledger_get_base64(e, "certificate", c->der, err);
}

int
book_fetch(struct book *b, const char *ledger, struct err *err)
{
	return ledger_walk(ledger, fetch_line, b, err);
}

void
book_free(struct book *b)
{
	size_t i;

	if (b == NULL)
		return;
	for (i = 0; i < b->ncert; i++) {
		free(b->cert[i].account);
		free(b->cert[i].template_name);
		free(b->cert[i].ca);
		if (b->cert[i].der != NULL)
			buf_free(b->cert[i].der);
		free(b->cert[i].der);
	}
	for (i = 0; i < b->nrevoked; i++)
		free(b->revoked[i].ca);
	for (i = 0; i < b->nlist; i++)
		free(b->list[i].ca);
	free(b->cert);
	free(b->revoked);
	free(b->list);
	free(b->unsaid);
	free(b->by_id.slot);
	free(b->by_serial.slot);
	free(b->by_key.slot);
	free(b->by_revoked.slot);
	free(b);
}
