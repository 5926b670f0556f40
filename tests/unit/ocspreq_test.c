/* OCSP requests: OpenSSL's, each rule broken once, and the path of a GET. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ocsp.h>

#include "base64.h"
#include "ca_fixture.h"
#include "der.h"
#include "frontend/ocsp.h"
#include "ocspreq.h"
#include "oid.h"

/* A request written by hand, so that each part can be wrong. */
struct made {
	struct slice	 hash;
	bool		 no_null, critical, two_nonces, other_issuer, trailing;
	size_t		 hash_octets, ids, nonce;
	const char	*serial;
	size_t		 nserial;
	uint64_t	 version;
};

static struct made
usual(void)
{
	return (struct made){
		.hash = OID_SHA1, .hash_octets = 20, .ids = 1,
		.serial = "\x43\x3e\x01", .nserial = 3
	};
}

static void
put_id(struct buf *b, const struct made *m, size_t nth)
{
	const uint8_t other = m->other_issuer && nth > 0;
	size_t one = der_open(b, DER_SEQ), id = der_open(b, DER_SEQ);
	size_t alg = der_open(b, DER_SEQ);
	uint8_t hash[64];

	memset(hash, 7 + other, sizeof(hash));
	der_put_oid(b, m->hash);
	if (!m->no_null)
		der_put(b, DER_NULL, NULL, 0);
	der_close(b, alg);
	der_put(b, DER_OCTETS, hash, m->hash_octets);
	der_put(b, DER_OCTETS, hash, m->hash_octets);
	der_put(b, DER_INTEGER, m->serial, m->nserial);
	der_close(b, id);
	der_close(b, one);
}

static void
put_extension(struct buf *b, struct slice oid, bool critical, size_t n)
{
	uint8_t value[256] = { 0 };
	size_t ext = der_open(b, DER_SEQ);

	der_put_oid(b, oid);
	if (critical)
		der_put_bool(b, true);
	der_put(b, DER_OCTETS, value, n);
	der_close(b, ext);
}

static void
make(const struct made *m, struct buf *b)
{
	size_t all = der_open(b, DER_SEQ), tbs = der_open(b, DER_SEQ), list, i;
	size_t tag;

	if (m->version != 0) {
		tag = der_open(b, DER_CTXC(0));
		der_put_uint(b, m->version);
		der_close(b, tag);
	}
	list = der_open(b, DER_SEQ);
	for (i = 0; i < m->ids; i++)
		put_id(b, m, i);
	der_close(b, list);
	tag = der_open(b, DER_CTXC(2));
	list = der_open(b, DER_SEQ);
	for (i = 0; m->nonce > 0 && i < 1u + m->two_nonces; i++)
		put_extension(b, OID_OCSP_NONCE, false, m->nonce);
	put_extension(b, OID_EXT_CDP, m->critical, 2);
	der_close(b, list);
	der_close(b, tag);
	der_close(b, tbs);
	der_close(b, all);
	if (m->trailing)
		buf_addc(b, 0);
}

static int
parse(const struct made *m, struct ocsp_request *r, struct err *err)
{
	static struct buf b;

	buf_reset(&b);
	make(m, &b);
	memset(err, 0, sizeof(*err));
	return ocsp_request_parse(buf_slice(&b), r, err);
}

static void
good(void **state)
{
	struct made m = usual();
	struct ocsp_request r;
	struct err err;

	(void)state;
	m.nonce = 32;
	assert_int_equal(parse(&m, &r, &err), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.id[0].hash, OCSP_SHA1);
	assert_true(r.id[0].usual);
	assert_int_equal(r.nonce.n, 32);
	assert_true(slice_eq(r.id[0].serial, slice_of("\x43\x3e\x01", 3)));
	m.no_null = true;
	m.ids = OCSP_IDS;
	m.hash = OID_SHA256;
	m.hash_octets = 32;
	/* The row has the number's octets, not the INTEGER's. */
	m.serial = "\x00\xff";
	m.nserial = 2;
	assert_int_equal(parse(&m, &r, &err), 0);
	assert_int_equal(r.n, OCSP_IDS);
	assert_false(r.id[3].usual);
	assert_true(slice_eq(r.id[3].serial, slice_of("\xff", 1)));
}

static void
refused(const struct made *m, const char *text)
{
	struct ocsp_request r;
	struct err err;

	assert_int_equal(parse(m, &r, &err), -1);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err.text, text);
}

static void
bad(void **state)
{
	static const struct {
		struct made	 m;
		const char	*text;
	} cases[] = {
		{ { .hash_octets = 48, .ids = 1 }, "neither SHA-1" },
		{ { .hash_octets = 19, .ids = 1 }, "20 octets" },
		{ { .hash_octets = 20, .ids = 0 }, "empty" },
		{ { .hash_octets = 20, .ids = OCSP_IDS + 1 }, "more than" },
		{ { .hash_octets = 20, .ids = 2, .other_issuer = true },
		    "one issuer" },
		{ { .hash_octets = 20, .ids = 1, .critical = true },
		    "critical" },
		{ { .hash_octets = 20, .ids = 1, .nonce = 132 }, "nonce" },
		{ { .hash_octets = 20, .ids = 1, .nonce = 9,
		    .two_nonces = true }, "twice" },
		{ { .hash_octets = 20, .ids = 1, .version = 1 }, "v1" },
		{ { .hash_octets = 20, .ids = 1, .trailing = true },
		    "OCSPRequest" },
		{ { .hash_octets = 20, .ids = 1, .serial = "\xff",
		    .nserial = 1 }, "negative" },
		{ { .hash_octets = 20, .ids = 1, .nserial = 21,
		    .serial = "\x01xxxxxxxxxxxxxxxxxxxx" }, "21 octets" },
	};
	struct ocsp_request r;
	struct err err = ERR_INIT;
	uint8_t large[OCSP_REQUEST_MAX + 1] = { 0 };
	struct made m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m = cases[i].m;
		m.hash = i == 0 ? OID_SHA384 : OID_SHA1;
		if (m.serial == NULL) {
			m.serial = "\x05";
			m.nserial = 1;
		}
		refused(&m, cases[i].text);
	}
	assert_int_equal(ocsp_request_parse(slice_of(large, sizeof(large)),
	    &r, &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
}

/* What OpenSSL asks about a CA of ours is recognised, and of no other. */
static void
issuer(void **state)
{
	const EVP_MD *const md[] = { EVP_sha1(), EVP_sha256() };
	struct ca_fixture f[2];
	struct ca *ca[2];
	OCSP_REQUEST *q;
	struct ocsp_request r;
	struct err err = ERR_INIT;
	struct buf id = { 0 };
	unsigned char *der;
	const unsigned char *p;
	X509 *x;
	int i, n;

	(void)state;
	for (i = 0; i < 2; i++) {
		fixture_make(&f[i], "P-256");
		ca[i] = fixture_ca(&f[i]);
	}
	p = ca[0]->cert.der.p;
	x = d2i_X509(NULL, &p, (long)ca[0]->cert.der.n);
	for (i = 0; i < 2; i++) {
		q = OCSP_REQUEST_new();
		assert_non_null(OCSP_request_add0_id(q, OCSP_cert_id_new(md[i],
		    X509_get_subject_name(x), X509_get0_pubkey_bitstr(x),
		    X509_get0_serialNumber(x))));
		assert_int_equal(OCSP_request_add1_nonce(q, NULL, 16), 1);
		der = NULL;
		n = i2d_OCSP_REQUEST(q, &der);
		assert_int_equal(ocsp_request_parse(slice_of(der, (size_t)n),
		    &r, &err), 0);
		assert_true(ocsp_is_issuer(&r.id[0],
		    buf_slice(&ca[0]->cert.der)));
		assert_false(ocsp_is_issuer(&r.id[0],
		    buf_slice(&ca[1]->cert.der)));
		assert_true(r.nonce.n == 18);	/* with its own head */
		/* And what we write is what OpenSSL writes. */
		buf_reset(&id);
		assert_int_equal(ocsp_put_id(r.id[0].hash,
		    buf_slice(&ca[0]->cert.der), r.id[0].serial, &id, &err),
		    0);
		assert_true(slice_eq(buf_slice(&id), r.id[0].tlv));
		OPENSSL_free(der);
		OCSP_REQUEST_free(q);
	}
	X509_free(x);
	buf_free(&id);
	for (i = 0; i < 2; i++) {
		ca_free(ca[i]);
		fixture_remove(&f[i]);
	}
}

/* [RFC6960] A.1.1: base64, escaped or not, with // kept. */
static void
path(void **state)
{
	static const struct {
		const char	*target;
		bool		 ok;
	} cases[] = {
		{ "/ocsp/+/8=", true }, { "/ocsp/%2B%2F8%3D", true },
		{ "/ocsp/%2b/8%3d", true }, { "/ocsp/+/8=?x", true },
		{ "/ocsp//+/8=", true }, { "/ocsp///%2B/8=", true },
		{ "/ocsp", false }, { "/ocspx/+/8=", false },
		{ "/ocsp/%2", false }, { "/ocsp/%zz", false },
		{ "/ocsp/+/8", false }, { "/ocsp/*", false },
		{ "/other/+/8=", false }, { "", false },
	};
	struct err err;
	struct buf out = { 0 };
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&err, 0, sizeof(err));
		buf_reset(&out);
		rc = ocsp_path(cases[i].target, "http://h:80/ocsp", &out,
		    &err);
		assert_int_equal(rc, cases[i].ok ? 0 : -1);
		if (cases[i].ok)
			assert_true(slice_eq(buf_slice(&out),
			    slice_of("\xfb\xff", 2)));
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good), cmocka_unit_test(bad),
		cmocka_unit_test(issuer), cmocka_unit_test(path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
