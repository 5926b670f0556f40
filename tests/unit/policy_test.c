/* Policy files: what loads, and what is computed from it. */
#include "policy_fixture.h"

#include <openssl/x509v3.h>

static void
test_loads(void **state)
{
	struct policy		*p = parse(base);
	const struct template	*t;

	(void)state;
	assert_string_equal(p->friendly_name, "Test");
	assert_int_equal(p->next_update_hours, 8);
	assert_int_equal(p->ncas, 1);
	assert_int_equal(p->cas[0].uris[0].method, AUTH_PASSWORD);
	assert_int_equal(p->cas[0].uris[0].priority, 1);
	assert_false(p->cas[0].uris[0].renewal_only);
	assert_string_equal(p->cas[0].aia.v[0], "http://h.example/ca.cer");
	assert_true(slice_is(buf_slice(&p->text), base));
	t = policy_template_by_name(p, "pERSON");
	assert_non_null(t);
	assert_ptr_equal(t, policy_template_by_oid(p, OIDS "1"));
	assert_null(policy_template_by_name(p, "Person "));
	assert_null(policy_template_by_oid(p, OIDS "10"));
	assert_string_equal(t->display_name, "Person");
	assert_int_equal(t->line, 11);
	assert_int_equal(t->schema, 3);
	assert_int_equal(t->major, 100);
	assert_int_equal(t->minor, 3);
	assert_int_equal(t->validity, 365 * 86400);
	assert_int_equal(t->renewal, 42 * 86400);
	assert_int_equal(t->account_names, NAME_CN_COMMON | NAME_SAN_UPN |
	    NAME_SAN_EMAIL);
	assert_int_equal(t->optional_names, NAME_SAN_EMAIL);
	assert_string_equal(t->advertise, "rsa");
	assert_int_equal(t->minimal_key_length, 2048);
	assert_int_equal(t->rsa_max, 4096);
	assert_int_equal(t->curves, ALLOW_P256);
	assert_int_equal(t->key_spec, 0);
	assert_string_equal(t->hash, "sha256");
	assert_true(t->application_policies && t->key_usage_critical);
	assert_true(template_authenticates(t));
	assert_true(template_offered_by(t, "CA"));
	assert_false(template_offered_by(t, "ca"));
	t = policy_template_by_name(p, "Server");
	assert_string_equal(t->advertise, "P-384");
	assert_int_equal(t->minimal_key_length, 384);
	assert_int_equal(t->rsa_min, 3072);
	assert_int_equal(t->rsa_max, 8192);
	assert_false(template_authenticates(t));
	policy_free(p);
}

/* Values of [MS-CRTD] as AD CS shows them for like templates. */
static void
test_flags(void **state)
{
	struct policy		*p = parse(base);
	const struct template	*t = &p->templates[0];

	(void)state;
	assert_int_equal(t->general_flags, 0);
	assert_int_equal(t->name_flags, 0x46000000);
	assert_int_equal(t->enrollment_flags, 0x20);
	assert_int_equal(t->private_key_flags, 0);
	assert_int_equal(t->key_usage_property, 0xffffff);
	t++;
	assert_int_equal(t->general_flags, 0x40);
	assert_int_equal(t->name_flags, 1);
	assert_int_equal(t->enrollment_flags, 0);
	assert_int_equal(t->key_usage_property, 2);
	policy_free(p);
}

static void
test_key_usage(void **state)
{
	struct template	t;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT |
	    USAGE_KEY_AGREEMENT;
	assert_int_equal(template_key_usage(&t, KEY_RSA),
	    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT);
	assert_int_equal(template_key_usage(&t, KEY_P521),
	    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_AGREEMENT);
}

static void
test_methods(void **state)
{
	(void)state;
	assert_string_equal(auth_method_name(AUTH_ANONYMOUS), "anonymous");
	assert_string_equal(auth_method_name(AUTH_KERBEROS), "kerberos");
	assert_string_equal(auth_method_name(AUTH_PASSWORD), "password");
	assert_string_equal(auth_method_name(AUTH_CERTIFICATE), "certificate");
	assert_string_equal(auth_method_name(AUTH_OPERATOR), "operator");
	assert_string_equal(auth_method_name((enum auth_method)64), "unknown");
}

static void
test_priorities_and_policies(void **state)
{
	char		*text = edit(base,
			    "{ uri = \"https://h.example/CES\" }",
			    "{ uri = {\"https://a.example/\", "
			    "\"https://b.example/\"} priority = 5 }");
	char		*more = edit(text, "\tversion", "\tpolicies = "
			    "{\"1.2.3.4 opens the vault\"}\n\tversion");
	struct policy	*p = parse(more);

	(void)state;
	assert_int_equal(p->cas[0].nuris, 2);
	assert_int_equal(p->cas[0].uris[0].priority, 5);
	assert_int_equal(p->cas[0].uris[1].priority, 6);
	assert_int_equal(p->templates[0].policies.n, 1);
	assert_string_equal(p->templates[0].policies.v[0], "1.2.3.4");
	policy_free(p);
	free(text);
	free(more);
}

static void
test_hostile_text(void **state)
{
	static const char *const	bad[] = {
		"", "{", "}", "\"", "/*", "#", "\\", "=", "ca", "ca \"x",
		"template { { { {", "ca \"x\" { uri \"y\" {", "\n\n\n}\n",
		"template \"x\" { oid = { { } }", "a = \"\\", "'\\'"
	};
	struct err	 err = ERR_INIT;
	struct buf	 big = { NULL, 0, 0 };
	char		*text = xstrdup(base);
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(bad[i], "#") != 0)
			refuses(bad[i], ": ");
	/* Cut off anywhere, and with each octet broken. */
	for (i = 0; i < strlen(base); i++) {
		memset(&err, 0, sizeof(err));
		policy_free(policy_parse(slice_of(base, i), &err));
		text[i] ^= 0x15;
		policy_free(policy_parse(slice_str(text), &err));
		text[i] ^= 0x15;
	}
	while (big.n <= 512 * 1024)
		buf_puts(&big, "# nothing but comments\n");
	refuses(buf_str(&big), "bytes, not 1..");
	buf_free(&big);
	free(text);
}

/* CA certificates. */
static struct slice
certificate(struct buf *out, int days, bool ca)
{
	EVP_PKEY	*key = EVP_EC_gen("P-256");
	X509		*x = X509_new();
	X509_EXTENSION	*e;
	unsigned char	*der = NULL;
	int		 n;

	X509_set_version(x, 2);
	X509_set_pubkey(x, key);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 86400);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
	    ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(x, key, EVP_sha256());
	n = i2d_X509(x, &der);
	assert_true(n > 0);
	buf_reset(out);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return buf_slice(out);
}

static int
attach(struct policy *p, const char *ca, struct slice cert, struct err *err)
{
	const struct ca_key only = { ca, ca, cert, true };

	return policy_attach_key(p, &only, err);
}

static void
test_attach(void **state)
{
	struct policy	*p = parse(base);
	struct err	 err = ERR_INIT;
	struct buf	 der = { NULL, 0, 0 };
	struct slice	 s;

	(void)state;
	assert_int_equal(policy_ready(p, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	memset(&err, 0, sizeof(err));
	assert_int_equal(attach(p, "Other", certificate(&der, 3650,
	    true), &err), -1);
	memset(&err, 0, sizeof(err));
	assert_int_equal(attach(p, "CA", certificate(&der, 3650,
	    false), &err), -1);
	assert_string_equal(err.text, "ca CA: certificate is no ca "
	    "certificate");
	memset(&err, 0, sizeof(err));
	assert_int_equal(attach(p, "CA", slice_str("x"), &err), -1);
	memset(&err, 0, sizeof(err));
	/* One year for Person does not fit into 200 days. */
	assert_int_equal(attach(p, "CA", certificate(&der, 200,
	    true), &err), -1);
	assert_non_null(strstr(err.text, "line 11: template Person: validity "
	    "of 365 days is beyond"));
	memset(&err, 0, sizeof(err));
	/* But what was in force stays in force. */
	p->published = (int64_t)time(NULL) - 300 * 86400;
	s = certificate(&der, 200, true);
	assert_int_equal(attach(p, "CA", s, &err), 0);
	assert_true(slice_eq(buf_slice(&p->cas[0].cert), s));
	assert_int_equal(policy_ready(p, &err), 0);
	assert_int_equal(attach(p, "CA", s, &err), -1);
	policy_free(p);
	buf_free(&der);
}

/* A CA's keys: one in use, all believed, all found by their names. */
static void
test_keys_of_a_ca(void **state)
{
	struct policy		*p = parse(base);
	const struct policy_key	*k = NULL;
	struct err		 err = ERR_INIT;
	struct buf		 a = { NULL, 0, 0 }, b = { NULL, 0, 0 };
	struct buf		 url = { NULL, 0, 0 };
	struct slice		 one = certificate(&a, 3650, true);
	struct slice		 two = certificate(&b, 3650, true);

	(void)state;
	assert_true(policy_ca_has(p, "CA", "CA"));
	assert_false(policy_ca_has(p, "CA", "CA-2"));
	assert_int_equal(policy_attach_key(p, &(struct ca_key){ "CA", "CA",
	    one, false }, &err), 0);
	/* None is in use yet. */
	assert_int_equal(policy_ready(p, &err), -1);
	memset(&err, 0, sizeof(err));
	assert_int_equal(policy_attach_key(p, &(struct ca_key){ "CA", "CA-2",
	    two, true }, &err), 0);
	assert_int_equal(policy_ready(p, &err), 0);
	assert_string_equal(p->cas[0].key, "CA-2");
	assert_true(slice_eq(buf_slice(&p->cas[0].cert), two));
	assert_ptr_equal(policy_key_find(p, "CA", &k), &p->cas[0]);
	assert_true(slice_eq(buf_slice(&k->cert), one));
	assert_null(policy_key_find(p, "CA-3", NULL));
	assert_true(policy_is_ours(p, one) && policy_is_ours(p, two));
	assert_true(policy_ca_has(p, "CA", "CA-2"));
	assert_int_equal(policy_attach_key(p, &(struct ca_key){ "CA", "CA-3",
	    one, true }, &err), -1);
	assert_string_equal(err.text, "ca CA: has two keys in use");
	memset(&err, 0, sizeof(err));
	assert_int_equal(policy_attach_also(p, "CA", one, &err), 0);
	assert_int_equal(p->cas[0].nalso, 1);
	assert_int_equal(policy_attach_also(p, "Other", one, &err), -1);
	policy_url("http://h/{key}.crl", "CA-2", &url);
	policy_url(" http://h/x.crl", "CA-2", &url);
	assert_string_equal(buf_str(&url), "http://h/CA-2.crl http://h/x.crl");
	buf_free(&url);
	policy_free(p);
	buf_free(&a);
	buf_free(&b);
}

/* The file we ship loads as it is. */
static void
test_shipped(void **state)
{
	static const char *const	words[][2] = {
		{ "@BASE_URL@", "https://localhost:8443" },
		{ "@CERT_URL@", "https://localhost:8444" },
		{ "@HTTP_URL@", "http://localhost:8080" },
		{ "@HOST@", "localhost" }, { "@CA@", "Demo" },
		{ "@KERBEROS@", "" }
	};
	struct buf		 b = { NULL, 0, 0 };
	struct policy		*p;
	const struct template	*t;
	FILE			*f = fopen("deploy/policy.conf.in", "r");
	char			 chunk[4096], *text, *next;
	size_t			 i, n;

	(void)state;
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&b, chunk, n);
	fclose(f);
	text = xstrdup(buf_str(&b));
	buf_free(&b);
	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		while (strstr(text, words[i][0]) != NULL) {
			next = edit(text, words[i][0], words[i][1]);
			free(text);
			text = next;
		}
	p = parse(text);
	free(text);
	assert_true(p->ntemplates >= 4);
	assert_int_equal(p->cas[0].uris[2].method, AUTH_KERBEROS);
	t = policy_template_by_name(p, "Computer");
	assert_int_equal(t->general_flags, GF_MACHINE_TYPE);
	assert_int_equal(t->name_flags, NF_DNS_AS_CN | NF_SAN_DNS);
	assert_int_equal(t->enrollment_flags, EF_AUTO_ENROLLMENT);
	t = policy_template_by_name(p, "WebServer");
	assert_int_equal(t->name_flags, NF_ENROLLEE_SUPPLIES_SUBJECT);
	assert_false(template_authenticates(t));
	t = policy_template_by_name(p, "UserLegacy");
	assert_int_equal(t->general_flags, GF_ADD_TEMPLATE_NAME);
	assert_int_equal(t->key_usage_property, 0);
	assert_int_equal(t->key_spec, 1);
	assert_null(t->hash);
	assert_false(t->application_policies);
	for (i = 0; i < p->ntemplates; i++)
		assert_int_equal(p->templates[i].overrides.n, 0);
	policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_key_usage),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_priorities_and_policies),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_keys_of_a_ca),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
