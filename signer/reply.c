/* The end of a job: answer and log line. */
#include <string.h>

#include "approval.h"
#include "cmcresp.h"
#include "log.h"
#include "signer.h"

static const char *
outcome(enum msg_status status)
{
	static const char *const names[] = {
		[MSG_ISSUED] = "issued",
		[MSG_PENDING] = "pending",
		[MSG_DENIED] = "denied",
		[MSG_MALFORMED] = "malformed",
		[MSG_POLICY_CHANGED] = "policy-changed",
		[MSG_UNAVAILABLE] = "unavailable",
		[MSG_PONG] = "pong",
		[MSG_STATUS] = "status"
	};

	return names[status];
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

/* Only what has a row gets a CMC response: a signature costs. */
static int
respond(const struct job *from, struct buf *out, struct err *err)
{
	struct cmcresp r = { .ca = from->ca, .text = from->text };

	if (from->number == 0 || ask_decides(&from->ask) ||
	    from->ask.call == CALL_KET)
		return 0;
	r.status = cmc_status(from->status);
	r.body_part_id = 1;
	r.number = from->number;
	r.received = from->pending_since;
	if (from->status == MSG_ISSUED)
		r.leaf = buf_slice(&from->cert);
	if (from->req != NULL) {
		r.body_part_id = from->req->body_part_id;
		r.transaction_id = from->req->transaction_id;
		r.sender_nonce = from->req->sender_nonce;
		r.key_hash = from->req->key_hash;
	}
	return cmcresp_build(&r, out, err);
}

static void
log_job(const struct job *j, const struct job *from, bool sent)
{
	struct log_line l;

	log_begin(&l, "decision");
	log_id(&l, "id", j->ask.id);
	log_str(&l, "worker", j->link.worker);
	log_slice(&l, "address", j->ask.address);
	log_slice(&l, "account", j->ask.account);
	if (from->pending != NULL) {
		log_str(&l, "call", j->ask.call == CALL_DENY ? "deny" :
		    "approve");
		log_str(&l, "requester", from->account);
		log_str(&l, "approver", from->pending->approver);
	}
	log_str(&l, "method", auth_method_name(j->ask.method));
	log_slice(&l, "ca", j->ask.ca);
	if (from->template_name != NULL)
		log_str(&l, "template", from->template_name);
	log_str(&l, "outcome", outcome(from->status));
	if (j->stored || from != j)
		log_str(&l, "repeated", "yes");
	if (from->number != 0)
		log_num(&l, "number", from->number);
	if (from->intent && from->status == MSG_ISSUED) {
		char serial[2 * SERIAL_LEN + 1];

		hex_encode(from->tbs.serial, SERIAL_LEN, serial);
		log_str(&l, "serial", serial);
	}
	if (job_agent(from) != NULL)
		log_str(&l, "on_behalf_of", job_owner(from));
	log_str(&l, "text", from->text);
	if (!sent)
		log_str(&l, "reply", "lost");
	log_num(&l, "us_check", j->us_check);
	log_num(&l, "us_sign", j->us_sign);
	log_num(&l, "us_commit", j->us_commit);
	log_num(&l, "us_total", log_usec() - j->t0);
	log_end(&l);
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
	if (from->status != MSG_UNAVAILABLE)
		a->text = slice_str(from->text);
	a->response = from->status == MSG_STATUS ||
	    from->status == MSG_PONG ? buf_slice(&from->response) : response;
	if (from->status == MSG_ISSUED)
		a->certificate = buf_slice(&from->cert);
}

void
job_answer(struct signer *s, struct job *j)
{
	const struct job *from = j->state == JOB_COPY ? j->first : j;
	struct answer a = { 0 };
	struct buf response = { 0 }, msg = { 0 };
	struct err err = ERR_INIT;
	bool sent;

	if (j->state == JOB_DROPPED) {
		log_note("dropped", "worker %s: %s", j->link.worker, j->text);
		return;
	}
	if (respond(from, &response, &err) == -1) {
		/* The row is there: a repeated request gets its answer. */
		log_note("response", "%s", err.text);
		job_unavailable(j, err.text);
		from = j;
	}
	memcpy(a.id, j->ask.id, sizeof(a.id));
	fill(&a, from, buf_slice(&response));
	answer_encode(&a, &msg);
	sent = link_send(s->link, &j->link, buf_slice(&msg), &err) == 0;
	if (j->status != MSG_PONG)
		log_job(j, from, sent);
	buf_free(&response);
	buf_free(&msg);
}
