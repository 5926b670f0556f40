/*
 * One request, from nginx to the answer: the worker's half of the path of an
 * enrollment (docs/architecture.md, 2).  Before a signer's answer and after
 * it are two functions: the thread that asks is not the one that goes on.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "certauth.h"
#include "ces.h"
#include "clientcert.h"
#include "envelope.h"
#include "fault.h"
#include "getpolicies.h"
#include "hresult.h"
#include "http.h"
#include "log.h"
#include "ns.h"
#include "request.h"
#include "rst.h"
#include "serve.h"
#include "status.h"
#include "turns.h"
#include "whoami.h"

/* Where the time went. */
enum lap { LAP_READ, LAP_PARSE, LAP_AUTH, LAP_REQUEST, LAP_SIGNER, LAPS };
static const char *const lap_names[LAPS] = {
	"us_read", "us_parse", "us_auth", "us_request", "us_signer"
};
/* As labels of the metrics; "total" comes last. */
static const char *const stages[LAPS + 1] = {
	"stage=\"read\"", "stage=\"parse\"", "stage=\"auth\"",
	"stage=\"request\"", "stage=\"signer\"", "stage=\"total\""
};

/* Owns everything of one request. */
struct req {
	const struct serve	*s;
	FCGX_Request		*fcgi;
	uint8_t			 id[16];	/* log, fault, row share it */
	int64_t			 now;		/* unix milliseconds */
	struct http_request	 http;
	struct buf		 in, cert;	/* message, certificate's DER */
	struct envelope		 env;		/* of the first half */
	struct buf		 message_id;	/* of both */
	struct certauth		 who;		/* by certificate */
	const struct account	*account;	/* once it is proven */
	struct getpolicies	 query;
	struct rst		 rst;
	struct request		*request;
	struct buf		 question;	/* DER, for a signer */
	struct link_question	 asked;
	bool			 newer;		/* asked once more */
	struct ces_reply	 reply;
	struct ocsp_reply	 ocsp;
	struct xmlw		 out;
	struct buf		 text;		/* whoami's answer */
	struct err		 err;
	const char		*call, *outcome;
	int64_t			 start, mark, us[LAPS];
};

static void
lap(struct req *r, enum lap which)
{
	int64_t	t = log_usec();

	r->us[which] += t - r->mark;
	r->mark = t;
}

static struct req *
req_new(const struct serve *s, FCGX_Request *fcgi)
{
	struct req	*r = xcalloc(1, sizeof(*r));
	struct timespec	 ts;

	r->s = s;
	r->fcgi = fcgi;
	r->call = "none";
	r->outcome = "refused";
	clock_gettime(CLOCK_REALTIME, &ts);
	r->now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	r->start = r->mark = log_usec();
	msg_new_id(ts.tv_sec, r->id);
	ERR_clear_error();	/* whatever the request before left */
	return r;
}

static void
req_free(struct req *r)
{
	xmlw_free(&r->out);
	buf_free(&r->text);
	buf_free(&r->cert);
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

/*
 * Before it waits for a signer: the document is the thread's, and no password
 * is kept meanwhile.
 */
static void
req_leave_xml(struct req *r)
{
	struct slice	id = r->env.message_id;

	if (id.p != NULL) {
		buf_reserve(&r->message_id, 1);	/* never NULL: it was there */
		buf_add(&r->message_id, id.p, id.n);
	}
	envelope_free(&r->env);
	r->env.message_id = buf_slice(&r->message_id);
	buf_wipe(&r->in);
}

static struct reply_head
reply_head(const struct req *r, const char *action)
{
	return (struct reply_head){
		.action = action,
		.relates_to = r->env.message_id,
		/* Also on faults, once the credentials were good. */
		.timestamp = r->account != NULL &&
		    r->http.auth == AUTH_PASSWORD,
		.now = r->now,
	};
}

static int
by_certificate(struct req *r)
{
	if (clientcert_read(r->http.verify, r->http.cert, &r->cert,
	    &r->err) == -1 ||
	    auth_certificate(r->s->auth, buf_slice(&r->cert), r->now / 1000,
	    &r->who, &r->err) == -1 || snapshot_account(r->s->snap,
	    r->who.account, &r->account, &r->err) == -1)
		return -1;
	if (r->account != NULL && !r->account->disabled)
		return 0;
	return err_deny(&r->err, HR_ACCESS_DENIED, "account %s %s",
	    r->who.account, r->account == NULL ? "does not exist" :
	    "is disabled");
}

/* The way of authenticating is the location's, never the message's choice. */
static int
authenticate(struct req *r)
{
	int	ok;

	if (r->http.auth == AUTH_CERTIFICATE) {
		turns_away(r->s->turns);	/* asks the database */
		ok = by_certificate(r);
		turns_back(r->s->turns);
		return ok;
	}
	if (r->http.auth == AUTH_ANONYMOUS)
		return 0;	/* see check_renewal */
	if (!r->env.token)
		return err_set(&r->err, ERR_NO_SECURITY, "%s", r->env.security
		    ? "Security: no UsernameToken" : "no Security header");
	return auth_password(r->s->auth, &(struct credentials){
		.user = r->env.username, .password = r->env.password,
		.address = r->http.address }, &r->account, &r->err);
}

/*
 * By how many seconds the client's clock is ahead of ours at most: the
 * Timestamp tells; without one it may be as much as a Timestamp's may.
 */
static int64_t
clock_ahead(const struct req *r)
{
	int64_t	now = r->now / 1000;

	if (r->env.created == 0)
		return CLOCK_SKEW;
	return r->env.created > now ? r->env.created - now : 0;
}

/* CEP. */
static int
get_policies(struct req *r)
{
	struct reply_head	 head = reply_head(r, ACTION_POLICIES);
	const struct policy	*policy;
	int			 n;

	policy = snapshot_policy(r->s->snap, false, &r->err);
	if (policy == NULL)
		return -1;
	envelope_begin(&r->out, &head);
	n = cep_answer(r->s->cep, &(struct cep_ask){
		.policy = policy, .account = r->account,
		.method = r->http.auth, .key_based = r->http.renewal_only,
		.held = r->who.template, .query = &r->query,
		.epoch = snapshot_epoch(r->s->snap), .now = r->now / 1000,
		.ahead = clock_ahead(r)
	    }, &r->out);
	envelope_end(&r->out);
	r->outcome = n == -1 ? "unchanged" : "offered";
	/* Windows shows an empty answer as an error that explains nothing. */
	if (n == 0 && !r->query.by_oid)
		log_note("nothing-offered",
		    "offering 0 of %zu templates to %s", policy->ntemplates,
		    r->account->name);
	snapshot_put(r->s->snap, policy);
	return 0;
}

static int
who_am_i(struct req *r)
{
	const struct policy	*policy;

	policy = snapshot_policy(r->s->snap, false, &r->err);
	if (policy == NULL)
		return -1;
	whoami_write(&(struct whoami){
		.policy = policy, .account = r->account,
		.method = r->http.auth, .json = r->http.json,
		.cert = r->http.auth == AUTH_CERTIFICATE ? &r->who : NULL
	    }, &r->text);
	snapshot_put(r->s->snap, policy);
	r->outcome = "told";
	return 0;
}

/*
 * Where only renewals are taken, the old certificate says who asks; the
 * signer finds out whether that is true.
 */
static int
check_renewal(struct req *r)
{
	if (!r->http.renewal_only)
		return 0;
	if (r->rst.call == RST_QUERY && r->http.auth != AUTH_ANONYMOUS)
		return 0;
	if (r->request != NULL && r->request->old_cert.n != 0 &&
	    r->request->nsigner != 0)
		return 0;
	return err_deny(&r->err, CERTSRV_E_ENROLL_DENIED,
	    "this address only renews: the request carries no certificate "
	    "to renew and no signature by its key");
}

/*
 * Syntax and proof of possession here; every rule of the policy, and what a
 * certificate that signed is worth, is the signer's, who keeps a row of what
 * it decides.
 */
static int
check_request(struct req *r)
{
	if (r->rst.call != RST_ISSUE)
		return 0;
	r->request = request_parse_unjudged(buf_slice(&r->rst.token),
	    &r->err);
	if (r->request == NULL)
		return -1;
	if (r->rst.template == NULL)
		return 0;
	return request_add_hint(r->request, HINT_CONTEXT, r->rst.template,
	    &r->err);
}

static int
ask_signer(struct req *r, const struct ces_ask *ask, bool newer)
{
	r->newer = newer;
	buf_reset(&r->question);
	/* What was read of the answer before borrows from its bytes. */
	ces_reply_free(&r->reply);
	if (ces_compose(ask, newer, &r->question, &r->err) == -1)
		return -1;
	memcpy(r->asked.id, r->id, sizeof(r->asked.id));
	/*
	 * Who gets a message twice, or one key from two accounts, sees it; of
	 * two signers that do at once one signs what is void.
	 */
	r->asked.lot = r->request == NULL ? 0 : pubkey_lot(r->request->key);
	r->asked.msg = buf_slice(&r->question);
	r->asked.reply = &r->reply.bytes;
	r->asked.asker = r;
	return 1;
}

static struct ces_ask
ces_question(const struct req *r)
{
	return (struct ces_ask){
		.snap = r->s->snap, .id = r->id,
		.ca = r->http.ca, .method = r->http.auth,
		.account = r->account != NULL ? r->account->name : "",
		.address = r->http.address, .evidence = buf_slice(&r->cert),
		.message_id = r->env.message_id, .now = r->now, .rst = &r->rst
	};
}

/* CES, up to the question. */
static int
request_token(struct req *r)
{
	struct ces_ask	ask = ces_question(r);
	int		ok;

	r->call = rst_call_name(r->rst.call);
	ok = check_request(r);
	lap(r, LAP_REQUEST);
	if (ok == -1 || check_renewal(r) == -1)
		return -1;
	return ask_signer(r, &ask, false);
}

/* CES, from the answer on; once more when the signer has a newer policy. */
static int
answer_token(struct req *r)
{
	struct reply_head	head = reply_head(r, r->rst.call == RST_KET ?
	    ACTION_KET_FINAL : ACTION_RSTRC);
	struct ces_ask		ask = ces_question(r);
	int			ok;

	lap(r, LAP_SIGNER);
	if (r->asked.err.kind != ERR_NONE)
		return err_set(&r->err, r->asked.err.kind, "%s",
		    r->asked.err.text);
	ok = ces_read(&ask, &r->reply, &r->err);
	if (ok == 1 && !r->newer)
		return ask_signer(r, &ask, true);
	if (ok == 1)
		return err_set(&r->err, ERR_UNAVAILABLE,
		    "the signer has another policy");
	if (ok == -1)
		return -1;
	envelope_begin(&r->out, &head);
	ces_write(&r->rst, &r->reply.answer, r->http.uri, &r->out);
	envelope_end(&r->out);
	r->outcome = r->reply.answer.status == MSG_ISSUED ? "issued" :
	    "pending";
	return 0;
}

/* The message into its struct, before anybody is believed or asked. */
static int
parse(struct req *r)
{
	if (envelope_parse(r->s->xml, buf_slice(&r->in), r->now / 1000,
	    &r->env, &r->err) == -1 ||
	    envelope_check_to(&r->env, r->http.uri, &r->err) == -1)
		return -1;
	if (r->http.service == HTTP_WHOAMI)
		return 0;
	if (r->http.service == HTTP_CEP) {
		r->call = "get-policies";
		return getpolicies_parse(r->env.body, r->env.action,
		    &r->query, &r->err);
	}
	return rst_parse(r->env.body, r->env.action, &r->rst, &r->err);
}

/* 1: a signer is to be asked; 0: there is an answer; -1: a fault. */
static int
run(struct req *r, FCGX_Stream *in)
{
	int	ok;

	ok = http_read(&r->http, in, &r->in, &r->err);
	lap(r, LAP_READ);
	if (ok == -1)
		return -1;
	ok = r->http.post ? parse(r) : 0;
	lap(r, LAP_PARSE);
	if (ok == -1)
		return -1;
	ok = authenticate(r);
	lap(r, LAP_AUTH);
	if (ok == -1)
		return -1;
	if (r->http.service == HTTP_CEP)
		return get_policies(r);
	if (r->http.service == HTTP_WHOAMI)
		return who_am_i(r);
	return request_token(r);
}

static int
fault(struct req *r)
{
	struct reply_head	head = reply_head(r, NULL);

	xmlw_free(&r->out);
	if (r->err.kind == ERR_DENIED)
		r->outcome = "denied";
	return fault_write(&r->out, &head, &(struct fault){
		.err = &r->err, .id = r->id,
		.ces = r->http.service == HTTP_CES,
		.response = r->reply.answer.response,
		.number = r->reply.answer.number });
}

/* whoami has no envelope; 401 would make browsers ask for a password. */
static int
refuse(struct req *r)
{
	buf_reset(&r->text);
	whoami_refuse(r->http.json, fault_text(&r->err), r->id, &r->text);
	switch (r->err.kind) {
	case ERR_UNAVAILABLE:
		return 503;
	case ERR_INTERNAL:
		return 500;
	case ERR_UNAUTHENTICATED:
	case ERR_NO_SECURITY:
	case ERR_DENIED:
		return 403;
	default:
		return 400;
	}
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

/* Nothing of the message but names; never a password or a token. */
static void
write_log(const struct req *r, int status)
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

/* What the log line says, as numbers. */
static void
count(const struct req *r)
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

/* Not a SOAP message: answered by HTTP alone.  Probes are not worth a line. */
static void
answer_http(const struct req *r, FCGX_Stream *out)
{
	struct log_line	l;

	http_reply(out, r->http.status, "text/plain", slice_of(NULL, 0));
	if (r->http.status == 200)
		return;
	log_begin(&l, "http");
	log_num(&l, "status", r->http.status);
	log_str(&l, "text", r->http.why);
	log_str(&l, "address", r->http.address);
	log_end(&l);
}

/* Not a message in XML either. */
static void
answer_ocsp(struct req *r, FCGX_Request *fcgi)
{
	if (r->http.target != NULL ||
	    http_read(&r->http, fcgi->in, &r->in, &r->err) == 0)
		ocsp_answer(&(struct ocsp_ask){
			.ocsp = r->s->ocsp, .snap = r->s->snap,
			.link = r->s->link, .id = r->id, .http = &r->http,
			.body = buf_slice(&r->in), .now = r->now
		    }, &r->ocsp, &r->err);
	ocsp_write(&r->http, &r->ocsp, &r->err, r->now / 1000, fcgi->out);
	FCGX_FClose(fcgi->err);
	FCGX_FClose(fcgi->out);
	ocsp_log(r->id, &r->http, &r->ocsp, &r->err);
}

/* Asked for by the minute perhaps: no line. */
static void
answer_status(struct req *r, FCGX_Stream *out)
{
	status_write(r->s->snap, r->s->link, &r->text);
	http_reply(out, 200, HTTP_JSON, buf_slice(&r->text));
}

/* Numbers of all processes of this host, and what signers saved. */
static void
answer_metrics(struct req *r, FCGX_Stream *out)
{
	const struct policy	*policy;
	struct err		 ignored = ERR_INIT;
	struct buf		 others = { 0 };

	policy = snapshot_policy(r->s->snap, false, &ignored);
	metrics_set(r->s->metrics, M_POLICY_VERSION, "", policy != NULL ?
	    (int64_t)policy->version : 0);
	if (policy != NULL)
		snapshot_put(r->s->snap, policy);
	if (r->s->metrics_folder != NULL)
		metrics_read(r->s->metrics_folder, &others);
	metrics_write(r->s->metrics, buf_slice(&others), &r->text);
	buf_free(&others);
	http_reply(out, 200, HTTP_METRICS_TEXT, buf_slice(&r->text));
}

/* Those that are no message of ours; true when it was one of them. */
static bool
answer_other(struct req *r)
{
	FCGX_Request	*fcgi = r->fcgi;

	if (r->http.status != 0)
		answer_http(r, fcgi->out);
	else if (r->http.service == HTTP_METRICS)
		answer_metrics(r, fcgi->out);
	else if (r->http.service == HTTP_STATUS ||
	    r->http.service == HTTP_OCSP) {
		turns_away(r->s->turns);	/* they wait for a signer */
		if (r->http.service == HTTP_STATUS)
			answer_status(r, fcgi->out);
		else
			answer_ocsp(r, fcgi);
		turns_back(r->s->turns);
	} else
		return false;
	return true;
}

/*
 * Those of one wave must not all come back at the same moment: each is told
 * another of 3 to 66 seconds, by a random octet of its request's id.
 */
static void
put_later(const struct req *r)
{
	if (r->err.kind == ERR_UNAVAILABLE)
		http_retry_after(r->fcgi->out, 3 + r->id[15] % 64);
}

static void
answer(struct req *r, int ok)
{
	FCGX_Request	*fcgi = r->fcgi;
	bool		 whoami = r->http.service == HTTP_WHOAMI;
	int		 status = 200;

	if (ok == -1) {
		status = whoami ? refuse(r) : fault(r);
		put_later(r);
	}
	if (whoami)
		http_reply(fcgi->out, status, r->http.json ? HTTP_JSON :
		    HTTP_TEXT, buf_slice(&r->text));
	else
		http_reply(fcgi->out, status, HTTP_SOAP,
		    buf_slice(&r->out.b));
	/* The answer leaves in one piece, before the line is written. */
	FCGX_FClose(fcgi->err);
	FCGX_FClose(fcgi->out);
	write_log(r, status);
	count(r);
}

struct link_question *
serve_request(const struct serve *s, FCGX_Request *fcgi)
{
	struct req	*r = req_new(s, fcgi);
	int		 ok;

	http_parse(fcgi->envp, &r->http);
	if (!answer_other(r)) {
		ok = run(r, fcgi->in);
		if (ok == 1) {
			req_leave_xml(r);
			return &r->asked;
		}
		answer(r, ok);
	}
	req_free(r);
	return NULL;
}

struct link_question *
serve_answer(const struct serve *s, struct link_question *q)
{
	struct req	*r = q->asker;
	int		 ok;

	r->s = s;
	ERR_clear_error();
	ok = answer_token(r);
	if (ok == 1)
		return &r->asked;
	answer(r, ok);
	req_free(r);
	return NULL;
}

FCGX_Request *
serve_asker(const struct link_question *q)
{
	const struct req	*r = q->asker;

	return r->fcgi;
}
