/*
 * Certificates in files, read, written and described: for every command that
 * takes or gives one.
 */
#include "certfile.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "der.h"
#include "file.h"
#include "oid.h"
#include "x509.h"

int
certs_add(struct certs *c, struct slice der, struct err *err)
{
	if (c->n == CERT_CHAIN_MAX)
		return err_set(err, ERR_TOO_BIG,
		    "more than %d certificates in a chain", CERT_CHAIN_MAX);
	buf_add(&c->der[c->n++], der.p, der.n);
	return 0;
}

int
certs_add_x509(struct certs *c, X509 *x, struct err *err)
{
	unsigned char *der = NULL;
	int n, rc;

	if ((n = i2d_X509(x, &der)) <= 0)
		return err_openssl(err, "certificate to der");
	rc = certs_add(c, slice_of(der, (size_t)n), err);
	OPENSSL_free(der);
	return rc;
}

static int
add_der(struct certs *c, struct slice s, const char *path, struct err *err)
{
	X509 *x = x509_read(s);
	int rc;

	if (x == NULL)
		rc = err_openssl(err, "%.100s: not a certificate", path);
	else
		rc = certs_add(c, s, err);
	X509_free(x);
	return rc;
}

/* What stands between the certificates, text or keys, is passed over. */
static int
add_pem(struct certs *c, struct slice s, const char *path, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(s.p, (int)s.n);
	size_t before = c->n;
	X509 *x;
	int rc = 0;

	while (rc == 0 &&
	    (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		rc = certs_add_x509(c, x, err);
		X509_free(x);
	}
	if (rc == 0 && ERR_GET_REASON(ERR_peek_last_error()) !=
	    PEM_R_NO_START_LINE)
		rc = err_openssl(err, "%.100s: damaged certificate", path);
	ERR_clear_error();
	if (rc == 0 && c->n == before)
		rc = err_set(err, ERR_MALFORMED, "%.100s: no certificate",
		    path);
	BIO_free(bio);
	return rc;
}

int
certs_read(struct certs *c, const char *path, struct err *err)
{
	struct buf b = { 0 };
	int rc;

	if ((rc = file_read(path, CERT_FILE_MAX, &b, err)) == 0)
		rc = b.n > 0 && b.p[0] == DER_SEQ ?
		    add_der(c, buf_slice(&b), path, err) :
		    add_pem(c, buf_slice(&b), path, err);
	buf_free(&b);
	return rc;
}

void
certs_free(struct certs *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		buf_free(&c->der[i]);
	memset(c, 0, sizeof *c);
}

X509 *
certs_x509(const struct certs *c, size_t i, struct err *err)
{
	X509 *x = x509_read(buf_slice(&c->der[i]));

	if (x == NULL)
		err_openssl(err, "certificate does not parse");
	return x;
}

void
certs_pem(const struct certs *c, size_t first, struct buf *out)
{
	struct buf b64 = { 0 };
	size_t i, at, n;

	for (i = first; i < c->n; i++) {
		buf_reset(&b64);
		base64_encode(c->der[i].p, c->der[i].n, &b64);
		buf_puts(out, "-----BEGIN CERTIFICATE-----\n");
		for (at = 0; at < b64.n; at += n) {
			n = b64.n - at < 64 ? b64.n - at : 64;
			buf_add(out, b64.p + at, n);
			buf_addc(out, '\n');
		}
		buf_puts(out, "-----END CERTIFICATE-----\n");
	}
	buf_free(&b64);
}

static int
by_der(const void *a, const void *b)
{
	const struct buf *x = *(const struct buf *const *)a;
	const struct buf *y = *(const struct buf *const *)b;
	int d = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return d != 0 ? d : (x->n > y->n) - (x->n < y->n);
}

/*
 * [RFC5652] 5.1 with no signer and no content.  The certificates are a SET
 * OF, so DER wants them sorted; readers find the leaf by themselves.
 */
static void
certs_p7b(const struct certs *c, struct buf *out)
{
	const struct buf *sorted[CERT_CHAIN_MAX];
	size_t info, outer, data, inner, i;

	for (i = 0; i < c->n; i++)
		sorted[i] = &c->der[i];
	qsort(sorted, c->n, sizeof sorted[0], by_der);
	info = der_open(out, DER_SEQ);
	der_put_oid(out, OID_PKCS7_SIGNED);
	outer = der_open(out, DER_CTXC(0));
	data = der_open(out, DER_SEQ);
	der_put_uint(out, 1);
	der_put(out, DER_SET, NULL, 0);
	inner = der_open(out, DER_SEQ);
	der_put_oid(out, OID_PKCS7_DATA);
	der_close(out, inner);
	inner = der_open(out, DER_CTXC(0));
	for (i = 0; i < c->n; i++)
		buf_add(out, sorted[i]->p, sorted[i]->n);
	der_close(out, inner);
	der_put(out, DER_SET, NULL, 0);
	der_close(out, data);
	der_close(out, outer);
	der_close(out, info);
}

int
certs_write(const struct certs *c, const char *format, const char *path,
    struct err *err)
{
	struct buf b = { 0 };
	int rc;

	if (format == NULL || strcmp(format, "pem") == 0)
		certs_pem(c, 0, &b);
	else if (strcmp(format, "p7b") == 0)
		certs_p7b(c, &b);
	else if (strcmp(format, "der") != 0)
		return err_set(err, ERR_MALFORMED,
		    "--format is pem, der or p7b, not %.40s", format);
	else if (c->n != 1)
		return err_set(err, ERR_MALFORMED, "--format der holds one "
		    "certificate, not a chain of %zu", c->n);
	else
		buf_add(&b, c->der[0].p, c->der[0].n);
	rc = file_put(path, 0644, buf_slice(&b), err);
	buf_free(&b);
	return rc;
}

/* The BIO's bytes to the end of out. */
static void
take_bio(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		buf_add(out, p, (size_t)n);
	BIO_free(bio);
}

void
cert_name(const X509_NAME *name, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());

	/* Multibyte characters stay as they are: out.c guards terminals. */
	X509_NAME_print_ex(bio, name, 0,
	    XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	take_bio(bio, out);
}

int
cert_public(const char *path, struct buf *spki, struct err *err)
{
	struct certs certs = { 0 };
	X509 *x = NULL;
	int rc = -1;

	if (certs_read(&certs, path, err) == 0 &&
	    (x = certs_x509(&certs, 0, err)) != NULL &&
	    (rc = x509_spki(x, spki)) == -1)
		err_openssl(err, "%.120s: public key", path);
	X509_free(x);
	certs_free(&certs);
	return rc;
}

int64_t
cert_unix(const ASN1_TIME *t)
{
	int64_t at = 0;

	(void)x509_unix(t, &at);
	return at;
}

void
cert_time(const ASN1_TIME *t, struct buf *out)
{
	char text[32];
	int64_t at;

	if (x509_unix(t, &at) != 0)
		return;
	utc_text(at, text);
	buf_puts(out, text);
}

void
cert_serial(const X509 *x, struct buf *out)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(x);
	int i;

	for (i = 0; i < ASN1_STRING_length(n); i++)
		buf_printf(out, "%02X", ASN1_STRING_get0_data(n)[i]);
}

void
cert_key(const X509 *x, struct buf *out)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	int bits = key == NULL ? 0 : EVP_PKEY_get_bits(key);

	if (key == NULL)
		buf_puts(out, "unknown");
	else if (EVP_PKEY_is_a(key, "EC"))
		buf_printf(out, "P-%d", bits);
	else
		buf_printf(out, "%s %d", EVP_PKEY_get0_type_name(key), bits);
}

int
cert_text(struct slice der, struct buf *out, struct err *err)
{
	X509 *x = x509_read(der);
	BIO *bio;

	if (x == NULL)
		return err_openssl(err, "certificate does not parse");
	bio = BIO_new(BIO_s_mem());
	X509_print_ex(bio, x, XN_FLAG_ONELINE &
	    ~(unsigned long)ASN1_STRFLGS_ESC_MSB, 0);
	take_bio(bio, out);
	X509_free(x);
	return 0;
}
