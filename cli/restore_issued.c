/*
 * Certificates put back, those of OCSP responders, too: none that its CA has
 * not signed.  For restore.c.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "restore_int.h"
#include "rowform.h"
#include "x509.h"

void
restore_issuer_free(struct restore *r)
{
	free(r->issuer);
	X509_free(r->issuer_cert);
	r->issuer = NULL;
	r->issuer_cert = NULL;
}

/* r->issuer_cert is NULL for a CA that the database does not know. */
static int
load_issuer(struct restore *r, struct slice name, struct err *err)
{
	struct db_param p = { name.p, (int)name.n };
	PGresult *res;

	if (r->issuer != NULL && slice_is(name, r->issuer))
		return 0;
	restore_issuer_free(r);
	if ((res = db_exec_bin(r->db, "issuer", &p, 1, err)) == NULL)
		return -1;
	r->issuer = xstrndup((const char *)name.p, name.n);
	if (PQntuples(res) == 1)
		r->issuer_cert = x509_read(slice_of(PQgetvalue(res, 0, 0),
		    (size_t)PQgetlength(res, 0, 0)));
	PQclear(res);
	return 0;
}

/*
 * Entries behind the last head are signed by nobody, and renewals believe
 * rows: only what the CA's key has signed becomes one.
 */
static int
check_signed(struct restore *r, struct slice ca, struct slice serial,
    struct slice der, struct err *err)
{
	const ASN1_INTEGER *n;
	char hex[2 * CHR_SERIAL + 1] = "";
	bool good = false;
	X509 *x;

	if (load_issuer(r, ca, err) != 0)
		return -1;
	x = x509_read(der);
	if (x != NULL && r->issuer_cert != NULL) {
		n = X509_get0_serialNumber(x);
		good = slice_eq(serial, slice_of(ASN1_STRING_get0_data(n),
		    (size_t)ASN1_STRING_length(n))) &&
		    X509_verify(x, X509_get0_pubkey(r->issuer_cert)) == 1;
	}
	X509_free(x);
	ERR_clear_error();
	if (good)
		return 0;
	if (serial.n == CHR_SERIAL)
		hex_encode(serial.p, CHR_SERIAL, hex);
	if (r->issuer_cert == NULL)
		return err_set(err, ERR_DENIED, "ca %.64s, which certificate "
		    "%s is of, is not in the database: register it again "
		    "(ca install, or ca import), then reconcile", r->issuer,
		    hex);
	return err_set(err, ERR_DENIED, "ledger of %.60s: certificate %s is "
	    "not signed by ca %.60s: no signer wrote that", r->l->signer !=
	    NULL ? r->l->signer : "", hex, r->issuer);
}

/* The ledger's row has the certificate's hash; here it gets the bytes. */
int
restore_issued(struct restore *r, const struct ledger_entry *e,
    struct err *err)
{
	struct buf bytes = { 0 }, der = { 0 };
	struct chr_row *row = restore_record(r, e);
	struct tuple t;
	int rc = 0;

	if (row != NULL && row->committed && !row->cert_seen &&
	    !row->overruled &&
	    (rc = restore_tuple(e, "row", &bytes, &t, CERT_N, err)) == 0 &&
	    (rc = ledger_get_base64(e, "certificate", &der, err)) == 0 &&
	    (rc = check_signed(r, t.field[CERT_CA], t.field[CERT_SERIAL],
	    buf_slice(&der), err)) == 0) {
		restore_vouch(r, e);
		t.field[CERT_DER] = buf_slice(&der);
		t.n = CERT_N;
		restore_open_rows(&r->certs);
		tuple_put(&r->certs, &t);
		row->cert_seen = true;
		r->done->certificates++;
	}
	buf_free(&bytes);
	buf_free(&der);
	return rc;
}

static bool
has_responder(const struct chronicle *c, const uint8_t serial[CHR_SERIAL])
{
	size_t i;

	for (i = 0; i < c->nresp; i++)
		if (c->resp[i].seen && memcmp(c->resp[i].serial, serial,
		    CHR_SERIAL) == 0)
			return true;
	return false;
}

int
restore_responder(struct restore *r, const struct ledger_entry *e,
    struct err *err)
{
	struct buf der = { 0 }, ca = { 0 };
	uint8_t octets[CHR_SERIAL];
	struct err none = ERR_INIT;
	X509 *x = NULL;
	int64_t until;
	char end[24];
	int rc;

	rc = ledger_get_base64(e, "certificate", &der, err);
	if (rc == 0 && ledger_get(e, "ca", &ca) == 0 &&
	    ledger_get_hex(e, "serial", octets, CHR_SERIAL, &none) == 0 &&
	    !has_responder(r->c, octets) &&
	    (rc = check_signed(r, buf_slice(&ca), slice_of(octets,
	    CHR_SERIAL), buf_slice(&der), err)) == 0 &&
	    (x = x509_read(buf_slice(&der))) != NULL &&
	    x509_unix(X509_get0_notAfter(x), &until) == 0) {
		restore_vouch(r, e);
		snprintf(end, sizeof end, "%lld", (long long)until);
		rc = restore_run(r, "responder", (struct db_param[]){
		    DB_BIN(octets, CHR_SERIAL), DB_TEXT(buf_str(&ca)),
		    DB_TEXT(r->l->signer), DB_TEXT(end),
		    DB_BIN(der.p, der.n) }, 5, err);
	}
	X509_free(x);
	buf_free(&der);
	buf_free(&ca);
	return rc;
}
