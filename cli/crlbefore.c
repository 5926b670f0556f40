/*
 * The last list of a CA that moves here.  Whatever of it we did not take over
 * would be revoked no more, so a list that may not be all is refused.
 */
#include "crlbefore.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

#define LIST_MAX	(64 * 1024 * 1024)
#define SERIAL_MAX	20	/* octets: [RFC5280] 4.1.2.2 */

struct entry {
	struct slice	 serial;	/* magnitude */
	int64_t		 at;
	int		 reason;
};

/*
 * Of several CAs, of some reasons, some certificates or one partition alone
 * ([RFC5280] 5.2.5): each says so in an extension that is critical.
 */
static int
check_whole(X509_CRL *crl, struct err *err)
{
	X509_EXTENSION *e;
	char name[80];
	int i;

	for (i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		e = X509_CRL_get_ext(crl, i);
		if (!X509_EXTENSION_get_critical(e) &&
		    OBJ_obj2nid(X509_EXTENSION_get_object(e)) !=
		    NID_issuing_distribution_point)
			continue;
		OBJ_obj2txt(name, sizeof name, X509_EXTENSION_get_object(e),
		    0);
		return err_set(err, ERR_DENIED, "the list is perhaps not all "
		    "that the ca has revoked, as it has an extension \"%s\": "
		    "have one made without", name);
	}
	return 0;
}

static int
check_signed(X509_CRL *crl, X509 *ca, struct err *err)
{
	if (X509_NAME_cmp(X509_CRL_get_issuer(crl),
	    X509_get_subject_name(ca)) == 0 &&
	    X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, ERR_DENIED, "the list is not signed by this ca "
	    "with this key: a ca whose key was renewed has a list for each");
}

/* [RFC5280] 5.3.1; 0 where it has none.  -1: not one of a complete list. */
static int
reason_of(const X509_REVOKED *r)
{
	int critical, reason = 0;
	ASN1_ENUMERATED *e = X509_REVOKED_get_ext_d2i(r, NID_crl_reason,
	    &critical, NULL);

	if (e != NULL)
		reason = (int)ASN1_ENUMERATED_get(e);
	else if (critical != -1)	/* broken, or two */
		reason = -1;
	ASN1_ENUMERATED_free(e);
	return reason < 0 || reason > 10 || reason == 7 || reason == 8 ?
	    -1 : reason;
}

/* certificateIssuer above all: whose it is ([RFC5280] 5.3.3). */
static bool
has_critical(const X509_REVOKED *r)
{
	int i;

	for (i = 0; i < X509_REVOKED_get_ext_count(r); i++)
		if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(r, i)))
			return true;
	return false;
}

static int
take_entry(const X509_REVOKED *r, struct entry *e, struct err *err)
{
	const ASN1_INTEGER *n = X509_REVOKED_get0_serialNumber(r);
	struct buf hex = { 0 };
	int rc = 0;

	e->serial = slice_of(ASN1_STRING_get0_data(n),
	    (size_t)ASN1_STRING_length(n));
	e->at = cert_unix(X509_REVOKED_get0_revocationDate(r));
	e->reason = reason_of(r);
	if (ASN1_STRING_type(n) == V_ASN1_NEG_INTEGER || e->serial.n == 0 ||
	    e->serial.n > SERIAL_MAX || e->at <= 0 || e->reason < 0 ||
	    has_critical(r)) {
		buf_hex(&hex, e->serial.p, e->serial.n < 64 ? e->serial.n :
		    64);
		rc = err_set(err, ERR_DENIED, "entry of serial number %s: "
		    "its number, date, reason or an extension is none that a "
		    "list of ours could have", buf_str(&hex));
	}
	buf_free(&hex);
	return rc;
}

static int
by_serial(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->serial.n != y->serial.n)
		return x->serial.n < y->serial.n ? -1 : 1;
	return memcmp(x->serial.p, y->serial.p, x->serial.n);
}

/* Sorted, so that two of one certificate meet. */
static int
put_arrays(struct crlbefore *b, struct entry *v, size_t n, struct err *err)
{
	size_t i;
	char sep = '{';

	qsort(v, n, sizeof *v, by_serial);
	for (i = 0; i < n; i++, sep = ',') {
		if (i > 0 && by_serial(&v[i - 1], &v[i]) == 0)
			return err_set(err, ERR_DENIED,
			    "the list has two entries of one serial number");
		buf_addc(&b->serials, (uint8_t)sep);
		buf_hex(&b->serials, v[i].serial.p, v[i].serial.n);
		buf_printf(&b->dates, "%c%" PRId64, sep, v[i].at);
		buf_printf(&b->reasons, "%c%d", sep, v[i].reason);
	}
	buf_puts(&b->serials, n == 0 ? "{}" : "}");
	buf_puts(&b->dates, n == 0 ? "{}" : "}");
	buf_puts(&b->reasons, n == 0 ? "{}" : "}");
	return 0;
}

static int
take_entries(X509_CRL *crl, struct crlbefore *b, struct err *err)
{
	STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
	int i, n = all == NULL ? 0 : sk_X509_REVOKED_num(all), rc = 0;
	struct entry *v = xcalloc((size_t)n + 1, sizeof *v);

	for (i = 0; i < n && rc == 0; i++)
		rc = take_entry(sk_X509_REVOKED_value(all, i), &v[i], err);
	if (rc == 0)
		rc = put_arrays(b, v, (size_t)n, err);
	free(v);
	return rc;
}

/* Ours go on behind it, and a signer counts in 64 bits. */
static int
check_number(const struct list_facts *f, struct err *err)
{
	int64_t number;

	if (number_parse(f->number, 1, INT64_MAX / 2, &number,
	    &(struct err)ERR_INIT) == 0)
		return 0;
	return err_set(err, ERR_DENIED, "the list's number %s is not of 1 to "
	    "2^62", f->number);
}

static int
take_digest(X509_CRL *crl, uint8_t out[32], struct err *err)
{
	unsigned char *der = NULL;
	int n = i2d_X509_CRL(crl, &der);

	if (n <= 0)
		return err_openssl(err, "the list");
	digest_sha256(slice_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return 0;
}

int
crlbefore_read(const char *path, X509 *ca, struct crlbefore *b,
    struct err *err)
{
	X509_CRL *crl = listfile_read(path, LIST_MAX, err);
	int rc = -1;

	memset(b, 0, sizeof *b);
	if (crl != NULL && check_signed(crl, ca, err) == 0 &&
	    listfile_facts(crl, &b->facts, err) == 0 &&
	    check_number(&b->facts, err) == 0 && check_whole(crl, err) == 0 &&
	    take_digest(crl, b->sha256, err) == 0)
		rc = take_entries(crl, b, err);
	X509_CRL_free(crl);
	return rc;
}

int
crlbefore_put(struct cli *c, const char *ca, struct crlbefore *b,
    struct err *err)
{
	char hex[65];
	PGresult *res;

	hex_encode(b->sha256, sizeof b->sha256, hex);
	res = cli_query(c, "crl_before_put", (const char *[]){ ca,
	    b->facts.number, b->facts.this_update, hex,
	    buf_str(&b->serials), buf_str(&b->dates), buf_str(&b->reasons) },
	    7, err);
	PQclear(res);
	return res == NULL ? -1 : 0;
}

void
crlbefore_free(struct crlbefore *b)
{
	buf_free(&b->serials);
	buf_free(&b->dates);
	buf_free(&b->reasons);
}
