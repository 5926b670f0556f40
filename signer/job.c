/*
 * One request in the signer, judged from the beginning: account, request,
 * template, names, key.  job_decide has the order, behind job_open.c; batch.c
 * drives it, and the vault by airgap_item.c.  Whatever a worker has let pass
 * is judged here.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "approval.h"
#include "archive.h"
#include "badkey.h"
#include "blocked.h"
#include "cakey.h"
#include "caset.h"
#include "certauth.h"
#include "exchange.h"
#include "hresult.h"
#include "journal.h"
#include "log.h"
#include "renewal.h"
#include "rows.h"
#include "signer.h"

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
	agency_clear(s->snapshot, &j->agency);
	exchange_free(j->exchange);
	buf_free(&j->archived);
	request_free(j->req);
	issued_free(j->issued);
	pending_free(j->pending);
	free(j->account);
	free(j->key_owner);
	free(j->template_name);
	buf_free(&j->subject);
	buf_free(&j->san);
	buf_free(&j->tbs_der);
	buf_free(&j->cert);
	buf_free(&j->response);
	buf_free(&j->echoed);
	buf_free(&j->answer);
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

void
job_text(struct job *j, struct slice text)
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
	job_text(j, slice_str(text));
}

void
job_unavailable(struct job *j, const char *text)
{
	job_answered(j, MSG_UNAVAILABLE, text);
	j->hresult = HR_RETRY;
	j->number = 0;
}

void
job_elsewhere(struct job *j, const char *text)
{
	job_unavailable(j, text);
	j->status = MSG_ELSEWHERE;
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
	uint8_t md[DIGEST_MAX];

	memcpy(out, md, digest_run(j->ca->sha256, j->ask.token, md));
}

/* Rows of an approval are its own, all others are looked up together. */
static const struct issued_set *
issued_of(const struct signer *s, const struct job *j)
{
	return j->pending != NULL ? j->issued : s->issued;
}

static const struct issued *
evidence_row(const struct signer *s, const struct job *j)
{
	struct err ignored = ERR_INIT;
	struct slice serial;

	if (certauth_serial(j->ask.evidence, &serial, &ignored) == -1)
		return NULL;
	return issued_find(issued_of(s, j), serial);
}

/* Who logged on with a certificate is proven by it here too. */
static int
check_evidence(struct signer *s, const struct job *j, struct err *err)
{
	const struct certauth_known known = { s->snapshot, s->policy,
	    evidence_row(s, j) };
	struct certauth who;

	/* It would stand in the row as if somebody had logged on with it. */
	if (j->ask.method != AUTH_CERTIFICATE)
		return j->ask.evidence.n == 0 ? 0 : err_deny(err,
		    HR_ACCESS_DENIED, "a client certificate, and method %s",
		    auth_method_name(j->ask.method));
	if (j->ask.evidence.n == 0)
		return err_deny(err, HR_ACCESS_DENIED,
		    "method certificate without a certificate");
	if (certauth_recheck(&known, j->ask.evidence,
	    j->received / 1000000, &who, err) == -1)
		return -1;
	if (strcmp(who.account, j->account) != 0)
		return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
		    "is account %.60s's, not %.60s's", who.account,
		    j->account);
	return certauth_since(&who, j->acct, err);
}

/* Nobody: only a renewal is judged, by the rules about its certificate. */
int
job_account(struct signer *s, struct job *j, struct err *err)
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

static bool
is_disabled(struct signer *s, const char *name)
{
	struct err ignored = ERR_INIT;
	const struct account *a = NULL;
	bool is;

	if (name[0] == '\0' || snapshot_account(s->snapshot, name, &a,
	    &ignored) == -1)
		return false;
	is = a == NULL || a->disabled;
	snapshot_account_put(s->snapshot, a);
	return is;
}

bool
job_disabled(struct signer *s, const struct job *j, struct err *why)
{
	if (!is_disabled(s, j->account) && !is_disabled(s, job_owner(j)))
		return false;
	err_set(why, ERR_UNAVAILABLE, "account %.100s was disabled while its "
	    "certificate was made", j->account);
	return true;
}

/* The certificate that CEP shows must be the one we sign with. */
static int
check_ca(const struct signer *s, const struct job *j,
    const struct policy_ca **out, struct err *err)
{
	*out = policy_key_find(s->policy, j->ca->name, NULL);
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
	int64_t now = (j->issue_at != 0 ? j->issue_at : j->received) / 1000000;

	j->tbs.ca = j->ca;
	j->tbs.decision = &j->decision;
	j->tbs.key = key;
	if (j->req != NULL)
		j->tbs.smime = buf_slice(&j->req->smime);
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
	j->parsed = true;
	j->req = request_parse(j->ask.token, &j->parse_err);
	if (j->req != NULL && add_hints(j, &j->parse_err) == -1) {
		request_free(j->req);
		j->req = NULL;
	}
	j->us_check = log_usec() - t;
}

size_t
job_serials(const struct job *j, struct issued_ask ask[JOB_SERIALS])
{
	struct err ignored = ERR_INIT;
	size_t n;

	for (n = 0; j->req != NULL && n < j->req->nsigner; n++)
		ask[n] = (struct issued_ask){ j->req->signer[n].serial,
		    slice_eq(j->req->signer[n].cert, j->req->old_cert) };
	ask[n].renewed = false;
	if (j->ask.evidence.n > 0 && certauth_serial(j->ask.evidence,
	    &ask[n].serial, &ignored) == 0)
		n++;
	return n;
}

/* With the table of the key: a third of what it takes without. */
static bool
is_ours(const void *s, const struct issued *c)
{
	struct ca *key = caset_key(s, slice_str(c->ca));
	struct slice tbs, alg, sig;

	return key != NULL && issued_parts(c, &tbs, &alg, &sig) == 0 &&
	    cakey_signed(key->key, tbs, sig);
}

static struct decide_ask
input(const struct signer *s, const struct job *j)
{
	struct decide_ask in = { .policy = s->policy, .ca = j->ca->of,
	    .account = j->acct, .method = j->ask.method, .request = j->req,
	    .agency = &j->agency, .certs = issued_of(s, j),
	    .now = j->received / 1000000,
	    .proves = is_ours, .prover = s };
	size_t i;

	for (i = 0; j->req != NULL && i < j->req->nsigner; i++)
		in.issued[i] = issued_find(in.certs, j->req->signer[i].serial);
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
	struct issued_ask ask[JOB_SERIALS];
	size_t n;

	if (j->pending == NULL || j->req != NULL)
		return 0;
	job_parse(j);
	n = job_serials(j, ask);
	j->issued = store_issued(s->store, ask, n, err);
	if (j->issued == NULL)
		return -1;
	if (j->req == NULL)
		return 0;
	return store_key_owner(s->store, j->req->key, &j->key_owner, err);
}

int
job_caller(struct signer *s, struct job *j, const struct policy_ca **ca,
    struct err *err)
{
	if (check_ca(s, j, ca, err) == -1 || job_account(s, j, err) == -1)
		return -1;
	return decide_method(*ca, j->ask.method, true, err);
}

/* [security] Z8: whoever took over a worker gets what it was there for. */
static int
check_template(const struct signer *s, const struct job *j, struct err *err)
{
	const char *name = j->decision.tmpl->cn;
	const struct sconf_right *r;

	if (s->conf->vault != NULL)	/* no worker asked */
		return 0;
	r = sconf_peer(s->conf, j->link.worker);
	if (r != NULL && sconf_right_to(r, name))
		return 0;
	return err_deny(err, HR_ACCESS_DENIED, "template %.64s: worker %s "
	    "may not ask for it", name, j->link.worker);
}

/*
 * [security] Z4: what waits is for people to read, and one account's must not
 * hide all others'.  Behind an air gap everything waits.
 */
static int
check_pace(struct signer *s, struct job *j, struct err *err)
{
	if (s->pace == NULL || j->pending != NULL)
		return 0;
	if (j->decision.pending && !j->ca->apart &&
	    !pace_waits(s->pace, j->acct->name, j->t0))
		return err_set(err, ERR_UNAVAILABLE, "template %.64s: too many "
		    "requests for approval of account %.64s: ten a minute",
		    j->decision.tmpl->cn, j->acct->name);
	return pace_take(s->pace, &j->decision, j->received / 1000000, j->t0,
	    err);
}

/*
 * Who asks comes before what for, and both before what costs or counts: a
 * request that is refused takes nothing of its template's rate, opens no
 * archived key and gets no serial number.  Whose the key may be, and whether
 * its worker may ask for that template, shows with the decision only.
 */
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
	    job_account(s, j, err) == -1 || decide_method(ca, j->ask.method,
	    j->req->old_cert.n > 0, err) == -1 ||
	    blocked_check(s, j->req->key, err) == -1)
		return -1;
	in = input(s, j);
	if (agency_load(s->snapshot, &in, &j->agency, err) == -1 ||
	    decide(&in, &j->decision, err) == -1)
		return -1;
	j->has_decision = true;
	if (check_template(s, j, err) == -1 || badkey_owned(j->req->key,
	    j->key_owner, job_owner(j), err) == -1)
		return -1;
	if (check_pace(s, j, err) == -1)
		return -1;
	if (j->ca->apart)
		return decide_apart(&in, &j->decision, err);
	/* Built when it is approved: serial and validity are of that day. */
	if (j->decision.pending && j->pending == NULL)
		return 0;
	if (j->decision.tmpl->archive_key && archive_key(s, j->ca, ca, j->req,
	    &j->archived, err) == -1)
		return -1;
	return job_build(s, j, j->req->key, err);
}

void
job_same_key(struct job *j, const struct job *earlier)
{
	if (j->req == NULL || j->key_owner != NULL || earlier->req == NULL ||
	    earlier->state != JOB_RECORD || earlier->status != MSG_ISSUED ||
	    !pubkey_alike(j->req->key, earlier->req->key->spki))
		return;
	j->key_owner = xstrdup(job_owner(earlier));
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
		j->tmpl = decide_template(s->policy, j->ca->of, j->req,
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
	job_text(j, slice_str(text));
	describe(s, j);
}

bool
job_spends(const struct job *j)
{
	return j->status == MSG_ISSUED && j->acct != NULL &&
	    j->exchange == NULL && j->decision.renews == NULL &&
	    j->acct->one_time != NULL;
}

/*
 * Who repeats what is refused has no disk filled by it: a row has his bytes,
 * up to 64 KiB each time, and for ever.  What he is told is the same.
 */
static bool
is_recorded(struct signer *s, const struct job *j, struct err *err)
{
	static const char more[] = "; refused too often: not recorded";
	size_t n = strlen(err->text);

	if (s->pace == NULL || pace_refused(s->pace, j->acct == NULL ? "" :
	    j->acct->name, j->t0))
		return true;
	if (n > sizeof(err->text) - sizeof(more))
		n = sizeof(err->text) - sizeof(more);
	memcpy(err->text + n, more, sizeof(more));
	return false;
}

void
job_check(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;
	int64_t t = log_usec();
	bool yes;

	ERR_clear_error();
	/* Never by the absence of an error: somebody may forget to set one. */
	yes = job_decide(s, j, &err) == 0;
	if (yes && (j->decision.pending || j->ca->apart))
		job_record(s, j, MSG_PENDING, "Taken Under Submission");
	else if (yes)
		job_record(s, j, MSG_ISSUED, "Issued");
	else if (err.kind == ERR_DENIED && j->account[0] != '\0' &&
	    is_recorded(s, j, &err)) {
		j->hresult = err_hresult(&err);
		job_record(s, j, MSG_DENIED, err.text);
	} else	/* also what nobody at all sent: no row, no signature */
		job_refuse(j, &err);
	j->us_check += log_usec() - t;
	/* By the monotonic clock: no step puts it before received. */
	j->decided = j->received + (log_usec() - j->t0);
}

static int
sign(struct job *j, struct err *err)
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

/*
 * The client of a request that has waited comes for the answer later.  That it
 * could not be made is no reason to give the certificate up: then it is made
 * for each who asks.
 */
static void
answer_ahead(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;

	if (job_respond(s, j, &j->response, &err) == -1)
		log_note("response", "%s", err.text);
}

int
job_sign(struct signer *s, struct job *j, struct err *err)
{
	if (j->status == MSG_PENDING)
		return job_respond(s, j, &j->response, err);
	if (j->status != MSG_ISSUED)
		return 0;
	if (sign(j, err) == -1)
		return -1;
	journal_issued(s, j);
	if (j->pending != NULL)
		answer_ahead(s, j);
	return 0;
}
