#include "commands.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "camake.h"
#include "certfile.h"
#include "file.h"
#include "name.h"

const struct opt opts_ca_create[] = {
	{ "key", "KIND", "rsa:2048, rsa:3072, rsa:4096, ec:P-256 (default), "
	    "ec:P-384", false },
	{ "subject", "DN", "subject, most specific part first "
	    "(default CN=NAME)", false },
	{ "root-subject", "DN", "subject of the root "
	    "(default CN=NAME Root)", false },
	{ "years", "N", "life of the issuing CA (default 10)", false },
	{ "root-years", "N", "life of the root (default 20)", false },
	{ "no-root", NULL, "one tier: the CA signs itself", false },
	{ "aia", "URL", "where the root can be fetched, put into the "
	    "issuing certificate", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_import[] = {
	{ "cert", "FILE", "CA certificate, PEM or DER", false },
	{ "key", "FILE", "its private key, PEM", false },
	{ "passphrase-file", "FILE", "passphrase of the key file", false },
	{ "chain", "FILE", "issuers up to the root, PEM", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_export[] = {
	{ "format", "pem|der|p7b", "default pem", false },
	{ "root", NULL, "the root instead of the issuing CA", false },
	{ "chain", NULL, "with all issuers up to the root", false },
	{ "o", "FILE", "write to FILE instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

static const char *const suffixes[] = { ".pem", ".key", ".pass", ".chain.pem",
	"-root.pem", "-root.key", "-root.pass" };
#define NSUFFIXES (sizeof suffixes / sizeof suffixes[0])

/* The name stands in URLs, file names and the policy. */
static int
check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > 64 || name[0] == '.' || name[0] == '-' ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789._-") != n)
		return err_set(err, ERR_MALFORMED, "a ca name is 1 to 64 of "
		    "letters, digits, . _ -: %.64s", name);
	return 0;
}

static int
refuse_existing(struct cli *c, const char *name, struct err *err)
{
	struct stat st;
	char *path;
	size_t i;
	int rc = 0;

	for (i = 0; i < NSUFFIXES && rc == 0; i++) {
		path = file_path(c->conf->ca_dir, name, suffixes[i]);
		if (lstat(path, &st) == 0)
			rc = err_set(err, ERR_DENIED,
			    "%.120s is there already", path);
		free(path);
	}
	return rc;
}

/* Nothing may be there yet: neither files nor a row. */
static int
begin(struct cli *c, const char *name, struct err *err)
{
	PGresult *res;
	int rc = 0;

	if (check_name(name, err) != 0 || cli_db(c, err) != 0 ||
	    refuse_existing(c, name, err) != 0)
		return -1;
	if ((res = cli_query(c, "ca_names", &name, 1, err)) == NULL)
		return -1;
	if (PQntuples(res) > 0)
		rc = err_set(err, ERR_DENIED, "ca %s is registered already",
		    name);
	PQclear(res);
	return rc;
}

/*
 * begin() saw none of these files, so all there are are ours.  When the
 * database went away nobody knows whether the row is there: keep the key.
 */
static void
undo(struct cli *c, const char *name, const struct err *why)
{
	char *path;
	size_t i;

	if (why->kind == ERR_UNAVAILABLE)
		return;
	for (i = 0; i < NSUFFIXES; i++) {
		path = file_path(c->conf->ca_dir, name, suffixes[i]);
		unlink(path);
		free(path);
	}
}

static int
save_pem(struct cli *c, const char *name, const char *suffix,
    const struct certs *certs, struct err *err)
{
	char *path = file_path(c->conf->ca_dir, name, suffix);
	struct buf pem = { 0 };
	int rc;

	certs_pem(certs, 0, &pem);
	rc = file_create(path, 0644, buf_slice(&pem), err);
	buf_free(&pem);
	free(path);
	return rc;
}

/* NAME.pem, NAME.chain.pem; all[0] is the issuing certificate. */
static int
save_certs(struct cli *c, const char *name, const struct certs *all,
    struct err *err)
{
	struct certs leaf = { .n = 1 }, rest = { 0 };
	size_t i;

	leaf.der[0] = all->der[0];	/* borrowed: not freed here */
	for (i = 1; i < all->n; i++)
		rest.der[rest.n++] = all->der[i];
	/* A CA that signs itself is its own root. */
	if (rest.n == 0)
		rest = leaf;
	if (save_pem(c, name, ".pem", &leaf, err) != 0)
		return -1;
	return save_pem(c, name, ".chain.pem", &rest, err);
}

static int
register_ca(struct cli *c, const char *name, const struct certs *all,
    struct err *err)
{
	struct buf leaf = { 0 }, chain = { 0 };
	PGresult *res;
	size_t i;

	buf_hex(&leaf, all->der[0].p, all->der[0].n);
	buf_addc(&chain, '{');
	for (i = 1; i < all->n; i++) {
		if (i > 1)
			buf_addc(&chain, ',');
		buf_hex(&chain, all->der[i].p, all->der[i].n);
	}
	buf_addc(&chain, '}');
	res = cli_query(c, "ca_register", (const char *[]){ name,
	    buf_str(&leaf), buf_str(&chain) }, 3, err);
	PQclear(res);
	buf_free(&leaf);
	buf_free(&chain);
	return res == NULL ? -1 : 0;
}

/* Private key first: a certificate without its key would be no use. */
static int
keep(struct cli *c, const char *name, EVP_PKEY *key, const struct certs *all,
    struct err *err)
{
	if (ca_key_save(key, c->conf->ca_dir, name, err) != 0 ||
	    save_certs(c, name, all, err) != 0 ||
	    register_ca(c, name, all, err) != 0)
		return -1;
	return 0;
}

static const struct out_col ca_cols[] = {
	{ "name", OUT_TEXT }, { "subject", OUT_TEXT }, { "issuer", OUT_TEXT },
	{ "serial", OUT_TEXT }, { "not_before", OUT_TEXT },
	{ "not_after", OUT_TEXT }, { "key", OUT_TEXT },
	{ "sha256", OUT_TEXT }, { "issuers", OUT_NUMBER }, { NULL, OUT_TEXT }
};

static void
add_text(struct out *o, struct buf *b)
{
	out_add(o, buf_str(b));
	buf_reset(b);
}

static int
ca_row(struct out *o, const char *name, const struct certs *all,
    struct err *err)
{
	X509 *x = certs_x509(all, 0, err);
	struct buf b = { 0 };
	uint8_t md[32];

	if (x == NULL)
		return -1;
	out_add(o, name);
	cert_name(X509_get_subject_name(x), &b);
	add_text(o, &b);
	cert_name(X509_get_issuer_name(x), &b);
	add_text(o, &b);
	cert_serial(x, &b);
	add_text(o, &b);
	cert_time(X509_get0_notBefore(x), &b);
	add_text(o, &b);
	cert_time(X509_get0_notAfter(x), &b);
	add_text(o, &b);
	cert_key(x, &b);
	add_text(o, &b);
	EVP_Digest(all->der[0].p, all->der[0].n, md, NULL, EVP_sha256(), NULL);
	buf_hex(&b, md, sizeof md);
	add_text(o, &b);
	out_num(o, (int64_t)all->n - 1);
	buf_free(&b);
	X509_free(x);
	return 0;
}

static int
print_one(struct cli *c, const char *name, const struct certs *all,
    struct err *err)
{
	struct out *o = out_new(ca_cols, OUT_RECORD);

	if (ca_row(o, name, all, err) != 0) {
		out_free(o);
		return -1;
	}
	return cli_print(c, o, err);
}

/* "CN=NAME", with the characters of a CA name nothing needs escaping. */
static char *
default_subject(const char *name, const char *more)
{
	char *text = NULL;

	if (asprintf(&text, "CN=%s%s", name, more) < 0)
		abort();
	return text;
}

struct tier {
	EVP_PKEY	*key;
	X509		*cert;
};

static void
tier_free(struct tier *t)
{
	EVP_PKEY_free(t->key);
	X509_free(t->cert);
}

static int
make_tier(struct tier *t, const struct ca_plan *plan, struct err *err)
{
	if ((t->key = ca_key_new(plan->key, err)) == NULL)
		return -1;
	t->cert = ca_cert_new(plan, t->key, err);
	return t->cert == NULL ? -1 : 0;
}

static int
make_root(struct cli *c, const char *name, const struct ca_plan *plan,
    struct tier *root, struct err *err)
{
	struct certs certs = { 0 };
	char *root_name = NULL;
	int rc = -1;

	if (asprintf(&root_name, "%s-root", name) < 0)
		abort();
	if (make_tier(root, plan, err) == 0 &&
	    certs_add_x509(&certs, root->cert, err) == 0 &&
	    ca_key_save(root->key, c->conf->ca_dir, root_name, err) == 0 &&
	    save_pem(c, root_name, ".pem", &certs, err) == 0)
		rc = 0;
	certs_free(&certs);
	free(root_name);
	return rc;
}

static int
create(struct cli *c, const char *name, const struct ca_plan *root_plan,
    struct ca_plan *plan, struct err *err)
{
	struct tier root = { 0 }, issuing = { 0 };
	struct certs all = { 0 };
	int rc = 0;

	if (root_plan != NULL)
		rc = make_root(c, name, root_plan, &root, err);
	plan->issuer = root.cert;
	plan->issuer_key = root.key;
	if (rc == 0)
		rc = make_tier(&issuing, plan, err);
	if (rc == 0)
		rc = certs_add_x509(&all, issuing.cert, err);
	if (rc == 0 && root.cert != NULL)
		rc = certs_add_x509(&all, root.cert, err);
	if (rc == 0)
		rc = keep(c, name, issuing.key, &all, err);
	if (rc != 0)
		undo(c, name, err);
	else
		rc = print_one(c, name, &all, err);
	certs_free(&all);
	tier_free(&root);
	tier_free(&issuing);
	return rc;
}

static int
plans(struct cli *c, const struct args *a, struct ca_plan *root,
    struct ca_plan *plan, struct err *err)
{
	plan->key = args_has(a, "key") ? args_get(a, "key") : "ec:P-256";
	plan->aia = args_get(a, "aia");
	plan->years = 10;
	root->key = plan->key;
	root->pathlen = -1;
	root->years = 20;
	if (args_num(a, "years", 1, 40, &plan->years, err) != 0 ||
	    args_num(a, "root-years", 1, 40, &root->years, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if (!args_has(a, "no-root") && plan->years > root->years)
		return cli_usage(c, err,
		    "--years: the issuing ca would outlive its root");
	if (args_has(a, "no-root") && (plan->aia != NULL ||
	    args_has(a, "root-subject") || args_has(a, "root-years")))
		return cli_usage(c, err, "--no-root excludes --aia, "
		    "--root-subject and --root-years");
	return 0;
}

int
cmd_ca_create(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->pos[0];
	struct ca_plan root = { 0 }, plan = { 0 };
	char *subject, *root_subject;
	int rc;

	if (plans(c, a, &root, &plan, err) != 0 || begin(c, name, err) != 0)
		return -1;
	subject = default_subject(name, "");
	root_subject = default_subject(name, " Root");
	plan.subject = args_has(a, "subject") ? args_get(a, "subject") :
	    subject;
	root.subject = args_has(a, "root-subject") ?
	    args_get(a, "root-subject") : root_subject;
	rc = create(c, name, args_has(a, "no-root") ? NULL : &root, &plan,
	    err);
	free(subject);
	free(root_subject);
	return rc;
}

static int
check_ca(X509 *x, EVP_PKEY *key, struct err *err)
{
	time_t now = time(NULL);

	if (ca_key_check(key, err) != 0)
		return -1;
	if (X509_check_private_key(x, key) != 1)
		return err_set(err, ERR_DENIED,
		    "the key does not belong to the certificate");
	/* 1 = basicConstraints says so; other values are guesses. */
	if (X509_check_ca(x) != 1)
		return err_set(err, ERR_DENIED,
		    "the certificate is not a ca ([RFC5280] 4.2.1.9)");
	if ((X509_get_key_usage(x) & KU_KEY_CERT_SIGN) == 0)
		return err_set(err, ERR_DENIED,
		    "key usage lacks keyCertSign ([RFC5280] 4.2.1.3)");
	if (X509_get0_subject_key_id(x) == NULL)
		return err_set(err, ERR_DENIED,
		    "no subject key identifier ([RFC5280] 4.2.1.2)");
	if (cert_unix(X509_get0_notAfter(x)) <= now ||
	    cert_unix(X509_get0_notBefore(x)) > now)
		return err_set(err, ERR_DENIED,
		    "the certificate is not valid now");
	return 0;
}

/* Each certificate is signed by the next, the last by itself. */
static int
check_chain(const struct certs *all, struct err *err)
{
	X509 *x, *up;
	size_t i;
	int ok = 1;

	for (i = 0; i < all->n && ok == 1; i++) {
		x = certs_x509(all, i, err);
		up = certs_x509(all, i + 1 < all->n ? i + 1 : i, err);
		ok = x != NULL && up != NULL && X509_NAME_cmp(
		    X509_get_issuer_name(x), X509_get_subject_name(up)) == 0 &&
		    X509_verify(x, X509_get0_pubkey(up)) == 1;
		X509_free(x);
		X509_free(up);
	}
	if (ok != 1)
		return err_set(err, ERR_DENIED, "chain: certificate %zu is "
		    "not signed by the next one, or the last not by itself",
		    i);
	return 0;
}

int
cmd_ca_import(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->pos[0];
	struct certs all = { 0 };
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	int rc = -1;

	if (!args_has(a, "cert") || !args_has(a, "key"))
		return cli_usage(c, err, "--cert and --key are needed");
	if (begin(c, name, err) == 0 &&
	    certs_read(&all, args_get(a, "cert"), err) == 0 &&
	    (!args_has(a, "chain") ||
	    certs_read(&all, args_get(a, "chain"), err) == 0) &&
	    (key = ca_key_load(args_get(a, "key"),
	    args_get(a, "passphrase-file"), err)) != NULL &&
	    (x = certs_x509(&all, 0, err)) != NULL &&
	    check_ca(x, key, err) == 0 && check_chain(&all, err) == 0) {
		if ((rc = keep(c, name, key, &all, err)) != 0)
			undo(c, name, err);
		else
			rc = print_one(c, name, &all, err);
	}
	certs_free(&all);
	EVP_PKEY_free(key);
	X509_free(x);
	return rc;
}

static int
no_such_ca(const char *name, struct err *err)
{
	return err_set(err, ERR_DENIED, "no ca %.64s",
	    name == NULL ? "is registered" : name);
}

/* The CA's certificate and its issuers, from the database. */
static int
load(struct cli *c, const char *name, struct certs *all, struct err *err)
{
	if (cli_chain(c, name, all, err) != 0)
		return -1;
	return all->n == 0 ? no_such_ca(name, err) : 0;
}

int
cmd_ca_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->npos > 0 ? a->pos[0] : NULL;
	struct out *o = out_new(ca_cols, OUT_RECORD);
	PGresult *res = cli_query(c, "ca_names", &name, 1, err);
	struct certs all = { 0 };
	int row, rc = res == NULL ? -1 : 0;

	if (rc == 0 && PQntuples(res) == 0 && name != NULL)
		rc = no_such_ca(name, err);
	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		rc = load(c, PQgetvalue(res, row, 0), &all, err);
		if (rc == 0)
			rc = ca_row(o, PQgetvalue(res, row, 0), &all, err);
		certs_free(&all);
	}
	PQclear(res);
	if (rc == 0)
		return cli_print(c, o, err);
	out_free(o);
	return -1;
}

int
cmd_ca_export(struct cli *c, const struct args *a, struct err *err)
{
	struct certs all = { 0 }, some = { 0 };
	size_t i, first, end;
	int rc = load(c, a->pos[0], &all, err);

	first = args_has(a, "root") && all.n > 0 ? all.n - 1 : 0;
	end = args_has(a, "chain") ? all.n : first + 1;
	for (i = first; rc == 0 && i < end; i++)
		some.der[some.n++] = all.der[i];	/* borrowed */
	if (rc == 0)
		rc = certs_write(&some, args_get(a, "format"),
		    args_get(a, "o"), err);
	certs_free(&all);
	return rc;
}
