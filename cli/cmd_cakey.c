/*
 * ca request, install, rollover, activate: keys and certificates of issuing
 * CAs, on a signer's host.
 */
#include "commands.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cakeyfile.h"
#include "camake.h"
#include "castore.h"
#include "catoken.h"
#include "file.h"

#define KEY	{ "key", "KIND", \
	"rsa:3072, rsa:4096, ec:P-256 (default), ec:P-384", false }

const struct opt opts_ca_request[] = {
	{ "subject", "DN", "subject, most specific part first (default "
	    "CN=NAME)", false },
	KEY, CATOKEN_OPTS,
	{ "o", "FILE", "write the request here too (\"-\" = standard "
	    "output)", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_install[] = {
	{ "chain", "FILE", "issuers up to the root, PEM, where CERTIFICATE "
	    "does not have them", false },
	{ "of", "CA", "it is the next key of this CA", false },
	{ "replace", NULL, "it is the next certificate of the same key",
	    false },
	{ "also", "FILE", "cross certificates that answers carry too, PEM",
	    false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_rollover[] = {
	{ "same-key", NULL, "the next certificate for the key there is",
	    false },
	{ "as", "NAME", "name of the next key (default NAME-2, NAME-3 ...)",
	    false },
	{ "subject", "DN", "its subject, another than before (default CN= "
	    "and that name)", false },
	KEY, CATOKEN_OPTS,
	{ "o", "FILE", "write the request here too (\"-\" = standard "
	    "output)", false },
	{ NULL, NULL, NULL, false }
};

/* Then nothing else is printed there. */
static bool
to_stdout(const struct args *a)
{
	return args_has(a, "o") && strcmp(args_get(a, "o"), "-") == 0;
}

/* NAME.csr, and where the operator wants it. */
static int
write_request(struct cli *c, const char *name, X509_REQ *req,
    const struct args *a, struct err *err)
{
	char *path = file_path(c->conf->ca_dir, name, ".csr");
	int rc = ca_request_write(req, path, err);

	if (rc == 0 && args_has(a, "o"))
		rc = ca_request_write(req, args_get(a, "o"), err);
	if (rc == 0 && !to_stdout(a)) {
		if (!c->json)
			printf("request: %s\n", path);
		rc = cli_written(c, path, err);
	}
	free(path);
	return rc;
}

/* A new key and its request; what was made goes away on failure. */
static int
make_request(struct cli *c, const char *name, const X509_NAME *subject,
    const struct args *a, struct err *err)
{
	const char *kind = args_has(a, "key") ? args_get(a, "key") :
	    "ec:P-256";
	struct catoken token;
	EVP_PKEY *key = NULL;
	X509_REQ *req = NULL;
	int rc = -1;

	if (ca_key_kind(kind, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if (catoken_take(c, a, &token, err) != 0)
		return -1;
	if ((key = catoken_new_key(&token, kind, err)) != NULL &&
	    ca_key_strong(key, "--key", err) == 0 &&
	    (req = ca_request_new(subject, key, err)) != NULL &&
	    (token.key != NULL || ca_key_save(key, c->conf->ca_dir, name,
	    NULL, err) == 0))
		rc = write_request(c, name, req, a, err);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	if (rc != 0) {
		castore_undo(c, name, err);
		catoken_undo(&token);
	}
	catoken_free(&token);
	return rc;
}

/* The subject that was given, or CN=NAME.  X509_NAME_free by the caller. */
static X509_NAME *
subject_of(const char *name, const struct args *a, struct err *err)
{
	X509_NAME *dn;
	char *text = NULL;

	if (args_has(a, "subject"))
		return ca_name_parse(args_get(a, "subject"), err);
	if (asprintf(&text, "CN=%s", name) < 0)
		abort();
	dn = ca_name_parse(text, err);
	free(text);
	return dn;
}

int
cmd_ca_request(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->pos[0];
	X509_NAME *subject = NULL;
	int rc = -1;

	if (castore_absent(c, name, err) == 0 &&
	    (subject = subject_of(name, a, err)) != NULL)
		rc = make_request(c, name, subject, a, err);
	X509_NAME_free(subject);
	return rc;
}

/* What "ca request" or "ca rollover" asked for. */
static X509_REQ *
asked(struct cli *c, const char *name, struct err *err)
{
	char *path = file_path(c->conf->ca_dir, name, ".csr");
	X509_REQ *req = NULL;

	if (!file_exists(path))
		err_set(err, ERR_DENIED, "%.120s is missing: countersign ca "
		    "request or ca rollover makes key and request", path);
	else
		req = ca_request_read(path, err);
	free(path);
	return req;
}

/* Key and subject are ours to say; everything else is the issuer's. */
static int
check_asked(X509 *x, X509_REQ *req, struct err *err)
{
	struct buf has = { 0 };
	int rc = 0;

	if (EVP_PKEY_eq(X509_get0_pubkey(x), X509_REQ_get0_pubkey(req)) != 1)
		rc = err_set(err, ERR_DENIED, "the certificate is for another "
		    "key than the last request");
	else if (X509_NAME_cmp(X509_get_subject_name(x),
	    X509_REQ_get_subject_name(req)) != 0) {
		cert_name(X509_get_subject_name(x), &has);
		rc = err_set(err, ERR_DENIED, "the certificate is for "
		    "\"%.80s\", which was not asked for", buf_str(&has));
	}
	buf_free(&has);
	return rc;
}

/* What verifying the CA's own certificate does not show. */
static int
check_below(const struct certs *all, struct err *err)
{
	X509 *x, *up;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i + 1 < all->n; i++) {
		x = certs_x509(all, i, err);
		up = certs_x509(all, i + 1, err);
		if (x == NULL || up == NULL)
			rc = -1;
		else if (ASN1_TIME_compare(X509_get0_notAfter(x),
		    X509_get0_notAfter(up)) > 0)
			rc = err_set(err, ERR_DENIED, "certificate %zu of the "
			    "chain outlives its issuer", i + 1);
		/* The CA itself counts, too: something stands below it. */
		else if (X509_get_pathlen(up) >= 0 &&
		    (size_t)X509_get_pathlen(up) < i + 1)
			rc = err_set(err, ERR_DENIED, "certificate %zu of the "
			    "chain: its path length of %ld allows no such ca "
			    "below it ([RFC5280] 4.2.1.9)", i + 2,
			    X509_get_pathlen(up));
		X509_free(x);
		X509_free(up);
	}
	return rc;
}

/* As relying parties will: path lengths, times, key usage of all. */
static int
verify(const struct certs *all, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	X509 *leaf = certs_x509(all, 0, err);
	X509 *root = certs_x509(all, all->n - 1, err), *x;
	size_t i;
	int rc = -1;

	for (i = 1; between != NULL && i + 1 < all->n; i++)
		if ((x = certs_x509(all, i, err)) != NULL)
			sk_X509_push(between, x);
	if (leaf == NULL || root == NULL || store == NULL || ctx == NULL ||
	    X509_STORE_add_cert(store, root) != 1 ||
	    X509_STORE_CTX_init(ctx, store, leaf, between) != 1)
		err_openssl(err, "chain");
	else if (X509_verify_cert(ctx) != 1)
		err_set(err, ERR_DENIED, "chain: %s",
		    X509_verify_cert_error_string(
		    X509_STORE_CTX_get_error(ctx)));
	else
		rc = 0;
	sk_X509_pop_free(between, X509_free);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(leaf);
	X509_free(root);
	ERR_clear_error();
	return rc;
}

/* Certificate and chain, good and what was asked for. */
static int
check_all(struct cli *c, const char *name, const struct certs *all,
    struct err *err)
{
	X509_REQ *req = asked(c, name, err);
	X509 *x = req == NULL ? NULL : certs_x509(all, 0, err);
	int rc = -1;

	if (x != NULL && check_asked(x, req, err) == 0 &&
	    ca_key_strong(X509_get0_pubkey(x), "the ca's key", err) == 0 &&
	    castore_check(x, X509_get0_pubkey(x), err) == 0 &&
	    castore_check_chain(all, err) == 0 &&
	    check_below(all, err) == 0 && verify(all, err) == 0)
		rc = castore_no_root_key(c, all, err);
	X509_free(x);
	X509_REQ_free(req);
	return rc;
}

/* Cross certificates go into each answer: nothing else may come along. */
static int
check_also(const struct certs *also, struct err *err)
{
	size_t i;
	X509 *x;
	int rc = 0;

	for (i = 0; rc == 0 && i < also->n; i++) {
		if ((x = certs_x509(also, i, err)) == NULL)
			return -1;
		if (X509_check_ca(x) != 1)
			rc = err_set(err, ERR_DENIED, "--also: certificate "
			    "%zu is no ca's", i + 1);
		X509_free(x);
	}
	return rc;
}

/* A key's CA, or NULL: "" when there is no such key. */
static int
find(struct cli *c, const char *name, char of[65], struct err *err)
{
	PGresult *res = cli_query(c, "ca_key", &name, 1, err);

	if (res == NULL)
		return -1;
	snprintf(of, 65, "%s", PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) :
	    "");
	PQclear(res);
	return 0;
}

struct install {
	const char	*name, *of;
	bool		 replace;
	bool		 over;		/* the files are there already */
	struct certs	 all, also;
};

/*
 * Nothing is written over: under a name that is taken certificates are out,
 * and what they name must stay what it was.
 */
static int
check_place(struct cli *c, const struct install *in, struct err *err)
{
	char of[65];
	int rc = 0;

	if (cli_ca_name(c, in->name, err) != 0 ||
	    find(c, in->name, of, err) != 0)
		return -1;
	if (in->replace)
		return of[0] != '\0' ? 0 : err_set(err, ERR_DENIED,
		    "ca %s is not registered: there is nothing to replace",
		    in->name);
	if (of[0] != '\0' && in->of != NULL && strcmp(of, in->of) != 0)
		return err_set(err, ERR_DENIED, "%s is registered as a key of "
		    "ca %s, and stays that: ca rollover %.40s --as NAME makes "
		    "another", in->name, of, in->of);
	if (of[0] != '\0')
		return err_set(err, ERR_DENIED, "ca %s has a certificate: "
		    "--replace gives its key another", in->name);
	if (in->of != NULL && (find(c, in->of, of, err) != 0 ||
	    strcmp(of, in->of) != 0))
		rc = err_set(err, ERR_DENIED, "--of %.64s: is no ca",
		    in->of);
	return rc;
}

/*
 * This very certificate may be in its file: of an install that was cut short
 * before the row, or whose row an older database has not.
 */
static int
check_file(struct cli *c, struct install *in, struct err *err)
{
	char *path = file_path(c->conf->ca_dir, in->name, ".pem");
	struct certs there = { 0 };
	struct stat st;
	int rc = 0;

	in->over = lstat(path, &st) == 0;
	if (in->over && !in->replace &&
	    (rc = certs_read(&there, path, err)) == 0 &&
	    (there.n != 1 || !slice_eq(buf_slice(&there.der[0]),
	    buf_slice(&in->all.der[0]))))
		rc = err_set(err, ERR_DENIED, "%.120s is there already, with "
		    "another certificate", path);
	certs_free(&there);
	free(path);
	return rc;
}

/*
 * What a policy in force promises must fit into the certificate in use, or no
 * worker and no signer loads it any more.
 */
static int
check_promises(const struct policy *p, const char *ca, struct slice cert,
    struct err *err)
{
	struct err why = ERR_INIT;

	if (policy_key_fits(p, ca, cert, &why) == 0)
		return 0;
	return err_set(err, ERR_DENIED, "publish a policy that promises less "
	    "first: %.150s", why.text);
}

/* A key that is not in use may have any. */
static int
check_replacement(struct cli *c, const struct install *in, struct err *err)
{
	struct err none = ERR_INIT;
	struct policy *p = cli_policy(c, &none);
	const struct policy_ca *ca = p == NULL ? NULL :
	    policy_key_find(p, in->name, NULL);
	int rc = 0;

	if (ca != NULL && strcmp(ca->key, in->name) == 0)
		rc = check_promises(p, ca->name, buf_slice(&in->all.der[0]),
		    err);
	policy_free(p);
	return rc;
}

/* The very same certificate again is a mistake of who carries files. */
static int
replace_row(struct cli *c, const struct install *in, struct err *err)
{
	struct certs now = { 0 };
	int rc = cli_chain(c, in->name, &now, err);

	if (rc == 0 && now.n > 0 && slice_eq(buf_slice(&now.der[0]),
	    buf_slice(&in->all.der[0])))
		rc = err_set(err, ERR_DENIED,
		    "this is the certificate that it has already");
	certs_free(&now);
	return rc;
}

/* Files first: the row tells signers to read them (signer/caset.c). */
static int
store(struct cli *c, const struct install *in, struct err *err)
{
	const struct ca_row row = { .name = in->name, .of = in->of,
	    .all = &in->all, .also = &in->also };

	if (in->replace) {
		if (replace_row(c, in, err) != 0 ||
		    check_replacement(c, in, err) != 0 ||
		    castore_save_certs(c, in->name, &in->all, true, err) != 0)
			return -1;
		return castore_replace(c, &row, err);
	}
	if (castore_save_certs(c, in->name, &in->all, in->over, err) != 0)
		return -1;
	return castore_register(c, &row, err);
}

int
cmd_ca_install(struct cli *c, const struct args *a, struct err *err)
{
	struct install in = { .name = a->pos[0], .of = args_get(a, "of"),
	    .replace = args_has(a, "replace") };
	int rc = -1;

	if (in.of != NULL && in.replace)
		return cli_usage(c, err, "--of and --replace exclude each "
		    "other");
	if (cli_conf(c, err) == 0 && check_place(c, &in, err) == 0 &&
	    certs_read(&in.all, a->pos[1], err) == 0 &&
	    (!args_has(a, "chain") ||
	    certs_read(&in.all, args_get(a, "chain"), err) == 0) &&
	    (!args_has(a, "also") ||
	    certs_read(&in.also, args_get(a, "also"), err) == 0) &&
	    check_file(c, &in, err) == 0 &&
	    check_all(c, in.name, &in.all, err) == 0 &&
	    check_also(&in.also, err) == 0)
		rc = store(c, &in, err);
	if (rc == 0)
		rc = castore_print(c, in.name, &in.all, err);
	certs_free(&in.all);
	certs_free(&in.also);
	return rc;
}

/* The CA's own, for a request in its name. */
static EVP_PKEY *
load_key(struct cli *c, const char *name, struct catoken *token,
    struct err *err)
{
	char *path, *pass;
	EVP_PKEY *key;

	if (token->key != NULL)
		return catoken_key(token, err);
	path = file_path(c->conf->ca_dir, name, ".key");
	pass = file_path(c->conf->ca_dir, name, ".pass");
	key = ca_key_load(path, pass, err);
	free(path);
	free(pass);
	return key;
}

/*
 * The request for another certificate of the key there is; with the very
 * bytes of its name, which certificates below it repeat.
 */
static int
same_key(struct cli *c, const char *name, const struct args *a,
    struct err *err)
{
	struct certs certs = { 0 };
	struct catoken token;
	X509_REQ *req = NULL;
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	int rc = -1;

	if (catoken_take(c, a, &token, err) != 0)
		return -1;
	if (cli_chain(c, name, &certs, err) == 0 &&
	    (x = certs_x509(&certs, 0, err)) != NULL &&
	    (key = load_key(c, name, &token, err)) != NULL &&
	    (req = ca_request_new(X509_get_subject_name(x), key, err)) != NULL)
		rc = write_request(c, name, req, a, err);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	X509_free(x);
	certs_free(&certs);
	catoken_free(&token);
	return rc;
}

/* Key and request under the CA's name and a number; it is in no use yet. */
static int
next_key(struct cli *c, const char *of, const struct args *a,
    struct err *err)
{
	PGresult *res = cli_query(c, "ca_keys", &of, 1, err);
	X509_NAME *subject = NULL;
	char *name = NULL;
	int rc = -1;

	if (res == NULL)
		return -1;
	if (asprintf(&name, "%s-%d", of, PQntuples(res) + 1) < 0)
		abort();
	if (args_has(a, "as")) {
		free(name);
		name = xstrdup(args_get(a, "as"));
	}
	if (castore_absent(c, name, err) == 0 &&
	    (subject = subject_of(name, a, err)) != NULL &&
	    castore_other_subject(c, of, subject, err) == 0)
		rc = make_request(c, name, subject, a, err);
	if (rc == 0 && !c->json && !to_stdout(a))
		printf("next: ca sign-subordinate on the root's host; ca "
		    "install %s CERTIFICATE --of %s; a ca section \"%s\" "
		    "with of = \"%s\" for each signer; ca activate %s\n",
		    name, of, name, of, name);
	X509_NAME_free(subject);
	free(name);
	PQclear(res);
	return rc;
}

int
cmd_ca_rollover(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->pos[0];
	char of[65];

	if (find(c, name, of, err) != 0)
		return -1;
	if (of[0] == '\0')
		return err_set(err, ERR_DENIED, "no ca %.64s", name);
	if (args_has(a, "same-key")) {
		if (args_has(a, "as") || args_has(a, "subject") ||
		    args_has(a, "key"))
			return cli_usage(c, err, "--same-key excludes --as, "
			    "--subject and --key");
		return same_key(c, name, a, err);
	}
	if (strcmp(of, name) != 0)
		return err_set(err, ERR_DENIED, "%.60s is a key of ca %.60s: "
		    "name the ca", name, of);
	return next_key(c, name, a, err);
}

/* [RFC5280] 4.2.1.13: each key's certificates name that key's list. */
static int
check_marks(const char *ca, const char *opt, const struct strlist *urls,
    struct err *err)
{
	size_t i;

	for (i = 0; i < urls->n; i++)
		if (strstr(urls->v[i], "{key}") == NULL)
			return err_set(err, ERR_DENIED, "ca %.60s: %s of the "
			    "policy is the same for every key: write {key} "
			    "where the key's name goes", ca, opt);
	return 0;
}

/*
 * Before a second key issues: one address cannot have two keys' lists, and
 * what is promised must fit into its life.
 */
static int
check_policy(struct cli *c, const char *name, struct err *err)
{
	const struct policy_key *key = NULL;
	struct policy *p = cli_policy(c, err);
	const struct policy_ca *ca = p == NULL ? NULL :
	    policy_key_find(p, name, &key);
	int rc = p == NULL ? -1 : 0;

	if (ca != NULL && (check_marks(ca->name, "cdp", &ca->cdp,
	    err) != 0 || check_marks(ca->name, "cdp-delta", &ca->cdp_delta,
	    err) != 0 || check_promises(p, ca->name, buf_slice(&key->cert),
	    err) != 0))
		rc = -1;
	policy_free(p);
	return rc;
}

/*
 * The database's function judges and changes over in one step: signers look
 * at each batch which key is in use (signer/caset.c).
 */
int
cmd_ca_activate(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->pos[0], *what = NULL;
	PGresult *res = NULL;
	int rc = -1;

	if (check_policy(c, name, err) == 0 &&
	    (res = cli_query(c, "ca_activate", &name, 1, err)) != NULL)
		what = PQgetvalue(res, 0, 0);
	if (what == NULL)
		return -1;
	if (strcmp(what, "active") == 0)
		rc = cli_tell(c, name, "issues from now on", err);
	else if (strcmp(what, "already") == 0)
		err_set(err, ERR_DENIED, "%.64s issues already", name);
	else if (strcmp(what, "absent") == 0)
		err_set(err, ERR_DENIED, "no ca or key %.64s", name);
	else
		err_set(err, ERR_DENIED, "no signer has made a revocation "
		    "list with the key %.64s: give it to the signers, and "
		    "start each again", name);
	PQclear(res);
	return rc;
}
