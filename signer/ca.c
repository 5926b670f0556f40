/*
 * A CA's key with its certificate and chain, as files give them.  load.c
 * reads them at start, caset.c says which of them may sign.
 */
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
#include "x509.h"

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

/*
 * [RFC5280] 4.2.1.3, 4.2.1.9: it may sign certificates; 4.2.1.2: it has a
 * key identifier, which the certificates below it must name.
 */
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
	if (x509_unix(X509_get0_notBefore(x), &ca->not_before) == -1 ||
	    x509_unix(X509_get0_notAfter(x), &ca->not_after) == -1)
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
	/* Not even the first: of a file that is no PEM, for one. */
	if (rc == 0 && ca->nchain == 0 &&
	    !slice_eq(ca->cert.subject, ca->cert.issuer))
		return err_set(err, ERR_INTERNAL, "%s: no certificate of who "
		    "has signed that of ca %s", path, ca->name);
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
	ca->of = xstrdup(name);		/* unless it is a later key */
	ca->sha1 = digest_new("SHA1");
	ca->sha256 = digest_new("SHA256");
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

/* What stands in no file stays: key, responder, numbers of lists. */
int
ca_read_again(struct ca *ca, const char *certificate, const char *chain,
    struct err *err)
{
	struct ca *fresh = ca_load(ca->name, certificate, chain, err), was;

	if (fresh == NULL)
		return -1;
	if (!slice_eq(fresh->cert.spki, ca->cert.spki) ||
	    !slice_eq(fresh->cert.subject, ca->cert.subject)) {
		ca_free(fresh);
		return err_set(err, ERR_INTERNAL, "ca %s: %s has another key "
		    "or subject", ca->name, certificate);
	}
	was = *ca;
	ca->cert = fresh->cert;
	memcpy(ca->chain, fresh->chain, sizeof(ca->chain));
	ca->nchain = fresh->nchain;
	ca->ski = fresh->ski;
	ca->not_before = fresh->not_before;
	ca->not_after = fresh->not_after;
	fresh->cert = was.cert;
	memcpy(fresh->chain, was.chain, sizeof(was.chain));
	fresh->nchain = was.nchain;
	fresh->ski = was.ski;
	ca_free(fresh);
	return 0;
}

int
ca_check_time(const struct ca *ca, int64_t now, struct err *err)
{
	char when[32];

	if (now >= ca->not_before && now < ca->not_after)
		return 0;
	utc_text(now < ca->not_before ? ca->not_before : ca->not_after, when);
	return err_set(err, ERR_UNAVAILABLE, now < ca->not_before ?
	    "ca %s: its certificate begins %s: is the clock right?" :
	    "ca %s: its certificate ended %s", ca->name, when);
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
	digest_free(ca->sha1);
	digest_free(ca->sha256);
	responder_free(ca->responder);
	free(ca->name);
	free(ca->of);
	free(ca);
}

int64_t
ca_cost(struct ca *const *cas, size_t n)
{
	int64_t cost = 1;
	size_t i;

	for (i = 0; i < n; i++) {
		if (cakey_cost(cas[i]->key) > cost)
			cost = cakey_cost(cas[i]->key);
	}
	return cost;
}
