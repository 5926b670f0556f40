/*
 * The CMC full response as OpenSSL reads it: CMS_verify accepts it, leaf and
 * chain are in it, and the PKIResponse says what was decided.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/cms.h>

#include "ca_fixture.h"
#include "cmcresp.h"
#include "der.h"
#include "oid.h"

static X509 *
to_x509(const struct buf *b)
{
	const unsigned char *p = b->p;
	X509 *x = d2i_X509(NULL, &p, (long)b->n);

	assert_non_null(x);
	return x;
}

/* Verify with the chain's root as the only trust; give back the content. */
static STACK_OF(X509) *
verify(const struct ca *ca, const struct buf *der, struct buf *content)
{
	const unsigned char *p = der->p;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der->n);
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *certs;
	BIO *out = BIO_new(BIO_s_mem());
	X509 *root = to_x509(&ca->chain[ca->nchain - 1].der);
	char *data;
	long n;

	assert_non_null(cms);
	assert_ptr_equal(p, der->p + der->n);
	X509_STORE_add_cert(store, root);
	X509_STORE_set_flags(store, 0);
	X509_VERIFY_PARAM_set_purpose(X509_STORE_get0_param(store),
	    X509_PURPOSE_ANY);
	assert_int_equal(OBJ_obj2nid(CMS_get0_eContentType(cms)),
	    OBJ_txt2nid("1.3.6.1.5.5.7.12.3"));
	assert_int_equal(CMS_verify(cms, NULL, store, NULL, out, CMS_BINARY),
	    1);
	n = BIO_get_mem_data(out, &data);
	buf_add(content, data, (size_t)n);
	certs = CMS_get1_certs(cms);
	X509_free(root);
	BIO_free(out);
	X509_STORE_free(store);
	CMS_ContentInfo_free(cms);
	return certs;
}

/* TaggedAttribute number i of the PKIResponse: its type and its value. */
static struct slice
control(const struct buf *content, unsigned want, struct slice type)
{
	struct err err = ERR_INIT;
	struct der body, controls, one, set;
	struct slice oid, value = { NULL, 0 };
	uint64_t part;
	unsigned i;

	assert_int_equal(der_only(buf_slice(content), DER_SEQ, &body, "body",
	    &err), 0);
	assert_int_equal(der_enter(&body, DER_SEQ, &controls, "controls",
	    &err), 0);
	for (i = 1; i <= want; i++) {
		assert_int_equal(der_enter(&controls, DER_SEQ, &one, "control",
		    &err), 0);
		assert_int_equal(der_uint(&one, &part, "part", &err), 0);
		assert_int_equal(part, i);
		assert_int_equal(der_get(&one, DER_OID, &oid, "type", &err),
		    0);
		assert_int_equal(der_enter(&one, DER_SET, &set, "set", &err),
		    0);
		assert_int_equal(der_any(&set, NULL, &value, NULL, "value",
		    &err), 0);
		assert_true(der_done(&set));
	}
	assert_true(slice_eq(oid, type));
	return value;
}

static unsigned
control_count(const struct buf *content)
{
	struct err err = ERR_INIT;
	struct der body, controls;
	unsigned n = 0;

	assert_int_equal(der_only(buf_slice(content), DER_SEQ, &body, "body",
	    &err), 0);
	assert_int_equal(der_enter(&body, DER_SEQ, &controls, "controls",
	    &err), 0);
	for (; !der_done(&controls); n++)
		assert_int_equal(der_any(&controls, NULL, NULL, NULL,
		    "control", &err), 0);
	assert_int_equal(der_enter(&body, DER_SEQ, &controls, "cms", &err),
	    0);
	assert_true(der_done(&controls));
	assert_int_equal(der_enter(&body, DER_SEQ, &controls, "other", &err),
	    0);
	assert_true(der_done(&controls));
	assert_true(der_done(&body));
	return n;
}

static void
check_status(struct slice value, unsigned status, const char *text,
    struct der *rest)
{
	struct err err = ERR_INIT;
	struct der list;
	struct slice s;
	uint64_t v;

	assert_int_equal(der_only(value, DER_SEQ, rest, "status", &err), 0);
	assert_int_equal(der_uint(rest, &v, "cMCStatus", &err), 0);
	assert_int_equal(v, status);
	assert_int_equal(der_enter(rest, DER_SEQ, &list, "bodyList", &err),
	    0);
	assert_int_equal(der_uint(&list, &v, "id", &err), 0);
	assert_int_equal(v, 1);
	assert_true(der_done(&list));
	assert_int_equal(der_get(rest, DER_UTF8, &s, "text", &err), 0);
	assert_true(slice_is(s, text));
}

static void
issued_with(const char *kind)
{
	struct ca_fixture f, other;
	struct ca *old;
	struct buf also[2];
	struct err err = ERR_INIT;
	struct cmcresp r = { .status = CMC_SUCCESS, .text = "Issued",
	    .echo.body_part_id = 1 };
	struct buf out = { 0 }, content = { 0 };
	STACK_OF(X509) *certs;
	uint8_t nonce[] = { DER_OCTETS, 4, 1, 2, 3, 4 };
	uint8_t txid[] = { DER_INTEGER, 2, 0x7f, 0x01 };
	uint8_t sha1[20];
	struct slice v;
	struct der rest;
	struct ca *ca;

	fixture_make(&f, kind);
	r.ca = ca = fixture_ca(&f);
	r.leaf = buf_slice(&ca->chain[0].der);	/* any certificate will do */
	r.echo.transaction_id = slice_of(txid, sizeof(txid));
	r.echo.sender_nonce = slice_of(nonce, sizeof(nonce));
	assert_int_equal(cmcresp_build(&r, &out, &err), 0);
	assert_int_equal(der_check(buf_slice(&out), 16, "cms", &err), 0);
	certs = verify(ca, &out, &content);
	assert_int_equal(sk_X509_num(certs), 3);
	sk_X509_pop_free(certs, X509_free);
	/* What else travels, unless it is there already. */
	fixture_make(&other, kind);
	old = fixture_ca(&other);
	also[0] = old->chain[0].der;
	also[1] = ca->cert.der;
	r.also = also;
	r.nalso = 2;
	buf_reset(&out);
	buf_reset(&content);
	assert_int_equal(cmcresp_build(&r, &out, &err), 0);
	certs = verify(ca, &out, &content);
	assert_int_equal(sk_X509_num(certs), 4);
	ca_free(old);
	fixture_remove(&other);
	assert_int_equal(control_count(&content), 4);
	check_status(control(&content, 1, OID_CMC_STATUS_INFO), 0, "Issued",
	    &rest);
	assert_true(der_done(&rest));
	v = control(&content, 2, OID_CMC_ADD_ATTRIBUTES);
	EVP_Digest(r.leaf.p, r.leaf.n, sha1, NULL, EVP_sha1(), NULL);
	assert_memory_equal(v.p + v.n - 20, sha1, 20);
	v = control(&content, 3, OID_CMC_TRANSACTION_ID);
	assert_true(slice_eq(v, r.echo.transaction_id));
	v = control(&content, 4, OID_CMC_RECIPIENT_NONCE);
	assert_true(slice_eq(v, r.echo.sender_nonce));
	sk_X509_pop_free(certs, X509_free);
	buf_free(&out);
	buf_free(&content);
	ca_free(ca);
	fixture_remove(&f);
}

static void
issued(void **state)
{
	(void)state;
	issued_with("rsa:2048");
	issued_with("P-256");
	issued_with("P-384");
}

/* RequestID as decimal text and the time of receipt: [RFC5272] 6.1.2. */
static void
pending(void **state)
{
	struct ca_fixture f;
	struct err err = ERR_INIT;
	struct cmcresp r = { .status = CMC_PENDING, .echo.body_part_id = 1,
	    .text = "Taken Under Submission", .number = 2147483647,
	    .received = 1795510800 };
	struct buf out = { 0 }, content = { 0 };
	STACK_OF(X509) *certs;
	struct der rest, info;
	struct slice s;

	(void)state;
	fixture_make(&f, "P-256");
	r.ca = fixture_ca(&f);
	assert_int_equal(cmcresp_build(&r, &out, &err), 0);
	certs = verify(r.ca, &out, &content);
	assert_int_equal(sk_X509_num(certs), 2);
	assert_int_equal(control_count(&content), 1);
	check_status(control(&content, 1, OID_CMC_STATUS_INFO), 3,
	    "Taken Under Submission", &rest);
	assert_int_equal(der_enter(&rest, DER_SEQ, &info, "pendInfo", &err),
	    0);
	assert_int_equal(der_get(&info, DER_OCTETS, &s, "token", &err), 0);
	assert_true(slice_is(s, "2147483647"));
	assert_int_equal(der_get(&info, DER_GENTIME, &s, "time", &err), 0);
	assert_true(slice_is(s, "20261124090000Z"));
	assert_true(der_done(&info) && der_done(&rest));
	sk_X509_pop_free(certs, X509_free);
	buf_free(&out);
	buf_free(&content);
	ca_free((struct ca *)(uintptr_t)r.ca);
	fixture_remove(&f);
}

static void
failed(void **state)
{
	struct ca_fixture f;
	struct err err = ERR_INIT;
	struct cmcresp r = { .status = CMC_FAILED, .echo.body_part_id = 1,
	    .text = "template X: not allowed" };
	struct buf out = { 0 }, content = { 0 };
	STACK_OF(X509) *certs;
	struct der rest;

	(void)state;
	fixture_make(&f, "rsa:2048");
	r.ca = fixture_ca(&f);
	assert_int_equal(cmcresp_build(&r, &out, &err), 0);
	certs = verify(r.ca, &out, &content);
	assert_int_equal(control_count(&content), 1);
	check_status(control(&content, 1, OID_CMC_STATUS_INFO), 2, r.text,
	    &rest);
	assert_true(der_done(&rest));	/* no failInfo: [MS-WCCE] */
	sk_X509_pop_free(certs, X509_free);
	buf_free(&out);
	buf_free(&content);
	ca_free((struct ca *)(uintptr_t)r.ca);
	fixture_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issued),
		cmocka_unit_test(pending),
		cmocka_unit_test(failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
