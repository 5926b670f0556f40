/*
 * Private keys of CAs in files: made, checked, encrypted, read.  In tokens:
 * catoken.c.
 */
#include "cakeyfile.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "file.h"
#include "pubkey.h"
#include "secret.h"
#include "x509.h"

/*
 * The passphrase is 256 random bits, so the iterations add nothing against
 * guessing; they are there for passphrases that people set later, and cost
 * a signer about a tenth of a second at start.
 */
#define PBKDF2_ROUNDS	200000
#define KEY_FILE_MAX	(64 * 1024)
#define PASSPHRASE_MAX	1024
#define PASSPHRASE_MIN	12
#define RSA_LEAST	2048	/* of a CA that is there already */
#define RSA_MIN		3072
#define RSA_MAX		4096

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

int
ca_key_kind(const char *spec, struct err *err)
{
	size_t i;

	for (i = 0; i < NKINDS; i++)
		if (strcmp(key_kinds[i].spec, spec) == 0 &&
		    (key_kinds[i].curve != NULL ||
		    key_kinds[i].bits >= RSA_MIN))
			return 0;
	return err_set(err, ERR_MALFORMED, "key is rsa:3072, rsa:4096, "
	    "ec:P-256 or ec:P-384, not %.40s", spec);
}

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

static int
check(EVP_PKEY *key, const char *what, unsigned least, struct err *err)
{
	struct pubkey *parsed = NULL;
	struct buf spki = { 0 };
	struct err why = ERR_INIT;
	int rc = 0;

	if (key == NULL || x509_key_spki(key, &spki) == -1)
		return err_openssl(err, "%s: public key", what);
	parsed = pubkey_parse(buf_slice(&spki), &why);
	if (parsed == NULL)
		rc = err_set(err, ERR_DENIED, "%s: %s", what, why.text);
	else if (parsed->kind == KEY_RSA ? parsed->bits < least ||
	    parsed->bits > RSA_MAX : parsed->kind == KEY_P521)
		rc = err_set(err, ERR_DENIED, "%s: a ca key is rsa of %u to "
		    "%d bits, P-256 or P-384, not of %u bits", what, least,
		    RSA_MAX, parsed->bits);
	pubkey_free(parsed);
	buf_free(&spki);
	return rc;
}

int
ca_key_check(EVP_PKEY *key, const char *what, struct err *err)
{
	return check(key, what, RSA_LEAST, err);
}

int
ca_key_strong(EVP_PKEY *key, const char *what, struct err *err)
{
	return check(key, what, RSA_MIN, err);
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

/* 256 random bits in base64, also into dir/name.pass. */
static int
new_passphrase(const char *dir, const char *name, struct buf *pass,
    struct err *err)
{
	char *path = file_path(dir, name, ".pass");
	uint8_t raw[32];
	int rc = -1;

	if (RAND_priv_bytes(raw, sizeof raw) != 1)
		err_openssl(err, "random passphrase");
	else {
		base64_encode(raw, sizeof raw, pass);
		rc = secret_write(path, buf_slice(pass), err);
	}
	OPENSSL_cleanse(raw, sizeof raw);
	free(path);
	return rc;
}

static int
given_passphrase(const char *path, struct buf *pass, struct err *err)
{
	if (secret_read(path, PASSPHRASE_MAX, true, pass, err) != 0)
		return -1;
	return pass->n >= PASSPHRASE_MIN ? 0 : err_set(err, ERR_DENIED,
	    "%.100s: a passphrase has at least %d bytes", path,
	    PASSPHRASE_MIN);
}

int
ca_key_save(EVP_PKEY *key, const char *dir, const char *name,
    const char *passphrase_file, struct err *err)
{
	char *path = file_path(dir, name, ".key");
	struct buf pass = { 0 };
	X509_SIG *sig = NULL;
	int rc;

	rc = passphrase_file == NULL ? new_passphrase(dir, name, &pass, err) :
	    given_passphrase(passphrase_file, &pass, err);
	if (rc == 0 && (sig = encrypt(key, &pass)) == NULL)
		rc = err_openssl(err, "encrypting the key");
	if (rc == 0)
		rc = save_pem(sig, path, err);
	buf_wipe(&pass);
	X509_SIG_free(sig);
	free(path);
	return rc;
}

EVP_PKEY *
ca_key_load(const char *path, const char *passphrase_file, struct err *err)
{
	struct buf pem = { 0 }, pass = { 0 };
	EVP_PKEY *key = NULL;
	BIO *bio;

	if (secret_read(path, KEY_FILE_MAX, false, &pem, err) == 0 &&
	    (passphrase_file == NULL || secret_read(passphrase_file,
	    PASSPHRASE_MAX, true, &pass, err) == 0)) {
		bio = BIO_new_mem_buf(pem.p, (int)pem.n);
		key = PEM_read_bio_PrivateKey(bio, NULL, secret_pem, &pass);
		BIO_free(bio);
		if (key == NULL)
			err_openssl(err, "%.80s: no key, or not its "
			    "passphrase", path);
	}
	buf_wipe(&pem);
	buf_wipe(&pass);
	return key;
}
