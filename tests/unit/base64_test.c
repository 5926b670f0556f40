#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"

static void
vectors(void **state)
{
	static const struct {
		const char	*plain;
		const char	*coded;
	} t[] = {		/* [RFC4648] 10 */
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xef\xbe", "/+++" },
	};
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err	err = ERR_INIT;
		struct buf	b = { 0 };

		base64_encode((const uint8_t *)t[i].plain, strlen(t[i].plain),
		    &b);
		assert_string_equal(buf_str(&b), t[i].coded);
		buf_reset(&b);
		assert_int_equal(base64_decode(t[i].coded, strlen(t[i].coded),
		    6, &b, &err), 0);
		assert_true(slice_is(buf_slice(&b), t[i].plain));
		buf_free(&b);
	}
}

static void
white_space_is_ignored(void **state)
{
	static const char	text[] = " \tZ\r\nm 9v\nYg = =\n";
	struct err		err = ERR_INIT;
	struct buf		b = { 0 };

	(void)state;
	assert_int_equal(base64_decode(text, strlen(text), 4, &b, &err), 0);
	assert_true(slice_is(buf_slice(&b), "foob"));
	buf_free(&b);
}

/* [security] X13 */
static void
sloppy_is_refused(void **state)
{
	static const struct {
		const char	*p;
		size_t		 n;
		const char	*text;
	} t[] = {
		{ "Zg", 2, "padding" },
		{ "Zg=", 3, "padding" },
		{ "Z", 1, "padding" },
		{ "Z===", 4, "padding" },
		{ "====", 4, "padding" },
		{ "=", 1, "padding" },
		{ "Zm9v====", 8, "padding" },
		{ "Zm9vZ===", 8, "padding" },
		{ "Zh==", 4, "pad bits" },
		{ "Zm9=", 4, "pad bits" },
		{ "Zg==Zg==", 8, "behind padding" },
		{ "Z=g=", 4, "behind padding" },
		{ "Zg==Z", 5, "behind padding" },
		{ "_-__", 4, "0x5f" },
		{ "Zm9v-A==", 8, "0x2d" },
		{ "Zm\0v", 4, "0x00" },
		{ "Zm9v\0", 5, "0x00" },
		{ "Zm9v\x0b", 5, "0x0b" },
		{ "Zm9v\xc2\xa0", 6, "0xc2" },
		{ "Zm9v<b/>", 8, "0x3c" },
		{ "Zm9v.", 5, "0x2e" },
	};
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err	err = ERR_INIT;
		struct buf	b = { 0 };
		char		*mem = xmemdup(t[i].p, t[i].n);

		buf_puts(&b, "kept");
		if (base64_decode(mem, t[i].n, 100, &b, &err) != -1)
			fail_msg("%s was accepted", t[i].p);
		assert_int_equal(err.kind, ERR_MALFORMED);
		if (strstr(err.text, t[i].text) == NULL)
			fail_msg("%s: %s", t[i].p, err.text);
		assert_true(slice_is(buf_slice(&b), "kept"));
		buf_free(&b);
		free(mem);
	}
}

static void
limit_is_exact(void **state)
{
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };

	(void)state;
	assert_int_equal(base64_decode("Zm9vYmFy", 8, 6, &b, &err), 0);
	assert_int_equal(base64_decode("Zm9vYmFy", 8, 5, &b, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	assert_int_equal(b.n, 6);
	buf_free(&b);
}

static void
every_length_round_trips(void **state)
{
	uint8_t		data[200];
	size_t		n;

	(void)state;
	for (n = 0; n < sizeof(data); n++) {
		struct err	err = ERR_INIT;
		struct buf	text = { 0 }, back = { 0 };

		data[n] = (uint8_t)(n * 37 + 11);
		base64_encode(data, n, &text);
		assert_int_equal(base64_decode((const char *)text.p, text.n, n,
		    &back, &err), 0);
		assert_true(slice_eq(buf_slice(&back), slice_of(data, n)));
		buf_free(&text);
		buf_free(&back);
	}
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(white_space_is_ignored),
		cmocka_unit_test(sloppy_is_refused),
		cmocka_unit_test(limit_is_exact),
		cmocka_unit_test(every_length_round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
