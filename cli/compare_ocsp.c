/*
 * Kept answers of OCSP against the revocations and their responders: a part of
 * compare.c.  What workers do not give out any more is not looked at.
 */
#include "compare.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "ocspreq.h"

/* Of verify_ocsp; REASON and AT are empty when it is not revoked. */
enum { COL_CA, COL_SERIAL, COL_HASH, COL_THIS, COL_NEXT, COL_REASON, COL_AT,
    COL_ISSUER, COL_DER };

#define NOT_SO		"is not what its row and the revocations say: " \
			"delete the row, it is made anew"
#define UNSIGNED	"is not signed by a responder of its ca: delete the " \
			"row, it is made anew"

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

/* [RFC6960] 4.2.1, as signer/ocspresp.c writes it: SingleResponse. */
static int
put_single(struct buf *b, const PGresult *res, int row, struct err *err)
{
	const uint8_t reason = (uint8_t)number(res, row, COL_REASON);
	size_t seq = der_open(b, DER_SEQ), info, tag;

	if (ocsp_put_id((enum ocsp_hash)number(res, row, COL_HASH),
	    db_field(res, row, COL_ISSUER), db_field(res, row, COL_SERIAL), b,
	    err) != 0)
		return -1;
	if (PQgetlength(res, row, COL_REASON) == 0)
		der_put(b, DER_CTX(0), NULL, 0);
	else {
		info = der_open(b, DER_CTXC(1));
		der_put_gentime(b, number(res, row, COL_AT));
		if (reason != 0) {
			tag = der_open(b, DER_CTXC(0));
			der_put(b, DER_ENUM, &reason, 1);
			der_close(b, tag);
		}
		der_close(b, info);
	}
	der_put_gentime(b, number(res, row, COL_THIS));
	tag = der_open(b, DER_CTXC(0));
	der_put_gentime(b, number(res, row, COL_NEXT));
	der_close(b, tag);
	der_close(b, seq);
	return 0;
}

static bool
says_so(OCSP_BASICRESP *basic, const PGresult *res, int row)
{
	OCSP_SINGLERESP *single = OCSP_resp_get0(basic, 0);
	struct err none = ERR_INIT;
	struct buf want = { 0 };
	uint8_t *der = NULL;
	int n = single != NULL && OCSP_resp_count(basic) == 1 ?
	    i2d_OCSP_SINGLERESP(single, &der) : -1;
	bool good;

	good = n > 0 && put_single(&want, res, row, &none) == 0 &&
	    slice_eq(buf_slice(&want), slice_of(der, (size_t)n));
	OPENSSL_free(der);
	buf_free(&want);
	return good;
}

/* In a ledger or, found good by compare_responders, in the table. */
static bool
is_responder(const struct compare *m, const char *ca, struct slice der)
{
	const struct chronicle *c = m->c;
	uint8_t digest[CHR_DIGEST];
	size_t i;

	chr_digest(der, digest);
	for (i = 0; i < c->nresp; i++)
		if ((c->resp[i].has_der || c->resp[i].good) &&
		    memcmp(c->resp[i].der, digest, CHR_DIGEST) == 0)
			return strcmp(c->ca.v[c->resp[i].ca], ca) == 0;
	return !m->all_here;	/* of a signer whose ledger is elsewhere */
}

static bool
is_signed(const struct compare *m, OCSP_BASICRESP *basic, const char *ca)
{
	const STACK_OF(X509) *certs = OCSP_resp_get0_certs(basic);
	X509 *x = sk_X509_value(certs, 0);
	STACK_OF(X509) *one = sk_X509_new_null();
	uint8_t *der = NULL;
	int n = x != NULL ? i2d_X509(x, &der) : -1;
	bool good;

	good = n > 0 && one != NULL && sk_X509_push(one, x) > 0 &&
	    is_responder(m, ca, slice_of(der, (size_t)n)) &&
	    OCSP_basic_verify(basic, one, NULL, OCSP_NOINTERN |
	    OCSP_TRUSTOTHER) == 1;
	sk_X509_free(one);
	OPENSSL_free(der);
	ERR_clear_error();
	return good;
}

static void
take_answer(struct compare *m, const PGresult *res, int row)
{
	struct slice serial = db_field(res, row, COL_SERIAL);
	const uint8_t *p = (const uint8_t *)PQgetvalue(res, row, COL_DER);
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p,
	    PQgetlength(res, row, COL_DER));
	OCSP_BASICRESP *basic = r != NULL ? OCSP_response_get1_basic(r) : NULL;

	m->answers++;
	if (basic == NULL || OCSP_response_status(r) !=
	    OCSP_RESPONSE_STATUS_SUCCESSFUL || !says_so(basic, res, row))
		compare_find_hex(m, "row", "OCSP answer", serial.p, serial.n,
		    NOT_SO);
	else if (!is_signed(m, basic, PQgetvalue(res, row, COL_CA)))
		compare_find_hex(m, "row", "OCSP answer", serial.p, serial.n,
		    UNSIGNED);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
	ERR_clear_error();
}

int
compare_ocsp(struct compare *m, struct err *err)
{
	struct buf ca = { 0 }, hex = { 0 }, hash = { 0 };
	PGresult *res;
	int row, n;

	buf_puts(&hash, "0");
	do {
		progress_show(m->progress, "OCSP answers", m->answers, 0);
		res = compare_page(m, "verify_ocsp", (const char *[]){
		    buf_str(&ca), buf_str(&hex), buf_str(&hash) }, 3, err);
		n = res == NULL ? -1 : PQntuples(res);
		for (row = 0; row < n; row++)
			take_answer(m, res, row);
		if (n > 0) {
			buf_reset(&ca);
			buf_puts(&ca, PQgetvalue(res, n - 1, COL_CA));
			buf_reset(&hex);
			buf_hex(&hex, db_field(res, n - 1, COL_SERIAL).p,
			    db_field(res, n - 1, COL_SERIAL).n);
			buf_reset(&hash);
			buf_puts(&hash, PQgetvalue(res, n - 1, COL_HASH));
		}
		PQclear(res);
	} while (n > 0);
	buf_free(&ca);
	buf_free(&hex);
	buf_free(&hash);
	return n;
}
