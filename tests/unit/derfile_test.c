/* Objects out of files, whatever they are wrapped in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "derfile.h"
#include "file.h"

#define MAX	64
#define A60	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char	path[] = "/tmp/derfile_test.XXXXXX";

static void
wrappings(void **state)
{
#define F(s)	{ s, sizeof(s) - 1 }
	static const struct {
		struct { const char *p; size_t n; } file;
		const char	*der, *why;	/* the one or the other */
	} cases[] = {
		{ F("0\4abcd"), "0\4abcd", NULL },
		{ F("0\177" A60 "bc"), "0\177" A60 "bc", NULL },
		{ F("0\177" A60 "bcd"), NULL, "65 bytes, limit 64" },
		{ F("MARhYmNk"), "0\4abcd", NULL },
		{ F("MARh\r\nYmNk\r\n"), "0\4abcd", NULL },
		{ F("x\n-----BEGIN X-----\nMARhYmNk\n-----END X-----\ny\n"),
		    "0\4abcd", NULL },
		{ F("-----BEGIN X-----\nMARhYmNk\n"), NULL, "no end" },
		{ F("-----BEGIN X-----\nMARh\n-----END X-----\n"
		    "-----BEGIN X-----\n"), NULL, "more than one" },
		{ F("MAAA" A60 "aaaaaaaaaaaaaaaaaaaaaaaa"), NULL,
		    "66 bytes, limit 64" },
		{ F("MA\0R"), NULL, "neither" }, { F("%"), NULL, "base64" },
		{ F(""), NULL, "empty" }, { F("\n"), NULL, "empty" },
	};
	struct buf	out = { 0 };
	struct err	err;
	size_t		i;
	int		rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&err, 0, sizeof(err));
		buf_reset(&out);
		assert_int_equal(file_put(path, 0600, slice_of(
		    cases[i].file.p, cases[i].file.n), &err), 0);
		rc = derfile_read(path, MAX, &out, &err);
		if (cases[i].der != NULL) {
			assert_int_equal(rc, 0);
			assert_true(slice_is(buf_slice(&out), cases[i].der));
		} else if (rc == 0 || strstr(err.text, cases[i].why) == NULL)
			fail_msg("%zu: %s, not %s", i, err.text,
			    cases[i].why);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrappings),
	};
	int	rc;

	(void)close(mkstemp(path));
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return rc;
}
