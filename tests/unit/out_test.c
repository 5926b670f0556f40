/* What the command line prints: alignment, JSON, hostile values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "args.h"
#include "out.h"

static const struct out_col cols[] = {
	{ "name", OUT_TEXT }, { "row_count", OUT_NUMBER },
	{ "disabled", OUT_BOOL }, { "groups", OUT_LIST },
	{ "cursor", OUT_JSON_ONLY }, { "body", OUT_BLOCK },
	{ NULL, OUT_TEXT }
};

static void
fill(struct out *o, const char *name)
{
	out_add(o, name);
	out_num(o, 7);
	out_bool(o, true);
	out_add(o, "a\nb");
	out_add(o, NULL);
	out_add(o, "one\ntwo\n");
}

static void
renders(enum out_form form, bool json, const char *want)
{
	struct out *o = out_new(cols, form);
	struct buf b = { 0 };

	fill(o, "alice");
	fill(o, "\xc3\xa9");
	out_add(o, "half a row");
	assert_int_equal(out_rows(o), 2);
	out_render(o, json, &b);
	assert_string_equal(buf_str(&b), want);
	buf_free(&b);
	out_free(o);
}

static void
test_forms(void **state)
{
	(void)state;
	renders(OUT_TABLE, false,
	    "NAME   ROW COUNT  DISABLED  GROUPS\n"
	    "alice          7  yes       a,b\n"
	    "\xc3\xa9              7  yes       a,b\n");
	renders(OUT_RECORD, false,
	    "name:      alice\nrow count: 7\ndisabled:  yes\n"
	    "groups:    a,b\n\none\ntwo\n\n"
	    "name:      \xc3\xa9\nrow count: 7\ndisabled:  yes\n"
	    "groups:    a,b\n\none\ntwo\n");
	renders(OUT_RECORD, true,
	    "[\n{\"name\":\"alice\",\"row_count\":7,\"disabled\":true,"
	    "\"groups\":[\"a\",\"b\"],\"cursor\":null,"
	    "\"body\":\"one\\ntwo\\n\"},\n"
	    "{\"name\":\"\xc3\xa9\",\"row_count\":7,\"disabled\":true,"
	    "\"groups\":[\"a\",\"b\"],\"cursor\":null,"
	    "\"body\":\"one\\ntwo\\n\"}\n]\n");
}

/* One that is in hundreds of groups does not widen the rows of all others. */
static void
test_wide(void **state)
{
	struct out *o = out_new(cols, OUT_TABLE);
	char name[1001] = "";
	struct buf b = { 0 };

	(void)state;
	memset(name, 'x', 1000);
	fill(o, "alice");
	fill(o, name);
	out_render(o, false, &b);
	assert_in_range(b.n, 1000 + 2 * 100, 1000 + 2 * 150);
	assert_non_null(strstr(buf_str(&b), "x          7  yes       a,b\n"));
	buf_free(&b);
	out_free(o);
}

static void
test_empty(void **state)
{
	struct out *o = out_new(cols, OUT_TABLE);
	struct buf b = { 0 };

	(void)state;
	out_render(o, false, &b);
	assert_int_equal(b.n, 0);
	out_render(o, true, &b);
	assert_string_equal(buf_str(&b), "[\n]\n");
	buf_free(&b);
	out_free(o);
}

static const struct {
	const char *value, *plain, *json;
} hostile[] = {
	{ "a\"b\\c", "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "\033[2J", "\\x1b[2J", "\"\\u001b[2J\"" },
	{ "a\nb\tc", "a\\x0ab\\x09c", "\"a\\nb\\u0009c\"" },
	{ "\x7f", "\\x7f", "\"\\u007f\"" },
	{ "\xc2\x9b", "\\u009b", "\"\\u009b\"" },		/* C1 CSI */
	{ "\xe2\x80\xae" "abc", "\\u202eabc", "\"\\u202eabc\"" }, /* RLO */
	{ "a\xc2\xad" "b", "a\\u00adb", "\"a\\u00adb\"" },	/* soft hyphen */
	{ "a\xe3\x85\xa4", "a\\u3164", "\"a\\u3164\"" },	/* Hangul filler */
	{ "a\xf3\xa0\x84\x80", "a\\udb40\\udd00",
	    "\"a\\udb40\\udd00\"" },			/* a variation */
	{ "\xc3\xa4\xf0\x9f\x94\x91", "\xc3\xa4\xf0\x9f\x94\x91",
	    "\"\xc3\xa4\xf0\x9f\x94\x91\"" },
	{ "\xff\xc3", "\\xff\\xc3", "\"\\ufffd\\ufffd\"" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\"\\ufffd\\ufffd\"" },	/* overlong */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80",
	    "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91", "\"\xf0\x9f\x94\x91\"" },
};

static void
test_hostile(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
		buf_reset(&b);
		out_plain(&b, hostile[i].value);
		assert_string_equal(buf_str(&b), hostile[i].plain);
		buf_reset(&b);
		out_json_string(&b, hostile[i].value);
		assert_string_equal(buf_str(&b), hostile[i].json);
	}
	buf_free(&b);
}

static const struct opt opts[] = {
	{ "cn", "TEXT", "", false }, { "group", "NAME", "", true },
	{ "machine", NULL, "", false }, { "o", "FILE", "", false },
	{ NULL, NULL, NULL, false }
};

static int
parse(struct args *a, char **argv)
{
	struct err err = ERR_INIT;
	int n = 0;

	while (argv[n] != NULL)
		n++;
	return args_parse(a, opts, n, argv, &err);
}

static void
test_args(void **state)
{
	char *good[] = { "alice", "--cn=A B", "--group", "x", "--json",
	    "--group=y", "-o", "f", "--", "--cn", NULL };
	char *bad[][3] = { { "--nope", NULL, NULL }, { "--cn", NULL, NULL },
	    { "--machine=1", NULL, NULL }, { "--cn=a", "--cn=a", NULL },
	    { "--c=a", NULL, NULL }, { "--machine", "--machine", NULL } };
	struct strlist groups = { 0 };
	struct args a;
	size_t i;

	(void)state;
	assert_int_equal(parse(&a, good), 0);
	assert_int_equal(a.npos, 2);
	assert_string_equal(a.pos[1], "--cn");
	assert_string_equal(args_get(&a, "cn"), "A B");
	assert_true(a.json);
	assert_false(a.help);
	args_list(&a, "group", &groups);
	assert_int_equal(groups.n, 2);
	assert_string_equal(groups.v[1], "y");
	strlist_free(&groups);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(&a, bad[i]), -1);
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = { "", " 1", "+1", "1x", "0x1", "0",
	    "11", "99999999999999999999", "-" };
	struct err err = ERR_INIT;
	int64_t n = 0;
	size_t i;

	(void)state;
	assert_int_equal(number_parse("10", 1, 10, &n, &err), 0);
	assert_int_equal(n, 10);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err why = ERR_INIT;

		assert_int_equal(number_parse(bad[i], 1, 10, &n, &why), -1);
		assert_true(why.text[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests_name("out", tests, NULL, NULL);
}
