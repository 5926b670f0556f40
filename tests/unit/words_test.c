/* Words for octets: all different, and the places told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "words.h"

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
all_different(void **state)
{
	static char word[512][WORD_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < 512; i++)
		word_of((uint8_t)(i % 256), i >= 256, word[i]);
	qsort(word, 512, sizeof(word[0]), compare);
	for (i = 0; i < 512; i++) {
		assert_in_range(strlen(word[i]), 5, WORD_MAX);
		assert_int_equal(strspn(word[i], "abcdefghijklmnopqrstuvwxyz"),
		    strlen(word[i]));
		if (i > 0)
			assert_string_not_equal(word[i - 1], word[i]);
	}
}

static void
lines(void **state)
{
	static const uint8_t md[] = { 0x00, 0x00, 0xff, 0xff, 0x12, 0xab,
	    0x7f, 0x80, 0x01 };
	struct buf b = { 0 };

	(void)state;
	words_put(slice_of(md, sizeof(md)), &b);
	assert_string_equal(buf_str(&b), "    babel amabas vazan rebizar "
	    "cedan kerurek kizan ilobas\n    bacor\n");
	buf_reset(&b);
	words_put_hex(slice_of(md, sizeof(md)), &b);
	assert_string_equal(buf_str(&b), "    0000 ffff 12ab 7f80 01\n");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_different), cmocka_unit_test(lines)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
