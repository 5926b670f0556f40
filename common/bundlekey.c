/*
 * The keys that sign bundles: each side of an air gap has its own and the
 * other's public one.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "bundlekey.h"
#include "digest.h"
#include "secret.h"
#include "x509.h"

#define KEY_FILE_MAX	4096

struct bundlekey {
	EVP_PKEY	*pkey;
	uint8_t		 id[32];
};

/* Takes the key over. */
static struct bundlekey *
wrap(EVP_PKEY *pkey, const char *path, struct err *err)
{
	struct bundlekey *k = NULL;
	struct buf spki = { 0 };

	if (pkey != NULL && !EVP_PKEY_is_a(pkey, "ED25519"))
		err_set(err, ERR_INTERNAL, "%s: not an Ed25519 key", path);
	else if (pkey == NULL || x509_key_spki(pkey, &spki) == -1)
		err_openssl(err, "%s", path);
	else {
		k = xcalloc(1, sizeof(*k));
		k->pkey = pkey;
		digest_sha256(buf_slice(&spki), k->id);
		buf_free(&spki);
		return k;
	}
	EVP_PKEY_free(pkey);
	return NULL;
}

struct bundlekey *
bundlekey_private(const char *path, struct err *err)
{
	struct buf pem = { 0 };
	struct bundlekey *k = NULL;
	BIO *bio;

	if (secret_read(path, KEY_FILE_MAX, false, &pem, err) == 0) {
		bio = BIO_new_mem_buf(pem.p, (int)pem.n);
		k = wrap(PEM_read_bio_PrivateKey(bio, NULL, secret_pem,
		    NULL), path, err);
		BIO_free(bio);
	}
	buf_wipe(&pem);
	return k;
}

struct bundlekey *
bundlekey_public(const char *path, struct err *err)
{
	BIO *bio = BIO_new_file(path, "r");
	struct bundlekey *k;

	if (bio == NULL) {
		err_openssl(err, "%s", path);
		return NULL;
	}
	k = wrap(PEM_read_bio_PUBKEY(bio, NULL, secret_pem, NULL), path,
	    err);
	BIO_free(bio);
	return k;
}

void
bundlekey_free(struct bundlekey *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);		/* wipes */
	free(k);
}

int
bundlekey_make(const char *path, struct err *err)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p = NULL;
	long n;
	int rc = -1;

	if (pkey == NULL || bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio,
	    pkey, NULL, NULL, 0, NULL, NULL) != 1)
		err_openssl(err, "air gap key");
	else if ((n = BIO_get_mem_data(bio, &p)) > 0)
		rc = secret_write(path, slice_of(p, (size_t)n), err);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return rc;
}

const uint8_t *
bundlekey_id(const struct bundlekey *k)
{
	return k->id;
}

void
bundlekey_fingerprint(const uint8_t id[32], char out[80])
{
	size_t i;

	for (i = 0; i < 16; i++) {
		hex_encode(id + 2 * i, 2, out + 5 * i);
		out[5 * i + 4] = i < 15 ? ' ' : '\0';
	}
}

int
bundlekey_pem(const struct bundlekey *k, struct buf *out, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int rc = -1;

	if (bio == NULL || PEM_write_bio_PUBKEY(bio, k->pkey) != 1)
		err_openssl(err, "air gap key");
	else if ((n = BIO_get_mem_data(bio, &p)) > 0) {
		buf_add(out, p, (size_t)n);
		rc = 0;
	}
	BIO_free(bio);
	return rc;
}

int
bundlekey_sign(const struct bundlekey *k, struct slice msg,
    uint8_t sig[BUNDLE_SIGNATURE], struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = BUNDLE_SIGNATURE;
	int rc = 0;

	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL,
	    k->pkey) != 1 || EVP_DigestSign(ctx, sig, &n, msg.p, msg.n) != 1)
		rc = err_openssl(err, "bundle signature");
	EVP_MD_CTX_free(ctx);
	return rc;
}

bool
bundlekey_verify(const struct bundlekey *k, struct slice msg,
    const uint8_t sig[BUNDLE_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL,
	    k->pkey) == 1 && EVP_DigestVerify(ctx, sig, BUNDLE_SIGNATURE,
	    msg.p, msg.n) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}
