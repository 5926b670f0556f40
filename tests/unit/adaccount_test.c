/* Directory accounts out of LDIF. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adaccount_fixture.h"
#include "ldif.h"

/* In octets, with the largest numbers, and as text. */
static void
sids(void **state)
{
	static const struct {
		const char	*line, *sid;
	} cases[] = {
		{ ":: AQUAAAAAAAUVAAAAAQAAAAABAAD/////UAQAAA==",
		    "S-1-5-21-1-256-4294967295-1104" },
		{ ":: AQEAAAAAAAUAAAAA", "S-1-5-0" },
		{ ": S-1-5-21-1-2-3-1104", "S-1-5-21-1-2-3-1104" },
		{ ":: AQUAAAAAAAUVAAAAAQAAAAABAAD/////UAQA", NULL },
		{ ":: AgEAAAAAAAUAAAAA", NULL }, { ":: AQAAAAAAAAU=", NULL },
		{ ":", NULL }, { ": S-1-5-", NULL }, { ":: AA==", NULL },
	};
	struct read	r;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "%sobjectSid%s\n", ALICE, cases[i].line);
		read_all(&r, buf_str(&b), NULL);
		assert_int_equal(r.rc, cases[i].sid == NULL ? -1 : 0);
		if (r.rc == 0)
			assert_string_equal(r.all.v[0].names[ACCT_SID],
			    cases[i].sid);
		read_free(&r);
	}
	buf_free(&b);
}

/* As Samba's ldbsearch writes them. */
static void
referrals(void **state)
{
	struct read	r;

	(void)state;
	read_all(&r, "# record 1\n" ALICE "\n# Referral\nref: ldap://corp.test/"
	    "CN=Configuration,DC=corp,DC=test\n\n" PC1 "\n# Referral\n"
	    "ref: ldap://corp.test/DC=x\n\n# returned 4 records\n", NULL);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.all.n, 2);
	read_free(&r);
	read_all(&r, "ref: ldap://corp.test/DC=x\ncn: x\n", NULL);
	assert_int_equal(r.rc, -1);
	read_free(&r);
}

static void
first_cns(void **state)
{
	static const struct {
		const char	*dn, *cn;
	} cases[] = {
		{ "CN=Sales,OU=x,DC=y", "Sales" }, { "cn=a", "a" },
		{ "CN=Sales\\, EMEA,OU=x", "Sales, EMEA" },
		{ "CN=M\\C3\\BCller,OU=x", "M\303\274ller" },
		{ "CN=a\\\\,OU=x", "a\\" }, { "CN=a\\2Cb", "a,b" },
		{ "OU=x,DC=y", NULL }, { "CN=", NULL }, { "CN=,OU=x", NULL },
		{ "CN=a\\", NULL }, { "CN=a+OU=b,DC=y", NULL },
		{ "CN=\\C3,OU=x", NULL }, { "CN=x\\0ACNF:1,DC=y", NULL },
		{ "", NULL },
	};
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		assert_int_equal(ad_first_cn(cases[i].dn, &b),
		    cases[i].cn != NULL);
		if (cases[i].cn != NULL)
			assert_string_equal(buf_str(&b), cases[i].cn);
	}
	buf_free(&b);
}

/* Only what the directory has put there, not what is in a name. */
static void
domains(void **state)
{
	static const struct {
		const char	*dn, *domain;
	} cases[] = {
		{ "CN=PC1,OU=Staff,DC=corp,DC=test", "corp.test" },
		{ "cn=PC1,dc=Corp,dc=test", "Corp.test" },
		{ "CN=x\\,DC=evil,OU=Staff,DC=corp,DC=test", "corp.test" },
		{ "CN=x\\,DC=evil,DC=corp,DC=test", "corp.test" },
		{ "CN=x\\\\,DC=corp,DC=test", "corp.test" },
		{ "DC=corp,DC=test", "corp.test" }, { "DC=test", "test" },
		{ "CN=x", "" }, { "CN=x,DC=corp,O=test", "" }, { "", "" },
		{ ",", "" }, { "DC=a,", "" }, { "DC=a\\,b", "" },
		{ "DC=a\\,b,DC=test", "test" }, { "DC=,DC=b", "b" },
		{ "\\", "" }, { "DC=\\", "" },
	};
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		ad_domain(cases[i].dn, &b);
		assert_string_equal(buf_str(&b), cases[i].domain);
	}
	buf_free(&b);
}

static void
one_of_each(void **state)
{
	struct read		 r;
	const struct adaccount	*a;

	(void)state;
	read_all(&r, "\xef\xbb\xbf# by hand\nversion: 1\n\n" ALICE
	    "userPrincipalName: alice@corp.test\nmail:: YUBjb3JwLnRlc3Q=\n"
	    "objectSid:: AQUAAAAAAAUVAAAAAQAAAAABAAD/////UAQAAA==\n"
	    "memberOf: CN=Web\\2c Admins,OU=Groups,DC=corp,DC=test\n"
	    "memberOf: CN=VPN,OU=Gro\n ups,DC=corp,DC=test\n"
	    "primaryGroupID: 513\nthumbnailPhoto:: AAAA\n\n\n"
	    "dn: OU=Staff,DC=corp,DC=test\nobjectClass: organizationalUnit\n"
	    "\n" PC1 "primaryGroupID: 515\n",
	    "Web,_Admins=web Domain_Computers=machines other");
	assert_string_equal(r.err.text, "");
	assert_int_equal(r.all.n, 2);
	assert_int_equal(r.all.others, 1);
	a = &r.all.v[0];
	assert_string_equal(a->name, "alice@corp.test");
	assert_string_equal(a->names[ACCT_SID],
	    "S-1-5-21-1-256-4294967295-1104");
	assert_string_equal(a->names[ACCT_EMAIL], "a@corp.test");
	assert_string_equal(a->names[ACCT_DN],
	    "CN=Alice,OU=Staff,DC=corp,DC=test");
	assert_false(a->machine || a->off);
	assert_true(adaccount_in(a, 0));
	assert_false(adaccount_in(a, 1));
	a = &r.all.v[1];
	assert_string_equal(a->name, "pc1$@corp.test");
	assert_string_equal(a->names[ACCT_DNS], "PC1.corp.test");
	assert_true(a->machine && adaccount_in(a, 1));
	assert_int_equal(r.all.left.n, 2);
	assert_string_equal(r.all.left.v[0], "Domain Users");
	assert_string_equal(r.all.left.v[1], "VPN");
	read_free(&r);
}

/* [MS-ADTS] 2.2.16; a trust between domains is nobody's account. */
static void
account_control(void **state)
{
	static const struct {
		const char	*uac;
		int		 n;
		bool		 off;
	} cases[] = {
		{ "512", 1, false }, { "514", 1, true }, { "66050", 1, true },
		{ "-2147483646", 1, true }, { "2080", 0, false },
	};
	struct read	r;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "%s\ndn: CN=x\nobjectClass: user\n"
		    "sAMAccountName: x\nuserAccountControl: %s\n", ALICE,
		    cases[i].uac);
		read_all(&r, buf_str(&b), NULL);
		assert_int_equal(r.all.n, 1 + cases[i].n);
		if (cases[i].n == 1)
			assert_int_equal(r.all.v[1].off, cases[i].off);
		read_free(&r);
	}
	buf_free(&b);
}

/* [MS-ADA1] 2.1; who can no longer log on there cannot here. */
static void
account_expires(void **state)
{
	static const struct {
		const char	*when;
		bool		 off;
	} cases[] = {
		{ "0", false }, { "9223372036854775807", false },
		{ "9223372036854775806", false },
		{ "134444735999999999", true }, { "134444736000000000", true },
		{ "134444736010000000", false },
		{ "1", true }, { "-1", true },
		{ "-9223372036854775808", true },
	};
	struct read	r;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, ALICE "accountExpires: %s\n", cases[i].when);
		read_all(&r, buf_str(&b), NULL);
		assert_string_equal(r.err.text, "");
		assert_int_equal(r.all.v[0].off, cases[i].off);
		read_free(&r);
	}
	buf_free(&b);
}

/* What would be another principal, or has a name that none can have here. */
static void
refused(void **state)
{
	static const struct {
		const char	*class, *sam, *why;
	} cases[] = {
		{ "user", "DOM\\alice", "backslash" },
		{ "user", "alice@corp.test", "\"@\"" },
		{ "user", "pc1$", "only a computer" },
		{ "user\nobjectClass: computer", "administrator", "ends" },
		{ "user", "two words", "0x20" }, { "user", ".x", "dot" },
	};
	struct read	r;
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "dn: CN=x\nobjectClass: %s\n"
		    "sAMAccountName: %s\nuserAccountControl: 512\n",
		    cases[i].class, cases[i].sam);
		read_all(&r, buf_str(&b), NULL);
		assert_int_equal(r.rc, 0);
		assert_non_null(r.all.v[0].refused);
		assert_non_null(strstr(r.all.v[0].refused, cases[i].why));
		read_free(&r);
	}
	buf_free(&b);
}

/* Where no account may be called so, but the directory has a SID. */
static void
by_sid(void **state)
{
	static const char text[] = "dn: OU=x\nobjectClass: user\n"
	    "sAMAccountName:: w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDp"
	    "MOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw"
	    "6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpA==\n"
	    "userAccountControl: 512\nobjectSid: S-1-5-21-1-2-3-4\n";
	const struct adaccount	*a;
	struct read		 r;

	(void)state;
	read_all(&r, text, NULL);
	a = &r.all.v[0];
	assert_string_equal(r.err.text, "");
	assert_null(a->refused);
	assert_string_equal(a->name, "s-1-5-21-1-2-3-4@corp.test");
	assert_int_equal(strlen(a->called), 130 + sizeof("@corp.test") - 1);
	assert_non_null(strstr(a->notes, "called by its SID: \xc3\xa4"));
	/* 65 letters, which is one too many. */
	assert_string_equal(a->names[ACCT_CN], a->name);
	read_free(&r);
	read_all(&r, "dn: OU=x\nobjectClass: user\nsAMAccountName: a b\n"
	    "userAccountControl: 512\nobjectSid: S-1-5-21-1-2-3-4\n", NULL);
	assert_string_equal(r.all.v[0].names[ACCT_CN], "a b");
	read_free(&r);
}

static void
no_export(void **state)
{
	static const struct {
		const char	*text, *why;
	} cases[] = {
		{ "", "no users" }, { "\n\n# x\n", "no users" },
		{ "\xff\xfe""d\0", "UTF-16" },
		{ "version: 2\n\n" ALICE, "line 1: not version 1" },
		{ ALICE "cn: Again\n", "line 7: cn: stands twice" },
		{ ALICE "CN:: QQ==\n", "line 7: CN: stands twice" },
		{ ALICE "userAccountControl: 512\n", "line 7: " },
		{ ALICE "objectSid:: AAAA\n", "line 7: objectSid" },
		{ ALICE "objectSid: S-1-5-1\nobjectSid: S-1-5-1\n", "line 8:" },
		{ ALICE "mail:: %%\n", "line 7: base64" },
		{ ALICE "mail:< file:///etc/passwd\n", "another file" },
		{ ALICE "mail a@b.test\n", "line 7: neither" },
		{ ALICE "-\n", "line 7: neither" },
		{ ALICE "title: a\n x\n y\nmail b\n", "line 10: neither" },
		{ ALICE "changetype: modify\n", "line 7: changes" },
		{ ALICE "control: 1.2.3\n", "line 7: a control" },
		{ ALICE "memberOf;range=0-1: CN=x\n", "with options" },
		{ ALICE "mail:: AA==\nmail: a@b.test\n", "stands twice" },
		{ ALICE "sAMAccountName:: AA==\n", "line 7: sAM" },
		{ ALICE "primaryGroupID: 0x201\n", "not a number" },
		{ ALICE PC1, "line 7: a second dn" },
		{ ALICE "\n" ALICE, "lines 1 and 8: both" },
		{ "cn: x\n", "line 1: an attribute before" },
		{ ALICE "\nsearch: 2\nresult: 0 Success\n", "-LLL" },
		{ "dn: CN=x\ncn: x\n", "line 1: the entry has no objectClass" },
		{ "\ndn: CN=x\nobjectClass: user\nuserAccountControl: 2\n",
		    "line 2: the entry has no sAMAccountName" },
		{ "dn: CN=x\nobjectClass: user\nsAMAccountName: x\n",
		    "no userAccountControl" },
		{ GROUP("a", "8", "") ALICE "\n" GROUP("A", "8", ""),
		    "lines 1 and 12: both groups have the DN CN=" },
		{ GROUP("a", "8", "objectSid: S-1-5-1\n") ALICE "\n"
		    GROUP("b", "8", "objectSid: S-1-5-1\n"),
		    "lines 1 and 13: both groups have the SID S-1-5-1" },
		{ ALICE "\n" GROUP("a", "8", "groupType: 8\n"),
		    "line 11: groupType: stands twice" },
	};
	struct read	r;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_all(&r, cases[i].text, "web");
		if (r.rc != -1 || strstr(r.err.text, cases[i].why) == NULL)
			fail_msg("%zu: %s, not %s", i, r.err.text,
			    cases[i].why);
		read_free(&r);
	}
}

/* Who makes a group in a folder of his own is not let in by its name. */
static void
groups_by_dn(void **state)
{
	struct read	r;
	struct err	err = ERR_INIT;
	struct adgroups	g = { 0 };

	(void)state;
	read_all(&r, ALICE "memberOf: CN=web,OU=evil,DC=x\n"
	    "memberOf: CN=Domain Computers,OU=evil,DC=x\n"
	    "memberOf: CN=CN\\=web\\,OU\\=good\\,DC\\=x,OU=evil,DC=x\n\n" PC1
	    "memberOf: cn=Web,ou=good,dc=x\n"
	    "memberOf: CN=Domain Computers,CN=Users,DC=x\n",
	    "CN=web,OU=good,DC=x=web Domain_Computers=machines");
	assert_int_equal(r.rc, 0);
	assert_false(adaccount_in(&r.all.v[0], 0));
	assert_false(adaccount_in(&r.all.v[0], 1));
	assert_true(adaccount_in(&r.all.v[1], 0));
	assert_true(adaccount_in(&r.all.v[1], 1));
	assert_int_equal(r.all.left.n, 3);
	read_free(&r);
	assert_int_equal(adgroups_add(&g, "CN=web,OU=good,DC=x", &err), -1);
	assert_non_null(strstr(err.text, "=NAME"));
	adgroups_free(&g);
}

/* As many as a policy of hundreds of templates names, and not one more. */
static void
many_groups(void **state)
{
	struct buf	 spec = { 0 };
	struct read	 r;
	struct err	 err = ERR_INIT;
	size_t		 i;

	(void)state;
	for (i = 0; i < ADGROUP_MAX; i++)
		buf_printf(&spec, "%sg%zu=%s%zu", i == 0 ? "" : " ",
		    i % 512, i < 512 ? "one" : "two", i % 512);
	read_all(&r, ALICE "memberOf: CN=G7,OU=a,DC=x\n"
	    "memberOf: CN=g511,OU=a,DC=x\nmemberOf: CN=g512,OU=a,DC=x\n",
	    buf_str(&spec));
	assert_string_equal(r.err.text, "");
	for (i = 0; i < ADGROUP_MAX; i++)
		assert_int_equal(adaccount_in(&r.all.v[0], i),
		    i % 512 == 7 || i % 512 == 511);
	assert_int_equal(adgroups_add(&r.groups, "g7=one7", &err), 0);
	assert_int_equal(adgroups_add(&r.groups, "g7=three", &err), -1);
	assert_string_equal(err.text, "more than 1024 groups");
	read_free(&r);
	buf_free(&spec);
}

/* Of two groups of one CN nobody can say which counts. */
static void
torn(void **state)
{
	struct read	r;

	(void)state;
	read_all(&r, ALICE "memberOf: CN=web,OU=a,DC=x\n"
	    "memberOf: CN=WEB,OU=b,DC=x\n", "web vpn");
	assert_string_equal(r.err.text, "");
	assert_string_equal(r.groups.v[0].seen, "CN=web,OU=a,DC=x");
	assert_string_equal(r.groups.v[0].torn, "CN=WEB,OU=b,DC=x");
	assert_null(r.groups.v[1].torn);
	read_free(&r);
	read_all(&r, ALICE "memberOf: CN=a,DC=x\n\n" GROUP("a", "-2147483646",
	    "memberOf: CN=web,OU=a,DC=x\nmemberOf: CN=web,OU=b,DC=x\n"),
	    "web");
	assert_string_equal(r.err.text, "");
	assert_string_equal(r.groups.v[0].torn, "CN=web,OU=b,DC=x");
	read_free(&r);
}

/* It counts, too, where nobody is left in the one that is meant. */
static void
torn_by_an_empty_one(void **state)
{
	static const struct {
		const char	*dn, *type;
		bool		 torn;
	} cases[] = {
		{ "web,OU=a,DC=x", "-2147483646", true },
		{ "web,OU=b,DC=x", "-2147483646", false },
		{ "web,OU=a,DC=x", "2", false },
		{ "web,CN=Builtin,DC=x", "-2147483643", false },
	};
	struct buf	text = { 0 };
	struct read	r;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&text);
		buf_printf(&text, ALICE "memberOf: CN=web,OU=b,DC=x\n\n"
		    "dn: CN=%s\nobjectClass: group\ngroupType: %s\n",
		    cases[i].dn, cases[i].type);
		read_all(&r, buf_str(&text), "web");
		assert_string_equal(r.err.text, "");
		assert_int_equal(r.groups.v[0].torn != NULL, cases[i].torn);
		read_free(&r);
	}
	buf_free(&text);
}

/* Rings end, and what is not there is not looked for. */
static void
groups_in_groups(void **state)
{
	static const struct {
		const char	*groups;
		bool		 in;
	} cases[] = {
		{ GROUP("a", "-2147483646", "memberOf: CN=web,DC=x\n"), true },
		{ GROUP("a", "-2147483646", "memberOf: CN=b,DC=x\n")
		    GROUP("B", "-2147483640", "memberOf: CN=A,DC=x\n"
		    "memberOf: CN=c,DC=x\nmemberOf: CN=web,OU=y,DC=x\n"),
		    true },
		{ GROUP("a", "2", "memberOf: CN=web,DC=x\n"), false },
		{ GROUP("a", "-2147483646", "memberOf: CN=b,DC=x\n")
		    GROUP("b", "2", "memberOf: CN=web,DC=x\n"), false },
		{ GROUP("a", "-2147483646", "memberOf: CN=web,DC=x\n")
		    GROUP("web", "8", ""), false },
		{ GROUP("a", "-2147483646",
		    "memberOf: CN=web,CN=Builtin,DC=x\n"), false },
		{ GROUP("a", "-2147483646",
		    "memberOf: CN=x\\,CN=Builtin\\,DC=y,DC=x\n")
		    GROUP("x\\,CN=Builtin\\,DC=y", "-2147483646",
		    "memberOf: CN=web,DC=x\n"), true },
		{ GROUP("b", "-2147483646", "memberOf: CN=web,DC=x\n"),
		    false },
		{ GROUP("p", "-2147483646", "objectSid: S-1-5-21-1-2-3-700\n"
		    "memberOf: CN=web,DC=x\n"), true },
		{ GROUP("p", "-2147483646", "objectSid: S-1-5-21-1-2-4-700\n"
		    "memberOf: CN=web,DC=x\n"), false },
		{ "", false },
	};
	struct read	r;
	struct buf	b = { 0 };
	size_t		i, before;

	(void)state;
	for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		before = i % 2;		/* groups, or accounts? */
		buf_reset(&b);
		buf_printf(&b, "%s%smemberOf: CN=a,DC=x\n"
		    "objectSid: S-1-5-21-1-2-3-1104\nprimaryGroupID: 700\n\n%s",
		    before ? cases[i / 2].groups : "", ALICE,
		    before ? "" : cases[i / 2].groups);
		read_all(&r, buf_str(&b), "web");
		assert_string_equal(r.err.text, "");
		assert_int_equal(adaccount_in(&r.all.v[0], 0), cases[i / 2].in);
		assert_int_equal(r.all.others, 0);
		read_free(&r);
	}
	buf_free(&b);
}

/* Whatever its owner wrote there. */
static void
hosts(void **state)
{
	static const struct {
		const char	*sam, *dns;
		bool		 own;
	} cases[] = {
		{ "PC1$", "pc1.corp.test", true },
		{ "LAB_PC1$", "lab_pc1.corp.test", true },
		{ "PC1$", "PC1.other.test", true },
		{ "PC1$", "PC1.COrp.test", true },
		{ "WWW$", "www.example.test", false },
		{ "WWW$", "www.sub.corp.test", false },
		{ "WWW$", "www.test", false },
		{ "EVIL$", "dc1.corp.test", false },
		{ "DC1$X$", "dc1.corp.test", false },
		{ "DC1$$", "dc1.corp.test", false },
		{ "PC1$", "pc12.corp.test", false },
		{ "PC12$", "pc1.corp.test", false },
		{ "ABCDEFGHIJKLMNO$", "abcdefghijklmnopq.corp.test", true },
		{ "ABCDEFGHIJKLMNO$", "abcdefghijklmn.corp.test", false },
		{ "PC1$", "pc1", false },
	};
	struct buf	b = { 0 };
	struct read	r;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "dn: OU=x,DC=corp,DC=test\nobjectClass: user\n"
		    "objectClass: computer\nsAMAccountName: %s\n"
		    "dNSHostName: %s\nuserAccountControl: 4096\n",
		    cases[i].sam, cases[i].dns);
		read_all(&r, buf_str(&b), NULL);
		assert_int_equal(r.rc, 0);
		assert_int_equal(r.all.v[0].names[ACCT_DNS] != NULL,
		    cases[i].own);
		assert_int_equal(r.all.v[0].notes == NULL, cases[i].own);
		read_free(&r);
	}
	buf_free(&b);
}

/* The CN is its maker's choice, too: DC1 in another folder than the DC's. */
static void
cns_of_computers(void **state)
{
	static const struct {
		const char	*sam, *cn;
		bool		 own;
	} cases[] = {
		{ "PC1$", "PC1", true }, { "PC1$", "pc1", true },
		{ "PC1$", "PC1$", true }, { "PC1$", "pc1.corp.test", true },
		{ "PC1$", "pc1.other.test", true },
		{ "ABCDEFGHIJKLMNO$", "ABCDEFGHIJKLMNOPQ", true },
		{ "EVIL$", "DC1", false }, { "EVIL$", "dc1.corp.test", false },
		{ "WWW$", "www.example.org", false },
		{ "DC1$X$", "DC1", false }, { "EVIL$", "alice", false },
		{ "EVIL$", "EVIL DC1", false }, { "PC1$", "PC", false },
	};
	const struct adaccount	*a;
	struct buf	b = { 0 };
	struct read	r;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "dn: CN=%s,DC=corp,DC=test\nobjectClass: user\n"
		    "objectClass: computer\nsAMAccountName: %s\ncn: %s\n"
		    "displayName: %s\nuserAccountControl: 4096\n",
		    cases[i].cn, cases[i].sam, cases[i].cn, cases[i].cn);
		read_all(&r, buf_str(&b), NULL);
		assert_int_equal(r.rc, 0);
		a = &r.all.v[0];
		assert_string_equal(a->names[ACCT_CN], cases[i].own ?
		    cases[i].cn : cases[i].sam);
		assert_int_equal(a->names[ACCT_DN] != NULL, cases[i].own);
		assert_int_equal(a->notes == NULL, cases[i].own);
		/* What it was called by an older import goes, too. */
		assert_true(r.all.seen[ACCT_CN] && r.all.seen[ACCT_DN]);
		read_free(&r);
	}
	buf_free(&b);
}

/* Directories take any character: such a name is left out, not the file. */
static void
odd_names(void **state)
{
	struct read		 r;
	const struct adaccount	*a;

	(void)state;
	/* "x", a line break, "CNF:1": two controllers made one at once. */
	read_all(&r, "dn: CN=x\\0ACNF:1,DC=corp,DC=test\nobjectClass: user\n"
	    "cn:: eApDTkY6MQ==\ndisplayName: Mr X\nmail:: AA==\n"
	    "userPrincipalName:\nsAMAccountName: x\n"
	    "userAccountControl: 512\n\n" ALICE, NULL);
	assert_string_equal(r.err.text, "");
	assert_int_equal(r.all.n, 2);
	a = &r.all.v[1];
	assert_string_equal(a->name, "x@corp.test");
	assert_string_equal(a->names[ACCT_CN], "Mr X");
	assert_null(a->names[ACCT_EMAIL]);
	assert_string_equal(a->notes, "upn is left out: no text\n"
	    "email is left out: no text\n"
	    "dn is left out: CN=x\\0ACNF:1,DC=corp,DC=test\n"
	    "cn is left out: no text");
	read_free(&r);
	/* Of a computer and a group that anybody made: U+007F in each name. */
	read_all(&r, "dn:: Q049eH8sREM9Y29ycA==\nobjectClass: user\n"
	    "sAMAccountName: y\nuserAccountControl: 512\n"
	    "dNSHostName: y.example.test\n\ndn: CN=z\n"
	    "objectClass: user\nsAMAccountName:: en8=\ndNSHostName: z.test\n"
	    "userAccountControl: 512\n\ndn:: Q049d2Vifw==\n"
	    "objectClass: group\ngroupType: -2147483646\n\n" ALICE
	    "memberOf:: Q049d2Vifw==\nmemberOf: CN=web,DC=corp\n", "web");
	assert_string_equal(r.err.text, "");
	assert_int_equal(r.all.n, 3);
	assert_string_equal(r.all.v[0].name, "(line 7)@corp.test");
	assert_string_equal(r.all.v[0].refused, "sAMAccountName: no text");
	assert_true(adaccount_in(&r.all.v[1], 0));
	assert_string_equal(r.all.left.v[0], "(a name that is no text)");
	/* Nor does it hide the domain. */
	assert_string_equal(r.all.v[2].notes, "dns is left out: its domain is "
	    "not the computer's (--domain): y.example.test\n"
	    "dn is left out: no text");
	read_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sids),
		cmocka_unit_test(referrals),
		cmocka_unit_test(first_cns),
		cmocka_unit_test(domains),
		cmocka_unit_test(one_of_each),
		cmocka_unit_test(account_control),
		cmocka_unit_test(account_expires),
		cmocka_unit_test(refused),
		cmocka_unit_test(by_sid),
		cmocka_unit_test(no_export),
		cmocka_unit_test(groups_by_dn),
		cmocka_unit_test(many_groups),
		cmocka_unit_test(torn),
		cmocka_unit_test(torn_by_an_empty_one),
		cmocka_unit_test(groups_in_groups),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(hosts),
		cmocka_unit_test(cns_of_computers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
