/*
 * A P-256 signature against a table of the key's multiples: under
 * cakey_sign_digest.  libcrypto has such a table for the curve's generator
 * only, and makes one for what it is told is the generator; that function
 * is deprecated, and where it does nothing p256check_new says so.  All
 * numbers here are public, so time may depend on them.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "p256check.h"

#define LIMBS	4
#define OCTETS	(LIMBS * 8)
#define POINT	(1 + 2 * OCTETS)	/* uncompressed */

struct p256check {
	EC_GROUP	*curve;
	EC_GROUP	*key;		/* the same, generator: the key */
	EC_POINT	*u1g, *u2q;
	BN_CTX		*ctx;
};

struct limbs {			/* least significant first */
	uint64_t	 w[LIMBS];
};

/* The group's order, and -1/order modulo 2^64. */
static const struct limbs order = { {
	0xf3b9cac2fc632551, 0xbce6faada7179e84,
	0xffffffffffffffff, 0xffffffff00000000
} };
#define ORDER_INVERSE	0xccd1c8aaee00bc4f

static EC_POINT *
public_point(EVP_PKEY *pkey, const EC_GROUP *group, BN_CTX *ctx)
{
	EC_POINT *q = EC_POINT_new(group);
	unsigned char octets[POINT];
	size_t n;

	if (q != NULL && EVP_PKEY_get_octet_string_param(pkey,
	    OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof(octets), &n) == 1 &&
	    EC_POINT_oct2point(group, q, octets, n, ctx) == 1)
		return q;
	EC_POINT_free(q);
	return NULL;
}

struct p256check *
p256check_new(EVP_PKEY *pkey)
{
	struct p256check *c = xcalloc(1, sizeof(*c));
	EC_POINT *q = NULL;
	char name[16];
	bool made = false;

	if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) == 1 &&
	    strcmp(name, SN_X9_62_prime256v1) == 0 &&
	    (c->ctx = BN_CTX_new()) != NULL &&
	    (c->curve = EC_GROUP_new_by_curve_name(
	    NID_X9_62_prime256v1)) != NULL &&
	    (c->key = EC_GROUP_dup(c->curve)) != NULL &&
	    (c->u1g = EC_POINT_new(c->curve)) != NULL &&
	    (c->u2q = EC_POINT_new(c->key)) != NULL)
		q = public_point(pkey, c->curve, c->ctx);
	if (q != NULL && EC_GROUP_set_generator(c->key, q,
	    EC_GROUP_get0_order(c->curve), BN_value_one()) == 1)
		made = EC_GROUP_precompute_mult(c->key, c->ctx) == 1 &&
		    EC_GROUP_have_precompute_mult(c->key) == 1;
	EC_POINT_free(q);
	if (made)
		return c;
	p256check_free(c);
	return NULL;
}

void
p256check_free(struct p256check *c)
{
	if (c == NULL)
		return;
	EC_POINT_free(c->u1g);
	EC_POINT_free(c->u2q);
	EC_GROUP_free(c->key);
	EC_GROUP_free(c->curve);
	BN_CTX_free(c->ctx);
	free(c);
}

static bool
is_less(const struct limbs *a, const struct limbs *b)
{
	size_t i;

	for (i = LIMBS; i-- > 0;) {
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i];
	}
	return false;
}

static bool
is_zero(const struct limbs *a)
{
	return (a->w[0] | a->w[1] | a->w[2] | a->w[3]) == 0;
}

/* a -= b; was a smaller? */
static bool
subtract(struct limbs *a, const struct limbs *b)
{
	unsigned __int128 t = 0;
	size_t i;

	for (i = 0; i < LIMBS; i++) {
		t = (unsigned __int128)a->w[i] - b->w[i] - (uint64_t)t;
		a->w[i] = (uint64_t)t;
		t = t >> 64 != 0;
	}
	return t != 0;
}

static void
subtract_mod(struct limbs *a, const struct limbs *b)
{
	unsigned __int128 t = 0;
	size_t i;

	if (!subtract(a, b))
		return;
	for (i = 0; i < LIMBS; i++) {
		t += (unsigned __int128)a->w[i] + order.w[i];
		a->w[i] = (uint64_t)t;
		t >>= 64;
	}
}

/*
 * a = (a + m * order) / 2^k, 0 < k < 64, where that has no remainder; with
 * a and m below order and 2^k the result is below order.
 */
static void
shift_with(struct limbs *a, uint64_t m, int k)
{
	unsigned __int128 t = 0;
	uint64_t low = 0;
	size_t i;

	for (i = 0; i < LIMBS; i++) {
		t += (unsigned __int128)m * order.w[i] + a->w[i];
		if (i > 0)
			a->w[i - 1] = low >> k | (uint64_t)t << (64 - k);
		low = (uint64_t)t;
		t >>= 64;
	}
	a->w[LIMBS - 1] = low >> k | (uint64_t)t << (64 - k);
}

/*
 * 1/s modulo the order, for 0 < s < order, by halving and subtracting:
 * a = u * s and b = v * s throughout, b is odd and at the end 1.  A fifth of
 * what BN_mod_inverse takes.
 */
static struct limbs
inverse(struct limbs a)
{
	struct limbs b = order, u = { { 1 } }, v = { { 0 } }, t;
	uint64_t mask;
	int k;

	for (;;) {
		while (a.w[0] % 2 == 0) {
			k = a.w[0] == 0 ? 63 : __builtin_ctzll(a.w[0]);
			mask = ((uint64_t)1 << k) - 1;
			shift_with(&a, 0, k);
			shift_with(&u, u.w[0] * ORDER_INVERSE & mask, k);
		}
		if (is_less(&a, &b)) {
			t = a, a = b, b = t;
			t = u, u = v, v = t;
		}
		subtract(&a, &b);
		subtract_mod(&u, &v);
		if (is_zero(&a))
			return v;
	}
}

static struct limbs
limbs_read(const uint8_t octets[OCTETS])
{
	struct limbs a = { { 0 } };
	size_t i;

	for (i = 0; i < OCTETS; i++)
		a.w[i / 8] |= (uint64_t)octets[i] << i % 8 * 8;
	return a;
}

static void
limbs_write(const struct limbs *a, uint8_t octets[OCTETS])
{
	size_t i;

	for (i = 0; i < OCTETS; i++)
		octets[i] = (uint8_t)(a->w[i / 8] >> i % 8 * 8);
}

/* w = 1/s modulo the order; -1 when s is not from 1 to order - 1. */
static int
invert(BIGNUM *w, const BIGNUM *s)
{
	uint8_t octets[OCTETS];
	struct limbs a;

	if (BN_is_negative(s) || BN_bn2lebinpad(s, octets, OCTETS) != OCTETS)
		return -1;
	a = limbs_read(octets);
	if (is_zero(&a) || !is_less(&a, &order))
		return -1;
	a = inverse(a);
	limbs_write(&a, octets);
	return BN_lebin2bn(octets, OCTETS, w) == NULL ? -1 : 0;
}

/* [FIPS186-5] 6.4.2, steps 4 to 8: the point's x, modulo the order, is r. */
static int
check(struct p256check *c, struct slice digest, const BIGNUM *r,
    const BIGNUM *s)
{
	const BIGNUM *n = EC_GROUP_get0_order(c->curve);
	BIGNUM *w = BN_CTX_get(c->ctx), *u1 = BN_CTX_get(c->ctx);
	BIGNUM *u2 = BN_CTX_get(c->ctx), *x = BN_CTX_get(c->ctx);

	return x != NULL && !BN_is_zero(r) && !BN_is_negative(r) &&
	    BN_cmp(r, n) < 0 && invert(w, s) == 0 &&
	    BN_bin2bn(digest.p, (int)digest.n, x) != NULL &&
	    BN_mod_mul(u1, x, w, n, c->ctx) == 1 &&
	    BN_mod_mul(u2, r, w, n, c->ctx) == 1 &&
	    EC_POINT_mul(c->curve, c->u1g, u1, NULL, NULL, c->ctx) == 1 &&
	    EC_POINT_mul(c->key, c->u2q, u2, NULL, NULL, c->ctx) == 1 &&
	    EC_POINT_add(c->curve, c->u1g, c->u1g, c->u2q, c->ctx) == 1 &&
	    EC_POINT_get_affine_coordinates(c->curve, c->u1g, x, NULL,
	    c->ctx) == 1 && BN_nnmod(x, x, n, c->ctx) == 1 &&
	    BN_cmp(x, r) == 0 ? 0 : -1;
}

int
p256check_verify(struct p256check *c, struct slice digest, struct slice sig)
{
	const unsigned char *p = sig.p;
	ECDSA_SIG *v;
	int rc = -1;

	if (digest.n != OCTETS)
		return -1;
	v = d2i_ECDSA_SIG(NULL, &p, (long)sig.n);
	if (v != NULL && p == sig.p + sig.n) {
		BN_CTX_start(c->ctx);
		rc = check(c, digest, ECDSA_SIG_get0_r(v),
		    ECDSA_SIG_get0_s(v));
		BN_CTX_end(c->ctx);
	}
	ECDSA_SIG_free(v);
	return rc;
}
