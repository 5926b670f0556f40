#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cakey.h"
#include "der.h"
#include "log.h"
#include "oid.h"
#include "secret.h"

#define KEY_FILE_MAX	(32 * 1024)
#define PASSPHRASE_MAX	1024

struct cakey {
	enum key_kind	 kind;
	EVP_PKEY	*pkey;
	EVP_PKEY_CTX	*sign, *verify;	/* set up once: costs 5 us each time */
	EVP_MD		*md;		/* fetched once, for the same reason */
	struct buf	 spki;
	int64_t		 cost;
};

/* Which of the kinds we sign with; a table, so that adding one is a line. */
static const struct {
	enum key_kind	 kind;
	int		 id;
	int		 bits_min, bits_max;
	const char	*curve, *digest;
} kinds[] = {
	{ KEY_RSA, EVP_PKEY_RSA, 2048, 4096, NULL, "SHA2-256" },
	{ KEY_P256, EVP_PKEY_EC, 256, 256, "prime256v1", "SHA2-256" },
	{ KEY_P384, EVP_PKEY_EC, 384, 384, "secp384r1", "SHA2-384" }
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* Only "ENCRYPTED PRIVATE KEY": a key in the clear is refused. */
static X509_SIG *
read_pem(struct slice pem, struct err *err)
{
	BIO *bio = NULL;
	X509_SIG *p8 = NULL;
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	const unsigned char *p;
	long len = 0;

	if ((bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		abort();
	if (PEM_read_bio(bio, &name, &header, &der, &len) != 1) {
		err_openssl(err, "ca key: no pem");
		goto out;
	}
	if (strcmp(name, PEM_STRING_PKCS8) != 0 || *header != '\0') {
		err_set(err, ERR_INTERNAL, "ca key: is \"%.40s\", must be "
		    "\"%s\"", name, PEM_STRING_PKCS8);
		goto out;
	}
	p = der;
	p8 = d2i_X509_SIG(NULL, &p, len);
	if (p8 == NULL || p != der + len) {
		err_openssl(err, "ca key: not pkcs#8");
		X509_SIG_free(p8);
		p8 = NULL;
	}
 out:
	OPENSSL_clear_free(der, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(bio);
	return p8;
}

static EVP_PKEY *
decrypt(struct slice pem, struct slice passphrase, struct err *err)
{
	X509_SIG *p8;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	EVP_PKEY *pkey = NULL;

	if ((p8 = read_pem(pem, err)) == NULL)
		return NULL;
	info = PKCS8_decrypt(p8, (const char *)passphrase.p,
	    (int)passphrase.n);
	if (info == NULL)
		err_openssl(err, "ca key: passphrase does not open it");
	else if ((pkey = EVP_PKCS82PKEY(info)) == NULL)
		err_openssl(err, "ca key: not a private key");
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	X509_SIG_free(p8);
	return pkey;
}

static EVP_PKEY *
read_key(const char *path, const char *passphrase_path, struct err *err)
{
	struct buf pem = { 0 }, pass = { 0 };
	EVP_PKEY *pkey = NULL;

	if (secret_read(path, KEY_FILE_MAX, false, &pem, err) == 0 &&
	    secret_read(passphrase_path, PASSPHRASE_MAX, true, &pass,
	    err) == 0)
		pkey = decrypt(buf_slice(&pem), buf_slice(&pass), err);
	buf_wipe(&pem);
	buf_wipe(&pass);
	return pkey;
}

/* The row of kinds[] that this key is; -1 when there is none. */
static int
find_kind(EVP_PKEY *pkey, struct err *err)
{
	char curve[32] = "";
	int bits = EVP_PKEY_get_bits(pkey);
	size_t i;

	if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC)
		EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL);
	for (i = 0; i < NKINDS; i++) {
		if (EVP_PKEY_get_base_id(pkey) == kinds[i].id &&
		    bits >= kinds[i].bits_min && bits <= kinds[i].bits_max &&
		    (kinds[i].curve == NULL ||
		    strcmp(curve, kinds[i].curve) == 0))
			return (int)i;
	}
	return err_set(err, ERR_INTERNAL, "ca key: %s of %d bits, must be "
	    "rsa 2048 to 4096, p-256 or p-384",
	    EVP_PKEY_get0_type_name(pkey), bits);
}

static EVP_PKEY_CTX *
make_ctx(const struct cakey *k, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx;

	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)) == NULL)
		return NULL;
	if (init(ctx) == 1 &&
	    (k->kind != KEY_RSA ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
	    EVP_PKEY_CTX_set_signature_md(ctx, k->md) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static int
set_up(struct cakey *k, struct err *err)
{
	unsigned char *der = NULL;
	int i, n;

	if ((i = find_kind(k->pkey, err)) == -1)
		return -1;
	k->kind = kinds[i].kind;
	k->md = EVP_MD_fetch(NULL, kinds[i].digest, NULL);
	if (k->md == NULL ||
	    (k->sign = make_ctx(k, EVP_PKEY_sign_init)) == NULL ||
	    (k->verify = make_ctx(k, EVP_PKEY_verify_init)) == NULL)
		return err_openssl(err, "ca key");
	if ((n = i2d_PUBKEY(k->pkey, &der)) <= 0)
		return err_openssl(err, "ca key: public key");
	buf_add(&k->spki, der, (size_t)n);
	OPENSSL_free(der);
	return 0;
}

/*
 * What a certificate costs: its signature, the check, and a second signature
 * for the CMC response.  The best of some, since the first ones are slow.
 */
static int
measure(struct cakey *k, struct err *err)
{
	struct buf sig = { 0 };
	struct slice msg = slice_str("how long does a signature take");
	int64_t t, best = INT64_MAX;
	int i, rc = 0;

	for (i = 0; i < 4 && rc == 0; i++) {
		t = log_usec();
		rc = cakey_sign(k, msg, true, &sig, err);
		if (rc == 0)
			rc = cakey_sign(k, msg, false, &sig, err);
		if ((t = log_usec() - t) < best)
			best = t;
		buf_reset(&sig);
	}
	buf_free(&sig);
	k->cost = best > 0 ? best : 1;
	return rc;
}

struct cakey *
cakey_load(const char *path, const char *passphrase_path, struct err *err)
{
	struct cakey *k = xcalloc(1, sizeof(*k));

	k->pkey = read_key(path, passphrase_path, err);
	if (k->pkey == NULL || set_up(k, err) == -1 || measure(k, err) == -1) {
		cakey_free(k);
		return NULL;
	}
	return k;
}

void
cakey_free(struct cakey *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->sign);
	EVP_PKEY_CTX_free(k->verify);
	EVP_PKEY_free(k->pkey);		/* wipes */
	EVP_MD_free(k->md);
	buf_free(&k->spki);
	free(k);
}

int
cakey_derive(const struct cakey *k, const char *label, uint8_t out[32],
    struct err *err)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	unsigned char *der = NULL;
	int n, rc = -1;
	size_t len = 32;

	n = i2d_PrivateKey(k->pkey, &der);
	if (n > 0 && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_CTX_set1_hkdf_key(ctx, der, n) == 1 &&
	    EVP_PKEY_CTX_add1_hkdf_info(ctx, (const unsigned char *)label,
	    (int)strlen(label)) == 1 && EVP_PKEY_derive(ctx, out, &len) == 1)
		rc = 0;
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	EVP_PKEY_CTX_free(ctx);
	return rc == 0 ? 0 : err_openssl(err, "ca key: deriving");
}

enum key_kind
cakey_kind(const struct cakey *k)
{
	return k->kind;
}

struct slice
cakey_spki(const struct cakey *k)
{
	return buf_slice(&k->spki);
}

int64_t
cakey_cost(const struct cakey *k)
{
	return k->cost;
}

size_t
cakey_digest(const struct cakey *k, struct slice msg, uint8_t out[64])
{
	unsigned n = 0;

	if (EVP_Digest(msg.p, msg.n, out, &n, k->md, NULL) != 1)
		abort();
	return n;
}

struct slice
cakey_digest_oid(const struct cakey *k)
{
	return k->kind == KEY_P384 ? OID_SHA384 : OID_SHA256;
}

void
cakey_put_sigalg(const struct cakey *k, struct buf *out)
{
	size_t seq = der_open(out, DER_SEQ);

	if (k->kind == KEY_RSA) {
		/* NULL parameters: [RFC4055] 5. */
		der_put_oid(out, OID_RSA_SHA256);
		der_put(out, DER_NULL, NULL, 0);
	} else {
		/* No parameters: [RFC5758] 3.2. */
		der_put_oid(out, k->kind == KEY_P384 ? OID_ECDSA_SHA384 :
		    OID_ECDSA_SHA256);
	}
	der_close(out, seq);
}

const EVP_MD *
cakey_md(const struct cakey *k)
{
	return k->md;
}

int
cakey_sign_digest(struct cakey *k, struct slice digest, bool check,
    struct buf *sig, struct err *err)
{
	uint8_t out[512];
	size_t n = sizeof(out);

	ERR_clear_error();
	if (EVP_PKEY_sign(k->sign, out, &n, digest.p, digest.n) != 1)
		return err_openssl(err, "ca key: signing failed");
	if (check && EVP_PKEY_verify(k->verify, out, n, digest.p,
	    digest.n) != 1)
		return err_openssl(err, "ca key: own signature is wrong");
	buf_add(sig, out, n);
	return 0;
}

int
cakey_sign(struct cakey *k, struct slice msg, bool check, struct buf *sig,
    struct err *err)
{
	uint8_t digest[64];
	size_t n = cakey_digest(k, msg, digest);

	return cakey_sign_digest(k, slice_of(digest, n), check, sig, err);
}
