/* Names and groups of accounts: their forms. */
#include "acctcheck.h"

#include <string.h>

#include "name.h"
#include "nametype.h"

bool
acct_group_ok(const char *g)
{
	size_t n = strlen(g);

	return n > 0 && n <= 64 && strspn(g, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* What a certificate's CN may be: nameput.c refuses anything else there. */
static bool
is_cn(const char *s)
{
	size_t n;

	if (!name_is_clean(slice_str(s)))
		return false;
	n = name_length(s);
	return n > 0 && n <= 64;	/* ub-common-name, [RFC5280] A.1 */
}

/* One that can be issued: its parts are not too long either. */
static bool
is_dn(const char *s)
{
	struct err ignored = ERR_INIT;
	struct names n = { 0 };
	struct buf der = { 0 };
	bool ok = names_parse_text(&n, s, &ignored) == 0 && n.nrdn > 0 &&
	    names_put_dn(&n, &der, &ignored) == 0;

	names_free(&n);
	buf_free(&der);
	return ok;
}

static bool
is_dns(const char *s)
{
	return name_is_dns(s, false);
}

/* A UPN has the form of an address; [MS-ADTS] 5.1.1.1.1. */
static const struct {
	const char	*word;
	bool		(*ok)(const char *);
	const char	*form;
} names[ACCT_NAMES] = {
	[ACCT_CN] = { "cn", is_cn, "1 to 64 visible characters" },
	[ACCT_DNS] = { "dns", is_dns, "a host name such as pc1.example.org" },
	[ACCT_UPN] = { "upn", name_is_email, "of the form user@example.org, "
	    "in ASCII" },
	[ACCT_EMAIL] = { "email", name_is_email, "of the form "
	    "user@example.org, in ASCII" },
	[ACCT_DN] = { "dn", is_dn, "of the form CN=User,O=Example" },
	[ACCT_SID] = { "sid", name_is_sid, "of the form S-1-5-21-1-2-3-1104" },
};

const char *
acct_name_word(enum acct_name n)
{
	return names[n].word;
}

const char *
acct_name_form(enum acct_name n)
{
	return names[n].form;
}

bool
acct_name_ok(enum acct_name n, const char *s)
{
	return names[n].ok(s);
}
