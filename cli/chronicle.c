/*
 * All ledgers into memory, entry by entry: the reading half of "ledger
 * verify" and "reconcile".  Each type of entry has a function; take_entry has
 * the table.
 */
#include "chronicle.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base64.h"
#include "rowform.h"
#include "tuple.h"

#define ROW_MAX		(1024 * 1024)

/* One ledger being read. */
struct reading {
	struct chronicle	*c;
	struct chr_ledger	*l;
	uint16_t		 index;
	size_t			*open;	/* rows whose end is to come */
	size_t			 nopen, capopen;
	uint8_t			 (*approved)[CHR_ID];	/* see take_approved */
	size_t			 napproved, capapproved;
	bool			 vault;	/* an answer was begun in it */
};

void
chr_digest(struct slice s, uint8_t out[CHR_DIGEST])
{
	uint8_t md[32];

	if (EVP_Digest(s.p, s.n, md, NULL, EVP_sha256(), NULL) != 1)
		abort();
	memcpy(out, md, CHR_DIGEST);
}

void
chr_what(const char *at, const char *reason, const char *until,
    uint8_t out[CHR_DIGEST])
{
	struct buf b = { 0 };

	buf_printf(&b, "%s|%s|%s", at, reason, until);
	chr_digest(buf_slice(&b), out);
	buf_free(&b);
}

void
chr_who(const char *who, const char *note, uint8_t out[CHR_DIGEST])
{
	struct buf b = { 0 };

	buf_printf(&b, "%s|%s", who, note);
	chr_digest(buf_slice(&b), out);
	buf_free(&b);
}

uint16_t
chronicle_ca(struct chronicle *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->ca.n; i++)
		if (strcmp(c->ca.v[i], name) == 0)
			return (uint16_t)i;
	if (c->ca.n == UINT16_MAX)
		abort();	/* no deployment has as many */
	c->ca.v = xreallocarray(c->ca.v, c->ca.n + 1, sizeof *c->ca.v);
	c->ca.v[c->ca.n++] = xstrdup(name);
	return (uint16_t)(c->ca.n - 1);
}

/* Room for one more, zeroed. */
static void *
grow(void **v, size_t *n, size_t *cap, size_t size)
{
	*v = xgrow(*v, *n, cap, size);
	memset((char *)*v + *n * size, 0, size);
	return (char *)*v + (*n)++ * size;
}
#define GROW(v, n, cap)	((__typeof__(v))grow((void **)&(v), &(n), &(cap), \
			    sizeof *(v)))

static int
get_ca(struct chronicle *c, const struct ledger_entry *e, uint16_t *out,
    struct err *err)
{
	struct buf b = { 0 };
	int rc = ledger_get(e, "ca", &b);

	if (rc == 0)
		*out = chronicle_ca(c, buf_str(&b));
	buf_free(&b);
	return rc == 0 ? 0 : ledger_bad(e, "ca", err);
}

/*
 * 1: there, decoded; 0: no such field, as in entries of older versions; -1.
 * One look-up, not ledger_get_base64's second: there are millions.
 */
static int
get_base64(const struct ledger_entry *e, const char *key, struct buf *out,
    struct err *err)
{
	struct buf b = { 0 };
	struct err why = ERR_INIT;
	int rc = 0;

	if (ledger_get(e, key, &b) == 0)
		rc = base64_decode((const char *)b.p, b.n, ROW_MAX, out,
		    &why) == 0 ? 1 : ledger_bad(e, key, err);
	buf_free(&b);
	return rc;
}

static int
get_digest(const struct ledger_entry *e, const char *key,
    uint8_t out[CHR_DIGEST], struct err *err)
{
	struct buf b = { 0 };
	int rc = get_base64(e, key, &b, err);

	if (rc == 1)
		chr_digest(buf_slice(&b), out);
	buf_free(&b);
	return rc;
}

/*
 * Signers are at work meanwhile: what they wrote after the database was read
 * may be here and not there.
 */
static bool
is_claimed(const struct reading *r, const struct ledger_entry *e)
{
	return e->end <= r->l->size;
}

/* A folder that is named twice, or one that another's ledger was copied to. */
static int
check_once(struct reading *r, const char *signer, struct err *err)
{
	const struct chr_ledger *l;

	for (l = r->c->ledger; l < r->l; l++)
		if (l->signer != NULL && strcmp(l->signer, signer) == 0)
			return err_set(err, ERR_DENIED, "is the ledger of %s, "
			    "as %.120s is: each is named once", signer,
			    l->dir);
	return 0;
}

/* Whose it is stands in each start, and must be the same in all of them. */
static int
take_start(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct buf name = { 0 }, deployment = { 0 };
	int64_t prefix = 0;
	int rc = ledger_get(e, "signer", &name);

	if (rc == 0 && r->l->signer == NULL && check_once(r, buf_str(&name),
	    err) != 0) {
		buf_free(&name);
		return -1;
	}
	(void)ledger_get_num(e, "prefix", &prefix);
	r->l->prefix = (unsigned)prefix;
	if (is_claimed(r, e))
		(void)ledger_get_num(e, "epoch", &r->l->epoch);
	if (rc == 0 && r->l->signer == NULL)
		r->l->signer = xstrdup(buf_str(&name));
	else if (rc == 0 && strcmp(r->l->signer, buf_str(&name)) != 0)
		rc = -1;
	if (ledger_get(e, "deployment", &deployment) == 0 &&
	    r->l->deployment == NULL)
		r->l->deployment = xstrdup(buf_str(&deployment));
	buf_free(&name);
	buf_free(&deployment);
	return rc == 0 ? 0 : ledger_bad(e, "signer", err);
}

/*
 * An entry has the row that came with the request, the row of the decision, or
 * both; older versions wrote neither, and then only ids are compared.
 */
static int
take_rows(struct chr_row *row, const struct ledger_entry *e, struct err *err)
{
	int fresh = get_digest(e, "request", row->submitted, err);
	int decided = get_base64(e, "decision", &row->tuple, err);

	if (fresh == -1 || decided == -1)
		return -1;
	row->fresh = fresh == 1;
	row->has_rows = decided == 1;
	chr_digest(buf_slice(&row->tuple), row->decided);
	/* Only what waits, and what decides that, is merged. */
	if (row->fresh && row->kind != CHR_PEND)
		buf_free(&row->tuple);
	return 0;
}

/* NULL: nobody but the vault itself has approved it. */
static struct chr_approval *
approval_of(const struct ledger_entry *e, const uint8_t id[CHR_ID],
    struct chr_approval *out)
{
	struct buf by = { 0 };
	bool is = ledger_get(e, "approver", &by) == 0 &&
	    strncmp(buf_str(&by), "airgap:", 7) != 0;

	memcpy(out->id, id, CHR_ID);
	if (is)
		chr_digest(buf_slice(&by), out->by);
	buf_free(&by);
	return is ? out : NULL;
}

static void
keep_approval(struct chr_approval **v, size_t *n, size_t *cap,
    const struct ledger_entry *e, const uint8_t id[CHR_ID])
{
	struct chr_approval by, *to;

	if (approval_of(e, id, &by) == NULL)
		return;
	to = GROW(*v, *n, *cap);
	*to = by;
}

/* "intent", "denied", "pending": open until "done" or "void" ends it. */
static int
take_decision(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_row *row = GROW(c->row, c->nrow, c->caprow);
	uint8_t tbs[32];
	size_t *open;

	row->ledger = r->index;
	row->kind = strcmp(e->type, "intent") == 0 ? CHR_ISSUE :
	    strcmp(e->type, "denied") == 0 ? CHR_DENY : CHR_PEND;
	if (ledger_get_hex(e, "id", row->id, CHR_ID, err) != 0 ||
	    get_ca(c, e, &row->ca, err) != 0 || take_rows(row, e, err) != 0 ||
	    (row->kind == CHR_ISSUE && (ledger_get_hex(e, "serial", row->serial,
	    CHR_SERIAL, err) != 0 ||
	    ledger_get_hex(e, "tbs", tbs, 32, err) != 0)))
		return -1;
	if (row->kind == CHR_ISSUE)
		memcpy(row->tbs, tbs, CHR_DIGEST);
	if (row->kind == CHR_ISSUE && r->vault)
		keep_approval(&c->used, &c->nused, &c->capused, e, row->id);
	open = GROW(r->open, r->nopen, r->capopen);
	*open = c->nrow - 1;
	return 0;
}

/* Keeps the order: find_open relies on it. */
static void
drop_open(struct reading *r, size_t i)
{
	r->nopen--;
	memmove(&r->open[i], &r->open[i + 1],
	    (r->nopen - i) * sizeof *r->open);
}

/* The oldest first: it ends first.  NULL: none is open. */
static struct chr_row *
find_open(const struct reading *r, const uint8_t *key, bool is_serial,
    size_t *at)
{
	struct chr_row *row;
	size_t i;

	for (i = 0; i < r->nopen; i++) {
		row = &r->c->row[r->open[i]];
		if (is_serial ? row->kind == CHR_ISSUE &&
		    memcmp(row->serial, key, CHR_SERIAL) == 0 :
		    memcmp(row->id, key, CHR_ID) == 0) {
			*at = i;
			return row;
		}
	}
	return NULL;
}

/* Damage that no hash shows: whoever wrote the chain left something out. */
static void
without_intent(const struct reading *r, const struct ledger_entry *e)
{
	char object[64];

	snprintf(object, sizeof object, "%.40s %llu",
	    r->l->signer != NULL ? r->l->signer : "",
	    (unsigned long long)e->seq);
	r->c->sink.finding(r->c->sink.arg, e->type, object,
	    "without an intent");
}

/* The row that it tells must be the certificate's. */
static int
take_issued(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	uint8_t serial[CHR_SERIAL], md[32];
	struct buf der = { 0 }, tuple = { 0 };
	struct chr_row *row;
	struct tuple t;
	size_t at;
	int rc;

	if (ledger_get_hex(e, "serial", serial, CHR_SERIAL, err) != 0)
		return -1;
	if ((row = find_open(r, serial, true, &at)) == NULL) {
		without_intent(r, e);
		return 0;
	}
	rc = get_base64(e, "certificate", &der, err);
	if (rc == 1 && (rc = get_base64(e, "row", &tuple, err)) == 1) {
		EVP_Digest(der.p, der.n, md, NULL, EVP_sha256(), NULL);
		chr_digest(buf_slice(&tuple), row->cert);
		row->has_cert = tuple_parse(buf_slice(&tuple), &t) == 0 &&
		    t.n >= CERT_N && slice_eq(t.field[CERT_DER],
		    slice_of(md, sizeof md));
		if (!row->has_cert)
			rc = ledger_bad(e, "row", err);
	}
	buf_free(&der);
	buf_free(&tuple);
	return rc == -1 ? -1 : 0;
}

/* What was begun has no row; with a serial, it may have been signed. */
static int
take_void(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	uint8_t id[CHR_ID], serial[CHR_SERIAL];
	struct err none = ERR_INIT;
	struct chr_row *row;
	bool has_serial;
	size_t at;

	has_serial = ledger_get_hex(e, "serial", serial, CHR_SERIAL,
	    &none) == 0;
	if (ledger_get_hex(e, "id", id, CHR_ID, err) != 0)
		return -1;
	row = find_open(r, has_serial ? serial : id, has_serial, &at);
	if (row == NULL) {
		without_intent(r, e);
		return 0;
	}
	row->voided = true;
	row->claimed = is_claimed(r, e);
	drop_open(r, at);
	return 0;
}

/*
 * An approval at a desk before an air gap decides nothing yet: the vault's
 * ledger says what became of it.  Here it only explains the end to come.
 */
static int
take_approved(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chronicle *c = r->c;
	uint8_t id[CHR_ID], (*approved)[CHR_ID];

	if (ledger_get_hex(e, "id", id, CHR_ID, err) != 0)
		return -1;
	keep_approval(&c->given, &c->ngiven, &c->capgiven, e, id);
	approved = GROW(r->approved, r->napproved, r->capapproved);
	memcpy(*approved, id, CHR_ID);
	return 0;
}

/* True once for each: the place is given up. */
static bool
end_of_approval(struct reading *r, const uint8_t id[CHR_ID])
{
	size_t i;

	for (i = 0; i < r->napproved; i++) {
		if (memcmp(r->approved[i], id, CHR_ID) != 0)
			continue;
		memcpy(r->approved[i], r->approved[--r->napproved], CHR_ID);
		return true;
	}
	return false;
}

/* Their transaction is committed: from here on the database must have them. */
static int
take_done(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct buf ids = { 0 };
	uint8_t id[CHR_ID];
	struct chr_row *row;
	char *p, *one;
	size_t at;
	int rc = 0;

	if (ledger_get(e, "ids", &ids) != 0)
		return ledger_bad(e, "ids", err);
	p = buf_str(&ids);
	while (rc == 0 && (one = strsep(&p, ",")) != NULL) {
		if (strlen(one) != 2 * CHR_ID ||
		    hex_decode(one, id, CHR_ID) != 0)
			rc = ledger_bad(e, "ids", err);
		else if ((row = find_open(r, id, false, &at)) == NULL) {
			if (!end_of_approval(r, id))
				without_intent(r, e);
		} else {
			row->committed = true;
			row->claimed = is_claimed(r, e);
			drop_open(r, at);
		}
	}
	buf_free(&ids);
	return rc;
}

/* Of its texts only digests are kept: chr_what, chr_who. */
static int
take_revocation(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	static const char *const keys[] = { "date", "reason", "until", "who",
	    "note", "serial" };
	struct chr_revocation rev = { .claimed = is_claimed(r, e) };
	struct buf v[6] = { { 0 } };
	size_t i;
	int rc = get_ca(r->c, e, &rev.ca, err);

	for (i = 0; i < 6 && rc == 0; i++)
		if ((rc = ledger_get(e, keys[i], &v[i])) != 0)
			ledger_bad(e, keys[i], err);
	(void)ledger_get_num(e, "change", &rev.change);
	if (rc == 0 && (v[5].n % 2 != 0 || v[5].n > 2 * sizeof rev.serial ||
	    hex_decode(buf_str(&v[5]), rev.serial, v[5].n / 2) != 0))
		rc = ledger_bad(e, "serial", err);
	if (rc == 0) {
		rev.octets = (uint8_t)(v[5].n / 2);
		rev.released = strcmp(e->type, "released") == 0;
		chr_what(buf_str(&v[0]), buf_str(&v[1]), buf_str(&v[2]),
		    rev.what);
		chr_who(buf_str(&v[3]), buf_str(&v[4]), rev.who);
		chronicle_add(r->c, &rev);
	}
	for (i = 0; i < 6; i++)
		buf_free(&v[i]);
	return rc;
}

static int
take_listed(struct chr_list *l, const struct ledger_entry *e, struct err *err)
{
	struct buf row = { 0 };
	struct tuple t;
	int rc = get_base64(e, "row", &row, err);

	if (rc == 1) {
		chr_digest(buf_slice(&row), l->row);
		if (tuple_parse(buf_slice(&row), &t) == 0 &&
		    t.n > LIST_CHANGE)
			l->change = slice_int(t.field[LIST_CHANGE]);
	}
	buf_free(&row);
	return rc == 1 ? 0 : ledger_bad(e, "row", err);
}

/* "crl" before the signature, "listed" when it is committed. */
static int
take_list(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_list *l = GROW(c->list, c->nlist, c->caplist);
	struct buf b = { 0 };
	int64_t number = 0;

	(void)ledger_get_num(e, "number", &number);
	l->number = (uint64_t)number;
	if (get_ca(c, e, &l->ca, err) != 0 || number <= 0)
		return ledger_bad(e, "ca or number", err);
	if (strcmp(e->type, "listed") == 0) {
		l->listed = true;
		l->claimed = is_claimed(r, e);
		return take_listed(l, e, err);
	}
	if (ledger_get(e, "tbs", &b) != 0 || b.n >= sizeof l->tbs) {
		buf_free(&b);
		return ledger_bad(e, "tbs", err);
	}
	memcpy(l->tbs, b.p, b.n);
	buf_free(&b);
	return 0;
}

/*
 * "responder" before the signature, "responder-issued" behind the commit: two
 * records, which join_halves puts together.
 */
static int
take_responder(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_responder *p = GROW(c->resp, c->nresp, c->capresp);
	uint8_t tbs[32];

	p->ledger = r->index;
	if (get_ca(c, e, &p->ca, err) != 0 ||
	    ledger_get_hex(e, "serial", p->serial, CHR_SERIAL, err) != 0)
		return -1;
	if (strcmp(e->type, "responder") != 0) {
		p->has_der = true;
		p->claimed = is_claimed(r, e);
		return get_digest(e, "certificate", p->der, err) == 1 ? 0 :
		    ledger_bad(e, "certificate", err);
	}
	if (ledger_get_hex(e, "tbs", tbs, sizeof tbs, err) != 0)
		return -1;
	memcpy(p->tbs, tbs, CHR_DIGEST);
	return 0;
}

/* In a vault: a bundle was taken. */
static int
take_round(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_round *round = GROW(c->round, c->nround, c->capround);
	int64_t n = 0;

	(void)ledger_get_num(e, "round", &n);
	round->n = (uint64_t)n;
	r->vault = true;
	return n > 0 ? ledger_get_hex(e, "bundle", round->bundle, 32, err) :
	    ledger_bad(e, "round", err);
}

/*
 * A vault has no database: what it decided is committed when the answer is
 * whole.
 */
static int
take_answer(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_round *round = c->nround > 0 ? &c->round[c->nround - 1] :
	    NULL;
	int64_t n = 0;
	size_t i;

	(void)ledger_get_num(e, "round", &n);
	if (round == NULL || round->n != (uint64_t)n)
		return ledger_bad(e, "round", err);
	for (i = 0; i < r->nopen; i++) {
		c->row[r->open[i]].committed = true;
		c->row[r->open[i]].claimed = is_claimed(r, e);
	}
	r->nopen = 0;
	round->answered = true;
	round->claimed = is_claimed(r, e);
	return ledger_get_hex(e, "bundle", round->response, 32, err);
}

int
chr_audit_row(struct slice bytes, struct chr_audit *out)
{
	struct tuple t;

	if (tuple_parse(bytes, &t) != 0 || t.n != AUDIT_FIELDS)
		return -1;
	out->n = slice_int(t.field[AUDIT_N]);
	out->at = slice_int(t.field[AUDIT_AT]);
	chr_digest(bytes, out->row);
	return 0;
}

static int
take_audit(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_audit *a = GROW(c->audit, c->naudit, c->capaudit);
	struct buf row = { 0 };
	int rc;

	a->claimed = is_claimed(r, e);
	rc = ledger_get_base64(e, "row", &row, err);
	if (rc == 0 && chr_audit_row(buf_slice(&row), a) != 0)
		rc = ledger_bad(e, "row", err);
	if (rc == 0 && (a->n > r->l->audit_n || (a->n == r->l->audit_n &&
	    a->at > r->l->audit_at))) {
		r->l->audit_n = a->n;
		r->l->audit_at = a->at;
	}
	if (rc == 0 && a->at > r->l->audit_latest)
		r->l->audit_latest = a->at;
	buf_free(&row);
	return rc;
}

static int
take_head(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	(void)err;		/* headset.c has told what is wrong */
	if (is_claimed(r, e))
		r->l->head_kept = headset_last(r->c->heads, &r->l->head);
	return 0;
}

static int
take_signatures(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	return sigcounts_add(&r->c->counts, e, err);
}

/* Types that are not in the table say nothing about rows, such as segments. */
static int
take_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct {
		const char	*type;
		int		(*take)(struct reading *,
				    const struct ledger_entry *, struct err *);
	} types[] = {
		{ "start", take_start }, { "head", take_head },
		{ "intent", take_decision },
		{ "denied", take_decision }, { "pending", take_decision },
		{ "approved", take_approved },
		{ "issued", take_issued }, { "void", take_void },
		{ "done", take_done }, { "revoked", take_revocation },
		{ "released", take_revocation }, { "crl", take_list },
		{ "listed", take_list }, { "responder", take_responder },
		{ "responder-issued", take_responder },
		{ "signatures", take_signatures }, { "audit", take_audit },
		{ "airgap-in", take_round }, { "airgap-out", take_answer },
	};
	struct reading *r = arg;
	size_t i;

	r->l->entries++;
	headset_entry(r->c->heads, e, &r->c->sink);
	for (i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(types[i].type, e->type) == 0)
			return types[i].take(r, e, err);
	return 0;
}

/*
 * A ledger that is damaged is told, and the others are read all the same: who
 * altered one must not hide behind it what he did elsewhere.
 */
void
chronicle_read(struct chronicle *c)
{
	struct reading r = { .c = c };
	struct err why;
	size_t i;

	for (i = 0; i < c->nledger; i++) {
		memset(&why, 0, sizeof why);
		r.l = &c->ledger[i];
		r.index = (uint16_t)i;
		r.nopen = r.napproved = 0;
		r.vault = false;
		headset_begin(c->heads);
		if (ledger_walk(r.l->dir, take_entry, &r, &why) != 0)
			c->sink.finding(c->sink.arg, "chain", r.l->dir,
			    why.text);
		else if (r.l->signer == NULL)
			c->sink.finding(c->sink.arg, "chain", r.l->dir,
			    "has no entry \"start\"");
		headset_end(c->heads, r.l->signer != NULL ? r.l->signer : "",
		    &c->sink);
		r.l->signed_to = headset_signed(c->heads);
	}
	free(r.open);
	free(r.approved);
}
