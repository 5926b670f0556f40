#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "buf.h"
#include "err.h"
#include "hresult.h"

static void
first_error_stays(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	assert_int_equal(err_deny(&err, CERTSRV_E_TEMPLATE_DENIED, "no %d", 1),
	    -1);
	assert_int_equal(err_set(&err, ERR_INTERNAL, "later"), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_string_equal(err.text, "no 1");
	assert_int_equal(err_hresult(&err), CERTSRV_E_TEMPLATE_DENIED);
	assert_int_equal(err_set(NULL, ERR_INTERNAL, "nobody asks"), -1);
}

static void
every_kind_has_a_name_and_hresult(void **state)
{
	struct err	err;
	int		kind;

	(void)state;
	for (kind = ERR_MALFORMED; kind <= ERR_INTERNAL; kind++) {
		memset(&err, 0, sizeof(err));
		err_set(&err, (enum err_kind)kind, "x");
		assert_int_not_equal(err_hresult(&err), 0);
		assert_true(strlen(err_kind_name(err.kind)) > 3);
	}
	assert_string_equal(err_kind_name((enum err_kind)99), "internal");
}

static void
bad_is_invalid_data_unless_said(void **state)
{
	struct err	a = ERR_INIT, b = ERR_INIT;

	(void)state;
	err_bad(&a, 0, "x");
	assert_int_equal(err_hresult(&a), HR_INVALID_DATA);
	err_bad(&b, CRYPT_E_BAD_MSG, "x");
	assert_int_equal(err_hresult(&b), CRYPT_E_BAD_MSG);
	assert_int_equal(b.kind, ERR_MALFORMED);
}

static void
inside_matters_are_not_public(void **state)
{
	(void)state;
	assert_false(err_is_public(ERR_INTERNAL));
	assert_false(err_is_public(ERR_UNAVAILABLE));
	assert_false(err_is_public(ERR_UNAUTHENTICATED));
	assert_true(err_is_public(ERR_DENIED));
	assert_true(err_is_public(ERR_MALFORMED));
	assert_false(err_is_public((enum err_kind)99));
}

static void
text_is_cleaned(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	err_set(&err, ERR_DENIED, "%s",
	    "a\r\nb\x1b[1m \xc3\xa4 \xc0\x80 \xed\xa0\x80 \xff \xc2\x85");
	assert_string_equal(err.text, "a??b?[1m \xc3\xa4 ?? ??? ? ??");
}

static void
cut_text_stays_utf8(void **state)
{
	struct err	err = ERR_INIT;
	char		text[300];
	size_t		i;

	(void)state;
	text[0] = 'a';
	for (i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[i] = '\0';
	err_set(&err, ERR_DENIED, "x%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_true(slice_is_text(slice_str(err.text)));
}

static void
openssl_queue_is_emptied(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	ERR_raise(ERR_LIB_EVP, EVP_R_DECODE_ERROR);
	err_openssl(&err, "key %d", 3);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_non_null(strstr(err.text, "key 3: error:"));
	assert_int_equal(ERR_peek_error(), 0);
}

/* What is wrong stands behind a file's name, which may be long. */
static void
long_name_leaves_the_rule(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	ERR_raise(ERR_LIB_EVP, EVP_R_DECODE_ERROR);
	err_openssl(&err, "%.100s: not a revocation list", "/a/path/to/"
	    "/a/path/to//a/path/to//a/path/to//a/path/to//a/path/to/"
	    "/a/path/to//a/path/to//a/path/to//a/path/to//a/path/to/");
	assert_non_null(strstr(err.text, ": not a revocation list: error:"));
	assert_non_null(strstr(err.text, "decode error"));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(first_error_stays),
		cmocka_unit_test(every_kind_has_a_name_and_hresult),
		cmocka_unit_test(bad_is_invalid_data_unless_said),
		cmocka_unit_test(inside_matters_are_not_public),
		cmocka_unit_test(text_is_cleaned),
		cmocka_unit_test(cut_text_stays_utf8),
		cmocka_unit_test(openssl_queue_is_emptied),
		cmocka_unit_test(long_name_leaves_the_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
