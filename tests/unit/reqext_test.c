/* Extensions that a request asks for: common/reqext.c. */
#include "request_fixture.h"

static void
test_extensions(void **state)
{
	struct buf e = { 0 }, a = { 0 };
	struct request *r;

	(void)state;
	put_ext(&e, OID_TEMPLATE_NAME, false, BYTES("\x1e\x04\0W\0S"));
	put_ext(&e, OID_TEMPLATE_OID, false,
	    BYTES("\x30\x0a\x06\x02\x2a\x03\x02\x01\x64\x02\x01\x03"));
	put_ext(&e, OID_EXT_SAN, true, BYTES("\x30\x05\x82\x03" "a.b"));
	put_ext(&e, OID_EXT_KEY_USAGE, true, BYTES("\x03\x02\x05\xa0"));
	/* CA:FALSE,pathlen:0 */
	put_ext(&e, OID_EXT_BASIC, true, BYTES("\x30\x03\x02\x01\0"));
	put_ext(&e, BYTES("\x2a\x03\x09"), false, BYTES("\x05\0"));
	put_ext_request(&a, OID_MS_CERT_EXTENSIONS, buf_slice(&e));
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->nhint, 2);
	assert_int_equal(r->hint[0].carrier, HINT_V1_EXT);
	assert_string_equal(r->hint[0].name, "WS");
	assert_int_equal(r->hint[1].carrier, HINT_V2_EXT);
	assert_string_equal(r->hint[1].oid, "1.2.3");
	assert_true(r->hint[1].has_version);
	assert_int_equal(r->hint[1].major, 100);
	assert_int_equal(r->hint[1].minor, 3);
	assert_int_equal(r->names.nsan, 1);
	request_free(r);
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "two attributes");
	buf_free(&e);
	buf_free(&a);
}

static void
test_no_extensions(void **state)
{
	struct buf a = { 0 };

	(void)state;
	put_ext_request(&a, OID_EXTENSION_REQUEST, NOTHING);
	request_free(accepted_csr(buf_slice(&a)));
	buf_free(&a);
}

/* certmonger, and wolfSSL with CA:FALSE: there is one way to read it. */
static void
test_defaults_written(void **state)
{
	static const uint8_t usage[] = "\x30\x0e\x06\x03\x55\x1d\x0f\x01\x01"
	    "\x00\x04\x04\x03\x02\x05\xa0", basic[] = "\x30\x0f\x06\x03\x55"
	    "\x1d\x13\x01\x01\x00\x04\x05\x30\x03\x01\x01\x00";
	struct buf e = { 0 }, a = { 0 };

	(void)state;
	buf_add(&e, usage, sizeof(usage) - 1);
	buf_add(&e, basic, sizeof(basic) - 1);
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	request_free(accepted_csr(buf_slice(&a)));
	buf_free(&e);
	buf_free(&a);
}

/* They are refused where they are used: test_unreadable of decide_names. */
static void
test_unreadable_names(void **state)
{
	struct buf e = { 0 }, a = { 0 };
	struct request *r;

	(void)state;
	put_ext(&e, OID_EXT_SAN, false, BYTES("\x30\x07\x82\x01" "a\xa3\x02"
	    "\x30\0"));
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->names_fault.kind, ERR_MALFORMED);
	assert_non_null(strstr(r->names_fault.text, "kind a3"));
	assert_int_equal(r->names.nsan, 0);
	request_free(r);
	buf_free(&e);
	buf_free(&a);
}

static void
test_bad_extensions(void **state)
{
	static const struct {
		struct slice	 ext;
		uint32_t	 hresult;
		const char	*text;
	} bad[] = {
#define S(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ S("\x30\x0c\x06\x03\x55\x1d\x13\x04\x05\x30\x03\x01\x01\xff"),
		    HR_INVALID_ARG, "ca certificates" },
		{ S("\x30\x0f\x06\x03\x55\x1d\x13\x04\x08\x30\x06"
		    "\x01\x01\xff\x02\x01\x00"),
		    HR_INVALID_ARG, "ca certificates" },
		{ S("\x30\x0e\x06\x03\x55\x1d\x13\x04\x07\x30\x05"
		    "\x02\x01\x00\x05\x00"),
		    HR_INVALID_DATA, "left over" },
		/* nameConstraints, critical */
		{ S("\x30\x0c\x06\x03\x55\x1d\x1e\x01\x01\xff\x04\x02\x30\0"),
		    HR_INVALID_DATA, "critical" },
		{ S("\x30\x0c\x06\x03\x55\x1d\x0f\x01\x01\1\x04\x02\x30\0"),
		    HR_INVALID_DATA, "00 or ff" },
		{ S("\x30\x0a\x06\x03\x2a\x03\x04\x04\x03\x30\x05\x00"),
		    HR_INVALID_DATA, "" },
		{ S("\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\0"
		    "\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\0"),
		    HR_INVALID_DATA, "twice" },
		{ S("\x30\x07\x06\x03\x2a\x03\x04\x04\x00"), HR_INVALID_DATA,
		    "missing" },
		{ S("\x30\x0b\x06\x03\x2a\x03\x04\x04\x02\x05\0\x05\0"),
		    HR_INVALID_DATA, "left over" },
		/* a sid by another name; a version that is cut; an empty ski */
		{ S("\x30\x21\x06\x09\x2b\x06\x01\x04\x01\x82\x37\x19\x02\x04\x14"
		    "\x30\x12\xa0\x10\x06\x03\x2a\x03\x04\xa0\x09\x04\x07"
		    "S-1-5-7"), HR_INVALID_DATA, "not a sid" },
		{ S("\x30\x1a\x06\x09\x2b\x06\x01\x04\x01\x82\x37\x15\x07\x04\x0d"
		    "\x30\x0b\x06\x02\x2a\x03\x02\x05\x01\0\0\0\0"),
		    HR_INVALID_DATA, "above 2^32 - 1" },
		{ S("\x30\x09\x06\x03\x55\x1d\x0e\x04\x02\x04\0"),
		    HR_INVALID_DATA, "identifier of 0 octets" },
#undef S
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++)
		refused_ext(bad[i].ext, bad[i].hresult, bad[i].text);
}

static void
test_template_names(void **state)
{
	static const struct {
		struct slice	 value;
		bool		 good;
	} values[] = {
#define S(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ S("\x1e\x02\0A"), true }, { S("\x0c\x01" "A"), true },
		{ S("\x13\x01" "A"), true },
		{ S("\x30\x03\x0c\x01" "A"), true },
		{ S("\x1e\x04\0A\0\0"), false }, { S("\x0c\x02" "A\0"), false },
		{ S("\x16\x01" "A"), false }, { S("\x0c\0"), false },
		{ S("\x30\0"), false }, { S("\x04\x01" "A"), false },
		{ S("\x30\x06\x0c\x01" "A\x0c\x01" "B"), false },
#undef S
	};
	struct buf e = { 0 }, a = { 0 };
	struct request *r;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(values); i++) {
		buf_reset(&e);
		buf_reset(&a);
		put_ext(&e, OID_TEMPLATE_NAME, false, values[i].value);
		if (!values[i].good) {
			refused_ext(buf_slice(&e), HR_INVALID_DATA, "template");
			continue;
		}
		put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
		r = accepted_csr(buf_slice(&a));
		assert_string_equal(r->hint[0].name, "A");
		request_free(r);
	}
	buf_free(&e);
	buf_free(&a);
}

#define SID_A	"S-1-5-21-1-2-3-1104"

static void
put_sid_ext(struct buf *b, const char *sid)
{
	struct buf v = { 0 };
	size_t s = der_open(&v, DER_SEQ), o = der_open(&v, DER_CTXC(0)), c;

	der_put_oid(&v, OID_SID_VALUE);
	c = der_open(&v, DER_CTXC(0));
	der_put_str(&v, DER_OCTETS, sid);
	der_close(&v, c);
	der_close(&v, o);
	der_close(&v, s);
	put_ext(b, OID_SID_EXT, false, buf_slice(&v));
	buf_free(&v);
}

static void
put_uri_san(struct buf *b, const char *uri)
{
	struct buf v = { 0 };
	size_t s = der_open(&v, DER_SEQ);

	der_put_str(&v, DER_CTX(6), uri);
	der_close(&v, s);
	put_ext(b, OID_EXT_SAN, false, buf_slice(&v));
	buf_free(&v);
}

/* The SID that these two claim, "" for none, NULL when refused. */
static const char *
claimed(const char *ext, const char *uri)
{
	static char text[64];
	struct buf e = { 0 }, a = { 0 }, b = { 0 };
	struct request *r = NULL;
	struct err err;
	uint32_t rc;

	if (ext != NULL)
		put_sid_ext(&e, ext);
	if (uri != NULL)
		put_uri_san(&e, uri);
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	put_csr(&b, fix.key, buf_slice(&a), INNER_GOOD);
	rc = try(buf_slice(&b), &r, &err);
	if (rc == 0)
		snprintf(text, sizeof(text), "%s", r->sid != NULL ? r->sid :
		    "");
	request_free(r);
	buf_free(&e);
	buf_free(&a);
	buf_free(&b);
	return rc == 0 ? text : NULL;
}

static void
test_sid_claims(void **state)
{
	static const char *const tags[] = {
		"tag:microsoft.com,2022-09-14:sid:" SID_A,
		"TAG:Microsoft.com,2022-09-14:SID:" SID_A,
		"tag:microsoft.com,2022-09-14:%73id:" SID_A,
		"%74ag%3amicrosoft.com,2022-09-14:sid:%53-1-5-21-1-2-3-1104",
		"tag:microsoft.com,2022-09-14:sid:s-1-5-21-1-2-3-1104",
	};
	size_t i;

	(void)state;
	assert_string_equal(claimed(SID_A, NULL), SID_A);
	for (i = 0; i < ARRAY(tags); i++) {
		assert_string_equal(claimed(NULL, tags[i]), SID_A);
		assert_string_equal(claimed(SID_A, tags[i]), SID_A);
		assert_null(claimed("S-1-5-18", tags[i]));
	}
	assert_string_equal(claimed(NULL, "urn:x:%4"), "");
	assert_string_equal(claimed(NULL, "urn:x:%"), "");
	assert_null(claimed(NULL, "tag:microsoft.com,2022-09-14:sid:"));
	assert_null(claimed(NULL, "tag:microsoft.com,2022-09-14:sid:x"));
	assert_null(claimed("x", NULL));
	assert_null(claimed("", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_no_extensions),
		cmocka_unit_test(test_defaults_written),
		cmocka_unit_test(test_unreadable_names),
		cmocka_unit_test(test_bad_extensions),
		cmocka_unit_test(test_template_names),
		cmocka_unit_test(test_sid_claims),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
