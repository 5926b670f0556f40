/* What an import makes of directory accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adaccount_fixture.h"

static const struct adchange *
change_of(const struct adplan *p, const char *name)
{
	size_t	i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, name) == 0)
			return &p->v[i];
	fail();
	return NULL;
}

static void
plan_of(struct read *r, struct adplan *p, const char *text,
    const struct held *held, size_t n, bool take_over)
{
	const struct adplan_rules	rules = { .realm = "corp.test",
					    .take_over = take_over,
					    .replace = take_over,
					    .absent = true };

	read_all(r, text, "web vpn");
	assert_string_equal(r->err.text, "");
	assert_int_equal(adplan_make(p, &r->all, &r->groups, held, n, &rules,
	    &r->err), 0);
}

static void
expect(const struct adplan *p, const char *name, const char *outcome,
    const char *text)
{
	const struct adchange	*c = change_of(p, name);
	struct buf		 b = { 0 };

	assert_string_equal(adchange_outcome(c), outcome);
	adchange_text(c, &b);
	assert_string_equal(buf_str(&b), text);
	buf_free(&b);
}

/* What an operator said last of it stands. */
static void
words_of_operators(void **state)
{
	static const struct held held[] = {
		{ .name = "alice@corp.test", .groups = "-vpn\n+local\n*old",
		    .names = { [ACCT_CN] = "Al" }, .disabled = true },
		{ .name = "gone@corp.test", .groups = "", .imported = true,
		    .names = { [ACCT_CN] = "x" } },
		{ .name = "hand@corp.test", .groups = "",
		    .names = { [ACCT_CN] = "x" } },
		{ .name = "pc@corp.test", .groups = "", .imported = true,
		    .names = { [ACCT_CN] = "x" }, .machine = true },
	};
	static const char text[] = ALICE
	    "memberOf: CN=web,DC=x\nmemberOf: CN=VPN,DC=x\n";
	const struct adchange	*c;
	struct adplan		 p;
	struct read		 r;

	(void)state;
	plan_of(&r, &p, text, held, 4, false);
	expect(&p, "alice@corp.test", "changed", "+web\n-old");
	c = change_of(&p, "alice@corp.test");
	assert_non_null(strstr((char *)c->notes.p, "stays disabled"));
	assert_non_null(strstr((char *)c->notes.p, "stays out of group vpn"));
	assert_non_null(strstr((char *)c->notes.p, "cn is another"));
	expect(&p, "gone@corp.test", "disabled", "");
	assert_true(adchange_quiet(change_of(&p, "hand@corp.test")));
	/* The file has no computers at all. */
	assert_true(adchange_quiet(change_of(&p, "pc@corp.test")));
	assert_int_equal(p.absent, 1);
	adplan_free(&p);
	read_free(&r);
	plan_of(&r, &p, text, held, 4, true);
	expect(&p, "alice@corp.test", "changed", "cn: Al -> Alice\n"
	    "dn: - -> CN=Alice,OU=Staff,DC=corp,DC=test\n+web\n+vpn\n-old");
	adplan_free(&p);
	read_free(&r);
}

#define PERSON(cn, upn) \
	"dn: CN=" cn "\nobjectClass: user\nsAMAccountName: " cn "\n" \
	"userAccountControl: 512\nuserPrincipalName: " upn "@corp.test\n"
#define HELD(n, u) \
	{ .name = n "@corp.test", .groups = "", .imported = true, \
	    .names_by_import = true, .names = { [ACCT_CN] = n, \
	    [ACCT_UPN] = u "@corp.test", [ACCT_DN] = "CN=" n } }

/* Two may change places; who wants what another keeps is left as it is. */
static void
names_that_change_hands(void **state)
{
	static const struct held held[] = {
		HELD("a", "one"), HELD("b", "two"), HELD("c", "three"),
		HELD("d", "four"), HELD("e", "five"),
	};
	struct adplan	p;
	struct read	r;

	(void)state;
	plan_of(&r, &p, PERSON("a", "two") "\n" PERSON("b", "one"), held, 2,
	    false);
	expect(&p, "a@corp.test", "changed",
	    "upn: one@corp.test -> two@corp.test");
	expect(&p, "b@corp.test", "changed",
	    "upn: two@corp.test -> one@corp.test");
	adplan_free(&p);
	read_free(&r);
	/* c wants d's, d wants e's, and e keeps it: nobody gets anything. */
	plan_of(&r, &p, PERSON("c", "four") "\n" PERSON("d", "FIVE") "\n"
	    PERSON("e", "five") "mail: m@corp.test\n\n" PERSON("f", "six")
	    "mail: M@corp.test\n\n" PERSON("g", "seven") "\n"
	    PERSON("h", "seven"), held, 5, false);
	expect(&p, "c@corp.test", "conflict", "");
	expect(&p, "d@corp.test", "conflict", "");
	assert_string_equal(change_of(&p, "d@corp.test")->why,
	    "its upn is that of e@corp.test, too");
	/* An address that two have is no reason to leave anybody out. */
	expect(&p, "e@corp.test", "kept", "");
	expect(&p, "f@corp.test", "added", "");
	assert_null(change_of(&p, "f@corp.test")->names[ACCT_EMAIL]);
	expect(&p, "g@corp.test", "conflict", "");
	expect(&p, "h@corp.test", "conflict", "");
	adplan_free(&p);
	read_free(&r);
}

/* Without a UPN of his own a principal has name@realm: nobody else gets it. */
static void
names_as_upns(void **state)
{
	static const struct held held[] = {
		{ .name = "hand@corp.test", .groups = "",
		    .names = { [ACCT_CN] = "x" } },
		HELD("m", "five"),
	}, bare[] = {
		{ .name = "gone", .groups = "", .imported = true,
		    .names = { [ACCT_CN] = "x",
		    [ACCT_DN] = "CN=x,DC=corp,DC=test" } },
		{ .name = "hand", .groups = "", .names = { [ACCT_CN] = "x",
		    [ACCT_DN] = "CN=x,DC=corp,DC=test" } },
	};
	struct adplan	p;
	struct read	r;

	(void)state;
	plan_of(&r, &p, ALICE "\n" PERSON("k", "ALICE") "\n"
	    PERSON("l", "hand") "\n" PERSON("m", "alice") "\n"
	    PERSON("n", "n"), held, 2, false);
	expect(&p, "alice@corp.test", "added", "");
	expect(&p, "k@corp.test", "conflict", "");
	assert_string_equal(change_of(&p, "k@corp.test")->why,
	    "its upn is that of alice@corp.test, too");
	expect(&p, "l@corp.test", "conflict", "");
	expect(&p, "m@corp.test", "conflict", "");
	expect(&p, "n@corp.test", "added", "");
	adplan_free(&p);
	read_free(&r);
	/* The same where names have no realm: the domain is that of the DN. */
	read_of(&r, ALICE "\n" PERSON("k", "ALICE") "\n" PERSON("l", "gone")
	    "\n" PERSON("m", "hand") "\n" PERSON("n", "n"), NULL, NULL);
	assert_int_equal(adplan_make(&p, &r.all, &r.groups, bare, 2,
	    &(struct adplan_rules){ .realm = NULL }, &r.err), 0);
	expect(&p, "alice", "added", "");
	expect(&p, "k", "conflict", "");
	assert_string_equal(change_of(&p, "k")->why,
	    "its upn is that of alice, too");
	expect(&p, "l", "conflict", "");
	expect(&p, "m", "added", "");
	expect(&p, "n", "added", "");
	adplan_free(&p);
	read_free(&r);
}

static void
other_principals(void **state)
{
	static const struct held held[] = {
		{ .name = "a@corp.test", .groups = "", .machine = true,
		    .names = { [ACCT_CN] = "a" } },
		{ .name = "b@corp.test", .groups = "*web",
		    .names = { [ACCT_CN] = "b", [ACCT_SID] = "S-1-5-9" } },
		{ .name = "c@corp.test", .groups = "", .one_time = true,
		    .names = { [ACCT_CN] = "c" } },
		{ .name = "d@corp.test", .groups = "*web", .imported = true,
		    .names_by_import = true,
		    .names = { [ACCT_CN] = "d", [ACCT_UPN] = "d@corp.test",
		    [ACCT_DN] = "CN=d", [ACCT_SID] = "S-1-5-8" } },
	};
	struct adplan	p;
	struct read	r;

	(void)state;
	plan_of(&r, &p, PERSON("a", "a") "\n" PERSON("b", "b")
	    "objectSid: S-1-5-10\n\n" PERSON("c", "c") "\n"
	    PERSON("d", "d") "memberOf: CN=web,DC=x\n", held, 4, false);
	expect(&p, "a@corp.test", "conflict", "");
	expect(&p, "b@corp.test", "conflict", "");
	expect(&p, "c@corp.test", "conflict", "");
	/* A sid that the file does not have is no other one. */
	assert_true(adchange_quiet(change_of(&p, "d@corp.test")));
	adplan_free(&p);
	read_free(&r);
}

/* What the old ones had, certificates and groups, the new ones do not get. */
static void
replaced(void **state)
{
	static const struct held held[] = {
		{ .name = "a@corp.test", .groups = "*vpn\n+web\n+local\n-x",
		    .imported = true, .names = { [ACCT_CN] = "a",
		    [ACCT_SID] = "S-1-5-1" } },
		{ .name = "old@corp.test", .groups = "*vpn\n+local",
		    .imported = true, .names = { [ACCT_CN] = "old",
		    [ACCT_UPN] = "old@corp.test", [ACCT_SID] = "S-1-5-2" } },
		{ .name = "yours@corp.test", .groups = "",
		    .names = { [ACCT_CN] = "y", [ACCT_SID] = "S-1-5-3" } },
	};
	static const char text[] = PERSON("a", "a")
	    "objectSid: S-1-5-9\nmemberOf: CN=web,DC=x\n\n"
	    PERSON("new", "old") "objectSid: S-1-5-2\n\n"
	    PERSON("yours", "y") "objectSid: S-1-5-4\n";
	struct adplan	p;
	struct read	r;

	(void)state;
	plan_of(&r, &p, text, held, 3, true);
	expect(&p, "a@corp.test", "replaced", "upn: - -> a@corp.test\n"
	    "dn: - -> CN=a\nsid: S-1-5-1 -> S-1-5-9\n-vpn\n-local");
	expect(&p, "old@corp.test", "replaced", "upn: old@corp.test -> -\n"
	    "sid: S-1-5-2 -> -\n-vpn\n-local\ndisabled");
	expect(&p, "new@corp.test", "added", "");
	/* Only what an import has made. */
	expect(&p, "yours@corp.test", "conflict", "");
	assert_int_equal(p.absent, 0);
	adplan_free(&p);
	read_free(&r);
	/* The one of before is gone, whoever has the name now. */
	plan_of(&r, &p, text, held, 3, false);
	expect(&p, "a@corp.test", "conflict", "disabled");
	expect(&p, "old@corp.test", "disabled", "");
	expect(&p, "new@corp.test", "conflict", "");
	expect(&p, "yours@corp.test", "conflict", "");
	assert_int_equal(p.absent, 2);
	adplan_free(&p);
	read_free(&r);
}

/* Whoever makes a second group of one name stops no more than that group. */
static void
groups_unclear(void **state)
{
	static const struct held held[] = {
		{ .name = "a@corp.test", .groups = "*web\n*vpn",
		    .imported = true, .names = { [ACCT_CN] = "a",
		    [ACCT_UPN] = "a@corp.test" } },
		{ .name = "b@corp.test", .groups = "*web\n*old",
		    .imported = true, .names = { [ACCT_CN] = "b",
		    [ACCT_UPN] = "b@corp.test", [ACCT_SID] = "S-1-5-1" } },
	};
	static const char text[] = PERSON("a", "a")
	    "memberOf: CN=web,OU=a,DC=x\n\n" PERSON("b", "b")
	    "memberOf: CN=vpn,DC=x\nobjectSid: S-1-5-1\n\n" PERSON("c", "c")
	    "memberOf: CN=web,OU=b,DC=x\n\n" PERSON("d", "d")
	    "memberOf: CN=web,OU=a,DC=x\nmemberOf: CN=vpn,DC=x\n";
	struct adplan	p;
	struct read	r;

	(void)state;
	plan_of(&r, &p, text, held, 2, false);
	expect(&p, "a@corp.test", "changed", "-vpn");
	expect(&p, "b@corp.test", "changed", "+vpn\n-old");
	assert_int_equal(change_of(&p, "c@corp.test")->in.n, 0);
	assert_int_equal(change_of(&p, "d@corp.test")->in.n, 1);
	adplan_free(&p);
	/* Of one who is in more groups than a token holds no group is told. */
	r.all.v[0].deep = r.all.v[3].deep = true;
	assert_int_equal(adplan_make(&p, &r.all, &r.groups, held, 2,
	    &(struct adplan_rules){ .realm = "corp.test" }, &r.err), 0);
	expect(&p, "a@corp.test", "kept", "");
	assert_non_null(strstr(buf_str(&p.v[0].notes),
	    "groups stay as they are: it is in too many"));
	assert_int_equal(change_of(&p, "d@corp.test")->in.n, 0);
	adplan_free(&p);
	read_free(&r);
	/* What it was in is no reason for another principal's to be. */
	plan_of(&r, &p, PERSON("b", "b") "objectSid: S-1-5-2\n"
	    "memberOf: CN=web,OU=a,DC=x\nmemberOf: CN=web,OU=b,DC=x\n", held,
	    2, true);
	assert_int_equal(change_of(&p, "b@corp.test")->out.n, 2);
	adplan_free(&p);
	read_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_as_upns),
		cmocka_unit_test(words_of_operators),
		cmocka_unit_test(names_that_change_hands),
		cmocka_unit_test(other_principals),
		cmocka_unit_test(replaced),
		cmocka_unit_test(groups_unclear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
