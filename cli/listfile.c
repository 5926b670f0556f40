/*
 * A complete revocation list in a file: what crl install and ca import ask of
 * any such list.
 */
#include "listfile.h"

#include <inttypes.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "certfile.h"
#include "derfile.h"

#define FUTURE_S	300	/* between the clocks of two hosts */

X509_CRL *
listfile_read(const char *path, size_t max, struct err *err)
{
	struct buf der = { 0 };
	const unsigned char *p;
	X509_CRL *crl;

	if (derfile_read(path, max, &der, err) != 0)
		return NULL;
	p = der.p;
	crl = d2i_X509_CRL(NULL, &p, (long)der.n);
	if (crl == NULL || p != der.p + der.n) {
		err_openssl(err, "%.100s: not a revocation list", path);
		X509_CRL_free(crl);
		crl = NULL;
	}
	buf_free(&der);
	return crl;
}

/* [RFC5280] 5.2.3, in decimal; -1: it has none, or two. */
static int
take_number(X509_CRL *crl, char out[64])
{
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL,
	    NULL);
	BIGNUM *bn = n == NULL ? NULL : ASN1_INTEGER_to_BN(n, NULL);
	char *text = bn == NULL ? NULL : BN_bn2dec(bn);
	int rc = -1;

	if (text != NULL && strlen(text) < 64) {
		strcpy(out, text);
		rc = 0;
	}
	OPENSSL_free(text);
	BN_free(bn);
	ASN1_INTEGER_free(n);
	return rc;
}

int
listfile_facts(X509_CRL *crl, struct list_facts *f, struct err *err)
{
	int64_t from = cert_unix(X509_CRL_get0_lastUpdate(crl));
	int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
	char text[32];

	if (X509_CRL_get0_nextUpdate(crl) == NULL ||
	    take_number(crl, f->number) != 0)
		return err_set(err, ERR_DENIED,
		    "the list has no nextUpdate or no number");
	/* Published where the complete one is looked for, it revokes little. */
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return err_set(err, ERR_DENIED,
		    "the list is a delta: install the complete one");
	/* Clients would not believe it, and none before it could follow. */
	if (from > time(NULL) + FUTURE_S) {
		utc_text(from, text);
		return err_set(err, ERR_DENIED, "the list counts from %s on: "
		    "the clock where it was made is ahead of this one", text);
	}
	snprintf(f->this_update, sizeof f->this_update, "%" PRId64, from);
	snprintf(f->next_update, sizeof f->next_update, "%" PRId64,
	    cert_unix(X509_CRL_get0_nextUpdate(crl)));
	snprintf(f->entries, sizeof f->entries, "%d", n < 0 ? 0 : n);
	return 0;
}
