/*
 * One request, from nginx to the answer: the worker's half of the path of an
 * enrollment (docs/architecture.md, 2).  Before a signer's answer and after
 * it are two functions: the thread that asks is not the one that goes on.
 */
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "clientcert.h"
#include "fault.h"
#include "hresult.h"
#include "log.h"
#include "ns.h"
#include "renewal.h"
#include "req.h"
#include "request.h"
#include "status.h"
#include "turns.h"
#include "whoami.h"

#define LOOKS	3	/* for account and policy of one moment */

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
	    certlogon_identify(r->s->certs, buf_slice(&r->cert), r->now / 1000,
	    &r->who, &r->err) == -1 || snapshot_account(r->s->snap,
	    r->who.account, &r->account, &r->err) == -1)
		return -1;
	if (r->account != NULL && !r->account->disabled)
		return certauth_since(&r->who, r->account, &r->err);
	return err_deny(&r->err, HR_ACCESS_DENIED, "account %s %s",
	    r->who.account, r->account == NULL ? "does not exist" :
	    "is disabled");
}

static int
by_kerberos(struct req *r)
{
	if (kerberos_accept(r->s->kerberos, r->http.authorization,
	    &r->ticket, &r->proof, &r->err) == -1 ||
	    ticket_account(kerberos_rules(r->s->kerberos), r->s->snap,
	    &r->ticket, &r->account, &r->err) == -1)
		return -1;
	return r->account->disabled ? err_deny(&r->err, HR_ACCESS_DENIED,
	    "account %s is disabled", r->account->name) : 0;
}

/* The way of authenticating is the location's, never the message's choice. */
static int
authenticate(struct req *r)
{
	int	ok;

	if (r->http.auth == AUTH_CERTIFICATE ||
	    r->http.auth == AUTH_KERBEROS) {
		/* Asks the database, or waits for the replay cache. */
		turns_away(r->s->turns);
		ok = r->http.auth == AUTH_KERBEROS ? by_kerberos(r) :
		    by_certificate(r);
		turns_back(r->s->turns);
		return ok;
	}
	if (r->http.auth == AUTH_ANONYMOUS)
		return 0;	/* see check_renewal */
	if (!r->env.token)
		return err_set(&r->err, ERR_NO_SECURITY, "%s: this address "
		    "wants a user name and a password", r->env.security ?
		    "Security: no UsernameToken" : "no Security header");
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

static int
reload_account(struct req *r)
{
	const struct account	*account;

	if (snapshot_account(r->s->snap, r->account->name, &account,
	    &r->err) == -1)
		return -1;
	if (account != NULL) {		/* else it was one a moment ago */
		snapshot_account_put(r->s->snap, r->account);
		r->account = account;
	}
	return 0;
}

/*
 * The account once more, and the policy, of one epoch.  It was read before its
 * password was judged, which may have had to wait: what changed meanwhile would
 * be told as it was before, under the epoch of after, and then be unchanged.
 * Changes without end only make the epoch too old: those are told again.
 */
static const struct policy *
look_again(struct req *r, uint64_t *epoch)
{
	const struct policy	*policy = NULL;
	int			 i;

	for (i = 0; i < LOOKS; i++) {
		snapshot_put(r->s->snap, policy);
		*epoch = snapshot_epoch(r->s->snap);
		if (reload_account(r) == -1 || (policy = snapshot_policy(
		    r->s->snap, false, &r->err)) == NULL)
			return NULL;
		if (snapshot_epoch(r->s->snap) == *epoch)
			break;
	}
	return policy;
}

/* CEP. */
static int
get_policies(struct req *r)
{
	struct reply_head	 head = reply_head(r, ACTION_POLICIES);
	const struct policy	*policy;
	uint64_t		 epoch;
	int			 n;

	policy = look_again(r, &epoch);
	if (policy == NULL)
		return -1;
	envelope_begin(&r->out, &head);
	n = cep_answer(r->s->cep, &(struct cep_ask){
		.policy = policy, .account = r->account,
		.method = r->http.auth, .key_based = r->http.renewal_only,
		.held = r->who.template, .query = &r->query,
		.epoch = epoch, .now = (int64_t)time(NULL),
		.up = log_usec() / 1000000, .ahead = clock_ahead(r)
	    }, &r->out);
	envelope_end(&r->out);
	r->outcome = n == CEP_UNCHANGED ? "unchanged" : "offered";
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
		.now = r->now / 1000,
		.cert = r->http.auth == AUTH_CERTIFICATE ? &r->who : NULL,
		.principal = r->ticket.principal
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
	return renewal_claimed(r->request, &r->err);
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
ask_signer(struct req *r, bool newer)
{
	r->newer = newer;
	buf_reset(&r->question);
	/* What was read of the answer before borrows from its bytes. */
	ces_reply_free(&r->reply);
	if (ces_compose(r, newer, &r->question, &r->err) == -1)
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

/* CES, up to the question. */
static int
request_token(struct req *r)
{
	int	ok;

	r->call = rst_call_name(r->rst.call);
	ok = check_request(r);
	req_lap(r, LAP_REQUEST);
	if (ok == -1 || check_renewal(r) == -1)
		return -1;
	return ask_signer(r, false);
}

/* CES, from the answer on; once more when the signer has a newer policy. */
static int
answer_token(struct req *r)
{
	struct reply_head	head = reply_head(r, r->rst.call == RST_KET ?
	    ACTION_KET_FINAL : ACTION_RSTRC);
	int			ok;

	req_lap(r, LAP_SIGNER);
	if (r->asked.err.kind != ERR_NONE)
		return err_set(&r->err, r->asked.err.kind, "%s",
		    r->asked.err.text);
	ok = ces_read(r, &r->err);
	if (ok == 1 && !r->newer)
		return ask_signer(r, true);
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
	    envelope_check_to(&r->env, r->http.uri, &r->err) == -1 ||
	    envelope_check_action(&r->env, r->http.action, &r->err) == -1)
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
	req_lap(r, LAP_READ);
	if (ok == -1)
		return -1;
	ok = r->http.post ? parse(r) : 0;
	req_lap(r, LAP_PARSE);
	if (ok == -1)
		return -1;
	ok = authenticate(r);
	req_lap(r, LAP_AUTH);
	if (ok == -1)
		return -1;
	if (r->http.service == HTTP_CEP)
		return get_policies(r);
	if (r->http.service == HTTP_WHOAMI)
		return who_am_i(r);
	return request_token(r);
}

/* Always 500: of another status WWSAPI does not read the body. */
static int
fault(struct req *r)
{
	struct reply_head	head = reply_head(r, NULL);

	xmlw_free(&r->out);
	if (r->err.kind == ERR_DENIED)
		r->outcome = "denied";
	fault_write(&r->out, &head, &(struct fault){
		.err = &r->err, .id = r->id,
		.ces = r->http.service == HTTP_CES,
		.response = r->reply.answer.response,
		.number = r->reply.answer.number });
	return 500;
}

/*
 * Who could not be authenticated by Kerberos: [RFC4559] 4.1 has a status for
 * that, and clients read it, not a fault.
 */
static bool
is_challenge(const struct req *r)
{
	return r->http.auth == AUTH_KERBEROS && r->account == NULL &&
	    r->err.kind == ERR_UNAUTHENTICATED;
}

/*
 * Without an envelope; where passwords are asked for, 401 would make browsers
 * ask for one.
 */
static int
refuse(struct req *r)
{
	buf_reset(&r->text);
	whoami_refuse(r->http.json, fault_text(&r->err), r->id, &r->text);
	if (is_challenge(r))
		return 401;
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

/*
 * Not a SOAP message: answered by HTTP alone.  Probes are not worth a line, nor
 * is a first request without a ticket: most clients begin with one.  What the
 * client did wrong it is told; what nginx lacks is the operator's business.
 */
static void
answer_http(struct req *r, FCGX_Stream *out)
{
	int		status = r->http.status;
	struct log_line	l;

	if (status == 400 || status == 405 || status == 415)
		whoami_refuse(r->http.json, r->http.why, r->id, &r->text);
	http_reply(out, status, r->http.json ? HTTP_JSON : HTTP_TEXT,
	    buf_slice(&r->text));
	if (status == 200 || status == 401)
		return;
	log_begin(&l, "http");
	log_id(&l, "id", r->id);
	log_num(&l, "status", status);
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
		(void)ocsp_answer(r, &r->err);
	ocsp_write(r, fcgi->out);
	FCGX_FClose(fcgi->err);
	FCGX_FClose(fcgi->out);
	ocsp_log(r);
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
	bool		 text = r->http.service == HTTP_WHOAMI ||
			    is_challenge(r);
	int		 status = 200;

	if (ok == -1) {
		status = text ? refuse(r) : fault(r);
		put_later(r);
	}
	if (r->proof.n != 0)
		http_proof(fcgi->out, buf_slice(&r->proof));
	if (text)
		http_reply(fcgi->out, status, r->http.json ? HTTP_JSON :
		    HTTP_TEXT, buf_slice(&r->text));
	else
		http_reply(fcgi->out, status, HTTP_SOAP,
		    buf_slice(&r->out.b));
	/* The answer leaves in one piece, before the line is written. */
	FCGX_FClose(fcgi->err);
	FCGX_FClose(fcgi->out);
	req_log(r, status);
	req_count(r);
}

struct link_question *
serve_request(const struct serve *s, FCGX_Request *fcgi)
{
	struct req	*r = req_new(s, fcgi);
	int		 ok;

	http_parse(fcgi->envp, &r->http);
	if (r->http.auth == AUTH_KERBEROS && s->kerberos == NULL) {
		r->http.status = 404;
		r->http.why = "Kerberos is not set up here: worker.conf has "
		    "no kerberos section";
	}
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
