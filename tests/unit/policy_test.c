/* Policy files: what loads, what each linter rule refuses, what is computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "policy.h"

#define OIDS "1.3.6.1.4.1.99999.1."

static const char base[] =
    "policy-name = \"Test\"\n"
    "ca \"CA\" {\n"
    "\turi \"password\" { uri = \"https://h.example/CES\" }\n"
    "\taia = {\"http://h.example/ca.cer\"}\n"
    "}\n"
    "name-rule \"hosts\" {\n"
    "\tgroups = {\"admins\"}\n"
    "\tdns = {\"*.lab.example\"}\n"
    "}\n"
    "# line 10 follows\n"
    "template \"Person\" {\n"
    "\toid = \"" OIDS "1\"\n"
    "\tversion = \"100.3\"\n"
    "\tca = {\"CA\"}\n"
    "\ttype = user\n"
    "\tvalidity = 1y\n"
    "\trenewal = 6w\n"
    "\tautoenroll = {\"users\"}\n"
    "\tnames = account\n"
    "\tsubject = {\"common-name\"}\n"
    "\tsan = {\"upn\", \"email?\"}\n"
    "\tkeys = {\"rsa:2048\", \"ec:P-256\"}\n"
    "\tproviders = {\"Microsoft Software Key Storage Provider\"}\n"
    "\tkey-usage = {\"digital-signature\", \"key-encipherment\"}\n"
    "\teku = {\"client-authentication\"}\n"
    "}\n"
    "template \"Server\" {\n"
    "\toid = \"" OIDS "2\"\n"
    "\tca = {\"CA\"}\n"
    "\ttype = machine\n"
    "\tvalidity = 90d\n"
    "\trenewal = 30d\n"
    "\tenroll = {\"admins\"}\n"
    "\tnames = request\n"
    "\tname-rules = {\"hosts\"}\n"
    "\tkeys = {\"ec:P-384\", \"rsa:3072-8192\"}\n"
    "\tproviders = {\"Microsoft Software Key Storage Provider\"}\n"
    "\tkey-usage = {\"digital-signature\"}\n"
    "\teku = {\"server-authentication\"}\n"
    "}\n";

/* Copy of s with the first "from" replaced. */
static char *
edit(const char *s, const char *from, const char *to)
{
	const char	*at = strstr(s, from);
	struct buf	 b = { NULL, 0, 0 };
	char		*r;

	if (at == NULL)
		fail_msg("no \"%s\" in the text", from);
	buf_add(&b, s, (size_t)(at - s));
	buf_puts(&b, to);
	buf_puts(&b, at + strlen(from));
	r = xstrdup(buf_str(&b));
	buf_free(&b);
	return r;
}

static struct policy *
parse(const char *text)
{
	struct err	 err = ERR_INIT;
	struct policy	*p = policy_parse(slice_str(text), &err);

	if (p == NULL)
		fail_msg("%s", err.text);
	return p;
}

static void
collect(void *arg, unsigned line, const char *text)
{
	buf_printf(arg, "%u: %s\n", line, text);
}

/* The policy does not load, and why stands among the findings. */
static void
refuses(const char *text, const char *why)
{
	struct err	 err = ERR_INIT;
	struct buf	 all = { NULL, 0, 0 };
	int		 n;

	n = policy_lint_all(slice_str(text), collect, &all);
	if (n == 0 || strstr(buf_str(&all), why) == NULL)
		fail_msg("wanted \"%s\", got %d:\n%s", why, n, buf_str(&all));
	assert_null(policy_parse(slice_str(text), &err));
	assert_int_equal(err.kind, ERR_MALFORMED);
	assert_memory_equal(err.text, "line ", 5);
	buf_free(&all);
}

static void
refuses_edit(const char *from, const char *to, const char *why)
{
	char	*text = edit(base, from, to);

	refuses(text, why);
	free(text);
}

static void
loads_edit(const char *from, const char *to)
{
	char	*text = edit(base, from, to);

	policy_free(parse(text));
	free(text);
}

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

static const struct {
	const char	*from, *to, *why;
} faults[] = {
	/* The grammar: what is unknown or stands twice. */
	{ "version =", "vresion =", "13: template Person: unknown option" },
	{ "type = user", "type = user type = user", "15: template Person: " },
	{ "policy-name", "policy-nam", "1: policy: unknown option" },
	{ "\tversion", "\tno-sid-extension = true\n\tversion",
	    "13: template Person: unknown option" },	/* ESC9, ESC16 */
	{ "\tversion", "\tdo-not-persist = true\n\tversion", "unknown" },
	{ "\tversion", "\teku-critical = true\n\tversion", "unknown" },
	{ "\"Server\"", "\"Person\"", "27: template Person: " },
	{ "policy-name = \"Test\"\n", "policy-name = \"${HOME}\"\n",
	    "1: policy: " },
	{ "\"100.3\"", "\"100.3", "template Person" },
	{ "policy-name = \"Test\"", "next-update-hours = 0",
	    "next-update-hours: 0 is not in" },
	/* CAs. */
	{ "ca \"CA\" {\n", "ca \"C/A\" {\n", "2: ca C/A: name:" },
	{ "\"password\"", "\"ntlm\"", "uri ntlm: is no way" },
	{ "\turi \"password\" { uri = \"https://h.example/CES\" }\n", "",
	    "2: ca CA: uri: is missing" },
	{ "{ uri = \"https://h.example/CES\" }", "{ }", "has no uri" },
	{ "https://h.example/CES", "http://h.example/CES", "https://" },
	{ "https://h.example/CES", "https://h.example/C ES", "https://" },
	{ "uri \"password\"", "uri \"anonymous\"", "needs renewal-only" },
	{ "http://h.example/ca.cer", "https://h.example/", "http://" },
	{ "uri = \"https://h.example/CES\"",
	    "uri = \"https://h.example/CES\" priority = 0", "priority: 0" },
	{ "name-rule \"hosts\"", "ca \"ca\" { uri \"kerberos\" "
	    "{ uri = \"https://h.example/K\" } } name-rule \"hosts\"",
	    "ca ca: name: stands twice" },
	/* Name rules. */
	{ "name-rule \"hosts\"", "name-rule \"ho sts\"", "6: name-rule" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn groups "
	    "= {\"a\"} } name-rule \"hosts\"",
	    "6: trusted-ca X: certificate: is missing" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn groups "
	    "= {\"a\"} certificate = {\"AAAA\"} } name-rule \"hosts\"",
	    "certificate: is no ca certificate" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn groups "
	    "= {\"a\"} certificate = {\"A!AA\"} } name-rule \"hosts\"",
	    "trusted-ca X: certificate: " },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = issuer groups "
	    "= {\"a\"} } name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { groups = {\"a\"} } "
	    "name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn } "
	    "name-rule \"hosts\"", "the ca could log on anybody" },
	{ "name-rule \"hosts\"", "name-rule \"HOSTS\" { groups = {\"a\"} "
	    "cn = {\"x\"} } name-rule \"hosts\"", "name: stands twice" },
	{ "\tgroups = {\"admins\"}\n", "", "the rule would apply to nobody" },
	{ "groups = {\"admins\"}", "groups = {\"ad mins\"}", "group ad mins" },
	{ "groups = {\"admins\"}", "groups = {\"\"}", "groups: entry is empty" },
	{ "\tdns = {\"*.lab.example\"}\n", "", "allows no name" },
	{ "dns = {\"*.lab.example\"}", "wildcard = true cn = {\"x\"}",
	    "wildcard: needs dns" },
	{ "\"*.lab.example\"", "\"*\"", "allows every name" },
	{ "\"*.lab.example\"", "\".lab.example\"", "starts with a dot" },
	{ "\"*.lab.example\"", "\"a*.lab.example\"", "is no dns name" },
	{ "\"*.lab.example\"", "\"*.*.example\"", "is no dns name" },
	{ "\"*.lab.example\"", "\"lab.example.\"", "is no dns name" },
	{ "\"*.lab.example\"", "\"a.b\", \"a.b\"", "a.b stands twice" },
	{ "dns = {\"*.lab.example\"}", "email = {\"@\"}", "is no domain" },
	{ "dns = {\"*.lab.example\"}", "email = {\"*@x.example\"} upn = "
	    "{\"*@\"}", "*@ is no upn" },
	{ "dns = {\"*.lab.example\"}", "upn = {\"@*\"}", "is no domain" },
	{ "dns = {\"*.lab.example\"}", "ip = {\"10.0.0.0/33\"}", "is no ip" },
	{ "dns = {\"*.lab.example\"}", "ip = {\"10.0.0.0/\"}", "is no ip" },
	{ "dns = {\"*.lab.example\"}", "ip = {\"10.0.0.0/+8\"}", "is no ip" },
	{ "dns = {\"*.lab.example\"}", "ip = {\"10.0.0.1/8\"}", "bits set" },
	{ "dns = {\"*.lab.example\"}", "ip = {\"0.0.0.0/0\"}", "every addr" },
	{ "dns = {\"*.lab.example\"}", "uri = {\"x\"}", "absolute uri" },
	{ "dns = {\"*.lab.example\"}", "uri = {\"Tag:microsoft.com,2022-09-14:"
	    "sid:S-1-5-21-1\"}", "claim of a sid" },
	{ "dns = {\"*.lab.example\"}", "uri = {\"t%61g:microsoft.com,x\"}",
	    "claim of a sid" },
	{ "dns = {\"*.lab.example\"}", "rdn = {\"O\"}", "TYPE=value" },
	{ "dns = {\"*.lab.example\"}", "rdn = {\"cn=x\"}", "use the option cn" },
	{ "dns = {\"*.lab.example\"}", "cn = {\"*.x\"}", "\"*\" within" },
	/* Identity. */
	{ "template \"Person\"", "template \"Per/son\"", "name: only" },
	{ "\"Server\"", "\"PERSON\"", "name: stands twice, as in line 11" },
	{ OIDS "2", OIDS "1", "oid: " OIDS "1 is that of template Person" },
	{ "\toid = \"" OIDS "1\"\n", "", "oid: is missing" },
	{ OIDS "1", OIDS "2147483648", "template Person: oid: " },
	{ OIDS "1", "2.25.329800735698586629295641978511506172918",
	    "template Person: oid: " },
	{ OIDS "1", "1.2.x", "template Person: oid: " },
	{ "\tversion", "\tschema = 0\n\tversion", "schema: 0 is not in 1..4" },
	{ "\tversion", "\tschema = 5\n\tversion", "schema: 5 is not in 1..4" },
	{ "\"100.3\"", "\"0.1\"", "version: 0.1" },
	{ "\"100.3\"", "\"100\"", "version: 100 is" },
	{ "\"100.3\"", "\"1.2.3\"", "version: 1.2.3" },
	{ "\"100.3\"", "\"99999999999.1\"", "version: 99999999999.1" },
	{ "\tca = {\"CA\"}\n", "", "no ca offers" },
	{ "\tca = {\"CA\"}", "\tca = {\"Other\"}", "Other is not in this" },
	{ "\ttype = user\n", "", "type: is missing" },
	{ "type = user", "type = robot", "neither user nor machine" },
	{ "\tversion", "\tsupersedes = {\"person\"}\n\tversion",
	    "is no other template's name" },
	{ "\tversion", "\tdisplay-name = \"\"\n\tversion", "display-name:" },
	/* Who and how long. */
	{ "autoenroll = {\"users\"}", "enroll = {}", "no group may enroll" },
	{ "autoenroll = {\"users\"}", "enroll = {\"a/b\"}", "group a/b" },
	{ "enroll = {\"admins\"}", "autoenroll = {\"admins\"}",
	    "autoenroll: cannot be with names = request" },
	{ "validity = 1y", "", "validity: is missing" },
	{ "validity = 1y", "validity = \"1 year\"", "validity: " },
	{ "validity = 1y", "validity = \"-1d\"", "validity: " },
	{ "validity = 1y", "validity = 0d", "validity: " },
	{ "renewal = 6w", "renewal = 365d", "renewal: must be" },
	{ "renewal = 6w", "renewal = 0d", "renewal: " },
	{ "validity = 1y\n\trenewal = 6w", "validity = 4d\n\trenewal = 1d",
	    "needs a validity of 5d" },
	{ "renewal = 6w", "renewal = 23h", "needs a validity of 5d" },
	/* Names. */
	{ "names = account\n", "\n", "names: is missing" },
	{ "names = account", "names = anything", "neither account nor" },
	{ "\tsubject = {\"common-name\"}\n\tsan = {\"upn\", \"email?\"}\n",
	    "", "would name nobody" },
	{ "{\"common-name\"}", "{\"common-name\", \"dns\"}", "only one of" },
	{ "{\"common-name\"}", "{\"dns\", \"directory-path?\"}",
	    "only one of" },
	{ "{\"common-name\"}", "{\"cn\"}", "subject: cn is not known" },
	{ "{\"upn\", \"email?\"}", "{\"upn\", \"upn?\"}",
	    "upn stands twice" },
	{ "type = user", "type = machine", "upn is no name of a machine" },
	{ "names = account", "names = account name-rules = {\"hosts\"}",
	    "name-rules: only with" },
	{ "name-rules = {\"hosts\"}", "name-rules = {\"hosts\"} san = "
	    "{\"dns\"}", "only with names = account" },
	{ "name-rules = {\"hosts\"}", "name-rules = {\"none\"}",
	    "none is not in this file" },
	{ "dns = {\"*.lab.example\"}", "upn = {\"a@x.example\"}",
	    "upn of hosts is no name of a machine" },
	/* EKU: ESC2, ESC3. */
	{ "\teku = {\"client-authentication\"}\n", "", "(esc2)" },
	{ "\teku = {\"client-authentication\"}", "\teku = {}", "(esc2)" },
	{ "{\"client-authentication\"}", "{\"any\"}", "(esc2)" },
	{ "{\"client-authentication\"}",
	    "{\"client-authentication\", \"2.5.29.37.0\"}", "(esc2)" },
	{ "{\"client-authentication\"}", "{\"1.3.6.1.4.1.311.10.12.1\"}",
	    "(esc2)" },
	{ "{\"client-authentication\"}", "{\"enrollment-agent\"}", "(esc3)" },
	{ "{\"client-authentication\"}", "{\"server\"}", "eku: " },
	{ "{\"client-authentication\"}",
	    "{\"client-authentication\", \"1.3.6.1.5.5.7.3.2\"}",
	    "1.3.6.1.5.5.7.3.2 stands twice" },
	/* Keys and providers. */
	{ "{\"rsa:2048\", \"ec:P-256\"}", "{}", "no key is allowed" },
	{ "rsa:2048", "rsa:1024", "rsa:1024 is below" },
	{ "rsa:2048", "rsa:2049", "no multiple of 8" },
	{ "rsa:2048", "rsa:2048-16384", "maximum 16384" },
	{ "rsa:2048", "rsa:4096-2048", "below the minimum" },
	{ "rsa:2048", "rsa:2048-", "is not of the form" },
	{ "rsa:2048", "rsa:-2048", "is not of the form" },
	{ "rsa:2048", "rsa:2048--4096", "is not of the form" },
	{ "rsa:2048", "rsa:2048 ", "is not of the form" },
	{ "rsa:2048", "rsa:999999", "is not of the form" },
	{ "rsa:2048", "dsa:2048", "is not of the form" },
	{ "ec:P-256", "ec:P-224", "is not of the form" },
	{ "ec:P-256", "rsa:4096", "rsa stands twice" },
	{ "\tproviders = {\"Microsoft Software Key Storage Provider\"}\n", "",
	    "keys of 1024 bits" },
	{ "\tversion", "\thash = md5\n\tversion", "hash: md5" },
	{ "\tversion", "\thash = sha1\n\tversion", "hash: sha1" },
	{ "\tversion", "\tkey-spec = 3\n\tversion", "key-spec: 3" },
	{ "\tversion", "\tschema = 2\n\thash = sha256\n\tversion",
	    "hash: cannot be told" },
	{ "\tversion", "\tschema = 2\n\tversion",
	    "is none of the legacy providers" },
	{ "\tversion", "\tschema = 1\n\tkey-spec = 0\n\tversion",
	    "key-spec: schema 1 needs" },
	{ "{\"ec:P-384\", \"rsa:3072-8192\"}", "{\"ec:P-384\"} schema = 2",
	    "P-384 cannot be first" },
	{ "Software Key Storage Provider",
	    "RSA SChannel Cryptographic Provider", "needs key-spec 1 or 2" },
	{ "{\"rsa:2048\", \"ec:P-256\"}\n\tproviders = {\"Microsoft Software "
	    "Key Storage Provider\"}", "{\"ec:P-256\"} key-spec = 1 providers"
	    " = {\"Microsoft Base DSS Cryptographic Provider\"}",
	    "makes no P-256 keys" },
	/* Usage. */
	{ "{\"digital-signature\", \"key-encipherment\"}", "{}",
	    "key-usage: is missing" },
	{ "\"key-encipherment\"", "\"key-cert-sign\"", "for cas" },
	{ "\"key-encipherment\"", "\"crl-sign\"", "for cas" },
	{ "\"key-encipherment\"", "\"encipher-only\"", "need key-agreement" },
	{ "\"key-encipherment\"", "\"sign\"", "sign is not known" },
	{ "{\"digital-signature\", \"key-encipherment\"}",
	    "{\"key-encipherment\"}", "an ec key nothing" },
	{ "{\"digital-signature\", \"key-encipherment\"}",
	    "{\"key-agreement\"}", "an rsa key nothing" },
	{ "\tversion", "\tpolicies = {\"1.2.3.4\"}\n\tversion", "(esc13)" },
	{ "\tversion", "\tpolicies = {\"1.2.x staff\"}\n\tversion",
	    "policies: " },
	/* Approval, renewal, overrides. */
	{ "\tversion", "\tapprovers = {\"managers\"}\n\tversion",
	    "need approval" },
	{ "\tversion", "\tapproval-groups = {\"users\"}\n\tversion",
	    "need approval" },
	{ "\tversion", "\tpending-expires = 1d\n\tversion",
	    "needs approval" },
	{ "\tversion", "\tapproval = perhaps\n\tversion", "neither none" },
	{ "\tversion", "\tapproval = manager pending-expires = 0d\n\tversion",
	    "pending-expires: " },
	{ "\tversion", "\trenewal-key-based = true\n\tversion",
	    "renewal-key-based: needs" },
	{ "\tversion", "\trenewal-anonymous = true\n\tversion",
	    "renewal-anonymous: needs" },
	{ "\tversion", "\trenewal-grace = 2y\n\tversion", "renewal-grace: " },
	{ "\tversion", "\trenewal-max = -1\n\tversion", "renewal-max: " },
	{ "\tversion", "\toverride = {\"esc2\"}\n\tversion",
	    "esc2 cannot be overridden" },
	{ "\tversion", "\toverride = {\"esc1\"}\n\tversion",
	    "esc1 covers nothing" }
};

static void
test_refusals(void **state)
{
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		refuses_edit(faults[i].from, faults[i].to, faults[i].why);
}

static void
test_accepted(void **state)
{
	(void)state;
	loads_edit("autoenroll = {\"users\"}", "enroll = {\"users\"}");
	loads_edit("validity = 1y\n\trenewal = 6w", "validity = 4d\n\trenewal "
	    "= 1d\n\toverride = {\"short-validity\"}");
	loads_edit("{\"client-authentication\"}",
	    "{\"smart-card-logon\", \"1.2.3.4\"}");
	loads_edit("\tversion", "\tpolicies = {\"1.2.3.4 the vault\"}\n"
	    "\tversion");
	loads_edit("\tversion", "\tapproval = manager approvers = {\"boss\"} "
	    "approval-groups = {\"guests\"}\n\tversion");
	loads_edit("\"https://h.example/CES\"",
	    "{\"https://a.example/\", \"https://b.example/\"} priority = 5 "
	    "renewal-only = true");
	loads_edit("Software Key Storage Provider\"}",
	    "RSA SChannel Cryptographic Provider\"} key-spec = 1");
	loads_edit("\"*.lab.example\"", "\"localhost\", \"a.b.example\"");
	loads_edit("dns = {\"*.lab.example\"}", "ip = {\"10.0.0.0/8\", "
	    "\"2001:db8::/32\", \"192.0.2.7\"} rdn = {\"O=Ex\", \"OU=*\"} "
	    "cn = {\"*\"} email = {\"@x.example\", \"a@x.example\"}");
}

static void
test_priorities_and_policies(void **state)
{
	char		*text = edit(base, "{ uri = \"https://h.example/CES\" }",
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

/* Every finding is told, not only the first. */
static void
test_lint_all(void **state)
{
	char		*a = edit(base, "\"rsa:2048\"", "\"rsa:1024\"");
	char		*b = edit(a, "\"100.3\"", "\"0.0\"");
	char		*c = edit(b, "\"*.lab.example\"", "\"*\"");
	struct err	 err = ERR_INIT;
	struct buf	 all = { NULL, 0, 0 };

	(void)state;
	assert_int_equal(policy_lint_all(slice_str(c), collect, &all), 3);
	assert_non_null(strstr(buf_str(&all), "11: template Person: version"));
	assert_non_null(strstr(buf_str(&all), "6: name-rule hosts: dns: *"));
	assert_non_null(strstr(buf_str(&all), "11: template Person: keys"));
	assert_null(policy_parse(slice_str(c), &err));
	assert_string_equal(err.text, "line 11: template Person: version: 0.0 "
	    "is not of the form major.minor with a major of 1 or more");
	assert_int_equal(policy_lint_all(slice_str(base), collect, &all), 0);
	buf_free(&all);
	free(a);
	free(b);
	free(c);
}

/*
 * The truth table of ESC1 and ESC17: names from the request, an EKU that
 * authenticates, approval, approval of some only, a name rule (closed or
 * open), an override.
 */
enum { REQUEST = 1, AUTH = 2, APPROVAL = 4, SOME = 8, RULE = 16, OVER = 32 };

static char *
esc_text(unsigned f, bool open)
{
	struct buf	 b = { NULL, 0, 0 };
	char		*r;

	buf_printf(&b, "ca \"CA\" { uri \"password\" { uri = "
	    "\"https://h.example/\" } }\n"
	    "name-rule \"r\" { groups = {\"g\"} %s }\n"
	    "template \"T\" { oid = \"1.2.3.4\" ca = {\"CA\"} type = user "
	    "validity = 1y enroll = {\"g\"} keys = {\"rsa:2048\"} providers = "
	    "{\"P\"} key-usage = {\"digital-signature\"} eku = {\"%s\"} ",
	    open ? "upn = {\"@x.example\"}" : "upn = {\"a@x.example\"}",
	    f & AUTH ? "client-authentication" : "code-signing");
	buf_puts(&b, f & REQUEST ? "names = request " :
	    "names = account subject = {\"common-name\"} ");
	buf_puts(&b, f & APPROVAL ? "approval = manager " : "");
	buf_puts(&b, f & SOME ? "approval-groups = {\"h\"} " : "");
	buf_puts(&b, f & RULE ? "name-rules = {\"r\"} " : "");
	if (f & OVER)
		buf_puts(&b, f & AUTH ? "override = {\"esc1\"} " :
		    "override = {\"esc17\"} ");
	buf_puts(&b, "}\n");
	r = xstrdup(buf_str(&b));
	buf_free(&b);
	return r;
}

static void
test_esc1_table(void **state)
{
	unsigned	 f;
	bool		 danger, loads;
	char		*text;
	int		 open;
	struct err	 err;
	struct policy	*p;

	(void)state;
	for (f = 0; f < 64; f++)
		for (open = 0; open < 2; open++) {
			danger = (f & REQUEST) != 0;
			if ((f & APPROVAL) && !(f & SOME))
				danger = false;
			if ((f & RULE) && !(open && (f & AUTH)))
				danger = false;
			loads = danger == ((f & OVER) != 0);
			if ((f & SOME) && !(f & APPROVAL))
				loads = false;
			if ((f & RULE) && !(f & REQUEST))
				loads = false;
			text = esc_text(f, open);
			memset(&err, 0, sizeof(err));
			p = policy_parse(slice_str(text), &err);
			if ((p != NULL) != loads)
				fail_msg("%02x open %d: %s\n%s", f, open,
				    err.text, text);
			if (danger && !(f & OVER))
				refuses(text, f & AUTH ? "(esc1)" : "(esc17)");
			if (p != NULL && (f & OVER))
				assert_int_equal(p->templates[0].overrides.n,
				    1);
			policy_free(p);
			free(text);
		}
}

static void
test_wildcard_never_authenticates(void **state)
{
	char	*a = edit(base, "dns = {\"*.lab.example\"}",
		    "dns = {\"*.lab.example\"} wildcard = true");
	char	*b = edit(a, "\"server-authentication\"",
		    "\"server-authentication\", \"client-authentication\"");

	(void)state;
	policy_free(parse(a));
	refuses(b, "wildcard of hosts");
	free(a);
	free(b);
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
	assert_int_equal(policy_attach_ca(p, "Other", certificate(&der, 3650,
	    true), &err), -1);
	memset(&err, 0, sizeof(err));
	assert_int_equal(policy_attach_ca(p, "CA", certificate(&der, 3650,
	    false), &err), -1);
	assert_string_equal(err.text, "ca CA: certificate is no ca "
	    "certificate");
	memset(&err, 0, sizeof(err));
	assert_int_equal(policy_attach_ca(p, "CA", slice_str("x"), &err), -1);
	memset(&err, 0, sizeof(err));
	/* One year for Person does not fit into 200 days. */
	assert_int_equal(policy_attach_ca(p, "CA", certificate(&der, 200,
	    true), &err), -1);
	assert_non_null(strstr(err.text, "line 11: template Person: validity "
	    "of 365 days is beyond"));
	memset(&err, 0, sizeof(err));
	/* But what was in force stays in force. */
	p->published = (int64_t)time(NULL) - 300 * 86400;
	s = certificate(&der, 200, true);
	assert_int_equal(policy_attach_ca(p, "CA", s, &err), 0);
	assert_true(slice_eq(buf_slice(&p->cas[0].cert), s));
	assert_int_equal(policy_ready(p, &err), 0);
	assert_int_equal(policy_attach_ca(p, "CA", s, &err), -1);
	policy_free(p);
	buf_free(&der);
}

/* The file we ship loads as it is. */
static void
test_shipped(void **state)
{
	static const char *const	words[][2] = {
		{ "@BASE_URL@", "https://localhost:8443" },
		{ "@CERT_URL@", "https://localhost:8444" },
		{ "@HTTP_URL@", "http://localhost:8080" },
		{ "@HOST@", "localhost" }, { "@CA@", "Demo" }
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
		cmocka_unit_test(test_loads), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_key_usage),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_priorities_and_policies),
		cmocka_unit_test(test_lint_all),
		cmocka_unit_test(test_esc1_table),
		cmocka_unit_test(test_wildcard_never_authenticates),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_attach), cmocka_unit_test(test_shipped)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
