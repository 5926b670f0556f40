/*
 * Agent rules and key archival in the policy: what stands in the file, and
 * what the linter says of it.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "conf.h"
#include "policy.h"
#include "policy_int.h"
#include "x509.h"

#define AGENT_EKU	"1.3.6.1.4.1.311.20.2.1"
#define RECOVERY_EKU	"1.3.6.1.4.1.311.21.6"
#define RECOVERY_RSA_MIN 2048

void
agent_rule_read(cfg_t *cfg, struct agent_rule *r, struct lint *l)
{
	r->name = xstrdup(cfg_title(cfg));
	read_list(cfg, "agents", &r->agents, l);
	read_list(cfg, "templates", &r->templates, l);
	read_list(cfg, "targets", &r->targets, l);
	read_list(cfg, "deny-targets", &r->deny_targets, l);
}

void
agent_rule_free(struct agent_rule *r)
{
	free(r->name);
	strlist_free(&r->agents);
	strlist_free(&r->templates);
	strlist_free(&r->targets);
	strlist_free(&r->deny_targets);
}

static void
lint_members(struct lint *l, const char *opt, const struct strlist *list,
    bool must)
{
	size_t	i;

	if (list->n == 0 && must)
		lint_add(l, "%s: is missing", opt);
	for (i = 0; i < list->n; i++)
		if (strspn(list->v[i], "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@$-") !=
		    strlen(list->v[i]))
			lint_add(l, "%s: %s is the name of no group and no "
			    "account", opt, list->v[i]);
}

/*
 * The names in the certificate are the target's account's; if the request
 * could bring its own, the rule would say nothing about who it is for.
 */
static void
lint_agent_template(const struct policy *p, const char *name,
    struct lint *l)
{
	const struct template	*t = policy_template_by_name(p, name);

	if (t == NULL || strcmp(t->cn, name) != 0)
		lint_add(l, "templates: %s is not in this file", name);
	else if (t->ra_signatures == 0)
		lint_add(l, "templates: %s has no ra-signatures, so it is not "
		    "for agents", name);
	else if (!strlist_has(&t->ra_eku, AGENT_EKU))
		lint_add(l, "templates: %s does not ask for enrollment-agent "
		    "in ra-eku", name);
	else if (t->names_from_request)
		lint_add(l, "templates: %s takes names from the request, not "
		    "from the target's account", name);
	else if (strlist_has(&t->eku, AGENT_EKU))
		lint_add(l, "templates: %s makes agents; nobody becomes one "
		    "on behalf (esc3)", name);
}

void
lint_agent_rule(const struct policy *p, size_t nth, struct lint *l)
{
	const struct agent_rule	*r = &p->agents[nth];
	size_t			 i;

	lint_about(l, r->line, "agent-rule", r->name);
	for (i = 0; i < nth; i++)
		if (strcmp(p->agents[i].name, r->name) == 0)
			lint_add(l, "name: stands twice");
	lint_members(l, "agents", &r->agents, true);
	lint_members(l, "targets", &r->targets, true);
	lint_members(l, "deny-targets", &r->deny_targets, true);
	if (r->templates.n == 0)
		lint_add(l, "templates: is missing");
	for (i = 0; i < r->templates.n; i++)
		lint_agent_template(p, r->templates.v[i], l);
}

/* ESC3: an agent's certificate is worth what some rule makes of it. */
static bool
has_one_of(const struct strlist *list, const struct strlist *of)
{
	size_t	i;

	for (i = 0; i < of->n; i++)
		if (strlist_has(list, of->v[i]))
			return true;
	return false;
}

static void
lint_makes_agents(const struct policy *p, const struct template *t,
    struct lint *l)
{
	size_t	i;

	if (!strlist_has(&t->eku, AGENT_EKU))
		return;
	if (t->names_from_request)
		lint_add(l, "eku: an enrollment agent's names come from its "
		    "account (esc3)");
	for (i = 0; i < p->nagents; i++)
		if (has_one_of(&p->agents[i].agents, &t->enroll) ||
		    has_one_of(&p->agents[i].agents, &t->autoenroll))
			return;
	lint_add(l, "eku: enrollment agent needs an agent rule for one of the "
	    "groups that may enroll (esc3)");
}

void
lint_signatures(const struct policy *p, const struct template *t,
    struct lint *l)
{
	lint_makes_agents(p, t, l);
	if (t->ra_signatures == 0 && (t->ra_eku.n != 0 ||
	    t->ra_policies.n != 0))
		lint_add(l, "ra-eku, ra-policies: need ra-signatures");
	if (t->ra_signatures != 0 && t->ra_eku.n == 0)
		lint_add(l, "ra-signatures: without ra-eku any certificate "
		    "could sign (esc3)");
	/* Clients that renew by themselves have nobody to sign. */
	if (t->ra_signatures != 0 && t->autoenroll.n != 0)
		lint_add(l, "ra-signatures: cannot be with autoenroll");
}

/* Decrypting is all that a recovery agent's key is for. */
static void
lint_agent_cert(X509 *x, const char *name, struct lint *l)
{
	EVP_PKEY *key = X509_get0_pubkey(x);

	if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
	    EVP_PKEY_get_bits(key) < RECOVERY_RSA_MIN)
		lint_add(l, "recovery-agent %.40s: key is not rsa of %d bits "
		    "or more", name, RECOVERY_RSA_MIN);
	if (!x509_purpose(x, RECOVERY_EKU) || X509_check_ca(x) != 0)
		lint_add(l, "recovery-agent %.40s: certificate lacks eku "
		    RECOVERY_EKU " or is a ca's", name);
}

void
recovery_read(cfg_t *cfg, struct policy_ca *ca, struct lint *l)
{
	struct buf	*der;
	unsigned	 i;
	cfg_t		*sec;
	X509		*x;

	for (i = 0; i < cfg_size(cfg, "recovery-agent"); i++) {
		sec = cfg_getnsec(cfg, "recovery-agent", i);
		ca->recovery = xreallocarray(ca->recovery, ca->nrecovery + 1,
		    sizeof(*ca->recovery));
		der = &ca->recovery[ca->nrecovery++];
		memset(der, 0, sizeof(*der));
		read_certificate(sec, der, l);
		x = der->n == 0 ? NULL : x509_read(buf_slice(der));
		if (x == NULL)
			lint_add(l, "recovery-agent %.40s: is no certificate",
			    cfg_title(sec));
		else
			lint_agent_cert(x, cfg_title(sec), l);
		X509_free(x);
		ERR_clear_error();
	}
}

void
lint_archival(const struct policy *p, const struct template *t,
    struct lint *l)
{
	const struct policy_ca	*ca;
	size_t			 i;

	if (!t->archive_key)
		return;
	for (i = 0; i < t->cas.n; i++) {
		ca = policy_ca_find(p, t->cas.v[i]);
		if (ca != NULL && ca->nrecovery == 0)
			lint_add(l, "archive-key: ca %s has no recovery-agent",
			    ca->name);
	}
	/* Whoever opens the archive could sign as the owner. */
	if (t->key_usage & USAGE_NON_REPUDIATION)
		lint_add(l, "archive-key: contradicts key-usage "
		    "non-repudiation");
	/* What waits outlives the key that opens it. */
	if (t->approval)
		lint_add(l, "archive-key: cannot be with approval");
	if (t->schema < 2)
		lint_add(l, "archive-key: needs schema 2 or above");
}
