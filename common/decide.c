/*
 * The decision.  Checks stand in the order of [MS-WCCE] 3.2.2.6.2.1.4, so
 * that of several faults the same one is told wherever it is asked.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "buf.h"
#include "decide.h"
#include "hresult.h"
#include "namerule.h"
#include "renewal.h"

/* Names that come from one column of the account. */
struct account_part {
	unsigned	 bit;		/* enum account_name */
	const char	*rdn;		/* subject part, or NULL: a SAN */
	enum san_kind	 kind;
	size_t		 offset;	/* of the char * in struct account */
	const char	*what;
	bool		 (*valid)(const char *);
	uint32_t	 hresult;	/* [MS-WCCE] 3.2.2.6.2.1.4.5.9 */
};

static bool
is_host(const char *s)
{
	return name_is_host(s, false);
}

static bool
is_any(const char *s)
{
	return s[0] != '\0';
}

#define COLUMN(c) offsetof(struct account, c)
static const struct account_part parts[] = {
	{ NAME_CN_COMMON, "CN", 0, COLUMN(cn), "common name", is_any,
	    CERTSRV_E_BAD_REQUESTSUBJECT },
	{ NAME_CN_DNS, "CN", 0, COLUMN(dns), "dns name", is_host,
	    CERTSRV_E_SUBJECT_DNS_REQUIRED },
	{ NAME_SUBJECT_EMAIL, "E", 0, COLUMN(email), "e-mail address",
	    name_is_email, CERTSRV_E_SUBJECT_EMAIL_REQUIRED },
	{ NAME_SAN_DNS, NULL, SAN_DNS, COLUMN(dns), "dns name", is_host,
	    CERTSRV_E_SUBJECT_DNS_REQUIRED },
	{ NAME_SAN_UPN, NULL, SAN_UPN, COLUMN(upn), "upn", name_is_upn,
	    CERTSRV_E_SUBJECT_UPN_REQUIRED },
	{ NAME_SAN_EMAIL, NULL, SAN_EMAIL, COLUMN(email), "e-mail address",
	    name_is_email, CERTSRV_E_SUBJECT_EMAIL_REQUIRED }
};
#undef COLUMN

/* What judging one name from the request needs. */
struct judging {
	const struct policy	*policy;
	const struct template	*tmpl;
	const struct account	*account;
	bool			 no_rule; /* an approver or override decides */
	bool			 approved; /* before, for an old certificate */
	bool			 vouched; /* an old certificate has the names */
};

static char *
lower(const char *s)
{
	char	*r = xstrdup(s), *c;

	for (c = r; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return r;
}

int
decide_enroll(const struct template *t, const struct account *a,
    struct err *err)
{
	if (a->disabled)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "account %s is disabled", a->name);
	if (a->one_time != NULL) {
		if (strcasecmp(a->one_time, t->cn) == 0)
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
decide_secret(const struct account *a, struct err *err)
{
	char		 when[32];
	struct tm	 tm;
	time_t		 t = (time_t)a->one_time_expires;

	if (a->one_time == NULL)
		return 0;
	if (a->one_time_used)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED,
		    "the one-time secret of account %s was used", a->name);
	if (time(NULL) < t)
		return 0;
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(when, sizeof(when), "long ago");
	return err_deny(err, CERTSRV_E_ENROLL_DENIED, "the one-time secret of "
	    "account %s expired: %s", a->name, when);
}

bool
decide_autoenroll(const struct template *t, const struct account *a)
{
	return !a->disabled && a->one_time == NULL &&
	    account_in(a, &t->autoenroll);
}

static const struct template *
hint_template(const struct policy *p, const char *ca,
    const struct template_hint *h, struct err *err)
{
	const struct template	*by_name = NULL, *by_oid = NULL, *t;
	const char		*what = h->name != NULL ? h->name : h->oid;

	if (h->name != NULL)
		by_name = policy_template_by_name(p, h->name);
	if (h->oid != NULL)
		by_oid = policy_template_by_oid(p, h->oid);
	if (h->name != NULL && h->oid != NULL && by_name != by_oid) {
		err_deny(err, CERTSRV_E_TEMPLATE_CONFLICT, "template %.60s "
		    "and oid %.60s are not the same", h->name, h->oid);
		return NULL;
	}
	t = by_name != NULL ? by_name : by_oid;
	if (t == NULL || !template_offered_by(t, ca)) {
		err_deny(err, CERTSRV_E_UNSUPPORTED_CERT_TYPE,
		    "template %.60s is %s ca %.60s",
		    what, t == NULL ? "not known to" : "not offered by", ca);
		return NULL;
	}
	return t;
}

/* [MS-CRTD]: schema 1 has no versions.  Absent numbers are 0. */
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

/*
 * KB5014754: a SID in a certificate says which account it is, wherever it
 * stands and whatever the EKU.  [MS-WCCE] 3.2.2.6.2.1.4.5.9 would copy it
 * from the request.
 */
static int
decide_sid_claim(const struct account *a, const struct request *r,
    struct err *err)
{
	if (r->sid == NULL || (a->sid != NULL && strcmp(r->sid, a->sid) == 0))
		return 0;
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "the request "
	    "claims sid %.80s, which is not that of account %s", r->sid,
	    a->name);
}

static int
account_dn(const struct template *t, const struct account *a,
    struct names *out, struct err *err)
{
	struct err	why = ERR_INIT;

	if ((t->account_names & NAME_DIRECTORY_PATH) == 0)
		return 0;
	if (a->dn == NULL) {
		if (t->optional_names & NAME_DIRECTORY_PATH)
			return 0;
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: account %s has no directory path", t->cn, a->name);
	}
	if (names_parse_text(out, a->dn, &why) == -1)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: directory path of account %s: %.80s", t->cn, a->name,
		    why.text);
	return 0;
}

static int
account_part(const struct template *t, const struct account *a,
    const struct account_part *part, struct names *out, struct err *err)
{
	const char	*value;
	char		*text;
	int		 rc = 0;

	memcpy(&value, (const char *)a + part->offset, sizeof(value));
	if (value == NULL) {
		if (t->optional_names & part->bit)
			return 0;
		return err_deny(err, part->hresult, "template %s: account %s "
		    "has no %s", t->cn, a->name, part->what);
	}
	if (!part->valid(value))
		return err_deny(err, part->hresult, "template %s: %s %.80s of "
		    "account %s is malformed", t->cn, part->what, value,
		    a->name);
	text = part->valid == is_host ? lower(value) : xstrdup(value);
	if (part->rdn == NULL)
		names_add_san(out, part->kind, text);
	else if (out->nrdn < NAME_RDN_MAX)
		names_add_rdn(out, part->rdn, text);
	else
		rc = err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template %s:"
		    " subject of account %s is too long", t->cn, a->name);
	free(text);
	return rc;
}

/* Whatever names the request has are no part of this. */
static int
names_from_account(const struct template *t, const struct account *a,
    struct names *out, struct err *err)
{
	size_t	i;

	if (account_dn(t, a, out, err) == -1)
		return -1;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if ((t->account_names & parts[i].bit) != 0 &&
		    account_part(t, a, &parts[i], out, err) == -1)
			return -1;
	if (out->nrdn == 0 && out->nsan == 0)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: account %s has none of the names", t->cn, a->name);
	return 0;
}

static bool
rule_applies(const struct judging *j, const struct name_rule *r)
{
	return strlist_has(&j->tmpl->name_rules, r->name) &&
	    account_in(j->account, &r->groups);
}

/* The rules that were looked at, for a refusal; "a, b". */
static void
rules_text(const struct judging *j, char *out, size_t n)
{
	const struct name_rule	*r;
	size_t			 i, len = 0;
	int			 k;

	snprintf(out, n, "none that applies to account %s", j->account->name);
	for (i = 0; i < j->policy->nrules && len < n; i++) {
		r = &j->policy->rules[i];
		if (!rule_applies(j, r))
			continue;
		k = snprintf(out + len, n - len, "%s%s", len == 0 ? "" : ", ",
		    r->name);
		len += k > 0 ? (size_t)k : 0;
	}
}

static bool
some_rule_allows(const struct judging *j, const struct asked *asked)
{
	size_t	i;

	for (i = 0; i < j->policy->nrules; i++)
		if (rule_applies(j, &j->policy->rules[i]) &&
		    name_rule_allows(&j->policy->rules[i], asked))
			return true;
	return false;
}

static bool
some_rule_allows_dns(const struct judging *j, const char *name)
{
	size_t	i;

	for (i = 0; i < j->policy->nrules; i++)
		if (rule_applies(j, &j->policy->rules[i]) &&
		    name_rule_allows_dns(&j->policy->rules[i], name))
			return true;
	return false;
}

/* The one claim that decide_sid_claim lets pass, in its one spelling. */
static bool
is_own_sid_uri(const struct account *a, const char *uri)
{
	static const char	tag[] = "tag:microsoft.com,2022-09-14:sid:";

	return a->sid != NULL && strncmp(uri, tag, sizeof(tag) - 1) == 0 &&
	    strcmp(uri + sizeof(tag) - 1, a->sid) == 0;
}

static int
judge_name(const void *arg, const struct asked *asked, struct err *err)
{
	const struct judging	*j = arg;
	const char		*fault = asked_fault(asked);
	char			 rules[64];

	if (fault == NULL && j->no_rule && !j->vouched && asked->text[0] == '*')
		fault = "needs a name rule with wildcards";
	if (fault == NULL && asked->rdn == NULL && asked->kind == SAN_URI &&
	    name_is_sid_uri(asked->text)) {
		if (is_own_sid_uri(j->account, asked->text))
			return 0;
		fault = "claims a sid of another account";
	}
	if (fault != NULL)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: %s %.70s %s", j->tmpl->cn, asked_kind(asked),
		    asked->text, fault);
	if (j->vouched || j->no_rule || some_rule_allows(j, asked))
		return 0;
	rules_text(j, rules, sizeof(rules));
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template %s: %s "
	    "%.70s is not allowed by name rule: %s", j->tmpl->cn,
	    asked_kind(asked), asked->text, rules);
}

/* [RFC6125] 6.4.4: clients look for the host in the SAN, not in the CN. */
static int
cn_into_san(const struct judging *j, const char *cn, struct names *out,
    struct err *err)
{
	char	*dns;
	size_t	 i;
	int	 rc = 0;

	if (j->no_rule ? !name_is_dns(cn, false) : !some_rule_allows_dns(j, cn))
		return 0;
	dns = lower(cn);
	for (i = 0; i < out->nsan; i++)
		if (out->san[i].kind == SAN_DNS &&
		    strcmp(out->san[i].text, dns) == 0)
			goto out;
	if (out->nsan == NAME_SAN_MAX)
		rc = err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template %s:"
		    " more than %d alternative names with cn %.70s",
		    j->tmpl->cn, NAME_SAN_MAX, cn);
	else
		names_add_san(out, SAN_DNS, dns);
out:
	free(dns);
	return rc;
}

static int
names_from_request(const struct judging *j, const struct request *r,
    struct names *out, struct err *err)
{
	size_t	i;

	if (r->names.nrdn == 0 && r->names.nsan == 0)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: the request has neither subject nor alternative name",
		    j->tmpl->cn);
	names_fold(&r->names, out);
	if (names_judge(out, judge_name, j, err) == -1)
		return -1;
	for (i = 0; i < out->nrdn; i++)
		if (strcmp(out->rdn[i].type, "CN") == 0 &&
		    cn_into_san(j, out->rdn[i].value, out, err) == -1)
			return -1;
	return 0;
}

/* [RFC5280] appendix A.1 has upper bounds; better told now than at signing. */
static int
names_encodable(const struct template *t, const struct names *n,
    struct err *err)
{
	struct err	why = ERR_INIT;
	struct buf	der = { NULL, 0, 0 };
	int		rc;

	rc = names_put_dn(n, &der, &why);
	if (rc == 0 && n->nsan != 0)
		rc = names_put_san(n, &der, &why);
	buf_free(&der);
	if (rc == -1)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "template %s: %.120s", t->cn, why.text);
	return 0;
}

static bool
overridden(const struct template *t)
{
	return strlist_has(&t->overrides,
	    template_authenticates(t) ? "esc1" : "esc17");
}

static int
decide_names(const struct judging *j, const struct request *r,
    struct decision *d, struct err *err)
{
	int	rc;

	if (j->vouched)		/* they are in d already */
		rc = names_judge(&d->names, judge_name, j, err);
	else if (j->tmpl->names_from_request)
		rc = names_from_request(j, r, &d->names, err);
	else
		rc = names_from_account(j->tmpl, j->account, &d->names, err);
	return rc == -1 ? -1 : names_encodable(j->tmpl, &d->names, err);
}

/*
 * KB5014754, and no switch against it (ESC9, ESC16): what can log somebody on
 * says who that is.
 */
static int
decide_sid(const struct template *t, const struct account *a,
    struct decision *d, struct err *err)
{
	if (a->sid == NULL || !template_authenticates(t))
		return 0;
	if (!name_is_sid(a->sid))
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "sid %.80s of account %s is malformed", a->sid, a->name);
	d->sid = a->sid;
	return 0;
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
	struct agent_ask	q = { .policy = ask->policy, .ca = ask->ca,
	    .tmpl = d->tmpl, .account = ask->account,
	    .request = ask->request, .agency = ask->agency };

	if (j->approved && !agent_wanted(ask->request)) {
		d->subject = ask->account;
		return 0;
	}
	return agent_decide(&q, &d->subject, err);
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

/*
 * [MS-WCCE] 3.2.2.6.2.1.4.5.7, [MS-CRTD] 2.26: what was approved need not be
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

	if (in->request->old_cert.n == 0 || renewal_judge(in, t, &d->renews,
	    err) == -1)
		return in->request->old_cert.n == 0 ? 0 : -1;
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
		return decide_enroll(t, in->account, err);
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
	    (d->renews == NULL && decide_secret(in->account, err) == -1) ||
	    decide_key(t, r->key, err) == -1)
		return -1;
	if (decide_subject(in, j, d, err) == -1 ||
	    decide_archival(t, d->ca, r, err) == -1)
		return -1;
	if (d->renews != NULL && d->subject != in->account)
		return err_deny(err, CERTSRV_E_RESTRICTEDOFFICER, "template "
		    "%s: nobody renews on behalf of account %s", t->cn,
		    d->subject->name);
	d->pending = !j->approved && waits(t, in->account, d->subject);
	/* The secret would be spent before the client can fetch anything. */
	if (d->pending && d->renews == NULL && in->account->one_time != NULL)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "template %s: "
		    "needs approval, which a one-time secret cannot wait for",
		    t->cn);
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

void
decision_free(struct decision *d)
{
	names_free(&d->names);
	memset(d, 0, sizeof(*d));
}
