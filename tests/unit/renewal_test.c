/* The rules of a renewal, each by its HRESULT and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "renewal.h"
#include "renewal_fixture.h"

static void
grants(struct ask *q, const char *names, bool pending)
{
	struct buf b = { NULL, 0, 0 };

	if (decide(&q->in, &q->decision, &q->err) == -1)
		fail_msg("wanted %s, got %s", names, q->err.text);
	assert_ptr_equal(q->decision.renews, &q->old);
	assert_int_equal(q->decision.pending, pending);
	names_text_dn(&q->decision.names, &b);
	buf_puts(&b, " | ");
	names_text_san(&q->decision.names, &b);
	assert_string_equal(buf_str(&b), names);
	buf_free(&b);
	decision_free(&q->decision);
	done(q);
}

/* Whoever can write rows, and has no key of a CA, makes no certificate. */
static void
test_forged_row(void **state)
{
	const char *words = "database was made by no signer of ca CA";
	const int early = ISSUED_EARLY;
	struct buf real = old_der;
	struct ask q;

	(void)state;
	old_der = (struct buf){ 0 };
	make_old(pkey, &early, &old_der);
	ask_for(&q, "Plain", "Plain");
	denies(&q, CERT_E_UNTRUSTEDROOT, words);
	/* What the algorithm says is not signed by anything. */
	buf_reset(&old_der);
	buf_add(&old_der, real.p, real.n);
	*(uint8_t *)memmem(old_der.p + old_der.n - 130, 130,
	    "\x2a\x86\x48\xce\x3d", 5) ^= 1;
	ask_for(&q, "Plain", "Plain");
	denies(&q, CERT_E_UNTRUSTEDROOT, words);
	buf_free(&old_der);
	old_der = real;
	ask_for(&q, "Plain", "Plain");
	grants(&q, "CN=Ada | ", false);
}

/*
 * The CA's key signed before it was imported, too, and who has such a
 * certificate may know somebody who writes rows.
 */
static void
test_row_of_before(void **state)
{
	static const struct {
		int	after;
		bool	good;
	} v[] = {
		/* Units of 1024 s; a new CA's begin when it does. */
		{ 0, true }, { ISSUED_EARLY, true }, { 7200, false },
		{ -7200, false }
	};
	struct buf real = old_der;
	struct ask q;
	size_t i;

	(void)state;
	old_der = (struct buf){ 0 };
	make_old(ca_key, NULL, &old_der);
	ask_for(&q, "Plain", "Plain");
	denies(&q, CERT_E_UNTRUSTEDROOT, "was made by no signer");
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		make_old(ca_key, &v[i].after, &old_der);
		ask_for(&q, "Plain", "Plain");
		if (v[i].good)
			grants(&q, "CN=Ada | ", false);
		else
			denies(&q, CERT_E_UNTRUSTEDROOT,
			    "was made by no signer");
	}
	/* A row that says something else of it. */
	make_old(ca_key, &v[0].after, &old_der);
	ask_for(&q, "Plain", "Plain");
	q.old.not_after += 86400;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was made by no signer");
	buf_free(&old_der);
	old_der = real;
}

static void
test_old_certificate(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Plain", "Plain");
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Plain", "Plain");
	q.in.issued[0] = NULL;
	denies(&q, CERT_E_UNTRUSTEDROOT, "4001 was not issued by ca CA");
	ask_for(&q, "Plain", "Plain");
	q.old.ca = str("Two");
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	ask_for(&q, "Plain", "Plain");
	q.old.der.p[q.old.der.n - 1] ^= 1;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	ask_for(&q, "Plain", "Plain");
	q.request.signer[0].verified = false;
	denies(&q, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE, "not a signer");
	ask_for(&q, "Plain", "Plain");
	q.old.revoked = true;
	denies(&q, CRYPT_E_REVOKED, "4001 is revoked");
	ask_for(&q, "Plain", "Plain");
	q.old.account = str("bob");
	denies(&q, CERTSRV_E_ENROLL_DENIED, "4001 is not of account ada");
	/* An import gave the account to another, and was some seconds at it. */
	ask_for(&q, "Plain", "Plain");
	q.account.replaced = q.old.not_before + ISSUED_EARLY - 5;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "another principal's when");
	ask_for(&q, "Plain", "Plain");
	q.account.replaced = q.old.not_before + ISSUED_EARLY - 6;
	grants(&q, "CN=Ada | ", false);
	/* Whichever of two signers it is. */
	ask_for(&q, "Plain", "Plain");
	q.request.signer[1] = q.request.signer[0];
	q.request.signer[0].cert = slice_str("other");
	q.request.nsigner = 2;
	q.in.issued[1] = q.in.issued[0];
	q.in.issued[0] = NULL;
	assert_ptr_equal(renewal_holder(&q.in), &q.old);
	done(&q);
}

static void
test_time(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Plain", "Plain");
	q.in.now = q.old.not_after;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Plain", "Plain");
	q.in.now = q.old.not_after + 1;
	denies(&q, CERT_E_EXPIRED, "renewal-grace is 0 s");
	ask_for(&q, "Plain", "Plain");
	q.in.now = q.old.not_before - 1;
	denies(&q, CERT_E_EXPIRED, "not valid yet");
	ask_for(&q, "Same", "Same");
	q.in.now = q.old.not_after + 3600;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Same", "Same");
	q.in.now = q.old.not_after + 3601;
	denies(&q, CERT_E_EXPIRED, "renewal-grace is 3600 s");
}

static void
test_template(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Plain", "plain");
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Plain", "Next");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "of template Next, which");
	/* Superseding takes it over, but no approval that was never given. */
	ask_for(&q, "Next", "Plain");
	grants(&q, "CN=Ada | ", true);
	ask_for(&q, "Next", "Next");
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Same", "Same");
	q.old.spki[0] ^= 1;
	denies(&q, CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY, "renewal-same-key");
	ask_for(&q, "Same", "Same");
	q.old.renewals = 2;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Same", "Same");
	q.old.renewals = 3;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "3 times, renewal-max is 3");
	ask_for(&q, "Same", "Same");
	q.old.chain_start = NOW - YEARS_5;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Same", "Same");
	q.old.chain_start = NOW - YEARS_5 - 1;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "renewal-max-age is 157680000 s");
	ask_for(&q, "Plain", "Plain");
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
}

#define OLD "CN=h.a.example | DNS:h.a.example, IP:10.0.0.1"

static void
test_names(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Seen", "Seen");
	grants(&q, "CN=Ada | ", false);
	/* An approver saw the names: the same need no second look. */
	ask_for(&q, "Shown", "Shown");
	same_names(&q);
	grants(&q, OLD, false);
	ask_for(&q, "Shown", "Shown");
	names_add_rdn(&q.request.names, "CN", "h.a.example");
	names_add_san(&q.request.names, SAN_IP, "10.0.0.1");
	grants(&q, OLD, false);
	ask_for(&q, "Shown", "Shown");
	names_add_rdn(&q.request.names, "CN", "x.a.example");
	grants(&q, "CN=x.a.example | DNS:x.a.example", true);
	/* A rule is asked again, unless the key is what counts. */
	ask_for(&q, "Host", "Host");
	same_names(&q);
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "not allowed by name rule");
	ask_for(&q, "Key", "Key");
	same_names(&q);
	q.account.groups.n = 0;
	grants(&q, OLD, false);
	ask_for(&q, "Key", "Key");
	same_names(&q);
	names_add_san(&q.request.names, SAN_DNS, "y.a.example");
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "renewal-key-based");
	/* Nor fewer: what answers by all of them would not any more. */
	ask_for(&q, "Key", "Key");
	names_add_rdn(&q.request.names, "CN", "h.a.example");
	names_add_san(&q.request.names, SAN_DNS, "h.a.example");
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "renewal-key-based");
	/* Who may enroll may ask for other names, by the rule. */
	ask_for(&q, "Key", "Key");
	names_add_rdn(&q.request.names, "CN", "z.a.example");
	join(&q, "ruled");
	grants(&q, "CN=z.a.example | DNS:z.a.example", false);
	ask_for(&q, "Key", "Key");
	same_names(&q);
	q.account.disabled = true;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "disabled");
}

static void
test_anonymous(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Nobody", "Nobody");
	same_names(&q);
	q.in.method = AUTH_ANONYMOUS;
	grants(&q, OLD, false);
	ask_for(&q, "Key", "Key");
	same_names(&q);
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "renewal-anonymous is not set");
	ask_for(&q, "Nobody", "Nobody");
	names_add_rdn(&q.request.names, "CN", "z.a.example");
	join(&q, "ruled");
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "renewal-key-based");
	ask_for(&q, "Nobody", "Nobody");
	same_names(&q);
	err_bad(&q.request.names_fault, 0, "name: more parts");
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "more parts");
	ask_for(&q, "Nobody", "Nobody");
	q.request.old_cert = slice_of(NULL, 0);
	q.request.nsigner = 0;
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "may only renew");
	ask_for(&q, "Nobody", "Nobody");
	q.request.old_cert = slice_of(NULL, 0);
	q.request.nsigner = 0;
	q.in.account = NULL;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "may only renew");
	/* No row: nobody is asking. */
	ask_for(&q, "Nobody", "Nobody");
	q.in.account = NULL;
	q.in.issued[0] = NULL;
	assert_null(renewal_holder(&q.in));
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued");
}

/* Its account is asked for, as if it had logged on; the names must stay. */
static void
test_anonymous_by_rule(void **state)
{
	struct ask q;

	(void)state;
	ask_for(&q, "Plain", "Plain");
	q.in.method = AUTH_ANONYMOUS;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Plain", "Plain");
	q.in.method = AUTH_ANONYMOUS;
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
	ask_for(&q, "Next", "Next");
	q.in.method = AUTH_ANONYMOUS;
	grants(&q, "CN=Ada | ", false);
	ask_for(&q, "Next", "Plain");
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "cannot wait for");
	ask_for(&q, "Host", "Host");
	same_names(&q);
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "not allowed by name rule");
	ask_for(&q, "Host", "Host");
	names_add_rdn(&q.request.names, "CN", "z.a.example");
	join(&q, "ruled");
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_BAD_RENEWAL_SUBJECT, "renewal-anonymous: subject");
}

static void
sibling(struct ask *q)
{
	ask_for(q, "Plain", "Plain");
	q->old.ca = str("Two");
}

/*
 * The template was another CA's of ours: no renewal, but who may ask anew is
 * not kept from it by what he signs with.  Last, for the key stays.
 */
static void
test_template_has_moved(void **state)
{
	EVP_PKEY *two = EVP_EC_gen("P-256");
	const int early = ISSUED_EARLY;
	struct buf real = old_der;
	struct ask q;

	(void)state;
	attach_to("Two", two);
	sibling(&q);
	denies(&q, CERT_E_UNTRUSTEDROOT, "made by no signer of ca Two");
	old_der = (struct buf){ 0 };
	make_old(two, &early, &old_der);
	sibling(&q);
	if (decide(&q.in, &q.decision, &q.err) == -1)
		fail_msg("%s", q.err.text);
	assert_null(q.decision.renews);
	decision_free(&q.decision);
	done(&q);
	sibling(&q);
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
	sibling(&q);
	q.old.revoked = true;
	denies(&q, CRYPT_E_REVOKED, "4001 is revoked");
	sibling(&q);
	q.old.account = str("bob");
	denies(&q, CERTSRV_E_ENROLL_DENIED, "is not of account ada");
	sibling(&q);
	q.old.template = str("Same");
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "does not supersede");
	sibling(&q);
	q.in.now = NOW + 86400 + 1;
	denies(&q, CERT_E_EXPIRED, "renewal-grace is 0 s");
	sibling(&q);
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was issued elsewhere: log on");
	sibling(&q);
	q.old.der.p[q.old.der.n - 1] ^= 1;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	buf_free(&old_der);
	old_der = real;
	EVP_PKEY_free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forged_row),
		cmocka_unit_test(test_row_of_before),
		cmocka_unit_test(test_old_certificate),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_anonymous_by_rule),
		cmocka_unit_test(test_template_has_moved),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
