/*
 * Answers of OCSP: a question that a worker passed on (job_ocsp), and those
 * kept ones that grow old (ocsp_ahead, called by crlmake.c).
 */
#include <string.h>

#include "der.h"
#include "journal.h"
#include "ocspreq.h"
#include "ocspresp.h"
#include "oid.h"
#include "responder.h"
#include "store_crl.h"

#define UNKNOWN_LIFE	300	/* s: it may be issued in a moment */
#define TRIES		3

struct ocsp_single {
	struct slice		 id;	/* the CertID of the question, TLV */
	struct cert_status	 status;
};

struct ocsp_answer {
	const struct responder	*responder;
	const struct ocsp_single *single;
	size_t			 n;
	int64_t			 now, this_update, next_update;
						/* unix seconds */
	struct slice		 nonce;	/* extnValue's content; p NULL: none */
};

static void
put_status(struct buf *b, const struct cert_status *s)
{
	const uint8_t reason = (uint8_t)s->reason;
	size_t info, tag;

	if (s->state != CERT_REVOKED) {
		der_put(b, s->state == CERT_GOOD ? DER_CTX(0) : DER_CTX(2),
		    NULL, 0);
		return;
	}
	info = der_open(b, DER_CTXC(1));
	der_put_gentime(b, s->at);
	if (s->reason != CRL_UNSPECIFIED) {
		tag = der_open(b, DER_CTXC(0));
		der_put(b, DER_ENUM, &reason, 1);
		der_close(b, tag);
	}
	der_close(b, info);
}

static void
put_single(struct buf *b, const struct ocsp_answer *a,
    const struct ocsp_single *single)
{
	size_t seq = der_open(b, DER_SEQ), next;

	buf_add(b, single->id.p, single->id.n);
	put_status(b, &single->status);
	der_put_gentime(b, a->this_update);
	next = der_open(b, DER_CTXC(0));
	der_put_gentime(b, a->next_update);
	der_close(b, next);
	der_close(b, seq);
}

static void
put_nonce(struct buf *b, struct slice nonce)
{
	size_t tag, list, ext;

	if (nonce.p == NULL)
		return;
	tag = der_open(b, DER_CTXC(1));
	list = der_open(b, DER_SEQ);
	ext = der_open(b, DER_SEQ);
	der_put_oid(b, OID_OCSP_NONCE);
	der_put_slice(b, DER_OCTETS, nonce);
	der_close(b, ext);
	der_close(b, list);
	der_close(b, tag);
}

/* tbsResponseData; the responder by its key: the name may change. */
static void
put_tbs(struct buf *b, const struct ocsp_answer *a)
{
	size_t tbs = der_open(b, DER_SEQ), mark = der_open(b, DER_CTXC(2)), i;

	der_put_slice(b, DER_OCTETS, responder_key_hash(a->responder));
	der_close(b, mark);
	der_put_gentime(b, a->now);		/* producedAt */
	mark = der_open(b, DER_SEQ);
	for (i = 0; i < a->n; i++)
		put_single(b, a, &a->single[i]);
	der_close(b, mark);
	put_nonce(b, a->nonce);
	der_close(b, tbs);
}

static void
put_basic(struct buf *b, const struct ocsp_answer *a, struct slice tbs,
    struct slice sig)
{
	struct slice cert = responder_cert(a->responder);
	size_t basic = der_open(b, DER_SEQ), tag, list;

	buf_add(b, tbs.p, tbs.n);
	responder_put_sigalg(b);
	der_put_bits(b, sig.p, sig.n);
	tag = der_open(b, DER_CTXC(0));
	list = der_open(b, DER_SEQ);
	buf_add(b, cert.p, cert.n);
	der_close(b, list);
	der_close(b, tag);
	der_close(b, basic);
}

/* OCSPResponse with a BasicOCSPResponse; appended. */
static int
ocsp_build(const struct ocsp_answer *a, struct buf *out, struct err *err)
{
	const uint8_t successful = 0;
	struct buf tbs = { 0 }, sig = { 0 };
	size_t all, tag, bytes, octets;
	int rc;

	put_tbs(&tbs, a);
	rc = responder_sign(a->responder, buf_slice(&tbs), &sig, err);
	if (rc == 0) {
		all = der_open(out, DER_SEQ);
		der_put(out, DER_ENUM, &successful, 1);
		tag = der_open(out, DER_CTXC(0));
		bytes = der_open(out, DER_SEQ);
		der_put_oid(out, OID_OCSP_BASIC);
		octets = der_open(out, DER_OCTETS);
		put_basic(out, a, buf_slice(&tbs), buf_slice(&sig));
		der_close(out, octets);
		der_close(out, bytes);
		der_close(out, tag);
		der_close(out, all);
	}
	buf_free(&tbs);
	buf_free(&sig);
	return rc;
}

/* One question being answered. */
struct asked {
	struct ocsp_request	 req;
	struct ocsp_single	 single[OCSP_IDS];
	struct ocsp_answer	 a;
	bool			 unknown;	/* one of them is */
};

/*
 * A revocation that a client has been told of must outlive the database: it
 * is in a ledger before.
 */
static int
status_of(struct signer *s, const struct ca *ca, struct slice serial,
    struct cert_status *out, struct err *err)
{
	if (store_cert_status(s->store, ca->name, serial, out, err) == -1)
		return -1;
	return out->untold ? journal_revocation_of(s, ca, serial, err) : 0;
}

static int
look_up(struct signer *s, const struct job *j, struct asked *q,
    struct err *err)
{
	size_t i;

	q->unknown = false;
	for (i = 0; i < q->req.n; i++) {
		q->single[i].id = q->req.id[i].tlv;
		if (status_of(s, j->ca, q->req.id[i].serial,
		    &q->single[i].status, err) == -1)
			return -1;
		if (q->single[i].status.state == CERT_UNKNOWN)
			q->unknown = true;
	}
	return 0;
}

static int
plan(struct signer *s, struct job *j, struct asked *q, struct err *err)
{
	const struct policy_ca *p = policy_key_find(s->policy,
	    j->ca->name, NULL);
	int64_t now = j->received / 1000000;

	if (p == NULL)
		return err_set(err, ERR_UNAVAILABLE,
		    "ca %s is not in the policy", j->ca->name);
	q->a.responder = responder_get(s, j->ca, now, err);
	if (q->a.responder == NULL)
		return -1;
	q->a.now = now;
	q->a.this_update = now - ISSUED_EARLY;
	q->a.next_update = now + (q->unknown ? UNKNOWN_LIFE :
	    p->ocsp_validity);
	if (q->a.next_update > responder_not_after(q->a.responder))
		q->a.next_update = responder_not_after(q->a.responder);
	if (p->ocsp_nonce)
		q->a.nonce = q->req.nonce;
	return 0;
}

/* *kept: also when it is nothing to keep. */
static int
keep(struct signer *s, const struct job *j, const struct asked *q, bool *kept,
    struct err *err)
{
	const struct ocsp_row row = {
		.ca = j->ca->name, .serial = q->req.id[0].serial,
		.hash = q->req.id[0].hash, .status = q->single[0].status,
		.this_update = q->a.this_update,
		.next_update = q->a.next_update,
		.der = buf_slice(&j->response)
	};

	*kept = true;
	if (q->req.n != 1 || !q->req.id[0].usual || q->unknown ||
	    q->a.nonce.p != NULL)
		return 0;
	return store_ocsp_keep(s->store, &row, kept, err);
}

/*
 * Between reading the status and keeping the answer a revocation may be
 * committed: then the answer is old, and made anew.
 */
static int
answer(struct signer *s, struct job *j, struct err *err)
{
	struct asked q = { .unknown = false };
	bool kept = false;
	int i;

	if (j->ca->apart)
		return err_set(err, ERR_UNAVAILABLE, "ca %s is behind an air "
		    "gap: no ocsp", j->ca->name);
	if (ocsp_request_parse(j->ask.token, &q.req, err) == -1)
		return -1;
	if (!ocsp_is_issuer(&q.req.id[0], buf_slice(&j->ca->cert.der)))
		return err_bad(err, 0, "ca %s is not the issuer asked about",
		    j->ca->name);
	q.a.single = q.single;
	q.a.n = q.req.n;
	for (i = 0; i < TRIES && !kept; i++) {
		buf_reset(&j->response);
		if (look_up(s, j, &q, err) == -1 ||
		    plan(s, j, &q, err) == -1 ||
		    ocsp_build(&q.a, &j->response, err) == -1 ||
		    keep(s, j, &q, &kept, err) == -1)
			return -1;
	}
	return kept ? 0 : err_set(err, ERR_UNAVAILABLE,
	    "status changes all the time");
}

void
job_ocsp(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;

	if (answer(s, j, &err) == -1) {
		job_refuse(j, &err);
		return;
	}
	j->state = JOB_ANSWERED;
	j->status = MSG_STATUS;
}

/* One answer made anew; a status that changes meanwhile has deleted it. */
static int
renew(struct signer *s, struct ca *ca, struct ocsp_row *row, int64_t now,
    struct err *err)
{
	struct ocsp_single single;
	struct ocsp_answer a = {
		.single = &single, .n = 1, .now = now,
		.this_update = row->this_update,
		.next_update = row->next_update
	};
	struct buf id = { 0 }, der = { 0 };
	bool kept;
	int rc = -1;

	a.responder = responder_get(s, ca, now, err);
	if (a.responder != NULL &&
	    status_of(s, ca, row->serial, &row->status, err) == 0 &&
	    ocsp_put_id(row->hash, buf_slice(&ca->cert.der), row->serial,
	    &id, err) == 0) {
		if (a.next_update > responder_not_after(a.responder))
			a.next_update = responder_not_after(a.responder);
		row->next_update = a.next_update;
		single.id = buf_slice(&id);
		single.status = row->status;
		rc = ocsp_build(&a, &der, err);
	}
	row->der = buf_slice(&der);
	if (rc == 0)
		rc = store_ocsp_keep(s->store, row, &kept, err);
	buf_free(&id);
	buf_free(&der);
	return rc;
}

int
ocsp_ahead(struct signer *s, struct ca *ca, const struct policy_ca *policy,
    int64_t now, struct err *err)
{
	struct ocsp_row row;
	PGresult *due;
	int i, rc = 0;

	/* In the last hours of a CA nothing can last longer. */
	if (ca->not_after < now + policy->ocsp_validity)
		return 0;
	due = store_ocsp_due(s->store, ca->name,
	    now + policy->ocsp_validity / 2, err);
	if (due == NULL)
		return -1;
	for (i = 0; i < PQntuples(due) && rc == 0; i++) {
		memset(&row, 0, sizeof(row));
		row.ca = ca->name;
		row.this_update = now - ISSUED_EARLY;
		row.next_update = now + policy->ocsp_validity;
		store_ocsp_due_get(due, i, &row.serial, &row.hash);
		rc = renew(s, ca, &row, now, err);
	}
	PQclear(due);
	return rc;
}
