/*
 * Policy text to struct policy: the file, its CAs and name rules.  The
 * grammar is libconfuse's behind conf_text, which refuses what is unknown or
 * stands twice; whatever else is wrong becomes a finding with its line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "conf.h"
#include "digest.h"
#include "oid.h"
#include "policy.h"
#include "policy_int.h"

#define DAY ((int64_t)86400)

#define POLICY_MAX	(512 * 1024)	/* bytes of text */
#define SECTIONS_MAX	500		/* of a kind */
#define LIST_MAX	200		/* entries of one list */
#define VALUE_MAX	512		/* bytes of one value */
#define FILE_NAME	"policy"

static const struct word methods[] = {
	{ "anonymous", AUTH_ANONYMOUS }, { "kerberos", AUTH_KERBEROS },
	{ "password", AUTH_PASSWORD }, { "certificate", AUTH_CERTIFICATE },
	{ NULL, 0 }
};

/* Set means given: every option is NODEFAULT, defaults stand where used. */
#define STR(name)	CFG_STR(name, NULL, CFGF_NODEFAULT)
#define LIST(name)	CFG_STR_LIST(name, NULL, CFGF_NODEFAULT)
#define INT(name)	CFG_INT(name, 0, CFGF_NODEFAULT)
#define BOOL(name)	CFG_BOOL(name, cfg_false, CFGF_NODEFAULT)
#define SECTION(name, o) CFG_SEC(name, o, \
	CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)

static cfg_t *
policy_confuse(struct slice text, struct err *err)
{
	cfg_opt_t uri[] = {
		LIST("uri"), INT("priority"), BOOL("renewal-only"), CFG_END()
	};
	cfg_opt_t recovery[] = { LIST("certificate"), CFG_END() };
	cfg_opt_t ca[] = {
		SECTION("recovery-agent", recovery),
		SECTION("uri", uri), LIST("cdp"), LIST("aia"), LIST("ocsp"),
		LIST("cdp-delta"), STR("crl-delta"),
		STR("crl-validity"), STR("crl-overlap"),
		STR("ocsp-validity"), BOOL("ocsp-nonce"), CFG_END()
	};
	cfg_opt_t rule[] = {
		LIST("groups"), LIST("dns"), BOOL("wildcard"), LIST("email"),
		LIST("upn"), LIST("ip"), LIST("uri"), LIST("rdn"), LIST("cn"),
		CFG_END()
	};
	cfg_opt_t agent[] = {
		LIST("agents"), LIST("templates"), LIST("targets"),
		LIST("deny-targets"), CFG_END()
	};
	cfg_opt_t domain[] = { STR("realm"), CFG_END() };
	cfg_opt_t trusted[] = {
		LIST("certificate"), STR("map"), LIST("groups"),
		BOOL("renewals"), CFG_END()
	};
	cfg_opt_t template[] = {
		STR("display-name"), STR("oid"), INT("schema"),
		STR("version"), LIST("ca"), STR("type"),
		STR("validity"), STR("renewal"),
		LIST("enroll"), LIST("autoenroll"),
		STR("names"), LIST("subject"), LIST("san"), LIST("name-rules"),
		LIST("keys"), LIST("providers"), INT("key-spec"), STR("hash"),
		STR("key-permissions"),
		BOOL("exportable"), BOOL("strong-key-protection"),
		LIST("key-usage"), BOOL("key-usage-critical"), LIST("eku"),
		LIST("policies"), BOOL("application-policies"),
		BOOL("smime-capabilities"),
		STR("approval"), LIST("approval-groups"), LIST("approvers"),
		STR("pending-expires"), INT("ra-signatures"),
		LIST("ra-eku"), LIST("ra-policies"), BOOL("archive-key"),
		BOOL("renewal-previous-approval"), BOOL("renewal-same-key"),
		BOOL("renewal-key-based"), BOOL("renewal-anonymous"),
		BOOL("renewal-sha1"),
		STR("renewal-grace"), INT("renewal-max"),
		STR("renewal-max-age"), INT("rate-per-minute"),
		LIST("supersedes"), LIST("override"), CFG_END()
	};
	cfg_opt_t top[] = {
		STR("policy-name"), INT("next-update-hours"),
		SECTION("ca", ca), SECTION("name-rule", rule),
		SECTION("agent-rule", agent), SECTION("domain", domain),
		SECTION("trusted-ca", trusted), SECTION("template", template),
		CFG_END()
	};

	return conf_text(text, FILE_NAME, top, err);
}

void
lint_about(struct lint *l, unsigned line, const char *kind, const char *title)
{
	l->line = line;
	snprintf(l->what, sizeof(l->what), "%s%s%.50s", kind,
	    *title != '\0' ? " " : "", title);
}

static void
add(struct lint *l, const char *fmt, va_list ap)
{
	char	reason[VALUE_MAX + 200], text[VALUE_MAX + 300];

	if (vsnprintf(reason, sizeof(reason), fmt, ap) < 0)
		reason[0] = '\0';
	snprintf(text, sizeof(text), "%s: %s", l->what, reason);
	l->n++;
	l->report(l->arg, l->line, text);
}

void
lint_add(struct lint *l, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	add(l, fmt, ap);
	va_end(ap);
}

void
lint_idle(struct lint *l, const char *fmt, ...)
{
	va_list	ap;

	if (!l->idle)
		return;
	va_start(ap, fmt);
	add(l, fmt, ap);
	va_end(ap);
}

bool
word_value(const struct word *w, const char *s, unsigned *out)
{
	for (; w->name != NULL; w++)
		if (strcmp(w->name, s) == 0) {
			*out = w->value;
			return true;
		}
	return false;
}

/* conf_text let only UTF-8 without control characters through. */
char *
read_text(cfg_t *cfg, const char *opt)
{
	return cfg_size(cfg, opt) == 0 ? NULL : xstrdup(cfg_getstr(cfg, opt));
}

void
read_list(cfg_t *cfg, const char *opt, struct strlist *out, struct lint *l)
{
	size_t	i, j;

	if (cfg_size(cfg, opt) > LIST_MAX) {
		lint_add(l, "%s: more than %d entries", opt, LIST_MAX);
		return;
	}
	conf_list(cfg, opt, out);
	for (i = 0; i < out->n; i++) {
		if (out->v[i][0] == '\0' || strlen(out->v[i]) > VALUE_MAX)
			lint_add(l, "%s: entry is empty or above %d bytes",
			    opt, VALUE_MAX);
		for (j = 0; j < i; j++)
			if (strcmp(out->v[i], out->v[j]) == 0)
				lint_add(l, "%s: %s stands twice", opt,
				    out->v[i]);
	}
}

void
read_duration(cfg_t *cfg, const char *opt, int64_t *out, struct lint *l)
{
	struct err	why = ERR_INIT;

	if (cfg_size(cfg, opt) == 0)
		return;
	if (conf_duration(cfg_getstr(cfg, opt), out, &why) == -1)
		lint_add(l, "%s: %s", opt, why.text);
}

/* The option must be set. */
long
read_int(cfg_t *cfg, const char *opt, long min, long max, struct lint *l)
{
	long	v = cfg_getint(cfg, opt);

	if (v >= min && v <= max)
		return v;
	lint_add(l, "%s: %ld is not in %ld..%ld", opt, v, min, max);
	return min;
}

char *
read_oid(const char *opt, const char *dotted, struct buf *der, struct lint *l)
{
	struct err	why = ERR_INIT;
	struct buf	tmp = { NULL, 0, 0 };
	char		text[256], *r = NULL;

	if (oid_parse(dotted, &tmp, &why) == -1)
		lint_add(l, "%s: %s", opt, why.text);
	else if (oid_text(buf_slice(&tmp), text, sizeof(text)) == -1)
		lint_add(l, "%s: %s is too long", opt, dotted);
	else {
		r = xstrdup(text);
		if (der != NULL)
			buf_add(der, tmp.p, tmp.n);
	}
	buf_free(&tmp);
	return r;
}

/* Several addresses of one method: the first has the lowest number. */
static void
read_uri(cfg_t *cfg, struct policy_ca *ca, struct lint *l)
{
	struct strlist	 uris = { NULL, 0 };
	struct ca_uri	*u;
	unsigned	 method, priority = 1;
	size_t		 i;

	if (!word_value(methods, cfg_title(cfg), &method)) {
		lint_add(l, "uri %.40s: is no way to authenticate",
		    cfg_title(cfg));
		return;
	}
	if (cfg_size(cfg, "priority") != 0)
		priority = (unsigned)read_int(cfg, "priority", 1, 1000000, l);
	read_list(cfg, "uri", &uris, l);
	if (uris.n == 0)
		lint_add(l, "uri %s: has no uri", cfg_title(cfg));
	for (i = 0; i < uris.n; i++) {
		ca->uris = xreallocarray(ca->uris, ca->nuris + 1, sizeof(*u));
		u = &ca->uris[ca->nuris++];
		u->method = method;
		u->uri = xstrdup(uris.v[i]);
		u->priority = priority + (unsigned)i;
		u->renewal_only = cfg_size(cfg, "renewal-only") != 0 &&
		    cfg_getbool(cfg, "renewal-only");
	}
	strlist_free(&uris);
}

static void
read_ca(cfg_t *cfg, struct policy_ca *ca, struct lint *l)
{
	unsigned	i;

	ca->name = xstrdup(cfg_title(cfg));
	for (i = 0; i < cfg_size(cfg, "uri"); i++)
		read_uri(cfg_getnsec(cfg, "uri", i), ca, l);
	read_list(cfg, "cdp", &ca->cdp, l);
	read_list(cfg, "cdp-delta", &ca->cdp_delta, l);
	read_list(cfg, "aia", &ca->aia, l);
	read_list(cfg, "ocsp", &ca->ocsp, l);
	recovery_read(cfg, ca, l);
	ca->crl_validity = 7 * DAY;
	ca->crl_overlap = DAY;
	ca->ocsp_validity = DAY / 2;
	read_duration(cfg, "crl-validity", &ca->crl_validity, l);
	read_duration(cfg, "crl-overlap", &ca->crl_overlap, l);
	read_duration(cfg, "crl-delta", &ca->crl_delta, l);
	read_duration(cfg, "ocsp-validity", &ca->ocsp_validity, l);
	ca->ocsp_nonce = cfg_size(cfg, "ocsp-nonce") != 0 &&
	    cfg_getbool(cfg, "ocsp-nonce");
}

static void
read_rule(cfg_t *cfg, struct name_rule *r, struct lint *l)
{
	r->name = xstrdup(cfg_title(cfg));
	read_list(cfg, "groups", &r->groups, l);
	read_list(cfg, "dns", &r->dns, l);
	read_list(cfg, "email", &r->email, l);
	read_list(cfg, "upn", &r->upn, l);
	read_list(cfg, "ip", &r->ip, l);
	read_list(cfg, "uri", &r->uri, l);
	read_list(cfg, "rdn", &r->rdn, l);
	read_list(cfg, "cn", &r->cn, l);
	r->wildcard = cfg_size(cfg, "wildcard") != 0 &&
	    cfg_getbool(cfg, "wildcard");
}

static const struct word maps[] = {
	{ "san-upn", MAP_SAN_UPN }, { "san-dns", MAP_SAN_DNS },
	{ "subject-cn", MAP_SUBJECT_CN }, { NULL, 0 }
};

/* Base64 of DER, cut into strings as one likes; PEM's two lines may stay. */
void
read_certificate(cfg_t *cfg, struct buf *out, struct lint *l)
{
	struct err	 why = ERR_INIT;
	struct buf	 text = { NULL, 0, 0 };
	const char	*s;
	unsigned	 i;

	for (i = 0; i < cfg_size(cfg, "certificate"); i++) {
		s = cfg_getnstr(cfg, "certificate", i);
		if (strcmp(s, "-----BEGIN CERTIFICATE-----") != 0 &&
		    strcmp(s, "-----END CERTIFICATE-----") != 0)
			buf_puts(&text, s);
	}
	if (text.n == 0)
		lint_add(l, "certificate: is missing");
	else if (base64_decode(buf_str(&text), text.n, TRUST_MAX, out,
	    &why) == -1)
		lint_add(l, "certificate: %s", why.text);
	buf_free(&text);
}

static void
read_trusted(cfg_t *cfg, struct policy *p, struct trusted_ca *t,
    struct lint *l)
{
	struct err	 why = ERR_INIT;
	bool		 maps_names = cfg_size(cfg, "map") != 0;
	unsigned	 v = 0;

	t->name = xstrdup(cfg_title(cfg));
	read_list(cfg, "groups", &t->groups, l);
	t->renewals = cfg_size(cfg, "renewals") != 0 &&
	    cfg_getbool(cfg, "renewals");
	if ((maps_names || !t->renewals) && !word_value(maps, maps_names ?
	    cfg_getstr(cfg, "map") : "", &v))
		lint_add(l, "map: must be san-upn, san-dns or subject-cn; only "
		    "with renewals it may be missing");
	t->map = v;
	read_certificate(cfg, &t->cert, l);
	if (t->cert.n != 0 && policy_trust_other(p, t, &why) == -1)
		lint_add(l, "%s", why.text);
}

static size_t
sections(cfg_t *cfg, const char *kind, struct lint *l)
{
	size_t	n = cfg_size(cfg, kind);

	if (n <= SECTIONS_MAX)
		return n;
	lint_about(l, 1, "policy", "");
	lint_add(l, "more than %d sections %s", SECTIONS_MAX, kind);
	return 0;
}

static void
read_trusted_all(cfg_t *cfg, const struct marks *m, struct policy *p,
    struct lint *l)
{
	struct trusted_ca	*t;
	cfg_t			*sec;
	size_t			 i;

	p->ntrusted = sections(cfg, "trusted-ca", l);
	p->trusted = xcalloc(p->ntrusted + 1, sizeof(*p->trusted));
	for (i = 0; i < p->ntrusted; i++) {
		t = &p->trusted[i];
		sec = cfg_getnsec(cfg, "trusted-ca", (unsigned)i);
		t->line = marks_line(m, "trusted-ca", i);
		lint_about(l, t->line, "trusted-ca", cfg_title(sec));
		read_trusted(sec, p, t, l);
	}
}

static void
read_agents(cfg_t *cfg, const struct marks *m, struct policy *p,
    struct lint *l)
{
	cfg_t	*sec;
	size_t	 i;

	p->nagents = sections(cfg, "agent-rule", l);
	p->agents = xcalloc(p->nagents + 1, sizeof(*p->agents));
	for (i = 0; i < p->nagents; i++) {
		sec = cfg_getnsec(cfg, "agent-rule", (unsigned)i);
		p->agents[i].line = marks_line(m, "agent-rule", i);
		lint_about(l, p->agents[i].line, "agent-rule",
		    cfg_title(sec));
		agent_rule_read(sec, &p->agents[i], l);
	}
}

static void
read_domains(cfg_t *cfg, const struct marks *m, struct policy *p,
    struct lint *l)
{
	size_t	i;

	p->ndomains = sections(cfg, "domain", l);
	p->domains = xcalloc(p->ndomains + 1, sizeof(*p->domains));
	for (i = 0; i < p->ndomains; i++) {
		p->domains[i].line = marks_line(m, "domain", i);
		domain_read(cfg_getnsec(cfg, "domain", (unsigned)i),
		    &p->domains[i]);
	}
}

static void
read_sections(cfg_t *cfg, const struct marks *m, struct policy *p,
    struct lint *l)
{
	cfg_t		*sec;
	struct template	*t;
	size_t		 i;

	p->ncas = sections(cfg, "ca", l);
	p->cas = xcalloc(p->ncas + 1, sizeof(*p->cas));
	for (i = 0; i < p->ncas; i++) {
		sec = cfg_getnsec(cfg, "ca", (unsigned)i);
		p->cas[i].line = marks_line(m, "ca", i);
		lint_about(l, p->cas[i].line, "ca", cfg_title(sec));
		read_ca(sec, &p->cas[i], l);
	}
	p->nrules = sections(cfg, "name-rule", l);
	p->rules = xcalloc(p->nrules + 1, sizeof(*p->rules));
	for (i = 0; i < p->nrules; i++) {
		sec = cfg_getnsec(cfg, "name-rule", (unsigned)i);
		p->rules[i].line = marks_line(m, "name-rule", i);
		lint_about(l, p->rules[i].line, "name-rule", cfg_title(sec));
		read_rule(sec, &p->rules[i], l);
	}
	read_agents(cfg, m, p, l);
	read_domains(cfg, m, p, l);
	read_trusted_all(cfg, m, p, l);
	p->ntemplates = sections(cfg, "template", l);
	p->templates = xcalloc(p->ntemplates + 1, sizeof(*p->templates));
	for (i = 0; i < p->ntemplates; i++) {
		sec = cfg_getnsec(cfg, "template", (unsigned)i);
		t = &p->templates[i];
		t->line = marks_line(m, "template", i);
		lint_about(l, t->line, "template", cfg_title(sec));
		template_read(sec, t, l);
	}
}

static void
read_top(cfg_t *cfg, struct policy *p, struct lint *l)
{
	lint_about(l, 1, "policy", "");
	p->friendly_name = read_text(cfg, "policy-name");
	if (p->friendly_name == NULL)
		p->friendly_name = xstrdup("Countersign");
	if (strlen(p->friendly_name) > VALUE_MAX)
		lint_add(l, "policy-name: above %d bytes", VALUE_MAX);
	p->next_update_hours = 8;	/* as AD CS does, [MS-XCEP] 7 */
	if (cfg_size(cfg, "next-update-hours") != 0)
		p->next_update_hours = (unsigned)read_int(cfg,
		    "next-update-hours", 1, 8760, l);
}

/* conf_text's "policy:12: reason" as a finding about the section there. */
static void
syntax_finding(const char *text, const struct marks *m, struct lint *l)
{
	const struct mark	*k = NULL;
	unsigned		 line = 1;
	int			 n = 0;

	if (sscanf(text, FILE_NAME ":%u: %n", &line, &n) == 1 && n > 0) {
		text += n;
		k = marks_around(m, line);
	}
	lint_about(l, line, k != NULL ? k->kind : "policy",
	    k != NULL ? k->title : "");
	lint_add(l, "%s", text);
}

/* Everything that can be told about the text; NULL when it does not parse. */
static struct policy *
policy_read(struct slice text, struct lint *l)
{
	struct err	 why = ERR_INIT;
	struct marks	 m;
	struct policy	*p;
	cfg_t		*cfg;

	if (text.n == 0 || text.n > POLICY_MAX) {
		lint_about(l, 1, "policy", "");
		lint_add(l, "%zu bytes, not 1..%d", text.n, POLICY_MAX);
		return NULL;
	}
	marks_read(&m, text);
	cfg = policy_confuse(text, &why);
	if (cfg == NULL) {
		syntax_finding(why.text, &m, l);
		marks_free(&m);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	buf_add(&p->text, text.p, text.n);
	read_top(cfg, p, l);
	read_sections(cfg, &m, p, l);
	cfg_free(cfg);
	marks_free(&m);
	policy_lint(p, l);
	return p;
}

static void
first_finding(void *arg, unsigned line, const char *text)
{
	err_bad(arg, 0, "line %u: %s", line, text);
}

static struct policy *
parse(struct slice text, bool idle, struct err *err)
{
	struct lint	 l;
	struct policy	*p;

	memset(&l, 0, sizeof(l));
	l.report = first_finding;
	l.arg = err;
	l.idle = idle;
	p = policy_read(text, &l);
	if (l.n != 0) {
		policy_free(p);
		return NULL;
	}
	digest_sha256(text, p->sha256);
	return p;
}

struct policy *
policy_parse(struct slice text, struct err *err)
{
	return parse(text, false, err);
}

struct policy *
policy_parse_new(struct slice text, struct err *err)
{
	return parse(text, true, err);
}

int
policy_lint_all(struct slice text,
    void (*report)(void *, unsigned line, const char *text), void *arg)
{
	struct lint	l;

	memset(&l, 0, sizeof(l));
	l.report = report;
	l.arg = arg;
	l.idle = true;
	policy_free(policy_read(text, &l));
	return l.n;
}
