#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "agents.h"
#include "archive.h"
#include "approval.h"
#include "certauth.h"
#include "exchange.h"
#include "hresult.h"
#include "log.h"
#include "pong.h"
#include "renewal.h"
#include "rows.h"
#include "signer.h"

#define MAX_AGE_MS	(60 * 1000)
#define DAY_USEC	(INT64_C(86400) * 1000000)

struct job *
job_new(void)
{
	return xcalloc(1, sizeof(struct job));
}

void
job_free(struct signer *s, struct job *j)
{
	if (j == NULL)
		return;
	if (j->acct != NULL)
		snapshot_account_put(s->snapshot, j->acct);
	if (j->has_decision)
		decision_free(&j->decision);
	agents_free(s, &j->agency);
	exchange_free(j->exchange);
	buf_free(&j->archived);
	request_free(j->req);
	issued_free(j->issued);
	pending_free(j->pending);
	free(j->account);
	free(j->template_name);
	buf_free(&j->subject);
	buf_free(&j->san);
	buf_free(&j->tbs_der);
	buf_free(&j->cert);
	buf_free(&j->response);
	link_job_free(&j->link);
	free(j);
}

const char *
job_owner(const struct job *j)
{
	return j->has_decision ? j->decision.subject->name : j->account;
}

const char *
job_agent(const struct job *j)
{
	return j->has_decision && j->decision.subject != j->acct ?
	    j->account : NULL;
}

/*
 * Texts of refusals repeat what was asked for and may be cut in the middle of
 * a character: PostgreSQL and UTF8String take neither half characters nor
 * control characters.
 */
static void
set_text(struct job *j, struct slice text)
{
	size_t n, out = 0;

	while (text.n > 0) {
		n = utf8_char(text.p, text.n);
		if (out + (n > 0 ? n : 1) >= sizeof(j->text))
			break;
		if (n > 0)
			memcpy(j->text + out, text.p, n);
		else
			j->text[out] = '?';
		out += n > 0 ? n : 1;
		text.p += n > 0 ? n : 1;
		text.n -= n > 0 ? n : 1;
	}
	j->text[out] = '\0';
}

void
job_answered(struct job *j, enum msg_status status, const char *text)
{
	j->state = JOB_ANSWERED;
	j->status = status;
	set_text(j, slice_str(text));
}

void
job_unavailable(struct job *j, const char *text)
{
	job_answered(j, MSG_UNAVAILABLE, text);
	j->hresult = HR_RETRY;
	j->number = 0;
}

void
job_refuse(struct job *j, const struct err *err)
{
	switch (err->kind) {
	case ERR_MALFORMED:
	case ERR_TOO_BIG:
		job_answered(j, MSG_MALFORMED, err->text);
		break;
	case ERR_DENIED:
	case ERR_UNAUTHENTICATED:
		job_answered(j, MSG_DENIED, err->text);
		break;
	default:
		job_unavailable(j, err->text);
		return;
	}
	j->hresult = err_hresult(err);
}

/* What a worker or an operator may do is in our own configuration. */
static int
check_peer(const struct signer *s, const struct job *j, struct err *err)
{
	bool is_operator;

	if (!sconf_peer(s->conf, j->link.worker, &is_operator))
		return err_deny(err, HR_ACCESS_DENIED,
		    "worker %s is not in the allow-list", j->link.worker);
	if (is_operator != (j->ask.method == AUTH_OPERATOR))
		return err_deny(err, HR_ACCESS_DENIED,
		    "worker %s may not use method %s", j->link.worker,
		    auth_method_name(j->ask.method));
	return 0;
}

/* A message that lay somewhere for long must not be acted upon; and the day
 * in an id says where its row is. */
static int
check_times(const struct job *j, struct err *err)
{
	int64_t age = j->received / 1000 - j->ask.sent_at;
	int64_t day = row_day(j->ask.id) - j->received / DAY_USEC;

	if (age > MAX_AGE_MS || age < -MAX_AGE_MS)
		return err_set(err, ERR_UNAVAILABLE,
		    "message is %lld ms old", (long long)age);
	if (day < -1 || day > 1)
		return err_bad(err, 0, "request id is of another day");
	return 0;
}

static int
check_account_name(struct job *j, struct err *err)
{
	struct err ignored = ERR_INIT;
	char canonical[129];

	j->account = xstrndup((const char *)j->ask.account.p,
	    j->ask.account.n);
	if (j->account[0] == '\0' && ask_decides(&j->ask))
		return 0;	/* an operator without an account */
	if (j->ask.method == AUTH_ANONYMOUS) {
		if (j->ask.account.n > 0)
			return err_bad(err, 0, "anonymous, with an account");
		return 0;	/* see job_identify */
	}
	if (account_canonical(j->account, canonical, &ignored) == -1 ||
	    strcmp(canonical, j->account) != 0)
		return err_bad(err, 0, "account name is not canonical");
	return 0;
}

static int
find_ca(const struct signer *s, struct job *j, struct err *err)
{
	size_t i;

	for (i = 0; i < s->ncas; i++) {
		if (!slice_is(j->ask.ca, s->cas[i]->name))
			continue;
		j->ca = s->cas[i];
		return 0;
	}
	return err_set(err, ERR_UNAVAILABLE, "ca %.*s is not on this signer",
	    (int)j->ask.ca.n, (const char *)j->ask.ca.p);
}

/* Up, even where there is nothing to decide by: the text says why. */
static void
pong(struct signer *s, struct job *j)
{
	struct pong p = { .signer = slice_str(s->conf->name),
	    .now = j->received / 1000 };
	struct err err = ERR_INIT;
	const struct policy *policy;

	policy = snapshot_policy(s->snapshot, false, &err);
	if (policy != NULL) {
		p.version = policy->version;
		memcpy(p.policy_hash, policy->sha256, sizeof(p.policy_hash));
		snapshot_put(s->snapshot, policy);
	}
	pong_encode(&p, &j->response);
	job_answered(j, MSG_PONG, err.text);
}

void
job_open(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;

	if (ask_decode(buf_slice(&j->link.msg), &j->ask, &err) == -1) {
		j->state = JOB_DROPPED;
		set_text(j, slice_str(err.text));
		return;
	}
	memcpy(j->row_id, j->ask.id, sizeof(j->row_id));
	if (j->ask.call == CALL_PING)
		pong(s, j);
	else if (check_peer(s, j, &err) == -1 ||
	    check_times(j, &err) == -1 ||
	    (j->ask.call != CALL_OCSP && check_account_name(j,
	    &err) == -1) || find_ca(s, j, &err) == -1)
		job_refuse(j, &err);
}

void
job_policy(struct signer *s, struct job *j)
{
	if (memcmp(j->ask.policy_hash, s->policy->sha256,
	    sizeof(s->policy->sha256)) != 0)
		job_answered(j, MSG_POLICY_CHANGED, "policy changed");
}

void
job_token_sha256(const struct job *j, uint8_t out[32])
{
	if (EVP_Digest(j->ask.token.p, j->ask.token.n, out, NULL,
	    EVP_sha256(), NULL) != 1)
		abort();
}

/* Is this row an earlier coming of this very request? */
static bool
is_same(const struct job *j, const struct stored *row)
{
	uint8_t md[32];

	if (!slice_is(row->account, j->account) ||
	    !slice_is(row->ca, j->ca->name))
		return false;
	if (j->ask.call != CALL_ISSUE)
		return true;
	job_token_sha256(j, md);
	return slice_eq(row->token_sha256, slice_of(md, sizeof(md)));
}

void
job_stored(struct job *j, const struct stored *row)
{
	struct err ignored = ERR_INIT;

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
	set_text(j, row->text);
	pending_expire(j, row);
	free(j->template_name);
	j->template_name = xstrndup((const char *)row->template_name.p,
	    row->template_name.n);
	buf_reset(&j->cert);
	buf_add(&j->cert, row->certificate.p, row->certificate.n);
	/* For the parts of it that the CMC response repeats. */
	if (j->req == NULL)
		j->req = request_parse(j->ask.call == CALL_ISSUE ?
		    j->ask.token : row->token, &ignored);
}

/* Who logged on with a certificate is proven by it here too. */
static int
check_evidence(struct signer *s, const struct job *j, struct err *err)
{
	struct certauth who;

	if (j->ask.method != AUTH_CERTIFICATE)
		return 0;
	if (j->ask.evidence.n == 0)
		return err_deny(err, HR_ACCESS_DENIED,
		    "method certificate without a certificate");
	if (certauth_recheck(s->snapshot, s->policy, j->ask.evidence,
	    j->received / 1000000, &who, err) == -1)
		return -1;
	if (strcmp(who.account, j->account) == 0)
		return 0;
	return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
	    "is account %.60s's, not %.60s's", who.account, j->account);
}

/* Nobody: only a renewal is judged, by the rules about its certificate. */
static int
load_account(struct signer *s, struct job *j, struct err *err)
{
	if (j->account[0] == '\0' && j->req != NULL && j->req->old_cert.n > 0)
		return 0;
	if (j->account[0] == '\0')
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "anonymous callers may only renew");
	if (snapshot_account(s->snapshot, j->account, &j->acct, err) == -1)
		return -1;
	if (j->acct == NULL || j->acct->disabled)
		return err_deny(err, HR_ACCESS_DENIED, "account %s %s",
		    j->account, j->acct == NULL ? "does not exist" :
		    "is disabled");
	return check_evidence(s, j, err);
}

/* Not there and not the caller's are one answer ([MS-WSTEP] has no rule). */
static int
query(struct signer *s, struct job *j, struct err *err)
{
	struct found found = { NULL };
	struct stored row;
	int rc;

	if (load_account(s, j, err) == -1 ||
	    store_query(s->store, j, &found, err) == -1)
		return -1;
	if (found_count(&found) == 0)
		rc = err_deny(err, CERTSRV_E_PROPERTY_EMPTY,
		    "no request with this id");
	else if ((rc = found_get(&found, 0, &row, err)) == 0)
		job_stored(j, &row);
	found_free(&found);
	return rc;
}

void
job_query(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;

	if (query(s, j, &err) == -1)
		job_refuse(j, &err);
}

/* The certificate that CEP shows must be the one we sign with. */
static int
check_ca(const struct signer *s, const struct job *j,
    const struct policy_ca **out, struct err *err)
{
	*out = policy_ca_find(s->policy, j->ca->name);
	if (*out == NULL)
		return err_set(err, ERR_UNAVAILABLE,
		    "ca %s is not in the policy", j->ca->name);
	if (!slice_eq(buf_slice(&(*out)->cert),
	    buf_slice(&j->ca->cert.der)))
		return err_set(err, ERR_UNAVAILABLE,
		    "ca %s: the database has another certificate",
		    j->ca->name);
	return 0;
}

static int
check_method(const struct job *j, const struct policy_ca *ca,
    struct err *err)
{
	size_t i;

	if (j->ask.method == AUTH_OPERATOR)
		return 0;	/* check_peer has */
	for (i = 0; i < ca->nuris; i++) {
		if (ca->uris[i].method == j->ask.method &&
		    (!ca->uris[i].renewal_only || j->req->old_cert.n > 0))
			return 0;
	}
	return err_deny(err, CERTSRV_E_ENROLL_DENIED,
	    "ca %s has no service for method %s", ca->name,
	    auth_method_name(j->ask.method));
}

static int
add_hints(struct job *j, struct err *err)
{
	char *name;
	size_t i;
	int rc = 0;

	for (i = 0; i < j->ask.nhint && rc == 0; i++) {
		name = xstrndup((const char *)j->ask.hint[i].p,
		    j->ask.hint[i].n);
		rc = request_add_hint(j->req, HINT_CONTEXT, name, err);
		free(name);
	}
	return rc;
}

int
job_build(struct signer *s, struct job *j, const struct pubkey *key,
    struct err *err)
{
	int64_t now = j->received / 1000000;

	j->tbs.ca = j->ca;
	j->tbs.decision = &j->decision;
	j->tbs.key = key;
	if (tbs_validity(&j->tbs, now, err) == -1)
		return -1;
	/* An exchange certificate has its number already: it is sealed in. */
	if (j->exchange == NULL &&
	    serial_new(now, s->prefix, j->tbs.serial, err) == -1)
		return -1;
	return tbs_build(&j->tbs, &j->tbs_der, err);
}

void
job_parse(struct job *j)
{
	int64_t t = log_usec();

	ERR_clear_error();
	j->req = request_parse(j->ask.token, &j->parse_err);
	if (j->req != NULL && add_hints(j, &j->parse_err) == -1) {
		request_free(j->req);
		j->req = NULL;
	}
	j->us_check = log_usec() - t;
}

size_t
job_signers(const struct job *j, struct slice serial[2])
{
	size_t i;

	for (i = 0; j->req != NULL && i < j->req->nsigner; i++)
		serial[i] = j->req->signer[i].serial;
	return i;
}

static struct decide_ask
input(const struct signer *s, const struct job *j)
{
	struct decide_ask in = { .policy = s->policy, .ca = j->ca->name,
	    .account = j->acct, .method = j->ask.method, .request = j->req,
	    .agency = &j->agency, .now = j->received / 1000000 };
	struct slice serial[2];
	size_t i, n = job_signers(j, serial);

	for (i = 0; i < n; i++)
		in.issued[i] = issued_find(j->pending != NULL ? j->issued :
		    s->issued, serial[i]);
	return in;
}

void
job_identify(const struct signer *s, struct job *j)
{
	struct decide_ask in;
	const struct issued *old;

	if (j->ask.method != AUTH_ANONYMOUS || j->req == NULL)
		return;
	in = input(s, j);
	if ((old = renewal_holder(&in)) == NULL)
		return;
	free(j->account);
	j->account = xstrdup(old->account);
}

/* Approval: the request came out of its row, behind the batch's look-up. */
static int
look_up_alone(struct signer *s, struct job *j, struct err *err)
{
	struct slice serial[2];
	size_t n;

	if (j->pending == NULL)
		return 0;
	job_parse(j);
	if (j->req == NULL || (n = job_signers(j, serial)) == 0)
		return 0;
	j->issued = store_issued(s->store, serial, n, err);
	return j->issued == NULL ? -1 : 0;
}

int
job_caller(struct signer *s, struct job *j, const struct policy_ca **ca,
    struct err *err)
{
	size_t i;

	if (check_ca(s, j, ca, err) == -1 || load_account(s, j, err) == -1)
		return -1;
	for (i = 0; i < (*ca)->nuris; i++)
		if ((*ca)->uris[i].method == j->ask.method)
			return 0;
	return err_deny(err, CERTSRV_E_ENROLL_DENIED,
	    "ca %s has no service for method %s", (*ca)->name,
	    auth_method_name(j->ask.method));
}

int
job_decide(struct signer *s, struct job *j, struct err *err)
{
	const struct policy_ca *ca;
	struct decide_ask in;

	if (check_ca(s, j, &ca, err) == -1 ||
	    look_up_alone(s, j, err) == -1)
		return -1;
	if (j->req == NULL) {
		*err = j->parse_err;
		return -1;
	}
	if (approval_subject(j, err) == -1 ||
	    load_account(s, j, err) == -1 || check_method(j, ca, err) == -1)
		return -1;
	in = input(s, j);
	if (agents_load(s, j->req, in.now, &j->agency, err) == -1 ||
	    decide(&in, &j->decision, err) == -1)
		return -1;
	j->has_decision = true;
	if (j->decision.pending && j->pending == NULL)
		return 0;
	if (j->decision.tmpl->archive_key && archive_key(s, j->ca, ca, j->req,
	    &j->archived, err) == -1)
		return -1;
	return job_build(s, j, j->req->key, err);
}

/* Random, so that nobody can count through others' requests; a LONG. */
static int
new_number(uint32_t *out, struct err *err)
{
	uint32_t n = 0;

	while (n == 0) {
		if (RAND_bytes((unsigned char *)&n, sizeof(n)) != 1)
			return err_openssl(err, "number: no random bytes");
		n &= 0x7fffffff;
	}
	*out = n;
	return 0;
}

/* The names and the template that the row and the log will show. */
static void
describe(struct signer *s, struct job *j)
{
	const struct names *names = NULL;
	struct err ignored = ERR_INIT;

	if (j->has_decision) {
		names = &j->decision.names;
		j->tmpl = j->decision.tmpl;
	} else if (j->req != NULL) {
		names = &j->req->names;
		j->tmpl = decide_template(s->policy, j->ca->name, j->req,
		    &ignored);
	}
	if (names != NULL) {
		names_text_dn(names, &j->subject);
		names_text_san(names, &j->san);
	}
	if (j->tmpl != NULL) {
		free(j->template_name);
		j->template_name = xstrdup(j->tmpl->cn);
	}
}

void
job_record(struct signer *s, struct job *j, enum msg_status status,
    const char *text)
{
	struct err err = ERR_INIT;

	if (j->number == 0 && new_number(&j->number, &err) == -1) {
		job_refuse(j, &err);
		return;
	}
	j->state = JOB_RECORD;
	j->status = status;
	if (j->pending == NULL)
		j->pending_since = j->received / 1000000;
	set_text(j, slice_str(text));
	describe(s, j);
}

bool
job_spends(const struct job *j)
{
	return j->status == MSG_ISSUED && j->acct != NULL &&
	    j->exchange == NULL && j->decision.renews == NULL &&
	    j->acct->one_time != NULL;
}

void
job_check(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;
	int64_t t = log_usec();

	ERR_clear_error();
	if (job_decide(s, j, &err) == 0 && j->decision.pending)
		job_record(s, j, MSG_PENDING, "Taken Under Submission");
	else if (err.kind == ERR_NONE)
		job_record(s, j, MSG_ISSUED, "Issued");
	else if (err.kind == ERR_DENIED && j->account[0] != '\0') {
		j->hresult = err_hresult(&err);
		job_record(s, j, MSG_DENIED, err.text);
	} else	/* also what nobody at all sent: no row, no signature */
		job_refuse(j, &err);
	j->us_check += log_usec() - t;
	j->decided = j->received + (log_usec() - j->t0);
}

int
job_sign(struct job *j, struct err *err)
{
	struct buf sig = { 0 };
	int64_t t = log_usec();
	int rc;

	rc = cakey_sign(j->ca->key, buf_slice(&j->tbs_der), true, &sig, err);
	if (rc == 0)
		tbs_certificate(j->ca, buf_slice(&j->tbs_der),
		    buf_slice(&sig), &j->cert);
	buf_free(&sig);
	j->us_sign = log_usec() - t;
	return rc;
}
