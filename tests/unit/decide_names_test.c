/* Whose names a certificate gets, and which it may not have. */
#include "decide_fixture.h"

static void
test_sid_uri(void **state)
{
	static const char	tag[] = "tag:microsoft.com,2022-09-14:sid:";
	struct ask		q;

	(void)state;
	ask_for(&q, "Asks");
	q.account.sid = q.request.sid = str(SID);
	san(&q, SAN_URI, "tag:microsoft.com,2022-09-14:sid:" SID);
	grants(&q, " | URI:tag:microsoft.com\\,2022-09-14:sid:" SID);
	/* What the request parser might not have taken for a claim. */
	ask_for(&q, "Asks");
	q.account.sid = str(SID);
	san(&q, SAN_URI, "TAG:microsoft.com,2022-09-14:sid:S-1-5-21-9");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "sid of another account");
	ask_for(&q, "Open");
	san(&q, SAN_URI, "%74ag:Microsoft.com,2022-09-14:sid:S-1-5-21-9");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "sid of another account");
	assert_true(name_is_sid_uri(tag));
	assert_false(name_is_sid_uri("tag:microsoft.co"));
	assert_false(name_is_sid_uri("tag:example.com,2022:sid"));
	assert_false(name_is_sid_uri(""));
	assert_false(name_is_sid_uri("%7"));
}

/* An account's, which somebody wrote past the commands that look at them. */
static void
test_malformed_account(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Person");
	q.account.sid = str("S-1-5-21-1;S-1-5-32-544");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "sid S-1-5-21-1;S-1-5-32-544 "
	    "of account ada is malformed");
	ask_for(&q, "Person");
	q.account.upn = str("ada");
	denies(&q, CERTSRV_E_SUBJECT_UPN_REQUIRED, "ada is malformed");
	ask_for(&q, "Pc");
	q.key.kind = KEY_P384;
	q.account.dns = str("*.lab.example");
	denies(&q, CERTSRV_E_SUBJECT_DNS_REQUIRED, "ada is malformed");
}

/* [MS-WCCE] 3.2.2.6.2.1.4.5.9: who does not use them ignores them. */
static void
test_unreadable(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Person");
	err_bad(&q.request.names_fault, 0, "name: a part with two values");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | "
	    "UPN:ada@lab.example, email:ada@mail.example");
	ask_for(&q, "Any");
	err_bad(&q.request.names_fault, 0, "name: a part with two values");
	san(&q, SAN_DNS, "www.lab.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT,
	    "template Any: name: a part with two values");
}

/* Template "Any", rule "hosts": what it allows and what comes out. */
static void
test_allowed(void **state)
{
	static const struct {
		const char	*cn;
		enum san_kind	 kind;
		const char	*san, *out;
	} rows[] = {
		{ "www.lab.example", SAN_DNS, NULL,
		    "CN=www.lab.example | DNS:www.lab.example" },
		{ "WWW.Lab.Example", SAN_DNS, "www.LAB.example",
		    "CN=WWW.Lab.Example | DNS:www.lab.example" },
		{ NULL, SAN_DNS, "a.b.srv.example", " | DNS:a.b.srv.example" },
		{ NULL, SAN_DNS, "LAB_1.srv.example",
		    " | DNS:lab_1.srv.example" },
		{ "localhost", SAN_IP, "10.1.2.3",
		    "CN=localhost | IP:10.1.2.3, DNS:localhost" },
		{ NULL, SAN_DNS, "*.srv.example", " | DNS:*.srv.example" },
		{ NULL, SAN_DNS, "*.a.srv.example", " | DNS:*.a.srv.example" },
		{ "*.www.lab.example", SAN_DNS, NULL,
		    "CN=*.www.lab.example | DNS:*.www.lab.example" },
		{ NULL, SAN_IP, "2001:db8::7", " | IP:2001:db8::7" },
		{ NULL, SAN_EMAIL, "x@LAB.example", " | email:x@LAB.example" },
		{ NULL, SAN_EMAIL, "boss@big.example",
		    " | email:boss@big.example" },
		{ NULL, SAN_UPN, "svc@lab.example", " | UPN:svc@lab.example" },
		{ NULL, SAN_URI, "https://lab.example/x",
		    " | URI:https://lab.example/x" },
		{ "My Service", SAN_DNS, NULL, "CN=My Service | " },
		/* Looks like a host, is allowed as a CN, is no SAN. */
		{ "alice.smith", SAN_DNS, NULL, "CN=alice.smith | " },
		{ "x@lab.example", SAN_DNS, NULL, "CN=x@lab.example | " },
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_for(&q, "Any");
		if (rows[i].cn != NULL)
			rdn(&q, "CN", rows[i].cn);
		if (rows[i].san != NULL)
			san(&q, rows[i].kind, rows[i].san);
		grants(&q, rows[i].out);
	}
	ask_for(&q, "Any");
	rdn(&q, "ST", "Bavaria");	/* the rule says S, as Windows does */
	rdn(&q, "O", "Lab");
	rdn(&q, "OU", "Anything");
	rdn(&q, "OU", "Anything");
	rdn(&q, "E", "x@lab.example");
	san(&q, SAN_DNS, "a.srv.example");
	san(&q, SAN_DNS, "A.SRV.example");
	grants(&q, "E=x@lab.example,OU=Anything,OU=Anything,O=Lab,"
	    "ST=Bavaria | DNS:a.srv.example");
}

static void
test_not_allowed(void **state)
{
	static const struct {
		enum san_kind	 kind;
		const char	*san, *words;
	} sans[] = {
		{ SAN_DNS, "lab.example", "dns name lab.example is not" },
		{ SAN_DNS, "xwww.lab.example", "xwww.lab.example" },
		{ SAN_DNS, "www.lab.example.evil.example", "evil" },
		{ SAN_DNS, "srv.example", "name rule: hosts" },
		{ SAN_DNS, "xsrv.example", "name rule: hosts" },
		{ SAN_DNS, ".srv.example", "is no dns name" },
		{ SAN_DNS, "a..srv.example", "is no dns name" },
		{ SAN_DNS, "www.lab.example.", "is no dns name" },
		{ SAN_DNS, "a/b.srv.example", "is no dns name" },
		{ SAN_DNS, "a_b.srv.example", "name rule: hosts" },
		{ SAN_DNS, "a.b_.srv.example", "name rule: hosts" },
		{ SAN_DNS, "*.*.srv.example", "is no dns name" },
		{ SAN_DNS, "a*.srv.example", "is no dns name" },
		{ SAN_DNS, "*", "is no dns name" },
		{ SAN_DNS, "*.lab.example", "not allowed" },
		{ SAN_DNS, "*.example", "is no dns name" },
		{ SAN_DNS, "10.1.0.1", "is no dns name" },
		{ SAN_DNS, "\xd0\xb0.srv.example", "is no dns name" },
		{ SAN_IP, "10.2.0.1", "ip address 10.2.0.1 is not" },
		{ SAN_IP, "2001:db9::1", "not allowed" },
		{ SAN_IP, "::ffff:10.1.0.1", "not allowed" },
		{ SAN_EMAIL, "x@sub.lab.example", "not allowed" },
		{ SAN_EMAIL, "x@big.example", "not allowed" },
		{ SAN_EMAIL, "lab.example", "is no e-mail" },
		{ SAN_UPN, "root@lab.example", "upn root@lab.example" },
		{ SAN_UPN, "svc@lab.example@x", "is no upn" },
		{ SAN_URI, "https://lab.example/xy", "not allowed" },
		{ SAN_DIRNAME, "3000", "never taken from a request" },
		{ SAN_RID, "8800", "never taken from a request" },
		{ SAN_GUID, "00", "never taken from a request" },
		{ SAN_OTHER, "a000", "never taken from a request" },
	};
	static const char *const	cns[] = {
		"Ada", "dc01.lab.example", "10.1.0.1", "my service", "*",
		"*.lab.example", "root@x.example"
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(sans) / sizeof(sans[0]); i++) {
		ask_for(&q, "Any");
		rdn(&q, "CN", "www.lab.example");
		san(&q, SAN_DNS, "ok.srv.example");
		san(&q, sans[i].kind, sans[i].san);
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, sans[i].words);
	}
	for (i = 0; i < sizeof(cns) / sizeof(cns[0]); i++) {
		ask_for(&q, "Any");
		rdn(&q, "CN", cns[i]);
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, cns[i]);
	}
	ask_for(&q, "Any");
	rdn(&q, "O", "Lab Inc");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "O Lab Inc is not allowed");
	ask_for(&q, "Any");
	rdn(&q, "1.2.3.4", "x");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "1.2.3.4 x");
	ask_for(&q, "Any");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "neither subject nor");
}

/* Rules count only for members, and only those the template lists. */
static void
test_rules_that_apply(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Web");
	rdn(&q, "CN", "a.plain.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "none that applies to "
	    "account ada");
	ask_for(&q, "Web");
	join(&q, "plain");
	rdn(&q, "CN", "a.plain.example");
	grants(&q, "CN=a.plain.example | DNS:a.plain.example");
	ask_for(&q, "Web");
	join(&q, "plain");
	san(&q, SAN_DNS, "x.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "name rule: plain");
	ask_for(&q, "Web");
	join(&q, "plain");
	join(&q, "nobody");
	san(&q, SAN_DNS, "x.example");
	san(&q, SAN_DNS, "y.plain.example");
	grants(&q, " | DNS:x.example, DNS:y.plain.example");
	ask_for(&q, "Web");
	join(&q, "plain");
	join(&q, "nobody");
	san(&q, SAN_DNS, "www.lab.example");	/* of rule "hosts" */
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "name rule: plain, others");
	ask_for(&q, "Web");
	join(&q, "plain");
	san(&q, SAN_DNS, "*.plain.example");	/* no wildcard = true */
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "*.plain.example");
}

/* cn = "*": any plain text, but nothing that a reader takes for a host. */
static void
test_any_cn(void **state)
{
	static const char *const	good[] = { "Printer 7", "Printer",
	    "Dr. M. Lab", "v1.2 of x:y", "\u5f20\u4f1f", " Printer" };
	static const char *const	bad[] = { "dc01.lab.example",
	    "192.0.2.1", "::1", "[::1]", "dc01.lab.example.", " dc01.lab.ex",
	    "dc01.lab.ex  ", "d*.lab.example", "*.*.example", "*",
	    "dc01.lab.example:443", "https://dc01", "dc01.lab_1.example",
	    ".lab.example", "\u0434.\u0440\u0444",
	    "\uff44\uff43\uff0e\uff4c\uff41", "dc01\u3002lab", "dc01\uff61lab",
	    "a@x.example", "a b@x.example", "a\uff20x" };
	struct ask	q;
	char		out[64];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ask_for(&q, "Web");
		join(&q, "plain");
		rdn(&q, "CN", good[i]);
		snprintf(out, sizeof(out), "CN=%s%s | ",
		    good[i][0] == ' ' ? "\\" : "", good[i]);
		grants(&q, out);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask_for(&q, "Web");
		join(&q, "plain");
		rdn(&q, "CN", bad[i]);
		denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, bad[i]);
	}
}

static void
test_many_names(void **state)
{
	struct ask	q;
	char		name[64];
	size_t		i;

	(void)state;
	ask_for(&q, "Any");
	rdn(&q, "CN", "www.lab.example");
	for (i = 0; i < NAME_SAN_MAX; i++) {
		snprintf(name, sizeof(name), "h%zu.srv.example", i);
		san(&q, SAN_DNS, name);
	}
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "more than 128");
	/* As many as public CAs take. */
	ask_for(&q, "Any");
	rdn(&q, "CN", "h0.srv.example");
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "h%zu.srv.example", i);
		san(&q, SAN_DNS, name);
	}
	assert_int_equal(decide_now(&q), 0);
	assert_int_equal(q.decision.names.nsan, 100);
	decision_free(&q.decision);
	names_free(&q.request.names);
	/* The last of many is judged like the first. */
	ask_for(&q, "Any");
	for (i = 0; i < NAME_SAN_MAX - 1; i++) {
		snprintf(name, sizeof(name), "h%zu.srv.example", i);
		san(&q, SAN_DNS, name);
	}
	san(&q, SAN_DNS, "last.evil.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "last.evil.example");
}

struct tally {
	struct buf	*seen;
	size_t		 calls;
};

static int
tally_one(const void *arg, const struct asked *a, struct err *err)
{
	struct tally *const	*t = arg;

	(void)err;
	(*t)->calls++;
	buf_printf((*t)->seen, "%s=%s;", asked_kind(a), a->text);
	return 0;
}

/* Once per distinct name, no name left out. */
static void
test_judged_once(void **state)
{
	struct buf	 seen = { NULL, 0, 0 };
	struct tally	 t = { &seen, 0 }, *tp = &t;
	struct names	 in, out;
	struct err	 err = ERR_INIT;

	(void)state;
	memset(&in, 0, sizeof(in));
	names_add_rdn(&in, "CN", "a.example");
	names_add_rdn(&in, "O", "a.example");
	names_add_rdn(&in, "CN", "a.example");
	names_add_san(&in, SAN_DNS, "b.example");
	names_add_san(&in, SAN_DNS, "B.example");
	names_add_san(&in, SAN_DNS, "c.example");
	names_add_san(&in, SAN_URI, "b.example");
	names_add_san(&in, SAN_EMAIL, "B@example");
	names_add_san(&in, SAN_EMAIL, "b@example");
	names_fold(&in, &out);
	assert_int_equal(names_judge(&out, tally_one, &tp, &err), 0);
	assert_int_equal(t.calls, 8);
	assert_string_equal(buf_str(&seen), "CN=a.example;O=a.example;"
	    "CN=a.example;dns name=b.example;dns name=c.example;uri=b.example;"
	    "e-mail address=B@example;e-mail address=b@example;");
	names_free(&in);
	names_free(&out);
	buf_free(&seen);
}

/* A folder of a directory stands in folders of its own. */
static void
test_deep_directory(void **state)
{
	static const char	deep[] = "CN=Ada,OU=Engineers,OU=Users,OU=Berlin,"
		    "OU=Germany,OU=EMEA,OU=Corp,DC=ad,DC=corp,DC=example";
	char			path[512], all[512];
	struct ask		q;
	size_t			i;

	(void)state;
	snprintf(all, sizeof(all), "%s | DNS:ada.lab.example, "
	    "UPN:ada@lab.example, email:ada@mail.example", deep);
	ask_for(&q, "Maybe");
	q.account.dn = str(deep);
	grants(&q, all);
	snprintf(path, sizeof(path), "%s", deep);
	for (i = 0; i < 20; i++)
		strcat(path, ",DC=x");
	/* OU=Users,OU=Berlin,OU=Users is not OU=Berlin,OU=Users. */
	ask_for(&q, "Any");
	rdn(&q, "OU", "Users");
	rdn(&q, "OU", "Berlin");
	rdn(&q, "OU", "Users");
	san(&q, SAN_DNS, "ok.srv.example");
	grants(&q, "OU=Users,OU=Berlin,OU=Users | DNS:ok.srv.example");
	ask_for(&q, "Maybe");
	q.account.dn = str(path);
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "more than 24 parts");
}

/* As of the template "Kerberos Authentication" of Active Directory. */
static void
test_domain(void **state)
{
	static const char *const none[] = {
		NULL, "CN=DC1", "CN=DC1,DC=lab", "CN=DC=lab,DC=exa mple", "CN"
	};
	struct ask	q;
	size_t		i;

	(void)state;
	assert_int_equal(policy_template_by_oid(policy, OIDS "12")->name_flags,
	    0x08400000);
	ask_for(&q, "Kdc");
	q.account.dn = str("CN=DC1,OU=Domain Controllers,DC=LAB,DC=example");
	grants(&q, " | DNS:ada.lab.example, DNS:lab.example");
	/* What is not at its end is not the domain's. */
	ask_for(&q, "Kdc");
	q.account.dn = str("CN=DC1,DC=bank,OU=x,DC=lab,DC=example");
	grants(&q, " | DNS:ada.lab.example, DNS:lab.example");
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ask_for(&q, "Kdc");
		q.account.dn = none[i] == NULL ? NULL : str(none[i]);
		denies(&q, CERTSRV_E_SUBJECT_DNS_REQUIRED, "ends in a domain");
	}
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_sid_uri),
		cmocka_unit_test(test_malformed_account),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_rules_that_apply),
		cmocka_unit_test(test_any_cn),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_judged_once),
		cmocka_unit_test(test_deep_directory),
		cmocka_unit_test(test_domain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
