/*
 * Domains in the policy: what Windows writes before a backslash, for auth.c and
 * agent.c.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "account.h"
#include "conf.h"
#include "policy.h"
#include "policy_int.h"

#define NETBIOS_MAX	15	/* [MS-ADTS] 6.1.1.2.1.1.1 nETBIOSName */

void
domain_read(cfg_t *cfg, struct domain *d)
{
	d->name = xstrdup(cfg_title(cfg));
	d->realm = read_text(cfg, "realm");
}

void
domain_free(struct domain *d)
{
	free(d->name);
	free(d->realm);
}

/* user@realm, of which the first n octets of typed are "DOMAIN". */
static int
canonical(const struct domain *d, const char *typed, size_t n, char out[129],
    struct err *err)
{
	struct buf	b = { 0 };
	int		rc;

	buf_printf(&b, "%s%s", d->realm, typed + n);
	rc = account_canonical(buf_str(&b), out, err);
	buf_free(&b);
	return rc;
}

void
lint_domain(const struct policy *p, size_t nth, struct lint *l)
{
	const struct domain	*d = &p->domains[nth];
	struct err		 ignored = ERR_INIT;
	char			 name[129];
	size_t			 i;

	lint_about(l, d->line, "domain", d->name);
	if (strlen(d->name) == 0 || strlen(d->name) > NETBIOS_MAX ||
	    strpbrk(d->name, "@\\") != NULL)
		lint_add(l, "name: is none of a domain before a backslash, "
		    "1..%d characters", NETBIOS_MAX);
	for (i = 0; i < nth; i++)
		if (strcasecmp(p->domains[i].name, d->name) == 0)
			lint_add(l, "name: stands twice");
	if (d->realm == NULL)
		lint_add(l, "realm: is missing");
	else if (strpbrk(d->realm, "@\\") != NULL ||
	    canonical(d, "\\x", 0, name, &ignored) == -1)
		lint_add(l, "realm: %.80s is in the name of no account",
		    d->realm);
}

int
policy_account(const struct policy *p, const char *typed, char out[129],
    struct err *err)
{
	size_t	i, n = strcspn(typed, "\\");

	for (i = 0; typed[n] != '\0' && i < p->ndomains; i++)
		if (strlen(p->domains[i].name) == n &&
		    strncasecmp(p->domains[i].name, typed, n) == 0)
			return canonical(&p->domains[i], typed, n, out, err);
	return account_canonical(typed, out, err);
}
