/* What stands in requests: extensions, attributes, controls. */
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
		{ S("\x30\x0c\x06\x03\x55\x1d\x13\x04\x05\x30\x03\x01\x01\x00"),
		    HR_INVALID_DATA, "default" },
		{ S("\x30\x0f\x06\x03\x55\x1d\x13\x04\x08\x30\x06"
		    "\x01\x01\xff\x02\x01\x00"),
		    HR_INVALID_ARG, "ca certificates" },
		{ S("\x30\x0e\x06\x03\x55\x1d\x13\x04\x07\x30\x05"
		    "\x02\x01\x00\x05\x00"),
		    HR_INVALID_DATA, "left over" },
		/* nameConstraints, critical */
		{ S("\x30\x0c\x06\x03\x55\x1d\x1e\x01\x01\xff\x04\x02\x30\0"),
		    HR_INVALID_DATA, "critical" },
		{ S("\x30\x0c\x06\x03\x55\x1d\x0f\x01\x01\0\x04\x02\x30\0"),
		    HR_INVALID_DATA, "default" },
		{ S("\x30\x0a\x06\x03\x2a\x03\x04\x04\x03\x30\x05\x00"),
		    HR_INVALID_DATA, "" },
		{ S("\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\0"
		    "\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\0"),
		    HR_INVALID_DATA, "twice" },
		{ S("\x30\x07\x06\x03\x2a\x03\x04\x04\x00"), HR_INVALID_DATA,
		    "missing" },
		{ S("\x30\x0b\x06\x03\x2a\x03\x04\x04\x02\x05\0\x05\0"),
		    HR_INVALID_DATA, "left over" },
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

static void
test_attributes(void **state)
{
	static const struct {
		struct slice	 attr;
		uint32_t	 hresult;
		const char	*text;
	} bad[] = {
#define S(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
#define MS_ATTR(n, v) S("\x30" n "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37" v)
		/* no value, two values, attestation, archived key */
		{ MS_ATTR("\x0e", "\x0d\x02\x03\x31\0"), HR_INVALID_DATA,
		    "no value" },
		{ MS_ATTR("\x12", "\x0d\x02\x03\x31\x04\x05\0\x05\0"),
		    HR_INVALID_DATA, "several" },
		{ S("\x30\x0f\x06\x09\x2b\x06\x01\x04\x01\x82\x37\x15\x21"
		    "\x31\x02\x05\0"), HR_NOT_SUPPORTED, "attestation" },
		{ S("\x30\x0f\x06\x09\x2b\x06\x01\x04\x01\x82\x37\x15\x0d"
		    "\x31\x02\x30\0"), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "archived" },
#undef S
	};
	struct buf a = { 0 };
	struct request *r;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++)
		refused_csr(bad[i].attr, bad[i].hresult, bad[i].text);
	/* unstructuredAddress, as of routers, and what nobody knows */
	put_attr(&a, BYTES("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08"),
	    BYTES("\x13\x03::1"));
	put_attr(&a, BYTES("\x2a\x03\x09"), BYTES("\x30\0"));
	request_free(accepted_csr(buf_slice(&a)));
	put_attr(&a, BYTES("\x2a\x03\x09"), BYTES("\x30\0"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_reset(&a);
	put_attr(&a, OID_OS_VERSION, BYTES("\x16\x04" "10.0"));
	put_attr(&a, OID_CLIENT_INFO, BYTES("\x30\x0f\x02\x01\x05\x0c\x01m\x0c"
	    "\x01u\x0c\x04p\xc3\xb6" "x"));
	r = accepted_csr(buf_slice(&a));
	assert_string_equal(r->client_info, "p\xc3\xb6x");
	request_free(r);
	put_attr(&a, OID_OS_VERSION, BYTES("\x16\x04" "10.0"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_reset(&a);
	put_attr(&a, OID_OS_VERSION, BYTES("\x30\0"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "os version");
	buf_reset(&a);
	put_attr(&a, OID_CSP_PROVIDER, BYTES("\x30\x0a\x02\x01\x01\x1e\x02\0"
	    "K\x03\x01\0"));
	request_free(accepted_csr(buf_slice(&a)));
	buf_reset(&a);
	put_attr(&a, OID_CSP_PROVIDER, BYTES("\x30\x07\x02\x01\x01\x1e\x02\0"
	    "K"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "csp signature");
	buf_reset(&a);		/* the log's business only: no refusal */
	put_attr(&a, OID_CLIENT_INFO, BYTES("\x30\x0f\x02\x01\x05\x0c\x01m\x0c"
	    "\x01u\x0c\x04p\n\n\n"));
	r = accepted_csr(buf_slice(&a));
	assert_null(r->client_info);
	request_free(r);
	buf_free(&a);
}

static void
put_pairs(struct buf *b, const char *const *names, size_t n)
{
	struct buf v = { 0 };
	size_t i, m;

	if (n == 1) {
		put_pair(&v, names[0], names[1]);
	} else {
		m = der_open(&v, DER_SEQ);
		for (i = 0; i < n; i++)
			put_pair(&v, names[2 * i], names[2 * i + 1]);
		der_close(&v, m);
	}
	put_attr(b, OID_NAME_VALUE, buf_slice(&v));
	buf_free(&v);
}

static void
test_name_values(void **state)
{
	static const char *const good[] = { "CertificateTemplate", "Web",
	    "RequesterName", "EXAMPLE\\root", "SAN", "dns=evil",
	    "certfile", "/etc/passwd" };
	static const char *const odd[][4] = {
		{ "certificate template", "Web" }, { "S-A-N", "x" },
		{ "CertificateTemplate ", "Web" }, { "", "x" },
		{ "CertificateTemplate", "" }, { "-RequesterName", "x" },
		{ "CertificateTemplate:", "Web" }, { "Division:", "x" },
		{ "rmd.", "x" },
	};
	/* [RequestAttributes] of certreq's INF may hold anything. */
	static const char *const others[] = { "Division", "Sales",
	    "CertificateTemplate", "Web", "Cost-Center 1", "7",
	    "division", "again" };
	static const char *const twice[] = { "CertificateTemplate", "Web",
	    "certificateTEMPLATE", "Web" };
	struct buf a = { 0 };
	struct request *r;
	size_t i, n;

	(void)state;
	for (n = 1; n <= 4; n += 3) {
		buf_reset(&a);
		put_pairs(&a, good, n);
		r = accepted_csr(buf_slice(&a));
		assert_int_equal(r->nhint, 1);
		assert_int_equal(r->hint[0].carrier, HINT_NAME_VALUE);
		assert_string_equal(r->hint[0].name, "Web");
		assert_null(r->requester_name);
		assert_int_equal(r->names.nsan, 0);
		request_free(r);
	}
	for (i = 0; i < ARRAY(odd); i++) {
		buf_reset(&a);
		put_pairs(&a, odd[i], 1);
		refused_csr(buf_slice(&a), HR_INVALID_DATA, "");
	}
	buf_reset(&a);
	put_pairs(&a, twice, 2);
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_reset(&a);
	put_pairs(&a, others, 4);
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->nhint, 1);
	assert_string_equal(r->hint[0].name, "Web");
	request_free(r);
	buf_free(&a);
}

/* [RFC2986] 4.1: an attribute has values; in a SET, so shorter ones first. */
static void
test_values_of_pairs(void **state)
{
	struct buf v = { 0 }, a = { 0 };
	struct request *r;

	(void)state;
	put_pair(&v, "SAN", "dns=evil");
	put_pair(&v, "CertificateTemplate", "Web");
	put_attr(&a, OID_NAME_VALUE, buf_slice(&v));
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->nhint, 1);
	assert_string_equal(r->hint[0].name, "Web");
	assert_int_equal(r->names.nsan, 0);
	request_free(r);
	put_pair(&v, "CertificateTemplate", "Web");
	buf_reset(&a);
	put_attr(&a, OID_NAME_VALUE, buf_slice(&v));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_reset(&a);
	put_attr(&a, OID_NAME_VALUE, BYTES("\x04\x01x\x30\0"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "name/value pair");
	buf_reset(&a);
	put_attr(&a, OID_NAME_VALUE, BYTES("\x30\0\x05"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "");
	buf_reset(&a);		/* [MS-WCCE] 2.2.2.7.10: zero or more */
	put_attr(&a, OID_NAME_VALUE, BYTES("\x30\0"));
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->nhint, 0);
	request_free(r);
	put_attr(&a, OID_NAME_VALUE, BYTES("\x30\0"));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_free(&v);
	buf_free(&a);
}

/* regInfo of this text in a CMC signed so. */
static uint32_t
try_reginfo(const char *text, enum outer outer, struct request **out)
{
	struct buf v = { 0 }, c = { 0 };
	uint32_t rc;

	der_put_str(&v, DER_OCTETS, text);
	put_control(&c, 2, OID_CMC_REG_INFO, buf_slice(&v));
	rc = try_cmc(INNER_GOOD, buf_slice(&c), outer, out);
	buf_free(&v);
	buf_free(&c);
	return rc;
}

static void
test_reginfo(void **state)
{
	static const char *const bad[] = {
		"&", "x", "=x", "CertificateTemplate", "a%=b",
		"CertificateTemplate=a&CertificateTemplate=a",
		"CertificateTemplate=%", "CertificateTemplate=%4",
		"CertificateTemplate=%zz", "CertificateTemplate=%00",
		"CertificateTemplate=a&&", "CertificateTemplate=%ff",
		"SAN=a&san=a", "CertificateTemplate=",
		" CertificateTemplate=a", "Certificate%54emplate=a",
		"RequesterName=a&RequesterName=b",
	};
	struct request *r = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++)
		if (try_reginfo(bad[i], OUTER_KEY, NULL) != HR_INVALID_DATA)
			fail_msg("regInfo %s accepted", bad[i]);
	assert_int_equal(try_reginfo("certificatetemplate=W%20S&"
	    "requestername=LAB%5Calice&", OUTER_KEY, &r), 0);
	request_free(r);
	assert_int_equal(try_reginfo("", OUTER_KEY, &r), 0);
	request_free(r);
	assert_int_equal(try_reginfo("certfile=c%3A%5Ca.cer&"
	    "CertificateTemplate=a", OUTER_KEY, &r), 0);
	request_free(r);
	assert_int_equal(try_reginfo("CertificateTemplate=W%20S&"
	    "RequesterName=LAB%5Calice&", OUTER_KEY, &r), 0);
	assert_int_equal(r->hint[0].carrier, HINT_REG_INFO);
	assert_string_equal(r->hint[0].name, "W S");
	assert_string_equal(r->requester_name, "LAB\\alice");
	request_free(r);
	assert_int_equal(try_reginfo("CertificateTemplate=a&RequesterName=b",
	    OUTER_NO_SIGN, &r), 0);
	assert_int_equal(r->nhint, 1);
	assert_null(r->requester_name);
	request_free(r);
}

static uint32_t
try_control(uint64_t id, struct slice oid, struct slice value,
    struct request **out)
{
	struct buf c = { 0 };
	uint32_t rc;

	put_control(&c, id, oid, value);
	rc = try_cmc(INNER_GOOD, buf_slice(&c), OUTER_KEY, out);
	buf_free(&c);
	return rc;
}

static void
test_controls(void **state)
{
	struct request *r = NULL;
	struct buf c = { 0 };

	(void)state;
	assert_int_equal(try_control(2, OID_CMC_TRANSACTION_ID,
	    BYTES("\x02\x01\x09"), &r), 0);
	assert_true(slice_eq(r->transaction_id, BYTES("\x02\x01\x09")));
	request_free(r);
	assert_int_equal(try_control(2, OID_CMC_SENDER_NONCE,
	    BYTES("\x04\x01n"), &r), 0);
	assert_true(slice_eq(r->sender_nonce, BYTES("\x04\x01n")));
	request_free(r);
	/* bodyPartID of the request, 0, reserved; unknown; no value */
	assert_int_equal(try_control(1, OID_CMC_SENDER_NONCE,
	    BYTES("\x04\x01n"), NULL), HR_INVALID_DATA);
	assert_int_equal(try_control(0, OID_CMC_SENDER_NONCE,
	    BYTES("\x04\x01n"), NULL), HR_INVALID_DATA);
	assert_int_equal(try_control(0xffffffff, OID_CMC_SENDER_NONCE,
	    BYTES("\x04\x01n"), NULL), HR_INVALID_DATA);
	assert_int_equal(try_control(2, OID_CMC_STATUS_INFO,
	    BYTES("\x30\0"), NULL), HR_INVALID_DATA);
	assert_int_equal(try_control(2, OID_CMC_SENDER_NONCE, NOTHING, NULL),
	    HR_INVALID_DATA);
	assert_int_equal(try_control(2, OID_CMC_SENDER_NONCE,
	    BYTES("\x04\x01n\x04\x01n"), NULL), HR_INVALID_DATA);
	/* a key's hash without the key */
	assert_int_equal(try_control(2, OID_ENCRYPTED_KEY_HASH,
	    BYTES("\x04\x01h"), NULL), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL);
	put_control(&c, 2, OID_CMC_SENDER_NONCE, BYTES("\x04\x01n"));
	put_control(&c, 3, OID_CMC_SENDER_NONCE, BYTES("\x04\x01n"));
	assert_int_equal(try_cmc(INNER_GOOD, buf_slice(&c), OUTER_KEY, NULL),
	    HR_INVALID_DATA);
	buf_free(&c);
}

static uint32_t
try_added(struct slice oid, int tag, struct slice list, enum outer outer,
    struct request **out)
{
	struct buf v = { 0 }, c = { 0 };
	uint32_t rc;

	put_reference(&v, tag, list);
	put_control(&c, 2, oid, buf_slice(&v));
	rc = try_cmc(INNER_GOOD, buf_slice(&c), outer, out);
	buf_free(&v);
	buf_free(&c);
	return rc;
}

/* W3: what nobody signed may hint at a template, and nothing more. */
static void
test_added(void **state)
{
	static const char *const pair[] = { "CertificateTemplate", "Web" };
	struct request *r = NULL;
	struct buf e = { 0 }, a = { 0 };

	(void)state;
	put_ext(&e, OID_TEMPLATE_NAME, false, BYTES("\x1e\x04\0W\0S"));
	assert_int_equal(try_added(OID_CMC_ADD_EXTENSIONS, DER_SEQ,
	    buf_slice(&e), OUTER_NO_SIGN, &r), 0);
	assert_string_equal(r->hint[0].name, "WS");
	request_free(r);
	put_ext(&e, OID_EXT_SAN, false, BYTES("\x30\x05\x82\x03" "a.b"));
	assert_int_equal(try_added(OID_CMC_ADD_EXTENSIONS, DER_SEQ,
	    buf_slice(&e), OUTER_NO_SIGN, NULL), HR_INVALID_DATA);
	assert_int_equal(try_added(OID_CMC_ADD_EXTENSIONS, DER_SEQ,
	    buf_slice(&e), OUTER_KEY, &r), 0);
	assert_int_equal(r->names.nsan, 1);
	request_free(r);
	put_pairs(&a, pair, 1);
	assert_int_equal(try_added(OID_CMC_ADD_ATTRIBUTES, DER_SET,
	    buf_slice(&a), OUTER_NO_SIGN, &r), 0);
	assert_string_equal(r->hint[0].name, "Web");
	request_free(r);
	buf_reset(&a);
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	assert_int_equal(try_added(OID_CMC_ADD_ATTRIBUTES, DER_SET,
	    buf_slice(&a), OUTER_KEY, NULL), HR_INVALID_DATA);
	buf_free(&e);
	buf_free(&a);
}

/* The EOBO form of CMS: a pair in the signed attributes. */
static void
test_signed_pair(void **state)
{
	static const char *const pair[] = { "requestername", "LAB\\alice" };
	struct cms_make c = { .type = OID_PKCS7_DATA, .key = fix.key,
	    .old = fix.old, .cert = buf_slice(&fix.cert),
	    .signer = { OUTER_CERT }, .nsigner = 1 };
	struct buf csr = { 0 }, attr = { 0 }, b = { 0 };
	struct request *r;

	(void)state;
	put_csr(&csr, fix.key, NOTHING, INNER_GOOD);
	put_pairs(&attr, pair, 1);
	c.content = buf_slice(&csr);
	c.attr = buf_slice(&attr);
	put_cms(&b, &c);
	r = accepted(buf_slice(&b));
	assert_string_equal(r->requester_name, "LAB\\alice");
	request_free(r);
	c.signer[0] = OUTER_NO_SIGN;
	buf_reset(&b);
	put_cms(&b, &c);
	r = accepted(buf_slice(&b));
	assert_null(r->requester_name);
	request_free(r);
	buf_free(&csr);
	buf_free(&attr);
	buf_free(&b);
}

/* Two persons have agreed only to what both have signed. */
static void
test_pair_of_one_signer(void **state)
{
	static const char *const pair[] = { "RequesterName", "LAB\\alice" };
	struct cms_make c = { .signer = { OUTER_KEY, OUTER_CERT,
	    OUTER_CERT_2 }, .nsigner = 3 };
	struct buf attr = { 0 }, more = { 0 }, b = { 0 };
	struct request *r;
	unsigned silent;

	(void)state;
	put_pairs(&attr, pair, 1);
	put_cert(&more, fix.old, 78);
	c.attr = buf_slice(&attr);
	c.more[0] = buf_slice(&more);
	for (silent = 0; silent < 8; silent++) {
		buf_reset(&b);
		c.silent = silent;
		make_cmc(&b, INNER_GOOD, NOTHING, &c);
		if ((silent & 6) != 0 && silent != 7) {
			refused(buf_slice(&b), CERTSRV_E_SIGNATURE_REJECTED,
			    "not every signer's certificate");
			continue;
		}
		r = accepted(buf_slice(&b));
		if (silent != 7)
			assert_string_equal(r->requester_name, "LAB\\alice");
		else
			assert_null(r->requester_name);
		request_free(r);
	}
	buf_free(&attr);
	buf_free(&more);
	buf_free(&b);
}

static void
test_unsigned_attributes(void **state)
{
	struct cms_make c = { .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf v = { 0 }, hash = { 0 }, b = { 0 }, octets = { 0 };
	const uint8_t md[32] = { 0 };
	struct request *r;

	(void)state;
	put_attr(&v, OID_ARCHIVED_KEY, BYTES("\x30\0"));
	c.unsigned_attrs = buf_slice(&v);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL, "hash");
	put_control(&hash, 2, OID_ENCRYPTED_KEY_HASH, BYTES("\x04\x01h"));
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	refused(buf_slice(&b), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "not that of");
	der_put(&octets, DER_OCTETS, md, sizeof(md));
	assert_int_equal(EVP_Digest("\x30\0", 2, octets.p + 2, NULL,
	    EVP_sha256(), NULL), 1);
	buf_reset(&hash);
	put_control(&hash, 2, OID_ENCRYPTED_KEY_HASH, buf_slice(&octets));
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	r = accepted(buf_slice(&b));
	assert_int_equal(r->archived_key.n, 2);
	request_free(r);
	put_attr(&v, OID_OS_VERSION, BYTES("\x05\0"));
	c.unsigned_attrs = buf_slice(&v);
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "left over");
	buf_reset(&v);
	put_attr(&v, OID_OS_VERSION, BYTES("\x05\0"));
	c.unsigned_attrs = buf_slice(&v);
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "unsigned attribute");
	buf_free(&v);
	buf_free(&hash);
	buf_free(&octets);
	buf_free(&b);
}

/* [RFC2797] 3.1's other choice, crm [1], instead of tcr [0]. */
static void
test_crmf(void **state)
{
	struct cms_make c = { .type = OID_CCT_PKI_DATA, .key = fix.key,
	    .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf csr = { 0 }, data = { 0 }, b = { 0 };
	uint8_t *tcr;

	(void)state;
	put_csr(&csr, fix.key, NOTHING, INNER_GOOD);
	put_pkidata(&data, NOTHING, buf_slice(&csr));
	tcr = memchr(data.p, DER_CTXC(0), data.n);
	assert_non_null(tcr);
	*tcr = DER_CTXC(1);
	c.content = buf_slice(&data);
	put_cms(&b, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "CRMF and other forms");
	buf_free(&csr);
	buf_free(&data);
	buf_free(&b);
}

static void
test_add_hint(void **state)
{
	struct request *r = accepted_csr(NOTHING);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(request_add_hint(r, HINT_CONTEXT, "Web", &err), 0);
	assert_string_equal(r->hint[0].name, "Web");
	assert_int_equal(request_add_hint(r, HINT_CONTEXT, "Web", &err), -1);
	assert_int_equal(r->nhint, 1);
	request_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_no_extensions),
		cmocka_unit_test(test_unreadable_names),
		cmocka_unit_test(test_bad_extensions),
		cmocka_unit_test(test_template_names),
		cmocka_unit_test(test_sid_claims),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_name_values),
		cmocka_unit_test(test_values_of_pairs),
		cmocka_unit_test(test_reginfo),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_signed_pair),
		cmocka_unit_test(test_pair_of_one_signer),
		cmocka_unit_test(test_unsigned_attributes),
		cmocka_unit_test(test_crmf),
		cmocka_unit_test(test_add_hint),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
