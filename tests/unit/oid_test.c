#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oid.h"

static const struct {
	const char		*dotted;
	const struct slice	*oid;
} known[] = {
	{ "1.2.840.113549.1.9.14", &OID_EXTENSION_REQUEST },
	{ "1.3.6.1.4.1.311.2.1.14", &OID_MS_CERT_EXTENSIONS },
	{ "1.3.6.1.4.1.311.13.2.3", &OID_OS_VERSION },
	{ "1.3.6.1.4.1.311.13.2.2", &OID_CSP_PROVIDER },
	{ "1.3.6.1.4.1.311.13.2.1", &OID_NAME_VALUE },
	{ "1.3.6.1.4.1.311.13.1", &OID_RENEWAL_CERT },
	{ "1.3.6.1.4.1.311.21.20", &OID_CLIENT_INFO },
	{ "1.3.6.1.4.1.311.21.7", &OID_TEMPLATE_OID },
	{ "1.3.6.1.4.1.311.20.2", &OID_TEMPLATE_NAME },
	{ "1.3.6.1.4.1.311.21.10", &OID_APP_POLICIES },
	{ "1.3.6.1.4.1.311.25.2", &OID_SID_EXT },
	{ "1.2.840.113549.1.9.15", &OID_EXT_SMIME },
	{ "1.3.6.1.4.1.311.25.2.1", &OID_SID_VALUE },
	{ "1.3.6.1.4.1.311.20.2.3", &OID_UPN },
	{ "1.3.6.1.4.1.311.21.17", &OID_ISSUED_CERT_HASH },
	{ "1.3.6.1.4.1.311.21.13", &OID_ARCHIVED_KEY },
	{ "1.3.6.1.4.1.311.21.21", &OID_ENCRYPTED_KEY_HASH },
	{ "1.3.6.1.4.1.311.10.10.1", &OID_CMC_ADD_ATTRIBUTES },
	{ "1.3.6.1.5.5.7.7.8", &OID_CMC_ADD_EXTENSIONS },
	{ "1.3.6.1.5.5.7.7.18", &OID_CMC_REG_INFO },
	{ "1.3.6.1.5.5.7.7.1", &OID_CMC_STATUS_INFO },
	{ "1.3.6.1.5.5.7.7.5", &OID_CMC_TRANSACTION_ID },
	{ "1.3.6.1.5.5.7.7.6", &OID_CMC_SENDER_NONCE },
	{ "1.3.6.1.5.5.7.7.7", &OID_CMC_RECIPIENT_NONCE },
	{ "1.3.6.1.5.5.7.12.2", &OID_CCT_PKI_DATA },
	{ "1.3.6.1.5.5.7.12.3", &OID_CCT_PKI_RESPONSE },
	{ "1.3.6.1.5.5.7.6.2", &OID_NO_SIGNATURE },
	{ "1.2.840.113549.1.7.1", &OID_PKCS7_DATA },
	{ "1.2.840.113549.1.7.2", &OID_PKCS7_SIGNED },
	{ "1.2.840.113549.1.9.3", &OID_CONTENT_TYPE },
	{ "1.2.840.113549.1.9.4", &OID_MESSAGE_DIGEST },
	{ "1.2.840.113549.1.1.1", &OID_RSA_ENCRYPTION },
	{ "1.2.840.113549.1.1.5", &OID_RSA_SHA1 },
	{ "1.2.840.113549.1.1.11", &OID_RSA_SHA256 },
	{ "1.2.840.113549.1.1.12", &OID_RSA_SHA384 },
	{ "1.2.840.113549.1.1.13", &OID_RSA_SHA512 },
	{ "1.2.840.113549.1.1.10", &OID_RSA_PSS },
	{ "1.2.840.10045.2.1", &OID_EC_PUBLIC_KEY },
	{ "1.2.840.10045.4.1", &OID_ECDSA_SHA1 },
	{ "1.2.840.10045.4.3.2", &OID_ECDSA_SHA256 },
	{ "1.2.840.10045.4.3.3", &OID_ECDSA_SHA384 },
	{ "1.2.840.10045.4.3.4", &OID_ECDSA_SHA512 },
	{ "1.2.840.10045.3.1.7", &OID_P256 },
	{ "1.3.132.0.34", &OID_P384 },
	{ "1.3.132.0.35", &OID_P521 },
	{ "1.3.14.3.2.26", &OID_SHA1 },
	{ "2.16.840.1.101.3.4.2.1", &OID_SHA256 },
	{ "2.16.840.1.101.3.4.2.2", &OID_SHA384 },
	{ "2.16.840.1.101.3.4.2.3", &OID_SHA512 },
	{ "2.5.29.14", &OID_EXT_SKI },
	{ "2.5.29.15", &OID_EXT_KEY_USAGE },
	{ "2.5.29.17", &OID_EXT_SAN },
	{ "2.5.29.19", &OID_EXT_BASIC },
	{ "2.5.29.31", &OID_EXT_CDP },
	{ "2.5.29.32", &OID_EXT_POLICIES },
	{ "2.5.29.35", &OID_EXT_AKI },
	{ "2.5.29.37", &OID_EXT_EKU },
	{ "1.3.6.1.5.5.7.1.1", &OID_EXT_AIA },
	{ "1.3.6.1.5.5.7.48.1", &OID_AD_OCSP },
	{ "1.3.6.1.5.5.7.48.2", &OID_AD_CA_ISSUERS },
	{ "2.5.4.3", &OID_CN },
	{ "1.2.840.113549.1.9.1", &OID_EMAIL },
};

static void
known_oids_are_right(void **state)
{
	struct buf	b = { 0 };
	char		text[128];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct err	err = ERR_INIT;

		buf_reset(&b);
		assert_int_equal(oid_parse(known[i].dotted, &b, &err), 0);
		assert_true(slice_eq(buf_slice(&b), *known[i].oid));
		assert_int_equal(oid_text(*known[i].oid, text, sizeof(text)),
		    0);
		assert_string_equal(text, known[i].dotted);
	}
	buf_free(&b);
}

static void
limits_round_trip(void **state)
{
	static const char *const	good[] = {
		"0.0", "0.39", "1.39", "2.0", "2.39", "2.40", "2.47", "2.48",
		"2.999.3", "2.5.29.2147483647", "2.2147483567",
		"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20",
	};
	struct buf	b = { 0 };
	char		text[128];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err	err = ERR_INIT;

		buf_reset(&b);
		assert_int_equal(oid_parse(good[i], &b, &err), 0);
		assert_int_equal(oid_text(buf_slice(&b), text, sizeof(text)),
		    0);
		assert_string_equal(text, good[i]);
	}
	buf_free(&b);
}

static void
bad_text_is_refused(void **state)
{
	static const char *const	bad[] = {
		"", "1", "1.", ".1", "1..2", "1.2.", "3.1", "0.40", "1.40",
		"1.02", "01.2", "1.2.+3", "1.2.-3", " 1.2", "1.2 ", "1.2.x",
		"1.2.2147483648", "1.2.4294967297", "2.2147483647",
		"1.2.99999999999999999999999999",
		"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21",
		"1.2.2147483647.2147483647.2147483647.2147483647.2147483647"
		".2147483647.2147483647.2147483647.2147483647.2147483647"
		".2147483647.2147483647.2147483647",
	};
	struct buf	b = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err	err = ERR_INIT;

		if (oid_parse(bad[i], &b, &err) != -1)
			fail_msg("%s was accepted", bad[i]);
		assert_int_equal(b.n, 0);
		assert_int_equal(err.kind, ERR_MALFORMED);
	}
}

static void
bad_octets_are_refused(void **state)
{
	static const struct {
		const char	*p;
		size_t		 n;
	} bad[] = {
		{ "", 0 },
		{ "\x80\x01", 2 },
		{ "\x2a\x80\x01", 3 },
		{ "\x2a\x86", 2 },
		{ "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11 },
	};
	uint8_t		long_one[OID_OCTETS + 1];
	char		text[512] = "untouched";
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(oid_text(slice_of(bad[i].p, bad[i].n), text,
		    sizeof(text)), -1);
	memset(long_one, 1, sizeof(long_one));
	assert_int_equal(oid_text(slice_of(long_one, sizeof(long_one)), text,
	    sizeof(text)), -1);
	assert_string_equal(text, "untouched");
	/* The largest text there is fits its own limit, and no smaller one. */
	memset(long_one, 0x7f, sizeof(long_one));
	assert_int_equal(oid_text(slice_of(long_one, OID_OCTETS), text,
	    sizeof(text)), 0);
	assert_int_equal(oid_text(slice_of(long_one, OID_OCTETS), text,
	    strlen(text)), -1);
	assert_int_equal(oid_text(slice_of(long_one, OID_OCTETS), text,
	    strlen(text) + 1), 0);
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(oid_name("1.3.6.1.5.5.7.3.2"),
	    "Client Authentication");
	assert_string_equal(oid_name("1.3.6.1.4.1.311.21.7"),
	    "Certificate Template Information");
	assert_string_equal(oid_name("2.16.840.1.101.3.4.2.1"), "sha256");
	assert_null(oid_name("1.2.3"));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(known_oids_are_right),
		cmocka_unit_test(limits_round_trip),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(bad_octets_are_refused),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
