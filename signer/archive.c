/*
 * A private key into the archive: after decide() has said yes to a template
 * with archival, before the certificate is built.
 */
#include "archive.h"

#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "enveloped.h"
#include "exchange.h"
#include "hresult.h"
#include "keyblob.h"
#include "signer.h"
#include "store_key.h"
#include "x509.h"

static int
refuse(struct err *err)
{
	return err_deny(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "archived key cannot be decrypted or is not that of the request");
}

static STACK_OF(X509) *
agents(const struct policy_ca *ca)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	X509 *x;
	size_t i;

	for (i = 0; list != NULL && i < ca->nrecovery; i++) {
		x = x509_read(buf_slice(&ca->recovery[i]));
		if (x != NULL && sk_X509_push(list, x) > 0)
			continue;
		X509_free(x);
		sk_X509_pop_free(list, X509_free);
		list = NULL;
	}
	return list;
}

/* [RFC5652] 6: any one of the agents can open it. */
static int
encrypt(const struct policy_ca *ca, struct slice clear, struct buf *out,
    struct err *err)
{
	STACK_OF(X509) *list = agents(ca);
	BIO *in = BIO_new_mem_buf(clear.p, (int)clear.n);
	CMS_ContentInfo *cms = NULL;
	unsigned char *der = NULL;
	int n, rc = -1;

	if (list != NULL && in != NULL)
		cms = CMS_encrypt(list, in, EVP_aes_256_cbc(), CMS_BINARY);
	if (cms != NULL && (n = i2d_CMS_ContentInfo(cms, &der)) > 0) {
		buf_add(out, der, (size_t)n);
		rc = 0;
	} else
		err_openssl(err, "archived key: encrypting to the agents");
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	sk_X509_pop_free(list, X509_free);
	return rc;
}

/* In one form, whatever form it came in. */
static int
encrypt_key(const struct policy_ca *ca, EVP_PKEY *pkey, struct buf *out,
    struct err *err)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	unsigned char *der = NULL;
	int n = 0, rc = -1;

	if (info != NULL && (n = i2d_PKCS8_PRIV_KEY_INFO(info, &der)) > 0)
		rc = encrypt(ca, slice_of(der, (size_t)n), out, err);
	else
		err_openssl(err, "archived key: encoding");
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	return rc;
}

static EVP_PKEY *
decrypt(const struct enveloped *e, EVP_PKEY *exchange,
    const struct request *r)
{
	struct err ignored = ERR_INIT;
	struct buf clear = { 0 };
	EVP_PKEY *pkey = NULL, *certified = pubkey_evp(r->key, &ignored);

	if (enveloped_open(e, exchange, &clear) == 0)
		pkey = keyblob_parse(buf_slice(&clear), &ignored);
	buf_wipe(&clear);
	if (pkey != NULL && !keyblob_fits(pkey, certified)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	EVP_PKEY_free(certified);
	return pkey;
}

/* After a roll-over clients still have what the key before has certified. */
static struct ca *
encrypted_to(const struct signer *s, struct ca *ca, const struct enveloped *e)
{
	size_t i;

	for (i = 0; i < s->ncas; i++)
		if (strcmp(s->cas[i]->of, ca->of) == 0 &&
		    slice_eq(e->issuer, s->cas[i]->cert.subject))
			return s->cas[i];
	return ca;
}

/* Whom it is encrypted to is public, so its refusal may say more. */
static EVP_PKEY *
recipient(struct signer *s, struct ca *ca, const struct enveloped *e,
    struct err *err)
{
	struct buf sealed = { 0 };
	EVP_PKEY *pkey = NULL;

	ca = encrypted_to(s, ca, e);
	if (!slice_eq(e->issuer, ca->cert.subject))
		err_deny(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "archived key is not encrypted to ca %s", ca->name);
	else if (store_exchange_find(s->store, ca->name, e->serial, &sealed,
	    err) == -1)
		;
	else if (sealed.n == 0)
		err_deny(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL, "archived "
		    "key is encrypted to an exchange certificate that is "
		    "unknown or too old");
	else
		pkey = exchange_open(ca, e->serial, buf_slice(&sealed), err);
	buf_free(&sealed);
	return pkey;
}

int
archive_key(struct signer *s, struct ca *ca, const struct policy_ca *pca,
    const struct request *r, struct buf *out, struct err *err)
{
	EVP_PKEY *exchange, *pkey;
	struct enveloped e;
	int rc;

	if (enveloped_parse(&e, r->archived_key, err) == -1)
		return -1;
	exchange = recipient(s, ca, &e, err);
	if (exchange == NULL)
		return -1;
	pkey = decrypt(&e, exchange, r);
	rc = pkey == NULL ? refuse(err) : encrypt_key(pca, pkey, out, err);
	EVP_PKEY_free(pkey);
	EVP_PKEY_free(exchange);
	ERR_clear_error();
	return rc;
}
