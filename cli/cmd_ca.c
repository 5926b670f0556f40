/* ca create, import, show, export: CAs of a deployment on a signer's host. */
#include "commands.h"

#include <stdlib.h>

#include "cakeyfile.h"
#include "camake.h"
#include "castore.h"
#include "catoken.h"
#include "crlbefore.h"

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
	CATOKEN_OPTS,
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_import[] = {
	{ "cert", "FILE", "CA certificate, PEM or DER", false },
	{ "key", "FILE", "its private key, PEM", false },
	{ "passphrase-file", "FILE", "passphrase of the key file", false },
	CATOKEN_THERE_OPTS,
	{ "chain", "FILE", "issuers up to the root, PEM", false },
	{ "crl", "FILE", "its last complete revocation list: ours go on "
	    "behind it", false },
	{ "airgap", NULL, "without --key: the key is behind an air gap",
	    false },
	{ "of", "CA", "there it is the next key of this CA", false },
	{ "replace", NULL, "there it is the next certificate of the same "
	    "key", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_export[] = {
	{ "format", "pem|der|p7b", "default pem", false },
	{ "root", NULL, "the root instead of the issuing CA", false },
	{ "chain", NULL, "with all issuers up to the root", false },
	{ "o", "FILE", "write to FILE instead of standard output", false },
	{ NULL, NULL, NULL, false }
};

/*
 * Private key first: a certificate without its key would be no use.  NULL: it
 * is in a token.
 */
static int
keep_files(struct cli *c, const struct ca_row *row, EVP_PKEY *key,
    struct err *err)
{
	if (key != NULL && ca_key_save(key, c->conf->ca_dir, row->name, NULL,
	    err) != 0)
		return -1;
	return castore_save_certs(c, row->name, row->all, false, err);
}

static int
keep(struct cli *c, const struct ca_row *row, EVP_PKEY *key, struct err *err)
{
	if (keep_files(c, row, key, err) != 0)
		return -1;
	return castore_register(c, row, err);
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

struct tier {			/* of a hierarchy of one or two */
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

/* NAME-root.pem, .key and .pass in ca-dir, to be taken away (operations.md). */
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
	    ca_key_save(root->key, c->conf->ca_dir, root_name, NULL,
	    err) == 0 &&
	    castore_save(c, root_name, ".pem", &certs, err) == 0)
		rc = 0;
	certs_free(&certs);
	free(root_name);
	return rc;
}

/* root_plan NULL: one tier.  What was made goes away again on failure. */
static int
create(struct cli *c, const char *name, const struct ca_plan *root_plan,
    struct ca_plan *plan, struct catoken *token, struct err *err)
{
	struct tier root = { 0 }, issuing = { 0 };
	struct certs all = { 0 };
	int rc = 0;

	/* Before all else: a token that is away is no reason for a root. */
	if ((issuing.key = catoken_new_key(token, plan->key, err)) == NULL)
		rc = -1;
	if (rc == 0 && root_plan != NULL)
		rc = make_root(c, name, root_plan, &root, err);
	plan->issuer = root.cert;
	plan->issuer_key = root.key;
	if (rc == 0 && (issuing.cert = ca_cert_new(plan, issuing.key,
	    err)) == NULL)
		rc = -1;
	if (rc == 0)
		rc = certs_add_x509(&all, issuing.cert, err);
	if (rc == 0 && root.cert != NULL)
		rc = certs_add_x509(&all, root.cert, err);
	if (rc == 0)
		rc = keep(c, &(struct ca_row){ .name = name, .all = &all },
		    token->key != NULL ? NULL : issuing.key, err);
	tier_free(&root);
	tier_free(&issuing);
	if (rc != 0) {
		castore_undo(c, name, err);
		if (err->kind != ERR_UNAVAILABLE)
			catoken_undo(token);
	} else
		rc = castore_print(c, name, &all, err);
	certs_free(&all);
	return rc;
}

/* Both tiers; root keeps its default where there is one tier alone. */
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
	struct catoken token;
	char *subject, *root_subject;
	int rc;

	if (plans(c, a, &root, &plan, err) != 0 ||
	    castore_absent(c, name, err) != 0 ||
	    catoken_take(c, a, &token, err) != 0)
		return -1;
	subject = default_subject(name, "");
	root_subject = default_subject(name, " Root");
	plan.subject = args_has(a, "subject") ? args_get(a, "subject") :
	    subject;
	root.subject = args_has(a, "root-subject") ?
	    args_get(a, "root-subject") : root_subject;
	rc = create(c, name, args_has(a, "no-root") ? NULL : &root, &plan,
	    &token, err);
	catoken_free(&token);
	free(subject);
	free(root_subject);
	return rc;
}

/* From here on signers leave its requests to the rounds of an air gap. */
static int
set_apart(struct cli *c, const char *name, struct err *err)
{
	PGresult *res = cli_query(c, "airgap_add_ca", &name, 1, err);

	PQclear(res);
	return res == NULL ? -1 : 0;
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

struct import {
	const char	*name, *of;
	bool		 apart, replace, listed;
	struct certs	 all;
	struct crlbefore list;		/* if listed */
	struct catoken	 token;
	EVP_PKEY	*key;		/* NULL: it is apart */
	X509		*cert;
};

/* What the options say, before a file is looked at. */
static int
take_import(struct cli *c, const struct args *a, struct import *in,
    struct err *err)
{
	in->name = a->pos[0];
	in->of = args_get(a, "of");
	in->apart = args_has(a, "airgap");
	in->replace = args_has(a, "replace");
	in->listed = args_has(a, "crl");
	if (!args_has(a, "cert") || args_has(a, "key") + in->apart +
	    args_has(a, "token") != 1)
		return cli_usage(c, err, "--cert is needed, and one of --key, "
		    "--token, --airgap");
	if ((in->of != NULL || in->replace) && !in->apart)
		return cli_usage(c, err, "--of and --replace need --airgap: "
		    "for a key that is here there is ca install");
	if (in->of != NULL && in->replace)
		return cli_usage(c, err, "--of and --replace exclude each "
		    "other");
	if (in->apart && in->listed)
		return cli_usage(c, err, "--crl excludes --airgap: a vault "
		    "begins its lists with 1");
	if (args_has(a, "passphrase-file") && !args_has(a, "key"))
		return cli_usage(c, err, "--passphrase-file needs --key");
	return catoken_take(c, a, &in->token, err);
}

static int
read_key(const struct args *a, struct import *in, struct err *err)
{
	if (in->apart)
		return 0;
	in->key = in->token.key != NULL ? catoken_key(&in->token, err) :
	    ca_key_load(args_get(a, "key"), args_get(a, "passphrase-file"),
	    err);
	return in->key == NULL ? -1 : 0;
}

/* The files: of one CA, whole up to its root, with its key if it is here. */
static int
read_import(const struct args *a, struct import *in, struct err *err)
{
	if (certs_read(&in->all, args_get(a, "cert"), err) != 0 ||
	    (args_has(a, "chain") &&
	    certs_read(&in->all, args_get(a, "chain"), err) != 0) ||
	    read_key(a, in, err) != 0 ||
	    (in->cert = certs_x509(&in->all, 0, err)) == NULL ||
	    castore_check(in->cert, in->key, err) != 0 ||
	    (in->listed && crlbefore_read(args_get(a, "crl"), in->cert,
	    &in->list, err) != 0))
		return -1;
	return castore_check_chain(&in->all, err);
}

/* res: airgap_wishes, a row for each key behind an air gap. */
static bool
is_apart(const PGresult *res, const char *name)
{
	int row;

	for (row = 0; row < PQntuples(res); row++)
		if (strcmp(PQgetvalue(res, row, 0), name) == 0)
			return true;
	return false;
}

/* No request is here that tells what was asked for: the last one does. */
static int
compare_last(const struct import *in, const struct certs *now,
    struct err *err)
{
	X509 *x = certs_x509(now, 0, err);
	int rc = x == NULL ? -1 : 0;

	if (rc == 0 && slice_eq(buf_slice(&now->der[0]),
	    buf_slice(&in->all.der[0])))
		rc = err_set(err, ERR_DENIED,
		    "this is the certificate that it has already");
	else if (rc == 0 && (EVP_PKEY_eq(X509_get0_pubkey(x),
	    X509_get0_pubkey(in->cert)) != 1 || X509_NAME_cmp(
	    X509_get_subject_name(x), X509_get_subject_name(in->cert)) != 0))
		rc = err_set(err, ERR_DENIED, "the certificate is for another "
		    "key or subject than the one that ca %.64s has: --of "
		    "makes it the next key", in->name);
	X509_free(x);
	return rc;
}

/* --replace: of a key that is apart, and the next of what it has now. */
static int
check_last(struct cli *c, const struct import *in, struct err *err)
{
	PGresult *res = cli_query(c, "airgap_wishes", NULL, 0, err);
	struct certs now = { 0 };
	int rc = res == NULL ? -1 : load(c, in->name, &now, err);

	if (rc == 0 && !is_apart(res, in->name))
		rc = err_set(err, ERR_DENIED, "the key of ca %.64s is here: "
		    "ca install --replace", in->name);
	if (rc == 0)
		rc = compare_last(in, &now, err);
	certs_free(&now);
	PQclear(res);
	return rc;
}

/* Files first: the row tells signers to read them (signer/caset.c). */
static int
replace_import(struct cli *c, const struct import *in, struct err *err)
{
	const struct ca_row row = { .name = in->name, .all = &in->all };

	if (check_last(c, in, err) != 0 ||
	    castore_save_certs(c, in->name, &in->all, true, err) != 0)
		return -1;
	return castore_replace(c, &row, err);
}

/* All rows or none: no list may be made that lacks what is revoked. */
static int
register_import(struct cli *c, struct import *in, const struct ca_row *row,
    struct err *err)
{
	bool in_doubt;

	if (db_begin(c->db, err) != 0)
		return -1;
	if (castore_register(c, row, err) == 0 && (!in->apart ||
	    set_apart(c, in->name, err) == 0) && (!in->listed ||
	    crlbefore_put(c, in->name, &in->list, err) == 0))
		return db_commit(c->db, &in_doubt, err);
	db_rollback(c->db);
	return -1;
}

/* The first key of a CA, or its next. */
static int
add_import(struct cli *c, struct import *in, struct err *err)
{
	const struct ca_row row = { .name = in->name, .of = in->of,
	    .all = &in->all };
	struct certs of = { 0 };
	int rc = 0;

	if (in->of != NULL && (load(c, in->of, &of, err) != 0 ||
	    castore_other_subject(c, in->of, X509_get_subject_name(in->cert),
	    err) != 0))
		rc = -1;
	certs_free(&of);
	if (rc != 0)
		return -1;
	rc = keep_files(c, &row, in->token.key != NULL ? NULL : in->key, err);
	if (rc == 0)
		rc = register_import(c, in, &row, err);
	if (rc != 0)
		castore_undo(c, in->name, err);
	return rc;
}

int
cmd_ca_import(struct cli *c, const struct args *a, struct err *err)
{
	struct import in = { .name = NULL };
	int rc = -1;

	if (take_import(c, a, &in, err) == 0 &&
	    (in.replace || castore_absent(c, in.name, err) == 0) &&
	    read_import(a, &in, err) == 0 &&
	    (in.replace ? replace_import(c, &in, err) :
	    add_import(c, &in, err)) == 0)
		rc = castore_print(c, in.name, &in.all, err);
	certs_free(&in.all);
	crlbefore_free(&in.list);
	EVP_PKEY_free(in.key);
	catoken_free(&in.token);
	X509_free(in.cert);
	return rc;
}

int
cmd_ca_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *name = a->npos > 0 ? a->pos[0] : NULL;
	struct out *o = out_new(castore_cols, OUT_RECORD);
	PGresult *res = cli_query(c, "ca_names", &name, 1, err);
	struct certs all = { 0 };
	int row, rc = res == NULL ? -1 : 0;

	if (rc == 0 && PQntuples(res) == 0 && name != NULL)
		rc = no_such_ca(name, err);
	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		rc = load(c, PQgetvalue(res, row, 0), &all, err);
		if (rc == 0)
			rc = castore_row(o, &(struct ca_state){
			    PQgetvalue(res, row, 0), PQgetvalue(res, row, 1),
			    PQgetvalue(res, row, 2) }, &all, err);
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
		rc = cli_export(c, &some, a, err);
	certs_free(&all);
	return rc;
}
