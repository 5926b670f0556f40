/*
 * Signed heads, kept elsewhere, against the ledgers as they are read: who cut
 * or rewrote one is found here.
 */
#include "headset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chronicle.h"
#include "file.h"

#define SLACK		1024	/* entries of a batch behind the limit */
#define FILE_MAX	((size_t)1 << 30)

struct headset {
	const struct cconf *conf;
	struct head	*v;		/* by signer and seq when sorted */
	size_t		 n, cap, at;
	bool		 sorted;
	/* The ledger at hand. */
	char		 signer[64], hash[HEAD_HASH + 1];
	char		 key[AUDIT_PUB_HEX + 1];
	uint64_t	 seq, last_head, every;
	uint64_t	 signed_to;	/* last entry that a head vouches for */
	struct head	 last;		/* good one; seq 0: none */
	uint64_t	 kept;		/* that the database had by then */
	bool		 trusted;	/* key is the configuration's */
	bool		 told;		/* one finding of a kind is enough */
};

struct headset *
headset_new(const struct cconf *c)
{
	struct headset *h = xcalloc(1, sizeof *h);

	h->conf = c;
	return h;
}

void
headset_free(struct headset *h)
{
	if (h == NULL)
		return;
	free(h->v);
	free(h);
}

size_t
headset_count(const struct headset *h)
{
	return h->n;
}

/* NULL: nobody has told whose key counts. */
static const char *
key_of(const struct headset *h, const char *signer)
{
	size_t i;

	for (i = 0; i < h->conf->nsigners; i++)
		if (strcmp(h->conf->signers[i].name, signer) == 0)
			return h->conf->signers[i].audit_key;
	return NULL;
}

/* A finding about one entry: "signer seq". */
static void
complain(const struct chr_sink *sink, const char *signer, uint64_t seq,
    const char *text)
{
	char object[96];

	snprintf(object, sizeof object, "%s %" PRIu64, signer, seq);
	sink->finding(sink->arg, "head", object, text);
}

void
headset_add(struct headset *h, const char *line, const struct chr_sink *sink)
{
	struct head head;
	const char *key;

	if (strstr(line, "{\"ledger\":") == NULL)
		return;
	if (head_parse(line, &head) != 0) {
		sink->finding(sink->arg, "head", NULL,
		    "a copy of a head is damaged");
		return;
	}
	key = key_of(h, head.signer);
	if (!head_verify(&head, key != NULL ? key : head.key)) {
		complain(sink, head.signer, head.seq, "a copy of this head "
		    "is not signed by the signer's audit key");
		return;
	}
	h->v = xgrow(h->v, h->n, &h->cap, sizeof *h->v);
	h->v[h->n++] = head;
	h->sorted = false;
}

int
headset_file(struct headset *h, const char *path, const struct chr_sink *sink,
    struct err *err)
{
	struct buf b = { 0 };
	char *line, *p;
	size_t n = h->n;
	int rc = file_read(path, FILE_MAX, &b, err);

	p = buf_str(&b);
	while (rc == 0 && (line = strsep(&p, "\n")) != NULL)
		headset_add(h, line, sink);
	buf_free(&b);
	if (rc == 0 && h->n == n)
		return err_set(err, ERR_DENIED, "%s: no heads of ledgers",
		    path);
	return rc;
}

static int
by_place(const void *a, const void *b)
{
	const struct head *x = a, *y = b;
	int c = strcmp(x->signer, y->signer);

	return c != 0 ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

void
headset_begin(struct headset *h)
{
	if (!h->sorted && h->n > 0)
		qsort(h->v, h->n, sizeof *h->v, by_place);
	h->sorted = true;
	h->signer[0] = h->key[0] = '\0';
	h->seq = h->last_head = h->every = h->signed_to = 0;
	h->at = 0;
	h->kept = 0;
	memset(&h->last, 0, sizeof h->last);
	h->trusted = h->told = false;
}

/* The first that is wrong with this ledger: the rest follows from it. */
static void
once(struct headset *h, const struct chr_sink *sink, uint64_t seq,
    const char *text)
{
	if (!h->told)
		complain(sink, h->signer, seq, text);
	h->told = true;
}

/* Which key must sign from here on, and how often. */
static void
take_start(struct headset *h, const struct ledger_entry *e,
    const struct chr_sink *sink)
{
	struct buf name = { 0 }, key = { 0 };
	int64_t every = 0;
	const char *want;

	if (ledger_get(e, "signer", &name) == 0)
		snprintf(h->signer, sizeof h->signer, "%s", buf_str(&name));
	want = key_of(h, h->signer);
	h->trusted = want != NULL;
	h->key[0] = '\0';
	if (ledger_get(e, "audit", &key) == 0)
		snprintf(h->key, sizeof h->key, "%s", buf_str(&key));
	if (want != NULL && strcmp(want, h->key) != 0) {
		once(h, sink, e->seq, "is not begun with the signer's audit "
		    "key");
		snprintf(h->key, sizeof h->key, "%s", want);
	}
	(void)ledger_get_num(e, "entries", &every);
	h->every = (uint64_t)every;
	/* Copies are sorted by signer: those of others come first. */
	while (h->at < h->n && strcmp(h->v[h->at].signer, h->signer) < 0)
		h->at++;
	buf_free(&name);
	buf_free(&key);
}

/* It speaks of the entry before, whose hash is still here. */
static void
take_head(struct headset *h, const struct ledger_entry *e,
    const struct chr_sink *sink)
{
	struct head head = { .seq = e->seq - 1 };
	struct err none = ERR_INIT;
	int64_t kept = 0;
	bool good;

	snprintf(head.signer, sizeof head.signer, "%s", h->signer);
	memcpy(head.hash, h->hash, sizeof head.hash);
	memcpy(head.key, h->key, sizeof head.key);
	good = ledger_get_hex(e, "sig", head.sig, sizeof head.sig,
	    &none) == 0 && head_verify(&head, h->key);
	if (!good)
		once(h, sink, e->seq, "head is not signed by the signer's "
		    "audit key");
	else {
		h->last = head;
		if (ledger_get_num(e, "kept", &kept) == 0)
			h->kept = (uint64_t)kept;
	}
	if (good && h->trusted)
		h->signed_to = e->seq;
	h->last_head = e->seq;
}

/* What a copy says of the entry before e. */
static void
compare(struct headset *h, const struct ledger_entry *e,
    const struct chr_sink *sink)
{
	for (; h->at < h->n && strcmp(h->v[h->at].signer, h->signer) == 0 &&
	    h->v[h->at].seq < e->seq; h->at++) {
		if (h->v[h->at].seq != e->seq - 1 ||
		    strcmp(h->v[h->at].hash, h->hash) != 0)
			once(h, sink, h->v[h->at].seq, "is another entry than "
			    "its signed head says: the ledger was written "
			    "anew");
		else if (h->trusted)
			h->signed_to = h->v[h->at].seq;
	}
}

void
headset_entry(struct headset *h, const struct ledger_entry *e,
    const struct chr_sink *sink)
{
	if (strcmp(e->type, "start") == 0)
		take_start(h, e, sink);
	compare(h, e, sink);
	if (strcmp(e->type, "head") == 0)
		take_head(h, e, sink);
	else if (h->trusted && h->every > 0 &&
	    e->seq - h->last_head > h->every + SLACK)
		once(h, sink, e->seq, "no signed head before it");
	memcpy(h->hash, e->hash, HEAD_HASH);
	h->seq = e->seq;
}

uint64_t
headset_signed(const struct headset *h)
{
	return h->signed_to;
}

uint64_t
headset_last(const struct headset *h, struct head *out)
{
	*out = h->last;
	return h->kept;
}

/*
 * Copies may speak of the last entry, which no later one has shown, or of one
 * that is not there: then the end is missing.
 */
void
headset_end(struct headset *h, const char *signer,
    const struct chr_sink *sink)
{
	if (h->trusted && h->last_head == 0)
		once(h, sink, h->seq, "the ledger has no signed head");
	for (; h->at < h->n && h->v[h->at].seq == h->seq &&
	    strcmp(h->v[h->at].signer, signer) == 0; h->at++)
		if (strcmp(h->v[h->at].hash, h->hash) != 0)
			once(h, sink, h->seq, "is another entry than its "
			    "signed head says: the ledger was written anew");
		else if (h->trusted)
			h->signed_to = h->seq;
	for (; h->at < h->n; h->at++)
		if (strcmp(h->v[h->at].signer, signer) == 0) {
			complain(sink, signer, h->v[h->at].seq, "a copy of "
			    "its head exists, and the ledger ends before it: "
			    "it was cut off");
			break;
		}
}
