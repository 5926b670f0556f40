/*
 * CAs of a deployment: their files in ca-dir, where a signer finds them, and
 * their rows in the table ca, where workers do.
 */
#include "castore.h"

#include <dirent.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cakeyfile.h"
#include "camake.h"
#include "digest.h"
#include "file.h"

/* All that "ca create", "ca request" and "ca import" leave under a name. */
static const char *const suffixes[] = { ".pem", ".key", ".pass", ".chain.pem",
	".csr",
	"-root.pem", "-root.key", "-root.pass" };
#define NSUFFIXES (sizeof suffixes / sizeof suffixes[0])

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

int
castore_absent(struct cli *c, const char *name, struct err *err)
{
	PGresult *res;
	int rc = 0;

	if (cli_ca_name(c, name, err) != 0 || cli_db(c, err) != 0 ||
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
 * castore_absent() saw none of these files, so all there are are ours.  When
 * the database went away nobody knows whether the row is there: keep the key.
 */
void
castore_undo(struct cli *c, const char *name, const struct err *why)
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

/* file_create, or file_put for what may be there already. */
static int
save(struct cli *c, const char *name, const char *ending,
    const struct certs *certs, int (*write_file)(const char *, unsigned,
    struct slice, struct err *), struct err *err)
{
	char *path = file_path(c->conf->ca_dir, name, ending);
	struct buf pem = { 0 };
	int rc;

	certs_pem(certs, 0, &pem);
	rc = write_file(path, 0644, buf_slice(&pem), err);
	buf_free(&pem);
	free(path);
	return rc;
}

int
castore_save(struct cli *c, const char *name, const char *ending,
    const struct certs *certs, struct err *err)
{
	return save(c, name, ending, certs, file_create, err);
}

int
castore_save_certs(struct cli *c, const char *name, const struct certs *all,
    bool over, struct err *err)
{
	int (*write_file)(const char *, unsigned, struct slice,
	    struct err *) = over ? file_put : file_create;
	struct certs leaf = { .n = 1 }, rest = { 0 };
	size_t i;

	leaf.der[0] = all->der[0];	/* borrowed: not freed here */
	for (i = 1; i < all->n; i++)
		rest.der[rest.n++] = all->der[i];
	/* A CA that signs itself is its own root. */
	if (rest.n == 0)
		rest = leaf;
	/* A signer that looks in between has the chain of the new one. */
	if (save(c, name, ".chain.pem", &rest, write_file, err) != 0)
		return -1;
	return save(c, name, ".pem", &leaf, write_file, err);
}

/* {hex,hex}, from the certificate with this index on. */
static void
put_array(const struct certs *certs, size_t first, struct buf *out)
{
	size_t i;

	buf_addc(out, '{');
	for (i = first; certs != NULL && i < certs->n; i++) {
		if (i > first)
			buf_addc(out, ',');
		buf_hex(out, certs->der[i].p, certs->der[i].n);
	}
	buf_addc(out, '}');
}

/* n: the statement's parameters, of the five. */
static int
put_row(struct cli *c, const char *stmt, const struct ca_row *row, int n,
    struct err *err)
{
	struct buf leaf = { 0 }, chain = { 0 }, also = { 0 };
	PGresult *res;

	buf_hex(&leaf, row->all->der[0].p, row->all->der[0].n);
	put_array(row->all, 1, &chain);
	put_array(row->also, 0, &also);
	res = cli_query(c, stmt, (const char *[]){ row->name,
	    buf_str(&leaf), buf_str(&chain), buf_str(&also), row->of }, n,
	    err);
	PQclear(res);
	buf_free(&leaf);
	buf_free(&chain);
	buf_free(&also);
	return res == NULL ? -1 : 0;
}

int
castore_register(struct cli *c, const struct ca_row *row, struct err *err)
{
	return put_row(c, "ca_register", row, 5, err);
}

int
castore_replace(struct cli *c, const struct ca_row *row, struct err *err)
{
	return put_row(c, "ca_replace", row, 4, err);
}

int
castore_other_subject(struct cli *c, const char *of, X509_NAME *subject,
    struct err *err)
{
	PGresult *res = cli_query(c, "ca_keys", &of, 1, err);
	struct certs certs = { 0 };
	int row, rc = res == NULL ? -1 : 0;
	X509 *x = NULL;

	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		rc = cli_chain(c, PQgetvalue(res, row, 0), &certs, err);
		if (rc == 0 && (x = certs_x509(&certs, 0, err)) == NULL)
			rc = -1;
		if (rc == 0 && X509_NAME_cmp(X509_get_subject_name(x),
		    subject) == 0)
			rc = err_set(err, ERR_DENIED, "key %.60s has this "
			    "subject: relying parties that find revocation "
			    "lists by name would take one for the other: "
			    "give --subject", PQgetvalue(res, row, 0));
		X509_free(x);
		x = NULL;
		certs_free(&certs);
	}
	PQclear(res);
	return rc;
}

int
castore_check(X509 *x, EVP_PKEY *key, struct err *err)
{
	time_t now = time(NULL);

	if (ca_key_check(X509_get0_pubkey(x), "the ca's key", err) != 0)
		return -1;
	if (key != NULL && EVP_PKEY_eq(X509_get0_pubkey(x), key) != 1)
		return err_set(err, ERR_DENIED,
		    "the key does not belong to the certificate");
	/* 1 = basicConstraints says so; other values are guesses. */
	if (X509_check_ca(x) != 1)
		return err_set(err, ERR_DENIED,
		    "the certificate is not a ca ([RFC5280] 4.2.1.9)");
	if ((X509_get_key_usage(x) & KU_KEY_CERT_SIGN) == 0)
		return err_set(err, ERR_DENIED,
		    "key usage lacks keyCertSign ([RFC5280] 4.2.1.3)");
	if ((X509_get_key_usage(x) & KU_CRL_SIGN) == 0)
		return err_set(err, ERR_DENIED, "key usage lacks cRLSign: no "
		    "revocation lists ([RFC5280] 4.2.1.3)");
	if (X509_get0_subject_key_id(x) == NULL)
		return err_set(err, ERR_DENIED,
		    "no subject key identifier ([RFC5280] 4.2.1.2)");
	if (cert_unix(X509_get0_notAfter(x)) <= now ||
	    cert_unix(X509_get0_notBefore(x)) > now)
		return err_set(err, ERR_DENIED,
		    "the certificate is not valid now");
	return 0;
}

int
castore_check_chain(const struct certs *all, struct err *err)
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

/* Does this file hold a certificate for that key, beside a private key? */
static bool
is_key_of(const char *dir, const char *file, EVP_PKEY *root, char **key)
{
	struct err ignored = ERR_INIT;
	size_t n = strlen(file) - 4;		/* without ".pem" */
	char *name = xstrndup(file, n), *pem = file_path(dir, file, "");
	struct certs certs = { 0 };
	X509 *x = NULL;
	bool is = false;

	*key = file_path(dir, name, ".key");
	if (file_exists(*key) && certs_read(&certs, pem, &ignored) == 0 &&
	    (x = certs_x509(&certs, 0, &ignored)) != NULL)
		is = EVP_PKEY_eq(X509_get0_pubkey(x), root) == 1;
	X509_free(x);
	certs_free(&certs);
	free(name);
	free(pem);
	if (!is) {
		free(*key);
		*key = NULL;
	}
	return is;
}

static int
is_pem(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 4 && strcmp(e->d_name + n - 4, ".pem") == 0;
}

int
castore_no_root_key(struct cli *c, const struct certs *all, struct err *err)
{
	X509 *root = all->n > 1 ? certs_x509(all, all->n - 1, err) : NULL;
	struct dirent **e = NULL;
	int i, n, rc = 0;
	char *key;

	if (all->n < 2)
		return 0;	/* one tier, by its operator's choice */
	if (root == NULL)
		return -1;
	n = scandir(c->conf->ca_dir, &e, is_pem, alphasort);
	for (i = 0; i < n; i++) {
		if (rc == 0 && is_key_of(c->conf->ca_dir, e[i]->d_name,
		    X509_get0_pubkey(root), &key)) {
			rc = err_set(err, ERR_DENIED, "%.120s: the root's "
			    "private key is on a signer's host: take it away "
			    "first", key);
			free(key);
		}
		free(e[i]);
	}
	free(e);
	X509_free(root);
	return rc;
}

const struct out_col castore_cols[] = {
	{ "name", OUT_TEXT }, { "subject", OUT_TEXT }, { "issuer", OUT_TEXT },
	{ "serial", OUT_TEXT }, { "not_before", OUT_TEXT },
	{ "not_after", OUT_TEXT }, { "key", OUT_TEXT },
	{ "sha256", OUT_TEXT }, { "issuers", OUT_NUMBER },
	{ "ca", OUT_TEXT }, { "in_use", OUT_BOOL }, { NULL, OUT_TEXT }
};

static void
add_text(struct out *o, struct buf *b)
{
	out_add(o, buf_str(b));
	buf_reset(b);
}

int
castore_row(struct out *o, const struct ca_state *state,
    const struct certs *all, struct err *err)
{
	X509 *x = certs_x509(all, 0, err);
	struct buf b = { 0 };
	uint8_t md[32];

	if (x == NULL)
		return -1;
	out_add(o, state->name);
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
	digest_sha256(buf_slice(&all->der[0]), md);
	buf_hex(&b, md, sizeof md);
	add_text(o, &b);
	out_num(o, (int64_t)all->n - 1);
	out_add(o, state->of);
	out_add(o, state->in_use);
	buf_free(&b);
	X509_free(x);
	return 0;
}

int
castore_print(struct cli *c, const char *name, const struct certs *all,
    struct err *err)
{
	const struct ca_state state = { name, NULL, NULL };
	struct out *o = out_new(castore_cols, OUT_RECORD);

	if (castore_row(o, &state, all, err) != 0) {
		out_free(o);
		return -1;
	}
	return cli_print(c, o, err);
}
