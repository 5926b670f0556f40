/*
 * Deciding one request of a bundle, by the code that decides any other:
 * between airgap_sign.c, which reads it, and job.c, with the accounts that
 * came along in place of a database.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509.h>

#include "airgap_item.h"
#include "approval.h"
#include "caset.h"
#include "digest.h"
#include "hresult.h"
#include "issued.h"
#include "rows.h"
#include "x509.h"

#define DAY_S		INT64_C(86400)
#define WAIT_DAYS	30	/* for rounds, all in all */

static char *
dup_slice(struct slice s)
{
	return xstrndup((const char *)s.p, s.n);
}

static int
get_account(void *arg, const char *name, const struct account **out,
    struct err *err)
{
	const struct item *i = ((struct vault *)arg)->at;
	size_t n;

	(void)err;
	*out = NULL;
	for (n = 0; n < i->naccounts; n++)
		if (strcmp(i->account[n]->name, name) == 0)
			*out = i->account[n];
	return 0;
}

/* Only among those that came along: one must be whom the client is. */
static int
get_account_by(void *arg, enum cert_map map, const char *value, char **name,
    struct err *err)
{
	const struct item *i = ((struct vault *)arg)->at;
	const struct account *a;
	const char *v;
	size_t n;

	(void)err;
	*name = NULL;
	for (n = 0; n < i->naccounts && *name == NULL; n++) {
		a = i->account[n];
		v = map == MAP_SAN_UPN ? a->upn : map == MAP_SAN_DNS ?
		    a->dns : a->name;
		if (v != NULL && strcasecmp(v, value) == 0)
			*name = xstrdup(a->name);
	}
	return 0;
}

static bool
has_hash(struct slice der, const uint8_t sha256[32])
{
	uint8_t md[32];

	digest_sha256(der, md);
	return memcmp(md, sha256, sizeof(md)) == 0;
}

/*
 * The book keeps hashes.  The bytes came with the request, as the certificate
 * of a signer or of the logon; others under the same serial number are none
 * of ours.
 */
static struct slice
bytes_of(const struct item *i, const struct book_cert *c)
{
	const struct request *r = i->job->req;
	size_t n;

	if (i->in.evidence.n > 0 && has_hash(i->in.evidence, c->sha256))
		return i->in.evidence;
	for (n = 0; r != NULL && n < r->nsigner; n++)
		if (has_hash(r->signer[n].cert, c->sha256))
			return r->signer[n].cert;
	return slice_of(NULL, 0);
}

/* NULL: not signed here, or void. */
static struct book_cert *
look_up(struct vault *v, struct slice serial)
{
	struct book_cert *c = book_by_serial(v->book, serial);

	return c != NULL && c->issued ? c : NULL;
}

static int
read_times(struct slice der, int64_t *from, int64_t *to, uint8_t spki[32],
    struct err *err)
{
	X509 *x = x509_read(der);
	int64_t a = 0, b = 0;
	struct buf key = { 0 };
	int rc = -1;

	if (x != NULL &&
	    x509_unix(X509_get0_notBefore(x), &a) == 0 &&
	    x509_unix(X509_get0_notAfter(x), &b) == 0)
		rc = x509_spki(x, &key);
	X509_free(x);
	if (rc == -1)
		return err_openssl(err, "certificate of ours");
	digest_sha256(buf_slice(&key), spki);
	buf_free(&key);
	*from = a;
	*to = b;
	return 0;
}

/* Into the set, if it is one of ours and its bytes are there. */
static int
add_issued(struct vault *v, struct slice serial, struct issued_set *set,
    struct err *err)
{
	const struct book_cert *c = look_up(v, serial);
	struct issued row = { .renewals = 0 };
	struct slice der;

	if (c == NULL || issued_find(set, serial) != NULL ||
	    (der = bytes_of(v->at, c)).n == 0)
		return 0;
	if (read_times(der, &row.not_before, &row.not_after, row.spki,
	    err) == -1)
		return -1;
	buf_add(&row.serial, c->serial, SERIAL_LEN);
	buf_add(&row.der, der.p, der.n);
	row.ca = xstrdup(c->ca);
	row.account = xstrdup(c->account);
	row.template = xstrdup(c->template_name);
	row.revoked = book_is_revoked(v->book, serial);
	row.renewals = c->renewals;
	row.chain_start = c->chain_start;
	issued_add(set, &row);
	return 0;
}

static struct issued_set *
get_certificate(void *arg, struct slice serial, struct err *err)
{
	struct issued_set *set = issued_new();

	if (add_issued(arg, serial, set, err) == 0)
		return set;
	issued_free(set);
	return NULL;
}

struct snapshot *
item_snapshot(struct vault *v)
{
	const struct snapshot_source source = { .arg = v,
	    .policy = v->policy, .account = get_account,
	    .certificate = get_certificate, .account_by = get_account_by };

	return snapshot_of(&source);
}

/*
 * What a renewal, an agent and a log-on are judged by.  No CA comes here with a
 * list, so that each of its certificates has to be in the book.
 */
static int
find_issued(struct vault *v, struct item *i, struct err *err)
{
	struct issued_ask ask[JOB_SERIALS];
	size_t n, count = job_serials(i->job, ask);

	i->job->issued = issued_new();
	for (n = 0; n < count; n++)
		if (add_issued(v, ask[n].serial, i->job->issued, err) == -1)
			return -1;
	return 0;
}

/* The job as if a worker had asked for it. */
static void
become(struct vault *v, struct item *i)
{
	struct job *j = i->job;
	const struct bundle_item *in = &i->in;

	/* The id of the decision: the approval's, or the request's. */
	memcpy(j->ask.id, in->approved ? in->decision : in->id, MSG_ID);
	memcpy(j->row_id, in->id, MSG_ID);
	memcpy(j->ask.policy_hash, v->policy->sha256, 32);
	snprintf(j->link.worker, sizeof(j->link.worker), "%.*s",
	    (int)in->worker.n, (const char *)in->worker.p);
	j->ask.call = in->approved ? CALL_APPROVE : CALL_ISSUE;
	j->ask.ca = in->ca;
	j->ask.method = in->method;
	j->ask.account = in->asker;
	j->ask.token = in->token;
	j->ask.evidence = in->evidence;
	j->ask.hint[0] = in->template_name;
	j->ask.nhint = in->template_name.n > 0;
	j->number = in->number;
	j->account = dup_slice(in->asker);
	j->template_name = dup_slice(in->template_name);
	j->ca = caset_of(&v->s, in->ca);
	j->received = in->received_at * 1000000;
	j->issue_at = v->now * 1000000;
	if (!in->approved)
		return;
	j->ask.verdict.operator = in->operator;
	j->ask.verdict.reason = in->reason;
	j->ask.verdict.subject = in->subject;
	j->pending = xcalloc(1, sizeof(*j->pending));
	j->pending->template_name = dup_slice(in->template_name);
	j->pending->reason = dup_slice(in->reason);
}

/*
 * A request is judged by the certificates that were valid when it came in: a
 * desk that dates one back could renew what ended long ago.
 */
static int
check_wait(const struct vault *v, const struct item *i, struct err *err)
{
	const struct template *t = i->in.approved ? policy_template_by_name(
	    v->policy, i->job->template_name) : NULL;
	int64_t days = WAIT_DAYS + (t == NULL ? 0 : t->pending_expires /
	    DAY_S), age = (v->now - i->in.received_at) / DAY_S;

	if (age < days)
		return 0;
	return err_deny(err, HR_INVALID_DATA, "request was received %lld days "
	    "ago, the limit is %lld: ask again", (long long)age,
	    (long long)days);
}

static int
check_times(const struct vault *v, const struct item *i, struct err *err)
{
	int64_t day = (int64_t)row_day(i->in.id) - i->in.received_at / DAY_S;

	if (i->in.received_at > v->now + VAULT_SLACK_S)
		return err_deny(err, HR_INVALID_DATA, "request was received "
		    "%lld s from now", (long long)(i->in.received_at -
		    v->now));
	if (day < -1 || day > 1)
		return err_deny(err, HR_INVALID_DATA, "request id is of "
		    "another day than the request");
	return check_wait(v, i, err);
}

static int
approved(struct vault *v, struct item *i, struct err *err)
{
	struct job *j = i->job;
	char *approver = dup_slice(i->in.approver), text[160];
	int rc;

	snprintf(text, sizeof(text), "operator:%.*s", (int)i->in.operator.n,
	    (const char *)i->in.operator.p);
	j->pending->approver = xstrdup(approver[0] != '\0' ? approver : text);
	rc = approval_judge(&v->s, j, approver, err);
	free(approver);
	return rc;
}

static int
judge(struct vault *v, struct item *i, struct err *err)
{
	struct job *j = i->job;

	if (check_times(v, i, err) == -1)
		return -1;
	if (i->in.approved)
		return approved(v, i, err);
	if (job_decide(&v->s, j, err) == -1)
		return -1;
	if (j->decision.pending)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
		    "needs a manager's approval, and none came along",
		    j->decision.tmpl->cn);
	job_record(&v->s, j, MSG_ISSUED, "Issued");
	return 0;
}

/* Its certificate, once more; never a second one.  By the key that signed. */
static int
repeat(struct vault *v, struct item *i, const struct book_cert *c,
    struct err *err)
{
	struct job *j = i->job;
	struct ca *ca = caset_key(&v->s, slice_str(c->ca));
	struct issued row = { .der = *c->der };
	uint8_t spki[32], asked[32];
	struct names names;
	int64_t from, to;

	if (read_times(buf_slice(c->der), &from, &to, spki, err) == -1)
		return -1;
	pubkey_sha256(j->req->key, asked);
	if (memcmp(spki, asked, sizeof(spki)) != 0 || ca == NULL ||
	    strcmp(ca->of, j->ca->of) != 0)
		return err_deny(err, HR_INVALID_DATA,
		    "request id was used for another request");
	if (issued_names(&row, &names, err) == -1)
		return -1;
	names_text_dn(&names, &j->subject);
	names_text_san(&names, &j->san);
	names_free(&names);
	buf_add(&j->cert, c->der->p, c->der->n);
	j->ca = ca;
	i->renewals = c->renewals;
	i->again = true;
	j->decided = c->decided;
	i->major = c->major;
	i->minor = c->minor;
	j->state = JOB_ANSWERED;
	j->status = MSG_ISSUED;
	snprintf(j->text, sizeof(j->text), "Issued");
	return 0;
}

static int
is_refused(const struct vault *v, const struct item *i, struct err *err)
{
	char id[2 * MSG_ID + 1];

	hex_encode(i->in.id, MSG_ID, id);
	if (!strlist_has(&v->deny, id))
		return 0;
	return err_deny(err, CERTSRV_E_ADMIN_DENIED_REQUEST,
	    "denied by the officer of the vault");
}

/* Whom its key is certified for, or is to be by an earlier one of the batch. */
static void
find_owner(struct vault *v, struct item *i)
{
	const struct book_cert *c;
	uint8_t spki[2][32];
	size_t n, hashes = pubkey_hashes(i->job->req->key, spki);

	for (n = 0; n < hashes && i->job->key_owner == NULL; n++)
		if ((c = book_by_key(v->book, spki[n])) != NULL)
			i->job->key_owner = xstrdup(c->account);
	for (n = 1; n <= i->nth; n++)
		job_same_key(i->job, i[-(ptrdiff_t)n].job);
}

static int
decide_one(struct vault *v, struct item *i, struct err *err)
{
	struct job *j = i->job;
	const struct book_cert *c;

	if (bundle_accounts(i->in.accounts, i->account, &i->naccounts,
	    err) == -1)
		return -1;
	become(v, i);
	job_parse(j);
	if (j->req == NULL) {
		*err = j->parse_err;
		return -1;
	}
	c = book_by_id(v->book, i->in.id);
	if (c != NULL && c->issued)
		return repeat(v, i, c, err);
	if (is_refused(v, i, err) == -1 || find_issued(v, i, err) == -1)
		return -1;
	v->s.issued = j->issued;
	find_owner(v, i);
	return judge(v, i, err);
}

/* Rows say who decided; nobody did before it came here. */
static void
decided_here(struct vault *v, struct job *j)
{
	struct buf b = { 0 };

	if (j->pending != NULL)
		return;
	buf_printf(&b, "airgap:%s", v->s.conf->name);
	j->pending = xcalloc(1, sizeof(*j->pending));
	j->pending->approver = xstrdup(buf_str(&b));
	j->pending->reason = xstrdup("");
	buf_free(&b);
}

/* Of what is wrong with one request the others know nothing. */
int
item_decide(struct vault *v, struct item *i, struct err *err)
{
	struct job *j = i->job;
	struct err e = ERR_INIT;

	v->at = i;
	if (decide_one(v, i, &e) == 0) {
		if (j->tmpl != NULL) {
			i->major = j->tmpl->major;
			i->minor = j->tmpl->minor;
		}
		if (j->has_decision && j->decision.renews != NULL)
			i->renewals = j->decision.renews->renewals + 1;
	} else if (e.kind == ERR_UNAVAILABLE || e.kind == ERR_INTERNAL)
		return err_set(err, e.kind, "%s", e.text);
	else {
		j->hresult = err_hresult(&e);
		job_record(&v->s, j, MSG_DENIED, e.text);
	}
	v->s.issued = NULL;
	if (!i->again)
		j->decided = v->now * 1000000;
	decided_here(v, j);
	return 0;
}
