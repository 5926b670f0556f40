/*
 * ca page: what the landing page says of the CAs; deploy/site.sh makes the page
 * of it.
 */
#include "commands.h"

#include <string.h>
#include <time.h>

#include "digest.h"
#include "file.h"
#include "siteurls.h"
#include "xmlw.h"

const struct opt opts_ca_page[] = {
	{ "ca", "NAME", "that the instructions name (default: the policy's "
	    "first)", false },
	{ "set", "WORD=VALUE", "as with ca site", true },
	{ "o", "FILE", "instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

static void
leaf_class(struct xmlw *w, const char *element, const char *class,
    const char *text)
{
	xmlw_open_class(w, element, class);
	xmlw_text(w, slice_str(text));
	xmlw_close(w);
}

/* A file of this site; the publisher writes it. */
static void
put_file(struct xmlw *w, const char *name, const char *ending,
    const char *text, const char *class)
{
	struct buf href = { 0 };

	buf_printf(&href, "/ca/%s%s", name, ending);
	xmlw_open(w, "a");
	if (class != NULL)
		xmlw_attr_str(w, "class", class);
	xmlw_attr(w, "href", buf_slice(&href));
	xmlw_attr_str(w, "download", "");
	xmlw_text(w, slice_str(text));
	xmlw_close(w);
	buf_free(&href);
}

static void
put_print(struct xmlw *w, struct slice cert)
{
	uint8_t md[32];
	struct buf text = { 0 };
	size_t i;

	digest_sha256(cert, md);
	buf_puts(&text, "SHA-256");
	for (i = 0; i < sizeof md; i += 2)
		buf_printf(&text, " %02X%02X", md[i], md[i + 1]);
	leaf_class(w, "p", "print", buf_str(&text));
	buf_free(&text);
}

/* Addresses of a kind: as the policy has them, for this key. */
static void
put_urls(struct xmlw *w, const char *what, const struct strlist *urls,
    const char *key, bool link)
{
	struct buf url = { 0 };
	size_t i;

	for (i = 0; i < urls->n; i++) {
		buf_reset(&url);
		policy_url(urls->v[i], key, &url);
		xmlw_leaf_str(w, "dt", what);
		xmlw_open(w, "dd");
		if (link) {
			xmlw_open(w, "a");
			xmlw_attr(w, "href", buf_slice(&url));
		} else
			xmlw_open(w, "code");
		xmlw_text(w, buf_slice(&url));
		xmlw_close(w);
		xmlw_close(w);
	}
	buf_free(&url);
}

static const char *
way(const struct ca_uri *u)
{
	if (u->method == AUTH_ANONYMOUS || u->renewal_only)
		return "Renewal";
	if (u->method == AUTH_KERBEROS)
		return "Enrollment, Kerberos";	/* deploy/site.sh looks for it */
	return u->method == AUTH_CERTIFICATE ? "Enrollment, certificate" :
	    "Enrollment, password";
}

static void
put_services(struct xmlw *w, const struct policy_ca *ca)
{
	size_t i;

	for (i = 0; i < ca->nuris; i++) {
		xmlw_leaf_str(w, "dt", way(&ca->uris[i]));
		xmlw_open(w, "dd");
		xmlw_leaf_str(w, "code", ca->uris[i].uri);
		xmlw_close(w);
	}
}

static void
put_key(struct xmlw *w, const struct policy_ca *ca,
    const struct policy_key *k)
{
	bool in_use = ca->key != NULL && strcmp(ca->key, k->name) == 0;

	xmlw_open_class(w, "div", "card");
	xmlw_leaf_str(w, "h3", k->name);
	if (!in_use) {
		xmlw_open_class(w, "p", "small");
		xmlw_text(w, slice_str("Another key of "));
		xmlw_text(w, slice_str(ca->name));
		xmlw_text(w, slice_str(": no new certificates, but its lists "
		    "and OCSP answers."));
		xmlw_close(w);
	}
	xmlw_open_class(w, "p", "files");
	put_file(w, k->name, ".cer", "Certificate", NULL);
	put_file(w, k->name, "-root.cer", "Its root", "second");
	xmlw_close(w);
	put_print(w, buf_slice(&k->cert));
	xmlw_open(w, "dl");
	put_urls(w, "Revocation list", &ca->cdp, k->name, true);
	put_urls(w, "Delta list", &ca->cdp_delta, k->name, true);
	put_urls(w, "OCSP", &ca->ocsp, k->name, false);
	if (in_use)
		put_services(w, ca);
	xmlw_close(w);
	xmlw_close(w);
	buf_addc(&w->b, '\n');
}

/* A CA above ours whose list is published here. */
static int
put_above(struct xmlw *w, struct cli *c, const char *name, struct err *err)
{
	PGresult *res = cli_query(c, "crl_above_files", &name, 1, err);
	struct buf cert = { 0 };
	int rc = res == NULL ? -1 : 0;

	if (rc == 0 && PQntuples(res) == 1 && (rc = cli_bytea(PQgetvalue(res,
	    0, 1), &cert, err)) == 0) {
		xmlw_open_class(w, "div", "card");
		xmlw_leaf_str(w, "h3", name);
		leaf_class(w, "p", "small", "A CA above one of these; its "
		    "list is carried here.");
		xmlw_open_class(w, "p", "files");
		put_file(w, name, ".cer", "Certificate", NULL);
		xmlw_close(w);
		put_print(w, buf_slice(&cert));
		xmlw_close(w);
		buf_addc(&w->b, '\n');
	}
	PQclear(res);
	buf_free(&cert);
	return rc;
}

static int
put_all_above(struct xmlw *w, struct cli *c, struct err *err)
{
	const char *any = NULL;
	PGresult *res = cli_query(c, "crl_above", &any, 1, err);
	int i, rc = res == NULL ? -1 : 0;

	for (i = 0; rc == 0 && i < PQntuples(res); i++)
		rc = put_above(w, c, PQgetvalue(res, i, 0), err);
	PQclear(res);
	return rc;
}

static const struct policy_ca *
named(const struct policy *p, const char *name, struct err *err)
{
	const struct policy_ca *ca = name != NULL ? policy_ca_find(p, name) :
	    p->ncas > 0 ? &p->cas[0] : NULL;

	if (ca == NULL)
		err_set(err, ERR_DENIED, "the policy has no ca %.60s",
		    name == NULL ? "" : name);
	return ca;
}

/* What deploy/site.sh reads, and leaves out: addresses, the CA and its root. */
static int
put_head(struct xmlw *w, struct cli *c, const struct args *a,
    const struct policy *p, struct err *err)
{
	static const char *const word[SITE_URLS] = { "base", "cert", "http" };
	const struct policy_ca *ca = named(p, args_get(a, "ca"), err);
	struct buf url[SITE_URLS] = { 0 };
	struct certs chain = { 0 }, two = { .n = 2 };
	int i, rc = ca == NULL ? -1 : site_urls(c, a, p, url, err);

	if (rc == 0 && (rc = cli_chain(c, ca->name, &chain, err)) == 0 &&
	    chain.n == 0)
		rc = err_set(err, ERR_DENIED, "ca %s: the database does not "
		    "know it", ca->name);
	if (rc == 0) {
		two.der[0] = chain.der[0];	/* borrowed */
		two.der[1] = chain.der[chain.n - 1];
		buf_printf(&w->b, "<!-- policy %s\nca %s\n", p->id, ca->name);
		for (i = 0; i < SITE_URLS; i++)
			buf_printf(&w->b, "%s %s\n", word[i],
			    buf_str(&url[i]));
		certs_pem(&two, 0, &w->b);
		buf_puts(&w->b, "-->\n");
	}
	for (i = 0; i < SITE_URLS; i++)
		buf_free(&url[i]);
	certs_free(&chain);
	return rc;
}

int
cmd_ca_page(struct cli *c, const struct args *a, struct err *err)
{
	struct policy *p = cli_policy(c, err);
	const struct policy_ca *ca;
	struct xmlw w = { 0 };
	int64_t now = time(NULL);
	size_t i, k;
	int rc = p == NULL ? -1 : put_head(&w, c, a, p, err);

	for (i = 0; rc == 0 && i < p->ncas; i++) {
		ca = &p->cas[i];
		for (k = 0; k < ca->nkeys; k++)
			if (ca->keys[k].not_after > now)
				put_key(&w, ca, &ca->keys[k]);
	}
	if (rc == 0 && (rc = put_all_above(&w, c, err)) == 0)
		rc = file_put(args_get(a, "o"), 0644, buf_slice(&w.b), err);
	policy_free(p);
	xmlw_free(&w);
	return rc != 0 ? -1 : cli_written(c, args_get(a, "o"), err);
}
