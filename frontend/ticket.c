/* Whose account a Kerberos ticket is for: between kerberos.c and serve.c. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hresult.h"
#include "ticket.h"

#define HOST	"host/"

void
ticket_free(struct ticket *t)
{
	free(t->principal);
	*t = (struct ticket){ .principal = NULL };
}

static bool
is_host(const char *principal)
{
	return strncmp(principal, HOST, strlen(HOST)) == 0;
}

/* "host/fqdn": whoever has that key is the computer with that name. */
static int
find_host(struct snapshot *snap, const char *principal, const char *realm,
    char **name, struct err *err)
{
	char	*fqdn = xstrndup(principal + strlen(HOST),
		    (size_t)(realm - principal) - strlen(HOST));
	int	 rc = snapshot_account_by(snap, MAP_SAN_DNS, fqdn, name, err);

	free(fqdn);
	return rc == -1 || *name != NULL ? rc : err_deny(err,
	    HR_ACCESS_DENIED, "principal %.100s: no account has this DNS name",
	    principal);
}

/* By the principal, whose realm begins at realm. */
static int
find_by_name(struct snapshot *snap, const char *principal, const char *realm,
    char **name, struct err *err)
{
	struct err	ignored = ERR_INIT;
	char		canonical[129];

	if (is_host(principal))
		return find_host(snap, principal, realm, name, err);
	if (strchr(principal, '/') != NULL ||
	    account_canonical(principal, canonical, &ignored) == -1)
		return err_deny(err, HR_ACCESS_DENIED, "principal %.100s: no "
		    "account can have this name", principal);
	*name = xstrdup(canonical);
	return 0;
}

static int
of_another(const struct ticket *t, struct err *err)
{
	return err_deny(err, HR_ACCESS_DENIED, "principal %.100s: the ticket "
	    "is of %.60s: log on by that name", t->principal, t->pac.sam);
}

/*
 * A name alone proves little: Active Directory gives a ticket for "evil" to the
 * computer EVIL$, which any user may make there, and to whom somebody has
 * written it as userPrincipalName.  The PAC says whose the ticket is.  [security]
 * ESC9.
 */
static int
check_name(const struct ticket *t, const char *realm, struct err *err)
{
	const char	*sam = t->pac.sam;
	size_t		 n = strlen(sam);

	if (is_host(t->principal) || n == 0 ||	/* see check_host */
	    (n == (size_t)(realm - t->principal) &&
	    strncasecmp(sam, t->principal, n) == 0))
		return 0;
	return of_another(t, err);
}

/*
 * Likewise: "host/web.x" is WEB$'s or, as FreeIPA may have it, that of a
 * service which is called so.
 */
static int
check_host(const struct ticket *t, const struct account *a, struct err *err)
{
	const char	*sam = t->pac.sam, *name = t->principal;
	size_t		 n = strlen(sam);

	if (n == 0 || (sam[n - 1] == '$' && a->dns != NULL &&
	    account_is_host(sam, a->dns)) || (strncasecmp(sam, name, n) == 0 &&
	    (name[n] == '@' || name[n] == '\0')))
		return 0;
	return of_another(t, err);
}

/* The account's name, or why it has none. */
static int
find(const struct ticket_rules *rules, struct snapshot *snap,
    const struct ticket *t, char **name, struct err *err)
{
	const char	*realm = strrchr(t->principal, '@');

	/* A backslash stands before what does not separate. */
	if (realm == NULL || strchr(t->principal, '\\') != NULL)
		return err_deny(err, HR_ACCESS_DENIED, "principal %.100s: no "
		    "account can have this name", t->principal);
	if (!strlist_has(rules->realms, realm + 1))
		return err_deny(err, HR_ACCESS_DENIED,
		    "principal %.100s: not of a realm of this service",
		    t->principal);
	if (t->pac.sid[0] != '\0' &&
	    (snapshot_account_by(snap, MAP_SID, t->pac.sid, name, err) == -1 ||
	    *name != NULL))
		return *name != NULL ? 0 : -1;
	return check_name(t, realm, err) == -1 ? -1 :
	    find_by_name(snap, t->principal, realm, name, err);
}

/* Is it good for whom the ticket is of? */
static int
check_account(const struct ticket_rules *rules, const struct ticket *t,
    const struct account *a, struct err *err)
{
	if (is_host(t->principal) && !a->machine)
		return err_deny(err, HR_ACCESS_DENIED, "principal %.100s: "
		    "account %.100s is no machine", t->principal, a->name);
	if (a->sid == NULL && rules->need_sid)
		return err_deny(err, HR_ACCESS_DENIED, "principal %.60s: "
		    "account %.60s has no SID, which worker.conf requires",
		    t->principal, a->name);
	if (a->sid != NULL && strcmp(t->pac.sid, a->sid) == 0)
		return 0;
	/* Who asks for a ticket without a PAC gets one. */
	if (a->sid != NULL && t->pac.sid[0] == '\0')
		return err_deny(err, HR_ACCESS_DENIED, "principal %.60s: the "
		    "ticket tells no SID, and account %.60s has one",
		    t->principal, a->name);
	/* Somebody else, to whom its name was written, is told who he is. */
	if (is_host(t->principal) && check_host(t, a, err) == -1)
		return -1;
	if (a->sid == NULL)
		return 0;
	return err_deny(err, HR_ACCESS_DENIED, "principal %.60s: its SID is "
	    "%.60s, account %.60s's is another: is it another one of the same "
	    "name?", t->principal, t->pac.sid, a->name);
}

/* One that is written twice, or in other letters, is one. */
static bool
are_several(const struct strlist *realms)
{
	size_t	i;

	for (i = 1; i < realms->n; i++)
		if (strcasecmp(realms->v[0], realms->v[i]) != 0)
			return true;
	return false;
}

/*
 * Of several realms, each says only who is who in its own: a KDC of one could
 * put the SID or DNS name of somebody of another into a ticket.  Whose an
 * account is that is called after none of them, nobody knows.
 */
static int
check_realm(const struct ticket_rules *rules, const struct ticket *t,
    const struct account *a, struct err *err)
{
	const char	*realm = strrchr(t->principal, '@') + 1;
	const char	*of = strchr(a->name, '@');

	if (!are_several(rules->realms) ||
	    (of != NULL && strcasecmp(of + 1, realm) == 0))
		return 0;
	return err_deny(err, HR_ACCESS_DENIED, "principal %.100s: account "
	    "%.60s is not called NAME@%.60s, as it must be where there are "
	    "several realms", t->principal, a->name, realm);
}

/* Who may join computers could join one with the name that a secret is for. */
static int
check_secret(const struct ticket *t, const struct account *a, struct err *err)
{
	return a->one_time == NULL ? 0 : err_deny(err, HR_ACCESS_DENIED,
	    "principal %.100s: account %.100s is for a one-time secret",
	    t->principal, a->name);
}

/*
 * A service that may log on here as others (constrained delegation) would be
 * all of them: whoever makes a directory let it needs nobody's password.
 */
static int
check_delegated(const struct ticket *t, struct err *err)
{
	return !t->delegated ? 0 : err_deny(err, HR_ACCESS_DENIED,
	    "principal %.100s: the ticket is a service's, by constrained "
	    "delegation: only who somebody is may log on as him",
	    t->principal);
}

int
ticket_account(const struct ticket_rules *rules, struct snapshot *snap,
    const struct ticket *t, const struct account **out, struct err *err)
{
	char	*name = NULL;
	int	 rc = find(rules, snap, t, &name, err);

	if (rc == 0)
		rc = snapshot_account(snap, name, out, err);
	if (rc == 0 && *out == NULL)
		rc = err_deny(err, HR_ACCESS_DENIED, "principal %.100s: there "
		    "is no account %.100s", t->principal, name);
	free(name);
	if (rc == -1 || check_delegated(t, err) == -1 ||
	    check_secret(t, *out, err) == -1 ||
	    check_realm(rules, t, *out, err) == -1)
		return -1;
	return check_account(rules, t, *out, err);
}
