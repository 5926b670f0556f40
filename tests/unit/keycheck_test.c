/*
 * Weak moduli: each small factor, and close primes in each of Fermat's
 * rounds.  What is refused need not be a product of primes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>

#include "hresult.h"
#include "keycheck.h"

#define BITS	2048
#define ROUNDS	100

struct maths {
	BN_CTX	*ctx;
	BIGNUM	*n, *a, *b, *t;
};

static void
begin(struct maths *m)
{
	m->ctx = BN_CTX_new();
	m->n = BN_new();
	m->a = BN_new();
	m->b = BN_new();
	m->t = BN_new();
}

static void
end(struct maths *m)
{
	BN_free(m->n);
	BN_free(m->a);
	BN_free(m->b);
	BN_free(m->t);
	BN_CTX_free(m->ctx);
}

static int
judge(const BIGNUM *n, struct err *err)
{
	uint8_t octets[BITS / 8];

	assert_int_equal(BN_bn2binpad(n, octets, sizeof(octets)), BITS / 8);
	memset(err, 0, sizeof(*err));
	return keycheck_modulus(slice_of(octets, sizeof(octets)), err);
}

static void
assert_weak(const BIGNUM *n, const char *text)
{
	struct err err;

	assert_int_equal(judge(n, &err), -1);
	assert_int_equal(err_hresult(&err), NTE_BAD_KEY);
	assert_non_null(strstr(err.text, text));
}

/* So large that a product of two has all bits. */
static void
random_half(BIGNUM *v)
{
	BN_rand(v, BITS / 2, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD);
}

static bool
is_prime(unsigned v)
{
	unsigned i;

	for (i = 2; i * i <= v; i++)
		if (v % i == 0)
			return false;
	return true;
}

static bool
has_small_factor(const BIGNUM *n)
{
	unsigned p;

	for (p = 3; p <= 751; p += 2)
		if (BN_mod_word(n, p) == 0)
			return true;
	return false;
}

/* 757 is the first that passes. */
static void
small_factors(void **state)
{
	struct maths m;
	struct err err;
	char text[32];
	unsigned p;

	(void)state;
	begin(&m);
	for (p = 3; p <= 757; p += 2) {
		if (!is_prime(p))
			continue;
		do {
			BN_rand(m.n, BITS - 11, BN_RAND_TOP_TWO,
			    BN_RAND_BOTTOM_ODD);
		} while (has_small_factor(m.n));
		BN_mul_word(m.n, p);
		snprintf(text, sizeof(text), "the factor %u", p);
		if (p < 757)
			assert_weak(m.n, text);
		else
			assert_int_equal(judge(m.n, &err), 0);
	}
	end(&m);
}

/* b, so that a^2 - b^2 is found by trying k above its root. */
static void
make_b(struct maths *m, unsigned k)
{
	BIGNUM *low, *high;
	int bit;

	BN_CTX_start(m->ctx);
	low = BN_CTX_get(m->ctx);
	high = BN_CTX_get(m->ctx);
	/* b^2 is about 2 a (k - 1/2). */
	BN_copy(high, m->a);
	BN_mul_word(high, 2 * k - 1);
	BN_zero(m->b);
	for (bit = BITS / 4 + 8; bit > 0; bit--) {
		BN_set_bit(m->b, bit);
		BN_sqr(low, m->b, m->ctx);
		if (BN_cmp(low, high) > 0)
			BN_clear_bit(m->b, bit);
	}
	BN_CTX_end(m->ctx);
}

/* (a - b)(a + b), odd, without a small factor. */
static void
make_close(struct maths *m, unsigned k)
{
	do {
		random_half(m->a);
		make_b(m, k);
		BN_sub(m->n, m->a, m->b);
		BN_add(m->t, m->a, m->b);
	} while (has_small_factor(m->n) || has_small_factor(m->t));
	BN_mul(m->n, m->n, m->t, m->ctx);
}

static void
close_primes(void **state)
{
	struct maths m;
	struct err err;
	unsigned k;

	(void)state;
	begin(&m);
	for (k = 1; k <= ROUNDS; k++) {
		make_close(&m, k);
		assert_weak(m.n, "too close");
	}
	make_close(&m, k);
	assert_int_equal(judge(m.n, &err), 0);
	end(&m);
}

static void
squares(void **state)
{
	struct maths m;
	struct err err;

	(void)state;
	begin(&m);
	do
		random_half(m.a);
	while (has_small_factor(m.a));
	BN_sqr(m.n, m.a, m.ctx);
	assert_weak(m.n, "too close");
	do
		random_half(m.b);
	while (has_small_factor(m.b));
	BN_mul(m.n, m.a, m.b, m.ctx);
	assert_int_equal(judge(m.n, &err), 0);
	end(&m);
}

/* 65537 modulo 2 and all odd primes up to 167; or 2 modulo 13, no power. */
static void
make_roca(struct maths *m, bool but_13)
{
	unsigned p;

	BN_set_word(m->b, 2);
	for (p = 3; p <= 167; p += 2)
		if (is_prime(p) && (p != 13 || !but_13))
			BN_mul_word(m->b, p);
	do {
		BN_rand(m->a, BITS + 1 - BN_num_bits(m->b), BN_RAND_TOP_ONE,
		    BN_RAND_BOTTOM_ANY);
		BN_mul(m->n, m->a, m->b, m->ctx);
		BN_add_word(m->n, 65537);
	} while (has_small_factor(m->n) || BN_num_bits(m->n) != BITS ||
	    (but_13 && BN_mod_word(m->n, 13) != 2));
}

static void
roca(void **state)
{
	struct maths m;
	struct err err;

	(void)state;
	begin(&m);
	make_roca(&m, false);
	assert_weak(m.n, "roca");
	make_roca(&m, true);
	assert_int_equal(judge(m.n, &err), 0);
	end(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_factors),
		cmocka_unit_test(close_primes),
		cmocka_unit_test(squares),
		cmocka_unit_test(roca),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
