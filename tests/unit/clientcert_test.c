/* $ssl_client_escaped_cert: one PEM certificate, escaped, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "clientcert.h"
#include "hresult.h"

#define B	"-----BEGIN%20CERTIFICATE-----%0A"
#define E	"%0A-----END%20CERTIFICATE-----%0A"

static void
is(const char *verify, const char *escaped, enum err_kind kind,
    const char *words)
{
	struct err	err = ERR_INIT;
	struct buf	der = { 0 };

	assert_int_equal(clientcert_read(verify, escaped, &der, &err), -1);
	if (err.kind != kind || strstr(err.text, words) == NULL)
		fail_msg("%s %.60s: %s: %s", verify, escaped,
		    err_kind_name(err.kind), err.text);
	buf_free(&der);
}

static void
test_good(void **state)
{
	struct err	err = ERR_INIT;
	struct buf	der = { 0 };

	(void)state;
	assert_int_equal(clientcert_read("SUCCESS", B "AAEC%0AAw%3D%3d" E,
	    &der, &err), 0);
	assert_int_equal(der.n, 4);
	assert_memory_equal(der.p, "\0\1\2\3", 4);
	buf_free(&der);
}

/* [security] N6: SUCCESS and nothing like it. */
static void
test_verify(void **state)
{
	static const char *const	words[] = { "success", "SUCCESS ",
	    " SUCCESS", "SUCCESS:", "OK", "1", "FAILED", "FAILEDSUCCESS" };
	size_t				i;

	(void)state;
	is("", B "AAEC" E, ERR_NO_SECURITY, "none was sent");
	is("NONE", "", ERR_NO_SECURITY, "none was sent");
	is("FAILED:self-signed", B "AAEC" E, ERR_DENIED, "self-signed");
	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		is(words[i], B "AAEC" E, ERR_DENIED, "was not verified");
}

static void
test_bad_text(void **state)
{
	static const char *const	bad[] = {
		"", "AAEC", B "AAEC", "AAEC" E, B E, B "AAEC%" E "%",
		B "AA%zzEC" E, B "AAE" E, B "AAEC" E B "AAEC" E,
		" " B "AAEC" E, B "AAEC" E " ", B "AAEC%00" E, B "AA-C" E,
		"-----BEGIN%20X509%20CRL-----%0AAAEC" E,
		B "%0A" E,
	};
	char				*big;
	size_t				 i, n = 24 * 1024;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err	err = ERR_INIT;
		struct buf	der = { 0 };

		if (clientcert_read("SUCCESS", bad[i], &der, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
		buf_free(&der);
	}
	for (; n < 200 * 1024; n *= 8) {	/* either limit */
		big = malloc(n + sizeof(B) + sizeof(E));
		strcpy(big, B);
		memset(big + strlen(B), 'A', n);
		strcpy(big + strlen(B) + n, E);
		is("SUCCESS", big, ERR_TOO_BIG, "");
		free(big);
	}
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_bad_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
