/* GetPolicies: filters, times, and refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "envelope.h"
#include "getpolicies.h"
#include "ns.h"
#include "soap_data.h"

#define NIL	" xmlns:i=\"" NS_XSI "\" i:nil=\"true\"/>"
#define OIDS	"<policyOIDs><oid>1.2.3</oid></policyOIDs>"

static struct xmlin	*xml;
static struct envelope	 env;	/* lends the slices of the last one */

static int
parse(struct buf b, struct getpolicies *g, struct err *err)
{
	int	ok;

	envelope_free(&env);
	*g = (struct getpolicies){ 0 };
	*err = (struct err)ERR_INIT;
	if (envelope_parse(xml, buf_slice(&b), SENT, &env, err) == -1)
		fail_msg("%s", err->text);
	ok = getpolicies_parse(env.body, env.action, g, err);
	buf_free(&b);
	return ok;
}

static struct getpolicies
accepted(struct buf b)
{
	struct getpolicies	g;
	struct err		err;

	if (parse(b, &g, &err) == -1)
		fail_msg("%s", err.text);
	return g;
}

static void
test_all(void **state)
{
	struct getpolicies	g = accepted(message("getpolicies"));

	(void)state;
	assert_int_equal(g.last_update, 1893452400);
	assert_true(g.by_oid);
	assert_int_equal(g.noids, 1);
	assert_true(slice_is(g.oids[0], "1.2.3"));
	assert_int_equal(g.client_version, 4);
	assert_int_equal(g.server_version, 0);
	getpolicies_free(&g);
}

static void
test_nothing_asked(void **state)
{
	struct getpolicies	g;

	(void)state;
	g = accepted(edited("getpolicies", OIDS, "<policyOIDs" NIL));
	assert_false(g.by_oid);
	getpolicies_free(&g);
	g = accepted(edited("getpolicies", "<clientVersion>4</clientVersion>",
	    "<clientVersion" NIL));
	assert_int_equal(g.client_version, 0);
	getpolicies_free(&g);
	g = accepted(edited("getpolicies", OIDS, "<more xmlns='urn:x'/>"));
	assert_false(g.by_oid);
	getpolicies_free(&g);
}

static void
test_last_update(void **state)
{
	static const struct {
		const char	*to;
		int64_t		 t;
	} t[] = {
		{ "<lastUpdate>0001-01-01T00:00:00<", -62135596800 },
		{ "<lastUpdate>20090-03-15-T09:38:46<", INT64_MIN },
		{ "<lastUpdate>rubbish<", INT64_MIN },
		{ "<lastUpdate><", INT64_MIN },
	};
	struct getpolicies	g;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		g = accepted(edited("getpolicies",
		    "<lastUpdate>2029-12-31T23:00:00Z<", t[i].to));
		assert_int_equal(g.last_update, t[i].t);
		getpolicies_free(&g);
	}
	g = accepted(edited("getpolicies",
	    "<lastUpdate>2029-12-31T23:00:00Z</lastUpdate>",
	    "<lastUpdate" NIL));
	assert_int_equal(g.last_update, INT64_MIN);
	getpolicies_free(&g);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char	*from, *to, *why;
	} t[] = {
		{ "enrollmentpolicy\" xmlns:xsi", "x\" xmlns:xsi",
		    "/x, must be GetPolicies of " NS_XCEP },
		{ "<client>", "<client/><client>", "client: stands twice" },
		{ "<requestFilter>", "<requestFilter/><requestFilter>",
		    "requestFilter: stands twice" },
		{ "<clientVersion>4<", "<clientVersion>four<",
		    "clientVersion: not a number" },
		{ "<clientVersion>4<", "<clientVersion>4294967296<",
		    "clientVersion: not a number" },
		{ "<oid>1.2.3</oid>", "", "policyOIDs: empty" },
		{ "<oid>1.2.3</oid>", "<x/>", "policyOIDs: not an oid" },
		{ "<oid>1.2.3</oid>", "<oid>1.2.3</oid><oid> 1.2.3</oid>",
		    "policyOIDs: an oid stands twice" },
		{ "<lastUpdate>", "<lastUpdate/><lastUpdate>",
		    "lastUpdate: stands twice" },
		{ "<client>", "<Filter/><client>",
		    "GetPolicies: unknown element Filter" },
		{ "<requestFilter>", "<requestFilter xmlns:i='" NS_XSI
		    "' i:nil='1'>", "requestFilter: nil, and not empty" },
		{ "<requestFilter>", "<requestFilter xmlns:i='" NS_XSI
		    "' i:nil='TRUE'>", "nil is neither true nor false" },
		{ "<policyOIDs>", "<policyOIDs xmlns:i='" NS_XSI
		    "' i:nil='true'>", "policyOIDs: nil, and not empty" },
		{ "<lastUpdate>", "<lastUpdate xmlns:i='" NS_XSI
		    "' i:nil='true'>", "lastUpdate: nil, and not empty" },
		{ "<clientVersion>", "<clientVersion xmlns:i='" NS_XSI
		    "' i:nil='true'>", "clientVersion: nil, and not empty" },
		{ "<client>", "<client xmlns:i='" NS_XSI "' i:nil='yes'>",
		    "client: nil is neither" },
		{ "IPolicy/GetPolicies<", "IPolicy/SetPolicies<", "Action" },
	};
	struct getpolicies	g;
	struct err		err;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (parse(edited("getpolicies", t[i].from, t[i].to), &g,
		    &err) == 0)
			fail_msg("accepted; wanted \"%s\"", t[i].why);
		if (strstr(err.text, t[i].why) == NULL)
			fail_msg("wanted \"%s\", got \"%s\"", t[i].why,
			    err.text);
	}
}

static void
test_client(void **state)
{
	static const char *const bodies[] = {
		"<GetPolicies xmlns='" NS_XCEP "'/>",
		"<GetPolicies xmlns='" NS_XCEP "'><requestFilter/>"
		"</GetPolicies>",
		"<GetPolicies xmlns='" NS_XCEP "'><client/></GetPolicies>",
		"<GetPolicies xmlns='" NS_XCEP "'><client" NIL
		"</GetPolicies>",
	};
	struct getpolicies	 g;
	struct err		 err = ERR_INIT;
	xmlDoc			*doc;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		err = (struct err)ERR_INIT;
		doc = xmlin_parse(xml, slice_str(bodies[i]), &err);
		assert_non_null(doc);
		assert_int_equal(getpolicies_parse(xmlDocGetRootElement(doc),
		    slice_str(ACTION_GETPOLICIES), &g, &err), -1);
		assert_non_null(strstr(err.text, "client"));
	}
	err = (struct err)ERR_INIT;
	assert_int_equal(getpolicies_parse(NULL,
	    slice_str(ACTION_GETPOLICIES), &g, &err), -1);
}

static void
test_many_oids(void **state)
{
	struct getpolicies	 g;
	struct err		 err;
	struct buf		 b = { NULL, 0, 0 };
	int			 i;

	(void)state;
	for (i = 0; i < 257; i++)
		buf_printf(&b, "<oid>1.2.%d</oid>", i);
	assert_int_equal(parse(edited("getpolicies", "<oid>1.2.3</oid>",
	    buf_str(&b)), &g, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_nothing_asked),
		cmocka_unit_test(test_last_update),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_many_oids),
	};
	int			failed;

	xmlin_init();
	xml = xmlin_new();
	failed = cmocka_run_group_tests_name("getpolicies", tests, NULL,
	    NULL);
	envelope_free(&env);
	xmlin_free(xml);
	return failed;
}
