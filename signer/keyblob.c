/*
 * Private keys, little-endian, big-endian and DER: what archive.c has
 * decrypted.
 */
#include "keyblob.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "der.h"

#define DEPTH		8
#define RSA_BITS_MIN	1024
#define RSA_BITS_MAX	8192

#define MAGIC_RSA2	0x32415352u	/* also BCRYPT_RSAPRIVATE_BLOB */
#define MAGIC_RSA3	0x33415352u	/* BCRYPT_RSAFULLPRIVATE_BLOB */
#define ALG_KEYX	0x0000a400u
#define ALG_SIGN	0x00002400u

enum part { PART_N, PART_E, PART_D, PART_P, PART_Q, PART_DP, PART_DQ,
    PART_QI, PARTS };

struct rsa {
	BIGNUM	*v[PARTS];
};

static const char *const part_names[PARTS] = {
	OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
	OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
	OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
	OSSL_PKEY_PARAM_RSA_COEFFICIENT1
};

static int
odd(struct err *err)
{
	return err_bad(err, 0, "private key: does not parse");
}

static bool
take(struct slice *s, size_t n, struct slice *out)
{
	if (s->n < n)
		return false;
	*out = slice_of(s->p, n);
	*s = slice_of(s->p + n, s->n - n);
	return true;
}

static bool
take_le32(struct slice *s, uint32_t *out)
{
	struct slice	v;

	if (!take(s, 4, &v))
		return false;
	*out = (uint32_t)v.p[0] | (uint32_t)v.p[1] << 8 |
	    (uint32_t)v.p[2] << 16 | (uint32_t)v.p[3] << 24;
	return true;
}

static bool
take_number(struct slice *s, size_t n, bool little, BIGNUM **out)
{
	struct slice	v;

	if (*out != NULL || !take(s, n, &v))
		return false;
	*out = BN_secure_new();
	if (*out == NULL)
		return false;
	return (little ? BN_lebin2bn(v.p, (int)n, *out) :
	    BN_bin2bn(v.p, (int)n, *out)) != NULL;
}

static void
rsa_free(struct rsa *r)
{
	size_t	i;

	for (i = 0; i < PARTS; i++)
		BN_clear_free(r->v[i]);
}

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM	*params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX	*ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY	*pkey = NULL;

	if (params == NULL || ctx == NULL ||
	    EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);	/* cleanses what was secure */
	return pkey;
}

/*
 * Exponents and inverse, which are not told, or not to be believed: d by
 * [FIPS 186-4] B.3.1, modulo the least common multiple.
 */
static bool
rsa_complete(struct rsa *r, BN_CTX *ctx)
{
	BIGNUM	*p1 = BN_secure_new(), *q1 = BN_secure_new();
	BIGNUM	*phi = BN_secure_new(), *gcd = BN_secure_new();
	bool	 ok = false;
	size_t	 i;

	for (i = PART_DP; i < PARTS; i++) {
		BN_clear_free(r->v[i]);
		r->v[i] = BN_secure_new();
	}
	BN_clear_free(r->v[PART_D]);
	r->v[PART_D] = BN_secure_new();
	if (p1 != NULL && q1 != NULL && phi != NULL && gcd != NULL &&
	    BN_sub(p1, r->v[PART_P], BN_value_one()) == 1 &&
	    BN_sub(q1, r->v[PART_Q], BN_value_one()) == 1 &&
	    BN_mul(phi, p1, q1, ctx) == 1 &&
	    BN_gcd(gcd, p1, q1, ctx) == 1 &&
	    BN_div(phi, NULL, phi, gcd, ctx) == 1) {
		BN_set_flags(phi, BN_FLG_CONSTTIME);
		BN_set_flags(p1, BN_FLG_CONSTTIME);
		BN_set_flags(q1, BN_FLG_CONSTTIME);
		BN_set_flags(r->v[PART_P], BN_FLG_CONSTTIME);
		ok = BN_mod_inverse(r->v[PART_D], r->v[PART_E], phi,
		    ctx) != NULL &&
		    BN_mod(r->v[PART_DP], r->v[PART_D], p1, ctx) == 1 &&
		    BN_mod(r->v[PART_DQ], r->v[PART_D], q1, ctx) == 1 &&
		    BN_mod_inverse(r->v[PART_QI], r->v[PART_Q],
		    r->v[PART_P], ctx) != NULL;
	}
	BN_clear_free(p1);
	BN_clear_free(q1);
	BN_clear_free(phi);
	BN_clear_free(gcd);
	return ok;
}

static bool
rsa_sane(const struct rsa *r, BN_CTX *ctx)
{
	const BIGNUM	*p = r->v[PART_P], *q = r->v[PART_Q];
	BIGNUM		*n = BN_secure_new();
	int		 bits = BN_num_bits(r->v[PART_N]);
	bool		 ok;

	ok = n != NULL && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX &&
	    BN_is_odd(p) && BN_is_odd(q) && BN_is_odd(r->v[PART_E]) &&
	    !BN_is_one(p) && !BN_is_one(q) && BN_cmp(p, q) != 0 &&
	    BN_num_bits(r->v[PART_E]) <= 64 && BN_mul(n, p, q, ctx) == 1 &&
	    BN_cmp(n, r->v[PART_N]) == 0;
	BN_clear_free(n);
	return ok;
}

static EVP_PKEY *
rsa_key(struct rsa *r, struct err *err)
{
	OSSL_PARAM_BLD	*bld = OSSL_PARAM_BLD_new();
	BN_CTX		*ctx = BN_CTX_secure_new();
	EVP_PKEY	*pkey = NULL;
	bool		 ok = bld != NULL && ctx != NULL;
	size_t		 i;

	ok = ok && rsa_sane(r, ctx) && rsa_complete(r, ctx);
	for (i = 0; i < PARTS && ok; i++)
		ok = OSSL_PARAM_BLD_push_BN(bld, part_names[i],
		    r->v[i]) == 1;
	if (ok)
		pkey = from_params("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_CTX_free(ctx);
	if (pkey == NULL)
		odd(err);
	return pkey;
}

/*
 * PRIVATEKEYBLOB: header, RSAPUBKEY, then n, p, q, dp, dq, qi, d.  What
 * follows from the primes is passed over and made anew.
 */
static EVP_PKEY *
parse_capi(struct slice s, struct err *err)
{
	struct rsa	 r = { { NULL } };
	struct slice	 rest;
	uint32_t	 magic, bits, e;
	EVP_PKEY	*pkey = NULL;

	if (!take_le32(&s, &magic) || !take_le32(&s, &bits) ||
	    !take_le32(&s, &e) || magic != MAGIC_RSA2 ||
	    bits < RSA_BITS_MIN || bits > RSA_BITS_MAX || bits % 16 != 0 ||
	    !take_number(&s, bits / 8, true, &r.v[PART_N]) ||
	    !take_number(&s, bits / 16, true, &r.v[PART_P]) ||
	    !take_number(&s, bits / 16, true, &r.v[PART_Q]) ||
	    !take(&s, 3 * (bits / 16) + bits / 8, &rest) || s.n != 0) {
		odd(err);
		goto out;
	}
	r.v[PART_E] = BN_new();
	if (r.v[PART_E] != NULL && BN_set_word(r.v[PART_E], e) == 1)
		pkey = rsa_key(&r, err);
 out:
	rsa_free(&r);
	return pkey;
}

/* BCRYPT_RSAKEY_BLOB; the full form repeats what follows from the primes. */
static EVP_PKEY *
parse_bcrypt_rsa(struct slice s, bool full, struct err *err)
{
	struct rsa	 r = { { NULL } };
	struct slice	 rest;
	uint32_t	 bits, ne, nn, np, nq;
	EVP_PKEY	*pkey = NULL;

	if (!take_le32(&s, &bits) || !take_le32(&s, &ne) ||
	    !take_le32(&s, &nn) || !take_le32(&s, &np) ||
	    !take_le32(&s, &nq) || bits > RSA_BITS_MAX || ne > 8 ||
	    nn > RSA_BITS_MAX / 8 || np > nn || nq > nn ||
	    !take_number(&s, ne, false, &r.v[PART_E]) ||
	    !take_number(&s, nn, false, &r.v[PART_N]) ||
	    !take_number(&s, np, false, &r.v[PART_P]) ||
	    !take_number(&s, nq, false, &r.v[PART_Q]) ||
	    (full && !take(&s, 2 * (size_t)np + nq + nn, &rest)) ||
	    s.n != 0 || (uint32_t)BN_num_bits(r.v[PART_N]) != bits)
		odd(err);
	else
		pkey = rsa_key(&r, err);
	rsa_free(&r);
	return pkey;
}

/* BCRYPT_ECCKEY_BLOB magics: "ECK2", "ECS2" and so on. */
static const struct {
	uint32_t	 ecdh, ecdsa, octets;
	const char	*group;
} curves[] = {
	{ 0x324b4345, 0x32534345, 32, "prime256v1" },
	{ 0x344b4345, 0x34534345, 48, "secp384r1" },
	{ 0x364b4345, 0x36534345, 66, "secp521r1" }
};
#define NCURVES	(sizeof(curves) / sizeof(curves[0]))

static EVP_PKEY *
ec_key(const char *group, struct slice xy, BIGNUM *d)
{
	OSSL_PARAM_BLD	*bld = OSSL_PARAM_BLD_new();
	uint8_t		 point[1 + 2 * 66] = { 4 };
	EVP_PKEY	*pkey = NULL;

	memcpy(point + 1, xy.p, xy.n);
	if (bld != NULL && OSSL_PARAM_BLD_push_utf8_string(bld,
	    OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
	    point, xy.n + 1) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1)
		pkey = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

static EVP_PKEY *
parse_bcrypt_ec(struct slice s, uint32_t magic, struct err *err)
{
	struct slice	 xy;
	BIGNUM		*d = NULL;
	EVP_PKEY	*pkey = NULL;
	uint32_t	 n;
	size_t		 i;

	for (i = 0; i < NCURVES; i++)
		if (magic == curves[i].ecdh || magic == curves[i].ecdsa)
			break;
	if (i < NCURVES && take_le32(&s, &n) && n == curves[i].octets &&
	    take(&s, 2 * n, &xy) && take_number(&s, n, false, &d) &&
	    s.n == 0 && !BN_is_zero(d))
		pkey = ec_key(curves[i].group, xy, d);
	BN_clear_free(d);
	if (pkey == NULL)
		odd(err);
	return pkey;
}

/* The kinds and sizes of the blobs, also for what PKCS#8 holds. */
static bool
known_kind(EVP_PKEY *pkey)
{
	char	group[32];
	size_t	i;

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return EVP_PKEY_get_bits(pkey) >= RSA_BITS_MIN &&
		    EVP_PKEY_get_bits(pkey) <= RSA_BITS_MAX;
	if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_utf8_string_param(pkey,
	    OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) != 1)
		return false;
	for (i = 0; i < NCURVES; i++)
		if (strcmp(group, curves[i].group) == 0)
			return true;
	return false;
}

/* The numbers once more through our own checks. */
static EVP_PKEY *
rsa_again(EVP_PKEY *pkey, struct err *err)
{
	struct rsa	 r = { { NULL } };
	EVP_PKEY	*again = NULL;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N,
	    &r.v[PART_N]) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E,
	    &r.v[PART_E]) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1,
	    &r.v[PART_P]) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2,
	    &r.v[PART_Q]) == 1)
		again = rsa_key(&r, err);
	else
		odd(err);
	rsa_free(&r);
	EVP_PKEY_free(pkey);
	return again;
}

static EVP_PKEY *
parse_pkcs8(struct slice s, struct err *err)
{
	const unsigned char	*p = s.p;
	struct err		 ignored = ERR_INIT;
	PKCS8_PRIV_KEY_INFO	*info = NULL;
	EVP_PKEY		*pkey = NULL;

	if (der_check(s, DEPTH, "private key", &ignored) == 0)
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)s.n);
	if (info != NULL && p == s.p + s.n)
		pkey = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	if (pkey != NULL && !known_kind(pkey)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	if (pkey == NULL)
		odd(err);
	else if (EVP_PKEY_is_a(pkey, "RSA"))
		return rsa_again(pkey, err);
	return pkey;
}

/* Blobs of Windows say in their first word of which kind they are. */
static EVP_PKEY *
parse_blob(struct slice s, struct err *err)
{
	uint32_t	first, alg;

	if (take_le32(&s, &first)) {
		if (first == MAGIC_RSA2 || first == MAGIC_RSA3)
			return parse_bcrypt_rsa(s, first == MAGIC_RSA3, err);
		if (first != 0x00000207)	/* PRIVATEKEYBLOB, version 2 */
			return parse_bcrypt_ec(s, first, err);
		if (take_le32(&s, &alg) &&
		    (alg == ALG_KEYX || alg == ALG_SIGN))
			return parse_capi(s, err);
	}
	odd(err);
	return NULL;
}

EVP_PKEY *
keyblob_parse(struct slice s, struct err *err)
{
	EVP_PKEY	*pkey;

	pkey = s.n != 0 && s.p[0] == DER_SEQ ? parse_pkcs8(s, err) :
	    parse_blob(s, err);
	ERR_clear_error();
	return pkey;
}

/*
 * A signature, since EVP_PKEY_eq compares the public halves only: a blob can
 * hold the right modulus and another private exponent.
 */
bool
keyblob_fits(EVP_PKEY *pkey, EVP_PKEY *public_key)
{
	EVP_MD_CTX	*sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
	uint8_t		 msg[32], sig[RSA_BITS_MAX / 8];
	size_t		 n = sizeof(sig);
	bool		 ok;

	ok = sign != NULL && verify != NULL &&
	    EVP_PKEY_eq(pkey, public_key) == 1 &&
	    RAND_bytes(msg, sizeof(msg)) == 1 &&
	    EVP_DigestSignInit(sign, NULL, EVP_sha256(), NULL, pkey) == 1 &&
	    EVP_DigestSign(sign, sig, &n, msg, sizeof(msg)) == 1 &&
	    EVP_DigestVerifyInit(verify, NULL, EVP_sha256(), NULL,
	    public_key) == 1 &&
	    EVP_DigestVerify(verify, sig, n, msg, sizeof(msg)) == 1;
	EVP_MD_CTX_free(sign);
	EVP_MD_CTX_free(verify);
	ERR_clear_error();
	return ok;
}
