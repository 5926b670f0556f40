/* A key and a request for a probe, as a client would make them. */
#include "keymake.h"

#include <openssl/x509v3.h>

/* The cheapest of those that it allows. */
EVP_PKEY *
keymake(const struct template *t, struct err *err)
{
	EVP_PKEY *key;

	if (t->curves & ALLOW_P256)
		key = EVP_EC_gen("P-256");
	else if (t->curves & ALLOW_P384)
		key = EVP_EC_gen("P-384");
	else if (t->curves & ALLOW_P521)
		key = EVP_EC_gen("P-521");
	else
		key = EVP_RSA_gen(t->rsa_min);
	if (key == NULL)
		err_openssl(err, "key of a probe");
	return key;
}

/* dns has passed name_is_host: nothing in it ends OpenSSL's value. */
static int
add_dns(X509_REQ *req, const char *dns)
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	X509_EXTENSION *x;
	struct buf value = { 0 };
	int rc = -1;

	buf_printf(&value, "DNS:%s", dns);
	x = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	    buf_str(&value));
	if (x != NULL && X509v3_add_ext(&list, x, -1) != NULL &&
	    X509_REQ_add_extensions(req, list) == 1)
		rc = 0;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_EXTENSION_free(x);
	buf_free(&value);
	return rc;
}

/* Without a subject: templates name the account, or judge the DNS name. */
int
keymake_csr(EVP_PKEY *key, const char *dns, struct buf *out, struct err *err)
{
	X509_REQ *req = X509_REQ_new();
	uint8_t *der = NULL;
	int n = -1;

	if (req != NULL && X509_REQ_set_pubkey(req, key) == 1 &&
	    (dns == NULL || add_dns(req, dns) == 0) &&
	    X509_REQ_sign(req, key, EVP_sha256()) > 0)
		n = i2d_X509_REQ(req, &der);
	if (n > 0)
		buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_REQ_free(req);
	return n > 0 ? 0 : err_openssl(err, "request of a probe");
}
