/* Unified differences: known texts, and that they rebuild the new text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static const struct {
	const char *a, *b, *want;
} cases[] = {
	{ "", "", "" },
	{ "a\nb\n", "a\nb\n", "" },
	{ "", "x\n", "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n" },
	{ "x\n", "", "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-x\n" },
	{ "1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nX\n6\n7\n8\n",
	    "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n"
	    " 8\n" },
	/* Six unchanged lines between: one hunk; seven: two. */
	{ "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
	    "--- a\n+++ b\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n"
	    "-b\n+B\n" },
	{ "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
	    "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
	    "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n" },
};

static void
test_known(void **state)
{
	struct err err = ERR_INIT;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&b);
		assert_int_equal(diff_unified(slice_str(cases[i].a),
		    slice_str(cases[i].b), "a", "b", &b, &err), 0);
		assert_string_equal(buf_str(&b), cases[i].want);
	}
	buf_free(&b);
}

/* Apply it as patch(1) would; the old text must be what the hunks say. */
static void
patch(const char *old, const char *diff, struct buf *out)
{
	unsigned from, n, to, m, line = 1;
	const char *nl;

	for (; *diff != '\0'; diff = nl + 1) {
		nl = strchr(diff, '\n');
		assert_non_null(nl);
		if (sscanf(diff, "@@ -%u,%u +%u,%u @@", &from, &n, &to,
		    &m) == 4) {
			for (from += n == 0; line < from; line++) {
				size_t k = strcspn(old, "\n") + 1;

				buf_add(out, old, k);
				old += k;
			}
			continue;
		}
		if (strncmp(diff, "---", 3) == 0 ||
		    strncmp(diff, "+++", 3) == 0)
			continue;
		if (*diff != '+') {
			assert_memory_equal(old, diff + 1, nl - diff);
			old += nl - diff;
			line++;
		}
		if (*diff != '-')
			buf_add(out, diff + 1, (size_t)(nl - diff));
	}
	buf_puts(out, old);
}

static void
random_text(struct buf *b)
{
	int i, n = rand() % 30;

	for (i = 0; i < n; i++)
		buf_printf(b, "%c\n", 'a' + rand() % 5);
}

static void
test_random(void **state)
{
	struct buf a = { 0 }, b = { 0 }, d = { 0 }, got = { 0 };
	struct err err = ERR_INIT;
	int i;

	(void)state;
	srand(1);
	for (i = 0; i < 2000; i++) {
		buf_reset(&a);
		buf_reset(&b);
		buf_reset(&d);
		buf_reset(&got);
		random_text(&a);
		random_text(&b);
		assert_int_equal(diff_unified(buf_slice(&a), buf_slice(&b),
		    "a", "b", &d, &err), 0);
		patch(buf_str(&a), buf_str(&d), &got);
		assert_string_equal(buf_str(&got), buf_str(&b));
	}
	buf_free(&a);
	buf_free(&b);
	buf_free(&d);
	buf_free(&got);
}

static void
test_too_big(void **state)
{
	struct buf a = { 0 }, b = { 0 }, d = { 0 };
	struct err err = ERR_INIT;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		buf_printf(&a, "a%d\n", i);
		buf_printf(&b, "b%d\n", i);
	}
	assert_int_equal(diff_unified(buf_slice(&a), buf_slice(&b), "a", "b",
	    &d, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	buf_free(&a);
	buf_free(&b);
	buf_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_too_big),
	};

	return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}
