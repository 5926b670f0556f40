#include "camake.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "file.h"
#include "name.h"
#include "secret.h"

/*
 * The passphrase is 256 random bits, so the iterations add nothing against
 * guessing; they are there for passphrases that people set later, and cost
 * a signer about a tenth of a second at start.
 */
#define PBKDF2_ROUNDS	200000
#define KEY_FILE_MAX	(64 * 1024)

static const struct {
	const char	*spec;
	unsigned	 bits;		/* RSA */
	const char	*curve;		/* EC */
} key_kinds[] = {
	{ "rsa:2048", 2048, NULL },
	{ "rsa:3072", 3072, NULL },
	{ "rsa:4096", 4096, NULL },
	{ "ec:P-256", 256, "P-256" },
	{ "ec:P-384", 384, "P-384" },
};
#define NKINDS (sizeof key_kinds / sizeof key_kinds[0])

EVP_PKEY *
ca_key_new(const char *spec, struct err *err)
{
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < NKINDS; i++)
		if (strcmp(key_kinds[i].spec, spec) == 0)
			break;
	if (i == NKINDS) {
		err_set(err, ERR_MALFORMED, "key is rsa:2048, rsa:3072, "
		    "rsa:4096, ec:P-256 or ec:P-384, not %.40s", spec);
		return NULL;
	}
	key = key_kinds[i].curve == NULL ?
	    EVP_RSA_gen((size_t)key_kinds[i].bits) :
	    EVP_EC_gen(key_kinds[i].curve);
	if (key == NULL)
		err_openssl(err, "making a key %s", spec);
	return key;
}

int
ca_key_check(EVP_PKEY *key, struct err *err)
{
	const char *type = EVP_PKEY_get0_type_name(key);
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "RSA") && bits >= 2048 && bits <= 4096)
		return 0;
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group,
	    sizeof group, NULL) == 1 && (strcmp(group, "prime256v1") == 0 ||
	    strcmp(group, "secp384r1") == 0))
		return 0;
	return err_set(err, ERR_DENIED, "a ca key is rsa of 2048 to 4096 "
	    "bits, P-256 or P-384, not %s %s of %d bits",
	    type == NULL ? "?" : type, group, bits);
}

static X509_NAME *
name_from_text(const char *text, struct err *err)
{
	struct names n = { 0 };
	struct buf der = { 0 };
	X509_NAME *name = NULL;
	const unsigned char *p;

	if (names_parse_text(&n, text, err) == 0 &&
	    names_put_dn(&n, &der, err) == 0) {
		p = der.p;
		if (n.nrdn == 0)
			err_set(err, ERR_MALFORMED, "a ca needs a subject");
		else if ((name = d2i_X509_NAME(NULL, &p, (long)der.n)) == NULL)
			err_openssl(err, "subject %.80s", text);
	}
	names_free(&n);
	buf_free(&der);
	return name;
}

/* [RFC5280] 4.1.2.2: positive, at most 20 octets; 127 random bits. */
static int
set_serial(X509 *x)
{
	uint8_t raw[16];
	BIGNUM *n;
	int ok;

	if (RAND_bytes(raw, sizeof raw) != 1)
		return 0;
	raw[0] = (raw[0] & 0x3f) | 0x40;
	if ((n = BN_bin2bn(raw, sizeof raw, NULL)) == NULL)
		return 0;
	ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

static int
set_validity(X509 *x, const struct ca_plan *plan, struct err *err)
{
	/* 365.25 days a year; ten minutes for clocks that are slow. */
	long days = (long)(plan->years * 1461 / 4);

	if (X509_gmtime_adj(X509_getm_notBefore(x), -600) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0,
	    NULL) == NULL)
		return err_openssl(err, "ca validity");
	/* Nothing outlives its issuer ([RFC5280] 6.1 would not care). */
	if (plan->issuer != NULL && ASN1_TIME_compare(
	    X509_get0_notAfter(x), X509_get0_notAfter(plan->issuer)) > 0 &&
	    X509_set1_notAfter(x, X509_get0_notAfter(plan->issuer)) != 1)
		return err_openssl(err, "ca validity");
	return 0;
}

static int
add_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

/* The URL becomes part of OpenSSL's extension syntax: "," and ";" end it. */
static int
add_aia(X509 *x, X509V3_CTX *ctx, const char *url, struct err *err)
{
	struct buf value = { 0 };
	int ok;

	if (strncmp(url, "http://", 7) != 0 || strpbrk(url, ",; \n") != NULL)
		return err_set(err, ERR_MALFORMED,
		    "aia is an http:// URL without , and ;: %.80s", url);
	buf_printf(&value, "caIssuers;URI:%s", url);
	ok = add_ext(x, ctx, NID_info_access, buf_str(&value));
	buf_free(&value);
	return ok ? 0 : err_openssl(err, "ca aia");
}

static int
set_extensions(X509 *x, const struct ca_plan *plan, struct err *err)
{
	char bc[48] = "critical,CA:TRUE";
	X509V3_CTX ctx;

	if (plan->pathlen >= 0)
		snprintf(bc, sizeof bc, "critical,CA:TRUE,pathlen:%d",
		    plan->pathlen);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, plan->issuer == NULL ? x : plan->issuer, x, NULL,
	    NULL, 0);
	if (!add_ext(x, &ctx, NID_basic_constraints, bc) ||
	    !add_ext(x, &ctx, NID_key_usage,
	    "critical,keyCertSign,cRLSign") ||
	    !add_ext(x, &ctx, NID_subject_key_identifier, "hash") ||
	    !add_ext(x, &ctx, NID_authority_key_identifier, "keyid:always"))
		return err_openssl(err, "ca extensions");
	return plan->aia == NULL ? 0 : add_aia(x, &ctx, plan->aia, err);
}

static int
sign(X509 *x, EVP_PKEY *key, struct err *err)
{
	const EVP_MD *md = EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();

	return X509_sign(x, key, md) > 0 ? 0 : err_openssl(err, "ca signature");
}

X509 *
ca_cert_new(const struct ca_plan *plan, EVP_PKEY *key, struct err *err)
{
	X509_NAME *name = name_from_text(plan->subject, err);
	X509 *x;

	if (name == NULL)
		return NULL;
	x = X509_new();
	if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1 ||
	    !set_serial(x) || X509_set_subject_name(x, name) != 1 ||
	    X509_set_issuer_name(x, plan->issuer == NULL ? name :
	    X509_get_subject_name(plan->issuer)) != 1 ||
	    X509_set_pubkey(x, key) != 1)
		err_openssl(err, "ca certificate");
	else if (set_validity(x, plan, err) == 0 &&
	    set_extensions(x, plan, err) == 0 &&
	    sign(x, plan->issuer == NULL ? key : plan->issuer_key, err) == 0) {
		X509_NAME_free(name);
		return x;
	}
	X509_NAME_free(name);
	X509_free(x);
	return NULL;
}

/* PBES2 of [RFC8018]: PBKDF2 with HMAC-SHA-256, AES-256-CBC. */
static X509_SIG *
encrypt(EVP_PKEY *key, const struct buf *pass)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	X509_ALGOR *pbe = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), PBKDF2_ROUNDS,
	    NULL, 16, NULL, NID_hmacWithSHA256);
	X509_SIG *sig = NULL;

	if (info != NULL && pbe != NULL)
		sig = PKCS8_set0_pbe((const char *)pass->p, (int)pass->n,
		    info, pbe);
	if (sig == NULL)
		X509_ALGOR_free(pbe);
	PKCS8_PRIV_KEY_INFO_free(info);
	return sig;
}

static int
save_pem(X509_SIG *sig, const char *path, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int rc;

	if (PEM_write_bio_PKCS8(bio, sig) != 1)
		rc = err_openssl(err, "key to pem");
	else {
		n = BIO_get_mem_data(bio, &p);
		rc = secret_write(path, slice_of(p, (size_t)n), err);
	}
	BIO_free(bio);
	return rc;
}

int
ca_key_save(EVP_PKEY *key, const char *dir, const char *name, struct err *err)
{
	char *key_path = file_path(dir, name, ".key");
	char *pass_path = file_path(dir, name, ".pass");
	struct buf pass = { 0 };
	uint8_t raw[32];
	X509_SIG *sig = NULL;
	int rc = -1;

	if (RAND_priv_bytes(raw, sizeof raw) != 1)
		err_openssl(err, "random passphrase");
	else {
		base64_encode(raw, sizeof raw, &pass);
		if ((sig = encrypt(key, &pass)) == NULL)
			err_openssl(err, "encrypting the key");
		else if (save_pem(sig, key_path, err) == 0)
			rc = secret_write(pass_path, buf_slice(&pass), err);
	}
	OPENSSL_cleanse(raw, sizeof raw);
	buf_wipe(&pass);
	X509_SIG_free(sig);
	free(key_path);
	free(pass_path);
	return rc;
}

/* OpenSSL asks here; without a passphrase file the answer is none. */
static int
give_pass(char *out, int max, int writing, void *arg)
{
	const struct buf *pass = arg;

	(void)writing;
	if (pass->n == 0 || pass->n > (size_t)max)
		return -1;
	memcpy(out, pass->p, pass->n);
	return (int)pass->n;
}

EVP_PKEY *
ca_key_load(const char *path, const char *passphrase_file, struct err *err)
{
	struct buf pem = { 0 }, pass = { 0 };
	EVP_PKEY *key = NULL;
	BIO *bio;

	if (secret_read(path, KEY_FILE_MAX, false, &pem, err) == 0 &&
	    (passphrase_file == NULL || secret_read(passphrase_file, 1024,
	    true, &pass, err) == 0)) {
		bio = BIO_new_mem_buf(pem.p, (int)pem.n);
		key = PEM_read_bio_PrivateKey(bio, NULL, give_pass, &pass);
		BIO_free(bio);
		if (key == NULL)
			err_openssl(err, "%.80s: no key, or not its "
			    "passphrase", path);
	}
	buf_wipe(&pem);
	buf_wipe(&pass);
	return key;
}
