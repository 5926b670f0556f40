/*
 * The linter: policies that would hand out more than they seem to.  One
 * function per rule; the ESC numbers are those of the published attacks on
 * certificate services, [MS-XCEP] and [MS-CRTD] rules are about clients that
 * would silently do nothing.
 */
#include <string.h>
#include <strings.h>

#include "namerule.h"
#include "policy.h"
#include "policy_int.h"

#define HOUR ((int64_t)3600)
#define DAY ((int64_t)86400)
#define RSA_MIN	2048
#define RSA_MAX	8192		/* pubkey.h */

enum override { OVER_ESC1, OVER_ESC17, OVER_SHORT_VALIDITY, OVER_LAST };

static const char *const overrides[OVER_LAST] = {
	"esc1", "esc17", "short-validity"
};

/* The legacy CSPs; every other provider is taken for a CNG provider. */
static const char *const legacy[] = {
	"Microsoft Base Cryptographic Provider v1.0",
	"Microsoft Strong Cryptographic Provider",
	"Microsoft Enhanced Cryptographic Provider v1.0",
	"Microsoft Enhanced RSA and AES Cryptographic Provider",
	"Microsoft RSA SChannel Cryptographic Provider",
	"Microsoft DH SChannel Cryptographic Provider",
	"Microsoft Base DSS Cryptographic Provider",
	"Microsoft Base Smart Card Crypto Provider"
};

/* Is the finding switched off by the template's own line? */
static bool
overridden(struct lint *l, enum override o)
{
	if (!strlist_has(&l->tmpl->overrides, overrides[o]))
		return false;
	l->overridden |= 1u << o;
	return true;
}

static bool
is_name(const char *s, const char *more)
{
	size_t	n = strlen(s);

	if (n == 0 || n > 64 || s[0] == ' ' || s[n - 1] == ' ')
		return false;
	for (; *s != '\0'; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || strchr(more, *s) != NULL))
			return false;
	return true;
}

static void
lint_groups(struct lint *l, const char *opt, const struct strlist *groups)
{
	size_t	i;

	for (i = 0; i < groups->n; i++)
		if (!is_name(groups->v[i], "._-"))
			lint_add(l, "%s: group %s: only letters, digits, "
			    "\".\", \"_\" and \"-\", 1..64", opt,
			    groups->v[i]);
}

static void
lint_url(struct lint *l, const char *opt, const char *url, const char *scheme)
{
	bool		 marked = strncmp(opt, "cdp", 3) == 0 ||
			    strcmp(opt, "aia") == 0;
	size_t		 n = strlen(scheme);
	const char	*at;

	if (strncmp(url, scheme, n) != 0 || url[n] == '\0' || url[n] == '/') {
		lint_add(l, "%s: %s is no url that begins with %s", opt, url,
		    scheme);
		return;
	}
	for (at = url; *at != '\0'; at++) {
		/* once, where a key's name goes: see policy_url */
		if (marked && strncmp(at, "{key}", 5) == 0) {
			marked = false;
			at += 4;
			continue;
		}
		if (*at <= ' ' || *at >= 0x7f ||
		    strchr("\"<>\\^`{|}", *at) != NULL) {
			lint_add(l, "%s: is no url from \"%.40s\" on: %s",
			    opt, at, url);
			return;
		}
	}
}

static void
lint_urls(struct lint *l, const char *opt, const struct strlist *urls)
{
	size_t	i;

	/* [RFC5280] 8: https would need what is being fetched. */
	for (i = 0; i < urls->n; i++)
		lint_url(l, opt, urls->v[i], "http://");
}

/* Ten days: what browsers' rules grant, and longer than any weekend. */
static void
lint_revocation(struct lint *l, const struct policy_ca *ca)
{
	if (ca->crl_validity < HOUR || ca->crl_validity > 10 * DAY)
		lint_add(l, "crl-validity: must be 1h to 10d");
	if (ca->crl_overlap < 60 || ca->crl_overlap > ca->crl_validity / 2)
		lint_add(l, "crl-overlap: must be 1m to half of "
		    "crl-validity");
	if (ca->crl_delta != 0 && (ca->crl_delta < 600 ||
	    ca->crl_delta > ca->crl_validity / 2))
		lint_add(l, "crl-delta: must be 10m to half of crl-validity");
	if (ca->cdp_delta.n > 0 && ca->crl_delta == 0)
		lint_add(l, "cdp-delta: needs crl-delta: nobody makes the "
		    "lists that it points to");
	if (ca->ocsp_validity < 600 || ca->ocsp_validity > 10 * DAY)
		lint_add(l, "ocsp-validity: must be 10m to 10d");
}

static void
lint_ca(const struct policy *p, size_t nth, struct lint *l)
{
	const struct policy_ca	*ca = &p->cas[nth];
	size_t			 i;

	lint_about(l, ca->line, "ca", ca->name);
	/* The name is a part of service addresses. */
	if (!is_name(ca->name, "._ -"))
		lint_add(l, "name: only letters, digits, blank, \".\", \"_\" "
		    "and \"-\", 1..64");
	for (i = 0; i < nth; i++)
		if (strcasecmp(p->cas[i].name, ca->name) == 0)
			lint_add(l, "name: stands twice");
	if (ca->nuris == 0)
		lint_add(l, "uri: is missing");
	for (i = 0; i < ca->nuris; i++) {
		lint_url(l, "uri", ca->uris[i].uri, "https://");
		/* [MS-WSTEP] 3.1.1.1.4: nobody to judge a new request by. */
		if (ca->uris[i].method == AUTH_ANONYMOUS &&
		    !ca->uris[i].renewal_only)
			lint_add(l, "uri anonymous: needs renewal-only");
	}
	lint_urls(l, "cdp", &ca->cdp);
	lint_urls(l, "cdp-delta", &ca->cdp_delta);
	lint_urls(l, "aia", &ca->aia);
	lint_urls(l, "ocsp", &ca->ocsp);
	lint_revocation(l, ca);
}

static void
lint_patterns(struct lint *l, const char *opt, const struct strlist *list,
    const char *(*fault)(const char *), const char *(*idle)(const char *))
{
	const char	*why;
	size_t		 i;

	for (i = 0; i < list->n; i++) {
		why = fault(list->v[i]);
		if (why != NULL)
			lint_add(l, "%s: %s %s", opt, list->v[i], why);
		else if (idle != NULL && (why = idle(list->v[i])) != NULL)
			lint_idle(l, "%s: %s %s", opt, list->v[i], why);
	}
}

static void
lint_rule(const struct policy *p, size_t nth, struct lint *l)
{
	const struct name_rule	*r = &p->rules[nth];
	size_t			 i;

	lint_about(l, r->line, "name-rule", r->name);
	if (!is_name(r->name, "._-"))
		lint_add(l, "name: only letters, digits, \".\", \"_\" and "
		    "\"-\", 1..64");
	for (i = 0; i < nth; i++)
		if (strcasecmp(p->rules[i].name, r->name) == 0)
			lint_add(l, "name: stands twice");
	if (r->groups.n == 0)
		lint_add(l, "groups: is missing; the rule would apply to "
		    "nobody");
	lint_groups(l, "groups", &r->groups);
	if (r->dns.n + r->email.n + r->upn.n + r->ip.n + r->uri.n + r->rdn.n +
	    r->cn.n == 0)
		lint_add(l, "allows no name");
	if (r->wildcard && r->dns.n == 0)
		lint_add(l, "wildcard: needs dns");
	lint_patterns(l, "dns", &r->dns, dns_pattern_fault, NULL);
	lint_patterns(l, "email", &r->email, email_pattern_fault,
	    mail_pattern_idle);
	lint_patterns(l, "upn", &r->upn, upn_pattern_fault,
	    mail_pattern_idle);
	lint_patterns(l, "ip", &r->ip, ip_pattern_fault, NULL);
	lint_patterns(l, "uri", &r->uri, uri_pattern_fault, NULL);
	lint_patterns(l, "rdn", &r->rdn, rdn_pattern_fault, rdn_pattern_idle);
	lint_patterns(l, "cn", &r->cn, cn_pattern_fault, NULL);
}

/* The CA's operator could otherwise make itself anybody here. */
static void
lint_trusted(const struct policy *p, size_t nth, struct lint *l)
{
	const struct trusted_ca	*t = &p->trusted[nth];
	size_t			 i;

	lint_about(l, t->line, "trusted-ca", t->name);
	if (!is_name(t->name, "._ -"))
		lint_add(l, "name: only letters, digits, blank, \".\", \"_\" "
		    "and \"-\", 1..64");
	for (i = 0; i < nth; i++)
		if (slice_eq(buf_slice(&p->trusted[i].cert),
		    buf_slice(&t->cert)))
			lint_add(l, "certificate: is that of trusted-ca %s",
			    p->trusted[i].name);
	if (t->renewals && t->map == 0 && t->groups.n != 0)
		lint_add(l, "groups: needs map: without it nobody logs on");
	if (t->groups.n == 0 && (t->map != 0 || !t->renewals))
		lint_add(l, "groups: is missing; the ca could log on anybody");
	lint_groups(l, "groups", &t->groups);
}

static const struct name_rule *
rule_find(const struct policy *p, const char *name)
{
	size_t	i;

	for (i = 0; i < p->nrules; i++)
		if (strcmp(p->rules[i].name, name) == 0)
			return &p->rules[i];
	return NULL;
}

static void
check_identity(const struct policy *p, const struct template *t,
    struct lint *l)
{
	const struct template	*o;
	size_t			 i;

	if (!is_name(t->cn, "._ -"))
		lint_add(l, "name: only letters, digits, blank, \".\", \"_\" "
		    "and \"-\", 1..64");
	if (t->display_name[0] == '\0' || strlen(t->display_name) > 255)
		lint_add(l, "display-name: is empty or above 255 bytes");
	for (o = p->templates; o < t; o++) {
		if (strcasecmp(o->cn, t->cn) == 0)
			lint_add(l, "name: stands twice, as in line %u",
			    o->line);
		if (t->oid[0] != '\0' && strcmp(o->oid, t->oid) == 0)
			lint_add(l, "oid: %s is that of template %s", t->oid,
			    o->cn);
	}
	for (i = 0; i < t->supersedes.n; i++)
		if (!is_name(t->supersedes.v[i], "._ -") ||
		    strcasecmp(t->supersedes.v[i], t->cn) == 0)
			lint_add(l, "supersedes: %s is no other template's "
			    "name", t->supersedes.v[i]);
}

static void
check_cas(const struct policy *p, const struct template *t, struct lint *l)
{
	size_t	i;

	if (t->cas.n == 0)
		lint_add(l, "ca: no ca offers the template");
	for (i = 0; i < t->cas.n; i++)
		if (policy_ca_find(p, t->cas.v[i]) == NULL)
			lint_add(l, "ca: %s is not in this file", t->cas.v[i]);
}

static void
check_access(const struct policy *p, const struct template *t,
    struct lint *l)
{
	(void)p;
	lint_groups(l, "enroll", &t->enroll);
	lint_groups(l, "autoenroll", &t->autoenroll);
	if (t->enroll.n == 0 && t->autoenroll.n == 0)
		lint_add(l, "enroll: no group may enroll");
	/* [MS-XCEP] clients skip such a template without a word. */
	if (t->autoenroll.n != 0 && t->names_from_request)
		lint_add(l, "autoenroll: cannot be with names = request");
}

static void
check_lifetime(const struct policy *p, const struct template *t,
    struct lint *l)
{
	(void)p;
	if (t->validity <= 0)
		lint_add(l, "validity: must be above 0");
	else if (t->renewal <= 0 || t->renewal >= t->validity)
		lint_add(l, "renewal: must be above 0 and below the validity; "
		    "the default is 6w");
	/* Windows enrolls but never renews below these. */
	if (t->autoenroll.n != 0 && (t->validity < 5 * DAY ||
	    t->renewal < DAY) && !overridden(l, OVER_SHORT_VALIDITY))
		lint_add(l, "autoenroll: needs a validity of 5d and a renewal "
		    "of 1d (short-validity)");
}

static void
check_account_names(const struct policy *p, const struct template *t,
    struct lint *l)
{
	unsigned	one = NAME_CN_COMMON | NAME_CN_DNS |
			    NAME_DIRECTORY_PATH;
	unsigned	has = t->account_names & one;

	(void)p;
	if (t->names_from_request) {
		if (t->account_names != 0)
			lint_add(l, "subject, san: only with names = account");
		return;
	}
	if (t->name_rules.n != 0)
		lint_add(l, "name-rules: only with names = request");
	if (t->account_names == 0)
		lint_add(l, "subject, san: the certificate would name nobody");
	if ((has & (has - 1)) != 0)
		lint_add(l, "subject: only one of common-name, dns and "
		    "directory-path");
	if (t->machine && (t->account_names & NAME_SAN_UPN))
		lint_add(l, "san: upn is no name of a machine");
	if (!t->machine && (t->account_names & NAME_SAN_DOMAIN))
		lint_add(l, "san: domain-dns is a name of machines, which are "
		    "its domain controllers");
}

static void
check_rules(const struct policy *p, const struct template *t, struct lint *l)
{
	const struct name_rule	*r;
	size_t			 i;

	for (i = 0; i < t->name_rules.n; i++) {
		r = rule_find(p, t->name_rules.v[i]);
		if (r == NULL) {
			lint_add(l, "name-rules: %s is not in this file",
			    t->name_rules.v[i]);
			continue;
		}
		if (t->machine && r->upn.n != 0)
			lint_add(l, "name-rules: upn of %s is no name of a "
			    "machine", r->name);
		if (r->wildcard && template_authenticates(t))
			lint_add(l, "name-rules: wildcard of %s would "
			    "authenticate as many hosts", r->name);
	}
}

/* ESC2: such a certificate is good for everything. */
static void
check_eku(const struct policy *p, const struct template *t, struct lint *l)
{
	(void)p;
	if (t->eku.n == 0)
		lint_add(l, "eku: is missing; without one a certificate is "
		    "good for everything (esc2)");
	if (strlist_has(&t->eku, "2.5.29.37.0") ||
	    strlist_has(&t->eku, "1.3.6.1.4.1.311.10.12.1"))
		lint_add(l, "eku: any purpose is never issued (esc2)");
	if (strlist_has(&t->eku, "1.3.6.1.5.5.7.3.9"))
		lint_idle(l, "eku: ocsp-signing is for responders alone, which "
		    "signers certify themselves");
	/* [MS-WCCE] 3.2.1.4.3.2.15: who has one is given clients' keys. */
	if (strlist_has(&t->eku, "1.3.6.1.4.1.311.21.5"))
		lint_idle(l, "eku: ca exchange is what clients seal their keys "
		    "for, and signers make those certificates themselves");
	if (strlist_has(&t->policies, "2.5.29.32.0"))
		lint_idle(l, "policies: any policy is never asserted");
}

/*
 * [RFC5280] 4.2.1.12: certlint.h lets no signature be made over a purpose
 * that the key usage contradicts.
 */
static void
check_purposes(const struct policy *p, const struct template *t,
    struct lint *l)
{
	static const struct {
		const char	*oid, *name, *words;
		enum key_kind	 kind;
		unsigned	 usage;
	} purposes[] = {
		{ "1.3.6.1.5.5.7.3.2", "client-authentication with an rsa key",
		    "digital-signature", KEY_RSA, USAGE_DIGITAL_SIGNATURE },
		{ "1.3.6.1.5.5.7.3.2", "client-authentication with an ec key",
		    "digital-signature or key-agreement", KEY_P256,
		    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_AGREEMENT },
		{ "1.3.6.1.5.5.7.3.1", "server-authentication with an rsa key",
		    "digital-signature or key-encipherment", KEY_RSA,
		    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT },
		{ "1.3.6.1.5.5.7.3.1", "server-authentication with an ec key",
		    "digital-signature or key-agreement", KEY_P256,
		    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_AGREEMENT }
	};
	unsigned	usage;
	size_t		i;

	(void)p;
	for (i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++) {
		if (purposes[i].kind == KEY_RSA ? t->rsa_min == 0 :
		    t->curves == 0)
			continue;
		usage = template_key_usage(t, purposes[i].kind);
		/* Without any: see check_usage. */
		if (usage != 0 && (usage & purposes[i].usage) == 0 &&
		    strlist_has(&t->eku, purposes[i].oid))
			lint_idle(l, "eku: %s needs a key-usage of %s",
			    purposes[i].name, purposes[i].words);
	}
}

/* An entry by which members log on under names that nobody gave them. */
static const char *
open_entry(const struct strlist *list, const char *begins)
{
	size_t	i;

	for (i = 0; i < list->n; i++)
		if (strncasecmp(list->v[i], begins, strlen(begins)) == 0)
			return list->v[i];
	return NULL;
}

/*
 * All of these are mapped to accounts somewhere: users by an e-mail address
 * (ESC14) or by the subject.  Hosts are not among them: a rule says whose domain
 * is whose, and servers are clients of others, too.
 */
static void
check_open_rule(const struct name_rule *r, struct lint *l)
{
	const struct {
		const char		*option, *begins;
		const struct strlist	*list;
		/* so that what is in force stays: it was not known before */
		void			(*tell)(struct lint *, const char *, ...);
	} opens[] = {
		{ "cn", "*", &r->cn, lint_add },
		{ "upn", "@", &r->upn, lint_add },
		{ "email", "@", &r->email, lint_idle },
		{ "rdn", "UID=*", &r->rdn, lint_idle },
		{ "rdn", "userId=*", &r->rdn, lint_idle },
		{ "rdn", "E=*", &r->rdn, lint_idle },
		{ "rdn", "emailAddress=*", &r->rdn, lint_idle }
	};
	const char	*entry;
	size_t		 i;

	for (i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
		entry = open_entry(opens[i].list, opens[i].begins);
		if (entry != NULL && !overridden(l, OVER_ESC1))
			opens[i].tell(l, "names: name rule %s lets members "
			    "authenticate as anybody: %s = %s (esc1)",
			    r->name, opens[i].option, entry);
	}
}

/*
 * ESC1: who may choose the name logs on as anybody.  ESC17: or is taken for
 * any server.  An approver sees the names; approval of some groups only
 * protects nothing from the others.
 */
static void
check_request_names(const struct policy *p, const struct template *t,
    struct lint *l)
{
	const struct name_rule	*r;
	size_t			 i;
	bool			 seen;

	seen = t->approval && t->approval_groups.n == 0;
	if (!t->names_from_request || seen)
		return;
	if (template_authenticates(t)) {
		if (t->name_rules.n == 0 && !overridden(l, OVER_ESC1))
			lint_add(l, "names: taken from the request, with an "
			    "eku that authenticates, need a name rule or "
			    "approval of all (esc1)");
		for (i = 0; i < t->name_rules.n; i++)
			if ((r = rule_find(p, t->name_rules.v[i])) != NULL)
				check_open_rule(r, l);
	} else if (t->name_rules.n == 0 && !overridden(l, OVER_ESC17)) {
		lint_add(l, "names: taken from the request need a name rule "
		    "or approval of all (esc17)");
	}
}

static void
check_keys(const struct policy *p, const struct template *t, struct lint *l)
{
	(void)p;
	if (t->rsa_min == 0 && t->curves == 0)
		lint_add(l, "keys: no key is allowed");
	if (t->rsa_min != 0 && (t->rsa_min < RSA_MIN || t->rsa_min % 8 != 0))
		lint_add(l, "keys: rsa:%u is below %d or no multiple of 8",
		    t->rsa_min, RSA_MIN);
	if (t->rsa_max > RSA_MAX || t->rsa_max < t->rsa_min)
		lint_add(l, "keys: rsa maximum %u is above %d or below the "
		    "minimum", t->rsa_max, RSA_MAX);
	if (t->schema <= 2 && t->advertise != NULL &&
	    strcmp(t->advertise, "rsa") != 0)
		lint_add(l, "keys: %s cannot be first, clients of schema %u "
		    "make rsa keys", t->advertise, t->schema);
	/* [MS-XCEP] 3.1.4.1.3.1: hashAlgorithmOIDReference must be nil. */
	if (t->schema <= 2 && t->hash != NULL)
		lint_add(l, "hash: cannot be told to clients of schema %u",
		    t->schema);
	/* Windows makes no key where it cannot read them. */
	if (t->key_permissions != NULL &&
	    strncmp(t->key_permissions, "D:", 2) != 0)
		lint_add(l, "key-permissions: %.40s is no SDDL, which begins "
		    "with D:", t->key_permissions);
	if (t->schema <= 2 && t->key_permissions != NULL)
		lint_add(l, "key-permissions: clients of schema %u do not "
		    "know them", t->schema);
}

static bool
is_legacy(const char *provider)
{
	size_t	i;

	for (i = 0; i < sizeof(legacy) / sizeof(legacy[0]); i++)
		if (strcmp(legacy[i], provider) == 0)
			return true;
	return false;
}

static void
check_providers(const struct policy *p, const struct template *t,
    struct lint *l)
{
	const char	*v;
	bool		 ec;
	size_t		 i;

	(void)p;
	ec = t->advertise != NULL && strcmp(t->advertise, "rsa") != 0;
	if (t->providers.n == 0)
		lint_add(l, "providers: is missing; Windows would make keys "
		    "of 1024 bits");
	for (i = 0; i < t->providers.n; i++) {
		v = t->providers.v[i];
		if (strlen(v) > 255)
			lint_add(l, "providers: name above 255 bytes");
		if (t->schema <= 2 && !is_legacy(v))
			lint_add(l, "providers: %s is none of the legacy "
			    "providers that schema %u is limited to", v,
			    t->schema);
		if (t->schema >= 3 && is_legacy(v) && t->key_spec == 0)
			lint_add(l, "providers: %s needs key-spec 1 or 2", v);
		if (ec && is_legacy(v))
			lint_add(l, "providers: %s makes no %s keys", v,
			    t->advertise);
	}
	if (t->schema <= 2 && t->key_spec == 0)
		lint_add(l, "key-spec: schema %u needs 1 or 2", t->schema);
}

static void
check_usage(const struct policy *p, const struct template *t, struct lint *l)
{
	(void)p;
	if (t->key_usage == 0)
		lint_add(l, "key-usage: is missing");
	if (t->key_usage & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN))
		lint_add(l, "key-usage: key-cert-sign and crl-sign are for "
		    "cas, which are never enrolled");
	if (t->key_usage & (USAGE_ENCIPHER_ONLY | USAGE_DECIPHER_ONLY) &&
	    (t->key_usage & USAGE_KEY_AGREEMENT) == 0)
		lint_add(l, "key-usage: encipher-only and decipher-only need "
		    "key-agreement");
	if (t->key_usage == 0)
		return;
	if (t->rsa_min != 0 && template_key_usage(t, KEY_RSA) == 0)
		lint_add(l, "key-usage: leaves an rsa key nothing to do");
	if (t->curves != 0 && template_key_usage(t, KEY_P256) == 0)
		lint_add(l, "key-usage: leaves an ec key nothing to do");
}

static void
check_approval(const struct policy *p, const struct template *t,
    struct lint *l)
{
	(void)p;
	lint_groups(l, "approval-groups", &t->approval_groups);
	lint_groups(l, "approvers", &t->approvers);
	if (!t->approval && (t->approval_groups.n != 0 || t->approvers.n != 0))
		lint_add(l, "approval-groups, approvers: need approval = "
		    "manager");
	if (t->pending_expires <= 0)
		lint_add(l, "pending-expires: must be above 0");
}

/* [MS-WCCE] 3.2.2.6.2.1.4.5.6 with [MS-CRTD] 2.26, 0x10000. */
static void
check_renewal(const struct policy *p, const struct template *t,
    struct lint *l)
{
	(void)p;
	if (t->renew_key_based && !(t->renew_previous_approval &&
	    t->names_from_request))
		lint_add(l, "renewal-key-based: needs names = request and "
		    "renewal-previous-approval");
	/* Whoever logs on as nobody could not come back for it. */
	if (t->renew_anonymous && t->approval && t->approval_groups.n == 0 &&
	    !t->renew_previous_approval)
		lint_idle(l, "renewal-anonymous: with approval of all it needs "
		    "renewal-previous-approval: nobody cannot wait");
	if (t->renew_sha1 && t->schema > 2)
		lint_idle(l, "renewal-sha1: clients of schema %u sign with hash",
		    t->schema);
	if (t->renew_grace > t->validity)
		lint_add(l, "renewal-grace: is above the validity");
	if (t->renew_max_age != 0 &&
	    t->renew_max_age <= t->validity - t->renewal)
		lint_add(l, "renewal-max-age: is over before the first "
		    "renewal");
}

/* Last: an override that covers nothing would cover a later mistake. */
static void
check_overrides(const struct policy *p, const struct template *t,
    struct lint *l)
{
	enum override	o;
	size_t		i;

	(void)p;
	for (i = 0; i < t->overrides.n; i++) {
		for (o = 0; o < OVER_LAST; o++)
			if (strcmp(t->overrides.v[i], overrides[o]) == 0)
				break;
		if (o == OVER_LAST)
			lint_add(l, "override: %s cannot be overridden",
			    t->overrides.v[i]);
		else if ((l->overridden & 1u << o) == 0)
			lint_add(l, "override: %s covers nothing here",
			    t->overrides.v[i]);
	}
}

static void (*const checks[])(const struct policy *, const struct template *,
    struct lint *) = {
	check_identity, check_cas, check_access, check_lifetime,
	check_account_names, check_rules, check_eku, check_purposes,
	check_request_names,
	check_keys, check_providers, check_usage, check_approval,
	lint_signatures, lint_archival, check_renewal, check_overrides
};

void
policy_lint(const struct policy *p, struct lint *l)
{
	const struct template	*t;
	size_t			 i, j;

	for (i = 0; i < p->ncas; i++)
		lint_ca(p, i, l);
	for (i = 0; i < p->ntrusted; i++)
		lint_trusted(p, i, l);
	for (i = 0; i < p->nrules; i++)
		lint_rule(p, i, l);
	for (i = 0; i < p->nagents; i++)
		lint_agent_rule(p, i, l);
	for (i = 0; i < p->ndomains; i++)
		lint_domain(p, i, l);
	for (i = 0; i < p->ntemplates; i++) {
		t = &p->templates[i];
		lint_about(l, t->line, "template", t->cn);
		l->tmpl = t;
		l->overridden = 0;
		for (j = 0; j < sizeof(checks) / sizeof(checks[0]); j++)
			checks[j](p, t, l);
	}
}
