/* The decision: each rule, its HRESULT and words. */
#include "decide_fixture.h"

#define LONG_OID	"1.3.6.1.4.1.311.21.8.15138236.11413377.8603040." \
			"12388391.10594797.179.6434236.13117494"

static void
test_hints(void **state)
{
	struct ask	q;

	(void)state;
	ask_init(&q);
	denies(&q, CERTSRV_E_NO_CERT_TYPE, "names no template");
	ask_for(&q, "Nope");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "template Nope is not "
	    "known");
	ask_for(&q, "Person ");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "Person ");
	ask_for(&q, "Old");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "not offered by ca CA");
	ask_for(&q, NULL);
	q.request.hint[0].oid = str("1.2.3");
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "1.2.3");
	ask_for(&q, NULL);
	q.request.hint[0].oid = str(LONG_OID);
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, LONG_OID " is not known");
	/* All places, the same template. */
	ask_for(&q, "pERSON");
	hint(&q, NULL, OIDS "1");
	hint(&q, "Person", OIDS "1");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	/* The oid in the name's place. */
	ask_for(&q, OIDS "1");
	hint(&q, "Person", OIDS "1");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, OIDS "2");
	hint(&q, "Person", NULL);
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "Person");
	ask_for(&q, "Person");
	hint(&q, NULL, OIDS "2");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "Person and template Maybe");
	ask_for(&q, "Maybe");
	q.request.hint[0].oid = str(OIDS "1");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "not the same");
	ask_for(&q, "Person");
	hint(&q, "Nope", NULL);
	denies(&q, CERTSRV_E_UNSUPPORTED_CERT_TYPE, "Nope");
	ask_for(&q, "Person");
	q.ca = "Elsewhere";
	denies(&q, HR_INVALID_ARG, "ca Elsewhere");
}

static void
version(struct ask *q, const char *tmpl, uint64_t major, uint64_t minor)
{
	ask_for(q, tmpl);
	q->request.hint[0].has_version = true;
	q->request.hint[0].major = major;
	q->request.hint[0].minor = minor;
}

static void
test_versions(void **state)
{
	struct ask	q;
	const char	*names = "E=ada@mail.example,CN=Ada Byron | "
			    "UPN:ada@lab.example, email:ada@mail.example";

	(void)state;
	version(&q, "Person", 100, 5);
	grants(&q, names);
	version(&q, "Person", 0, 0);
	grants(&q, names);
	version(&q, "Person", 99, 9);
	grants(&q, names);
	version(&q, "Person", 100, 6);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "100.6 asked for is newer "
	    "than 100.5");
	version(&q, "Person", 101, 0);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "101.0");
	version(&q, "Person", UINT64_MAX, UINT64_MAX);
	denies(&q, CERTSRV_E_BAD_TEMPLATE_VERSION, "18446744073709551615");
	/* Schema 1 has no versions. */
	version(&q, "Old", 99, 9);
	q.ca = "Other";
	grants(&q, "CN=Ada Byron | ");
}

static void
test_permission(void **state)
{
	struct ask	 q;
	struct err	 err = ERR_INIT;
	const struct template *pc = policy_template_by_name(policy, "Pc");

	(void)state;
	ask_for(&q, "Person");
	q.account.disabled = true;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "account ada is disabled");
	ask_for(&q, "Person");
	q.groups[0] = str("guests");
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "template Person: account ada");
	ask_for(&q, "Person");
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
	/* Autoenroll implies enroll, enroll not autoenroll. */
	assert_int_equal(decide_enroll(pc, &q.account, &err), -1);
	ask_init(&q);
	assert_false(decide_autoenroll(pc, &q.account));
	q.groups[0] = str("pcs");
	assert_true(decide_autoenroll(pc, &q.account));
	memset(&err, 0, sizeof(err));
	assert_int_equal(decide_enroll(pc, &q.account, &err), 0);
	q.account.disabled = true;
	assert_false(decide_autoenroll(pc, &q.account));
}

/* One template, whatever the groups; once; not for ever; without waiting. */
static void
test_one_time(void **state)
{
	struct ask	 q;
	struct err	 err = ERR_INIT;
	const struct template *pc = policy_template_by_name(policy, "Pc");
	int64_t		 soon = ASKED_AT + 1;

	(void)state;
	ask_for(&q, "Maybe");
	q.account.groups.n = 0;
	q.account.one_time = str("mAYBE");
	q.account.one_time_expires = soon;
	grants(&q, " | DNS:ada.lab.example, UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Person");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = soon;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "secret of account ada is for "
	    "template Maybe");
	ask_for(&q, "Maybe");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = ASKED_AT;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "expired: 2001-09-09T01:46:40Z");
	ask_for(&q, "Maybe");
	q.account.one_time = str("Maybe");
	q.account.one_time_expires = soon;
	q.account.one_time_used = true;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was used");
	ask_for(&q, "Some");
	q.account.one_time = str("Some");
	q.account.one_time_expires = soon;
	join(&q, "guests");
	denies(&q, CERTSRV_E_ENROLL_DENIED, "needs approval");
	ask_init(&q);
	q.account.one_time = str("Pc");
	q.groups[0] = str("pcs");
	assert_int_equal(decide_enroll(pc, &q.account, &err), 0);
	assert_false(decide_autoenroll(pc, &q.account));
	/* Its certificates are kept alive, whatever the groups. */
	q.account.one_time_used = true;
	q.groups[0] = str("guests");
	assert_true(decide_autoenroll(pc, &q.account));
	q.account.one_time = str("Maybe");
	assert_false(decide_autoenroll(pc, &q.account));
}

/* What takes a template's place is for those who live on by the first. */
static void
test_one_time_successor(void **state)
{
	const struct template *next = policy_template_by_name(policy, "Next");
	struct ask	 q;
	struct err	 err = ERR_INIT;

	(void)state;
	ask_for(&q, "Next");
	q.account.one_time = str("Person");
	q.account.one_time_expires = ASKED_AT + 1;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "is for template Person");
	ask_for(&q, "Next");
	q.account.one_time = str("Person");
	q.account.one_time_used = true;
	assert_int_equal(decide_enroll(next, &q.account, &err), 0);
	assert_false(decide_autoenroll(next, &q.account));
	q.account.one_time = str("Maybe");
	assert_int_equal(decide_enroll(next, &q.account, &err), -1);
	q.account.one_time = str("Person");
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was used");
}

static void
test_keys(void **state)
{
	static const struct {
		const char	*tmpl;
		enum key_kind	 kind;
		unsigned	 bits;
		bool		 good;
	} rows[] = {
		{ "Person", KEY_RSA, 1024, false },
		{ "Person", KEY_RSA, 2047, false },
		{ "Person", KEY_RSA, 4096, true },
		{ "Person", KEY_RSA, 4104, false },
		{ "Person", KEY_P256, 256, true },
		{ "Person", KEY_P384, 384, false },
		{ "Person", KEY_P521, 521, false },
		{ "Pc", KEY_P384, 384, true },
		{ "Pc", KEY_RSA, 4096, false },
	};
	struct ask	q;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_for(&q, rows[i].tmpl);
		q.key.kind = rows[i].kind;
		q.key.bits = rows[i].bits;
		if (!rows[i].good) {
			denies(&q, CERTSRV_E_KEY_LENGTH, strcmp(rows[i].tmpl,
			    "Pc") == 0 ? "only P-384" :
			    "only RSA 2048-4096 P-256");
			continue;
		}
		assert_int_equal(decide_now(&q), 0);
		decision_free(&q.decision);
	}
	ask_for(&q, "Person");
	q.request.archived_key = slice_str("key");
	denies(&q, CERTSRV_E_ARCHIVED_KEY_UNEXPECTED, "to archive");
}

static void
test_pending(void **state)
{
	struct ask	q;

	(void)state;
	ask_for(&q, "Asks");
	rdn(&q, "CN", "Any One");
	san(&q, SAN_UPN, "any@one.example");
	assert_int_equal(decide_now(&q), 0);
	assert_true(q.decision.pending);
	decision_free(&q.decision);
	names_free(&q.request.names);
	/* An approver may be shown any name, but none of an odd kind. */
	ask_for(&q, "Asks");
	san(&q, SAN_OTHER, "a000");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "never taken");
	ask_for(&q, "Asks");
	san(&q, SAN_DNS, "*.lab.example");
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "wildcards");
	ask_for(&q, "Some");
	assert_int_equal(decide_now(&q), 0);
	assert_false(q.decision.pending);
	decision_free(&q.decision);
	ask_for(&q, "Some");
	join(&q, "guests");
	assert_int_equal(decide_now(&q), 0);
	assert_true(q.decision.pending);
	decision_free(&q.decision);
	ask_for(&q, "Open");
	rdn(&q, "CN", "build.example");
	grants(&q, "CN=build.example | DNS:build.example");
}

/*
 * The rest of the matrix is end to end, where real certificates sign; here is
 * what must not be forgotten by who calls: no look-up, no certificate.
 */
static void
test_agents(void **state)
{
	struct account	target = { .name = str("bob"), .cn = str("Bob") };
	struct agency	known = { .target = &target };
	struct ask	q;

	(void)state;
	ask_for(&q, "Signed");
	denies(&q, CERTSRV_E_SIGNATURE_POLICY_REQUIRED, "signatures");
	ask_for(&q, "Person");
	q.request.requester_name = str("bob");
	/* As with an account that exists: nobody learns which do. */
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "on behalf");
	ask_for(&q, "Signed");
	q.request.requester_name = str("bob");
	denies(&q, CERTSRV_E_SIGNATURE_POLICY_REQUIRED, "signatures");
	ask_for(&q, "Person");
	q.request.requester_name = str("BOB");
	q.agency = &known;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "on behalf");
	ask_for(&q, "Person");
	q.request.requester_name = str("b ob");
	q.agency = &known;
	denies(&q, CERTSRV_E_RESTRICTEDOFFICER, "no name of an account");
	/* Whoever names itself is nobody's agent. */
	ask_for(&q, "Person");
	q.request.requester_name = str("Ada");
	grants(&q, "E=ada@mail.example,CN=Ada Byron | UPN:ada@lab.example, "
	    "email:ada@mail.example");
	ask_for(&q, "Person");
	q.request.nsigner = 1;
	q.request.signer[0].cert = slice_str("\x30\x00");
	q.agency = &known;
	denies(&q, CERT_E_UNTRUSTEDROOT, "not issued by");
	ask_for(&q, "Person");
	q.request.nsigner = 1;
	assert_int_equal(decide_now(&q), -1);
	assert_int_equal(q.err.kind, ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_one_time),
		cmocka_unit_test(test_one_time_successor),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_agents),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
