/*
 * ca site: nginx's configuration, its words from the policy in force, and the
 * file of those CAs whose certificates log on.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file.h"
#include "fill.h"
#include "https.h"
#include "siteurls.h"

#define SITE_MAX	(256 * 1024)
#define MAP_WORD	40	/* of nginx's map, on any machine */
#define SITE		"nginx/countersign.conf.in"
#define PARAMS		"nginx/countersign_fastcgi.conf"

const struct opt opts_ca_site[] = {
	{ "set", "WORD=VALUE", "instead of what the policy or usage says: may "
	    "be repeated", true },
	{ "client-cas", "FILE", "write there the CAs whose certificates log "
	    "on", false },
	{ "o", "FILE", "instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

/* Those that are found out, in this order; what is only told comes behind. */
enum word {
	BASE_URL = SITE_BASE, CERT_URL = SITE_CERT, HTTP_URL = SITE_HTTP,
	HOST, CERT_HOST, HTTP_HOST,
	LISTEN_HTTPS, LISTEN_CERT, LISTEN_HTTP, CAS, FASTCGI, TOLD
};

/* again: what stands between two values; without it there is only one. */
static const struct {
	const char	*name;		/* as in the file */
	const char	*usual, *again;
} words[] = {
	[BASE_URL] = { "@BASE_URL@", NULL, NULL },
	[CERT_URL] = { "@CERT_URL@", NULL, NULL },
	[HTTP_URL] = { "@HTTP_URL@", NULL, NULL },
	[HOST] = { "@HOST@", NULL, " " },
	[CERT_HOST] = { "@CERT_HOST@", NULL, " " },
	[HTTP_HOST] = { "@HTTP_HOST@", NULL, " " },
	[LISTEN_HTTPS] = { "@LISTEN_HTTPS@", NULL, " ssl http2;\n\tlisten " },
	[LISTEN_CERT] = { "@LISTEN_CERT@", NULL, " ssl http2;\n\tlisten " },
	[LISTEN_HTTP] = { "@LISTEN_HTTP@", NULL, ";\n\tlisten " },
	[CAS] = { "@CAS@", NULL, "\n\t" },
	[FASTCGI] = { "@FASTCGI@", NULL, NULL },
	[TOLD] =
	{ "@WORKER@", "unix:/run/countersign/worker.sock", ";\n\tserver " },
	{ "@CERTIFICATE@", "/etc/countersign/tls.pem", NULL },
	{ "@KEY@", "/etc/countersign/tls.key", NULL },
	{ "@CLIENT_CAS@", "/etc/countersign/client-cas.pem", NULL },
	{ "@WEB@", "/var/www/countersign", NULL },
	{ "@RATE@", "20", NULL },
	{ "@BURST@", "40", NULL },
	{ "@CONNECTIONS@", "20", NULL },
	{ "@INFLIGHT@", "700", NULL }
};
#define NWORDS	(sizeof words / sizeof words[0])

struct site {
	struct buf	 value[NWORDS];	/* empty: not known yet */
};

/* "WORD=VALUE", and nothing that ends a line or a quotation of nginx's. */
static int
take_one(struct site *s, struct cli *c, const char *told, struct err *err)
{
	size_t i, n = strcspn(told, "=");
	const char *p, *value = told + n + 1;

	for (i = 0; i < NWORDS; i++)
		if (n == strlen(words[i].name) - 2 && i != CAS &&
		    strncmp(told, words[i].name + 1, n) == 0)
			break;
	if (i == NWORDS || told[n] == '\0' || *value == '\0')
		return cli_usage(c, err, "--set takes WORD=VALUE, and no word "
		    "is called so: %.60s", told);
	for (p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f ||
		    strchr("\"'\\{};$#", *p) != NULL)
			return cli_usage(c, err, "--set %.60s: nginx would "
			    "take it for more than a value", told);
	if (s->value[i].n > 0 && words[i].again == NULL)
		return cli_usage(c, err, "--set %.*s: only once", (int)n,
		    told);
	if (s->value[i].n > 0)
		buf_puts(&s->value[i], words[i].again);
	buf_puts(&s->value[i], value);
	return 0;
}

static int
take(struct site *s, struct cli *c, const struct args *a, struct err *err)
{
	struct strlist told = { 0 };
	size_t i;
	int rc = 0;

	args_list(a, "set", &told);
	for (i = 0; rc == 0 && i < told.n; i++)
		rc = take_one(s, c, told.v[i], err);
	strlist_free(&told);
	return rc;
}

/* What is before the path, if it is the same in all of them. */
static int
origin(struct buf *found, const char *word, const char *url, struct err *err)
{
	const char *slashes = strstr(url, "//");
	size_t n = slashes == NULL ? 0 :
	    (size_t)(strchrnul(slashes + 2, '/') - url);

	if (found->n == 0) {
		buf_add(found, url, n);
		return 0;
	}
	if (found->n == n && memcmp(found->p, url, n) == 0)
		return 0;
	return err_set(err, ERR_DENIED, "the policy has addresses at %s and "
	    "%.*s: --set %s=... says which of them this site is",
	    buf_str(found), (int)n, url, word);
}

static int
service_urls(struct site *s, const struct policy *p, const bool told[2],
    struct err *err)
{
	const struct ca_uri *u;
	size_t i, k;

	for (i = 0; i < p->ncas; i++)
		for (k = 0; k < p->cas[i].nuris; k++) {
			u = &p->cas[i].uris[k];
			if (u->method == AUTH_CERTIFICATE ? told[1] : told[0])
				continue;
			if ((u->method == AUTH_CERTIFICATE ?
			    origin(&s->value[CERT_URL], "CERT_URL", u->uri,
			    err) : origin(&s->value[BASE_URL], "BASE_URL",
			    u->uri, err)) != 0)
				return -1;
		}
	return s->value[BASE_URL].n > 0 ? 0 : err_set(err, ERR_DENIED,
	    "the policy has no uri but for certificates: "
	    "--set BASE_URL=https://... says where the others log on");
}

/* OCSP is answered there; lists may be elsewhere, too. */
static int
http_url(struct site *s, const struct policy *p, bool lists, struct err *err)
{
	const struct strlist *urls;
	size_t i, k;

	for (i = 0; i < p->ncas; i++) {
		urls = lists ? &p->cas[i].cdp : &p->cas[i].ocsp;
		for (k = 0; k < urls->n; k++)
			if (origin(&s->value[HTTP_URL], "HTTP_URL",
			    urls->v[k], err) != 0)
				return -1;
	}
	return 0;
}

/* As it stands in addresses and in a server_name: colons are of IPv6. */
static void
put_host(const struct https_site *at, struct buf *out)
{
	bool v6 = strchr(at->name, ':') != NULL;

	buf_printf(out, "%s%s%s", v6 ? "[" : "", at->name, v6 ? "]" : "");
}

/* Where the policy is silent, as "countersign init" would have it. */
static int
find_urls(struct site *s, const struct policy *p, struct err *err)
{
	struct https_site at = { 0 };
	struct buf host = { 0 };
	const bool told[2] = { s->value[BASE_URL].n > 0,
	    s->value[CERT_URL].n > 0 };
	const char *path;
	int rc;

	if (service_urls(s, p, told, err) != 0 ||
	    (s->value[HTTP_URL].n == 0 && http_url(s, p, false, err) != 0) ||
	    (s->value[HTTP_URL].n == 0 && http_url(s, p, true, err) != 0))
		return -1;
	rc = https_split(buf_str(&s->value[BASE_URL]), &at, &path, err);
	if (rc == 0)
		put_host(&at, &host);
	if (rc == 0 && s->value[CERT_URL].n == 0)
		buf_printf(&s->value[CERT_URL], "https://%s:8443",
		    buf_str(&host));
	if (rc == 0 && s->value[HTTP_URL].n == 0)
		buf_printf(&s->value[HTTP_URL], "http://%s", buf_str(&host));
	buf_free(&host);
	https_free(&at);
	return rc;
}

/* Host and port of an address, unless they were told. */
static int
place(struct site *s, enum word url, bool plain, struct err *err)
{
	enum word host = HOST + (url - BASE_URL);
	enum word port = LISTEN_HTTPS + (url - BASE_URL);
	struct https_site at = { 0 };
	const char *path;
	int rc = https_split(buf_str(&s->value[url]), &at, &path, err);

	if (rc == 0 && (at.plain != plain || *path != '\0' ||
	    strpbrk(at.name, " ;{}$\"'\\") != NULL ||
	    strspn(at.port, "0123456789") != strlen(at.port)))
		rc = err_set(err, ERR_DENIED, "%s is not %s://, a host and a "
		    "port: %s", words[url].name, plain ? "http" : "https",
		    buf_str(&s->value[url]));
	if (rc == 0 && s->value[host].n == 0)
		put_host(&at, &s->value[host]);
	if (rc == 0 && s->value[port].n == 0)
		buf_puts(&s->value[port], at.port);
	https_free(&at);
	return rc;
}

/* As a pattern; of what a CA may be called only "." means more. */
static void
put_pattern(const char *name, struct buf *out)
{
	buf_puts(out, "~*^");
	for (; *name != '\0'; name++) {
		if (*name == '.')
			buf_addc(out, '\\');
		buf_addc(out, *name);
	}
	buf_puts(out, "\\z");
}

/*
 * The lines of a map from what clients write to the CA's name.  With a word
 * that is longer than 46 nginx does not start: its table has no room for it.
 */
static void
map_cas(struct site *s, const struct policy *p)
{
	struct buf *out = &s->value[CAS];
	const char *name;
	size_t i;

	for (i = 0; i < p->ncas; i++) {
		name = p->cas[i].name;
		buf_printf(out, "%s\"", i == 0 ? "" : words[CAS].again);
		if (strlen(name) > MAP_WORD)
			put_pattern(name, out);
		else
			buf_puts(out, name);
		buf_printf(out, "\" \"%s\";", name);
	}
}

static int
find_all(struct site *s, const struct policy *p, struct err *err)
{
	char *params = fill_file(PARAMS, "share/countersign/" PARAMS);
	size_t i;

	if (s->value[FASTCGI].n == 0)
		buf_puts(&s->value[FASTCGI], params != NULL ? params :
		    "/usr/share/countersign/" PARAMS);
	free(params);
	map_cas(s, p);
	for (i = TOLD; i < NWORDS; i++)
		if (s->value[i].n == 0)
			buf_puts(&s->value[i], words[i].usual);
	if (find_urls(s, p, err) != 0)
		return -1;
	if (strcmp(buf_str(&s->value[BASE_URL]),
	    buf_str(&s->value[CERT_URL])) == 0)
		return err_set(err, ERR_DENIED, "%s is for clients with a "
		    "certificate and for others: nginx asks for one in the "
		    "handshake, so they need a port or a name of their own",
		    buf_str(&s->value[CERT_URL]));
	if (place(s, BASE_URL, false, err) != 0 ||
	    place(s, CERT_URL, false, err) != 0)
		return -1;
	return place(s, HTTP_URL, true, err);
}

static int
write_site(struct site *s, const char *path, struct err *err)
{
	char *file = fill_file(SITE, "share/countersign/" SITE);
	const char *word[NWORDS + 1][2] = { { NULL, NULL } };
	struct buf text = { 0 }, out = { 0 };
	size_t i;
	int rc = -1;

	for (i = 0; i < NWORDS; i++) {
		word[i][0] = words[i].name;
		word[i][1] = buf_str(&s->value[i]);
	}
	if (file == NULL)
		err_set(err, ERR_DENIED, SITE " is not beside the program");
	else if (file_read(file, SITE_MAX, &text, err) == 0) {
		fill_words(buf_str(&text), word, &out);
		rc = file_put(path, 0644, buf_slice(&out), err);
	}
	free(file);
	buf_free(&text);
	buf_free(&out);
	return rc;
}

/* One PEM, if it is not there yet: CAs share their roots. */
static void
put_once(const struct certs *certs, size_t from, struct buf *out)
{
	struct certs one = { .n = 1 };
	struct buf pem = { 0 };
	size_t i;

	for (i = from; i < certs->n; i++) {
		one.der[0] = certs->der[i];
		buf_reset(&pem);
		certs_pem(&one, 0, &pem);
		if (strstr(buf_str(out), buf_str(&pem)) == NULL)
			buf_puts(out, buf_str(&pem));
	}
	buf_free(&pem);
}

/* Of a key whose certificate has ended nobody logs on any more. */
static int
put_keys(struct cli *c, const struct policy_ca *ca, struct buf *out,
    struct err *err)
{
	struct certs chain = { 0 };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < ca->nkeys; i++) {
		if (ca->keys[i].not_after <= time(NULL))
			continue;
		rc = cli_chain(c, ca->keys[i].name, &chain, err);
		if (rc == 0)
			put_once(&chain, 0, out);
		certs_free(&chain);
	}
	return rc;
}

static int
write_cas(struct cli *c, const struct policy *p, const char *path,
    struct err *err)
{
	struct buf out = { 0 };
	struct certs one = { 0 };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < p->ncas; i++)
		rc = put_keys(c, &p->cas[i], &out, err);
	for (i = 0; rc == 0 && i < p->ntrusted; i++) {
		if (p->trusted[i].map == 0)
			continue;
		rc = certs_add(&one, buf_slice(&p->trusted[i].cert), err);
		if (rc == 0)
			put_once(&one, 0, &out);
		certs_free(&one);
	}
	if (rc == 0)
		rc = file_put(path, 0644, buf_slice(&out), err);
	buf_free(&out);
	return rc;
}

int
site_urls(struct cli *c, const struct args *a, const struct policy *p,
    struct buf urls[SITE_URLS], struct err *err)
{
	struct site s = { 0 };
	size_t i;
	int rc = take(&s, c, a, err);

	if (rc == 0)
		rc = find_urls(&s, p, err);
	for (i = 0; rc == 0 && i < SITE_URLS; i++)
		buf_puts(&urls[i], buf_str(&s.value[i]));
	for (i = 0; i < NWORDS; i++)
		buf_free(&s.value[i]);
	return rc;
}

int
cmd_ca_site(struct cli *c, const struct args *a, struct err *err)
{
	const char *cas = args_get(a, "client-cas"), *out = args_get(a, "o");
	struct site s = { 0 };
	struct policy *p = NULL;
	size_t i;
	int rc = take(&s, c, a, err);

	if (rc == 0 && (p = cli_policy(c, err)) == NULL)
		rc = -1;
	if (rc == 0)
		rc = find_all(&s, p, err);
	if (rc == 0 && cas != NULL)
		rc = write_cas(c, p, cas, err);
	if (rc == 0)
		rc = write_site(&s, out, err);
	for (i = 0; i < NWORDS; i++)
		buf_free(&s.value[i]);
	policy_free(p);
	return rc != 0 ? -1 : cli_written(c, out, err);
}
