/* Requests that are tried: accepted, or refused for a reason. */
#ifndef REQUEST_FIXTURE_H
#define REQUEST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base64.h"
#include "hresult.h"
#include "cmc.h"
#include "req_fixture.h"

#define ARRAY(a)	(sizeof(a) / sizeof((a)[0]))
#define BYTES(s)	slice_of(s, sizeof(s) - 1)
#define NOTHING		slice_of(NULL, 0)
#define CAPTURES	"../shared/captures/"

static struct fixture {
	EVP_PKEY	*key, *old;
	struct buf	 cert;
} fix;

static inline int
setup(void **state)
{
	(void)state;
	fix.key = EVP_EC_gen("P-256");
	fix.old = EVP_EC_gen("P-256");
	put_cert(&fix.cert, fix.old, 77);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(fix.key);
	EVP_PKEY_free(fix.old);
	buf_free(&fix.cert);
	return 0;
}

/* What is read again without proof is what the whole parser found. */
static inline void
same_echo(const struct request *r)
{
	struct err	err = ERR_INIT;
	struct cmc_echo	e;

	assert_int_equal(cmc_echo(buf_slice(&r->der), &e, &err), 0);
	assert_int_equal(e.body_part_id, r->body_part_id);
	assert_true(slice_eq(e.transaction_id, r->transaction_id));
	assert_true(slice_eq(e.sender_nonce, r->sender_nonce));
	assert_true(slice_eq(e.key_hash, r->key_hash));
}

/* 0, or the HRESULT of the refusal; the request to *out or freed. */
static inline uint32_t
try(struct slice der, struct request **out, struct err *err)
{
	struct request *r;

	memset(err, 0, sizeof(*err));
	r = request_parse(der, err);
	if (r == NULL) {
		assert_int_not_equal(err->kind, ERR_NONE);
		assert_int_not_equal(err->kind, ERR_INTERNAL);
		return err_hresult(err);
	}
	assert_int_equal(err->kind, ERR_NONE);
	same_echo(r);
	if (out != NULL)
		*out = r;
	else
		request_free(r);
	return 0;
}

static inline void
refused(struct slice der, uint32_t hresult, const char *text)
{
	struct err err;
	uint32_t got = try(der, NULL, &err);

	if (got != hresult || strstr(err.text, text) == NULL)
		fail_msg("%08x %s, not %08x %s", got, err.text, hresult, text);
}

static inline struct request *
accepted(struct slice der)
{
	struct request *r = NULL;
	struct err err;

	if (try(der, &r, &err) != 0)
		fail_msg("refused: %s", err.text);
	return r;
}

static inline struct request *
accepted_csr(struct slice attrs)
{
	struct buf b = { 0 };
	struct request *r;

	put_csr(&b, fix.key, attrs, INNER_GOOD);
	r = accepted(buf_slice(&b));
	buf_free(&b);
	return r;
}

static inline void
refused_csr(struct slice attrs, uint32_t hresult, const char *text)
{
	struct buf b = { 0 };

	put_csr(&b, fix.key, attrs, INNER_GOOD);
	refused(buf_slice(&b), hresult, text);
	buf_free(&b);
}

static inline void
refused_ext(struct slice exts, uint32_t hresult, const char *text)
{
	struct buf b = { 0 };

	put_ext_request(&b, OID_EXTENSION_REQUEST, exts);
	refused_csr(buf_slice(&b), hresult, text);
	buf_free(&b);
}

/* A CMC around a CSR with this inner signature, signers and controls. */
static inline void
make_cmc(struct buf *out, enum inner inner, struct slice controls,
    struct cms_make *c)
{
	struct buf csr = { 0 }, data = { 0 };

	put_csr(&csr, fix.key, NOTHING, inner);
	put_pkidata(&data, controls, buf_slice(&csr));
	c->type = OID_CCT_PKI_DATA;
	c->content = buf_slice(&data);
	c->key = fix.key;
	c->old = fix.old;
	c->cert = buf_slice(&fix.cert);
	put_cms(out, c);
	buf_free(&csr);
	buf_free(&data);
}

static inline uint32_t
try_cmc(enum inner inner, struct slice controls, enum outer outer,
    struct request **out)
{
	struct cms_make c = { .signer = { outer }, .nsigner = 1 };
	struct buf b = { 0 };
	struct err err;
	uint32_t rc;

	if (outer == OUTER_NONE)
		c.nsigner = 0;
	make_cmc(&b, inner, controls, &c);
	rc = try(buf_slice(&b), out, &err);
	buf_free(&b);
	return rc;
}

static inline void
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

#endif
