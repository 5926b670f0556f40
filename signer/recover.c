/*
 * Intents whose end is not known: read out of the ledger at start, or left by
 * commit.c; each is settled before anything new is signed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audittable.h"
#include "caset.h"
#include "failpoint.h"
#include "file.h"
#include "heads.h"
#include "journal.h"
#include "ledger_chain.h"
#include "log.h"
#include "rollback.h"
#include "rowform.h"
#include "signer.h"
#include "tuple.h"

#define CHUNK	256		/* intents settled at a time */

void
intents_add(struct intents *l, const struct intent *in)
{
	l->v = xgrow(l->v, l->n, &l->cap, sizeof(*l->v));
	l->v[l->n++] = *in;
}

void
intents_free(struct intents *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

void
intents_drop(struct intents *l, size_t i)
{
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(l->v[0]));
	l->n--;
}

struct walk {			/* reading the ledger */
	struct intents	 open;
	struct signer	*s;
	struct store_head known;	/* what the database knows of it */
	bool		 head_seen;
	unsigned	 prefix;	/* of the last start; 0 = none told */
};

static int
get_intent(const struct ledger_entry *e, enum msg_status status,
    struct intent *in, struct err *err)
{
	struct buf ca = { 0 };

	memset(in, 0, sizeof(*in));
	in->status = status;
	if (ledger_get_hex(e, "id", in->id, MSG_ID, err) == -1 ||
	    (status == MSG_ISSUED &&
	    ledger_get_hex(e, "serial", in->serial, SERIAL_LEN, err) == -1))
		return -1;
	if (ledger_get(e, "ca", &ca) == -1)
		return ledger_bad(e, "ca", err);
	snprintf(in->ca, sizeof(in->ca), "%s", buf_str(&ca));
	buf_free(&ca);
	return 0;
}

/* Of the row that came with the request; a later decision has none. */
static uint32_t
row_number(const struct ledger_entry *e)
{
	struct err ignored = ERR_INIT;
	struct buf row = { 0 };
	struct tuple t;
	uint32_t n = 0;

	if (ledger_get_base64(e, "request", &row, &ignored) == 0 &&
	    tuple_parse(buf_slice(&row), &t) == 0 && t.n > SUB_NUMBER)
		n = (uint32_t)slice_int(t.field[SUB_NUMBER]);
	buf_free(&row);
	return n;
}

/* An intent, a denial, a pending request. */
static int
walk_intent(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	enum msg_status status = MSG_ISSUED;
	struct intent in;

	if (strcmp(e->type, "denied") == 0)
		status = MSG_DENIED;
	else if (strcmp(e->type, "pending") == 0)
		status = MSG_PENDING;
	if (get_intent(e, status, &in, err) == -1)
		return -1;
	if (status != MSG_ISSUED)
		in.number = row_number(e);
	intents_add(&w->open, &in);
	return 0;
}

/* The oldest intents are the first to end: the search is short. */
static struct intent *
find_serial(struct walk *w, const uint8_t serial[SERIAL_LEN])
{
	size_t i;

	for (i = 0; i < w->open.n; i++) {
		if (w->open.v[i].status == MSG_ISSUED &&
		    memcmp(w->open.v[i].serial, serial, SERIAL_LEN) == 0)
			return &w->open.v[i];
	}
	return NULL;
}

static int
walk_issued(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	uint8_t serial[SERIAL_LEN];
	struct intent *in;

	if (ledger_get_hex(e, "serial", serial, sizeof(serial), err) == -1)
		return -1;
	if ((in = find_serial(w, serial)) != NULL)
		in->signed_too = true;
	return 0;
}

/* With a serial, or the id of what has none. */
static int
walk_void(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	uint8_t serial[SERIAL_LEN], id[MSG_ID];
	struct intent *in = NULL;
	struct err ignored = ERR_INIT;
	size_t i;

	if (ledger_get_hex(e, "serial", serial, sizeof(serial), &ignored) == 0)
		in = find_serial(w, serial);
	else if (ledger_get_hex(e, "id", id, sizeof(id), err) == -1)
		return -1;
	else
		for (i = 0; i < w->open.n && in == NULL; i++)
			if (w->open.v[i].status != MSG_ISSUED &&
			    memcmp(w->open.v[i].id, id, MSG_ID) == 0)
				in = &w->open.v[i];
	if (in != NULL)
		intents_drop(&w->open, (size_t)(in - w->open.v));
	return 0;
}

static void
done_one(struct walk *w, const uint8_t id[MSG_ID])
{
	size_t i;

	for (i = 0; i < w->open.n; i++) {
		if (memcmp(w->open.v[i].id, id, MSG_ID) != 0)
			continue;
		/* Older versions closed what was another signer's row. */
		w->open.v[i].number = 0;
		intents_add(&w->s->marks, &w->open.v[i]);
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

	w->s->marks.n = 0;
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
		ledger_bad(e, "ids", err);
	return rc;
}

/* Whose ledger it is; the prefix is compared when all is read. */
static int
walk_start(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf name = { 0 };
	int64_t prefix;
	int rc = 0;

	if (ledger_get(e, "signer", &name) == 0 &&
	    strcmp(buf_str(&name), w->s->conf->name) != 0)
		rc = err_set(err, ERR_INTERNAL, "ledger: is that of signer "
		    "%s, not of %s", buf_str(&name), w->s->conf->name);
	if (ledger_get_num(e, "prefix", &prefix) == 0)
		w->prefix = (unsigned)prefix;
	buf_free(&name);
	return rc;
}

/* Numbers of revocation lists never repeat: crlmake.c goes on from here. */
static int
walk_crl(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf name = { 0 };
	struct ca *ca;
	int64_t n = 0;
	int rc = 0;

	if (ledger_get(e, "ca", &name) == -1 ||
	    ledger_get_num(e, "number", &n) == -1 || n <= 0)
		rc = ledger_bad(e, "number", err);
	else if ((ca = caset_key(w->s, buf_slice(&name))) != NULL) {
		if ((uint64_t)n > ca->crl_number)
			ca->crl_number = (uint64_t)n;
		if (strcmp(e->type, "listed") == 0)
			ca->crl_listed = (uint64_t)n;
	}
	buf_free(&name);
	return rc;
}

/* A line that is not what it should be verify tells of; nothing rests on it. */
static int
walk_audit(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct buf row = { 0 };
	struct tuple t;

	(void)err;
	if (ledger_get_base64(e, "row", &row, &ignored) == 0 &&
	    tuple_parse(buf_slice(&row), &t) == 0)
		audittable_take(&t, &w->s->audited);
	buf_free(&row);
	return 0;
}

/* What the files before it would have told: see segment.c. */
static int
walk_segment(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct intents *marks = &w->s->marks;
	struct audit_row audited;
	struct err ignored = ERR_INIT;
	struct intent last;
	int64_t status;

	if (walk_start(w, e, err) == -1)
		return -1;
	if (ledger_get_hex(e, "audit", (uint8_t *)&audited, sizeof(audited),
	    &ignored) == 0)
		w->s->audited = audited;
	if (marks->n > 0 || ledger_get_num(e, "status", &status) == -1)
		return 0;
	if (get_intent(e, (enum msg_status)status, &last, err) == -1)
		return -1;
	intents_add(marks, &last);
	return 0;
}

static int
walk_numbers(struct walk *w, const struct ledger_entry *e, struct err *err)
{
	struct buf name = { 0 };
	int64_t number, listed;
	struct ca *ca = NULL;

	if (ledger_get(e, "ca", &name) == 0)
		ca = caset_key(w->s, buf_slice(&name));
	buf_free(&name);
	if (ledger_get_num(e, "number", &number) == -1 || number < 0 ||
	    ledger_get_num(e, "listed", &listed) == -1 || listed < 0)
		return ledger_bad(e, "numbers", err);
	if (ca != NULL && (uint64_t)number > ca->crl_number)
		ca->crl_number = (uint64_t)number;
	if (ca != NULL && (uint64_t)listed > ca->crl_listed)
		ca->crl_listed = (uint64_t)listed;
	return 0;
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
		{ "denied", walk_intent },
		{ "pending", walk_intent },
		{ "issued", walk_issued },
		{ "void", walk_void },
		{ "done", walk_done },
		{ "crl", walk_crl },
		{ "listed", walk_crl },
		{ "segment", walk_segment },
		{ "numbers", walk_numbers },
		{ "audit", walk_audit },
		{ "start", walk_start }
	};
	struct walk *w = arg;
	size_t i;

	if (e->seq == w->known.seq)
		w->head_seen = strncmp(e->hash, w->known.hash, 64) == 0;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].type, e->type) == 0)
			return types[i].take(w, e, err);
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

/*
 * A message that was repeated may be a row by another signer: of the same id,
 * and under another number.
 */
static bool
is_row_of(const struct stored *row, const struct intent *in)
{
	if (in->status == MSG_ISSUED)
		return slice_eq(row->serial, slice_of(in->serial,
		    SERIAL_LEN));
	return slice_eq(row->id, slice_of(in->id, MSG_ID)) &&
	    (in->number == 0 || row->number == in->number) &&
	    (in->status == MSG_PENDING || row->status == in->status);
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
		*yes = is_row_of(&row, in);
	}
	return 0;
}

int
recover_has_rows(struct signer *s, const struct intents *l, bool *all,
    size_t *lacking, struct err *err)
{
	struct found f = { NULL, NULL };
	size_t i;
	int rc = 0;

	*all = true;
	if (l->n > 0)
		rc = find(s, l, &f, err);
	for (i = 0; i < l->n && rc == 0 && *all; i++) {
		rc = has_row(&f, &l->v[i], all, err);
		if (rc == 0 && !*all)
			*lacking = i;
	}
	found_free(&f);
	return rc;
}

/* [security] P10: what others hold against a ledger that was cut off. */
static int
lacks(const struct store_head *known, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "ledger: lacks entry %llu whose "
	    "signed head the database has: it was cut off or is an old copy; "
	    "put the right one back, or give this signer a new name",
	    (unsigned long long)known->seq);
}

int
recover_look(struct signer *s, struct err *err)
{
	struct store_head known;
	struct buf path = { 0 };
	int rc = store_head(s->store, &known, err);

	buf_printf(&path, "%s/" LEDGER_FILE, s->conf->ledger);
	if (rc == 0 && known.seq > 0 && !file_exists(buf_str(&path)) &&
	    errno == ENOENT)
		rc = lacks(&known, err);
	buf_free(&path);
	return rc;
}

static int
check_ledger(const struct walk *w, struct err *err)
{
	if (w->known.seq > 0 && !w->head_seen)
		return lacks(&w->known, err);
	if (w->prefix != 0 && w->prefix != w->s->prefix)
		return rollback_report(w->s, err, "signer %s has prefix %u "
		    "there and %u in its ledger", w->s->conf->name,
		    w->s->prefix, w->prefix);
	return 0;
}

int
recover_start(struct signer *s, struct err *err)
{
	struct walk w = { .s = s };
	struct err old = ERR_INIT;
	int rc;

	if (store_head(s->store, &w.known, err) == -1 ||
	    store_rollback_ended(s->store, &s->ended, err) == -1)
		return -1;
	rc = ledger_walk_from(s->conf->ledger, w.known.seq, walk_entry, &w,
	    err);
	s->unresolved = w.open;
	if (rc == -1 || check_ledger(&w, err) == -1)
		return -1;
	heads_known(s, w.known.seq);
	if (rollback_check(s, &old) == -1) {
		if (!s->rolled_back)
			return err_set(err, old.kind, "%s", old.text);
		/* Stay, refuse, and go on when it has been put right. */
		log_note("rollback", "%s", old.text);
		return 0;
	}
	if (w.open.n > 0)
		log_note("recover", "%zu intents without an end", w.open.n);
	return recover_resolve(s, err);
}

/* Only it knows where a ledger was cut off; a vault has none. */
static int
test_head(struct signer *s, struct store_head *known, struct err *err)
{
	struct err why = ERR_INIT;

	if (s->conf->database == NULL)
		return 0;
	s->store = store_open(s->conf->database, s->conf->name);
	if (store_head(s->store, known, &why) == 0)
		return 0;
	if (why.kind != ERR_UNAVAILABLE)
		return err_set(err, why.kind, "%s", why.text);
	log_note("ledger", "not compared with its head in the database: %s",
	    why.text);
	return 0;
}

/* The head first: what the database has is in the ledger before. */
int
recover_test(struct signer *s, struct err *err)
{
	struct walk w = { .s = s };
	enum ledger_seen seen;
	int rc = 0;

	if (test_head(s, &w.known, err) == -1 ||
	    ledger_look(s->conf->ledger, &seen, err) == -1)
		return -1;
	if (seen == LEDGER_IN_USE)
		log_note("ledger", "%s: a signer is running, and has it",
		    s->conf->ledger);
	if (seen == LEDGER_ABSENT)
		log_note("ledger", "%s: none yet, the first start begins one",
		    s->conf->ledger);
	else
		rc = ledger_walk_from(s->conf->ledger, w.known.seq, walk_entry,
		    &w, err);
	intents_free(&w.open);
	if (rc == 0 && w.known.seq > 0 && !w.head_seen)
		rc = lacks(&w.known, err);
	return rc;
}

static void
add_void(struct signer *s, const struct intent *in)
{
	struct buf b = { 0 };

	ledger_field_hex(&b, "id", in->id, MSG_ID);
	if (in->status == MSG_ISSUED)
		ledger_field_hex(&b, "serial", in->serial, SERIAL_LEN);
	ledger_field(&b, "ca", slice_str(in->ca));
	ledger_add(s->ledger, "void", buf_slice(&b));
	buf_free(&b);
}

/* The certificate, when the ledger lost its entry in the crash. */
static int
add_lost(struct signer *s, const struct intent *in, struct err *err)
{
	return in->status == MSG_ISSUED && !in->signed_too ?
	    journal_stored(s, in, err) : 0;
}

static void
add_done(struct signer *s, const struct intent *in)
{
	struct buf b = { 0 };

	ledger_field_hex(&b, "ids", in->id, MSG_ID);
	ledger_add(s->ledger, "done", buf_slice(&b));
	buf_free(&b);
	s->marks.n = 0;
	intents_add(&s->marks, in);
}

/* Sort into those with a row and those without. */
static int
split(struct signer *s, const struct intents *part, struct intents *there,
    struct intents *absent, struct err *err)
{
	struct found f = { NULL, NULL };
	const struct intent *in;
	bool yes;
	size_t i;
	int rc;

	rc = find(s, part, &f, err);
	for (i = 0; i < part->n && rc == 0; i++) {
		in = &part->v[i];
		if ((rc = has_row(&f, in, &yes, err)) == 0)
			intents_add(yes ? there : absent, in);
	}
	found_free(&f);
	return rc;
}

/*
 * What the database has to do comes first: an entry "done" or "void" closes its
 * intent, must not be told twice, and what "void" says must be on the lists by
 * then.  A failure or a crash before repeats all of it.
 */
static int
settle(struct signer *s, const struct intents *part, struct err *err)
{
	struct intents there = { 0 }, absent = { 0 };
	size_t i;
	int rc;

	rc = split(s, part, &there, &absent, err);
	if (rc == 0)		/* the one of the barrier */
		rc = store_same_session(s->store, err);
	if (rc == 0 && absent.n > 0)
		rc = store_void(s->store, &absent, err);
	fail_point("voided");
	for (i = 0; rc == 0 && i < there.n; i++)
		rc = add_lost(s, &there.v[i], err);
	for (i = 0; rc == 0 && i < there.n; i++)
		add_done(s, &there.v[i]);
	for (i = 0; rc == 0 && i < absent.n; i++)
		add_void(s, &absent.v[i]);
	if (rc == 0)
		rc = journal_sync(s, err);
	if (rc == 0)
		log_note("recover", "%zu intents have rows, %zu are "
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
	if (signer_ready(s, err) == -1 ||
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
