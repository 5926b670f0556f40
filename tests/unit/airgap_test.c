/* What a front desk refuses, since it has no key or nobody could come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "airgap.h"
#include "airgap_index.h"
#include "hresult.h"

static char ca_name[] = "Far", tmpl_name[] = "T", account_name[] = "a";

static void
check(const struct decide_ask *in, const struct decision *d, uint32_t hresult,
    const char *words)
{
	struct err err = ERR_INIT;

	assert_int_equal(decide_apart(in, d, &err), hresult == 0 ? 0 : -1);
	assert_int_equal(err.hresult, hresult);
	if (words != NULL)
		assert_non_null(strstr(err.text, words));
}

static void
cannot_wait(void **state)
{
	struct template tmpl = { .cn = tmpl_name };
	struct account account = { .name = account_name };
	struct policy_ca ca = { .name = ca_name };
	struct decide_ask in = { .account = &account,
	    .method = AUTH_PASSWORD };
	struct decision d = { .tmpl = &tmpl, .ca = &ca };

	(void)state;
	check(&in, &d, 0, NULL);
	in.method = AUTH_ANONYMOUS;
	check(&in, &d, CERTSRV_E_ENROLL_DENIED, "anonymous");
	in.method = AUTH_CERTIFICATE;
	account.one_time = tmpl_name;
	check(&in, &d, CERTSRV_E_ENROLL_DENIED, "one-time secret");
	account.one_time = NULL;
	tmpl.archive_key = true;
	check(&in, &d, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
	    "archives no keys");
}

static void
no_ocsp(void **state)
{
	struct policy_ca pca = { .name = ca_name };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(policy_apart(&pca, &err), 0);
	pca.ocsp.n = 1;
	assert_int_equal(policy_apart(&pca, &err), -1);
	assert_non_null(strstr(err.text, "ocsp"));
}

struct pair {
	uint8_t	 key[4];
	int	 value;
};

/* More than one table's growth, and keys that share their slots. */
static void
index_finds(void **state)
{
	static struct pair v[3000];
	struct index x = { .size = sizeof(v[0]), .octets = 4,
	    .offset = offsetof(struct pair, key) };
	const uint8_t absent[4] = { 0xff, 0, 0, 0 };
	size_t i;

	(void)state;
	assert_int_equal(index_find(&x, v, absent), -1);
	for (i = 0; i < 3000; i++) {
		v[i].key[0] = (uint8_t)(i >> 8);
		v[i].key[1] = (uint8_t)i;
		index_put(&x, v, i);
	}
	for (i = 0; i < 3000; i++)
		assert_int_equal(index_find(&x, v, v[i].key), i);
	assert_int_equal(index_find(&x, v, absent), -1);
	/* The same key again: the last one counts. */
	memcpy(v[2999].key, v[7].key, 4);
	index_put(&x, v, 2999);
	assert_int_equal(index_find(&x, v, v[7].key), 2999);
	free(x.slot);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cannot_wait),
		cmocka_unit_test(no_ocsp),
		cmocka_unit_test(index_finds)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
