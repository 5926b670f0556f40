/*
 * What a step of a ceremony has left, looked at as somebody would who did not
 * make it: read from the disk, by OpenSSL's own verification.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cakeyfile.h"
#include "camake.h"
#include "ceremony.h"
#include "certfile.h"
#include "file.h"

#define DAY	INT64_C(86400)
#define LIST_MAX	(16 * 1024 * 1024)

/* Always -1; OpenSSL's own words about it are dropped. */
static int
bad(struct err *err, const char *name, const char *why)
{
	ERR_clear_error();
	return err_set(err, ERR_DENIED, "check of %.80s: %s", name, why);
}

/* A number of the step's options, "none" as -1, or what the command takes. */
static int64_t
number(const struct step *s, const char *opt, int64_t dflt)
{
	struct err none = ERR_INIT;
	int64_t n = dflt;
	const char *v = step_get(s, opt);

	if (v == NULL)
		return dflt;
	if (strcmp(v, "none") == 0)
		return -1;
	return number_parse(v, -1, 1 << 20, &n, &none) == 0 ? n : dflt;
}

/* [RFC5280] 4.1.2.2: positive, 64 bits and more, at most 20 octets. */
static bool
good_serial(const X509 *x)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(x);

	return ASN1_STRING_type(n) == V_ASN1_INTEGER &&
	    ASN1_STRING_length(n) >= 8 && ASN1_STRING_length(n) <= 20;
}

/* There, once, and critical. */
static bool
is_critical(const X509 *x, int nid)
{
	int i = X509_get_ext_by_NID(x, nid, -1);

	return i >= 0 && X509_get_ext_by_NID(x, nid, i) == -1 &&
	    X509_EXTENSION_get_critical(X509_get_ext(x, i)) == 1;
}

/* [RFC5280] 4.2.1 for a CA; what names it in the refusal. */
static int
check_profile(X509 *x, X509 *issuer, const char *what, struct err *err)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(x);
	const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(x);
	const ASN1_OCTET_STRING *up = X509_get0_subject_key_id(issuer);
	uint32_t usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN;
	int md;

	if (X509_get_version(x) != X509_VERSION_3)
		return bad(err, what, "not of version 3");
	if (!good_serial(x))
		return bad(err, what, "serial number is not positive and of 8 "
		    "to 20 octets");
	if (X509_check_ca(x) != 1 || !is_critical(x, NID_basic_constraints))
		return bad(err, what, "basic constraints are not a ca's");
	if (X509_get_pathlen(x) == 0)		/* caext.h */
		usage |= KU_DIGITAL_SIGNATURE;
	if (!is_critical(x, NID_key_usage) || X509_get_key_usage(x) != usage)
		return bad(err, what, "key usage is not that of a ca, "
		    "critical");
	/* [RFC5280] 4.2.1.1: who signs himself may leave the issuer's out. */
	if (ski == NULL || up == NULL ||
	    (aki != NULL && ASN1_OCTET_STRING_cmp(aki, up) != 0) ||
	    (aki == NULL && x != issuer && X509_cmp(x, issuer) != 0))
		return bad(err, what, "key identifiers do not lead to the "
		    "issuer");
	if (OBJ_find_sigid_algs(X509_get_signature_nid(x), &md, NULL) != 1 ||
	    (md != NID_sha256 && md != NID_sha384))
		return bad(err, what, "signed with another hash than SHA-256 "
		    "or SHA-384");
	return ca_key_strong(X509_get0_pubkey(x), what, err);
}

/* What the ceremony's file says about it. */
static int
check_asked(const struct step *s, X509 *x, const char *what,
    struct err *err)
{
	int64_t life = cert_unix(X509_get0_notAfter(x)) -
	    cert_unix(X509_get0_notBefore(x));
	int64_t years = number(s, "years", s->kind == STEP_ISSUING ? 10 : 20);
	int64_t pathlen = number(s, "pathlen",
	    s->kind == STEP_ISSUING ? 0 : -1);
	X509_NAME *name = ca_name_parse(step_get(s, "subject"), err);
	int same;

	if (name == NULL)
		return -1;
	same = X509_NAME_cmp(name, X509_get_subject_name(x));
	X509_NAME_free(name);
	if (same != 0)
		return bad(err, what, "has another subject");
	/* Cut at its issuer's end, perhaps; and years have leap days. */
	if (life < (years - 1) * 365 * DAY || life > (years * 366 + 1) * DAY)
		return bad(err, what, "has another life");
	if (X509_get_pathlen(x) != (long)pathlen)
		return bad(err, what, "has another path length");
	return 0;
}

/* At any time: it is verified years later, too. */
static int
check_chain(X509 *x, X509 *root, const char *what, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int rc = -1;

	if (store == NULL || ctx == NULL || X509_STORE_set_flags(store,
	    X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE |
	    X509_V_FLAG_NO_CHECK_TIME) != 1 ||
	    X509_STORE_add_cert(store, root) != 1 ||
	    X509_STORE_CTX_init(ctx, store, x, NULL) != 1)
		err_openssl(err, "chain");
	else if (X509_verify_cert(ctx) != 1)
		bad(err, what, X509_verify_cert_error_string(
		    X509_STORE_CTX_get_error(ctx)));
	else
		rc = 0;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return rc;
}

/* The i-th certificate of dir/name. */
static X509 *
read_cert(const char *dir, const char *name, size_t i, struct err *err)
{
	char *path = file_path(dir, name, "");
	struct certs all = { 0 };
	X509 *x = NULL;

	if (certs_read(&all, path, err) == 0) {
		if (all.n <= i)
			bad(err, name, "a certificate is missing in it");
		else
			x = certs_x509(&all, i, err);
	}
	certs_free(&all);
	free(path);
	return x;
}

/* Keys go elsewhere after a ceremony: only those that are there. */
static int
check_key(const struct step *s, const char *dir, X509 *x, struct err *err)
{
	char *key = file_path(dir, s->name, ".key");
	char *pass = file_path(dir, s->name, ".pass");
	const char *told = step_get(s, "passphrase-file");
	EVP_PKEY *pkey;
	int rc = 0;

	if (file_exists(key) && file_exists(told != NULL ? told : pass)) {
		pkey = ca_key_load(key, told != NULL ? told : pass, err);
		if (pkey == NULL)
			rc = -1;
		else if (X509_check_private_key(x, pkey) != 1)
			rc = bad(err, s->name, "its key is another's");
		EVP_PKEY_free(pkey);
	}
	free(key);
	free(pass);
	return rc;
}

static int
check_root(const struct step *s, const char *dir, struct err *err)
{
	char *file = step_output(s);
	X509 *x = read_cert(dir, file, 0, err);
	int rc = -1;

	if (x != NULL && check_profile(x, x, file, err) == 0 &&
	    check_asked(s, x, file, err) == 0 &&
	    check_chain(x, x, file, err) == 0)
		rc = check_key(s, dir, x, err);
	X509_free(x);
	free(file);
	return rc;
}

static const char *
base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* The certificate of the root that signed this step's. */
static X509 *
issuer(const struct step *s, const char *opt, const char *dir,
    struct err *err)
{
	char *file = NULL;
	X509 *x;

	if (asprintf(&file, "%s.pem", base(step_get(s, opt))) < 0)
		abort();
	x = read_cert(dir, file, 0, err);
	free(file);
	return x;
}

/* The file has the certificate and, behind it, the root's. */
static int
check_issuing(const struct step *s, const char *dir, struct err *err)
{
	char *file = step_output(s);
	X509 *x = read_cert(dir, file, 0, err);
	X509 *behind = x == NULL ? NULL : read_cert(dir, file, 1, err);
	X509 *root = behind == NULL ? NULL : issuer(s, "root", dir, err);
	int rc = -1;

	if (root == NULL)
		rc = -1;
	else if (X509_cmp(root, behind) != 0)
		rc = bad(err, file, "another root stands behind it");
	else if (check_profile(x, root, file, err) == 0 &&
	    check_asked(s, x, file, err) == 0)
		rc = check_chain(x, root, file, err);
	X509_free(x);
	X509_free(behind);
	X509_free(root);
	free(file);
	return rc;
}

/* DIR/OF-by-BY.pem: OF's key and name, signed by BY. */
static int
check_cross(const char *dir, X509 *of, X509 *by, const char *names[2],
    struct err *err)
{
	char *file = NULL;
	X509 *x;
	int rc = -1;

	if (asprintf(&file, "%s-by-%s.pem", names[0], names[1]) < 0)
		abort();
	x = read_cert(dir, file, 0, err);
	if (x == NULL)
		rc = -1;
	else if (EVP_PKEY_eq(X509_get0_pubkey(x), X509_get0_pubkey(of)) != 1 ||
	    X509_NAME_cmp(X509_get_subject_name(x),
	    X509_get_subject_name(of)) != 0)
		rc = bad(err, file, "is for another ca");
	else if (check_profile(x, by, file, err) == 0)
		rc = check_chain(x, by, file, err);
	X509_free(x);
	free(file);
	return rc;
}

/* [RFC4210] 4.4: the new root, and a cross certificate each way. */
static int
check_rollover(const struct step *s, const char *dir, struct err *err)
{
	const char *names[] = { s->name, base(step_get(s, "replaces")),
	    s->name };
	char *file = step_output(s);
	X509 *new = read_cert(dir, file, 0, err);
	X509 *old = issuer(s, "replaces", dir, err);
	int rc = -1;

	if (new != NULL && old != NULL && check_root(s, dir, err) == 0 &&
	    check_cross(dir, new, old, names, err) == 0)
		rc = check_cross(dir, old, new, names + 1, err);
	X509_free(new);
	X509_free(old);
	free(file);
	return rc;
}

static X509_CRL *
read_list(const char *dir, const char *file, struct err *err)
{
	char *path = file_path(dir, file, "");
	struct buf der = { 0 };
	const unsigned char *p;
	X509_CRL *crl = NULL;

	if (file_read(path, LIST_MAX, &der, err) == 0) {
		p = der.p;
		crl = d2i_X509_CRL(NULL, &p, (long)der.n);
		if (crl == NULL || p != der.p + der.n) {
			bad(err, file, "is no list in DER");
			X509_CRL_free(crl);
			crl = NULL;
		}
	}
	buf_free(&der);
	free(path);
	return crl;
}

/* What the step revokes, if it does. */
static int
check_entry(const struct step *s, X509_CRL *crl, const char *file,
    struct err *err)
{
	const char *hex = step_get(s, "revoke");
	BIGNUM *n = NULL;
	ASN1_INTEGER *serial = NULL;
	X509_REVOKED *entry;
	int rc = 0;

	if (hex == NULL)
		return 0;
	if (BN_hex2bn(&n, hex) <= 0 ||
	    (serial = BN_to_ASN1_INTEGER(n, NULL)) == NULL ||
	    X509_CRL_get0_by_serial(crl, &entry, serial) != 1)
		rc = bad(err, file, "what was to be revoked is not on it");
	BN_free(n);
	ASN1_INTEGER_free(serial);
	return rc;
}

static int
check_list(const struct step *s, const char *dir, struct err *err)
{
	char *file = step_output(s);
	X509_CRL *crl = read_list(dir, file, err);
	X509 *root = crl == NULL ? NULL : issuer(s, "root", dir, err);
	int64_t days = number(s, "days", 180), life;
	int rc = -1;

	life = crl == NULL ? 0 : cert_unix(X509_CRL_get0_nextUpdate(crl)) -
	    cert_unix(X509_CRL_get0_lastUpdate(crl));
	if (root == NULL)
		rc = -1;
	else if (X509_NAME_cmp(X509_CRL_get_issuer(crl),
	    X509_get_subject_name(root)) != 0 ||
	    X509_CRL_verify(crl, X509_get0_pubkey(root)) != 1)
		rc = bad(err, file, "is not signed by its root");
	else if (X509_CRL_get_version(crl) != X509_CRL_VERSION_2 ||
	    X509_CRL_get_ext_by_NID(crl, NID_crl_number, -1) < 0)
		rc = bad(err, file, "has no number");
	else if (life < (days - 1) * DAY || life > (days + 1) * DAY)
		rc = bad(err, file, "has another life");
	else
		rc = check_entry(s, crl, file, err);
	X509_CRL_free(crl);
	X509_free(root);
	free(file);
	return rc;
}

int
step_check(const struct step *s, const char *dir, struct err *err)
{
	static int (*const checks[])(const struct step *, const char *,
	    struct err *) = {
		[STEP_ROOT] = check_root, [STEP_ISSUING] = check_issuing,
		[STEP_CRL] = check_list, [STEP_ROLLOVER] = check_rollover
	};

	return checks[s->kind](s, dir, err);
}

int
step_fingerprint(const struct step *s, const char *dir, uint8_t out[32],
    struct err *err)
{
	char *file = step_output(s);
	X509_CRL *crl = NULL;
	X509 *x = NULL;
	unsigned n = 0;
	int ok;

	if (s->kind == STEP_CRL) {
		crl = read_list(dir, file, err);
		ok = crl != NULL && X509_CRL_digest(crl, EVP_sha256(), out,
		    &n) == 1;
	} else {
		x = read_cert(dir, file, 0, err);
		ok = x != NULL && X509_digest(x, EVP_sha256(), out, &n) == 1;
	}
	X509_CRL_free(crl);
	X509_free(x);
	free(file);
	return ok ? 0 : err_openssl(err, "fingerprint");
}
