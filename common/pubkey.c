/* SubjectPublicKeyInfo of two shapes to a key, without OpenSSL's decoders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "der.h"
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
} curves[] = {
	{ KEY_P256, 256, 32, &OID_P256, "P-256" },
	{ KEY_P384, 384, 48, &OID_P384, "P-384" },
	{ KEY_P521, 521, 66, &OID_P521, "P-521" },
};

#define NCURVES	(sizeof(curves) / sizeof(curves[0]))

static int
from_data(struct pubkey *k, const char *type, OSSL_PARAM *params,
    struct err *err)
{
	EVP_PKEY_CTX	*ctx;
	int		 ok;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1) {
		EVP_PKEY_CTX_free(ctx);
		return err_openssl(err, "EVP_PKEY_fromdata_init");
	}
	ok = EVP_PKEY_fromdata(ctx, &k->pkey, EVP_PKEY_PUBLIC_KEY, params);
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
check_rsa_shape(struct pubkey *k, struct slice n, uint64_t e, struct err *err)
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
	if (e < 3 || (e & 1) == 0)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa exponent is not odd and above 2");
	if (e < EXPONENT_MIN)
		return err_deny(err, NTE_BAD_KEY,
		    "rsa exponent is below %d", EXPONENT_MIN);
	return 0;
}

static int
build_rsa(struct pubkey *k, const BIGNUM *n, uint64_t e, struct err *err)
{
	uint8_t		native[RSA_MAX_BITS / 8];
	OSSL_PARAM	params[3];
	size_t		len = k->bits / 8;

	if (BN_bn2nativepad(n, native, (int)len) != (int)len)
		return err_openssl(err, "BN_bn2nativepad");
	params[0] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, native, len);
	params[1] = OSSL_PARAM_construct_uint64(OSSL_PKEY_PARAM_RSA_E, &e);
	params[2] = OSSL_PARAM_construct_end();
	return from_data(k, "RSA", params, err);
}

/* RSAPublicKey ([RFC8017] A.1.1); parameters NULL ([RFC3279] 2.3.1). */
static int
parse_rsa(struct pubkey *k, struct der *alg, struct err *err)
{
	struct der	 key;
	struct slice	 null, n;
	uint64_t	 e;
	BIGNUM		*bn;
	int		 rc;

	if (der_get(alg, DER_NULL, &null, "rsa parameters", err) == -1 ||
	    der_end(alg, "public key algorithm", err) == -1 ||
	    der_only(k->bits_content, DER_SEQ, &key, "rsa public key",
	    err) == -1 ||
	    get_unsigned(&key, &n, "rsa modulus", err) == -1 ||
	    der_uint(&key, &e, "rsa exponent", err) == -1 ||
	    der_end(&key, "rsa public key", err) == -1 ||
	    check_rsa_shape(k, n, e, err) == -1)
		return -1;
	k->kind = KEY_RSA;
	bn = BN_bin2bn(n.p, (int)n.n, NULL);
	if (bn == NULL)
		return err_openssl(err, "BN_bin2bn");
	rc = keycheck_modulus(bn, n, err);
	if (rc == 0)
		rc = build_rsa(k, bn, e, err);
	BN_free(bn);
	return rc;
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
	return from_data(k, "EC", params, err);
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

	if (der_get(alg, DER_OID, &oid, "ec parameters", err) == -1 ||
	    der_end(alg, "public key algorithm", err) == -1)
		return -1;
	c = curve_of(oid);
	if (c == NULL)
		return err_bad(err, NTE_BAD_ALGID,
		    "curve is not P-256, P-384 or P-521");
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
	if (oid_text(oid, text, sizeof(text)) == -1)
		snprintf(text, sizeof(text), "of an odd name");
	return err_bad(err, NTE_BAD_ALGID,
	    "public key algorithm %s is not accepted", text);
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
	free(k);
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
	SHA256(k->spki.p, k->spki.n, out);
}
