#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "signer.h"

#define CHUNK	256		/* intents settled at a time */

void
intents_add(struct intents *l, const uint8_t id[MSG_ID],
    const uint8_t serial[SERIAL_LEN], const char *ca)
{
	struct intent *i;

	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->v = xreallocarray(l->v, l->cap, sizeof(*l->v));
	}
	i = &l->v[l->n++];
	memset(i, 0, sizeof(*i));
	memcpy(i->id, id, MSG_ID);
	memcpy(i->serial, serial, SERIAL_LEN);
	strncpy(i->ca, ca, sizeof(i->ca) - 1);
}

void
intents_free(struct intents *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static void
intents_drop(struct intents *l, size_t i)
{
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(l->v[0]));
	l->n--;
}

int
signer_sync(struct signer *s, struct err *err)
{
	if (ledger_sync(s->ledger, err) == 0) {
		s->unsynced = false;
		return 0;
	}
	s->ledger_failed = true;
	return -1;
}

struct walk {			/* reading the ledger */
	struct intents	 open;
	struct intents	 done;	/* of the last "done" entry */
	struct signer	*s;
};

static int
get_hex(const struct ledger_entry *e, const char *key, uint8_t *out,
    size_t n, struct err *err)
{
	struct buf b = { 0 };
	int rc = -1;

	if (ledger_get(e, key, &b) == 0 && b.n == 2 * n)
		rc = hex_decode(buf_str(&b), out, n);
	buf_free(&b);
	if (rc == 0)
		return 0;
	return err_set(err, ERR_INTERNAL, "ledger: entry %llu: bad %s",
	    (unsigned long long)e->seq, key);
}

static int
walk_intent(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf ca = { 0 };
	uint8_t id[MSG_ID], serial[SERIAL_LEN];

	if (get_hex(e, "id", id, sizeof(id), err) == -1 ||
	    get_hex(e, "serial", serial, sizeof(serial), err) == -1)
		return -1;
	if (ledger_get(e, "ca", &ca) == -1)
		return err_set(err, ERR_INTERNAL,
		    "ledger: entry %llu: no ca", (unsigned long long)e->seq);
	intents_add(&w->open, id, serial, buf_str(&ca));
	buf_free(&ca);
	return 0;
}

static int
walk_void(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	uint8_t serial[SERIAL_LEN];
	size_t i;

	if (get_hex(e, "serial", serial, sizeof(serial), err) == -1)
		return -1;
	for (i = 0; i < w->open.n; i++) {
		if (memcmp(w->open.v[i].serial, serial, SERIAL_LEN) == 0) {
			intents_drop(&w->open, i);
			break;
		}
	}
	return 0;
}

/* The oldest intents are the first to be done: the search is short. */
static void
done_one(struct walk *w, const uint8_t id[MSG_ID])
{
	size_t i;

	for (i = 0; i < w->open.n; i++) {
		if (memcmp(w->open.v[i].id, id, MSG_ID) != 0)
			continue;
		intents_add(&w->done, id, w->open.v[i].serial,
		    w->open.v[i].ca);
		intents_drop(&w->open, i);
		return;
	}
}

static int
walk_done(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf ids = { 0 };
	uint8_t id[MSG_ID];
	char *p, *one;
	int rc = 0;

	w->done.n = 0;
	if (ledger_get(e, "ids", &ids) == -1)
		rc = -1;
	p = rc == 0 ? buf_str(&ids) : NULL;
	while (rc == 0 && (one = strsep(&p, ",")) != NULL) {
		rc = strlen(one) == 2 * MSG_ID ?
		    hex_decode(one, id, MSG_ID) : -1;
		if (rc == 0)
			done_one(w, id);
	}
	buf_free(&ids);
	if (rc == -1)
		err_set(err, ERR_INTERNAL, "ledger: entry %llu: bad ids",
		    (unsigned long long)e->seq);
	return rc;
}

/* Numbers of revocation lists never repeat: crlmake.c goes on from here. */
static int
walk_crl(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf ca = { 0 }, number = { 0 };
	uint64_t n = 0;
	size_t i;
	int rc = 0;

	if (ledger_get(e, "ca", &ca) == 0 &&
	    ledger_get(e, "number", &number) == 0)
		n = strtoull(buf_str(&number), NULL, 10);
	if (n == 0 || n == UINT64_MAX)
		rc = err_set(err, ERR_INTERNAL, "ledger: entry %llu: bad "
		    "number", (unsigned long long)e->seq);
	for (i = 0; i < w->s->ncas && rc == 0; i++) {
		if (strcmp(w->s->cas[i]->name, buf_str(&ca)) == 0 &&
		    n > w->s->cas[i]->crl_number)
			w->s->cas[i]->crl_number = n;
	}
	buf_free(&ca);
	buf_free(&number);
	return rc;
}

static int
walk_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct {
		const char *type;
		int (*take)(struct walk *, const struct ledger_entry *,
		    struct err *);
	} types[] = {
		{ "intent", walk_intent },
		{ "void", walk_void },
		{ "done", walk_done },
		{ "crl", walk_crl }
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].type, e->type) == 0)
			return types[i].take(arg, e, err);
	}
	return 0;
}

static int
find(struct signer *s, const struct intents *l, struct found *f,
    struct err *err)
{
	struct store_key *keys = xcalloc(l->n + 1, sizeof(*keys));
	size_t i;
	int rc;

	for (i = 0; i < l->n; i++)
		memcpy(keys[i].id, l->v[i].id, MSG_ID);
	rc = store_find(s->store, keys, l->n, f, err);
	free(keys);
	return rc;
}

static int
has_row(const struct found *f, const struct intent *in, bool *yes,
    struct err *err)
{
	struct stored row;
	size_t i;

	*yes = false;
	for (i = 0; i < found_count(f) && !*yes; i++) {
		if (found_get(f, i, &row, err) == -1)
			return -1;
		*yes = slice_eq(row.serial,
		    slice_of(in->serial, SERIAL_LEN));
	}
	return 0;
}

/* What the ledger says is committed must be there. */
static int
check_done(struct signer *s, const struct intents *done, struct err *err)
{
	struct found f = { NULL };
	char id[2 * MSG_ID + 1];
	bool yes = true;
	size_t i;
	int rc;

	rc = find(s, done, &f, err);
	for (i = 0; i < done->n && rc == 0 && yes; i++) {
		rc = has_row(&f, &done->v[i], &yes, err);
		if (rc == 0 && !yes) {
			hex_encode(done->v[i].id, MSG_ID, id);
			rc = err_set(err, ERR_INTERNAL, "database lacks "
			    "request %s, which the ledger knows as committed: "
			    "restored from an old backup?", id);
		}
	}
	found_free(&f);
	return rc;
}

int
recover_start(struct signer *s, struct err *err)
{
	struct walk w = { .s = s };
	int rc;

	rc = ledger_walk(s->conf->ledger, walk_entry, &w, err);
	if (rc == 0 && w.done.n > 0)
		rc = check_done(s, &w.done, err);
	intents_free(&w.done);
	if (rc == -1) {
		intents_free(&w.open);
		return -1;
	}
	s->unresolved = w.open;
	if (w.open.n > 0)
		log_note("recover", "%zu intents without an end", w.open.n);
	return recover_resolve(s, err);
}

static void
add_void(struct signer *s, const struct intent *in)
{
	struct buf b = { 0 };

	ledger_field_hex(&b, "id", in->id, MSG_ID);
	ledger_field_hex(&b, "serial", in->serial, SERIAL_LEN);
	ledger_field(&b, "ca", slice_str(in->ca));
	ledger_add(s->ledger, "void", buf_slice(&b));
	buf_free(&b);
}

static void
add_done(struct signer *s, const struct intent *in)
{
	struct buf b = { 0 };

	ledger_field_hex(&b, "ids", in->id, MSG_ID);
	ledger_add(s->ledger, "done", buf_slice(&b));
	buf_free(&b);
}

/* Sort into those with a row and those without. */
static int
split(struct signer *s, const struct intents *part, struct intents *there,
    struct intents *absent, struct err *err)
{
	struct found f = { NULL };
	const struct intent *in;
	bool yes;
	size_t i;
	int rc;

	rc = find(s, part, &f, err);
	for (i = 0; i < part->n && rc == 0; i++) {
		in = &part->v[i];
		if ((rc = has_row(&f, in, &yes, err)) == 0)
			intents_add(yes ? there : absent, in->id, in->serial,
			    in->ca);
	}
	found_free(&f);
	return rc;
}

static int
settle(struct signer *s, const struct intents *part, struct err *err)
{
	struct intents there = { 0 }, absent = { 0 };
	size_t i;
	int rc;

	rc = split(s, part, &there, &absent, err);
	if (rc == 0 && absent.n > 0)
		rc = store_void(s->store, &absent, err);
	for (i = 0; rc == 0 && i < there.n; i++)
		add_done(s, &there.v[i]);
	for (i = 0; rc == 0 && i < absent.n; i++)
		add_void(s, &absent.v[i]);
	if (rc == 0)
		rc = signer_sync(s, err);
	if (rc == 0)
		log_note("recover", "%zu intents have rows, %zu serials are "
		    "void", there.n, absent.n);
	intents_free(&there);
	intents_free(&absent);
	return rc;
}

int
recover_resolve(struct signer *s, struct err *err)
{
	struct intents *l = &s->unresolved, part;

	if (l->n == 0)
		return 0;
	/*
	 * Having the session's lock, no older session of ours can still
	 * commit; the barrier makes durable what it did commit.
	 */
	if (store_ready(s->store, err) == -1 ||
	    store_barrier(s->store, err) == -1)
		return -1;
	while (l->n > 0) {
		part.v = l->v;
		part.n = l->n < CHUNK ? l->n : CHUNK;
		part.cap = 0;
		if (settle(s, &part, err) == -1)
			return -1;
		memmove(l->v, l->v + part.n,
		    (l->n - part.n) * sizeof(l->v[0]));
		l->n -= part.n;
	}
	return 0;
}
