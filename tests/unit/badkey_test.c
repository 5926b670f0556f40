/* A list of blocked keys against one kept without any cleverness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "badkey.h"
#include "file.h"

#define KEYS	64

static void
hash_of(unsigned i, uint8_t out[BADKEY_SPKI])
{
	memset(out, 0, BADKEY_SPKI);
	/* In another order than the numbers'. */
	out[0] = (uint8_t)(i * 37);
	out[1] = (uint8_t)i;
}

/* Pages of news in any order; then each key's hash is on it or not. */
static void
random_pages(void **state)
{
	struct badkeys *b = badkeys_new();
	bool on[2][KEYS] = { { false } };
	size_t told[2][KEYS] = { { 0 } };	/* in which page */
	uint8_t h[BADKEY_SPKI];
	size_t page, i, count, kind;
	unsigned k;

	(void)state;
	srand(7);
	for (page = 1; page <= 400; page++) {
		for (i = 0; i < (size_t)(rand() % 9); i++) {
			k = (unsigned)rand() % KEYS;
			kind = (size_t)rand() % 2;
			/* A page has at most one row of a hash. */
			if (told[kind][k] == page)
				continue;
			told[kind][k] = page;
			on[kind][k] = !on[kind][k];
			hash_of(k, h);
			badkeys_add(b, slice_of(h, kind == 0 ? BADKEY_SPKI :
			    BADKEY_MODULUS), on[kind][k]);
		}
		badkeys_merge(b);
		for (count = i = 0; i < KEYS; i++)
			count += (size_t)on[0][i] + (size_t)on[1][i];
		assert_int_equal(badkeys_count(b), count);
	}
	badkeys_add(b, slice_of(h, 20), true);
	badkeys_merge(b);
	assert_int_equal(badkeys_count(b), count);
	badkeys_free(b);
	badkeys_free(NULL);
}

static struct pubkey *
parse(const char *path, struct buf *der)
{
	struct err err = ERR_INIT;
	struct pubkey *key;

	memset(der, 0, sizeof(*der));
	assert_int_equal(file_read(path, 4096, der, &err), 0);
	key = pubkey_parse(buf_slice(der), &err);
	assert_non_null(key);
	return key;
}

static void
both_hashes(void **state)
{
	struct badkeys *b = badkeys_new();
	uint8_t spki[BADKEY_SPKI], modulus[BADKEY_SPKI];
	uint8_t point[BADKEY_SPKI];
	struct buf der, other;
	struct pubkey *ec = parse("tests/data/key-p256.der", &der);
	struct pubkey *rsa = parse("tests/data/key-rsa1024.der", &other);
	struct err err = ERR_INIT;

	(void)state;
	assert_false(badkeys_has(b, ec));
	assert_int_equal(badkey_other(ec, point), BADKEY_SPKI);
	assert_false(badkeys_has(b, ec));
	badkeys_add(b, slice_of(point, sizeof(point)), true);
	badkeys_merge(b);
	assert_true(badkeys_has(b, ec));
	assert_false(badkeys_has(b, rsa));
	badkeys_add(b, slice_of(point, sizeof(point)), false);
	badkeys_merge(b);
	assert_false(badkeys_has(b, ec));
	pubkey_sha256(ec, spki);
	badkeys_add(b, slice_of(spki, sizeof(spki)), true);
	badkeys_merge(b);
	assert_true(badkeys_has(b, ec));
	assert_false(badkeys_has(b, rsa));
	assert_int_equal(badkey_other(rsa, modulus), BADKEY_MODULUS);
	badkeys_add(b, slice_of(modulus, BADKEY_MODULUS), true);
	badkeys_merge(b);
	assert_true(badkeys_has(b, rsa));
	badkeys_add(b, slice_of(modulus, BADKEY_MODULUS), false);
	badkeys_merge(b);
	assert_false(badkeys_has(b, rsa));
	assert_true(badkeys_has(b, ec));
	assert_int_equal(badkey_owned(ec, NULL, "a", &err), 0);
	assert_int_equal(badkey_owned(ec, "a", "a", &err), 0);
	assert_int_equal(badkey_owned(ec, "a", "b", &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	pubkey_free(ec);
	pubkey_free(rsa);
	buf_free(&der);
	buf_free(&other);
	badkeys_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_pages),
		cmocka_unit_test(both_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
