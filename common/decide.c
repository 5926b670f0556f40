/*
 * The decision.  Checks stand in the order of [MS-WCCE] 3.2.2.6.2.1.4, so
 * that of several faults the same one is told wherever it is asked.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent.h"
#include "buf.h"
#include "decide.h"
#include "decide_names.h"
#include "hresult.h"
#include "renewal.h"

int
decide_method(const struct policy_ca *ca, enum auth_method method, bool renews,
    struct err *err)
{
	const char	*what = "has no uri";
	size_t		 i;

	if (method == AUTH_OPERATOR)
		return 0;	/* the signer's allow-list says who may */
	for (i = 0; i < ca->nuris; i++) {
		if (ca->uris[i].method != method)
			continue;
		if (renews || !ca->uris[i].renewal_only)
			return 0;
		what = "only renews by its uri";
	}
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "ca %s %s for method %s",
	    ca->name, what, auth_method_name(method));
}

/*
 * What the secret is for; once it is spent also what took that one's place,
 * or a machine could not live on.  New requests are refused then, and what a
 * certificate may renew into is renewal.h's to say.
 */
static bool
is_for(const struct account *a, const struct template *t)
{
	return strcasecmp(a->one_time, t->cn) == 0 ||
	    (a->one_time_used && strlist_has(&t->supersedes, a->one_time));
}

int
decide_enroll(const struct template *t, const struct account *a,
    struct err *err)
{
	if (a->disabled)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "account %s is disabled", a->name);
	if (a->one_time != NULL) {
		if (is_for(a, t))
			return 0;
		return err_deny(err, CERTSRV_E_TEMPLATE_DENIED, "template %s: "
		    "the one-time secret of account %s is for template %s",
		    t->cn, a->name, a->one_time);
	}
	if (account_in(a, &t->enroll) || account_in(a, &t->autoenroll))
		return 0;
	return err_deny(err, CERTSRV_E_TEMPLATE_DENIED, "template %s: account "
	    "%s is in none of the groups that may enroll", t->cn, a->name);
}

int
decide_secret(const struct account *a, int64_t now, struct err *err)
{
	char	when[32];

	if (a->one_time == NULL)
		return 0;
	if (a->one_time_used)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "the one-time secret of account %s was used", a->name);
	if (now < a->one_time_expires)
		return 0;
	utc_text(a->one_time_expires, when);
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "the one-time secret of "
	    "account %s expired: %s", a->name, when);
}

bool
decide_autoenroll(const struct template *t, const struct account *a)
{
	if (a->disabled)
		return false;
	/* It is in no group, but its certificates must not run out. */
	if (a->one_time != NULL)
		return a->one_time_used && t->autoenroll.n > 0 && is_for(a, t);
	return account_in(a, &t->autoenroll);
}

/* Must a manager approve, for who asks or for whom it is? */
static bool
waits(const struct template *t, const struct account *a,
    const struct account *subject)
{
	return t->approval && (t->approval_groups.n == 0 ||
	    account_in(a, &t->approval_groups) ||
	    account_in(subject, &t->approval_groups));
}

static int
secret_waits(const struct template *t, struct err *err)
{
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
	    "needs approval, which a one-time secret cannot wait for", t->cn);
}

int
decide_offer(const struct policy *p, const struct template *t,
    const struct account *a, int64_t now, struct err *err)
{
	struct judging	j = { .policy = p, .tmpl = t, .account = a };

	if (decide_enroll(t, a, err) == -1)
		return -1;
	if (a->one_time != NULL && !a->one_time_used) {
		if (decide_secret(a, now, err) == -1)
			return -1;
		if (waits(t, a, a))
			return secret_waits(t, err);
	}
	return decide_some_names(&j, err);
}

/* The last arcs tell the oids of one forest apart, so all are said. */
static const struct template *
hint_template(const struct policy *p, const char *ca,
    const struct template_hint *h, struct err *err)
{
	const struct template	*by_name = NULL, *by_oid = NULL, *t;
	const char		*what = h->name != NULL ? h->name : h->oid;

	if (h->name != NULL)
		by_name = policy_template_by_name(p, h->name);
	/* "certreq -attrib CertificateTemplate:OID", which AD CS takes. */
	if (h->name != NULL && by_name == NULL)
		by_name = policy_template_by_oid(p, h->name);
	if (h->oid != NULL)
		by_oid = policy_template_by_oid(p, h->oid);
	if (h->name != NULL && h->oid != NULL && by_name != by_oid) {
		err_deny(err, CERTSRV_E_TEMPLATE_CONFLICT, "template %.60s "
		    "and oid %.96s are not the same", h->name, h->oid);
		return NULL;
	}
	t = by_name != NULL ? by_name : by_oid;
	if (t == NULL || !template_offered_by(t, ca)) {
		err_deny(err, CERTSRV_E_UNSUPPORTED_CERT_TYPE,
		    "template %.96s is %s ca %.60s", t == NULL ? what : t->cn,
		    t == NULL ? "not known to" : "not offered by", ca);
		return NULL;
	}
	return t;
}

/*
 * [MS-WCCE] 3.2.2.6.2.1.4.2: schema 1 has no versions, absent numbers are 0.
 * A minor number counts only within its major one: there alone it says newer.
 */
static int
hint_version(const struct template *t, const struct template_hint *h,
    struct err *err)
{
	if (t->schema < 2 || !h->has_version)
		return 0;
	if (h->major < t->major || (h->major == t->major &&
	    h->minor <= t->minor))
		return 0;
	return err_deny(err, CERTSRV_E_BAD_TEMPLATE_VERSION, "template %s: "
	    "version %" PRIu64 ".%" PRIu64 " asked for is newer than %u.%u",
	    t->cn, h->major, h->minor, t->major, t->minor);
}

/*
 * [MS-WCCE] 3.2.2.6.2.1.4.1: whatever names a template must name the same;
 * that one is authorised and that one is built.
 */
const struct template *
decide_template(const struct policy *p, const char *ca,
    const struct request *r, struct err *err)
{
	const struct template	*t = NULL, *one;
	size_t			 i;

	for (i = 0; i < r->nhint; i++) {
		if (r->hint[i].name == NULL && r->hint[i].oid == NULL)
			continue;
		one = hint_template(p, ca, &r->hint[i], err);
		if (one == NULL)
			return NULL;
		if (t != NULL && one != t) {
			err_deny(err, CERTSRV_E_TEMPLATE_CONFLICT, "the "
			    "request names template %s and template %s",
			    t->cn, one->cn);
			return NULL;
		}
		t = one;
	}
	if (t == NULL) {
		err_deny(err, CERTSRV_E_NO_CERT_TYPE,
		    "the request names no template");
		return NULL;
	}
	for (i = 0; i < r->nhint; i++)
		if (hint_version(t, &r->hint[i], err) == -1)
			return NULL;
	return t;
}

static bool
key_allowed(const struct template *t, const struct pubkey *k)
{
	switch (k->kind) {
	case KEY_RSA:
		return t->rsa_min != 0 && k->bits >= t->rsa_min &&
		    k->bits <= t->rsa_max;
	case KEY_P256:
		return (t->curves & ALLOW_P256) != 0;
	case KEY_P384:
		return (t->curves & ALLOW_P384) != 0;
	case KEY_P521:
		return (t->curves & ALLOW_P521) != 0;
	}
	return false;
}

static int
decide_key(const struct template *t, const struct pubkey *k, struct err *err)
{
	char	name[32], rsa[48] = "";

	if (key_allowed(t, k))
		return 0;
	if (t->rsa_min != 0)
		snprintf(rsa, sizeof(rsa), " RSA %u-%u", t->rsa_min,
		    t->rsa_max);
	return err_deny(err, CERTSRV_E_KEY_LENGTH, "template %s: key %s is "
	    "not allowed, only%s%s%s%s", t->cn,
	    pubkey_name(k, name, sizeof(name)), rsa,
	    t->curves & ALLOW_P256 ? " P-256" : "",
	    t->curves & ALLOW_P384 ? " P-384" : "",
	    t->curves & ALLOW_P521 ? " P-521" : "");
}

/* [MS-WCCE] 3.2.2.6.2.1.4.5.7, private key flag 0x1. */
static int
decide_archival(const struct template *t, const struct policy_ca *ca,
    const struct request *r, struct err *err)
{
	if (!t->archive_key && r->archived_key.n != 0)
		return err_deny(err, CERTSRV_E_ARCHIVED_KEY_UNEXPECTED,
		    "template %s: the request holds a private key to archive",
		    t->cn);
	if (!t->archive_key)
		return 0;
	if (r->archived_key.n == 0)
		return err_deny(err, CERTSRV_E_ARCHIVED_KEY_REQUIRED,
		    "template %s: the request holds no private key to archive",
		    t->cn);
	if (ca->nrecovery == 0)
		return err_deny(err, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
		    "ca %s has no recovery agent", ca->name);
	return 0;
}

/*
 * Whom the certificate is for.  Approved before stands for the signatures of
 * registration authorities; those that are there are judged.
 */
static int
decide_subject(const struct decide_ask *ask, const struct judging *j,
    struct decision *d, struct err *err)
{
	if (j->approved && !agent_wanted(ask->request)) {
		d->subject = ask->account;
		return 0;
	}
	return agent_decide(ask, d->tmpl, &d->subject, err);
}

static bool
overridden(const struct template *t)
{
	return strlist_has(&t->overrides,
	    template_authenticates(t) ? "esc1" : "esc17");
}

/*
 * [MS-WCCE] 3.2.2.6.2.1.4.5.6, [MS-CRTD] 2.26: what was approved need not be
 * approved again (0x40), and with 0x10000 whoever has the certificate and its
 * names may renew it.  Names of the request must be those of the certificate
 * for that; names of the account are made anew, and the account is the same.
 */
static int
decide_renewal(const struct decide_ask *in, struct judging *j,
    struct decision *d, struct err *err)
{
	const struct template	*t = d->tmpl;
	int			 same = 0;

	if (in->request->old_cert.n == 0)
		return 0;
	if (renewal_judge(in, t, &d->renews, err) == -1)
		return -1;
	if (d->renews == NULL)
		return 0;
	/* What another template's approver saw counts for nothing here. */
	if (!t->renew_previous_approval ||
	    strcasecmp(t->cn, d->renews->template) != 0)
		return 0;
	j->approved = !t->names_from_request;
	if (j->approved)
		return 0;
	same = renewal_same_names(d->renews, in->request, &d->names, err);
	if (same != 1)
		return same;
	j->approved = true;
	/* Names that a rule allows are asked for anew: it may have changed. */
	if (t->renew_key_based || t->name_rules.n == 0)
		j->vouched = true;
	else
		names_free(&d->names);
	return 0;
}

/*
 * Nobody proved to be the account: who has a certificate's key gets the names
 * of that certificate, and no other that the account may have.
 */
static int
anonymous_names(const struct decide_ask *in, const struct decision *d,
    struct err *err)
{
	struct names	same;
	int		rc;

	if (in->method != AUTH_ANONYMOUS || !d->tmpl->names_from_request)
		return 0;
	rc = renewal_same_names(d->renews, in->request, &same, err);
	if (rc == 1)
		names_free(&same);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	return err_deny(err, CERTSRV_E_BAD_RENEWAL_SUBJECT, "template %s: "
	    "renewal-anonymous: subject and alternative names are not those "
	    "of the old certificate", d->tmpl->cn);
}

/* May this account, or whoever holds the old certificate? */
static int
decide_access(const struct decide_ask *in, const struct judging *j,
    const struct decision *d, struct err *err)
{
	const struct template	*t = d->tmpl;
	struct err		 ignored = ERR_INIT;

	if (in->account == NULL ||
	    (in->method == AUTH_ANONYMOUS && d->renews == NULL))
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "anonymous callers may only renew");
	if (!t->renew_key_based || d->renews == NULL || in->account->disabled)
		return anonymous_names(in, d, err) == -1 ? -1 :
		    decide_enroll(t, in->account, err);
	if (j->vouched || (in->method != AUTH_ANONYMOUS &&
	    decide_enroll(t, in->account, &ignored) == 0))
		return 0;
	return err_deny(err, CERTSRV_E_BAD_RENEWAL_SUBJECT, "template %s: "
	    "renewal-key-based: subject and alternative names are not those "
	    "of the old certificate", t->cn);
}

static int
decide_all(const struct decide_ask *in, struct judging *j,
    struct decision *d, struct err *err)
{
	const struct template	*t = d->tmpl;
	const struct request	*r = in->request;

	if (decide_renewal(in, j, d, err) == -1 ||
	    decide_access(in, j, d, err) == -1 ||
	    /* A used secret's account lives on by its certificates. */
	    (d->renews == NULL &&
	    decide_secret(in->account, in->now, err) == -1) ||
	    decide_key(t, r->key, err) == -1)
		return -1;
	if (decide_subject(in, j, d, err) == -1 ||
	    decide_archival(t, d->ca, r, err) == -1)
		return -1;
	if (r->old_cert.n != 0 && d->subject != in->account)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "template "
		    "%s: nobody renews on behalf of account %s", t->cn,
		    d->subject->name);
	d->pending = !j->approved && waits(t, in->account, d->subject);
	/* The secret would be spent before the client can fetch anything. */
	if (d->pending && d->renews == NULL && in->account->one_time != NULL)
		return secret_waits(t, err);
	if (d->pending && in->method == AUTH_ANONYMOUS)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
		    "needs approval, which an anonymous caller cannot wait "
		    "for", t->cn);
	j->account = d->subject;
	j->no_rule = t->name_rules.n == 0 && (d->pending || overridden(t));
	if (decide_sid_claim(d->subject, r, err) == -1 ||
	    decide_names(j, r, d, err) == -1)
		return -1;
	return decide_sid(t, d->subject, d, err);
}

int
decide(const struct decide_ask *in, struct decision *out, struct err *err)
{
	struct decision	d;
	struct judging	j;

	memset(&d, 0, sizeof(d));
	d.ca = policy_ca_find(in->policy, in->ca);
	if (d.ca == NULL)
		return err_deny(err, HR_INVALID_ARG, "ca %.60s is not in the "
		    "policy", in->ca);
	d.tmpl = decide_template(in->policy, in->ca, in->request, err);
	if (d.tmpl == NULL)
		return -1;
	memset(&j, 0, sizeof(j));
	j.policy = in->policy;
	j.tmpl = d.tmpl;
	if (decide_all(in, &j, &d, err) == -1) {
		decision_free(&d);
		return -1;
	}
	*out = d;
	return 0;
}

int
decide_apart(const struct decide_ask *in, const struct decision *d,
    struct err *err)
{
	const char	*ca = d->ca->name;

	if (d->tmpl->archive_key)
		return err_deny(err, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
		    "template %s: ca %s is behind an air gap, and archives no "
		    "keys", d->tmpl->cn, ca);
	if (in->method == AUTH_ANONYMOUS)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "ca %s is behind "
		    "an air gap: an anonymous caller cannot ask for the "
		    "certificate later", ca);
	/* It would be spent before anything can be fetched with it. */
	if (in->account->one_time != NULL)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "ca %s is behind "
		    "an air gap, which a one-time secret cannot wait for", ca);
	return 0;
}

void
decision_free(struct decision *d)
{
	names_free(&d->names);
	memset(d, 0, sizeof(*d));
}
