/* PKCS#11 URIs: what is read, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "p11uri.h"

static void
reads(void **state)
{
	struct err err = ERR_INIT;
	struct p11uri u;

	(void)state;
	assert_true(p11uri_is("pkcs11:token=T"));
	assert_false(p11uri_is("/etc/pkcs11:token=T"));
	assert_int_equal(p11uri_parse("pkcs11:token=My%20HSM;serial=00ff;"
	    "manufacturer=M;model=m-1;object=a%3Bb;id=%00%ffz;type=private",
	    &u, &err), 0);
	assert_string_equal(u.token, "My HSM");
	assert_string_equal(u.serial, "00ff");
	assert_string_equal(u.manufacturer, "M");
	assert_string_equal(u.model, "m-1");
	assert_string_equal(u.object, "a;b");
	assert_int_equal(u.id_len, 3);
	assert_memory_equal(u.id, "\0\377z", 3);
	p11uri_free(&u);
	assert_int_equal(p11uri_parse("pkcs11:serial=1;id=%01", &u, &err), 0);
	assert_null(u.token);
	assert_null(u.object);
	p11uri_free(&u);
}

static void
refuses(void **state)
{
	static const char *const bad[][2] = {
		{ "token=T;object=o", "must begin with" },
		{ "PKCS11:token=T;object=o", "must begin with" },
		{ "pkcs11:", "not name=value" },
		{ "pkcs11:token=T;object=o;", "not name=value" },
		{ "pkcs11:;token=T;object=o", "not name=value" },
		{ "pkcs11:=T;object=o", "not name=value" },
		{ "pkcs11:an-attribute-of-no-standard=T", "not name=value" },
		{ "pkcs11:token=T", "needs object or id" },
		{ "pkcs11:object=o", "needs token or serial" },
		{ "pkcs11:token=;object=o", "is empty" },
		{ "pkcs11:token=T%2;object=o", "badly encoded" },
		{ "pkcs11:token=T%zz;object=o", "badly encoded" },
		{ "pkcs11:token=T T;object=o", "badly encoded" },
		{ "pkcs11:token=T&x;object=o", "badly encoded" },
		{ "pkcs11:token=T%00;object=o", "token is not text" },
		{ "pkcs11:token=T%0a;object=o", "token is not text" },
		{ "pkcs11:token=T;object=%ff", "object is not text" },
		{ "pkcs11:token=T;token=T;object=o", "token twice" },
		{ "pkcs11:token=T;id=a;id=b", "id twice" },
		{ "pkcs11:token=T;id=012345678901234567890123456789012",
		    "longer than 32" },
		{ "pkcs11:token=T;object=o;type=cert", "type must be" },
		{ "pkcs11:token=T;object=o;slot-id=1", "is not one of" },
		{ "pkcs11:token=T;object=o?module-path=/x", "behind \"?\"" },
		{ "pkcs11:token=T;object=o?pin-value=4711", "name a file" },
		{ "pkcs11:token=T;object=o?pin-source=/x", "name a file" },
		{ "pkcs11:token=T;object=o;pin-value=4711", "name a file" }
	};
	char big[1100];
	struct p11uri u;
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(p11uri_parse(bad[i][0], &u, &err), -1);
		p11uri_free(&u);
		assert_int_equal(err.kind, ERR_MALFORMED);
		if (strstr(err.text, bad[i][1]) == NULL)
			fail_msg("%s: \"%s\"", bad[i][0], err.text);
		/* What could be a PIN is in no log. */
		assert_null(strstr(err.text, "4711"));
	}
	memset(&err, 0, sizeof(err));
	memset(big, 'a', sizeof(big));
	memcpy(big, "pkcs11:token=", 13);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(p11uri_parse(big, &u, &err), -1);
	p11uri_free(&u);
	memset(&err, 0, sizeof(err));
	big[200] = '\0';
	assert_int_equal(p11uri_parse(big, &u, &err), -1);
	assert_non_null(strstr(err.text, "too long"));
	p11uri_free(&u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads), cmocka_unit_test(refuses)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
