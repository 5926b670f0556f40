/* What surrounds the request in CMC: common/cmc.c. */
#include "request_fixture.h"
#include "cms.h"

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
	/* What nobody reads: nothing, and no text. */
	assert_int_equal(try_reginfo("cdc=&rmd=%ff&x=%&", OUTER_KEY, &r), 0);
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

static void
refused_controls(struct buf *controls, uint32_t hresult, const char *text)
{
	struct cms_make c = { .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf b = { 0 };

	make_cmc(&b, INNER_GOOD, buf_slice(controls), &c);
	refused(buf_slice(&b), hresult, text);
	buf_free(&b);
	buf_reset(controls);
}

/* What an answer would repeat, and how much there may be of it. */
static void
test_limits_of_controls(void **state)
{
	static const uint8_t zeroes[200] = { 0 };
	struct buf c = { 0 }, v = { 0 };
	uint64_t id;

	(void)state;
	put_control(&c, 2, OID_CMC_SENDER_NONCE, BYTES("\x04\x01n"));
	put_control(&c, 2, OID_CMC_TRANSACTION_ID, BYTES("\x02\x01\x09"));
	refused_controls(&c, HR_INVALID_DATA, "bodyPartID: 2 twice");
	for (id = 2; id < CMC_CONTROLS + 3; id++) {
		buf_reset(&v);
		der_put_oid(&v, OID_CMC_SENDER_NONCE);
		v.p[v.n - 1] = (uint8_t)(100 + id);
		put_control(&c, id, slice_of(v.p + 2, v.n - 2),
		    BYTES("\x05\0"));
	}
	refused_controls(&c, HR_INVALID_DATA, "controls: more than 8");
	put_control(&c, 2, OID_CMC_SENDER_NONCE, BYTES("\x04\0"));
	refused_controls(&c, HR_INVALID_DATA, "senderNonce: 0 octets");
	buf_reset(&v);
	der_put(&v, DER_OCTETS, zeroes, 129);
	put_control(&c, 2, OID_CMC_SENDER_NONCE, buf_slice(&v));
	refused_controls(&c, HR_INVALID_DATA, "senderNonce: 129 octets");
	buf_reset(&v);
	der_put_uint(&v, 1);
	v.p[1] = 65;
	buf_add(&v, zeroes, 64);
	put_control(&c, 2, OID_CMC_TRANSACTION_ID, buf_slice(&v));
	refused_controls(&c, HR_INVALID_DATA, "transactionId: more than 64");
	buf_free(&c);
	buf_free(&v);
}

/* An addExtensions of another part than the one request. */
static void
test_reference_elsewhere(void **state)
{
	struct buf e = { 0 }, v = { 0 }, c = { 0 };
	size_t i;

	(void)state;
	put_ext(&e, OID_TEMPLATE_NAME, false, BYTES("\x1e\x02\0W"));
	for (i = 0; i < 2; i++) {	/* pkiDataReference, certReferences */
		put_reference(&v, DER_SEQ, buf_slice(&e));
		v.p[i == 0 ? 4 : 9] = 7;
		put_control(&c, 2, OID_CMC_ADD_EXTENSIONS, buf_slice(&v));
		refused_controls(&c, HR_INVALID_DATA, "is not the request");
		buf_reset(&v);
	}
	buf_free(&e);
	buf_free(&v);
	buf_free(&c);
}

/* [RFC5652] 5.1 has more than a request needs. */
static void
test_more_than_a_request_needs(void **state)
{
	struct cms_make c = { .signer = { OUTER_CERT }, .nsigner = 1 };
	struct buf b = { 0 }, more = { 0 }, data = { 0 };
	long i;

	(void)state;
	c.crls = BYTES("\xa1\0");
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "SignedData.crls");
	c.crls = NOTHING;
	put_hash_alg(&more, EVP_sha256());
	c.digests = buf_slice(&more);
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "twice the same");
	c.digests = NOTHING;
	buf_reset(&more);
	for (i = 0; i < CMS_CERTS; i++)
		put_cert(&more, fix.old, 100 + i);
	c.more[0] = buf_slice(&more);
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "certificates: more than 8");
	/* Which of them is the signer's? */
	buf_reset(&more);
	put_cert(&more, fix.key, 77);
	c.more[0] = buf_slice(&more);
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "same issuer and serial");
	/* The form of SignedData, by the name of another content. */
	c.more[0] = NOTHING;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	der_put_oid(&data, OID_PKCS7_SIGNED);
	i = (uint8_t *)memmem(b.p, b.n, data.p, data.n) - b.p;
	b.p[(size_t)i + data.n - 1]--;
	refused(buf_slice(&b), CRYPT_E_BAD_MSG, "not SignedData");
	buf_free(&b);
	buf_free(&more);
	buf_free(&data);
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

/* Names in two places: nobody guesses which of them are meant. */
static void
test_extension_in_both(void **state)
{
	struct cms_make c = { .type = OID_CCT_PKI_DATA, .key = fix.key,
	    .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf e = { 0 }, a = { 0 }, csr = { 0 }, v = { 0 };
	struct buf control = { 0 }, data = { 0 }, b = { 0 };

	(void)state;
	put_ext(&e, OID_EXT_SAN, false, BYTES("\x30\x05\x82\x03" "a.b"));
	put_ext_request(&a, OID_EXTENSION_REQUEST, buf_slice(&e));
	put_csr(&csr, fix.key, buf_slice(&a), INNER_GOOD);
	put_reference(&v, DER_SEQ, buf_slice(&e));
	put_control(&control, 2, OID_CMC_ADD_EXTENSIONS, buf_slice(&v));
	put_pkidata(&data, buf_slice(&control), buf_slice(&csr));
	c.content = buf_slice(&data);
	put_cms(&b, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "in the pkcs10 and in ");
	buf_free(&e);
	buf_free(&a);
	buf_free(&csr);
	buf_free(&v);
	buf_free(&control);
	buf_free(&data);
	buf_free(&b);
}

static void
test_unsigned_attributes(void **state)
{
	struct cms_make c = { .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf v = { 0 }, hash = { 0 }, b = { 0 }, octets = { 0 };
	struct buf attr = { 0 }, added = { 0 };
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
	put_attr(&attr, OID_ENCRYPTED_KEY_HASH, buf_slice(&octets));
	put_reference(&added, DER_SET, buf_slice(&attr));
	put_control(&hash, 3, OID_CMC_ADD_ATTRIBUTES, buf_slice(&added));
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "key hash: twice");
	buf_reset(&hash);
	put_control(&hash, 3, OID_CMC_ADD_ATTRIBUTES, buf_slice(&added));
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	r = accepted(buf_slice(&b));	/* as Windows sends it */
	assert_true(slice_eq(r->key_hash, buf_slice(&octets)));
	request_free(r);
	c.signer[0] = OUTER_NO_SIGN;	/* anybody could put another in */
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	refused(buf_slice(&b), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "is not signed");
	c.signer[0] = OUTER_KEY;
	c.signer[1] = OUTER_CERT;
	c.nsigner = 2;
	c.unsigned_at = 1;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, buf_slice(&hash), &c);
	refused(buf_slice(&b), CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "not with the first signer");
	c.nsigner = 1;
	c.unsigned_at = 0;
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
	buf_free(&attr);
	buf_free(&added);
	buf_free(&v);
	buf_free(&hash);
	buf_free(&octets);
	buf_free(&b);
}

/* PKIData with so many times the same request. */
static void
put_requests(struct buf *b, struct slice csr, size_t n)
{
	size_t i, m = der_open(b, DER_SEQ), s, t;

	der_put(b, DER_SEQ, NULL, 0);
	s = der_open(b, DER_SEQ);
	for (i = 0; i < n; i++) {
		t = der_open(b, DER_CTXC(0));
		der_put_uint(b, i + 1);
		buf_add(b, csr.p, csr.n);
		der_close(b, t);
	}
	der_close(b, s);
	der_put(b, DER_SEQ, NULL, 0);
	der_put(b, DER_SEQ, NULL, 0);
	der_close(b, m);
}

static void
test_one_request(void **state)
{
	static const char *const why[] = { "no request", NULL,
	    "more than one request" };
	struct cms_make c = { .type = OID_CCT_PKI_DATA, .key = fix.key,
	    .signer = { OUTER_KEY }, .nsigner = 1 };
	struct buf csr = { 0 }, data = { 0 }, b = { 0 };
	size_t n;

	(void)state;
	put_csr(&csr, fix.key, NOTHING, INNER_GOOD);
	for (n = 0; n < ARRAY(why); n++) {
		buf_reset(&data);
		buf_reset(&b);
		put_requests(&data, buf_slice(&csr), n);
		c.content = buf_slice(&data);
		put_cms(&b, &c);
		if (why[n] == NULL)
			request_free(accepted(buf_slice(&b)));
		else
			refused(buf_slice(&b), HR_INVALID_DATA, why[n]);
	}
	buf_free(&csr);
	buf_free(&data);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reginfo),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_limits_of_controls),
		cmocka_unit_test(test_reference_elsewhere),
		cmocka_unit_test(test_more_than_a_request_needs),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_extension_in_both),
		cmocka_unit_test(test_unsigned_attributes),
		cmocka_unit_test(test_one_request),
		cmocka_unit_test(test_crmf),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
