/* A loaded policy: look-ups, CA certificates, and its end. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "conf.h"
#include "policy.h"
#include "policy_int.h"

/* EKUs that log somebody on; anyExtendedKeyUsage does too but never loads. */
static const char *const authenticating[] = {
	"1.3.6.1.5.5.7.3.2",		/* client authentication */
	"1.3.6.1.5.2.3.4",		/* PKINIT client */
	"1.3.6.1.4.1.311.20.2.2",	/* smart card logon */
	"2.5.29.37.0",			/* any */
	"1.3.6.1.4.1.311.10.12.1"	/* Microsoft's any */
};

bool
strlist_has(const struct strlist *l, const char *s)
{
	size_t	i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->v[i], s) == 0)
			return true;
	return false;
}

const char *
auth_method_name(enum auth_method method)
{
	switch (method) {
	case AUTH_ANONYMOUS:
		return "anonymous";
	case AUTH_KERBEROS:
		return "kerberos";
	case AUTH_PASSWORD:
		return "password";
	case AUTH_CERTIFICATE:
		return "certificate";
	case AUTH_OPERATOR:
		return "operator";
	}
	return "unknown";
}

const struct policy_ca *
policy_ca_find(const struct policy *p, const char *name)
{
	size_t	i;

	for (i = 0; i < p->ncas; i++)
		if (strcmp(p->cas[i].name, name) == 0)
			return &p->cas[i];
	return NULL;
}

/* AD CS compares template names without regard to case. */
const struct template *
policy_template_by_name(const struct policy *p, const char *cn)
{
	size_t	i;

	for (i = 0; i < p->ntemplates; i++)
		if (strcasecmp(p->templates[i].cn, cn) == 0)
			return &p->templates[i];
	return NULL;
}

const struct template *
policy_template_by_oid(const struct policy *p, const char *dotted)
{
	size_t	i;

	for (i = 0; i < p->ntemplates; i++)
		if (strcmp(p->templates[i].oid, dotted) == 0)
			return &p->templates[i];
	return NULL;
}

bool
template_offered_by(const struct template *t, const char *ca)
{
	return strlist_has(&t->cas, ca);
}

bool
template_authenticates(const struct template *t)
{
	size_t	i;

	for (i = 0; i < sizeof(authenticating) / sizeof(*authenticating); i++)
		if (strlist_has(&t->eku, authenticating[i]))
			return true;
	return t->eku.n == 0;	/* no EKU is every EKU */
}

unsigned
template_key_usage(const struct template *t, enum key_kind kind)
{
	if (kind == KEY_RSA)
		return t->key_usage & ~(unsigned)(USAGE_KEY_AGREEMENT |
		    USAGE_ENCIPHER_ONLY | USAGE_DECIPHER_ONLY);
	return t->key_usage &
	    ~(unsigned)(USAGE_KEY_ENCIPHERMENT | USAGE_DATA_ENCIPHERMENT);
}

/* Seconds since 1970 of an ASN.1 time; -1 when it is none. */
static int
unix_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm	 tm;
	time_t		 at;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	at = timegm(&tm);
	if (at == (time_t)-1)
		return -1;
	*out = at;
	return 0;
}

/* The certificate is an operator's, not a client's: OpenSSL may read it. */
static int
ca_cert_end(const char *name, struct slice cert, int64_t *not_after,
    struct err *err)
{
	const unsigned char	*p = cert.p;
	X509			*x = NULL;
	int			 rc = -1;

	if (cert.n == 0 || cert.n > 64 * 1024)
		return err_bad(err, 0, "ca %s: certificate of %zu bytes", name,
		    cert.n);
	x = d2i_X509(NULL, &p, (long)cert.n);
	if (x == NULL || p != cert.p + cert.n) {
		err_openssl(err, "ca %s: certificate does not parse", name);
		goto out;
	}
	/* [RFC5280] 4.2.1.9: only then may it sign certificates. */
	if (X509_check_ca(x) != 1) {
		err_bad(err, 0, "ca %s: certificate is no ca certificate",
		    name);
		goto out;
	}
	if (unix_time(X509_get0_notAfter(x), not_after) == -1) {
		err_bad(err, 0, "ca %s: notAfter of the certificate is no time",
		    name);
		goto out;
	}
	rc = 0;
out:
	X509_free(x);
	return rc;
}

int
policy_attach_ca(struct policy *p, const char *name, struct slice cert,
    struct err *err)
{
	const struct template	*t;
	struct policy_ca	*ca = NULL;
	int64_t			 from, not_after;
	size_t			 i;

	for (i = 0; i < p->ncas; i++)
		if (strcmp(p->cas[i].name, name) == 0)
			ca = &p->cas[i];
	if (ca == NULL)
		return err_bad(err, 0, "ca %s: not in the policy", name);
	if (ca->cert.n != 0)
		return err_bad(err, 0, "ca %s: has a certificate already",
		    name);
	if (ca_cert_end(name, cert, &not_after, err) == -1)
		return -1;
	from = p->published != 0 ? p->published : (int64_t)time(NULL);
	for (i = 0; i < p->ntemplates; i++) {
		t = &p->templates[i];
		if (template_offered_by(t, name) &&
		    t->validity > not_after - from)
			return err_bad(err, 0, "line %u: template %s: validity "
			    "of %lld days is beyond the certificate of ca %s "
			    "(%lld days left)", t->line, t->cn,
			    (long long)(t->validity / 86400), name,
			    (long long)((not_after - from) / 86400));
	}
	if (policy_trust(p, cert, name, err) == -1)
		return -1;
	buf_add(&ca->cert, cert.p, cert.n);
	ca->not_after = not_after;
	return 0;
}

int
policy_ready(const struct policy *p, struct err *err)
{
	size_t	i;

	for (i = 0; i < p->ncas; i++)
		if (p->cas[i].cert.n == 0)
			return err_set(err, ERR_UNAVAILABLE,
			    "ca %s: of the policy, has no certificate",
			    p->cas[i].name);
	return 0;
}

static void
ca_free(struct policy_ca *ca)
{
	size_t	i;

	for (i = 0; i < ca->nuris; i++)
		free(ca->uris[i].uri);
	free(ca->uris);
	free(ca->name);
	strlist_free(&ca->cdp);
	strlist_free(&ca->aia);
	strlist_free(&ca->ocsp);
	buf_free(&ca->cert);
	for (i = 0; i < ca->nrecovery; i++)
		buf_free(&ca->recovery[i]);
	free(ca->recovery);
}

static void
rule_free(struct name_rule *r)
{
	free(r->name);
	strlist_free(&r->groups);
	strlist_free(&r->dns);
	strlist_free(&r->email);
	strlist_free(&r->upn);
	strlist_free(&r->ip);
	strlist_free(&r->uri);
	strlist_free(&r->rdn);
	strlist_free(&r->cn);
}

static void
trusted_free(struct trusted_ca *t)
{
	free(t->name);
	buf_free(&t->cert);
	strlist_free(&t->groups);
}

static void
template_free(struct template *t)
{
	free(t->cn);
	free(t->display_name);
	free(t->oid);
	buf_free(&t->oid_der);
	free(t->advertise);
	free(t->hash);
	strlist_free(&t->cas);
	strlist_free(&t->enroll);
	strlist_free(&t->autoenroll);
	strlist_free(&t->name_rules);
	strlist_free(&t->providers);
	strlist_free(&t->eku);
	strlist_free(&t->policies);
	strlist_free(&t->ra_eku);
	strlist_free(&t->ra_policies);
	strlist_free(&t->approval_groups);
	strlist_free(&t->approvers);
	strlist_free(&t->supersedes);
	strlist_free(&t->overrides);
}

void
policy_free(struct policy *p)
{
	size_t	i;

	if (p == NULL)
		return;
	for (i = 0; i < p->ncas; i++)
		ca_free(&p->cas[i]);
	for (i = 0; i < p->nrules; i++)
		rule_free(&p->rules[i]);
	for (i = 0; i < p->nagents; i++)
		agent_rule_free(&p->agents[i]);
	free(p->agents);
	for (i = 0; i < p->ntemplates; i++)
		template_free(&p->templates[i]);
	for (i = 0; i < p->ntrusted; i++)
		trusted_free(&p->trusted[i]);
	X509_STORE_free(p->trust);
	free(p->trusted);
	free(p->cas);
	free(p->rules);
	free(p->templates);
	free(p->friendly_name);
	buf_free(&p->text);
	free(p);
}
