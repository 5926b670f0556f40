/*
 * Revocation in the vault: orders that came, lists that are wished for.  The
 * same lists as crlmake.c makes, out of the book instead of the database.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "airgap_vault.h"
#include "caset.h"
#include "crl.h"
#include "journal.h"
#include "log.h"

/* One list on its way into the answer. */
struct making {
	struct vault		*v;
	struct ca		*ca;
	const struct policy_ca	*policy;
	struct book_revoked	**entry;
	size_t			 nentries;
	struct bundle_list	 list;
	uint32_t		 parts;
};

/* As a signer with a database tells it: journal.c. */
static void
tell_order(struct vault *v, const struct bundle_order *o)
{
	bool ends = o->reason == BUNDLE_RELEASE;
	struct buf f = { 0 };

	ledger_field(&f, "ca", o->ca);
	ledger_field_num(&f, "change", o->change);
	ledger_field_hex(&f, "serial", o->serial.p, o->serial.n);
	ledger_field_num(&f, "date", o->at);
	ledger_field_num(&f, "reason", ends ? 0 : o->reason);
	if (o->not_after == 0)
		ledger_field(&f, "until", slice_str("infinity"));
	else
		ledger_field_num(&f, "until", o->not_after);
	ledger_field(&f, "who", o->who);
	ledger_field(&f, "note", o->note);
	ledger_add(v->s.ledger, ends ? "released" : "revoked", buf_slice(&f));
	buf_free(&f);
}

/*
 * What is final stays, whatever is ordered later: only a hold can end, or
 * become something else.
 */
static void
take_order(struct vault *v, struct bundle_order *o)
{
	struct book_revoked *r = book_revoked(v->book, o->serial);
	bool revoked = r != NULL && !r->released;

	if (o->reason == BUNDLE_RELEASE) {
		if (!revoked || r->reason != CRL_HOLD) {
			log_note("airgap", "nothing to release: order for a "
			    "serial number that is %s", revoked ?
			    "revoked for good" : "not revoked");
			return;
		}
		tell_order(v, o);
		book_release(r);
		return;
	}
	if (revoked && (r->reason != CRL_HOLD || o->reason == CRL_HOLD)) {
		/* What was void here: the ledger has the desk's row, too. */
		if (r->untold && o->reason == r->reason) {
			tell_order(v, o);
			r->untold = false;
		}
		return;
	}
	/* The ledger has the date that the row has; a list none to come. */
	tell_order(v, o);
	if (o->at / 1000000 > v->now)
		o->at = v->now * 1000000;
	book_revoke(v->book, o);
}

int
vault_orders(struct vault *v, struct err *err)
{
	struct record r;
	int got;

	if (bundle_rewind(v->in, err) == -1)
		return -1;
	while ((got = bundle_next(v->in, &r, err)) == 1)
		if (r.type == REC_ORDER)
			take_order(v, &r.order);
	return got == -1 ? -1 : journal_sync(&v->s, err);
}

int
vault_voids(struct vault *v, struct err *err)
{
	const struct book_cert *c;
	struct record r = { .type = REC_VOID };
	size_t i = 0;
	int rc = 0;

	while (rc == 0 && (c = book_void_next(v->book, &i)) != NULL) {
		memcpy(r.voided.id, c->id, MSG_ID);
		r.voided.ca = slice_str(c->ca);
		r.voided.serial = slice_of(c->serial, SERIAL_LEN);
		rc = bundle_add(v->out, &r, err);
	}
	return rc;
}

static int
put_part(void *arg, struct slice body, struct err *err)
{
	struct making *m = arg;
	struct record r = { .type = REC_PART };

	m->list.octets += body.n;
	r.part.ca = m->list.ca;
	r.part.number = m->list.number;
	r.part.part = ++m->parts;
	r.part.body = body;
	return bundle_add(m->v->out, &r, err);
}

static struct crl_entry
entry_of(const struct book_revoked *r)
{
	return (struct crl_entry){ .at = r->at, .reason = r->reason,
	    .serial = slice_of(r->serial + 1, r->serial[0]) };
}

/* Before the signature, as everything that is signed. */
static int
tell_list(struct making *m, struct err *err)
{
	struct book_list *l = book_list(m->v->book, m->ca->name);
	struct buf f = { 0 };

	ledger_field(&f, "ca", m->list.ca);
	ledger_field_num(&f, "number", (int64_t)m->list.number);
	ledger_field_hex(&f, "tbs", m->list.digest.p, m->list.digest.n);
	ledger_field_num(&f, "time", m->list.this_update);
	ledger_add(m->v->s.ledger, "crl", buf_slice(&f));
	buf_free(&f);
	l->number = m->list.number;
	l->this_update = m->list.this_update;
	return journal_sync(&m->v->s, err);
}

/* Part 0 comes last: it holds a length that the signature has a part in. */
static int
finish(struct making *m, struct crl *crl, struct err *err)
{
	struct buf digest = { 0 }, first = { 0 }, last = { 0 };
	struct record r = { .type = REC_LIST };
	int rc = crl_end(crl, &digest, err);

	m->list.digest = buf_slice(&digest);
	if (rc == 0 && (rc = tell_list(m, err)) == 0 &&
	    (rc = crl_sign(crl, &first, &last, err)) == 0 &&
	    (rc = put_part(m, buf_slice(&last), err)) == 0) {
		m->parts = UINT32_MAX;	/* the next is 0 */
		rc = put_part(m, buf_slice(&first), err);
	}
	r.list = m->list;
	if (rc == 0)
		rc = bundle_add(m->v->out, &r, err);
	buf_free(&digest);
	buf_free(&first);
	buf_free(&last);
	return rc;
}

static int
write_list(struct making *m, struct err *err)
{
	struct crl_head h = { .ca = m->ca, .number = m->list.number,
	    .this_update = m->list.this_update - ISSUED_EARLY,
	    .next_update = m->list.next_update,
	    .next_publish = m->list.next_update - m->policy->crl_overlap };
	struct crl_entry e;
	struct crl_shape shape;
	struct crl *crl;
	size_t i;
	int rc = 0;

	for (i = 0; i < m->nentries; i++) {
		e = entry_of(m->entry[i]);
		shape = crl_shape_of(&e);
		h.octets += crl_entry_octets(&shape);
	}
	crl = crl_new(&h, (struct crl_sink){ put_part, m }, err);
	if (crl == NULL)
		return -1;
	for (i = 0; i < m->nentries && rc == 0; i++) {
		e = entry_of(m->entry[i]);
		rc = crl_add(crl, &e, err);
	}
	if (rc == 0)
		rc = finish(m, crl, err);
	crl_free(crl);
	return rc;
}

/* [RFC5280] 5.2.3: above every number that either side knows. */
static int
make_list(struct vault *v, const struct bundle_wish *w, struct err *err)
{
	struct making m = { .v = v, .ca = caset_key(&v->s, w->ca) };
	const struct book_list *l = book_list(v->book, m.ca->name);
	int rc;

	if (v->now < l->this_update)
		return err_set(err, ERR_UNAVAILABLE, "ca %s: the clock is "
		    "before the last list", m.ca->name);
	m.policy = policy_key_find(v->policy, m.ca->name, NULL);
	m.list.ca = slice_str(m.ca->name);
	m.list.number = (l->number > w->number ? l->number : w->number) + 1;
	m.list.this_update = v->now;
	m.list.next_update = v->now + m.policy->crl_validity;
	m.list.change = w->change;
	/* 3.3: until it was on one list made after the end. */
	m.entry = book_entries(v->book, m.ca->name,
	    l->this_update - ISSUED_EARLY, &m.nentries);
	m.list.entries = m.nentries;
	rc = write_list(&m, err);
	free(m.entry);
	return rc;
}

int
vault_lists(struct vault *v, struct err *err)
{
	struct record r;
	int got;

	if (bundle_rewind(v->in, err) == -1)
		return -1;
	while ((got = bundle_next(v->in, &r, err)) == 1)
		if (r.type == REC_WISH && make_list(v, &r.wish, err) == -1)
			return -1;
	return got;
}
