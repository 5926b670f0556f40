/* Serial numbers: form, order, place of the signer, no repetition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "serial.h"

#define NOW	INT64_C(1795510800)	/* 2026-11-24 */

static void
form(void **state)
{
	struct err err = ERR_INIT;
	uint8_t s[SERIAL_LEN];
	uint32_t t = 0x400000 + (uint32_t)((NOW - SERIAL_EPOCH) / 1024);

	(void)state;
	assert_int_equal(serial_new(NOW, 0xabcd, s, &err), 0);
	assert_in_range(NOW - serial_drawn(slice_of(s, SERIAL_LEN)), 0,
	    SERIAL_UNIT - 1);
	assert_int_equal(serial_drawn(slice_of(s, SERIAL_LEN - 1)), -1);
	s[0] ^= 0x40;
	assert_int_equal(serial_drawn(slice_of(s, SERIAL_LEN)), -1);
	s[0] ^= 0x40;
	assert_int_equal((uint32_t)s[0] << 16 | s[1] << 8 | s[2], t);
	assert_int_equal(s[3], 0xab);
	assert_int_equal(s[4], 0xcd);
	assert_int_equal(s[0] & 0xc0, 0x40);	/* positive, full length */
}

static void
order(void **state)
{
	struct err err = ERR_INIT;
	uint8_t a[SERIAL_LEN], b[SERIAL_LEN];

	(void)state;
	assert_int_equal(serial_new(NOW, 0xffff, a, &err), 0);
	assert_int_equal(serial_new(NOW + 1024, 0, b, &err), 0);
	assert_true(memcmp(a, b, SERIAL_LEN) < 0);
	/* The first and the last second that fit. */
	assert_int_equal(serial_new(SERIAL_EPOCH, 0, a, &err), 0);
	assert_memory_equal(a, "\x40\0\0", 3);
	assert_int_equal(serial_new(SERIAL_EPOCH + INT64_C(0x3fffff) * 1024,
	    0, a, &err), 0);
	assert_memory_equal(a, "\x7f\xff\xff", 3);
}

static void
clock_outside(void **state)
{
	struct err err = ERR_INIT, err2 = ERR_INIT;
	uint8_t s[SERIAL_LEN];

	(void)state;
	assert_int_equal(serial_new(SERIAL_EPOCH - 1, 1, s, &err), -1);
	assert_int_equal(serial_new(SERIAL_EPOCH + INT64_C(0x400000) * 1024,
	    1, s, &err2), -1);
}

/* Every one of the 88 bits is 1 about half of the time. */
static void
random_bits(void **state)
{
	enum { N = 4000 };
	static uint8_t s[N][SERIAL_LEN];
	struct err err = ERR_INIT;
	int i, j, ones;

	(void)state;
	for (i = 0; i < N; i++)
		assert_int_equal(serial_new(NOW, 7, s[i], &err), 0);
	for (j = 40; j < 128; j++) {
		for (i = 0, ones = 0; i < N; i++)
			ones += s[i][j / 8] >> (j % 8) & 1;
		assert_in_range(ones, N / 2 - 300, N / 2 + 300);
	}
	for (i = 1; i < N; i++)
		assert_memory_not_equal(s[i], s[i - 1], SERIAL_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(form),
		cmocka_unit_test(order),
		cmocka_unit_test(clock_outside),
		cmocka_unit_test(random_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
