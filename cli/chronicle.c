/*
 * All ledgers into memory, entry by entry: the reading half of "ledger
 * verify" and "reconcile".  Each type of entry has a function; take_entry has
 * the table; those about decisions are in chronicle_decision.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "chronicle_int.h"
#include "digest.h"
#include "rowform.h"
#include "tuple.h"

#define ROW_MAX		(1024 * 1024)

void
chr_digest(struct slice s, uint8_t out[CHR_DIGEST])
{
	uint8_t md[32];

	digest_sha256(s, md);
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

void *
chr_grow(void **v, size_t *n, size_t *cap, size_t size)
{
	*v = xgrow(*v, *n, cap, size);
	memset((char *)*v + *n * size, 0, size);
	return (char *)*v + (*n)++ * size;
}

int
chr_get_ca(struct chronicle *c, const struct ledger_entry *e,
    uint16_t *out, struct err *err)
{
	struct buf b = { 0 };
	int rc = ledger_get(e, "ca", &b);

	if (rc == 0)
		*out = chronicle_ca(c, buf_str(&b));
	buf_free(&b);
	return rc == 0 ? 0 : ledger_bad(e, "ca", err);
}

/* One look-up, not ledger_get_base64's second: there are millions. */
int
chr_get_base64(const struct ledger_entry *e, const char *key,
    struct buf *out, struct err *err)
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

int
chr_get_digest(const struct ledger_entry *e, const char *key,
    uint8_t out[CHR_DIGEST], struct err *err)
{
	struct buf b = { 0 };
	int rc = chr_get_base64(e, key, &b, err);

	if (rc == 1)
		chr_digest(buf_slice(&b), out);
	buf_free(&b);
	return rc;
}

bool
chr_is_claimed(const struct reading *r, const struct ledger_entry *e)
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
	if (chr_is_claimed(r, e))
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

/* Of its texts only digests are kept: chr_what, chr_who. */
static int
take_revocation(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	static const char *const keys[] = { "date", "reason", "until", "who",
	    "note", "serial" };
	struct chr_revocation rev = { .claimed = chr_is_claimed(r, e) };
	struct buf v[6] = { { 0 } };
	size_t i;
	int rc = chr_get_ca(r->c, e, &rev.ca, err);

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
	int rc = chr_get_base64(e, "row", &row, err);

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
	struct chr_list *l = CHR_GROW(c->list, c->nlist, c->caplist);
	struct buf b = { 0 };
	int64_t number = 0;

	(void)ledger_get_num(e, "number", &number);
	l->number = (uint64_t)number;
	if (chr_get_ca(c, e, &l->ca, err) != 0 || number <= 0)
		return ledger_bad(e, "ca or number", err);
	if (strcmp(e->type, "listed") == 0) {
		l->listed = true;
		l->claimed = chr_is_claimed(r, e);
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
	struct chr_responder *p = CHR_GROW(c->resp, c->nresp, c->capresp);
	uint8_t tbs[32];

	p->ledger = r->index;
	if (chr_get_ca(c, e, &p->ca, err) != 0 ||
	    ledger_get_hex(e, "serial", p->serial, CHR_SERIAL, err) != 0)
		return -1;
	if (strcmp(e->type, "responder") != 0) {
		p->has_der = true;
		p->claimed = chr_is_claimed(r, e);
		return chr_get_digest(e, "certificate", p->der, err) == 1 ? 0 :
		    ledger_bad(e, "certificate", err);
	}
	if (ledger_get_hex(e, "tbs", tbs, sizeof tbs, err) != 0)
		return -1;
	memcpy(p->tbs, tbs, CHR_DIGEST);
	return 0;
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
	struct chr_audit *a = CHR_GROW(c->audit, c->naudit, c->capaudit);
	struct buf row = { 0 };
	int rc;

	a->claimed = chr_is_claimed(r, e);
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
	if (chr_is_claimed(r, e))
		r->l->head_kept = headset_last(r->c->heads, &r->l->head);
	return 0;
}

static int
take_signatures(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	return sigcounts_add(&r->c->counts, e, err);
}

void
chronicle_progress(struct chronicle *c, const char *what,
    const struct ledger_entry *e)
{
	progress_show(c->progress, what, (uint64_t)(c->read + e->end) / 1024,
	    (uint64_t)c->all / 1024);
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
		{ "intent", chr_take_decision },
		{ "denied", chr_take_decision },
		{ "pending", chr_take_decision },
		{ "approved", chr_take_approved },
		{ "issued", chr_take_issued }, { "void", chr_take_void },
		{ "done", chr_take_done }, { "revoked", take_revocation },
		{ "released", take_revocation }, { "crl", take_list },
		{ "listed", take_list }, { "responder", take_responder },
		{ "responder-issued", take_responder },
		{ "signatures", take_signatures }, { "audit", take_audit },
		{ "airgap-in", chr_take_round },
		{ "airgap-out", chr_take_answer },
	};
	struct reading *r = arg;
	size_t i;

	r->l->entries++;
	chronicle_progress(r->c, "ledgers, KiB", e);
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

	c->read = 0;
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
		c->read += r.l->size;
		headset_end(c->heads, r.l->signer != NULL ? r.l->signer : "",
		    &c->sink);
		r.l->signed_to = headset_signed(c->heads);
	}
	free(r.open);
	free(r.approved);
}
