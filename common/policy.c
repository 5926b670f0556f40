/* A loaded policy: look-ups, CA certificates, and its end. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509v3.h>

#include "conf.h"
#include "constraint.h"
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
template_stamps_time(const struct template *t)
{
	return t->eku.n == 1 && strcmp(t->eku.v[0], "1.3.6.1.5.5.7.3.8") == 0;
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

static void
ca_free(struct policy_ca *ca)
{
	size_t	i;

	for (i = 0; i < ca->nuris; i++)
		free(ca->uris[i].uri);
	free(ca->uris);
	free(ca->name);
	strlist_free(&ca->cdp);
	strlist_free(&ca->cdp_delta);
	strlist_free(&ca->aia);
	strlist_free(&ca->ocsp);
	buf_free(&ca->cert);
	constraint_free(ca);
	policy_keys_free(ca);
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
	EVP_PKEY_free(t->pub);
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
	free(t->key_permissions);
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
	for (i = 0; i < p->ndomains; i++)
		domain_free(&p->domains[i]);
	free(p->domains);
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
