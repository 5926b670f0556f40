/* Requests: every form, every proof, and what clients sent. */
#include "request_fixture.h"

static void
test_pkcs10(void **state)
{
	struct request *r = accepted_csr(NOTHING);

	(void)state;
	assert_int_equal(r->form, FORM_PKCS10);
	assert_int_equal(r->pop, POP_PKCS10);
	assert_int_equal(r->key->kind, KEY_P256);
	assert_int_equal(r->names.nrdn, 1);
	assert_string_equal(r->names.rdn[0].value, "fixture");
	assert_int_equal(r->body_part_id, 1);
	assert_int_equal(r->nhint, 0);
	assert_null(r->sid);
	request_free(r);
	request_free(NULL);
}

static void
test_no_attributes(void **state)
{
	struct buf b = { 0 };
	struct request *r;

	(void)state;
	put_csr_with(&b, fix.key, NOTHING, INNER_GOOD);
	r = accepted(buf_slice(&b));
	assert_string_equal(r->names.rdn[0].value, "fixture");
	request_free(r);
	buf_reset(&b);
	put_csr_with(&b, fix.key, BYTES("\xa0\0\xa0\0"), INNER_GOOD);
	refused(buf_slice(&b), HR_INVALID_DATA, "left over");
	buf_reset(&b);
	put_csr_with(&b, fix.key, BYTES("\xa1\0"), INNER_GOOD);
	refused(buf_slice(&b), HR_INVALID_DATA, "attributes: tag a1");
	buf_free(&b);
}

/* Whatever is cut, changed or put behind: a refusal. */
static void
test_every_byte_matters(void **state)
{
	struct buf b = { 0 };
	struct err err;
	size_t i;

	(void)state;
	put_csr(&b, fix.key, NOTHING, INNER_GOOD);
	for (i = 0; i < b.n; i++)
		assert_int_not_equal(try(slice_of(b.p, i), NULL, &err), 0);
	for (i = 0; i < b.n; i++) {
		b.p[i] ^= 0x20;
		assert_int_not_equal(try(buf_slice(&b), NULL, &err), 0);
		b.p[i] ^= 0x20;
	}
	buf_addc(&b, 0);
	assert_int_not_equal(try(buf_slice(&b), NULL, &err), 0);
	memset(buf_extend(&b, REQUEST_MAX), 0, REQUEST_MAX);
	b.n += b.n < REQUEST_MAX ? REQUEST_MAX : 0;
	assert_int_not_equal(try(buf_slice(&b), NULL, &err), 0);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	buf_free(&b);
}

/* W2: one real signature by the certified key, whatever is around it. */
static void
test_possession(void **state)
{
	static const enum outer outers[] =
	    { OUTER_KEY, OUTER_NO_SIGN, OUTER_CERT, OUTER_NONE,
	    OUTER_KEY_BAD };
	enum inner inner;
	size_t i;

	(void)state;
	for (inner = 0; inner < INNERS; inner++) {
		for (i = 0; i < ARRAY(outers); i++) {
			bool real = inner == INNER_GOOD ||
			    inner == INNER_GOOD_SHA1;
			bool want = (real && outers[i] != OUTER_NONE &&
			    outers[i] != OUTER_KEY_BAD) ||
			    (inner == INNER_NULL && outers[i] == OUTER_KEY);
			struct request *r = NULL;
			uint32_t rc = try_cmc(inner, NOTHING, outers[i], &r);

			if ((rc == 0) != want)
				fail_msg("inner %d outer %d: %08x", inner,
				    outers[i], rc);
			if (r != NULL)
				assert_int_equal(r->pop, real ? POP_PKCS10 :
				    POP_CMC_SKI);
			request_free(r);
		}
	}
}

static void
test_bare_null_signature(void **state)
{
	struct buf b = { 0 };

	(void)state;
	put_csr(&b, fix.key, NOTHING, INNER_NULL);
	refused(buf_slice(&b), NTE_BAD_SIGNATURE, "null signature");
	buf_reset(&b);
	put_csr(&b, fix.key, NOTHING, INNER_BAD);
	refused(buf_slice(&b), NTE_BAD_SIGNATURE, "pkcs10");
	buf_free(&b);
}

static void
test_outer_rules(void **state)
{
	static const struct {
		enum outer	 outer;
		uint32_t	 hresult;
	} cases[] = {
		{ OUTER_NONE, CRYPT_E_NO_SIGNER },
		{ OUTER_KEY_BAD, NTE_BAD_SIGNATURE },
		{ OUTER_KEY_WRONG_SKI, CRYPT_E_NOT_FOUND },
		{ OUTER_KEY_BARE, HR_INVALID_DATA },
		{ OUTER_CERT_BARE, HR_INVALID_DATA },
		{ OUTER_CERT_SHA1, NTE_BAD_ALGID },
		{ OUTER_NO_TYPE, HR_INVALID_DATA },
		{ OUTER_NO_DIGEST, HR_INVALID_DATA },
		{ OUTER_WRONG_TYPE, NTE_BAD_SIGNATURE },
		{ OUTER_WRONG_DIGEST, NTE_BAD_SIGNATURE },
		{ OUTER_NO_SIGN, 0 },
		{ OUTER_NO_SIGN_WRONG, NTE_BAD_SIGNATURE },
		{ OUTER_KEY_SHA1, 0 },
	};
	struct cms_make c = { .signer = { OUTER_KEY_WRONG_SKI }, .nsigner = 1 };
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(cases); i++) {
		uint32_t rc = try_cmc(INNER_GOOD, NOTHING, cases[i].outer,
		    NULL);

		if (rc != cases[i].hresult)
			fail_msg("outer %d: %08x", cases[i].outer, rc);
	}
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), CRYPT_E_NOT_FOUND, "issuer and serial number");
	c.signer[0] = OUTER_CERT_SHA1;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), NTE_BAD_ALGID, "sign with sha256");
	buf_free(&b);
}

static void
test_two_signers(void **state)
{
	struct cms_make c = { .signer = { OUTER_KEY, OUTER_CERT },
	    .nsigner = 2 };
	struct buf b = { 0 };
	struct request *r;

	(void)state;
	make_cmc(&b, INNER_NULL, NOTHING, &c);
	r = accepted(buf_slice(&b));
	assert_int_equal(r->form, FORM_CMC);
	assert_int_equal(r->nsigner, 1);
	assert_true(r->signer[0].verified);
	assert_true(slice_eq(r->signer[0].cert, buf_slice(&fix.cert)));
	assert_int_equal(r->signer[0].serial.p[0], 77);
	request_free(r);

	c.signer[1] = OUTER_KEY;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "two signers");
	c.signer[0] = c.signer[1] = OUTER_CERT;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), HR_INVALID_DATA, "one certificate");
	buf_free(&b);
}

/*
 * [MS-WCCE] 3.1.1.4.3.3.3: the first signer is the new key or nobody, the
 * authorities come behind it.
 */
static void
test_three_signers(void **state)
{
	struct buf b = { 0 }, more[2] = { { 0 } };
	struct cms_make c = { .signer = { OUTER_KEY, OUTER_CERT,
	    OUTER_CERT_2 }, .nsigner = 3 };
	struct request *r;
	struct err err;

	(void)state;
	put_cert(&more[0], fix.old, 78);
	put_cert(&more[1], fix.old, 79);
	c.more[0] = buf_slice(&more[0]);
	c.more[1] = buf_slice(&more[1]);
	make_cmc(&b, INNER_NULL, NOTHING, &c);
	r = accepted(buf_slice(&b));
	assert_int_equal(r->nsigner, 2);
	assert_true(r->signer[0].verified && r->signer[1].verified);
	assert_int_equal(r->signer[1].serial.p[0], 78);
	request_free(r);
	c.signer[0] = OUTER_NO_SIGN;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	request_free(accepted(buf_slice(&b)));

	c.signer[0] = OUTER_CERT_3;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	assert_int_not_equal(try(buf_slice(&b), NULL, &err), 0);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	assert_non_null(strstr(err.text, "certificates"));
	c.signer[0] = OUTER_NO_SIGN;
	c.signer[3] = OUTER_KEY;
	c.nsigner = 4;
	buf_reset(&b);
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	assert_int_not_equal(try(buf_slice(&b), NULL, &err), 0);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	buf_free(&more[0]);
	buf_free(&more[1]);
	buf_free(&b);
}

/* What workers leave to signers, and what they do not. */
static void
test_unjudged(void **state)
{
	struct cms_make c = { .signer = { OUTER_KEY, OUTER_CERT },
	    .nsigner = 2 };
	struct buf b = { 0 };
	struct request *r;
	struct err err = ERR_INIT;
	EVP_PKEY *old = fix.old;

	(void)state;
	fix.old = fix.key;		/* not the certificate's */
	make_cmc(&b, INNER_NULL, NOTHING, &c);
	fix.old = old;
	refused(buf_slice(&b), NTE_BAD_SIGNATURE, "signer by certificate");
	r = request_parse_unjudged(buf_slice(&b), &err);
	assert_non_null(r);
	assert_int_equal(r->nsigner, 1);
	assert_false(r->signer[0].verified);
	request_free(r);

	c.signer[0] = OUTER_KEY_BAD;
	buf_reset(&b);
	make_cmc(&b, INNER_NULL, NOTHING, &c);
	assert_null(request_parse_unjudged(buf_slice(&b), &err));
	assert_int_equal(err.hresult, NTE_BAD_SIGNATURE);

	buf_reset(&b);			/* around what has proven the key */
	make_cmc(&b, INNER_GOOD, NOTHING, &c);
	refused(buf_slice(&b), NTE_BAD_SIGNATURE, "signer by the new key");
	memset(&err, 0, sizeof(err));
	r = request_parse_unjudged(buf_slice(&b), &err);
	assert_non_null(r);
	request_free(r);
	buf_reset(&b);
	make_cmc(&b, INNER_BAD, NOTHING, &c);
	assert_null(request_parse_unjudged(buf_slice(&b), &err));
	assert_int_equal(err.hresult, NTE_BAD_SIGNATURE);
	buf_free(&b);
}

/* CMS over PKCS#10: the renewal of schema 1. */
static void
make_cms(struct buf *out, struct slice renewal, enum outer outer)
{
	struct cms_make c = { .type = OID_PKCS7_DATA, .key = fix.key,
	    .old = fix.old, .cert = buf_slice(&fix.cert),
	    .signer = { outer }, .nsigner = 1 };
	struct buf csr = { 0 }, attrs = { 0 };

	if (renewal.n != 0)
		put_attr(&attrs, OID_RENEWAL_CERT, renewal);
	put_csr(&csr, fix.key, buf_slice(&attrs), INNER_GOOD);
	c.content = buf_slice(&csr);
	buf_reset(out);
	put_cms(out, &c);
	buf_free(&csr);
	buf_free(&attrs);
}

static void
test_renewal(void **state)
{
	struct buf b = { 0 }, other = { 0 };
	struct request *r;

	(void)state;
	make_cms(&b, buf_slice(&fix.cert), OUTER_CERT_BARE);
	r = accepted(buf_slice(&b));
	assert_int_equal(r->form, FORM_CMS);
	assert_int_equal(r->nsigner, 1);
	assert_true(slice_eq(r->old_cert, buf_slice(&fix.cert)));
	request_free(r);
	make_cms(&b, buf_slice(&fix.cert), OUTER_CERT);
	request_free(accepted(buf_slice(&b)));
	make_cms(&b, NOTHING, OUTER_CERT);
	r = accepted(buf_slice(&b));
	assert_int_equal(r->old_cert.n, 0);
	request_free(r);

	make_cms(&b, buf_slice(&fix.cert), OUTER_KEY);
	refused(buf_slice(&b), CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE, "signer");
	put_cert(&other, fix.old, 78);
	make_cms(&b, buf_slice(&other), OUTER_CERT);
	refused(buf_slice(&b), CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE, "signer");
	make_cms(&b, buf_slice(&fix.cert), OUTER_CERT_SHA1);
	r = accepted(buf_slice(&b));
	assert_true(r->signer[0].verified && r->signer[0].sha1);
	request_free(r);
	make_cms(&b, NOTHING, OUTER_CERT_SHA1);
	refused(buf_slice(&b), NTE_BAD_ALGID, "sha1");
	buf_reset(&b);
	put_attr(&b, OID_RENEWAL_CERT, buf_slice(&fix.cert));
	refused_csr(buf_slice(&b), CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
	    "renewal");
	buf_free(&b);
	buf_free(&other);
}

static void
test_not_requests(void **state)
{
	(void)state;
	refused(NOTHING, HR_INVALID_DATA, "missing");
	refused(BYTES("\x30\0"), HR_INVALID_DATA, "missing");
	refused(BYTES("\x30\x80\0\0"), HR_INVALID_DATA, "indefinite");
	refused(BYTES("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"),
	    HR_NOT_SUPPORTED, "attestation");
	refused(BYTES("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x05"),
	    CRYPT_E_BAD_MSG, "1.2.840.113549.1.7.5");
}

static bool
read_capture(const char *name, struct buf *out)
{
	char path[256], text[16384], *from = text, *end;
	struct err err = ERR_INIT;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), CAPTURES "%s", name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	if (strncmp(text, "-----BEGIN", 10) == 0) {
		from = strchr(text, '\n');
		end = strstr(from, "-----END");
		n = (size_t)(end - from);
	}
	buf_reset(out);
	assert_int_equal(base64_decode(from, n, REQUEST_MAX, out, &err), 0);
	return true;
}

/* text NULL: accepted; otherwise part of the reason. */
static const struct capture {
	const char	*name, *text;
	enum request_form form;
} captures[] = {
	{ "csr/CertificateContentValidator-01-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateContentValidator-04-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateContentValidator-06-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-01-cms.b64", NULL, FORM_CMS },
	{ "csr/CertificateRequestValidator-04-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-06-pkcs10.b64",
	    "1.2.840.10040.4.1", FORM_PKCS10 },		/* DSA */
	{ "csr/CertificateRequestValidator-09-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-14-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-16-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-18-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-21-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-23-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-26-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-28-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-30-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-32-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-37-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/CertificateRequestValidator-40-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/FinalResultValidator-05-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/YubikeyValidator-01-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/YubikeyValidator-03-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "csr/YubikeyValidator-06-pkcs10.b64", NULL, FORM_PKCS10 },
	{ "requests/ucm-windows11-certreq-new-cmc.req", NULL, FORM_CMC },
	/* its template is 2.25 and a 128 bit number */
	{ "requests/modularca-windows11-getcertificate-cmc.b64",
	    "arc above", FORM_CMC },
	{ "requests/modularca-windows11-certreq-renewal-cmc.b64", NULL,
	    FORM_CMC },
	{ "requests/pyasn1modules-windows2012-cmc.b64", NULL, FORM_CMC },
};

static void
check_capture(const struct capture *c, struct slice der)
{
	struct request *r;

	if (c->text != NULL) {
		struct err err = ERR_INIT;

		if (request_parse(der, &err) != NULL ||
		    strstr(err.text, c->text) == NULL)
			fail_msg("%s: %s", c->name, err.text);
		return;
	}
	r = accepted(der);
	assert_int_equal(r->form, c->form);
	request_free(r);
}

static void
test_captures(void **state)
{
	struct buf b = { 0 };
	size_t i, seen = 0;

	(void)state;
	for (i = 0; i < ARRAY(captures); i++) {
		if (!read_capture(captures[i].name, &b))
			continue;
		check_capture(&captures[i], buf_slice(&b));
		seen++;
	}
	buf_free(&b);
	if (seen == 0) {
		print_message("no captures in " CAPTURES ": skipped\n");
		skip();
	}
	assert_int_equal(seen, ARRAY(captures));
}

static void
test_captured_renewal(void **state)
{
	struct buf b = { 0 };
	struct request *r;

	(void)state;
	if (!read_capture("requests/modularca-windows11-certreq-renewal-cmc"
	    ".b64", &b)) {
		print_message("no captures in " CAPTURES ": skipped\n");
		skip();
	}
	r = accepted(buf_slice(&b));
	assert_int_equal(r->nsigner, 1);
	assert_true(slice_eq(r->signer[0].cert, r->old_cert));
	assert_int_equal(r->names.nrdn, 0);
	assert_string_equal(r->client_info, "certreq.exe");
	assert_int_equal(r->key->bits, 1024);
	request_free(r);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pkcs10),
		cmocka_unit_test(test_no_attributes),
		cmocka_unit_test(test_every_byte_matters),
		cmocka_unit_test(test_possession),
		cmocka_unit_test(test_bare_null_signature),
		cmocka_unit_test(test_outer_rules),
		cmocka_unit_test(test_two_signers),
		cmocka_unit_test(test_three_signers),
		cmocka_unit_test(test_unjudged),
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_not_requests),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_captured_renewal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
