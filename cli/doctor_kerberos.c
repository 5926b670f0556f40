/*
 * doctor: log-on by Kerberos.  Policy, worker, keytab, nginx and its certificate
 * must fit each other, and each of them is somebody else's file.
 */
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "certfile.h"
#include "doctor.h"
#include "https.h"
#include "keytab.h"
#include "wconf.h"

#define CEP_PATH	"/ADPolicyProvider_CEP_Kerberos/service.svc/CEP"
#define GUIDE		"docs/operations.md, \"Logging on with Kerberos\""

/* The n-th address for it in the policy, or NULL. */
static const char *
address(const struct doctor *d, size_t n)
{
	const struct policy_ca *ca;
	size_t i, k;

	for (i = 0; i < d->policy->ncas; i++) {
		ca = &d->policy->cas[i];
		for (k = 0; k < ca->nuris; k++)
			if (ca->uris[k].method == AUTH_KERBEROS && n-- == 0)
				return ca->uris[k].uri;
	}
	return NULL;
}

/* Whoever is asked for a ticket must have somebody behind him who reads it. */
static void
both_sides(struct doctor *d, const char *path)
{
	bool offered, served = d->worker->kerberos != NULL;

	if (d->policy == NULL)
		return;
	offered = address(d, 0) != NULL;
	if (offered && !served)
		check_add(d->checks, CHECK_FAIL, "kerberos", path,
		    "give it one (" GUIDE "), or take the uri out of the "
		    "policy", "the policy has an address for Kerberos, the "
		    "worker no kerberos section");
	else if (!offered && served)
		check_add(d->checks, CHECK_WARN, "kerberos", path,
		    "a uri \"kerberos\" in the policy's ca",
		    "no client learns of it: the policy has no address for "
		    "Kerberos");
}

/* The worker's user is the owner of its socket. */
static void
owner(struct doctor *d, const struct wconf_kerberos *k)
{
	struct stat file, socket;

	if (stat(k->keytab, &file) != 0 ||
	    stat(d->worker->socket, &socket) != 0 ||
	    getxattr(k->keytab, "system.posix_acl_access", NULL, 0) > 0)
		return;
	if (file.st_uid != socket.st_uid || (file.st_mode & S_IRUSR) == 0)
		check_add(d->checks, CHECK_FAIL, "kerberos", k->keytab,
		    "chown it to the worker's user, mode 0400",
		    "the worker cannot read it: owner %u, mode %04o, and it "
		    "runs as %u", (unsigned)file.st_uid,
		    (unsigned)file.st_mode & 07777, (unsigned)socket.st_uid);
}

/* A worker that is started with such a key ends. */
static void
one_key(struct doctor *d, const char *path, const struct keytab_key *key)
{
	if (!keytab_is_http(key->principal))
		check_add(d->checks, CHECK_FAIL, "kerberos", path,
		    "keys of HTTP/ alone: whoever gets into a worker must not "
		    "get others'", "has the key of %.120s", key->principal);
	else if (!key->aes)
		check_add(d->checks, CHECK_FAIL, "kerberos", path,
		    "AES alone: a key that can be guessed makes tickets for "
		    "anybody; " GUIDE, "the key of %.80s is %s",
		    key->principal, key->enctype);
}

/* Realms are told apart by the case of letters, too; none named: all these. */
static void
one_realm(struct doctor *d, const struct wconf_kerberos *k,
    const struct keytab_key *key)
{
	const char *realm = strrchr(key->principal, '@');
	bool same = false;
	size_t i;

	if (realm == NULL || k->realms.n == 0 ||
	    strlist_has(&k->realms, ++realm))
		return;
	for (i = 0; i < k->realms.n && !same; i++)
		same = strcasecmp(k->realms.v[i], realm) == 0;
	check_add(d->checks, same ? CHECK_FAIL : CHECK_WARN, "kerberos",
	    d->worker_path, same ? "write it as the keytab does" : "unless "
	    "only members of other realms shall log on, add it there",
	    "%.80s, the realm of a key in the keytab, is not in \"realm\"",
	    realm);
}

/* Of HTTP/ and this host, in any realm: its newest version, or 0. */
static unsigned
newest(const struct keytab *t, const char *host)
{
	size_t i, n = strlen(host);
	unsigned version = 0;
	const char *p;

	for (i = 0; i < t->n; i++) {
		p = t->v[i].principal;
		if (keytab_is_http(p) &&
		    strncasecmp(p + 5, host, n) == 0 && p[5 + n] == '@' &&
		    t->v[i].version > version)
			version = t->v[i].version;
	}
	return version;
}

/* Clients ask for a ticket for the name in the address. */
static void
one_name(struct doctor *d, const char *path, const struct keytab *t,
    const char *uri)
{
	struct https_site site = { 0 };
	struct err err = ERR_INIT;
	const char *rest;
	unsigned version;

	if (https_split(uri, &site, &rest, &err) == 0) {
		version = newest(t, site.name);
		if (version > 0)
			check_add(d->checks, CHECK_OK, "kerberos", path, NULL,
			    "has HTTP/%.80s, version %u", site.name, version);
		else
			check_add(d->checks, CHECK_FAIL, "kerberos", path,
			    "no log-on there can be good: " GUIDE,
			    "has no key of HTTP/%.80s, the host in the "
			    "policy's address", site.name);
	}
	https_free(&site);
}

static void
keytab(struct doctor *d, const struct wconf_kerberos *k)
{
	struct keytab t = { 0 };
	struct err err = ERR_INIT;
	const char *uri, *path = k->keytab;
	bool seen = access(path, R_OK) == 0;
	size_t i;

	/* Whether the file is there has been said. */
	if (keytab_read(path, &t, &err) != 0)
		check_add(d->checks, seen ? CHECK_FAIL : CHECK_SKIP,
		    "kerberos", path, seen ? GUIDE : NULL, "%s", err.text);
	for (i = 0; i < t.n; i++)
		one_key(d, path, &t.v[i]);
	if (t.n > 0)
		one_realm(d, k, &t.v[0]);
	for (i = 0; t.n > 0 && d->policy != NULL &&
	    (uri = address(d, i)) != NULL; i++)
		one_name(d, path, &t, uri);
	keytab_free(&t);
}

/* Whose principals are accounts, with blanks between: as the worker has it. */
static void
realms(const struct wconf_kerberos *k, struct buf *out)
{
	struct keytab t = { 0 };
	struct err err = ERR_INIT;
	const char *at;
	size_t i;

	for (i = 0; i < k->realms.n; i++)
		buf_printf(out, "%s ", k->realms.v[i]);
	if (k->realms.n == 0)
		(void)keytab_read(k->keytab, &t, &err);
	for (i = 0; i < t.n; i++)
		if ((at = strrchr(t.v[i].principal, '@')) != NULL)
			buf_printf(out, "%s ", at + 1);
	keytab_free(&t);
}

/*
 * In a directory of Active Directory somebody can get a ticket in the name of
 * somebody else; the SID is his own.  [security] ESC9.
 */
static void
no_sids(struct doctor *d, const struct wconf_kerberos *k)
{
	struct err err = ERR_INIT;
	struct buf ours = { 0 };
	const char *param;
	PGresult *res;
	int i;

	realms(k, &ours);
	param = buf_str(&ours);
	res = cli_query(d->cli, "account_sids", &param, 1, &err);
	if (res == NULL)
		doctor_unknown(d, "kerberos", "accounts", NULL, &err);
	for (i = 0; res != NULL && i < PQntuples(res); i++)
		check_add(d->checks, CHECK_WARN, "kerberos",
		    PQgetvalue(res, i, 0), "account import, or account "
		    "change NAME --sid: whoever makes himself such a name in "
		    "the directory logs on by it", "%s accounts have no SID, "
		    "as others there have: %.80s", PQgetvalue(res, i, 1),
		    PQgetvalue(res, i, 2));
	PQclear(res);
	buf_free(&ours);
}

void
doctor_kerberos(struct doctor *d)
{
	const struct wconf_kerberos *k;

	if (d->worker == NULL)
		return;
	both_sides(d, d->worker_path);
	if ((k = d->worker->kerberos) == NULL)
		return;
	owner(d, k);
	keytab(d, k);
	no_sids(d, k);
	if (k->binding == BINDING_OFF)
		check_add(d->checks, CHECK_WARN, "kerberos", d->worker_path,
		    "channel-binding = \"require\"",
		    "channel-binding is off: who is made to log on elsewhere "
		    "can be passed on to here");
}

/* Is it the first certificate of one of the worker's files? */
static bool
is_named(const struct strlist *files, X509 *cert)
{
	bool same = false;
	size_t i;

	for (i = 0; i < files->n && !same; i++) {
		struct certs all = { 0 };
		struct err err = ERR_INIT;
		X509 *first = NULL;

		if (certs_read(&all, files->v[i], &err) == 0)
			first = certs_x509(&all, 0, &err);
		same = first != NULL && X509_cmp(first, cert) == 0;
		X509_free(first);
		certs_free(&all);
	}
	return same;
}

/* What clients bind to is what they were shown ([RFC5929] 4). */
static void
bound_to(struct doctor *d, const struct https_site *site)
{
	const struct wconf_kerberos *k =
	    d->worker == NULL ? NULL : d->worker->kerberos;
	struct err err = ERR_INIT;
	char where[300];
	long ignored;
	X509 *cert;

	if (k == NULL || k->binding == BINDING_OFF ||
	    (cert = https_certificate(site, &ignored, NULL, &err)) == NULL)
		return;
	snprintf(where, sizeof where, "%s:%s", site->name, site->port);
	if (is_named(&k->certificates, cert))
		check_add(d->checks, CHECK_OK, "kerberos", where, NULL,
		    "shows a certificate of the worker's kerberos section");
	else
		check_add(d->checks, CHECK_FAIL, "kerberos", where,
		    "each log-on there fails on channel binding: name the "
		    "file that nginx has as ssl_certificate, and reload "
		    "nginx; a balancer that ends TLS shows one of its own",
		    "shows a certificate that is in no file of the worker's "
		    "kerberos section");
	X509_free(cert);
}

/* Without a ticket; the body is not looked at. */
static void
challenge(struct doctor *d, const struct https_site *site, const char *path)
{
	struct https_answer a = { 0 };
	struct err err = ERR_INIT;
	struct buf url = { 0 };

	buf_printf(&url, "https://%s:%s%s", site->name, site->port, path);
	if (https_call(site, path, slice_str("<x/>"), &a, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "kerberos", buf_str(&url),
		    "is nginx up, and countersign-worker?", "%s", err.text);
	else if (a.status == 401 && strcmp(a.challenge, "Negotiate") == 0)
		check_add(d->checks, CHECK_OK, "kerberos", buf_str(&url),
		    NULL, "asks for a ticket");
	else
		check_add(d->checks, CHECK_FAIL, "kerberos", buf_str(&url),
		    a.status == 404 ? "nginx/countersign.conf.in has "
		    "locations for Kerberos; a worker there needs a kerberos "
		    "section" : "nobody but a worker may answer there",
		    "http status %d%s%s to who has no ticket", a.status,
		    a.challenge[0] == '\0' ? "" : ", ", a.challenge);
	buf_free(&a.body);
	buf_free(&url);
}

void
doctor_negotiate(struct doctor *d, const struct https_site *site,
    const char *path)
{
	bound_to(d, site);
	challenge(d, site, CEP_PATH);
	challenge(d, site, path);
}
