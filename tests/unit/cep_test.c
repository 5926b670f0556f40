/* GetPoliciesResponse: order, nil rules, filters, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libxml/xmlschemas.h>

#include "ca_fixture.h"
#include "cep.h"
#include "cepwrite.h"
#include "ns.h"
#include "xmlin.h"

#define OIDS	"1.3.6.1.4.1.99999.1."
#define COMMON	"validity = 1y renewal = 6w names = account " \
    "subject = {\"common-name\"} eku = {\"client-authentication\"} " \
    "key-usage = {\"digital-signature\", \"key-encipherment\"} "
#define NOW	1893553445

static const char text[] =
    "policy-name = \"A & B\"\n"
    "ca \"CA\" { uri \"password\" { uri = \"https://h.example/CES\" } }\n"
    "ca \"Unused\" { uri \"password\" { uri = \"https://h.example/2\" } }\n"
    "template \"Old\" { " COMMON " oid = \"" OIDS "1\" type = user\n"
    "  schema = 1 version = \"3.1\" keys = {\"rsa:2048\"} key-spec = 1\n"
    "  providers = {\"Microsoft Strong Cryptographic Provider\"}\n"
    "  enroll = {\"users\"} ca = {\"CA\"} }\n"
    "template \"New\" { " COMMON " oid = \"" OIDS "2\" type = user\n"
    "  schema = 3 version = \"100.7\" keys = {\"ec:P-384\", \"rsa:2048\"}\n"
    "  providers = {\"Microsoft Software Key Storage Provider\"}\n"
    "  key-permissions = \"D:(A;;GR;;;NS)\"\n"
    "  ca = {\"CA\"} hash = sha384 supersedes = {\"Old\"}\n"
    "  autoenroll = {\"users\"} }\n"
    "template \"Spare\" { " COMMON " oid = \"" OIDS "3\" type = user\n"
    "  providers = {\"Microsoft Software Key Storage Provider\"}\n"
    "  keys = {\"rsa:2048\"} enroll = {\"admins\"} ca = {\"Unused\"} }\n";

static struct policy	*policy;
static struct cep	*cep;
static char		*users[] = { (char []){ "users" } };
static struct account	 user = { .name = (char []){ "alice" },
    .cn = (char []){ "Alice" }, .password = (char []){ "$" },
    .groups = { users, 1 } };
static struct account	 stranger = { .name = (char []){ "bob" },
    .cn = (char []){ "Bob" } };
static struct getpolicies everything = { .last_update = INT64_MIN };

static void
attach(const char *ca, EVP_PKEY *key)
{
	X509		*x = fixture_cert(ca, key, NULL, key);
	unsigned char	*der = NULL;
	struct err	 err = ERR_INIT;
	int		 n = i2d_X509(x, &der);
	struct ca_key	 only = { ca, ca, slice_of(der, (size_t)n), true };

	if (policy_attach_key(policy, &only, &err) == -1)
		fail_msg("%s", err.text);
	OPENSSL_free(der);
	X509_free(x);
}

static int
setup(void **state)
{
	struct err	 err = ERR_INIT;
	EVP_PKEY	*key = fixture_key("P-256");

	(void)state;
	policy = policy_parse(slice_str(text), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	snprintf(policy->id, sizeof(policy->id), "%s",
	    "{11111111-AAAA-4BBB-8CCC-222222222222}");
	attach("CA", key);
	attach("Unused", key);
	EVP_PKEY_free(key);
	cep = cep_new(NOW);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cep_free(cep);
	policy_free(policy);
	return 0;
}

static int
answer(const struct account *who, const struct getpolicies *q,
    struct xmlw *w)
{
	struct cep_ask	ask = { .policy = policy, .account = who, .query = q,
			    .method = AUTH_PASSWORD, .held = "",
			    .epoch = 1, .now = NOW };

	xmlw_free(w);
	return cep_answer(cep, &ask, w);
}

static void
has(struct xmlw *w, const char *what)
{
	if (strstr(buf_str(&w->b), what) == NULL)
		fail_msg("no %s in %s", what, buf_str(&w->b));
}

static void
validate(const struct xmlw *w, const char *xsd)
{
	xmlSchemaParserCtxt	*pc;
	xmlSchemaValidCtxt	*vc;
	xmlSchema		*schema;
	xmlDoc			*doc;

	if (access(xsd, R_OK) == -1)
		return;
	pc = xmlSchemaNewParserCtxt(xsd);
	schema = xmlSchemaParse(pc);
	vc = xmlSchemaNewValidCtxt(schema);
	doc = xmlReadMemory((const char *)w->b.p, (int)w->b.n, NULL, NULL, 0);
	assert_non_null(doc);
	assert_int_equal(xmlSchemaValidateDoc(vc, doc), 0);
	xmlFreeDoc(doc);
	xmlSchemaFreeValidCtxt(vc);
	xmlSchemaFree(schema);
	xmlSchemaFreeParserCtxt(pc);
}

static void
valid(const struct xmlw *w)
{
	validate(w, "../shared/protocol/xcep.xsd");
	validate(w, "../shared/protocol/xcep-sec3.xsd");
}

static void
test_full(void **state)
{
	struct xmlw	w = { 0 };

	(void)state;
	assert_int_equal(answer(&user, &everything, &w), 2);
	valid(&w);
	has(&w, "<response><policyID>{11111111-AAAA-4BBB-8CCC-222222222222}"
	    "</policyID><policyFriendlyName>A &amp; B</policyFriendlyName>"
	    "<nextUpdateHours>8</nextUpdateHours><policiesNotChanged "
	    "xsi:nil=\"true\"/><policies><policy><policyOIDReference>1"
	    "</policyOIDReference><cAs><cAReference>0</cAReference></cAs>"
	    "<attributes><commonName>Old</commonName><policySchema>1"
	    "</policySchema><certificateValidity><validityPeriodSeconds>"
	    "31536000</validityPeriodSeconds><renewalPeriodSeconds>3628800"
	    "</renewalPeriodSeconds></certificateValidity><permission>"
	    "<enroll>true</enroll><autoEnroll>false</autoEnroll>"
	    "</permission><privateKeyAttributes><minimalKeyLength>2048"
	    "</minimalKeyLength><keySpec>1</keySpec>");
	has(&w, "<cAURI><clientAuthentication>4</clientAuthentication><uri>"
	    "https://h.example/CES</uri><priority>1</priority><renewalOnly>"
	    "false</renewalOnly></cAURI></uris><certificate>MII");
	assert_null(strstr(buf_str(&w.b), "https://h.example/2"));
	assert_null(strstr(buf_str(&w.b), "Spare"));
	xmlw_free(&w);
}

/* Schema 1 has neither hash nor algorithm; schema 3 has both. */
static void
test_by_schema(void **state)
{
	struct xmlw	w = { 0 };

	(void)state;
	answer(&user, &everything, &w);
	has(&w, "<permissions xsi:nil=\"true\"/><algorithmOIDReference "
	    "xsi:nil=\"true\"/><cryptoProviders><provider>Microsoft Strong "
	    "Cryptographic Provider</provider></cryptoProviders>");
	has(&w, "<hashAlgorithmOIDReference xsi:nil=\"true\"/>"
	    "<rARequirements xsi:nil=\"true\"/><keyArchivalAttributes "
	    "xsi:nil=\"true\"/><extensions><extension><oIDReference>2"
	    "</oIDReference><critical>false</critical><value>"
	    "HgYATwBsAGQ=</value>");	/* BMPString "Old" */
	has(&w, "<minimalKeyLength>384</minimalKeyLength><keySpec "
	    "xsi:nil=\"true\"/>");
	has(&w, "<permissions>D:(A;;GR;;;NS)</permissions>");
	has(&w, "<supersededPolicies><commonName>Old</commonName>"
	    "</supersededPolicies>");
	has(&w, "<value>1.3.132.0.34</value><group>3</group>");
	has(&w, "<value>2.16.840.1.101.3.4.2.2</value><group>1</group>");
	has(&w, "<value>1.3.6.1.5.5.7.3.2</value><group>7</group>");
	has(&w, "<value>1.3.6.1.4.1.311.21.10</value><group>6</group>");
	has(&w, "<value>" OIDS "2</value><group>9</group>");
	/* KeyUsage: RSA both bits, EC the signature alone. */
	has(&w, "<critical>true</critical><value>AwIFoA==</value>");
	has(&w, "<critical>true</critical><value>AwIHgA==</value>");
	xmlw_free(&w);
}

static void
test_nothing(void **state)
{
	struct xmlw	w = { 0 };

	(void)state;
	assert_int_equal(answer(&stranger, &everything, &w), 0);
	valid(&w);
	has(&w, "<policiesNotChanged xsi:nil=\"true\"/><policies "
	    "xsi:nil=\"true\"/></response><cAs xsi:nil=\"true\"/><oIDs "
	    "xsi:nil=\"true\"/></GetPoliciesResponse>");
	xmlw_free(&w);
}

static void
test_filter(void **state)
{
	struct slice		 oid = slice_str(OIDS "2");
	struct getpolicies	 q = { .last_update = INT64_MIN,
				    .oids = &oid, .noids = 1,
				    .by_oid = true };
	struct xmlw		 w = { 0 };

	(void)state;
	assert_int_equal(answer(&user, &q, &w), 1);
	valid(&w);
	assert_null(strstr(buf_str(&w.b), "<commonName>Old</commonName><pol"));
	oid = slice_str(OIDS "3");	/* not theirs */
	assert_int_equal(answer(&user, &q, &w), 0);
	oid = slice_str("1.2.3");
	assert_int_equal(answer(&user, &q, &w), 0);
	/* The filter is no part of what is remembered for others. */
	assert_int_equal(answer(&user, &everything, &w), 2);
	xmlw_free(&w);
}

static void
test_versions(void **state)
{
	static const int32_t	v[] = { INT32_MIN, -1, 0, 1, 4, 6, 15, 16,
				    INT32_MAX };
	struct getpolicies	q = { .last_update = INT64_MIN };
	struct xmlw		w = { 0 };
	uint32_t		saved = policy->templates[1].private_key_flags;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		q.client_version = q.server_version = v[i];
		assert_int_equal(answer(&user, &q, &w), 2);
	}
	policy->templates[1].private_key_flags |= 0x05040000u;
	q.server_version = 0;
	q.client_version = 4;
	assert_int_equal(answer(&user, &q, &w), 1);
	q.client_version = 5;
	assert_int_equal(answer(&user, &q, &w), 2);
	q.server_version = 3;
	assert_int_equal(answer(&user, &q, &w), 1);
	policy->templates[1].private_key_flags = saved;
	xmlw_free(&w);
}

static int64_t	now, stepped;	/* unix seconds; by how many it did */

static int
at_by(const struct account *who, struct cep *c, uint64_t epoch, int64_t ahead,
    int64_t last_update)
{
	struct getpolicies	 q = { .last_update = last_update };
	struct cep_ask		 ask = { .policy = policy, .account = who,
				    .query = &q, .epoch = epoch, .now = now,
				    .up = now - stepped, .ahead = ahead };
	struct xmlw		 w = { 0 };
	int			 n = cep_answer(c, &ask, &w);

	if (n == CEP_UNCHANGED) {
		valid(&w);
		has(&w, "<policiesNotChanged>true</policiesNotChanged>"
		    "<policies xsi:nil=\"true\"/></response><cAs "
		    "xsi:nil=\"true\"/><oIDs xsi:nil=\"true\"/>");
	}
	xmlw_free(&w);
	return n;
}

static int
at(struct cep *c, uint64_t epoch, int64_t ahead, int64_t last_update)
{
	return at_by(&user, c, epoch, ahead, last_update);
}

/* Its end hides the template, and is a change that nobody tells of. */
static void
test_secret_ends(void **state)
{
	struct cep	*c = cep_new(NOW);
	struct account	 who = { .name = (char []){ "pc" },
			    .cn = (char []){ "pc" },
			    .password = (char []){ "$" },
			    .one_time = (char []){ "Old" },
			    .one_time_expires = NOW + 1000 };

	(void)state;
	now = NOW + 999;
	assert_int_equal(at_by(&who, c, 0, 0, INT64_MIN), 1);
	assert_int_equal(at_by(&who, c, 0, 0, NOW + 998), CEP_UNCHANGED);
	now = NOW + 1000;
	assert_int_equal(at_by(&who, c, 0, 0, NOW + 998), 0);
	now = NOW + 1100;
	assert_int_equal(at_by(&who, c, 0, 0, NOW + 1050), CEP_UNCHANGED);
	/* What was spent in time is renewed, into New, too. */
	who.one_time_used = true;
	assert_int_equal(at_by(&who, c, 1, 0, INT64_MIN), 2);
	cep_free(c);
}

static void
test_not_changed(void **state)
{
	struct cep	*c = cep_new(NOW);

	(void)state;
	now = NOW + 900;
	assert_int_equal(at(c, 0, 0, INT64_MIN), 2);
	/* The process is too young to know. */
	assert_int_equal(at(c, 0, 0, NOW - 10), 2);
	assert_int_equal(at(c, 0, 0, NOW + 1), 2);
	assert_int_equal(at(c, 0, 0, NOW + 2), CEP_UNCHANGED);
	assert_int_equal(at(c, 0, 0, NOW + 90000), CEP_UNCHANGED);
	/* A clock that is ahead hides nothing. */
	assert_int_equal(at(c, 0, 300, NOW + 301), 2);
	assert_int_equal(at(c, 0, 300, NOW + 302), CEP_UNCHANGED);
	/* Something changed: a membership, perhaps. */
	now = NOW + 2000;
	assert_int_equal(at(c, 1, 0, NOW + 1990), 2);
	now = NOW + 2500;
	assert_int_equal(at(c, 1, 0, NOW + 2001), 2);
	assert_int_equal(at(c, 1, 0, NOW + 2002), CEP_UNCHANGED);
	/* Who was told of what was before a change is told again. */
	now = NOW + 3000;
	assert_int_equal(at(c, 2, 0, INT64_MIN), 2);
	now = NOW + 3010;
	assert_int_equal(at(c, 1, 0, INT64_MIN), 2);
	now = NOW + 3020;
	assert_int_equal(at(c, 2, 0, NOW + 3012), 2);
	assert_int_equal(at(c, 2, 0, NOW + 3022), CEP_UNCHANGED);
	cep_free(c);
}

/*
 * A machine without a battery begins in 2000 and learns the time then: what
 * changed before this process began is still news to a client.
 */
static void
test_not_changed_and_stepped(void **state)
{
	struct cep	*c = cep_new(1000);

	(void)state;
	now = NOW;
	stepped = NOW - 1060;
	assert_int_equal(at(c, 0, 0, NOW - 86400), 2);
	assert_int_equal(at(c, 0, 0, NOW - 59), 2);
	assert_int_equal(at(c, 0, 0, NOW - 58), CEP_UNCHANGED);
	stepped = 0;
	cep_free(c);
}

/* Another CA certificate under the same policy is another answer. */
static void
test_memory(void **state)
{
	struct xmlw	a = { 0 }, b = { 0 };

	(void)state;
	answer(&user, &everything, &a);
	answer(&user, &everything, &b);
	assert_true(slice_eq(buf_slice(&a.b), buf_slice(&b.b)));
	policy->cas[0].cert.p[20] ^= 1;
	answer(&user, &everything, &b);
	assert_false(slice_eq(buf_slice(&a.b), buf_slice(&b.b)));
	policy->cas[0].cert.p[20] ^= 1;
	answer(&user, &everything, &b);
	assert_true(slice_eq(buf_slice(&a.b), buf_slice(&b.b)));
	xmlw_free(&a);
	xmlw_free(&b);
}

static const char addresses[] =
    "ca \"CA\" { uri \"password\" { uri = \"https://h.example/P\" }\n"
    "  uri \"certificate\" { uri = \"https://h.example/C\" priority = 5 }\n"
    "  uri \"anonymous\" { uri = \"https://h.example/A\"\n"
    "    renewal-only = true }\n"
    "  uri \"kerberos\" { uri = \"https://h.example/K\" } }\n"
    "ca \"Renew\" { uri \"certificate\" { uri = \"https://h.example/R\" "
    "    renewal-only = true } }\n"
    "template \"Old\" { " COMMON " oid = \"" OIDS "1\" type = user\n"
    "  providers = {\"Microsoft Software Key Storage Provider\"}\n"
    "  keys = {\"rsa:2048\"} enroll = {\"users\"} ca = {\"CA\", \"Renew\"} }\n";

/* The letters of the addresses that this caller sees. */
static void
sees(enum auth_method method, char *password, const char *letters)
{
	struct account	 who = user;
	struct cep_ask	 ask = { .policy = policy, .account = &who,
			    .method = method, .held = "", .epoch = 1,
			    .query = &everything, .now = NOW };
	struct xmlw	 w = { 0 };
	char		 got[16] = "";
	const char	*at;
	size_t		 n = 0;

	who.password = password;
	assert_int_equal(cep_answer(cep, &ask, &w), 1);
	valid(&w);
	at = buf_str(&w.b);
	while (n < 15 && (at = strstr(at, "https://h.example/")) != NULL) {
		at += 18;
		got[n++] = *at;
	}
	assert_string_equal(got, letters);
	xmlw_free(&w);
}

static void
test_addresses(void **state)
{
	struct policy	*saved = policy;
	struct err	 err = ERR_INIT;
	EVP_PKEY	*key = fixture_key("P-256");
	char		*none = NULL, password[] = "$";

	(void)state;
	policy = policy_parse(slice_str(addresses), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	attach("CA", key);
	attach("Renew", key);
	sees(AUTH_PASSWORD, password, "PR");
	sees(AUTH_CERTIFICATE, password, "PCR");
	sees(AUTH_CERTIFICATE, none, "CR");
	sees(AUTH_KERBEROS, none, "KR");
	policy->templates[0].renew_anonymous = true;
	policy->sha256[0] ^= 1;
	sees(AUTH_CERTIFICATE, none, "CAR");
	EVP_PKEY_free(key);
	policy_free(policy);
	policy = saved;
}

/* Where only keys are asked, only what is renewed by its key. */
static void
test_key_based(void **state)
{
	struct cep_ask	ask = { .policy = policy, .account = &stranger,
			    .method = AUTH_CERTIFICATE, .held = "New",
			    .key_based = true, .epoch = 1,
			    .query = &everything, .now = NOW };
	struct xmlw	w = { 0 };
	char		password[] = "$";

	(void)state;
	stranger.password = password;
	assert_int_equal(cep_answer(cep, &ask, &w), 0);
	policy->templates[1].renew_key_based = true;
	xmlw_free(&w);
	assert_int_equal(cep_answer(cep, &ask, &w), 1);
	has(&w, "<commonName>New</commonName>");
	has(&w, "<enroll>true</enroll><autoEnroll>false</autoEnroll>");
	xmlw_free(&w);
	ask.held = "Old";
	assert_int_equal(cep_answer(cep, &ask, &w), 0);
	ask.key_based = false;
	ask.held = "New";
	xmlw_free(&w);
	assert_int_equal(cep_answer(cep, &ask, &w), 0);
	policy->templates[1].renew_key_based = false;
	stranger.password = NULL;
	xmlw_free(&w);
}

/* More sets of permissions than there are places. */
static void
test_many_answers(void **state)
{
	struct xmlw	w = { 0 };
	int		i;

	(void)state;
	for (i = 0; i < 200; i++) {
		policy->id[1] = (char)('A' + i % 26);
		policy->id[2] = (char)('A' + i / 26);
		assert_int_equal(answer(&user, &everything, &w), 2);
		has(&w, policy->id);
	}
	xmlw_free(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_by_schema),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_secret_ends),
		cmocka_unit_test(test_not_changed),
		cmocka_unit_test(test_not_changed_and_stepped),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_key_based),
		cmocka_unit_test(test_many_answers),
	};

	xmlin_init();
	return cmocka_run_group_tests_name("cep", tests, setup, teardown);
}
