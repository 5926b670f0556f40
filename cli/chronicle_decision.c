/*
 * Entries about decisions, from the intent to "done" or "void": a part of
 * chronicle.c.  In a vault the answer over the air gap ends what is open.
 */
#include <stdlib.h>
#include <string.h>

#include "chronicle_int.h"
#include "digest.h"
#include "rowform.h"
#include "tuple.h"

/*
 * An entry has the row that came with the request, the row of the decision, or
 * both; older versions wrote neither, and then only ids are compared.
 */
static int
take_rows(struct chr_row *row, const struct ledger_entry *e, struct err *err)
{
	int fresh = chr_get_digest(e, "request", row->submitted, err);
	int decided = chr_get_base64(e, "decision", &row->tuple, err);

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
	to = CHR_GROW(*v, *n, *cap);
	*to = by;
}

/* "intent", "denied", "pending": open until "done" or "void" ends it. */
int
chr_take_decision(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_row *row = CHR_GROW(c->row, c->nrow, c->caprow);
	uint8_t tbs[32];
	size_t *open;

	row->ledger = r->index;
	row->kind = strcmp(e->type, "intent") == 0 ? CHR_ISSUE :
	    strcmp(e->type, "denied") == 0 ? CHR_DENY : CHR_PEND;
	if (ledger_get_hex(e, "id", row->id, CHR_ID, err) != 0 ||
	    chr_get_ca(c, e, &row->ca, err) != 0 ||
	    take_rows(row, e, err) != 0 ||
	    (row->kind == CHR_ISSUE && (ledger_get_hex(e, "serial", row->serial,
	    CHR_SERIAL, err) != 0 ||
	    ledger_get_hex(e, "tbs", tbs, 32, err) != 0)))
		return -1;
	if (row->kind == CHR_ISSUE)
		memcpy(row->tbs, tbs, CHR_DIGEST);
	if (row->kind == CHR_ISSUE && r->vault)
		keep_approval(&c->used, &c->nused, &c->capused, e, row->id);
	open = CHR_GROW(r->open, r->nopen, r->capopen);
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
int
chr_take_issued(struct reading *r, const struct ledger_entry *e,
    struct err *err)
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
	rc = chr_get_base64(e, "certificate", &der, err);
	if (rc == 1 && (rc = chr_get_base64(e, "row", &tuple, err)) == 1) {
		digest_sha256(buf_slice(&der), md);
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
int
chr_take_void(struct reading *r, const struct ledger_entry *e, struct err *err)
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
	row->claimed = chr_is_claimed(r, e);
	drop_open(r, at);
	return 0;
}

/*
 * An approval at a desk before an air gap decides nothing yet: the vault's
 * ledger says what became of it.  Here it only explains the end to come.
 */
int
chr_take_approved(struct reading *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chronicle *c = r->c;
	uint8_t id[CHR_ID], (*approved)[CHR_ID];

	if (ledger_get_hex(e, "id", id, CHR_ID, err) != 0)
		return -1;
	keep_approval(&c->given, &c->ngiven, &c->capgiven, e, id);
	approved = CHR_GROW(r->approved, r->napproved, r->capapproved);
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
int
chr_take_done(struct reading *r, const struct ledger_entry *e, struct err *err)
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
			row->claimed = chr_is_claimed(r, e);
			drop_open(r, at);
		}
	}
	buf_free(&ids);
	return rc;
}

/* In a vault: a bundle was taken. */
int
chr_take_round(struct reading *r, const struct ledger_entry *e, struct err *err)
{
	struct chronicle *c = r->c;
	struct chr_round *round = CHR_GROW(c->round, c->nround, c->capround);
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
int
chr_take_answer(struct reading *r, const struct ledger_entry *e,
    struct err *err)
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
		c->row[r->open[i]].claimed = chr_is_claimed(r, e);
	}
	r->nopen = 0;
	round->answered = true;
	round->claimed = chr_is_claimed(r, e);
	return ledger_get_hex(e, "bundle", round->response, 32, err);
}
