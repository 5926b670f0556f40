/* SIDs in their packet form, and where a PAC has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pac.h"

/* S-1-5-21-1-2-4294967295-1104 */
#define USER	1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, \
	2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x50, 4, 0, 0

static const char	text[] = "S-1-5-21-1-2-4294967295-1104";

/* From memory that ends with it, for AddressSanitizer. */
static int
of(const uint8_t *p, size_t n, struct pac *out)
{
	uint8_t	*copy = malloc(n == 0 ? 1 : n);
	int	 rc;

	assert_non_null(copy);
	memcpy(copy, p, n);
	rc = pac_read(slice_of(copy, n), out);
	free(copy);
	return rc;
}

static void
test_sid(void **state)
{
	uint8_t	sid[] = { USER }, big[8 + 15 * 4], six[] = { 1, 1, 1, 2, 3,
	    4, 5, 6, 7, 0, 0, 0 };
	char	out[SID_TEXT];
	size_t	i;
	(void)state;

	assert_true(sid_text(slice_of(sid, sizeof(sid)), out));
	assert_string_equal(out, text);
	for (i = 0; i < sizeof(sid); i++)
		assert_false(sid_text(slice_of(sid, i), out));
	sid[0] = 2;
	assert_false(sid_text(slice_of(sid, sizeof(sid)), out));
	sid[0] = 1;
	sid[1] = 4;
	assert_false(sid_text(slice_of(sid, sizeof(sid)), out));
	assert_true(sid_text(slice_of(six, sizeof(six)), out));
	assert_string_equal(out, "S-1-0x010203040506-7");
	memset(big, 0xff, sizeof(big));
	big[0] = 1;
	big[1] = 15;
	assert_true(sid_text(slice_of(big, sizeof(big)), out));
	assert_int_equal(strlen(out), SID_TEXT - 2);
	big[1] = 16;
	assert_false(sid_text(slice_of(big, sizeof(big)), out));
	big[1] = 0;
	assert_false(sid_text(slice_of(big, 8), out));
}

/* What Samba 4.17 says of its user Bob. */
static const uint8_t	bob[] = {
	0x28, 0x00, 0x18, 0x00, 0x20, 0x00, 0x40, 0x00, 0x02, 0x00, 0x00, 0x00,
	0x06, 0x00, 0x60, 0x00, 0x1c, 0x00, 0x66, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x42, 0x00, 0x6f, 0x00, 0x62, 0x00, 0x40, 0x00, 0x63, 0x00, 0x6f, 0x00,
	0x72, 0x00, 0x70, 0x00, 0x2e, 0x00, 0x65, 0x00, 0x78, 0x00, 0x61, 0x00,
	0x6d, 0x00, 0x70, 0x00, 0x6c, 0x00, 0x65, 0x00, 0x2e, 0x00, 0x6f, 0x00,
	0x72, 0x00, 0x67, 0x00, 0x43, 0x00, 0x4f, 0x00, 0x52, 0x00, 0x50, 0x00,
	0x2e, 0x00, 0x45, 0x00, 0x58, 0x00, 0x41, 0x00, 0x4d, 0x00, 0x50, 0x00,
	0x4c, 0x00, 0x45, 0x00, 0x2e, 0x00, 0x4f, 0x00, 0x52, 0x00, 0x47, 0x00,
	0x42, 0x00, 0x6f, 0x00, 0x62, 0x00, 0x01, 0x05, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x05, 0x15, 0x00, 0x00, 0x00, 0xda, 0xc7, 0xa4, 0x47, 0xa9, 0xf4,
	0x70, 0x42, 0x56, 0x76, 0x61, 0x88, 0x51, 0x04, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00,
};

static void
test_samba(void **state)
{
	struct pac	pac;
	(void)state;

	assert_int_equal(of(bob, sizeof(bob), &pac), 0);
	assert_string_equal(pac.sam, "Bob");
	assert_string_equal(pac.sid, "S-1-5-21-1201981402-1114698921-"
	    "2288088662-1105");
}

static void
test_pac(void **state)
{
	uint8_t		with[] = { 2, 0, 20, 0, 2, 0, 20, 0, 2, 0, 0, 0,
	    2, 0, 20, 0, 28, 0, 22, 0, 'x', 0, USER };
	struct pac	pac;
	size_t		i;
	(void)state;

	assert_int_equal(of(with, sizeof(with), &pac), 0);
	assert_string_equal(pac.sid, text);
	assert_string_equal(pac.sam, "x");
	for (i = 0; i < sizeof(with); i++)
		assert_int_equal(of(with, i, &pac), -1);
	with[16] = 27;			/* not the SID's length */
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[16] = 28;
	with[18] = 23;			/* beyond the end */
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[18] = 19;			/* in what comes before */
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[19] = 0xff;
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[8] = 1;			/* a UPN made up, and no more */
	assert_int_equal(of(with, sizeof(with), &pac), 0);
	assert_string_equal(pac.sam, "");
	assert_string_equal(pac.sid, "");
	assert_int_equal(of(with, 12, &pac), 0);
}

static void
test_sam(void **state)
{
	uint8_t		with[] = { 2, 0, 20, 0, 2, 0, 20, 0, 2, 0, 0, 0,
	    8, 0, 48, 0, 28, 0, 20, 0, USER, 'a', 0, 0xe4, 0, 0, 0, 'b', 1 };
	struct pac	pac;
	(void)state;

	/* Nothing that could be taken for another name. */
	assert_int_equal(of(with, sizeof(with), &pac), 0);
	assert_string_equal(pac.sam, "a???");
	with[12] = 0;
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[12] = 7;
	assert_int_equal(of(with, sizeof(with), &pac), -1);
	with[12] = 10;
	assert_int_equal(of(with, sizeof(with), &pac), -1);
}

static void
test_long_sam(void **state)
{
	uint8_t		with[20 + 28 + 2 * 257] = { 2, 0, 20, 0, 2, 0, 20, 0,
	    2, 0, 0, 0, 0, 2, 48, 0, 28, 0, 20, 0, USER };
	struct pac	pac;
	(void)state;

	memset(with + 48, 'a', sizeof(with) - 48);
	assert_int_equal(of(with, sizeof(with), &pac), 0);
	assert_int_equal(strlen(pac.sam), 256);
	with[12] = 2;
	assert_int_equal(of(with, sizeof(with), &pac), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sid),
		cmocka_unit_test(test_samba),
		cmocka_unit_test(test_pac),
		cmocka_unit_test(test_sam),
		cmocka_unit_test(test_long_sam),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
