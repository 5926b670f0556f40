/* What a client types as its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "account.h"

static void
good(const char *typed, const char *want)
{
	struct err err = ERR_INIT;
	char got[129];

	if (account_canonical(typed, got, &err) != 0)
		fail_msg("%s: %s", typed, err.text);
	assert_string_equal(got, want);
}

static void
bad(const char *typed, const char *why)
{
	struct err err = ERR_INIT;
	char got[129] = "untouched";

	assert_int_equal(account_canonical(typed, got, &err), -1);
	assert_int_equal(err.kind, ERR_UNAUTHENTICATED);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: %s", typed, err.text);
	assert_string_equal(got, "untouched");
}

static void
test_good(void **state)
{
	char longest[129], upper[129];

	(void)state;
	good("demo", "demo");
	good("Demo", "demo");
	good("ALICE@Example.ORG", "alice@example.org");
	good("EXAMPLE\\Alice", "alice@example");
	good("a.example\\PC-1$", "pc-1$@a.example");
	good("_svc-1.x", "_svc-1.x");
	good("host$", "host$");
	good("0", "0");
	good("CORP\\Sean.O'Brien", "sean.o'brien@corp");
	memset(upper, 'A', 128);
	memset(longest, 'a', 128);
	upper[128] = longest[128] = '\0';
	good(upper, longest);
}

static void
test_bad(void **state)
{
	char text[300];

	(void)state;
	bad("", "empty");
	bad("\\", "empty");
	bad("X\\", "empty");
	bad("\\x", "empty");
	bad("a\\b\\c", "0x5c");
	bad("a@b@c", "more than one");
	bad("a\\b@c", "more than one");
	bad("a@b\\c", "more than one");
	bad("@a", "nothing beside");
	bad("a@", "nothing beside");
	bad("@", "nothing beside");
	bad(".a", "dot");
	bad("a.", "dot");
	bad("a.\\b", "dot");
	bad("A\\.b", "dot");
	bad("a b", "0x20");
	bad("a\tb", "0x09");
	bad("a\nb", "0x0a");
	bad("a/b", "0x2f");
	bad("a\"b", "0x22");
	bad("a,b", "0x2c");
	bad("a=b", "0x3d");
	bad("a*", "0x2a");
	bad("a%00", "0x25");
	bad("a\x7f", "0x7f");
	bad("\xc3\xa4", "0xc3");		/* umlaut */
	bad("\xef\xbd\x81", "0xef");		/* full-width a */
	bad("admin\xe2\x80\x8b", "0xe2");	/* zero-width space */
	bad("\xe2\x84\xaa", "0xe2");		/* Kelvin sign, lower case k */
	bad("\xff", "0xff");
	memset(text, 'a', sizeof(text));
	text[129] = '\0';
	bad(text, "128 bytes");
	text[129] = 'a';
	text[299] = '\0';
	bad(text, "128 bytes");
	text[64] = '\\';
	text[129] = '\0';	/* 64 + "@" + 64 = 129 */
	bad(text, "128 bytes");
	text[128] = '\0';
	good(text, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaa@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaa");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
