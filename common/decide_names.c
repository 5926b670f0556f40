/*
 * Whose names a certificate gets: the account's, or those asked for.  The
 * last part of decide(), when the template is known.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "constraint.h"
#include "decide_names.h"
#include "hresult.h"
#include "namerule.h"

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

static char *
lower(const char *s)
{
	char	*r = xstrdup(s), *c;

	for (c = r; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return r;
}

/*
 * KB5014754: a SID in a certificate says which account it is, wherever it
 * stands and whatever the EKU.  [MS-WCCE] 3.2.2.6.2.1.4.5.9 would copy it
 * from the request.
 */
int
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

/*
 * "lab.example" of "CN=PC,OU=Servers,DC=lab,DC=example"; NULL: it is of no
 * domain that DNS could name.
 */
static char *
domain_of(const struct account *a)
{
	struct names	 dn = { 0 };
	struct err	 ignored = ERR_INIT;
	struct buf	 text = { 0 };
	char		*domain = NULL;
	size_t		 n = 0;

	if (a->dn != NULL && names_parse_text(&dn, a->dn, &ignored) == 0)
		while (n < dn.nrdn && strcmp(dn.rdn[n].type, "DC") == 0)
			n++;
	while (n-- > 0)
		buf_printf(&text, "%s%s", text.n != 0 ? "." : "",
		    dn.rdn[n].value);
	if (text.n != 0 && name_is_dns(buf_str(&text), false))
		domain = lower(buf_str(&text));
	names_free(&dn);
	buf_free(&text);
	return domain;
}

/* [MS-WCCE] 3.2.2.6.2.1.4.5.9: what Windows looks for in a KDC's. */
static int
account_domain(const struct template *t, const struct account *a,
    struct names *out, struct err *err)
{
	char	*domain;

	if ((t->account_names & NAME_SAN_DOMAIN) == 0)
		return 0;
	if ((domain = domain_of(a)) != NULL)
		names_add_san(out, SAN_DNS, domain);
	else if ((t->optional_names & NAME_SAN_DOMAIN) == 0)
		return err_deny(err, CERTSRV_E_SUBJECT_DNS_REQUIRED,
		    "template %s: account %s has no directory path that ends "
		    "in a domain (DC=lab,DC=example)", t->cn, a->name);
	free(domain);
	return 0;
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
	if (account_domain(t, a, out, err) == -1)
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
	char			 rules[64], text[ASKED_TEXT];

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
		    "%s: %s %s %s", j->tmpl->cn, asked_kind(asked),
		    asked_text(asked, text), fault);
	if (j->vouched || j->no_rule || some_rule_allows(j, asked))
		return 0;
	rules_text(j, rules, sizeof(rules));
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template %s: %s "
	    "%s is not allowed by name rule: %s", j->tmpl->cn,
	    asked_kind(asked), asked_text(asked, text), rules);
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

	if (r->names_fault.kind != ERR_NONE)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template "
		    "%s: %.180s", j->tmpl->cn, r->names_fault.text);
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

int
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
	if (rc == -1 || names_encodable(j->tmpl, &d->names, err) == -1)
		return -1;
	return constraint_check(d->ca, &d->names, err);
}

static int
some_rule_applies(const struct judging *j, struct err *err)
{
	size_t	i;

	for (i = 0; i < j->policy->nrules; i++)
		if (rule_applies(j, &j->policy->rules[i]))
			return 0;
	return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT, "template %s: none "
	    "of its name rules applies to account %s", j->tmpl->cn,
	    j->account->name);
}

static int
some_ca_permits(const struct judging *j, const struct names *n,
    struct err *err)
{
	const struct policy_ca	*ca;
	struct err		 why = ERR_INIT;
	size_t			 i;

	for (i = 0; i < j->policy->ncas; i++) {
		ca = &j->policy->cas[i];
		memset(&why, 0, sizeof(why));
		if (template_offered_by(j->tmpl, ca->name) &&
		    constraint_check(ca, n, &why) == 0)
			return 0;
	}
	*err = why;
	return -1;
}

int
decide_some_names(const struct judging *j, struct err *err)
{
	const struct template	*t = j->tmpl;
	struct names		 names = { 0 };
	int			 rc;

	if (t->names_from_request)
		return t->name_rules.n == 0 || t->renew_key_based ? 0 :
		    some_rule_applies(j, err);
	if (t->ra_signatures != 0)
		return 0;
	rc = names_from_account(t, j->account, &names, err);
	if (rc == 0)
		rc = names_encodable(t, &names, err);
	if (rc == 0)
		rc = some_ca_permits(j, &names, err);
	names_free(&names);
	return rc;
}

/*
 * KB5014754, and no switch against it (ESC9, ESC16): what can log somebody on
 * says who that is.
 */
int
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
