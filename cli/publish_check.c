/* Whether a list may take the place of the one that is out. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "publish.h"

/* The number of a list that this key signed, or NULL. */
static BIGNUM *
number_of(struct slice list, struct slice cert)
{
	const uint8_t *p = list.p, *q = cert.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)list.n);
	X509 *x = d2i_X509(NULL, &q, (long)cert.n);
	ASN1_INTEGER *n = NULL;
	BIGNUM *number = NULL;

	if (crl != NULL && x != NULL &&
	    X509_CRL_verify(crl, X509_get0_pubkey(x)) == 1)
		n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	if (n != NULL)
		number = ASN1_INTEGER_to_BN(n, NULL);
	ASN1_INTEGER_free(n);
	X509_CRL_free(crl);
	X509_free(x);
	ERR_clear_error();
	return number;
}

int
publish_is_next(struct slice there, const struct publish_item *i,
    struct err *err)
{
	BIGNUM *old = number_of(there, i->cert), *next = NULL;
	char *text = NULL;
	int rc = 0;

	if (old != NULL && BN_dec2bn(&next, i->number) > 0 &&
	    BN_cmp(old, next) > 0) {
		text = BN_bn2dec(old);
		rc = err_set(err, ERR_DENIED, "ca %.40s: list %.20s would take "
		    "the place of %.20s: is the database an old one? run "
		    "countersign reconcile", i->name, i->number,
		    text == NULL ? "a later one" : text);
	}
	OPENSSL_free(text);
	BN_free(old);
	BN_free(next);
	return rc;
}
