/*
 * SubjectPublicKeyInfo of two shapes to a key, without OpenSSL's decoders.
 * Every key that is certified has come this way, out of pkcs10.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "der.h"
#include "digest.h"
#include "hresult.h"
#include "keycheck.h"
#include "oid.h"
#include "pubkey.h"

#define RSA_MIN_BITS	1024
#define RSA_MAX_BITS	8192
#define EXPONENT_MIN	65537

static const struct curve {
	enum key_kind		 kind;
	unsigned		 bits;
	size_t			 octets;	/* of a coordinate */
	const struct slice	*oid;
	const char		*name;
	const BIGNUM		*(*prime)(void);	/* of the field */
} curves[] = {
	{ KEY_P256, 256, 32, &OID_P256, "P-256", BN_get0_nist_prime_256 },
	{ KEY_P384, 384, 48, &OID_P384, "P-384", BN_get0_nist_prime_384 },
	{ KEY_P521, 521, 66, &OID_P521, "P-521", BN_get0_nist_prime_521 },
};

#define NCURVES	(sizeof(curves) / sizeof(curves[0]))

static int
from_data(EVP_PKEY **pkey, const char *type, OSSL_PARAM *params,
    struct err *err)
{
	EVP_PKEY_CTX	*ctx;
	int		 ok;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1) {
		EVP_PKEY_CTX_free(ctx);
		return err_openssl(err, "EVP_PKEY_fromdata_init");
	}
	ok = EVP_PKEY_fromdata(ctx, pkey, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	if (ok == 1)
		return 0;
	ERR_clear_error();
	return err_deny(err, NTE_BAD_KEY, "public key is not valid for %s",
	    type);
}

/* A positive INTEGER without its sign octet. */
static int
get_unsigned(struct der *d, struct slice *out, const char *what,
    struct err *err)
{
	struct slice	c;

	if (der_get(d, DER_INTEGER, &c, what, err) == -1)
		return -1;
	if ((c.p[0] & 0x80) != 0)
		return err_bad(err, 0, "%s: negative", what);
	if (c.p[0] == 0)
		c = slice_of(c.p + 1, c.n - 1);
	*out = c;
	return 0;
}

static unsigned
count_bits(struct slice n)
{
	unsigned	bits;
	uint8_t		top;

	if (n.n == 0)
		return 0;
	bits = (unsigned)(n.n - 1) * 8;
	for (top = n.p[0]; top != 0; top >>= 1)
		bits++;
	return bits;
}

/* Sizes first: everything behind costs arithmetic. */
static int
check_rsa_shape(struct pubkey *k, struct slice n, struct err *err)
{
	k->bits = count_bits(n);
	if (k->bits < RSA_MIN_BITS || k->bits > RSA_MAX_BITS)
		return err_deny(err, CERTSRV_E_KEY_LENGTH,
		    "rsa key of %u bits, not %d to %d", k->bits, RSA_MIN_BITS,
		    RSA_MAX_BITS);
	if (k->bits % 8 != 0)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa key of %u bits, not a multiple of 8", k->bits);
	if ((n.p[n.n - 1] & 1) == 0)
		return err_deny(err, NTE_BAD_KEY, "rsa modulus is even");
	if (k->e < 3 || (k->e & 1) == 0)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa exponent is not odd and above 2");
	if (k->e < EXPONENT_MIN)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa exponent is below %d", EXPONENT_MIN);
	return 0;
}

static int
build_rsa(const struct pubkey *k, EVP_PKEY **pkey, struct err *err)
{
	uint8_t		native[RSA_MAX_BITS / 8];
	OSSL_PARAM	params[3];
	size_t		len = k->bits / 8;
	uint64_t	e = k->e;

	if (BN_bn2nativepad(k->n, native, (int)len) != (int)len)
		return err_openssl(err, "BN_bn2nativepad");
	params[0] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, native, len);
	params[1] = OSSL_PARAM_construct_uint64(OSSL_PKEY_PARAM_RSA_E, &e);
	params[2] = OSSL_PARAM_construct_end();
	return from_data(pkey, "RSA", params, err);
}

/* Computed once: a renewal's keys verify up to three signatures. */
static int
set_mont(struct pubkey *k, struct err *err)
{
	BN_CTX	*ctx = BN_CTX_new();
	int	 ok;

	k->mont = BN_MONT_CTX_new();
	ok = ctx != NULL && k->mont != NULL &&
	    BN_MONT_CTX_set(k->mont, k->n, ctx);
	BN_CTX_free(ctx);
	return ok ? 0 : err_openssl(err, "BN_MONT_CTX_set");
}

/* RSAPublicKey ([RFC8017] A.1.1); parameters NULL ([RFC3279] 2.3.1). */
static int
parse_rsa(struct pubkey *k, struct der *alg, struct err *err)
{
	struct der	 key;
	struct slice	 null, n;

	if (der_get(alg, DER_NULL, &null, "rsa parameters", err) == -1 ||
	    der_end(alg, "public key algorithm", err) == -1 ||
	    der_only(k->bits_content, DER_SEQ, &key, "rsa public key",
	    err) == -1 ||
	    get_unsigned(&key, &n, "rsa modulus", err) == -1 ||
	    der_uint(&key, &k->e, "rsa exponent", err) == -1 ||
	    der_end(&key, "rsa public key", err) == -1 ||
	    check_rsa_shape(k, n, err) == -1)
		return -1;
	k->kind = KEY_RSA;
	k->n = BN_bin2bn(n.p, (int)n.n, NULL);
	if (k->n == NULL)
		return err_openssl(err, "BN_bin2bn");
	if (keycheck_modulus(n, err) == -1)
		return -1;
	return set_mont(k, err);
}

static const struct curve *
curve_of(struct slice oid)
{
	size_t	i;

	for (i = 0; i < NCURVES; i++)
		if (slice_eq(*curves[i].oid, oid))
			return &curves[i];
	return NULL;
}

static int
build_ec(struct pubkey *k, const struct curve *c, struct err *err)
{
	OSSL_PARAM	params[3];

	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)c->name, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	    (void *)(uintptr_t)k->bits_content.p, k->bits_content.n);
	params[2] = OSSL_PARAM_construct_end();
	return from_data(&k->pkey, "EC", params, err);
}

/*
 * [RFC5480] 2.1.1: a named curve only.  Explicit parameters would let a
 * requester choose the generator (CVE-2020-0601).  That the point is on the
 * curve, OpenSSL checks when it takes the coordinates.
 */
static int
parse_ec(struct pubkey *k, struct der *alg, struct err *err)
{
	const struct curve	*c;
	struct slice		 oid;
	char			 text[128];

	if (der_peek(alg) == DER_SEQ)
		return err_bad(err, NTE_BAD_ALGID, "explicit ec parameters "
		    "are not accepted: the key must name its curve");
	if (der_get(alg, DER_OID, &oid, "ec parameters", err) == -1 ||
	    der_end(alg, "public key algorithm", err) == -1)
		return -1;
	c = curve_of(oid);
	if (c == NULL)
		return err_bad(err, NTE_BAD_ALGID, "curve %s is not P-256, "
		    "P-384 or P-521", oid_show(oid, text, sizeof(text)));
	if (k->bits_content.n != 1 + 2 * c->octets || k->bits_content.p[0] != 4)
		return err_bad(err, 0, "ec point is not an uncompressed one "
		    "of %s", c->name);
	k->kind = c->kind;
	k->bits = c->bits;
	return build_ec(k, c, err);
}

static int
parse_spki(struct pubkey *k, struct err *err)
{
	struct der	spki, alg;
	struct slice	oid;
	char		text[128];

	if (der_only(k->spki, DER_SEQ, &spki, "SubjectPublicKeyInfo",
	    err) == -1 ||
	    der_enter(&spki, DER_SEQ, &alg, "public key algorithm",
	    err) == -1 ||
	    der_get(&alg, DER_OID, &oid, "public key algorithm", err) == -1 ||
	    der_bits(&spki, &k->bits_content, "subjectPublicKey", err) == -1 ||
	    der_end(&spki, "SubjectPublicKeyInfo", err) == -1)
		return -1;
	if (slice_eq(oid, OID_RSA_ENCRYPTION))
		return parse_rsa(k, &alg, err);
	if (slice_eq(oid, OID_EC_PUBLIC_KEY))
		return parse_ec(k, &alg, err);
	return err_bad(err, NTE_BAD_ALGID,
	    "public key algorithm %s is not accepted, only rsaEncryption and "
	    "id-ecPublicKey", oid_show(oid, text, sizeof(text)));
}

struct pubkey *
pubkey_parse(struct slice spki, struct err *err)
{
	struct pubkey	*k = xcalloc(1, sizeof(*k));

	k->spki = spki;
	if (parse_spki(k, err) == -1) {
		pubkey_free(k);
		return NULL;
	}
	return k;
}

void
pubkey_free(struct pubkey *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	BN_free(k->n);
	BN_MONT_CTX_free(k->mont);
	free(k);
}

EVP_PKEY *
pubkey_evp(const struct pubkey *k, struct err *err)
{
	EVP_PKEY	*pkey = k->pkey;

	if (k->kind == KEY_RSA)
		return build_rsa(k, &pkey, err) == 0 ? pkey : NULL;
	if (EVP_PKEY_up_ref(pkey) == 1)
		return pkey;
	err_openssl(err, "EVP_PKEY_up_ref");
	return NULL;
}

const char *
pubkey_name(const struct pubkey *k, char *buf, size_t n)
{
	size_t	i;

	snprintf(buf, n, "RSA %u", k->bits);
	for (i = 0; i < NCURVES; i++)
		if (curves[i].kind == k->kind)
			snprintf(buf, n, "%s", curves[i].name);
	return buf;
}

void
pubkey_ski(const struct pubkey *k, uint8_t out[20])
{
	SHA1(k->bits_content.p, k->bits_content.n, out);
}

void
pubkey_sha256(const struct pubkey *k, uint8_t out[32])
{
	digest_sha256(k->spki, out);
}

/* y, the last octets of an SPKI, becomes p - y: [SEC1] 2.2.1. */
static void
negate(const struct curve *c, struct buf *spki)
{
	uint8_t	*at = spki->p + spki->n - c->octets;
	BIGNUM	*y = BN_bin2bn(at, (int)c->octets, NULL);

	if (y == NULL || BN_sub(y, c->prime(), y) != 1 ||
	    BN_bn2binpad(y, at, (int)c->octets) == -1)
		abort();
	BN_free(y);
}

size_t
pubkey_hashes(const struct pubkey *k, uint8_t out[2][32])
{
	struct buf	other = { 0 };
	size_t		i;

	pubkey_sha256(k, out[0]);
	for (i = 0; i < NCURVES && curves[i].kind != k->kind; i++)
		;
	if (i == NCURVES)
		return 1;
	buf_add(&other, k->spki.p, k->spki.n);
	negate(&curves[i], &other);
	digest_sha256(buf_slice(&other), out[1]);
	buf_free(&other);
	return 2;
}

bool
pubkey_alike(const struct pubkey *k, struct slice spki)
{
	size_t	y = k->kind == KEY_RSA ? 0 : k->bits_content.n / 2;

	return spki.n == k->spki.n &&
	    memcmp(spki.p, k->spki.p, spki.n - y) == 0;
}

uint32_t
pubkey_lot(const struct pubkey *k)
{
	size_t		y = k->kind == KEY_RSA ? 0 : k->bits_content.n / 2;
	uint8_t		md[32];
	uint32_t	lot;

	digest_sha256(slice_of(k->spki.p, k->spki.n - y), md);
	memcpy(&lot, md, sizeof(lot));
	return lot;
}
