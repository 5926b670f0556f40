/* One request. */
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
#include "whoami.h"

/* Where the time went. */
enum lap { LAP_READ, LAP_PARSE, LAP_AUTH, LAP_REQUEST, LAP_SIGNER, LAPS };
static const char *const lap_names[LAPS] = {
	"us_read", "us_parse", "us_auth", "us_request", "us_signer"
};

/* Owns everything of one request. */
struct req {
	const struct serve	*s;
	uint8_t			 id[16];	/* log, fault, row share it */
	int64_t			 now;		/* unix milliseconds */
	struct http_request	 http;
	struct buf		 in, cert;	/* message, certificate's DER */
	struct envelope		 env;
	struct certauth		 who;		/* by certificate */
	const struct account	*account;	/* once it is proven */
	struct getpolicies	 query;
	struct rst		 rst;
	struct request		*request;
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

	r->us[which] = t - r->mark;
	r->mark = t;
}

static void
req_init(struct req *r, const struct serve *s)
{
	struct timespec	ts;

	memset(r, 0, sizeof(*r));
	r->s = s;
	r->call = "none";
	r->outcome = "refused";
	clock_gettime(CLOCK_REALTIME, &ts);
	r->now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	r->start = r->mark = log_usec();
	msg_new_id(ts.tv_sec, r->id);
	ERR_clear_error();	/* whatever the request before left */
}

static void
req_free(struct req *r)
{
	xmlw_free(&r->out);
	buf_free(&r->text);
	buf_free(&r->cert);
	buf_free(&r->ocsp.der);
	ces_reply_free(&r->reply);
	request_free(r->request);
	rst_free(&r->rst);
	getpolicies_free(&r->query);
	if (r->account != NULL)
		snapshot_account_put(r->s->snap, r->account);
	envelope_free(&r->env);
	buf_wipe(&r->in);	/* the password was in it */
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
	const struct policy	*policy;
	int			 ok;

	if (clientcert_read(r->http.verify, r->http.cert, &r->cert,
	    &r->err) == -1)
		return -1;
	policy = snapshot_policy(r->s->snap, false, &r->err);
	if (policy == NULL)
		return -1;
	ok = certauth_identify(r->s->snap, policy, buf_slice(&r->cert),
	    r->now / 1000, &r->who, &r->err);
	snapshot_put(r->s->snap, policy);
	if (ok == -1 || snapshot_account(r->s->snap, r->who.account,
	    &r->account, &r->err) == -1)
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
	if (r->http.auth == AUTH_CERTIFICATE)
		return by_certificate(r);
	if (r->http.auth == AUTH_ANONYMOUS)
		return 0;	/* see check_renewal */
	if (!r->env.token)
		return err_set(&r->err, ERR_NO_SECURITY, "%s", r->env.security
		    ? "Security: no UsernameToken" : "no Security header");
	return auth_password(r->s->auth, r->env.username, r->env.password,
	    &r->account, &r->err);
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
		.epoch = snapshot_epoch(r->s->snap), .now = r->now / 1000
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
 * Syntax and proof of possession here; every rule of the policy is the
 * signer's, who keeps a row of what it decides.
 */
static int
check_request(struct req *r)
{
	if (r->rst.call != RST_ISSUE)
		return 0;
	r->request = request_parse(buf_slice(&r->rst.token), &r->err);
	if (r->request == NULL)
		return -1;
	if (r->rst.template == NULL)
		return 0;
	return request_add_hint(r->request, HINT_CONTEXT, r->rst.template,
	    &r->err);
}

/* CES. */
static int
request_token(struct req *r)
{
	bool			is_ket = r->rst.call == RST_KET;
	struct reply_head	head = reply_head(r, is_ket ?
	    ACTION_KET_FINAL : ACTION_RSTRC);
	int			ok;

	r->call = rst_call_name(r->rst.call);
	ok = check_request(r);
	lap(r, LAP_REQUEST);
	if (ok == -1 || check_renewal(r) == -1)
		return -1;
	ok = ces_ask(&(struct ces_ask){
		.snap = r->s->snap, .link = r->s->link, .id = r->id,
		.ca = r->http.ca, .method = r->http.auth,
		.account = r->account != NULL ? r->account->name : "",
		.address = r->http.address, .evidence = buf_slice(&r->cert),
		.message_id = r->env.message_id, .now = r->now, .rst = &r->rst
	    }, &r->reply, &r->err);
	lap(r, LAP_SIGNER);
	if (ok == -1)
		return -1;
	envelope_begin(&r->out, &head);
	if (is_ket)
		ces_write_ket(&r->reply.answer, &r->out);
	else
		ces_write(&r->reply.answer, r->http.uri, &r->out);
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
	ocsp_write(&r->ocsp, &r->err, r->now / 1000, fcgi->out);
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

void
serve_request(const struct serve *s, FCGX_Request *fcgi)
{
	struct req	r;
	int		status = 200;

	req_init(&r, s);
	http_parse(fcgi->envp, &r.http);
	if (r.http.status != 0) {
		answer_http(&r, fcgi->out);
		req_free(&r);
		return;
	}
	if (r.http.service == HTTP_STATUS) {
		answer_status(&r, fcgi->out);
		req_free(&r);
		return;
	}
	if (r.http.service == HTTP_OCSP) {
		answer_ocsp(&r, fcgi);
		req_free(&r);
		return;
	}
	if (run(&r, fcgi->in) == -1)
		status = r.http.service == HTTP_WHOAMI ? refuse(&r) :
		    fault(&r);
	if (r.http.service == HTTP_WHOAMI)
		http_reply(fcgi->out, status, r.http.json ? HTTP_JSON :
		    HTTP_TEXT, buf_slice(&r.text));
	else
		http_reply(fcgi->out, status, HTTP_SOAP,
		    buf_slice(&r.out.b));
	/* The answer leaves in one piece, before the line is written. */
	FCGX_FClose(fcgi->err);
	FCGX_FClose(fcgi->out);
	write_log(&r, status);
	req_free(&r);
}
