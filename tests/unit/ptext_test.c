/* Templates found and changed in the text of a policy file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ptext.h"

#define HEAD "policy-name = \"x { template \\\"B\\\" {\" # template \"A\" {\n"

static const char text[] = HEAD
    "ca \"A\" { aia = {\"http://x/}\"} }\n"
    "template \"A\" { /* version = \"9.9\" } */ oid = \"1.2\"\n"
    "\tversion = \"100.1\" # mine\n\tenroll = {\"a\", \"b\"}\n}\n"
    "template B {\n\toid = \"1.3\"\n}\n";

static void
version_is(const char *name, const char *want_in)
{
	struct buf out = { 0 };

	ptext_set_version(slice_str(text), name, 101, 0, &out);
	assert_non_null(strstr(buf_str(&out), want_in));
	assert_non_null(strstr(buf_str(&out), "9.9"));
	assert_memory_equal(out.p, HEAD, strlen(HEAD));
	buf_free(&out);
}

static void
test_set_version(void **state)
{
	(void)state;
	version_is("A", "\tversion = \"101.0\" # mine\n");
	version_is("B", "template B {\n\tversion = \"101.0\"\n\toid");
}

static void
test_find(void **state)
{
	struct slice a = ptext_template(slice_str(text), "A");

	(void)state;
	assert_true(a.n > 20);
	assert_int_equal(a.p[a.n], '}');
	assert_int_equal(ptext_template(slice_str(text), "C").n, 0);
	assert_int_equal(ptext_template(slice_str("template \"C\" {"), "C").n,
	    0);
	assert_int_equal(ptext_template(slice_str(""), "C").n, 0);
}

static void
test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "a = 1", "a=1 # x", true },
		{ "a = 1 version = \"1.2\"", "version = \"3.4\"\na = 1", true },
		{ "a = 1", "a = 2", false },
		{ "a = \"1 #\"", "a = \"1 \"", false },
		{ "a = {1, 2}", "a = {1,2} /* y */", true },
		{ "a = {1, 2}", "a = {2, 1}", false },
		{ "a = 1", "a = 1 b = 2", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(ptext_same(slice_str(cases[i].a),
		    slice_str(cases[i].b)), cases[i].same);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_set_version),
	};

	return cmocka_run_group_tests_name("ptext", tests, NULL, NULL);
}
