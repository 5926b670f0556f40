/*
 * ca create-root, sign-subordinate, root-crl: what happens on a root's own
 * host; no database, no configuration needed.
 */
#include "commands.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cakeyfile.h"
#include "caroot.h"
#include "castore.h"
#include "file.h"

#define PASSPHRASE	{ "passphrase-file", "FILE", \
	"passphrase of the root's key (default ROOT.pass)", false }

const struct opt opts_ca_create_root[] = {
	{ "subject", "DN", "required: subject, most specific part first",
	    false },
	{ "key", "KIND", "rsa:3072, rsa:4096, ec:P-256, ec:P-384 (default)",
	    false },
	{ "years", "N", "life (default 20)", false },
	{ "pathlen", "N", "how many cas may stand below each other "
	    "(default: no limit)", false },
	{ "passphrase-file", "FILE", "encrypt the key with this passphrase "
	    "(default: a random one, ROOT.pass)", false },
	{ "replaces", "ROOT", "also make both cross certificates with an "
	    "older root of this host", false },
	{ "old-passphrase-file", "FILE", "passphrase of that one's key",
	    false },
	CATOKEN_OPTS, CATOKEN_OLD_OPTS,
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_sign_subordinate[] = {
	{ "subject", "DN", "required: whom the request must be from", false },
	{ "years", "N", "life (default 10)", false },
	{ "pathlen", "N", "how many cas may stand below it (default 0)",
	    false },
	{ "permit", "NAME", "only names below: dns:HOST, email:HOST, "
	    "uri:HOST, ip:NET/BITS; may be repeated", true },
	{ "exclude", "NAME", "no names below; may be repeated", true },
	{ "eku", "PURPOSE", "only these purposes; may be repeated", true },
	{ "cdp", "URL", "where the root's revocation list will be", false },
	{ "aia", "URL", "where the root's certificate will be", false },
	PASSPHRASE, CATOKEN_ROOT_OPTS,
	{ "o", "FILE", "required: the new certificate, the root behind it",
	    false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_ca_root_crl[] = {
	{ "days", "N", "life of the list (default 180)", false },
	{ "revoke", "SERIAL", "revoke a certificate of this root first",
	    false },
	{ "reason", "NAME", "why: cACompromise, keyCompromise, superseded, "
	    "cessationOfOperation, affiliationChanged, unspecified", false },
	PASSPHRASE, CATOKEN_ROOT_OPTS,
	{ "o", "FILE", "required: the list, DER", false },
	{ NULL, NULL, NULL, false }
};

/* Would a root here lie on a signer's host?  Without a configuration: no. */
static int
refuse_signer_host(struct cli *c, const struct root *r, struct err *err)
{
	struct err none = ERR_INIT;
	char dir[PATH_MAX], ca_dir[PATH_MAX];
	size_t n;

	if (cli_conf(c, &none) != 0 || realpath(r->dir, dir) == NULL ||
	    realpath(c->conf->ca_dir, ca_dir) == NULL)
		return 0;
	n = strlen(ca_dir);
	if (strncmp(dir, ca_dir, n) == 0 && (dir[n] == '\0' || dir[n] == '/'))
		return err_set(err, ERR_DENIED, "%.100s is the ca-dir of a "
		    "signer's host: a root's key belongs on a host without a "
		    "network", dir);
	return 0;
}

/* A number, or "none" = no limit. */
static int
take_pathlen(const struct args *a, int *out, struct err *err)
{
	int64_t n = *out;

	if (args_has(a, "pathlen") &&
	    strcmp(args_get(a, "pathlen"), "none") == 0) {
		*out = -1;
		return 0;
	}
	if (args_num(a, "pathlen", 0, 6, &n, err) != 0)
		return -1;
	*out = (int)n;
	return 0;
}

/* The certificate and the root behind it, as ca install takes them. */
static int
write_chain(X509 *x, X509 *root, const char *path, struct err *err)
{
	struct certs all = { 0 };
	struct buf pem = { 0 };
	int rc = -1;

	if (certs_add_x509(&all, x, err) == 0 &&
	    certs_add_x509(&all, root, err) == 0) {
		certs_pem(&all, 0, &pem);
		rc = file_create(path, 0644, buf_slice(&pem), err);
	}
	buf_free(&pem);
	certs_free(&all);
	return rc;
}

static int
print_x509(struct cli *c, const char *name, X509 *x, struct err *err)
{
	struct certs all = { 0 };
	int rc = certs_add_x509(&all, x, err);

	if (rc == 0)
		rc = castore_print(c, name, &all, err);
	certs_free(&all);
	return rc;
}

/* DIR/A-by-B.pem: A's key and name, signed by B. */
static int
cross(struct root *by, struct root *of, struct err *err)
{
	X509 *x = root_cross(by, of->cert, err);
	struct buf path = { 0 };
	int rc = -1;

	buf_printf(&path, "%s/%s-by-%s.pem", of->dir, of->name, by->name);
	if (x != NULL)
		rc = write_chain(x, by->cert, buf_str(&path), err);
	X509_free(x);
	buf_free(&path);
	return rc;
}

/* [RFC5280] 6.3.3 finds a list by its issuer's name. */
static int
check_replaced(const struct root *old, const char *subject, struct err *err)
{
	X509_NAME *name = ca_name_parse(subject, err);
	int rc = 0;

	if (name == NULL)
		return -1;
	if (X509_NAME_cmp(name, X509_get_subject_name(old->cert)) == 0)
		rc = err_set(err, ERR_DENIED, "the old root has this subject: "
		    "two keys of one name get each other's revocation lists");
	X509_NAME_free(name);
	return rc;
}

/* What a key in a file needs says nothing of one in a token. */
static int
check_token(struct cli *c, const struct args *a, const struct catoken *t,
    const char *passphrase, struct err *err)
{
	if (t->key == NULL || !args_has(a, passphrase))
		return 0;
	return cli_usage(c, err, "--%s is for a key in a file", passphrase);
}

static int
open_root(struct cli *c, const struct args *a, struct root *r,
    struct catoken *t, struct err *err)
{
	if (catoken_take(c, a, t, err) != 0 ||
	    check_token(c, a, t, "passphrase-file", err) != 0)
		return -1;
	return root_open(r, a->pos[0], t, args_get(a, "passphrase-file"),
	    err);
}

struct making {			/* a root, perhaps in place of an old one */
	struct root	 root, old;
	struct catoken	 token, old_token;
	struct ca_plan	 plan;
};

static int
take_tokens(struct cli *c, const struct args *a, struct making *m,
    struct err *err)
{
	if (catoken_take(c, a, &m->token, err) != 0 ||
	    check_token(c, a, &m->token, "passphrase-file", err) != 0 ||
	    catoken_take_old(c, a, &m->token, &m->old_token, err) != 0 ||
	    check_token(c, a, &m->old_token, "old-passphrase-file",
	    err) != 0)
		return -1;
	if (!args_has(a, "replaces") && (m->old_token.key != NULL ||
	    args_has(a, "old-passphrase-file")))
		return cli_usage(c, err, "--old-token needs --replaces, and "
		    "so does --old-passphrase-file");
	return 0;
}

/* The old one first: what is wrong with it is no reason for a new key. */
static int
create_root(struct making *m, const struct args *a, struct err *err)
{
	const char *old = args_get(a, "replaces");

	if (old != NULL && (root_open(&m->old, old, &m->old_token,
	    args_get(a, "old-passphrase-file"), err) != 0 ||
	    check_replaced(&m->old, m->plan.subject, err) != 0))
		return -1;
	if (root_create(&m->root, &m->plan, &m->token,
	    args_get(a, "passphrase-file"), err) != 0)
		return -1;
	if (old != NULL && (cross(&m->old, &m->root, err) != 0 ||
	    cross(&m->root, &m->old, err) != 0))
		return -1;
	return 0;
}

/* Before a token is opened, or people have come together. */
static int
check_plan(struct cli *c, const struct ca_plan *plan, struct err *err)
{
	if (ca_plan_check(plan, err) == 0 &&
	    (plan->key == NULL || ca_key_kind(plan->key, err) == 0))
		return 0;
	c->code = EXIT_USAGE;
	return -1;
}

/* Whose certificate it is, and how far it goes; the rest has its default. */
static int
take_terms(struct cli *c, const struct args *a, struct ca_plan *plan,
    struct err *err)
{
	plan->subject = args_get(a, "subject");
	if (plan->subject == NULL)
		return cli_usage(c, err, "--subject is required");
	if (args_num(a, "years", 1, 40, &plan->years, err) != 0 ||
	    take_pathlen(a, &plan->pathlen, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	return 0;
}

int
caroot_plan(struct cli *c, const struct args *a, struct ca_plan *plan,
    struct err *err)
{
	plan->years = 20;
	plan->pathlen = -1;
	plan->key = args_has(a, "key") ? args_get(a, "key") : "ec:P-384";
	if (take_terms(c, a, plan, err) != 0)
		return -1;
	if (plan->pathlen == 0)
		return cli_usage(c, err,
		    "--pathlen 0: no ca could stand below this root");
	return check_plan(c, plan, err);
}

int
cmd_ca_create_root(struct cli *c, const struct args *a, struct err *err)
{
	struct making m = { .plan = { .subject = NULL } };
	int rc = -1;

	if (caroot_plan(c, a, &m.plan, err) == 0 &&
	    root_path(&m.root, a->pos[0], err) == 0 &&
	    refuse_signer_host(c, &m.root, err) == 0 &&
	    take_tokens(c, a, &m, err) == 0 && create_root(&m, a, err) == 0)
		rc = print_x509(c, m.root.name, m.root.cert, err);
	root_free(&m.root);
	root_free(&m.old);
	catoken_free(&m.old_token);
	catoken_free(&m.token);
	return rc;
}

/*
 * The file comes after the register: what could not be written was signed all
 * the same, and the register says so.
 */
static int
sign(struct cli *c, struct root *r, const struct args *a,
    struct ca_plan *plan, struct err *err)
{
	X509_REQ *req = ca_request_read(a->pos[1], err);
	X509 *x = NULL;
	int rc = -1;

	if (req != NULL && ca_request_check(req, plan, err) == 0) {
		/* The CA's own bytes: it repeats them in what it issues. */
		plan->name = X509_REQ_get_subject_name(req);
		x = root_sign(r, plan, X509_REQ_get0_pubkey(req), err);
	}
	if (x != NULL && write_chain(x, r->cert, args_get(a, "o"), err) == 0)
		rc = print_x509(c, a->pos[1], x, err);
	X509_free(x);
	X509_REQ_free(req);
	return rc;
}

int
caroot_sub_plan(struct cli *c, const struct args *a, struct ca_plan *plan,
    struct err *err)
{
	plan->years = 10;
	plan->aia = args_get(a, "aia");
	plan->cdp = args_get(a, "cdp");
	if (take_terms(c, a, plan, err) != 0)
		return -1;
	args_list(a, "permit", &plan->permit);
	args_list(a, "exclude", &plan->exclude);
	args_list(a, "eku", &plan->eku);
	return check_plan(c, plan, err);
}

int
cmd_ca_sign_subordinate(struct cli *c, const struct args *a, struct err *err)
{
	struct root r = { NULL, NULL, NULL, NULL };
	struct ca_plan plan = { .subject = NULL };
	struct catoken token = { NULL, NULL, false };
	int rc = -1;

	if (!args_has(a, "subject") || !args_has(a, "o"))
		return cli_usage(c, err, "--subject and -o are required");
	if (caroot_sub_plan(c, a, &plan, err) == 0 &&
	    open_root(c, a, &r, &token, err) == 0)
		rc = sign(c, &r, a, &plan, err);
	ca_plan_free(&plan);
	root_free(&r);
	catoken_free(&token);
	return rc;
}

/* [RFC5280] 5.3.1, those that make sense for a CA. */
static int
take_reason(struct cli *c, const struct args *a, unsigned *out,
    struct err *err)
{
	static const struct {
		const char	*name;
		unsigned	 code;
	} reasons[] = {
		{ "unspecified", 0 }, { "keyCompromise", 1 },
		{ "cACompromise", 2 }, { "affiliationChanged", 3 },
		{ "superseded", 4 }, { "cessationOfOperation", 5 }
	};
	const char *name = args_get(a, "reason");
	size_t i;

	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (name != NULL && strcasecmp(name, reasons[i].name) == 0) {
			*out = reasons[i].code;
			return 0;
		}
	return cli_usage(c, err, "--revoke needs --reason: cACompromise, "
	    "keyCompromise, superseded, cessationOfOperation, "
	    "affiliationChanged or unspecified");
}

int
caroot_crl_plan(struct cli *c, const struct args *a, struct crl_plan *plan,
    struct err *err)
{
	char *p;

	plan->days = 180;
	if (args_has(a, "reason") && !args_has(a, "revoke"))
		return cli_usage(c, err, "--reason needs --revoke");
	if (args_num(a, "days", 1, 3660, &plan->days, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if (args_has(a, "revoke") && (serial_parse(c, args_get(a, "revoke"),
	    plan->revoke, err) != 0 ||
	    take_reason(c, a, &plan->reason, err) != 0))
		return -1;
	for (p = plan->revoke; *p != '\0'; p++)	/* as the register has it */
		*p = (char)toupper((unsigned char)*p);
	return 0;
}

int
cmd_ca_root_crl(struct cli *c, const struct args *a, struct err *err)
{
	struct root r = { NULL, NULL, NULL, NULL };
	struct catoken token = { NULL, NULL, false };
	struct crl_plan plan = { .days = 0 };
	struct buf der = { 0 };
	int rc = -1;

	if (!args_has(a, "o"))
		return cli_usage(c, err, "-o is required");
	if (caroot_crl_plan(c, a, &plan, err) == 0 &&
	    open_root(c, a, &r, &token, err) == 0 &&
	    (*plan.revoke == '\0' ||
	    root_revoke(&r, plan.revoke, plan.reason, err) == 0) &&
	    root_crl(&r, plan.days, &der, err) == 0)
		rc = file_put(args_get(a, "o"), 0644, buf_slice(&der), err);
	buf_free(&der);
	root_free(&r);
	catoken_free(&token);
	return rc != 0 ? -1 : cli_written(c, args_get(a, "o"), err);
}
