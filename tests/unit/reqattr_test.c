/* Attributes of requests and of who signs them: common/reqattr.c. */
#include "request_fixture.h"

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
	put_attr(&a, BYTES("\x2a\x03\x0a"), BYTES("\x13\x01" "a\x13\x01" "b"));
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
	/* An attribute for each, as adcs-rs writes them. */
	buf_reset(&v);
	put_pair(&v, "CertificateTemplate", "Web");
	put_attr(&a, OID_NAME_VALUE, buf_slice(&v));
	buf_reset(&v);
	put_pair(&v, "rmd", "x");
	put_attr(&a, OID_NAME_VALUE, buf_slice(&v));
	r = accepted_csr(buf_slice(&a));
	assert_int_equal(r->nhint, 1);
	request_free(r);
	put_attr(&a, OID_NAME_VALUE, buf_slice(&v));
	refused_csr(buf_slice(&a), HR_INVALID_DATA, "twice");
	buf_free(&v);
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

/* Each says whom it is for, and nobody says it in his place. */
static void
test_signers_who_disagree(void **state)
{
	static const char *const alice[] = { "RequesterName", "LAB\\alice" },
	    *const bob[] = { "RequesterName", "LAB\\bob" };
	struct cms_make c = { .signer = { OUTER_KEY, OUTER_CERT,
	    OUTER_CERT_2 }, .nsigner = 3 };
	struct buf attr = { 0 }, other = { 0 }, more = { 0 }, b = { 0 };
	struct buf text = { 0 }, info = { 0 };

	(void)state;
	put_pairs(&attr, alice, 1);
	put_pairs(&other, bob, 1);
	put_cert(&more, fix.old, 78);
	c.attr = buf_slice(&attr);
	c.other = buf_slice(&other);
	c.more[0] = buf_slice(&more);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "RequesterName: twice");
	c.nsigner = 2;		/* the new key says alice, its authority bob */
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "RequesterName: twice");
	c.other = NOTHING;
	der_put_str(&text, DER_OCTETS, "RequesterName=LAB%5Cbob");
	put_control(&info, 2, OID_CMC_REG_INFO, buf_slice(&text));
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&info), &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "RequesterName: twice");
	buf_free(&attr);
	buf_free(&other);
	buf_free(&more);
	buf_free(&text);
	buf_free(&info);
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
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_name_values),
		cmocka_unit_test(test_values_of_pairs),
		cmocka_unit_test(test_signed_pair),
		cmocka_unit_test(test_pair_of_one_signer),
		cmocka_unit_test(test_signers_who_disagree),
		cmocka_unit_test(test_add_hint),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
