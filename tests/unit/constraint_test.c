/* Which names the constraints of a CA's certificate leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/x509v3.h>

#include "constraint.h"
#include "hresult.h"

static struct policy_ca	ca = { .name = (char *)"Limited" };

static int
setup(void **state)
{
	X509_EXTENSION	*e = X509V3_EXT_conf_nid(NULL, NULL,
			    NID_name_constraints, "permitted;DNS:example.org,"
			    "permitted;email:example.org,"
			    "permitted;IP:10.0.0.0/255.0.0.0,"
			    "excluded;DNS:Secret.example.org,"
			    "excluded;DNS:.sub.example.org,"
			    "excluded;DNS:a.b.example.org");

	(void)state;
	assert_non_null(e);
	ca.constraints = X509V3_EXT_d2i(e);
	assert_non_null(ca.constraints);
	X509_EXTENSION_free(e);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	constraint_free(&ca);
	return 0;
}

static bool
allowed(enum san_kind kind, const char *text)
{
	struct names	n = { .nrdn = 0 };
	struct err	err = ERR_INIT;
	int		rc;

	names_add_san(&n, kind, text);
	rc = constraint_check(&ca, &n, &err);
	names_free(&n);
	if (rc == 0)
		return true;
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(err.hresult, CERTSRV_E_BAD_REQUESTSUBJECT);
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, "name constraints"));
	return false;
}

static void
test_names(void **state)
{
	(void)state;
	assert_true(allowed(SAN_DNS, "a.example.org"));
	assert_true(allowed(SAN_EMAIL, "a@example.org"));
	assert_true(allowed(SAN_IP, "10.1.2.3"));
	assert_false(allowed(SAN_DNS, "a.example.net"));
	assert_false(allowed(SAN_DNS, "secret.example.org"));
	assert_false(allowed(SAN_DNS, "x.secret.example.org"));
	assert_false(allowed(SAN_EMAIL, "a@example.net"));
	assert_false(allowed(SAN_IP, "11.1.2.3"));
}

/* A wildcard is all that it stands for. */
static void
test_wildcards(void **state)
{
	(void)state;
	assert_true(allowed(SAN_DNS, "*.a.example.org"));
	assert_false(allowed(SAN_DNS, "*.example.net"));
	assert_false(allowed(SAN_DNS, "*.example.org"));
	assert_false(allowed(SAN_DNS, "*.EXAMPLE.org"));
	assert_false(allowed(SAN_DNS, "*.secret.example.org"));
	assert_false(allowed(SAN_DNS, "*.b.example.org"));
	assert_false(allowed(SAN_DNS, "*.sub.example.org"));
}

/* One label alone, and hosts below the domain alone, are not meant. */
static void
test_wildcard_reaches_one_label(void **state)
{
	X509_EXTENSION	*e = X509V3_EXT_conf_nid(NULL, NULL,
			    NID_name_constraints, "excluded;DNS:a.b.example.org,"
			    "excluded;DNS:.sub.example.org,excluded;URI:.x.org");

	(void)state;
	constraint_free(&ca);
	ca.constraints = X509V3_EXT_d2i(e);
	X509_EXTENSION_free(e);
	assert_true(allowed(SAN_DNS, "*.example.org"));
	assert_false(allowed(SAN_DNS, "*.b.example.org"));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_wildcard_reaches_one_label),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
