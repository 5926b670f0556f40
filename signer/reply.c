/*
 * The end of a job: answer, out of its row or made anew, and log line.  The
 * last step of a batch, behind commit.c.
 */
#include <stdlib.h>
#include <string.h>

#include "approval.h"
#include "cmcresp.h"
#include "hresult.h"
#include "log.h"
#include "signer.h"

#define NEEDLE	32	/* octets: a serial number is among them */

/* Is this row an earlier coming of this very request? */
static bool
is_same(const struct job *j, const struct stored *row)
{
	uint8_t md[32];

	if (!slice_is(row->account, j->account) ||
	    !slice_is(row->ca, j->ca->of))
		return false;
	if (j->ask.call != CALL_ISSUE)
		return true;
	job_token_sha256(j, md);
	return slice_eq(row->token_sha256, slice_of(md, sizeof(md)));
}

/*
 * The parts of a request that the CMC response repeats.  It was judged when
 * its row was written: its signatures are not checked again.
 */
static void
keep_echo(struct job *j, struct slice token)
{
	struct err ignored = ERR_INIT;

	if (j->req != NULL)
		return;
	buf_add(&j->echoed, token.p, token.n);
	(void)cmc_echo(buf_slice(&j->echoed), &j->echo, &ignored);
}

void
job_stored(struct job *j, const struct stored *row)
{
	if (!is_same(j, row)) {
		job_answered(j, MSG_MALFORMED,
		    "request id was used for another request");
		j->hresult = HR_INVALID_DATA;
		return;
	}
	j->state = JOB_ANSWERED;
	j->stored = true;
	j->status = row->status;
	j->number = row->number;
	j->hresult = row->hresult;
	j->pending_since = row->received;
	job_text(j, row->text);
	pending_expire(j, row);
	free(j->template_name);
	j->template_name = xstrndup((const char *)row->template_name.p,
	    row->template_name.n);
	buf_reset(&j->cert);
	buf_add(&j->cert, row->certificate.p, row->certificate.n);
	buf_reset(&j->response);
	buf_add(&j->response, row->response.p, row->response.n);
	keep_echo(j, j->ask.call == CALL_ISSUE ? j->ask.token : row->token);
}

static enum cmc_status
cmc_status(enum msg_status status)
{
	switch (status) {
	case MSG_ISSUED:
		return CMC_SUCCESS;
	case MSG_PENDING:
		return CMC_PENDING;
	default:
		return CMC_FAILED;
	}
}

int
job_respond(const struct signer *s, const struct job *j, struct buf *out,
    struct err *err)
{
	struct cmcresp r = { .ca = j->ca, .text = j->text, .echo = j->echo };
	const struct policy_ca *pca;

	/* Old chain and new one travel together while both live. */
	if (s->policy != NULL && (pca = policy_key_find(s->policy,
	    j->ca->name, NULL)) != NULL) {
		r.also = pca->also;
		r.nalso = pca->nalso;
	}

	r.status = cmc_status(j->status);
	r.number = j->number;
	r.received = j->pending_since;
	if (j->status == MSG_ISSUED)
		r.leaf = buf_slice(&j->cert);
	if (j->req != NULL) {
		r.echo.body_part_id = j->req->body_part_id;
		r.echo.transaction_id = j->req->transaction_id;
		r.echo.sender_nonce = j->req->sender_nonce;
		r.echo.key_hash = j->req->key_hash;
	}
	return cmcresp_build(&r, out, err);
}

/* memmem makes tables of a long needle first, the head alone is found fast. */
static bool
holds(const struct buf *response, const struct buf *cert)
{
	const uint8_t *p = response->p, *end = p + response->n;
	size_t head = cert->n < NEEDLE ? cert->n : NEEDLE;

	for (; (p = memmem(p, (size_t)(end - p), cert->p, head)) != NULL; p++)
		if (cert->n <= (size_t)(end - p) &&
		    memcmp(p, cert->p, cert->n) == 0)
			return true;
	return false;
}

/*
 * A signed answer out of a row is given again as long as it has each
 * certificate that one made now would have: not what a request was answered
 * with while it waited, once it is issued; not an answer from before the CA
 * got its new key or certificate, while old chain and new travel together.
 */
static bool
is_current(const struct signer *s, const struct job *j)
{
	const struct policy_ca *pca = s->policy == NULL ? NULL :
	    policy_key_find(s->policy, j->ca->name, NULL);
	size_t i;

	if ((j->status == MSG_ISSUED && !holds(&j->response, &j->cert)) ||
	    !holds(&j->response, &j->ca->cert.der))
		return false;
	for (i = 0; i < j->ca->nchain; i++)
		if (!holds(&j->response, &j->ca->chain[i].der))
			return false;
	for (i = 0; pca != NULL && i < pca->nalso; i++)
		if (!holds(&j->response, &pca->also[i]))
			return false;
	return true;
}

/*
 * Those whose response was made before their row, or has no row; or was made
 * where the key is.
 */
static bool
is_made(const struct signer *s, const struct job *j)
{
	if (j->response.n == 0)
		return false;
	if (j->status == MSG_STATUS || j->status == MSG_PONG)
		return true;
	return (j->status == MSG_PENDING || j->status == MSG_ISSUED) &&
	    (j->ca->apart || is_current(s, j));
}

/* Only what has a row gets a CMC response: a signature costs. */
static int
respond(const struct signer *s, const struct job *from, struct buf *built,
    struct slice *out, struct err *err)
{
	*out = slice_of(NULL, 0);
	if (ask_decides(&from->ask) || from->ask.call == CALL_KET)
		return 0;
	if (is_made(s, from)) {
		*out = buf_slice(&from->response);
		return 0;
	}
	if (from->number == 0)
		return 0;
	if (job_respond(s, from, built, err) == -1)
		return -1;
	*out = buf_slice(built);
	return 0;
}

static void
log_job(struct log_line *l, const struct job *j, const struct job *from,
    bool sent)
{
	log_next(l, "decision");
	log_id(l, "id", j->ask.id);
	log_str(l, "worker", j->link.worker);
	log_slice(l, "address", j->ask.address);
	log_slice(l, "account", j->ask.account);
	if (from->pending != NULL) {
		log_str(l, "call", j->ask.call == CALL_DENY ? "deny" :
		    "approve");
		log_str(l, "requester", from->account);
		log_str(l, "approver", from->pending->approver);
	}
	log_str(l, "method", auth_method_name(j->ask.method));
	log_slice(l, "ca", j->ask.ca);
	if (from->template_name != NULL)
		log_str(l, "template", from->template_name);
	log_str(l, "outcome", msg_status_name(from->status));
	if (j->stored || from != j)
		log_str(l, "repeated", "yes");
	if (from->number != 0)
		log_num(l, "number", from->number);
	if (from->intent && from->status == MSG_ISSUED) {
		char serial[2 * SERIAL_LEN + 1];

		hex_encode(from->tbs.serial, SERIAL_LEN, serial);
		log_str(l, "serial", serial);
	}
	if (job_agent(from) != NULL)
		log_str(l, "on_behalf_of", job_owner(from));
	log_str(l, "text", from->text);
	if (!sent)
		log_str(l, "reply", "lost");
	log_num(l, "us_check", j->us_check);
	log_num(l, "us_sign", j->us_sign);
	log_num(l, "us_commit", j->us_commit);
	log_num(l, "us_total", log_usec() - j->t0);
}

static void
fill(struct answer *a, const struct job *from, struct slice response)
{
	a->status = from->status;
	a->hresult = from->hresult;
	a->number = from->number;
	if (from->template_name != NULL)
		a->template_name = slice_str(from->template_name);
	/* Why we are unavailable is for our log. */
	if (from->status != MSG_UNAVAILABLE &&
	    from->status != MSG_ELSEWHERE)
		a->text = slice_str(from->text);
	a->response = response;
	if (from->status == MSG_ISSUED)
		a->certificate = buf_slice(&from->cert);
}

static const struct job *
answered(const struct job *j)
{
	return j->state == JOB_COPY ? j->first : j;
}

static int
compose(struct signer *s, struct job *j, const struct job *from,
    struct err *err)
{
	struct answer a = { 0 };
	struct buf built = { 0 };
	struct slice response;
	int rc;

	buf_reset(&j->answer);
	rc = respond(s, from, &built, &response, err);
	if (rc == 0) {
		memcpy(a.id, j->ask.id, sizeof(a.id));
		fill(&a, from, response);
		answer_encode(&a, &j->answer);
	}
	buf_free(&built);
	return rc;
}

int
job_answer_ahead(struct signer *s, struct job *j)
{
	struct err ignored = ERR_INIT;

	return j->answer.n > 0 ? 0 : compose(s, j, j, &ignored);
}

void
job_answer(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT, none = ERR_INIT;

	if (j->state == JOB_DROPPED ||
	    (j->state == JOB_RECORD && j->answer.n > 0))
		return;
	if (compose(s, j, answered(j), &err) == 0)
		return;
	/* The row is there: a repeated request gets its answer. */
	log_note("response", "%s", err.text);
	job_unavailable(j, err.text);
	(void)compose(s, j, j, &none);	/* has no signature */
}

void
job_send(struct signer *s, struct job *j, struct log_line *log)
{
	struct err err = ERR_INIT;
	bool sent;

	if (j->state == JOB_DROPPED) {
		log_note("dropped", "worker %s: %s", j->link.worker, j->text);
		return;
	}
	sent = link_send(s->link, &j->link, buf_slice(&j->answer), &err) == 0;
	if (j->status != MSG_PONG)
		log_job(log, j, answered(j), sent);
}
