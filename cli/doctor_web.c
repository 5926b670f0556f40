/*
 * doctor: what clients meet, the web server, the workers behind it, an
 * enrollment, revocation lists.
 */
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "https.h"
#include "keymake.h"
#include "log.h"
#include "onetime.h"
#include "secret.h"
#include "soapcall.h"
#include "x509.h"

#define STATUS_TRIES	12	/* each may be another process */
#define PIDS_MAX	64
#define CEP_PATH	"/ADPolicyProvider_CEP_UsernamePassword/service.svc/CEP"
#define PASSWORD_MAX	256
#define LIST_BEGIN	4096	/* enough to tell two lists apart */

/* The root above this key; a key that the database lacks has none. */
static int
trust_root(struct doctor *d, struct https_site *site, const char *key,
    struct err *err)
{
	struct certs chain = { 0 };
	X509 *root;
	int rc = cli_chain(d->cli, key, &chain, err);

	if (rc == 0 && chain.n > 0) {
		root = certs_x509(&chain, chain.n - 1, err);
		rc = root != NULL &&
		    X509_STORE_add_cert(site->trust, root) == 1 ? 0 :
		    err_openssl(err, "root certificate");
		X509_free(root);
	}
	certs_free(&chain);
	return rc;
}

/*
 * Roots alone, of all keys: a server must send what is between.  And the
 * system's, read once: for each connection they would take longer than it.
 */
static int
trust_roots(struct doctor *d, struct https_site *site, struct err *err)
{
	const struct policy_ca *ca;
	size_t i, k;
	int rc = 0;

	if ((site->trust = X509_STORE_new()) == NULL ||
	    X509_STORE_set_default_paths(site->trust) != 1)
		return err_openssl(err, "store");
	for (i = 0; rc == 0 && i < d->policy->ncas; i++) {
		ca = &d->policy->cas[i];
		for (k = 0; rc == 0 && k < ca->nkeys; k++)
			rc = trust_root(d, site, ca->keys[k].name, err);
	}
	return rc;
}

/* "host:port" of --connect, as if the name led there. */
static int
connect_to(struct doctor *d, struct https_site *site, struct err *err)
{
	struct https_site at = { 0 };
	const char *rest;

	if (!args_has(d->args, "connect"))
		return 0;
	if (https_split(args_get(d->args, "connect"), &at, &rest, err) != 0 ||
	    *rest != '\0') {
		https_free(&at);
		return err_set(err, ERR_MALFORMED, "--connect: not HOST:PORT");
	}
	site->at_host = at.name;
	site->at_port = at.port;
	return 0;
}

/* nginx verifies certificates of these alone, and clients offer no others. */
static void
asks_for(struct doctor *d, const char *where, const char *ca,
    const struct buf *cert, const STACK_OF(X509_NAME) *asked)
{
	X509 *x = x509_read(buf_slice(cert));
	int i, n = sk_X509_NAME_num(asked);

	for (i = 0; x != NULL && i < n; i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(asked, i),
		    X509_get_subject_name(x)) == 0)
			break;
	if (x != NULL && i == n)
		check_add(d->checks, CHECK_FAIL, "web", where,
		    "countersign ca site --client-cas makes the file for "
		    "ssl_client_certificate anew; then reload nginx",
		    "asks for no certificate of %s: who has one cannot log on",
		    ca);
	X509_free(x);
}

static void
client_cas(struct doctor *d, const char *where,
    const STACK_OF(X509_NAME) *asked)
{
	const struct policy *p = d->policy;
	size_t i, k;

	if (asked == NULL || sk_X509_NAME_num(asked) == 0) {
		check_add(d->checks, CHECK_WARN, "web", where, "is this the "
		    "server with ssl_verify_client, as countersign ca site "
		    "writes it?", "names no CA whose certificates log on");
		return;
	}
	for (i = 0; i < p->ncas; i++)
		for (k = 0; k < p->cas[i].nkeys; k++)
			if (p->cas[i].keys[k].not_after > time(NULL))
				asks_for(d, where, p->cas[i].keys[k].name,
				    &p->cas[i].keys[k].cert, asked);
	for (i = 0; i < p->ntrusted; i++)
		if (p->trusted[i].map != 0)
			asks_for(d, where, p->trusted[i].name,
			    &p->trusted[i].cert, asked);
}

/* 0 when clients would trust it.  certs: they log on with certificates. */
static int
server_certificate(struct doctor *d, const struct https_site *site,
    bool certs)
{
	STACK_OF(X509_NAME) *asked;
	struct err err = ERR_INIT;
	char where[300];
	long verify = X509_V_OK;
	X509 *cert = https_certificate(site, &verify, &asked, &err);

	snprintf(where, sizeof where, "%s:%s", site->name, site->port);
	if (cert == NULL) {
		check_add(d->checks, CHECK_FAIL, "web", where, "is nginx up, "
		    "and does the name lead to it? --connect goes elsewhere",
		    "%s", err.text);
		return -1;
	}
	if (verify != X509_V_OK)
		check_add(d->checks, CHECK_FAIL, "web", where,
		    "clients refuse it: a certificate for this name, with the "
		    "chain behind it in ssl_certificate", "certificate: %s",
		    X509_verify_cert_error_string(verify));
	else
		check_add(d->checks, CHECK_OK, "web", where, NULL,
		    "name and chain are good");
	doctor_expiry(d, where, cert_unix(X509_get0_notAfter(cert)),
	    "renew the web server's certificate and reload nginx");
	if (certs)
		client_cas(d, where, asked);
	sk_X509_NAME_pop_free(asked, X509_NAME_free);
	X509_free(cert);
	return verify == X509_V_OK ? 0 : -1;
}

/* The value of a member of one of our own JSON lines; NULL without it. */
static const char *
member(const char *json, const char *name, char *out, size_t max)
{
	char key[32];
	const char *p;
	size_t n = 0;
	bool text;

	snprintf(key, sizeof key, "\"%s\":", name);
	if ((p = strstr(json, key)) == NULL)
		return NULL;
	p += strlen(key);
	text = *p == '"';
	for (p += text; *p != '\0' && n + 1 < max; p++) {
		if (text ? *p == '"' : strchr(",}", *p) != NULL)
			break;
		if (text && *p == '\\' && p[1] != '\0')
			p++;
		out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}

/* The policy in a line of status, or why there is none. */
static void
compare(struct doctor *d, const char *object, const char *json)
{
	char version[24], policy[65], why[256];
	uint8_t hash[32];

	if (member(json, "policy", policy, sizeof policy) != NULL &&
	    hex_decode(policy, hash, sizeof hash) == 0 &&
	    member(json, "version", version, sizeof version) != NULL)
		doctor_compare(d, object, strtoull(version, NULL, 10), hash);
	else
		check_add(d->checks, CHECK_FAIL, "policy", object,
		    "its database line, key, or a signer: its log says more",
		    "%s", member(json, "error", why, sizeof why) != NULL ?
		    why : "no policy");
}

/*
 * Its own half of the line, then what a signer told it.  Between question and
 * answer may lie the seconds for which it waits for signers.
 */
static void
worker(struct doctor *d, const char *pid, char *json, int64_t asked)
{
	char object[64], value[32];
	char *signer = strstr(json, "\"signer\":{");
	int64_t now = unix_usec() / 1000, theirs;

	snprintf(object, sizeof object, "worker %.16s", pid);
	if (member(json, "now", value, sizeof value) != NULL) {
		theirs = strtoll(value, NULL, 10);
		doctor_clock(d, object, theirs < asked ? theirs - asked :
		    theirs > now ? theirs - now : 0);
	}
	if (signer != NULL)
		*signer++ = '\0';
	compare(d, object, json);
	snprintf(object, sizeof object, "signer by worker %.16s", pid);
	compare(d, object, signer != NULL ? signer : "");
}

/*
 * Away is a failure; any other answer is nginx's to a host not its own: does
 * a worker answer at an address for everybody?
 */
static void
no_status(struct doctor *d, const struct https_site *site, int status,
    struct err *err)
{
	struct https_answer a = { 0 };

	if (err->kind == ERR_NONE && status != 503 && status != 502 &&
	    https_call(site, CEP_PATH, slice_of(NULL, 0), &a, err) == 0)
		status = a.status;
	buf_free(&a.body);
	if (err->kind != ERR_NONE || status == 503 || status == 502)
		check_add(d->checks, CHECK_FAIL, "worker", "status",
		    "start countersign-worker; its log says why it ended, or "
		    "that nginx's user is none of its peers",
		    "%s", err->kind != ERR_NONE ? err->text :
		    "no worker answers nginx");
	else
		check_add(d->checks, CHECK_SKIP, "worker", "status",
		    "run doctor there, or with --connect localhost:443",
		    "the web server shows it to its own host only");
}

/* Which process answers is chance: ask some times. */
static void
workers(struct doctor *d, const struct https_site *site)
{
	char pid[PIDS_MAX][16];
	size_t i, k, n = 0;

	for (i = 0; i < STATUS_TRIES; i++) {
		struct https_answer a = { 0 };
		struct err err = ERR_INIT;
		int64_t asked = unix_usec() / 1000;

		if (https_call(site, "/status", slice_of(NULL, 0), &a,
		    &err) != 0 || a.status != 200 || member(buf_str(&a.body),
		    "pid", pid[n], sizeof pid[n]) == NULL) {
			no_status(d, site, a.status, &err);
			buf_free(&a.body);
			return;
		}
		for (k = 0; k < n && strcmp(pid[k], pid[n]) != 0; k++)
			;
		if (k == n)
			worker(d, pid[n++], buf_str(&a.body), asked);
		buf_free(&a.body);
	}
	check_add(d->checks, CHECK_OK, "worker", "status", NULL,
	    "%zu processes seen", n);
}

/* Does the certificate hold the key that was asked with? */
static int
check_issued(const struct buf *der, EVP_PKEY *key, struct err *err)
{
	X509 *x = x509_read(buf_slice(der));
	int rc = x != NULL && EVP_PKEY_eq(X509_get0_pubkey(x), key) == 1 ? 0 :
	    -1;

	if (rc == -1)
		err_set(err, ERR_DENIED,
		    "the certificate is not for the key asked with");
	X509_free(x);
	return rc;
}

/* Whose password, and what is enrolled for with it, or NULL. */
struct logon {
	const char	*user, *tmpl;
	struct buf	 password;
};

static int
log_on(struct doctor *d, struct logon *l, struct err *err)
{
	if (args_has(d->args, "probe")) {
		l->user = PROBE_MACHINE;
		l->tmpl = PROBE_TEMPLATE;
		return onetime_probe(d->cli, d->policy, &l->password, err);
	}
	l->user = args_get(d->args, "user");
	l->tmpl = args_get(d->args, "template");
	return secret_read(args_get(d->args, "password-file"),
	    PASSWORD_MAX + 2, true, &l->password, err);
}

/* With a key of its own, thrown away: only the answer counts. */
static int
enroll_as(struct doctor *d, struct soap_call *c, const struct template *t,
    struct err *err)
{
	struct buf csr = { 0 }, cert = { 0 };
	EVP_PKEY *key = keymake(t, err);
	int rc = -1;

	if (key != NULL && keymake_csr(key, args_get(d->args, "name"), &csr,
	    err) == 0 && soap_enroll(c, buf_slice(&csr), t->cn, &cert,
	    err) == 0)
		rc = check_issued(&cert, key, err);
	EVP_PKEY_free(key);
	buf_free(&csr);
	buf_free(&cert);
	return rc;
}

/* The CES address for passwords of a CA that offers the template. */
static const char *
ces_url(const struct doctor *d, const struct template *t)
{
	const struct policy_ca *ca = policy_ca_find(d->policy, t->cas.v[0]);
	size_t i;

	for (i = 0; ca != NULL && i < ca->nuris; i++)
		if (ca->uris[i].method == AUTH_PASSWORD &&
		    !ca->uris[i].renewal_only)
			return ca->uris[i].uri;
	return NULL;
}

static void
enroll(struct doctor *d, struct soap_call *c, const char *name)
{
	const struct template *t = policy_template_by_name(d->policy, name);
	struct https_site ignored = { 0 };
	struct err err = ERR_INIT;

	c->url = t == NULL ? NULL : ces_url(d, t);
	if (c->url == NULL)
		err_set(&err, ERR_DENIED, "no such template with an address "
		    "for passwords");
	else if (https_split(c->url, &ignored, &c->path, &err) == 0)
		enroll_as(d, c, t, &err);
	https_free(&ignored);
	if (err.kind == ERR_NONE)
		check_add(d->checks, CHECK_OK, "enrollment", name, NULL,
		    "a certificate for %s was issued", c->user);
	else
		check_add(d->checks, CHECK_FAIL, "enrollment", name,
		    "countersign explain --account ... --csr ... and "
		    "docs/errors.md", "%s", err.text);
}

static void
client(struct doctor *d, const struct https_site *site)
{
	struct soap_call c = { .site = site, .path = CEP_PATH };
	struct logon l = { 0 };
	struct err err = ERR_INIT;
	struct buf url = { 0 };
	size_t n = 0;

	buf_printf(&url, "https://%s:%s" CEP_PATH, site->name, site->port);
	c.url = buf_str(&url);
	if (log_on(d, &l, &err) == 0) {
		c.user = l.user;
		c.password = buf_slice(&l.password);
		soap_policies(&c, &n, &err);
	}
	if (err.kind != ERR_NONE)
		check_add(d->checks, CHECK_FAIL, "client", l.user,
		    "docs/errors.md has what each error means; the template "
		    "Probe is as \"countersign init\" writes it", "%s",
		    err.text);
	else
		check_add(d->checks, n == 0 ? CHECK_WARN : CHECK_OK, "client",
		    l.user, n == 0 ? "countersign explain --account shows which "
		    "rule says no" : NULL, "is offered %zu templates", n);
	if (err.kind == ERR_NONE && l.tmpl != NULL)
		enroll(d, &c, l.tmpl);
	buf_wipe(&l.password);
	buf_free(&url);
}

/* What says 500 is a worker, but only a fault says that it has read us. */
static bool
is_fault(struct https_answer *a)
{
	return a->status == 500 && strstr(buf_str(&a->body), "Fault>") != NULL;
}

/*
 * A worker calls what is no message malformed, and nginx knows nothing of an
 * address for which it has no location.  Whether a worker is there at all has
 * been said.
 */
static void
location(struct doctor *d, const struct https_site *site, const char *path)
{
	struct https_answer a = { 0 };
	struct err err = ERR_INIT;
	struct buf url = { 0 };

	buf_printf(&url, "https://%s:%s%s", site->name, site->port, path);
	if (https_call(site, path, slice_str("<x/>"), &a, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "address", buf_str(&url),
		    "is nginx up, and countersign-worker?", "%s", err.text);
	else if (is_fault(&a))
		check_add(d->checks, CHECK_OK, "address", buf_str(&url), NULL,
		    "a worker answers");
	else
		check_add(d->checks, CHECK_FAIL, "address", buf_str(&url),
		    a.status == 404 ? "clients ask there: a location as "
		    "countersign ca site writes it, or another uri in the "
		    "policy" : "clients ask there: is countersign-worker up, "
		    "and the location as countersign ca site writes it? The "
		    "worker's log says more", "http status %d%s", a.status,
		    a.status == 500 ? " without a fault" : "");
	buf_free(&a.body);
	buf_free(&url);
}

static void
behind(struct doctor *d, const struct ca_uri *uri,
    const struct https_site *site, const char *path)
{
	if (uri->method == AUTH_KERBEROS) {
		doctor_negotiate(d, site, path);
		return;
	}
	location(d, site, path);
	if (uri->method != AUTH_PASSWORD || uri->renewal_only)
		return;
	location(d, site, CEP_PATH);
	workers(d, site);
	if (args_has(d->args, "user") || args_has(d->args, "probe"))
		client(d, site);
	else
		check_add(d->checks, CHECK_SKIP, "enrollment", PROBE_TEMPLATE,
		    NULL, "--probe enrolls once, with a one-time secret that "
		    "it makes");
}

/*
 * One address of the policy: its server's certificate, who answers there, and
 * behind one for passwords the workers and, if it is wished for, an enrollment.
 */
static void
one_site(struct doctor *d, const struct ca_uri *uri)
{
	struct https_site site = { 0 };
	struct err err = ERR_INIT;
	const char *path;

	if (https_split(uri->uri, &site, &path, &err) != 0 ||
	    trust_roots(d, &site, &err) != 0 ||
	    (uri->method != AUTH_CERTIFICATE &&
	    connect_to(d, &site, &err) != 0))
		check_add(d->checks, CHECK_FAIL, "web", uri->uri,
		    "correct the uri in the policy", "%s", err.text);
	else if (server_certificate(d, &site,
	    uri->method == AUTH_CERTIFICATE) == 0)
		behind(d, uri, &site, path);
	https_free(&site);
}

/* The beginning of what is at this address; other addresses are not ours. */
static int
fetch(const char *url, struct buf *out, struct err *err)
{
	struct https_site site = { 0 };
	struct https_answer a = { .enough = 2 * LIST_BEGIN };
	const char *path;
	int rc = https_split(url, &site, &path, err);

	if (rc == 0)
		rc = https_call(&site, path, slice_of(NULL, 0), &a, err);
	if (rc == 0 && a.status != 200)
		rc = err_set(err, ERR_UNAVAILABLE, "status %d", a.status);
	if (rc == 0)
		buf_add(out, a.body.p, a.body.n);
	buf_free(&a.body);
	https_free(&site);
	return rc;
}

/* Signers make a list; that clients find it is the publisher's work. */
static void
published(struct doctor *d, const char *url, const char *list, bool settled)
{
	struct err err = ERR_INIT;
	struct buf want = { 0 }, has = { 0 };

	if (cli_bytea(list, &want, &err) != 0 || fetch(url, &has, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "crl", url,
		    "clients look here for it: does the name lead to nginx, "
		    "is countersign-publisher up on its host?", "%s",
		    err.text);
	else if (has.n < want.n || memcmp(has.p, want.p, want.n) != 0)
		check_add(d->checks, settled ? CHECK_FAIL : CHECK_WARN, "crl",
		    url, settled ? "look into the log of countersign-publisher "
		    "on the web server's host" : "wait some seconds",
		    "is not the last list that a signer made");
	else
		check_add(d->checks, CHECK_OK, "crl", url, NULL,
		    "is the last list");
	buf_free(&want);
	buf_free(&has);
}

/* One address for all keys is that of the first. */
static bool
is_of_key(const char *url, const struct policy_ca *ca, const char *key)
{
	return strstr(url, "{key}") != NULL || strcmp(key, ca->name) == 0;
}

/* What certificates name beside the list: that something is there. */
static void
named(struct doctor *d, const struct policy_ca *ca, const char *key,
    bool ocsp)
{
	const struct strlist *urls = ocsp ? &ca->ocsp : &ca->aia;
	struct buf url = { 0 }, begin = { 0 };
	size_t i;

	for (i = 0; i < urls->n; i++) {
		struct err err = ERR_INIT;

		if (!is_of_key(urls->v[i], ca, key))
			continue;
		buf_reset(&url);
		policy_url(urls->v[i], key, &url);
		if (fetch(buf_str(&url), &begin, &err) == 0)
			check_add(d->checks, CHECK_OK, "address",
			    buf_str(&url), NULL, "is there");
		else
			check_add(d->checks, CHECK_FAIL, "address",
			    buf_str(&url), ocsp ? "whoever checks a "
			    "certificate asks there: does the name lead to "
			    "nginx, has it the location for ocsp?" :
			    "whoever checks a certificate looks there for "
			    "the CA's: does the name lead to nginx, is "
			    "countersign-publisher up on its host?", "%s",
			    err.text);
	}
	buf_free(&url);
	buf_free(&begin);
}

static void
lists(struct doctor *d, const struct policy_ca *ca, const char *key)
{
	struct err err = ERR_INIT;
	PGresult *res = cli_query(d->cli, "crl_begins", &key, 1, &err);
	struct buf url = { 0 };
	size_t i;

	for (i = 0; res != NULL && PQntuples(res) == 1 && i < ca->cdp.n; i++) {
		if (!is_of_key(ca->cdp.v[i], ca, key))
			continue;
		buf_reset(&url);
		policy_url(ca->cdp.v[i], key, &url);
		published(d, buf_str(&url), PQgetvalue(res, 0, 0),
		    PQgetvalue(res, 0, 1)[0] == 't');
	}
	PQclear(res);
	buf_free(&url);
}

void
doctor_web(struct doctor *d)
{
	const struct policy_ca *ca;
	size_t i, k;

	for (i = 0; d->policy != NULL && i < d->policy->ncas; i++) {
		ca = &d->policy->cas[i];
		for (k = 0; k < ca->nuris; k++)
			one_site(d, &ca->uris[k]);
		for (k = 0; k < ca->nkeys; k++) {
			if (ca->keys[k].not_after <= time(NULL))
				continue;
			lists(d, ca, ca->keys[k].name);
			named(d, ca, ca->keys[k].name, false);
			named(d, ca, ca->keys[k].name, true);
		}
	}
}
