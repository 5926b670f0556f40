/*
 * Delta lists ([RFC5280] 5.2.4, 5.2.6), on a real PostgreSQL: which list is
 * their base, and what stands on them.
 */
#include "lists.h"

/* {key} is the name of the key. */
static const char delta_policy[] = POLICY("crl-delta = 4h "
    "cdp-delta = {\"http://a.example/{key}+.crl\"}");

/* What the last list says of itself; -1: it has no such extension. */
static long
extension(int nid)
{
	X509_CRL *x = list();
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(x, nid, NULL, NULL);
	int at = X509_CRL_get_ext_by_NID(x, nid, -1);
	long v = n == NULL ? -1 : ASN1_INTEGER_get(n);

	assert_int_equal(at >= 0, n != NULL);
	if (nid == NID_delta_crl && n != NULL)	/* [RFC5280] 5.2.4 */
		assert_int_equal(X509_EXTENSION_get_critical(
		    X509_CRL_get_ext(x, at)), 1);
	ASN1_INTEGER_free(n);
	X509_CRL_free(x);
	return v;
}

static bool
has_freshest(void)
{
	X509_CRL *x = list();
	bool has = X509_CRL_get_ext_by_NID(x, NID_freshest_crl, -1) >= 0;

	X509_CRL_free(x);
	return has;
}

/* The reason of this one's entry in the last list; -1: none. */
static int
reason_of(uint8_t a, uint8_t b)
{
	const uint8_t octets[] = { a, b };
	BIGNUM *n = BN_bin2bn(octets, 2, NULL);
	ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(n, NULL);
	X509_CRL *x = list();
	STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(x);
	ASN1_ENUMERATED *why;
	X509_REVOKED *r;
	int i, found = -1;

	for (i = 0; i < sk_X509_REVOKED_num(all); i++) {
		r = sk_X509_REVOKED_value(all, i);
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(r),
		    serial) != 0)
			continue;
		assert_int_equal(found, -1);	/* not twice */
		why = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
		found = why == NULL ? 0 : (int)ASN1_ENUMERATED_get(why);
		ASN1_ENUMERATED_free(why);
	}
	X509_CRL_free(x);
	ASN1_INTEGER_free(serial);
	BN_free(n);
	return found;
}

static void
restart_with(const char *text)
{
	use_policy(text);
	close_signer();
	open_signer();
	signer.next_crl = 0;
}

#define HOLD(serial) "INSERT INTO countersign.revoked VALUES ('Fixture', '" \
	serial "', now(), 6, 'infinity', " NEXT ")"
#define RELEASE(serial) "DELETE FROM countersign.revoked WHERE serial = '" \
	serial "'; INSERT INTO countersign.released VALUES ('Fixture', '" \
	serial "', now(), " NEXT ")"

/* What changed since the base, and the base stays as it is. */
static void
deltas(void **state)
{
	uint64_t base;

	(void)state;
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4500', "
	    "'Fixture', '', 'x')");
	look(0);		/* without deltas */
	now += STEP;
	restart_with(delta_policy);
	base = look(0);		/* one that says where deltas are */
	assert_int_equal(extension(NID_delta_crl), -1);
	assert_true(has_freshest());
	assert_int_equal(entries(), 1);
	assert_int_equal(look(0), base);	/* not of the same second */
	assert_int_equal(look(2), base + 1);
	assert_int_equal(extension(NID_delta_crl), base);
	assert_int_equal(extension(NID_crl_number), base + 1);
	assert_false(has_freshest());
	assert_int_equal(entries(), 0);
	assert_int_equal(state_of().last.next_update, now + 4 * 3600);
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4501', "
	    "'Fixture', '', 'x'); " HOLD("\\x4502"));
	assert_int_equal(look(STEP), base + 2);
	assert_int_equal(entries(), 2);
	assert_int_equal(reason_of(0x45, 1), 0);
	assert_int_equal(reason_of(0x45, 2), CRL_HOLD);
	assert_int_equal(state_of().complete.number, base);
	sql(RELEASE("\\x4502"));
	assert_int_equal(look(STEP), base + 3);
	assert_int_equal(entries(), 2);
	assert_int_equal(reason_of(0x45, 2), CRL_REMOVE);
	/* On hold again: what is in force stands there, once. */
	sql(HOLD("\\x4502"));
	assert_int_equal(look(STEP), base + 4);
	assert_int_equal(reason_of(0x45, 2), CRL_HOLD);
	/* Half of its life is over. */
	assert_int_equal(look(2 * 3600 - STEP), base + 4);
	assert_int_equal(look(STEP), base + 5);
	assert_int_equal(entries(), 2);
	assert_int_equal(extension(NID_delta_crl), base);
}

/* Who still has the complete list before can use the delta, too. */
static void
next_base(void **state)
{
	uint64_t old = state_of().complete.number, new;

	(void)state;
	now = state_of().complete.next_update - DAY;
	new = look(0);
	assert_int_equal(extension(NID_delta_crl), -1);
	assert_int_equal(reason_of(0x45, 1), 0);
	assert_int_equal(reason_of(0x45, 2), CRL_HOLD);
	sql("UPDATE countersign.released SET change = " NEXT);
	assert_int_equal(look(STEP), new + 1);
	assert_int_equal(extension(NID_delta_crl), old);
	assert_int_equal(entries(), 2);
	assert_int_equal(reason_of(0x45, 2), CRL_HOLD);
	sql(RELEASE("\\x4501"));
	assert_int_equal(look(STEP), new + 2);
	assert_int_equal(reason_of(0x45, 1), CRL_REMOVE);
	assert_int_equal(reason_of(0x45, 2), CRL_HOLD);
	now = state_of().before.next_update;
	assert_int_equal(look(0), new + 3);
	assert_int_equal(extension(NID_delta_crl), new);
	assert_int_equal(entries(), 1);
	assert_int_equal(reason_of(0x45, 1), CRL_REMOVE);
}

/* What the database itself refuses, whoever signs. */
static void
bad_deltas(void **state)
{
	static const char *const bad[] = {
		/* of the moment of the one before; to no complete list */
		"max(number) + 1, max(this_update), max(base)",
		"max(number) + 1, now() + interval '90 days', max(base) + 1",
		"max(number) + 1, now() + interval '90 days', max(number) + 1",
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_reset(&b);
		buf_printf(&b, "INSERT INTO countersign.crl (ca, number, "
		    "this_update, base, next_update, entries, octets, "
		    "tbs_digest, change, signer) SELECT 'Fixture', %s, now(), "
		    "0, 0, '', 0, '' FROM countersign.crl", bad[i]);
		assert_int_not_equal(pg_sql(&pg, "countersign", buf_str(&b)),
		    0);
	}
	buf_free(&b);
}

/* More than a page of what is revoked, and behind it what is not any more. */
static void
long_delta(void **state)
{
	uint64_t n = state_of().last.number, base = state_of().complete.number;
	int before;

	(void)state;
	sql(HOLD("\\x4503"));
	assert_int_equal(look(STEP), ++n);
	sql(RELEASE("\\x4503"));
	assert_int_equal(look(STEP), ++n);
	assert_int_equal(reason_of(0x45, 3), CRL_REMOVE);
	before = entries();
	sql("INSERT INTO countersign.revoked SELECT 'Fixture', "
	    "'\\x46'::bytea || int4send(i), now(), 1, 'infinity', c "
	    "FROM (SELECT " NEXT " AS c) s, generate_series(1, 9000) i");
	assert_int_equal(look(STEP), n);
	assert_true(to_the_end() > 0);
	assert_int_equal(state_of().last.number, n + 1);
	assert_int_equal(extension(NID_delta_crl), base);
	assert_int_equal(entries(), before + 9000);
	assert_int_equal(reason_of(0x45, 3), CRL_REMOVE);
	sql("DELETE FROM countersign.revoked WHERE get_byte(serial, 0) = 70");
}

/* No deltas any more: a complete list at once, and then as before. */
static void
no_deltas(void **state)
{
	uint64_t n = state_of().last.number;

	(void)state;
	/* Put back from a ledger, a complete list has no bytes. */
	sql("DELETE FROM countersign.crl_part WHERE number = (SELECT "
	    "max(number) FROM countersign.crl WHERE base = 0)");
	assert_int_equal(look(STEP), ++n);
	assert_int_equal(extension(NID_delta_crl), -1);
	assert_int_equal(look(STEP), ++n);
	assert_true(extension(NID_delta_crl) > 0);
	restart_with(policy_text);
	assert_int_equal(look(STEP), ++n);
	assert_int_equal(extension(NID_delta_crl), -1);
	assert_false(has_freshest());
	sql("SELECT countersign.revocation_next('Fixture')");
	assert_int_equal(look(STEP), ++n);
	assert_int_equal(extension(NID_delta_crl), -1);
	assert_int_equal(look(STEP), n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas), cmocka_unit_test(next_base),
		cmocka_unit_test(bad_deltas), cmocka_unit_test(long_delta),
		cmocka_unit_test(no_deltas),
	};

	return RUN_LISTS("delta_test", tests);
}
