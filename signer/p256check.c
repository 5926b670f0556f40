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

#include <gmp.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "p256check.h"

#define OCTETS	32
#define POINT	(1 + 2 * OCTETS)	/* uncompressed */

/* The group's. */
#define ORDER	"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

struct p256check {
	EC_GROUP	*curve;
	EC_GROUP	*key;		/* the same, generator: the key */
	EC_POINT	*u1g, *u2q;
	BN_CTX		*ctx;
	mpz_t		 order, s;
};

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

	mpz_init_set_str(c->order, ORDER, 16);
	mpz_init(c->s);
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
	mpz_clears(c->order, c->s, NULL);
	free(c);
}

/* w = 1/s modulo the order; a tenth of what BN_mod_inverse takes. */
static int
invert(struct p256check *c, BIGNUM *w, const BIGNUM *s)
{
	uint8_t octets[OCTETS] = { 0 };

	if (BN_bn2lebinpad(s, octets, OCTETS) != OCTETS)
		return -1;
	mpz_import(c->s, OCTETS, -1, 1, 0, 0, octets);
	if (mpz_invert(c->s, c->s, c->order) == 0)
		return -1;
	memset(octets, 0, OCTETS);
	mpz_export(octets, NULL, -1, 1, 0, 0, c->s);
	return BN_lebin2bn(octets, OCTETS, w) == NULL ? -1 : 0;
}

/* Of 1 to the order less one: [FIPS186-5] 6.4.2, step 1. */
static bool
in_range(const struct p256check *c, const BIGNUM *v)
{
	return !BN_is_zero(v) && !BN_is_negative(v) &&
	    BN_cmp(v, EC_GROUP_get0_order(c->curve)) < 0;
}

/* Is x/z^2 this number?  A product costs less than a quotient. */
static bool
is_ratio(struct p256check *c, const BIGNUM *x, const BIGNUM *z,
    const BIGNUM *number)
{
	const BIGNUM *p = EC_GROUP_get0_field(c->curve);
	BIGNUM *t = BN_CTX_get(c->ctx);

	return t != NULL && BN_mod_sqr(t, z, p, c->ctx) == 1 &&
	    BN_mod_mul(t, t, number, p, c->ctx) == 1 && BN_cmp(t, x) == 0;
}

/* Is the point's x this, modulo the order, which is less than the prime? */
static bool
has_x(struct p256check *c, const EC_POINT *point, const BIGNUM *r)
{
	BIGNUM *x = BN_CTX_get(c->ctx), *z = BN_CTX_get(c->ctx);
	BIGNUM *more = BN_CTX_get(c->ctx);

	if (more == NULL || EC_POINT_is_at_infinity(c->curve, point) != 0 ||
	    EC_POINT_get_Jprojective_coordinates_GFp(c->curve, point, x, NULL,
	    z, c->ctx) != 1)
		return false;
	if (is_ratio(c, x, z, r))
		return true;
	return BN_add(more, r, EC_GROUP_get0_order(c->curve)) == 1 &&
	    BN_cmp(more, EC_GROUP_get0_field(c->curve)) < 0 &&
	    is_ratio(c, x, z, more);
}

/* [FIPS186-5] 6.4.2, steps 4 to 8: the point's x, modulo the order, is r. */
static int
check(struct p256check *c, struct slice digest, const BIGNUM *r,
    const BIGNUM *s)
{
	const BIGNUM *n = EC_GROUP_get0_order(c->curve);
	BIGNUM *w = BN_CTX_get(c->ctx), *u1 = BN_CTX_get(c->ctx);
	BIGNUM *u2 = BN_CTX_get(c->ctx), *e = BN_CTX_get(c->ctx);

	return e != NULL && in_range(c, r) && in_range(c, s) &&
	    invert(c, w, s) == 0 &&
	    BN_bin2bn(digest.p, (int)digest.n, e) != NULL &&
	    BN_mod_mul(u1, e, w, n, c->ctx) == 1 &&
	    BN_mod_mul(u2, r, w, n, c->ctx) == 1 &&
	    EC_POINT_mul(c->curve, c->u1g, u1, NULL, NULL, c->ctx) == 1 &&
	    EC_POINT_mul(c->key, c->u2q, u2, NULL, NULL, c->ctx) == 1 &&
	    EC_POINT_add(c->curve, c->u1g, c->u1g, c->u2q, c->ctx) == 1 &&
	    has_x(c, c->u1g, r) ? 0 : -1;
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
