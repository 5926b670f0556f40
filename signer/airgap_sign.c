/*
 * A round in the vault.  Some hundred requests at a time: all are decided,
 * their intents synced, all signed, and what was signed synced again, so that
 * an attempt that broke off loses none of it.
 */
#include <stdlib.h>
#include <string.h>

#include "airgap_item.h"
#include "approval.h"
#include "journal.h"
#include "log.h"

#define BATCH	256

struct batch {
	struct item	 item[BATCH];
	size_t		 n;
};

static void
free_batch(struct vault *v, struct batch *b)
{
	struct item *i;
	size_t n;

	for (; b->n > 0; b->n--) {
		i = &b->item[b->n - 1];
		job_free(&v->s, i->job);
		for (n = 0; n < i->naccounts; n++)
			account_free(i->account[n]);
		memset(i, 0, sizeof(*i));
	}
}

/* The record outlives its place in the reader's memory. */
static int
add_item(struct batch *b, const struct record *r, struct err *err)
{
	struct item *i = &b->item[b->n];
	struct record mine;

	i->nth = b->n++;
	i->job = job_new();
	i->job->t0 = log_usec();
	record_encode(r, &i->job->link.msg);
	if (record_decode(buf_slice(&i->job->link.msg), &mine, err) == -1)
		return -1;
	i->in = mine.item;
	return 0;
}

static void
tell_book(struct vault *v, const struct item *i)
{
	const struct job *j = i->job;
	struct book_cert c = { .renewals = i->renewals };
	char account[129];

	snprintf(account, sizeof(account), "%s", job_owner(j));
	memcpy(c.id, j->row_id, MSG_ID);
	memcpy(c.serial, j->tbs.serial, SERIAL_LEN);
	c.account = account;
	c.template_name = j->template_name;
	c.ca = j->ca->name;
	book_add(v->book, &c);
}

static int
write_intents(struct vault *v, struct batch *b, struct err *err)
{
	struct job *j;
	size_t n;

	for (n = 0; n < b->n; n++) {
		j = b->item[n].job;
		if (j->state != JOB_RECORD)
			continue;
		journal_decision(&v->s, j);
		if (j->status == MSG_ISSUED)
			tell_book(v, &b->item[n]);
	}
	return journal_sync(&v->s, err);
}

static int
sign_batch(struct vault *v, struct batch *b, struct err *err)
{
	struct book_cert *c;
	struct job *j;
	uint8_t spki[32];
	size_t n;

	for (n = 0; n < b->n; n++) {
		j = b->item[n].job;
		if (j->state != JOB_RECORD || j->status != MSG_ISSUED)
			continue;
		if (job_sign(&v->s, j, err) == -1)
			return -1;
		c = book_by_id(v->book, j->row_id);
		c->chain_start = j->decision.renews != NULL ?
		    j->decision.renews->chain_start : j->tbs.not_before;
		pubkey_sha256(j->req->key, spki);
		book_issued(v->book, c, buf_slice(&j->cert), spki);
	}
	return journal_sync(&v->s, err);
}

static int
put_result(struct vault *v, const struct item *i, struct err *err)
{
	const struct job *j = i->job;
	struct record r = { .type = REC_RESULT };
	struct buf response = { 0 };
	int rc = 0;

	memcpy(r.result.id, j->row_id, MSG_ID);
	r.result.status = j->status;
	r.result.decided_at = j->decided;
	r.result.hresult = j->hresult;
	r.result.text = slice_str(j->text);
	if (j->status == MSG_ISSUED) {
		r.result.major = i->major;
		r.result.minor = i->minor;
		r.result.renewals = i->renewals;
		r.result.subject = buf_slice(&j->subject);
		r.result.san = buf_slice(&j->san);
		r.result.certificate = buf_slice(&j->cert);
		rc = job_respond(&v->s, j, &response, err);
		r.result.response = buf_slice(&response);
		v->issued++;
	} else
		v->denied++;
	v->again += i->again;
	if (rc == 0)
		rc = bundle_add(v->out, &r, err);
	buf_free(&response);
	return rc;
}

static int
do_batch(struct vault *v, struct batch *b, struct err *err)
{
	size_t n;

	for (n = 0; n < b->n; n++)
		if (item_decide(v, &b->item[n], err) == -1)
			return -1;
	if (write_intents(v, b, err) == -1 || sign_batch(v, b, err) == -1)
		return -1;
	for (n = 0; n < b->n; n++)
		if (put_result(v, &b->item[n], err) == -1)
			return -1;
	return 0;
}

/* Those of this bundle that an attempt before has signed. */
static int
fetch_known(struct vault *v, struct err *err)
{
	struct book_cert *c;
	struct record r;
	bool any = false;
	int got;

	while ((got = bundle_next(v->in, &r, err)) == 1) {
		if (r.type != REC_ITEM ||
		    (c = book_by_id(v->book, r.item.id)) == NULL || !c->issued)
			continue;
		c->wanted = any = true;
	}
	if (got == -1 || bundle_rewind(v->in, err) == -1)
		return -1;
	return any ? book_fetch(v->book, v->s.conf->ledger, err) : 0;
}

int
vault_items(struct vault *v, struct err *err)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	struct record r;
	int got = -1;

	if (fetch_known(v, err) == 0)
		got = bundle_next(v->in, &r, err);
	while (got == 1 && r.type == REC_ITEM) {
		if (add_item(b, &r, err) == -1) {
			got = -1;
			break;
		}
		if (b->n == BATCH) {
			if (do_batch(v, b, err) == -1) {
				got = -1;
				break;
			}
			free_batch(v, b);
		}
		got = bundle_next(v->in, &r, err);
	}
	if (got != -1)
		got = do_batch(v, b, err);
	free_batch(v, b);
	free(b);
	return got == -1 ? -1 : 0;
}
