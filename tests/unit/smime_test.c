/* S/MIME capabilities: which of a request's list stand in a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "der.h"
#include "smime.h"

#define B(s)	{ (const uint8_t *)s, sizeof(s) - 1 }
#define AES(n)	"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01" n
#define DES3	"\x30\x0a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x07"
#define RC2	"\x30\x0e\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x02\x02\x02\x00\x80"

static void
lists(void **state)
{
	static const struct {
		struct slice	in, out;
	} cases[] = {
		{ B("\x30\x0d" AES("\x2a")), B("\x30\x0d" AES("\x2a")) },
		/* As Windows has it: the order is the client's wish. */
		{ B("\x30\x50" AES("\x2a") AES("\x2d") AES("\x02") AES("\x05")
		    DES3 RC2), B("\x30\x34" AES("\x2a") AES("\x2d") AES("\x02")
		    AES("\x05")) },
		{ B("\x30\x1a" AES("\x02") AES("\x2e")),
		    B("\x30\x1a" AES("\x02") AES("\x2e")) },
		{ B("\x30\x1a" AES("\x02") AES("\x02")),
		    B("\x30\x0d" AES("\x02")) },
		/* Neither an encryption nor bare. */
		{ B("\x30\x0d" AES("\x01")), B("") },
		{ B("\x30\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01"
		    "\x2a\x05\x00"), B("") },
		{ B("\x30\x0e\x30\x0c\x06\x0a\x60\x86\x48\x01\x65\x03\x04\x01"
		    "\x2a\x01"), B("") },
		{ B("\x30\x1c" DES3 RC2), B("") }, { B("\x30\x00"), B("") },
	};
	struct buf	out = { 0 };
	struct err	err = ERR_INIT;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&out);
		assert_int_equal(smime_copy(cases[i].in, &out, &err), 0);
		if (!slice_eq(buf_slice(&out), cases[i].out))
			fail_msg("case %zu: %zu octets", i, out.n);
	}
	buf_free(&out);
}

static void
malformed(void **state)
{
	static const struct slice cases[] = {
		B(""), B("\x31\x00"), B("\x30\x00\x00"), B("\x30\x02\x05\x00"),
		B("\x30\x02\x30\x00"), B("\x30\x04\x30\x02\x06\x00"),
		B("\x30\x11\x30\x0f\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01"
		    "\x2a\x05\x00\x05\x00"),
		B("\x30\x80" AES("\x2a") "\x00\x00"),
		B("\x30\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01"),
	};
	struct buf	many = { 0 }, out = { 0 };
	struct err	err;
	size_t		i, all;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err = (struct err)ERR_INIT;
		assert_int_equal(smime_copy(cases[i], &out, &err), -1);
		assert_int_equal(err.kind, ERR_MALFORMED);
	}
	all = der_open(&many, DER_SEQ);
	for (i = 0; i <= SMIME_MAX; i++)
		buf_add(&many, DES3, sizeof(DES3) - 1);
	der_close(&many, all);
	err = (struct err)ERR_INIT;
	assert_int_equal(smime_copy(buf_slice(&many), &out, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	buf_free(&many);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists), cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
