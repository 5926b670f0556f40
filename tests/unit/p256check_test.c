/*
 * The table of a P-256 key's multiples says what OpenSSL's own function says,
 * of good signatures and of altered ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "p256check.h"

#define KEYS	3
#define ROUNDS	200

struct pair {
	EVP_PKEY		*pkey;
	EVP_PKEY_CTX		*sign, *verify;
	struct p256check	*check;
	uint8_t			 digest[32], sig[80];
	size_t			 n;
};

static void
make(struct pair *k)
{
	k->pkey = EVP_EC_gen("P-256");
	k->sign = EVP_PKEY_CTX_new(k->pkey, NULL);
	k->verify = EVP_PKEY_CTX_new(k->pkey, NULL);
	assert_int_equal(EVP_PKEY_sign_init(k->sign), 1);
	assert_int_equal(EVP_PKEY_verify_init(k->verify), 1);
	k->check = p256check_new(k->pkey);
	assert_non_null(k->check);	/* this libcrypto has the table */
}

static void
unmake(struct pair *k)
{
	p256check_free(k->check);
	EVP_PKEY_CTX_free(k->sign);
	EVP_PKEY_CTX_free(k->verify);
	EVP_PKEY_free(k->pkey);
}

static void
sign(struct pair *k)
{
	k->n = sizeof(k->sig);
	assert_int_equal(EVP_PKEY_sign(k->sign, k->sig, &k->n, k->digest,
	    sizeof(k->digest)), 1);
}

/* Both say the same; is it right? */
static bool
is_right(const struct pair *k)
{
	bool is = p256check_verify(k->check, slice_of(k->digest, 32),
	    slice_of(k->sig, k->n)) == 0;

	assert_int_equal(is, EVP_PKEY_verify(k->verify, k->sig, k->n,
	    k->digest, 32) == 1);
	return is;
}

static void
agrees(void **state)
{
	struct pair k;
	uint8_t at;
	int i, j;

	(void)state;
	for (i = 0; i < KEYS; i++) {
		make(&k);
		for (j = 0; j < ROUNDS; j++) {
			RAND_bytes(k.digest, sizeof(k.digest));
			sign(&k);
			assert_true(is_right(&k));
			RAND_bytes(&at, 1);
			k.digest[at % 32] ^= (uint8_t)(1 << at / 32);
			assert_false(is_right(&k));
			k.digest[at % 32] ^= (uint8_t)(1 << at / 32);
			k.sig[8 + at % 60] ^= (uint8_t)(1 << at % 8);
			assert_false(is_right(&k));
		}
		unmake(&k);
	}
}

/* Digests at the ends: of nothing but zeros, and more than the order. */
static void
extremes(void **state)
{
	struct pair k;

	(void)state;
	make(&k);
	memset(k.digest, 0, sizeof(k.digest));
	sign(&k);
	assert_true(is_right(&k));
	memset(k.digest, 0xff, sizeof(k.digest));
	sign(&k);
	assert_true(is_right(&k));
	unmake(&k);
}

static void
put(struct pair *k, const char *r, const char *s)
{
	ECDSA_SIG *v = ECDSA_SIG_new();
	unsigned char *p = k->sig;
	BIGNUM *br = NULL, *bs = NULL;

	BN_hex2bn(&br, r);
	BN_hex2bn(&bs, s);
	ECDSA_SIG_set0(v, br, bs);
	k->n = (size_t)i2d_ECDSA_SIG(v, &p);
	ECDSA_SIG_free(v);
}

#define ORDER	"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc6325"

/* r and s are from 1 to the order less one ([FIPS186-5] 6.4.2, step 1). */
static void
ranges(void **state)
{
	static const char *const edge[] = { "0", "1", "2", "-1", ORDER "50",
	    ORDER "51", ORDER "52", "1" ORDER "51",
	    "8000000000000000000000000000000000000000000000000000000000000000",
	    "10000000000000000" };
	struct pair k;
	size_t i, j, n = sizeof(edge) / sizeof(edge[0]);

	(void)state;
	make(&k);
	memset(k.digest, 7, sizeof(k.digest));
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			put(&k, edge[i], edge[j]);
			assert_false(is_right(&k));
		}
	}
	unmake(&k);
}

/* s and order - s are both right, as ECDSA is. */
static void
other_half(void **state)
{
	const unsigned char *p;
	unsigned char *to;
	BIGNUM *n = NULL, *s = BN_new();
	ECDSA_SIG *v;
	struct pair k;

	(void)state;
	BN_hex2bn(&n, ORDER "51");
	make(&k);
	memset(k.digest, 9, sizeof(k.digest));
	sign(&k);
	p = k.sig;
	v = d2i_ECDSA_SIG(NULL, &p, (long)k.n);
	assert_int_equal(BN_sub(s, n, ECDSA_SIG_get0_s(v)), 1);
	ECDSA_SIG_set0(v, BN_dup(ECDSA_SIG_get0_r(v)), s);
	to = k.sig;
	k.n = (size_t)i2d_ECDSA_SIG(v, &to);
	assert_true(is_right(&k));
	ECDSA_SIG_free(v);
	BN_free(n);
	unmake(&k);
}

/* Numbers modulo the order, and points. */
struct maths {
	EC_GROUP	*g;
	BN_CTX		*ctx;
	const BIGNUM	*n;
	BIGNUM		*r, *s, *e, *t;
};

static void
begin(struct maths *m)
{
	m->g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	m->ctx = BN_CTX_new();
	m->n = EC_GROUP_get0_order(m->g);
	m->r = BN_new();
	m->s = BN_new();
	m->e = BN_new();
	m->t = BN_new();
}

static void
end(struct maths *m)
{
	BN_free(m->r);
	BN_free(m->s);
	BN_free(m->e);
	BN_free(m->t);
	BN_CTX_free(m->ctx);
	EC_GROUP_free(m->g);
}

/* r, s and e into the pair. */
static void
take(struct pair *k, const struct maths *m)
{
	char *r = BN_bn2hex(m->r), *s = BN_bn2hex(m->s);

	put(k, r, s);
	assert_int_equal(BN_bn2binpad(m->e, k->digest, 32), 32);
	OPENSSL_free(r);
	OPENSSL_free(s);
}

/*
 * u1 G and u2 Q are one point, whose sum needs another formula, or opposite
 * ones, whose sum is at infinity: e is r d, or its negative.
 */
static void
same_points(void **state)
{
	BIGNUM *d = NULL, *k = BN_new();
	struct maths m;
	struct pair p;
	EC_POINT *q;

	(void)state;
	begin(&m);
	make(&p);
	q = EC_POINT_new(m.g);
	assert_int_equal(EVP_PKEY_get_bn_param(p.pkey, "priv", &d), 1);
	assert_int_equal(BN_rand_range(k, m.n), 1);
	assert_int_equal(EC_POINT_mul(m.g, q, k, NULL, NULL, m.ctx), 1);
	EC_POINT_get_affine_coordinates(m.g, q, m.t, NULL, m.ctx);
	BN_nnmod(m.r, m.t, m.n, m.ctx);
	BN_mod_mul(m.e, m.r, d, m.n, m.ctx);
	BN_mod_lshift1(m.t, m.e, m.n, m.ctx);
	BN_mod_inverse(k, k, m.n, m.ctx);
	BN_mod_mul(m.s, m.t, k, m.n, m.ctx);
	take(&p, &m);
	assert_true(is_right(&p));
	BN_sub(m.e, m.n, m.e);
	take(&p, &m);
	assert_false(is_right(&p));
	EC_POINT_free(q);
	BN_free(d);
	BN_free(k);
	unmake(&p);
	end(&m);
}

/* A key for which u1 G + u2 Q is this point. */
static EVP_PKEY *
key_for(const struct maths *m, const EC_POINT *sum, const BIGNUM *u1,
    const BIGNUM *u2)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EC_POINT *q = EC_POINT_new(m->g);
	uint8_t octets[65];
	OSSL_PARAM params[3];
	EVP_PKEY *pkey = NULL;
	char curve[] = "P-256";

	BN_mod_inverse(m->t, u2, m->n, m->ctx);
	EC_POINT_mul(m->g, q, u1, NULL, NULL, m->ctx);
	EC_POINT_invert(m->g, q, m->ctx);
	EC_POINT_add(m->g, q, sum, q, m->ctx);
	EC_POINT_mul(m->g, q, NULL, q, m->t, m->ctx);
	assert_int_equal(EC_POINT_point2oct(m->g, q,
	    POINT_CONVERSION_UNCOMPRESSED, octets, 65, m->ctx), 65);
	params[0] = OSSL_PARAM_construct_utf8_string("group", curve, 0);
	params[1] = OSSL_PARAM_construct_octet_string("pub", octets, 65);
	params[2] = OSSL_PARAM_construct_end();
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY,
	    params), 1);
	EVP_PKEY_CTX_free(ctx);
	EC_POINT_free(q);
	return pkey;
}

/* The point's x is above the order, and r what is left of it. */
static void
large_x(void **state)
{
	BIGNUM *u1 = BN_new(), *u2 = BN_new(), *x = BN_new();
	struct pair k = { .pkey = NULL };
	struct maths m;
	EC_POINT *sum;

	(void)state;
	begin(&m);
	sum = EC_POINT_new(m.g);
	BN_copy(x, m.n);
	do
		BN_add_word(x, 1);
	while (EC_POINT_set_compressed_coordinates(m.g, sum, x, 0,
	    m.ctx) != 1);
	BN_rand_range(u1, m.n);
	BN_rand_range(u2, m.n);
	k.pkey = key_for(&m, sum, u1, u2);
	k.verify = EVP_PKEY_CTX_new(k.pkey, NULL);
	assert_int_equal(EVP_PKEY_verify_init(k.verify), 1);
	assert_non_null(k.check = p256check_new(k.pkey));
	BN_sub(m.r, x, m.n);
	BN_mod_mul(m.s, m.r, m.t, m.n, m.ctx);	/* t is 1/u2 */
	BN_mod_mul(m.e, u1, m.s, m.n, m.ctx);
	take(&k, &m);
	assert_true(is_right(&k));
	BN_copy(m.r, x);
	take(&k, &m);
	assert_false(is_right(&k));
	EC_POINT_free(sum);
	BN_free(u1);
	BN_free(u2);
	BN_free(x);
	unmake(&k);
	end(&m);
}

static void
not_a_signature(void **state)
{
	struct pair k;

	(void)state;
	make(&k);
	memset(k.digest, 7, sizeof(k.digest));
	sign(&k);
	k.sig[k.n++] = 0;		/* something behind it */
	assert_false(is_right(&k));
	k.n = 0;
	assert_false(is_right(&k));
	sign(&k);
	k.n -= 1;
	assert_false(is_right(&k));
	sign(&k);
	assert_int_equal(p256check_verify(k.check, slice_of(k.digest, 31),
	    slice_of(k.sig, k.n)), -1);
	unmake(&k);
}

/* One key's signature is not another's. */
static void
other_key(void **state)
{
	struct pair a, b;

	(void)state;
	make(&a);
	make(&b);
	memset(a.digest, 5, sizeof(a.digest));
	sign(&a);
	assert_int_equal(p256check_verify(b.check, slice_of(a.digest, 32),
	    slice_of(a.sig, a.n)), -1);
	unmake(&a);
	unmake(&b);
}

static void
other_kinds(void **state)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *p384 = EVP_EC_gen("P-384");

	(void)state;
	assert_null(p256check_new(rsa));
	assert_null(p256check_new(p384));
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(p384);
	p256check_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees),
		cmocka_unit_test(extremes),
		cmocka_unit_test(ranges),
		cmocka_unit_test(other_half),
		cmocka_unit_test(same_points),
		cmocka_unit_test(large_x),
		cmocka_unit_test(not_a_signature),
		cmocka_unit_test(other_key),
		cmocka_unit_test(other_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
