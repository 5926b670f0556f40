/*
 * The life of one request in a worker: made, timed, told to log and metrics,
 * wiped.
 */
#include <stdlib.h>

#include <openssl/err.h>

#include "log.h"
#include "req.h"
#include "request.h"

static const char *const lap_names[LAPS] = {
	"us_read", "us_parse", "us_auth", "us_request", "us_signer"
};
/* As labels of the metrics; "total" comes last. */
static const char *const stages[LAPS + 1] = {
	"stage=\"read\"", "stage=\"parse\"", "stage=\"auth\"",
	"stage=\"request\"", "stage=\"signer\"", "stage=\"total\""
};

void
req_lap(struct req *r, enum lap which)
{
	int64_t	t = log_usec();

	r->us[which] += t - r->mark;
	r->mark = t;
}

struct req *
req_new(const struct serve *s, FCGX_Request *fcgi)
{
	struct req	*r = xcalloc(1, sizeof(*r));

	r->s = s;
	r->fcgi = fcgi;
	r->call = "none";
	r->outcome = "refused";
	r->now = unix_usec() / 1000;
	r->start = r->mark = log_usec();
	msg_new_id(r->now / 1000, r->id);
	ERR_clear_error();	/* whatever the request before left */
	return r;
}

void
req_free(struct req *r)
{
	xmlw_free(&r->out);
	buf_free(&r->text);
	buf_free(&r->cert);
	buf_free(&r->proof);
	ticket_free(&r->ticket);
	buf_free(&r->ocsp.der);
	buf_free(&r->message_id);
	buf_free(&r->question);
	ces_reply_free(&r->reply);
	request_free(r->request);
	rst_free(&r->rst);
	getpolicies_free(&r->query);
	if (r->account != NULL)
		snapshot_account_put(r->s->snap, r->account);
	envelope_free(&r->env);
	buf_wipe(&r->in);	/* the password was in it */
	free(r);
}

static const char *const service_names[] = {
	[HTTP_CEP] = "cep", [HTTP_CES] = "ces", [HTTP_WHOAMI] = "whoami"
};

static const char *
form_name(const struct request *request)
{
	switch (request->form) {
	case FORM_PKCS10:
		return "pkcs10";
	case FORM_CMS:
		return "cms";
	case FORM_CMC:
		return "cmc";
	}
	return "none";
}

void
req_log(const struct req *r, int status)
{
	struct log_line	l;
	int		i;

	log_begin(&l, "request");
	log_id(&l, "id", r->id);
	log_str(&l, "service", service_names[r->http.service]);
	log_str(&l, "call", r->call);
	log_str(&l, "method", auth_method_name(r->http.auth));
	log_str(&l, "outcome", r->outcome);
	log_num(&l, "status", status);
	if (r->account != NULL)
		log_str(&l, "account", r->account->name);
	if (r->ticket.principal != NULL)
		log_str(&l, "principal", r->ticket.principal);
	if (r->request != NULL)
		log_str(&l, "form", form_name(r->request));
	if (r->reply.answer.template_name.n != 0)
		log_slice(&l, "template", r->reply.answer.template_name);
	if (r->reply.answer.number != 0)
		log_num(&l, "number", r->reply.answer.number);
	if (r->err.kind != ERR_NONE) {
		log_str(&l, "kind", err_kind_name(r->err.kind));
		log_str(&l, "text", r->err.text);
	}
	log_str(&l, "address", r->http.address);
	for (i = 0; i < LAPS; i++)
		log_num(&l, lap_names[i], r->us[i]);
	log_num(&l, "us_total", log_usec() - r->start);
	log_end(&l);
}

void
req_count(const struct req *r)
{
	struct metrics	*m = r->s->metrics;
	char		 labels[METRICS_LABELS] = "";
	int		 i;

	metrics_label(labels, "service",
	    slice_str(service_names[r->http.service]));
	metrics_label(labels, "call", slice_str(r->call));
	metrics_label(labels, "method",
	    slice_str(auth_method_name(r->http.auth)));
	metrics_label(labels, "template", r->reply.answer.template_name);
	metrics_label(labels, "outcome", slice_str(r->err.kind == ERR_NONE ||
	    r->err.kind == ERR_DENIED ? r->outcome :
	    err_kind_name(r->err.kind)));
	metrics_count(m, M_REQUESTS, labels, 1);
	for (i = 0; i < LAPS; i++)
		if (r->us[i] > 0)
			metrics_observe(m, M_STAGE, stages[i], r->us[i]);
	metrics_observe(m, M_STAGE, stages[LAPS], log_usec() - r->start);
}
