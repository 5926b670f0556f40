#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "der.h"

/* Every form of BER that is not DER ([security] A1), and what is said. */
static const struct {
	const char	*hex;
	const char	*text;
} refused[] = {
	{ "3080020101" "0000",		"indefinite length" },
	{ "24800403616263" "0000",	"constructed" },
	{ "24050403616263",		"constructed" },
	{ "23050303006162",		"constructed" },
	{ "2c050c03616263",		"constructed" },
	{ "1000",			"primitive" },
	{ "1100",			"primitive" },
	{ "0000",			"end-of-contents" },
	{ "30020000",			"end-of-contents" },
	{ "30810500000000" "00",	"not minimal" },
	{ "04817f",			"not minimal" },
	{ "048200ff",			"not minimal" },
	{ "0480",			"indefinite" },
	{ "04",				"ends before its length" },
	{ "0482ff",			"ends inside its length" },
	{ "040561",			"only 1 octets left" },
	{ "048401000000",		"only 0 octets left" },
	{ "0484ffffffff61",		"only 1 octets left" },
	{ "04850100000000",		"length of 5 octets" },
	{ "0488ffffffffffffffff",	"length of 8 octets" },
	{ "04887fffffffffffffff",	"length of 8 octets" },
	{ "04ff01",			"ends inside its length" },
	{ "0200",			"empty integer" },
	{ "02020001",			"not minimal" },
	{ "0202007f",			"not minimal" },
	{ "0202ff80",			"not minimal" },
	{ "0a00",			"empty integer" },
	{ "0a020001",			"not minimal" },
	{ "010101",			"boolean is not" },
	{ "01020000",			"boolean is not" },
	{ "0100",			"boolean is not" },
	{ "050100",			"null with content" },
	{ "0300",			"unused bits" },
	{ "030108",			"unused bits" },
	{ "030101",			"unused bits" },
	{ "03020861",			"unused bits" },
	{ "03020101",			"unused bits are not zero" },
	{ "0600",			"unfinished" },
	{ "06022a86",			"unfinished" },
	{ "06032a8001",			"not minimal" },
	{ "0603802a01",			"not minimal" },
	{ "1f8100",			"above 30" },
	{ "bf2000",			"above 30" },
	{ "9f1f00",			"above 30" },
	{ "3106020102020101",		"not sorted" },
	{ "31080603550403020101",	"not sorted" },
	{ "bf",				"above 30" },
	{ "3003020101" "00",		"left over" },
	{ "0201010201",			"left over" },
	{ "300530030201010201",		"left over" },
	{ "a0020201",			"only 0 octets left" },
	{ "30030201",			"only 2 octets left" },
	{ "",				"missing" },
};

static struct slice
unhex(const char *hex, uint8_t *out)
{
	size_t	n = strlen(hex) / 2;

	assert_int_equal(hex_decode(hex, out, n), 0);
	return slice_of(out, n);
}

/* On the heap at its exact size, so that a sanitizer sees any overrun. */
static struct slice
exact(const char *hex, uint8_t **mem)
{
	size_t	n = strlen(hex) / 2;

	*mem = xcalloc(n, 1);
	return unhex(hex, *mem);
}

static void
ber_is_refused(void **state)
{
	uint8_t		*mem;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct err	err = ERR_INIT;
		struct slice	s = exact(refused[i].hex, &mem);

		if (der_check(s, 8, "field", &err) != -1)
			fail_msg("%s was accepted", refused[i].hex);
		assert_int_equal(err.kind, ERR_MALFORMED);
		if (strncmp(err.text, "field: ", 7) != 0 ||
		    strstr(err.text, refused[i].text) == NULL)
			fail_msg("%s: %s", refused[i].hex, err.text);
		free(mem);
	}
}

static void
der_is_accepted(void **state)
{
	static const char *const	good[] = {
		"3000", "3100", "0500", "0101ff", "010100", "020100",
		"020180", "0202ff7f", "02020080", "0a0101", "030100",
		"030206c0", "0400", "06032a0304", "0c0161", "3003020101",
		"3106020101020102",
		"a003020101", "8000", "300631040c000c00",
	};
	uint8_t		mem[32];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err	err = ERR_INIT;

		if (der_check(unhex(good[i], mem), 8, "x", &err) == -1)
			fail_msg("%s: %s", good[i], err.text);
	}
}

/* Any cut of a good message is refused, and so is one more octet. */
static void
truncation_is_refused(void **state)
{
	const char	*hex = "3012020101310a06032a0304" "0603" "2a0305"
			    "0401ff";
	uint8_t		 whole[64], *mem;
	struct slice	 s = unhex(hex, whole);
	size_t		 n;

	(void)state;
	whole[1] = (uint8_t)(s.n - 2);
	{
		struct err	err = ERR_INIT;

		assert_int_equal(der_check(s, 4, "x", &err), 0);
	}
	for (n = 0; n < s.n; n++) {
		struct err	err = ERR_INIT;

		mem = xmemdup(s.p, n);
		assert_int_equal(der_check(slice_of(mem, n), 4, "x", &err),
		    -1);
		free(mem);
	}
	whole[s.n++] = 0x05;
	{
		struct err	err = ERR_INIT;

		assert_int_equal(der_check(s, 4, "x", &err), -1);
	}
}

static void
depth_is_limited(void **state)
{
	struct err	err = ERR_INIT;
	uint8_t		mem[16];
	struct slice	s = unhex("30063004300230" "00", mem);

	(void)state;
	assert_int_equal(der_check(s, 4, "x", &err), 0);
	assert_int_equal(der_check(s, 3, "x", &err), -1);
	assert_string_equal(err.text, "x: nested too deep");
}

static void
very_deep_is_refused_cheaply(void **state)
{
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };
	size_t		mark[1000], i;

	(void)state;
	for (i = 0; i < 1000; i++)
		mark[i] = der_open(&b, DER_SEQ);
	while (i-- > 0)
		der_close(&b, mark[i]);
	assert_int_equal(der_check(buf_slice(&b), 16, "x", &err), -1);
	buf_free(&b);
}

static void
huge_integer_is_refused(void **state)
{
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };
	uint8_t		big[5000];

	(void)state;
	memset(big, 0x55, sizeof(big));
	der_put_bigint(&b, big, sizeof(big));
	assert_int_equal(der_check(buf_slice(&b), 1, "x", &err), -1);
	assert_string_equal(err.text, "x: integer too long");
	buf_free(&b);
}

static void
wrong_tag_leaves_everything(void **state)
{
	struct err	err = ERR_INIT;
	uint8_t		mem[8];
	struct slice	content = { NULL, 7 };
	struct der	d;

	(void)state;
	der_init(&d, unhex("8003616263", mem));
	assert_int_equal(der_get(&d, DER_OCTETS, &content, "x", &err), -1);
	assert_string_equal(err.text, "x: tag 80 instead of 04");
	assert_int_equal(content.n, 7);
	assert_ptr_equal(d.p, mem);
	assert_int_equal(der_peek(&d), 0x80);
}

static void
uint_limits(void **state)
{
	static const struct {
		const char	*hex;
		int		 ret;
		uint64_t	 v;
	} t[] = {
		{ "020100", 0, 0 },
		{ "02017f", 0, 127 },
		{ "02020080", 0, 128 },
		{ "02087fffffffffffffff", 0, INT64_MAX },
		{ "0209008000000000000000", -1, 0 },
		{ "0201ff", -1, 0 },
		{ "02088000000000000000", -1, 0 },
		{ "0400", -1, 0 },
	};
	uint8_t		mem[16];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err	err = ERR_INIT;
		struct der	d;
		uint64_t	v = 42;

		der_init(&d, unhex(t[i].hex, mem));
		assert_int_equal(der_uint(&d, &v, "x", &err), t[i].ret);
		assert_int_equal(v, t[i].ret == 0 ? t[i].v : 42);
		assert_int_equal(der_done(&d), t[i].ret == 0);
	}
}

static void
bits_and_only(void **state)
{
	struct err	err = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT;
	struct slice	bits;
	struct der	d, in;
	uint8_t		mem[16];
	bool		v = false;

	(void)state;
	der_init(&d, unhex("030300abcd0101ff", mem));
	assert_int_equal(der_bits(&d, &bits, "x", &err), 0);
	assert_int_equal(bits.n, 2);
	assert_int_equal(bits.p[0], 0xab);
	assert_int_equal(der_bool(&d, &v, "x", &err), 0);
	assert_true(v);
	assert_int_equal(der_end(&d, "x", &err), 0);
	der_init(&d, unhex("030206c0", mem));
	assert_int_equal(der_bits(&d, &bits, "x", &e2), -1);
	assert_string_equal(e2.text, "x: 6 unused bits");
	assert_int_equal(der_only(unhex("300005" "00", mem), DER_SEQ, &in, "x",
	    &e3), -1);
	assert_string_equal(e3.text, "x: 2 octets left over");
}

static void
extension_all_or_nothing(void **state)
{
	uint8_t		mem[64];
	struct err	err = ERR_INIT;
	struct slice	oid = { NULL, 0 }, value = { NULL, 0 };
	struct der	d, was;

	(void)state;
	der_init(&d, unhex("300a" "0603551d0f" "0101ff" "0400", mem));
	assert_int_equal(der_extension(&d, &oid, &value, &err), 0);
	assert_true(der_done(&d));
	assert_int_equal(oid.n, 3);
	assert_int_equal(value.n, 0);
	oid = value = slice_of(NULL, 0);
	der_init(&d, unhex("3009" "0603551d0f" "0400" "0500", mem));
	was = d;
	assert_int_equal(der_extension(&d, &oid, &value, &err), -1);
	assert_string_equal(err.text, "extension: 2 octets left over");
	assert_ptr_equal(d.p, was.p);
	assert_int_equal(oid.n, 0);
	assert_null(value.p);
}

static void
lengths_round_trip(void **state)
{
	static const size_t	sizes[] = { 0, 1, 127, 128, 255, 256, 65535,
	    65536, 70000 };
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct err	err = ERR_INIT;
		struct buf	b = { 0 }, data = { 0 };
		struct slice	got;
		struct der	in;
		size_t		mark;

		memset(buf_extend(&data, sizes[i]), 'x', sizes[i]);
		mark = der_open(&b, DER_SEQ);
		der_put_slice(&b, DER_OCTETS, buf_slice(&data));
		der_close(&b, mark);
		assert_int_equal(der_check(buf_slice(&b), 1, "x", &err), 0);
		assert_int_equal(der_only(buf_slice(&b), DER_SEQ, &in, "x",
		    &err), 0);
		assert_int_equal(der_get(&in, DER_OCTETS, &got, "x", &err), 0);
		assert_true(slice_eq(got, buf_slice(&data)));
		buf_free(&b);
		buf_free(&data);
	}
}

static void
assert_hex(struct buf *b, const char *hex)
{
	struct buf	h = { 0 };

	buf_hex(&h, b->p, b->n);
	assert_string_equal(buf_str(&h), hex);
	buf_free(&h);
	buf_free(b);
}

static void
writer_is_minimal(void **state)
{
	struct buf	b = { 0 };

	(void)state;
	der_put_uint(&b, 0);
	der_put_uint(&b, 127);
	der_put_uint(&b, 128);
	der_put_uint(&b, UINT64_MAX);
	assert_hex(&b, "02010002017f02020080020900ffffffffffffffff");
	der_put_bigint(&b, (const uint8_t *)"\0\0\x80", 3);
	der_put_bigint(&b, NULL, 0);
	assert_hex(&b, "02020080020100");
	der_put_bool(&b, true);
	der_put_bool(&b, false);
	der_put_bits(&b, (const uint8_t *)"\x01", 1);
	der_put_str(&b, DER_UTF8, "ab");
	assert_hex(&b, "0101ff01010003020001" "0c026162");
}

static void
times(void **state)
{
	struct buf	b = { 0 };
	static const struct {
		int64_t		 t;
		const char	*text;
	} t[] = {
		{ 0, "\x17\x0d" "700101000000Z" },
		{ 2524607999, "\x17\x0d" "491231235959Z" },
		{ 2524608000, "\x18\x0f" "20500101000000Z" },
		{ -631152000, "\x17\x0d" "500101000000Z" },
		{ -631152001, "\x18\x0f" "19491231235959Z" },
		{ INT64_MAX, "\x18\x0f" "99991231235959Z" },
		{ INT64_MIN, "\x18\x0f" "00000101000000Z" },
	};
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		der_put_time(&b, t[i].t);
		assert_string_equal(buf_str(&b), t[i].text);
		buf_reset(&b);
	}
	der_put_gentime(&b, 0);
	assert_string_equal(buf_str(&b), "\x18\x0f" "19700101000000Z");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(ber_is_refused),
		cmocka_unit_test(der_is_accepted),
		cmocka_unit_test(truncation_is_refused),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(very_deep_is_refused_cheaply),
		cmocka_unit_test(huge_integer_is_refused),
		cmocka_unit_test(wrong_tag_leaves_everything),
		cmocka_unit_test(uint_limits),
		cmocka_unit_test(bits_and_only),
		cmocka_unit_test(extension_all_or_nothing),
		cmocka_unit_test(lengths_round_trip),
		cmocka_unit_test(writer_is_minimal),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
