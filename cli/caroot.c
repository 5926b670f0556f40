/*
 * A root, on its own host, from files: sign, cross-sign, revoke, list.  Under
 * cmd_caroot.c and ceremonies; no database.
 */
#include "caroot.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cakeyfile.h"
#include "caregister.h"
#include "certfile.h"
#include "file.h"

#define DAY	86400

/* Without .pass: a passphrase may have been put there beforehand. */
static const char *const endings[] = { ".pem", ".key", ".register" };
#define NENDINGS (sizeof endings / sizeof endings[0])

/* Before the key is touched: who can write there can exchange files. */
static int
check_folder(const char *dir, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return err_set(err, ERR_DENIED, "%.120s: %s", dir,
		    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_DENIED, "%.120s: is no folder", dir);
	if ((st.st_mode & 077) != 0)
		return err_set(err, ERR_DENIED, "%.100s: mode %03o lets group "
		    "or others in: chmod 700", dir,
		    (unsigned)st.st_mode & 0777);
	return 0;
}

int
root_path(struct root *r, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;

	if (ca_name_check(name, err) != 0)
		return -1;
	r->name = xstrdup(name);
	r->dir = slash == NULL ? xstrdup(".") : slash == path ?
	    xstrdup("/") : xstrndup(path, (size_t)(slash - path));
	return check_folder(r->dir, err);
}

static int
read_certificate(struct root *r, struct err *err)
{
	char *path = file_path(r->dir, r->name, ".pem");
	struct certs all = { 0 };

	if (certs_read(&all, path, err) == 0)
		r->cert = certs_x509(&all, 0, err);
	certs_free(&all);
	free(path);
	return r->cert == NULL ? -1 : 0;
}

static EVP_PKEY *
load_key(const struct root *r, const char *passphrase_file, struct err *err)
{
	char *path = file_path(r->dir, r->name, ".key");
	char *pass = file_path(r->dir, r->name, ".pass");
	EVP_PKEY *key = NULL;

	if (!file_exists(path))
		err_set(err, ERR_DENIED, "%.120s: %s; a key in a token needs "
		    "--token", path, strerror(errno));
	else
		key = ca_key_load(path, passphrase_file != NULL ?
		    passphrase_file : pass, err);
	free(path);
	free(pass);
	return key;
}

int
root_open(struct root *r, const char *path, struct catoken *token,
    const char *passphrase_file, struct err *err)
{
	if (root_path(r, path, err) != 0 || read_certificate(r, err) != 0)
		return -1;
	r->key = token->key != NULL ? catoken_key(token, err) :
	    load_key(r, passphrase_file, err);
	if (r->key == NULL)
		return -1;
	if (X509_check_private_key(r->cert, r->key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_DENIED, "root %s: the key does not "
		    "belong to the certificate", r->name);
	}
	return 0;
}

void
root_free(struct root *r)
{
	free(r->dir);
	free(r->name);
	X509_free(r->cert);
	EVP_PKEY_free(r->key);		/* wipes */
	memset(r, 0, sizeof *r);
}

static int
refuse_existing(const struct root *r, struct err *err)
{
	struct stat st;
	char *path;
	size_t i;
	int rc = 0;

	for (i = 0; i < NENDINGS && rc == 0; i++) {
		path = file_path(r->dir, r->name, endings[i]);
		if (lstat(path, &st) == 0)
			rc = err_set(err, ERR_DENIED,
			    "%.120s is there already", path);
		free(path);
	}
	return rc;
}

/* What it signed, before that leaves. */
static int
record(const struct root *r, X509 *x, struct err *err)
{
	struct buf line = { 0 };
	uint8_t md[32];
	unsigned n;
	int rc;

	if (X509_digest(x, EVP_sha256(), md, &n) != 1)
		return err_openssl(err, "digest");
	buf_puts(&line, "certificate ");
	cert_serial(x, &line);
	buf_printf(&line, " %" PRId64 " ",
	    cert_unix(X509_get0_notAfter(x)));
	buf_hex(&line, md, sizeof md);
	buf_addc(&line, ' ');
	cert_name(X509_get_subject_name(x), &line);
	rc = register_add(r, &line, err);
	buf_free(&line);
	return rc;
}

static int
save_certificate(const struct root *r, struct err *err)
{
	char *path = file_path(r->dir, r->name, ".pem");
	struct certs all = { 0 };
	struct buf pem = { 0 };
	int rc = certs_add_x509(&all, r->cert, err);

	certs_pem(&all, 0, &pem);
	if (rc == 0)
		rc = file_create(path, 0644, buf_slice(&pem), err);
	buf_free(&pem);
	certs_free(&all);
	free(path);
	return rc;
}

/* The certificate's file comes last: where it is, everything else is. */
static int
create(struct root *r, const struct ca_plan *plan, bool in_token,
    const char *passphrase_file, struct err *err)
{
	if (ca_key_strong(r->key, "the root's key", err) != 0 ||
	    (r->cert = ca_cert_new(plan, r->key, err)) == NULL)
		return -1;
	if (!in_token && ca_key_save(r->key, r->dir, r->name,
	    passphrase_file, err) != 0)
		return -1;
	if (record(r, r->cert, err) != 0)
		return -1;
	return save_certificate(r, err);
}

int
root_create(struct root *r, const struct ca_plan *plan,
    struct catoken *token, const char *passphrase_file, struct err *err)
{
	if (refuse_existing(r, err) != 0 ||
	    (r->key = catoken_new_key(token, plan->key, err)) == NULL)
		return -1;
	if (create(r, plan, token->key != NULL, passphrase_file, err) == 0)
		return 0;
	EVP_PKEY_free(r->key);
	r->key = NULL;
	(void)catoken_undo(token);
	return -1;
}

/* Nothing that is not in the register is handed out. */
static X509 *
sign_with(struct root *r, struct ca_plan *plan, EVP_PKEY *key,
    struct err *err)
{
	X509 *x;

	plan->issuer = r->cert;
	plan->issuer_key = r->key;
	if ((x = ca_cert_new(plan, key, err)) == NULL)
		return NULL;
	if (record(r, x, err) == 0)
		return x;
	X509_free(x);
	return NULL;
}

X509 *
root_sign(struct root *r, struct ca_plan *plan, EVP_PKEY *key,
    struct err *err)
{
	if (ca_issuer_check(r->cert, r->key, plan, err) != 0)
		return NULL;
	if (EVP_PKEY_eq(key, r->key) == 1) {
		err_set(err, ERR_DENIED, "the key is the root's own: a ca "
		    "below it needs one of its own");
		return NULL;
	}
	if (plan->name != NULL && X509_NAME_cmp(plan->name,
	    X509_get_subject_name(r->cert)) == 0) {
		err_set(err, ERR_DENIED, "the subject is the root's own: two "
		    "cas of one name cannot be told apart");
		return NULL;
	}
	return sign_with(r, plan, key, err);
}

X509 *
root_cross(struct root *r, X509 *other, struct err *err)
{
	struct ca_plan plan = {
		.name = X509_get_subject_name(other),
		.until = X509_get0_notAfter(other),
		.pathlen = (int)X509_get_pathlen(other)
	};
	long limit = X509_get_pathlen(r->cert);

	/* The names differ, so the cross certificate counts. */
	if (limit == 1) {
		err_set(err, ERR_DENIED, "root %s: path length 1: no ca could "
		    "stand below a cross certificate", r->name);
		return NULL;
	}
	if (limit > 0 && (plan.pathlen < 0 || plan.pathlen >= limit))
		plan.pathlen = (int)limit - 1;
	if (ca_issuer_check(r->cert, r->key, &plan, err) != 0)
		return NULL;
	plan.years = 40;	/* until either ends */
	return sign_with(r, &plan, X509_get0_pubkey(other), err);
}

/*
 * By the register, not by a certificate that somebody brings: a serial number
 * that was typed wrong would stand on the list, and the right one would not.
 */
int
root_revoke(struct root *r, const char *serial, unsigned reason,
    struct err *err)
{
	struct register_state s = { .serial = serial };
	struct buf line = { 0 };
	int rc;

	if (register_read(r, &s, err) != 0)
		return -1;
	register_free(&s);
	if (!s.signed_here)
		return err_set(err, ERR_DENIED, "root %s has signed no "
		    "certificate %.40s: see %s.register", r->name, serial,
		    r->name);
	if (s.revoked_here)
		return err_set(err, ERR_DENIED,
		    "certificate %.40s is revoked already", serial);
	buf_printf(&line, "revoked %s %" PRId64 " %u", serial,
	    (int64_t)time(NULL), reason);
	rc = register_add(r, &line, err);
	buf_free(&line);
	return rc;
}

/* As OpenSSL's functions: 1, or 0 with its errors; so the next ones. */
static int
add_entry(X509_CRL *crl, const struct register_entry *e)
{
	X509_REVOKED *row = X509_REVOKED_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)e->at);
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	ASN1_INTEGER *serial = NULL;
	BIGNUM *n = NULL;
	int ok;

	ok = BN_hex2bn(&n, e->serial) > 0 && row != NULL && at != NULL &&
	    reason != NULL && (serial = BN_to_ASN1_INTEGER(n, NULL)) != NULL &&
	    X509_REVOKED_set_serialNumber(row, serial) == 1 &&
	    X509_REVOKED_set_revocationDate(row, at) == 1;
	/* [RFC5280] 5.3.1: unspecified is left out. */
	if (ok && e->reason != 0)
		ok = ASN1_ENUMERATED_set(reason, (long)e->reason) == 1 &&
		    X509_REVOKED_add1_ext_i2d(row, NID_crl_reason, reason, 0,
		    0) == 1;
	if (ok)
		ok = X509_CRL_add0_revoked(crl, row);
	if (!ok)
		X509_REVOKED_free(row);
	BN_free(n);
	ASN1_INTEGER_free(serial);
	ASN1_ENUMERATED_free(reason);
	ASN1_TIME_free(at);
	return ok;
}

/* [RFC5280] 5.2.1 and 5.2.3: those that every list must have. */
static int
add_extensions(X509_CRL *crl, X509 *issuer, uint64_t number)
{
	X509_EXTENSION *aki;
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
	aki = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier,
	    "keyid:always");
	ok = n != NULL && aki != NULL && X509_CRL_add_ext(crl, aki, -1) == 1 &&
	    ASN1_INTEGER_set_uint64(n, number) == 1 &&
	    X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
	X509_EXTENSION_free(aki);
	ASN1_INTEGER_free(n);
	return ok;
}

static int
build(struct root *r, const struct register_state *s, int64_t next,
    X509_CRL *crl, struct err *err)
{
	ASN1_TIME *this_update = ASN1_TIME_set(NULL,
	    (time_t)(s->now - ISSUED_EARLY));
	ASN1_TIME *next_update = ASN1_TIME_set(NULL, (time_t)next);
	size_t i;
	int ok;

	ok = crl != NULL && this_update != NULL && next_update != NULL &&
	    X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	    X509_CRL_set_issuer_name(crl,
	    X509_get_subject_name(r->cert)) == 1 &&
	    X509_CRL_set1_lastUpdate(crl, this_update) == 1 &&
	    X509_CRL_set1_nextUpdate(crl, next_update) == 1 &&
	    add_extensions(crl, r->cert, s->crl_number + 1);
	for (i = 0; ok && i < s->n; i++)
		ok = add_entry(crl, &s->revoked[i]);
	ok = ok && X509_CRL_sort(crl) == 1 &&
	    X509_CRL_sign(crl, r->key, ca_md(r->key)) > 0;
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	if (!ok)
		return err_openssl(err, "revocation list of the root");
	if (X509_CRL_verify(crl, X509_get0_pubkey(r->cert)) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, ERR_INTERNAL, "the new signature is wrong");
}

/* [RFC5280] 5.2.3: numbers grow, and the register says so before. */
static int
make_crl(struct root *r, const struct register_state *s, int64_t next,
    struct buf *out, struct err *err)
{
	X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL;
	struct buf line = { 0 };
	int n, rc = build(r, s, next, crl, err);

	buf_printf(&line, "crl %" PRIu64 " %" PRId64 " %" PRId64,
	    s->crl_number + 1, s->now, next);
	if (rc == 0 && (n = i2d_X509_CRL(crl, &der)) <= 0)
		rc = err_openssl(err, "revocation list of the root");
	if (rc == 0 && (rc = register_add(r, &line, err)) == 0)
		buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	buf_free(&line);
	return rc;
}

/* No list is promised for longer than there is a root to make the next. */
int
root_crl(struct root *r, int64_t days, struct buf *out, struct err *err)
{
	struct register_state s = { .now = time(NULL) };
	int64_t end = cert_unix(X509_get0_notAfter(r->cert));
	int rc = -1;

	if (register_read(r, &s, err) != 0)
		return -1;
	if (s.now < s.crl_at)
		err_set(err, ERR_DENIED, "the clock is %" PRId64 " s before "
		    "the last list", s.crl_at - s.now);
	else if (s.now + days * DAY > end)
		err_set(err, ERR_DENIED, "a list of %" PRId64 " days would "
		    "outlive the root, which has %" PRId64 " left", days,
		    (end - s.now) / DAY);
	else
		rc = make_crl(r, &s, s.now + days * DAY, out, err);
	register_free(&s);
	return rc;
}
