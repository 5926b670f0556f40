#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "ca.h"
#include "der.h"
#include "responder.h"

/* [RFC5280] 4.1: the byte ranges that issued certificates repeat exactly. */
static int
slice_up(struct ca_cert *c, struct err *err)
{
	struct der cert, tbs;

	if (der_only(buf_slice(&c->der), DER_SEQ, &cert, "ca certificate",
	    err) == -1 ||
	    der_enter(&cert, DER_SEQ, &tbs, "ca tbsCertificate", err) == -1 ||
	    der_get(&tbs, DER_CTXC(0), &(struct slice){ 0 }, "ca version",
	    err) == -1 ||
	    der_get(&tbs, DER_INTEGER, &c->serial, "ca serial", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &(struct slice){ 0 }, "ca signature",
	    err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->issuer, "ca issuer", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &(struct slice){ 0 }, "ca validity",
	    err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->subject, "ca subject", err) == -1)
		return -1;
	return der_tlv(&tbs, DER_SEQ, &c->spki, "ca public key", err);
}

static int
take_cert(struct ca_cert *c, X509 *x, struct err *err)
{
	unsigned char *der = NULL;
	int n;

	if ((n = i2d_X509(x, &der)) <= 0)
		return err_openssl(err, "ca certificate");
	buf_add(&c->der, der, (size_t)n);
	OPENSSL_free(der);
	return slice_up(c, err);
}

static int
unix_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	*out = (int64_t)timegm(&tm);
	return 0;
}

/* [RFC5280] 4.2.1.3, 4.2.1.9: it may sign certificates; 4.2.1.2: it has a
 * key identifier, which the certificates below it must name. */
static int
check_ca(struct ca *ca, X509 *x, struct err *err)
{
	const ASN1_OCTET_STRING *ski;

	if (X509_check_ca(x) != 1 ||
	    (X509_get_key_usage(x) & KU_KEY_CERT_SIGN) == 0)
		return err_set(err, ERR_INTERNAL,
		    "ca %s: certificate is not a ca's", ca->name);
	if ((ski = X509_get0_subject_key_id(x)) == NULL)
		return err_set(err, ERR_INTERNAL,
		    "ca %s: certificate has no subject key identifier",
		    ca->name);
	buf_add(&ca->ski, ASN1_STRING_get0_data(ski),
	    (size_t)ASN1_STRING_length(ski));
	if (unix_time(X509_get0_notBefore(x), &ca->not_before) == -1 ||
	    unix_time(X509_get0_notAfter(x), &ca->not_after) == -1)
		return err_set(err, ERR_INTERNAL,
		    "ca %s: certificate's validity is unreadable", ca->name);
	return 0;
}

/* Read the next certificate; *out is NULL at the end of the file. */
static int
next_cert(BIO *bio, const char *path, X509 **out, struct err *err)
{
	*out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (*out == NULL && ERR_GET_REASON(ERR_peek_last_error()) !=
	    PEM_R_NO_START_LINE)
		return err_openssl(err, "%s", path);
	ERR_clear_error();
	return 0;
}

static int
add_issuer(struct ca *ca, X509 **below, X509 *x, struct err *err)
{
	EVP_PKEY *pkey;

	if (X509_cmp(*below, x) == 0)
		return 0;		/* the CA's own certificate, repeated */
	if (ca->nchain == CA_CHAIN_MAX)
		return err_set(err, ERR_INTERNAL,
		    "ca %s: chain is longer than %d", ca->name, CA_CHAIN_MAX);
	pkey = X509_get0_pubkey(x);
	if (X509_check_issued(x, *below) != X509_V_OK || pkey == NULL ||
	    X509_verify(*below, pkey) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_INTERNAL,
		    "ca %s: chain certificate %zu is not the issuer of the "
		    "one before", ca->name, ca->nchain + 1);
	}
	if (take_cert(&ca->chain[ca->nchain++], x, err) == -1)
		return -1;
	X509_free(*below);
	X509_up_ref(x);
	*below = x;
	return 0;
}

static int
load_chain(struct ca *ca, const char *path, X509 **below, struct err *err)
{
	BIO *bio;
	X509 *x = NULL;
	int rc = 0;

	if (path == NULL)
		return 0;
	if ((bio = BIO_new_file(path, "r")) == NULL)
		return err_openssl(err, "%s", path);
	while (rc == 0 && (rc = next_cert(bio, path, &x, err)) == 0 &&
	    x != NULL) {
		rc = add_issuer(ca, below, x, err);
		X509_free(x);
	}
	BIO_free(bio);
	return rc;
}

static int
load_cert(struct ca *ca, const char *path, X509 **out, struct err *err)
{
	BIO *bio;
	X509 *x = NULL;

	if ((bio = BIO_new_file(path, "r")) == NULL)
		return err_openssl(err, "%s", path);
	if (next_cert(bio, path, &x, err) == 0 && x == NULL)
		err_set(err, ERR_INTERNAL, "%s: no certificate", path);
	BIO_free(bio);
	if (x == NULL)
		return -1;
	*out = x;
	return take_cert(&ca->cert, x, err) == -1 ? -1 : check_ca(ca, x, err);
}

struct ca *
ca_load(const char *name, const char *certificate, const char *chain,
    struct err *err)
{
	struct ca *ca = xcalloc(1, sizeof(*ca));
	X509 *below = NULL;
	int rc;

	ca->name = xstrdup(name);
	rc = load_cert(ca, certificate, &below, err);
	if (rc == 0)
		rc = load_chain(ca, chain, &below, err);
	X509_free(below);
	if (rc == -1) {
		ca_free(ca);
		return NULL;
	}
	return ca;
}

int
ca_set_key(struct ca *ca, struct cakey *key, struct err *err)
{
	if (!slice_eq(cakey_spki(key), ca->cert.spki))
		return err_set(err, ERR_INTERNAL,
		    "ca %s: key is not the certificate's", ca->name);
	ca->key = key;
	return 0;
}

void
ca_free(struct ca *ca)
{
	size_t i;

	if (ca == NULL)
		return;
	for (i = 0; i < ca->nchain; i++)
		buf_free(&ca->chain[i].der);
	buf_free(&ca->cert.der);
	buf_free(&ca->ski);
	cakey_free(ca->key);
	responder_free(ca->responder);
	free(ca->name);
	free(ca);
}
