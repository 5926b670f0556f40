/* What each rule of the linter refuses, and what it lets pass. */
#include "policy_fixture.h"

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
	{ "http://h.example/ca.cer", "http://h/{key}{key}.cer", "http://" },
	{ "http://h.example/ca.cer", "http://h/{other}.cer",
	    "aia: is no url from \"{other}.cer\" on: http://h/{other}.cer" },
	{ "http://h.example/ca.cer", "ftp://h/",
	    "aia: ftp://h/ is no url that begins with http://" },
	{ "https://h.example/CES", "https://h.example/{key}", "https://" },
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
	{ "name-rule \"hosts\"", "domain \"CORP\" { } name-rule \"hosts\"",
	    "6: domain CORP: realm: is missing" },
	{ "name-rule \"hosts\"", "domain \"CORP\" { realm = \"a@b\" } "
	    "name-rule \"hosts\"", "realm: a@b is in the name of no account" },
	{ "name-rule \"hosts\"", "domain \"CORP\" { realm = \"b.\" } "
	    "name-rule \"hosts\"", "realm: b. is in the name of no account" },
	{ "name-rule \"hosts\"", "domain \"CORPORATION-LTD.\" { realm = \"b\" "
	    "} name-rule \"hosts\"", "domain before a backslash" },
	{ "name-rule \"hosts\"", "domain \"C\" { realm = \"a\" } domain \"c\" "
	    "{ realm = \"b\" } name-rule \"hosts\"", "c: name: stands twice" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = issuer groups "
	    "= {\"a\"} } name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { groups = {\"a\"} } "
	    "name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn } "
	    "name-rule \"hosts\"", "the ca could log on anybody" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { map = san-upn renewals "
	    "= true } name-rule \"hosts\"", "the ca could log on anybody" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { renewals = false groups "
	    "= {\"a\"} } name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { renewals = true map = "
	    "cn groups = {\"a\"} } name-rule \"hosts\"", "map: must be" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { renewals = true groups "
	    "= {\"a\"} } name-rule \"hosts\"", "groups: needs map" },
	{ "name-rule \"hosts\"", "trusted-ca \"X\" { renewals = true } "
	    "name-rule \"hosts\"", "certificate: is missing" },
	{ "name-rule \"hosts\"", "name-rule \"HOSTS\" { groups = {\"a\"} "
	    "cn = {\"x\"} } name-rule \"hosts\"", "name: stands twice" },
	{ "\tgroups = {\"admins\"}\n", "", "the rule would apply to nobody" },
	{ "groups = {\"admins\"}", "groups = {\"ad mins\"}",
	    "group ad mins" },
	{ "groups = {\"admins\"}", "groups = {\"\"}",
	    "groups: entry is empty" },
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
	{ "dns = {\"*.lab.example\"}", "upn = {\"x@\"}", "x@ is no upn" },
	{ "dns = {\"*.lab.example\"}", "upn = {\"*@x.example\"}",
	    "upn: *@x.example has a \"*\"; write \"@domain\"" },
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
	{ "dns = {\"*.lab.example\"}", "rdn = {\"cn=x\"}",
	    "use the option cn" },
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
	{ "type = user", "type = user key-permissions = \"everybody\"",
	    "everybody is no SDDL" },
	{ "type = user", "type = user schema = 2 key-permissions = \"D:\"",
	    "do not know them" },
	{ "type = user", "type = machine", "upn is no name of a machine" },
	{ "\"email?\"", "\"domain-dns\"", "is a name of machines" },
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
	{ "{\"client-authentication\"}", "{\"clientAuth\"}",
	    "eku: clientAuth is no purpose that has a name" },
	{ "{\"client-authentication\"}", "{\"1.2.x\"}",
	    "eku: 1.2.x is not an object identifier" },
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
	{ "\tversion", "\trenewal-grace = 2y\n\tversion", "renewal-grace: " },
	{ "\tversion", "\trenewal-max = -1\n\tversion", "renewal-max: " },
	{ "\tversion", "\trate-per-minute = 0\n\tversion",
	    "rate-per-minute: " },
	{ "\tversion", "\trate-per-minute = 1000001\n\tversion",
	    "rate-per-minute: " },
	{ "\tversion", "\trenewal-max-age = 300d\n\tversion",
	    "renewal-max-age: is over before" },
	{ "\tversion", "\toverride = {\"esc2\"}\n\tversion",
	    "esc2 cannot be overridden" },
	{ "\tversion", "\toverride = {\"esc1\"}\n\tversion",
	    "esc1 covers nothing" }
};

/* What publishing refuses and a policy in force may have. */
static const struct {
	const char	*from, *to, *why;
} idle[] = {
	{ "dns = {\"*.lab.example\"}", "email = {\"*@x.example\"}",
	    "email: *@x.example has a \"*\"; write \"@domain\"" },
	{ "dns = {\"*.lab.example\"}", "rdn = {\"XX=y\"}",
	    "XX=y is of no attribute type that is issued" },
	{ "dns = {\"*.lab.example\"}", "rdn = {\"commonName=x\"}",
	    "use the option cn" },
	{ "{\"digital-signature\", \"key-encipherment\"}",
	    "{\"non-repudiation\"}", "eku: client-authentication with an rsa "
	    "key needs a key-usage of digital-signature" },
	{ "{\"digital-signature\", \"key-encipherment\"}",
	    "{\"non-repudiation\"}", "an ec key needs a key-usage of "
	    "digital-signature or key-agreement" },
	{ "{\"digital-signature\", \"key-encipherment\"}",
	    "{\"key-encipherment\", \"key-agreement\"}", "with an rsa key" },
	{ "\"server-authentication\"", "\"ocsp-signing\"",
	    "for responders alone" },
	{ "\"server-authentication\"", "\"1.3.6.1.4.1.311.21.5\"",
	    "is what clients seal their keys for" },
	{ "\tversion", "\tpolicies = {\"2.5.29.32.0 all\"}\n\tversion",
	    "any policy is never asserted" },
	{ "\tversion", "\trenewal-sha1 = true\n\tversion",
	    "renewal-sha1: clients of schema" },
	{ "\tversion", "\trenewal-anonymous = true approval = manager\n"
	    "\tversion", "renewal-anonymous: with approval of all" }
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
test_idle(void **state)
{
	struct err	 err = ERR_INIT;
	char		*text;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
		text = edit(base, idle[i].from, idle[i].to);
		finds(text, idle[i].why);
		assert_null(policy_parse_new(slice_str(text), &err));
		policy_free(parse(text));
		free(text);
	}
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
	loads_edit("\tversion", "\tapproval = manager renewal-anonymous = true "
	    "renewal-previous-approval = true\n\tversion");
	loads_edit("\tversion", "\tapproval = manager renewal-anonymous = true "
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

/* An edit that may be published. */
static void
publishes_edit(const char *from_text, const char *from, const char *to)
{
	char		*text = edit(from_text, from, to);
	struct err	 err = ERR_INIT;
	struct policy	*p = policy_parse_new(slice_str(text), &err);

	if (p == NULL)
		fail_msg("%s", err.text);
	policy_free(p);
	free(text);
}

/* What lets members log on as others: ESC1, ESC14, Certifried. */
static void
test_open_rules(void **state)
{
	static const struct {
		const char	*entry;
		bool		 loads;	/* a policy in force stays so */
		const char	*told;	/* NULL: closed */
	} rules[] = {
		{ "cn = {\"*\"}", false, "cn = *" },
		{ "upn = {\"@x.example\"}", false, "upn = @x.example" },
		{ "email = {\"a@x.example\", \"@x.example\"}", true,
		    "email = @x.example" },
		{ "rdn = {\"O=*\", \"uid=*\"}", true, "rdn = uid=*" },
		{ "rdn = {\"userid=*\"}", true, "rdn = userid=*" },
		{ "rdn = {\"e=*\"}", true, "rdn = e=*" },
		{ "rdn = {\"EmailAddress=*\"}", true, "EmailAddress=*" },
		/* Servers that are clients, too: whose domain, the rule says. */
		{ "dns = {\"*.x.example\"} email = {\"a@x.example\"} upn = "
		    "{\"a@x.example\"} cn = {\"a\"} rdn = {\"O=*\", "
		    "\"UID=a\", \"E=a@x.example\"}", true, NULL }
	};
	char		*closed = esc_text(REQUEST | AUTH | RULE, false);
	char		*all_seen = esc_text(REQUEST | AUTH | RULE | APPROVAL,
			    false);
	char		*over = esc_text(REQUEST | AUTH | RULE | OVER, false);
	char		*signs = esc_text(REQUEST | RULE, false);
	char		*text;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		text = edit(closed, "upn = {\"a@x.example\"}",
		    rules[i].entry);
		if (rules[i].told != NULL) {
			finds(text, rules[i].told);
			finds(text, "(esc1)");
		} else
			publishes_edit(text, "", "");
		if (rules[i].loads)
			policy_free(parse(text));
		else
			refuses(text, "(esc1)");
		free(text);
		if (rules[i].told == NULL)
			continue;
		publishes_edit(all_seen, "upn = {\"a@x.example\"}",
		    rules[i].entry);
		publishes_edit(over, "upn = {\"a@x.example\"}",
		    rules[i].entry);
		publishes_edit(signs, "upn = {\"a@x.example\"}",
		    rules[i].entry);
	}
	free(closed);
	free(all_seen);
	free(over);
	free(signs);
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

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_lint_all),
		cmocka_unit_test(test_esc1_table),
		cmocka_unit_test(test_open_rules),
		cmocka_unit_test(test_wildcard_never_authenticates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
