/*
 * What can be done with a CA's key, wherever it is: sign, hash, derive.  The
 * one door to it: job.c for certificates, cmcresp.c for answers, crl.c for
 * lists, responder.c for the certificates of OCSP.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cakey_int.h"
#include "der.h"
#include "digest.h"
#include "failpoint.h"
#include "hresult.h"
#include "oid.h"
#include "x509.h"

#define ROUNDS		4	/* of measuring */

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

EVP_PKEY_CTX *
cakey_ctx(const struct cakey *k, EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx;

	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL)
		return NULL;
	if (init(ctx) == 1 &&
	    (k->kind != KEY_RSA ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
	    EVP_PKEY_CTX_set_signature_md(ctx, digest_md(k->digest)) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

int
cakey_public(struct cakey *k, EVP_PKEY *pkey, struct err *err)
{
	int i;

	if ((i = find_kind(pkey, err)) == -1)
		return -1;
	k->kind = kinds[i].kind;
	k->digest = digest_new(kinds[i].digest);
	if ((k->verify = cakey_ctx(k, pkey, EVP_PKEY_verify_init)) == NULL)
		return err_openssl(err, "ca key");
	k->p256 = p256check_new(pkey);
	return x509_key_spki(pkey, &k->spki) == 0 ? 0 :
	    err_openssl(err, "ca key: public key");
}

static int64_t
own_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * What a certificate costs: its signature, the check, and a second signature
 * for the CMC response.  The best of some, since the first ones are slow; in
 * time of our own, since much else starts when a host does.
 */
static int
measure(struct cakey *k, struct err *err)
{
	struct buf sig = { 0 };
	struct slice msg = slice_str("how long does a signature take");
	int64_t t, best = INT64_MAX;
	int i, rc = 0;

	for (i = 0; i < ROUNDS && rc == 0; i++) {
		t = own_usec();
		rc = cakey_sign(k, msg, true, &sig, err);
		if (rc == 0)
			rc = cakey_sign(k, msg, false, &sig, err);
		if ((t = own_usec() - t) < best)
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

	k->pkey = cakey_read(path, passphrase_path, err);
	if (k->pkey == NULL || cakey_public(k, k->pkey, err) == -1) {
		cakey_free(k);
		return NULL;
	}
	k->sign = cakey_ctx(k, k->pkey, EVP_PKEY_sign_init);
	if (k->sign == NULL)
		err_openssl(err, "ca key");
	else if (measure(k, err) == 0)
		return k;
	cakey_free(k);
	return NULL;
}

void
cakey_free(struct cakey *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->sign);
	EVP_PKEY_CTX_free(k->verify);
	p256check_free(k->p256);
	EVP_PKEY_free(k->pkey);		/* wipes */
	digest_free(k->digest);
	buf_free(&k->spki);
	buf_wipe(&k->secret);
	free(k);
}

int
cakey_derive(const struct cakey *k, const char *label, uint8_t out[32],
    struct err *err)
{
	EVP_PKEY_CTX *ctx;
	unsigned char *der = NULL;
	const unsigned char *secret = k->secret.p;
	int n = (int)k->secret.n, rc = -1;
	size_t len = 32;

	if (k->token != NULL && n == 0)
		return err_deny(err, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
		    "key archival needs an exchange-secret-file for a ca "
		    "whose key is in a token");
	if (k->token == NULL) {
		n = i2d_PrivateKey(k->pkey, &der);
		secret = der;
	}
	ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	if (n > 0 && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_CTX_set1_hkdf_key(ctx, secret, n) == 1 &&
	    EVP_PKEY_CTX_add1_hkdf_info(ctx, (const unsigned char *)label,
	    (int)strlen(label)) == 1 && EVP_PKEY_derive(ctx, out, &len) == 1)
		rc = 0;
	if (der != NULL)
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
	return k == NULL ? 0 : k->cost;
}

size_t
cakey_digest(const struct cakey *k, struct slice msg, uint8_t out[64])
{
	return digest_run(k->digest, msg, out);
}

struct slice
cakey_digest_oid(const struct cakey *k)
{
	return k->kind == KEY_P384 ? OID_SHA384 : OID_SHA256;
}

void
cakey_put_sigalg(const struct cakey *k, struct buf *out)
{
	/* NULL parameters: [RFC4055] 5; none: [RFC5758] 3.2. */
	if (k->kind == KEY_RSA)
		der_put_alg(out, OID_RSA_SHA256, true);
	else
		der_put_alg(out, k->kind == KEY_P384 ? OID_ECDSA_SHA384 :
		    OID_ECDSA_SHA256, false);
}

const EVP_MD *
cakey_md(const struct cakey *k)
{
	return digest_md(k->digest);
}

uint64_t
cakey_made(struct cakey *k)
{
	uint64_t n = k == NULL ? 0 : k->made;

	if (k != NULL)
		k->made = 0;
	return n;
}

/* What the fast way does not confirm is not wrong yet. */
static bool
is_right(const struct cakey *k, struct slice digest, struct slice sig)
{
	return (k->p256 != NULL &&
	    p256check_verify(k->p256, digest, sig) == 0) ||
	    EVP_PKEY_verify(k->verify, sig.p, sig.n, digest.p,
	    digest.n) == 1;
}

bool
cakey_signed(const struct cakey *k, struct slice msg, struct slice sig)
{
	uint8_t digest[64];

	return k != NULL && k->p256 != NULL && p256check_verify(k->p256,
	    slice_of(digest, cakey_digest(k, msg, digest)), sig) == 0;
}

/*
 * A token's signatures are always checked: what a device or its module gets
 * wrong would else be found by the clients.
 */
int
cakey_sign_digest(struct cakey *k, struct slice digest, bool check,
    struct buf *sig, struct err *err)
{
	uint8_t out[512];
	size_t n = sizeof(out);

	ERR_clear_error();
	if (check)	/* what must be in the ledger before */
		fail_spy(digest);
	if (k->token != NULL) {
		if (cakey_token_sign(k, digest, out, &n, err) == -1)
			return -1;
		check = true;
	} else if (EVP_PKEY_sign(k->sign, out, &n, digest.p, digest.n) != 1)
		return err_openssl(err, "ca key: signing failed");
	k->made++;
	if (check && !is_right(k, digest, slice_of(out, n))) {
		if (k->token != NULL)
			return err_set(err, ERR_UNAVAILABLE,
			    "token: its signature is wrong");
		return err_openssl(err, "ca key: own signature is wrong");
	}
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
