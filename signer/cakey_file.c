/* A CA key in a file: read once, at start. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "cakey_int.h"
#include "secret.h"

#define KEY_FILE_MAX	(32 * 1024)
#define PASSPHRASE_MAX	1024

/* Only "ENCRYPTED PRIVATE KEY": a key in the clear is refused. */
static X509_SIG *
read_pem(const char *path, struct slice pem, struct err *err)
{
	BIO *bio = NULL;
	X509_SIG *p8 = NULL;
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	const unsigned char *p;
	long len = 0;

	if ((bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		abort();
	if (PEM_read_bio(bio, &name, &header, &der, &len) != 1) {
		err_openssl(err, "%.100s: no pem", path);
		goto out;
	}
	if (strcmp(name, PEM_STRING_PKCS8) != 0 || *header != '\0') {
		err_set(err, ERR_INTERNAL, "%.80s: is \"%.40s\", must be "
		    "\"%s\"", path, name, PEM_STRING_PKCS8);
		goto out;
	}
	p = der;
	p8 = d2i_X509_SIG(NULL, &p, len);
	if (p8 == NULL || p != der + len) {
		err_openssl(err, "%.100s: not pkcs#8", path);
		X509_SIG_free(p8);
		p8 = NULL;
	}
 out:
	OPENSSL_clear_free(der, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(bio);
	return p8;
}

static EVP_PKEY *
decrypt(const char *path, struct slice pem, struct slice passphrase,
    struct err *err)
{
	X509_SIG *p8;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	EVP_PKEY *pkey = NULL;

	if ((p8 = read_pem(path, pem, err)) == NULL)
		return NULL;
	info = PKCS8_decrypt(p8, (const char *)passphrase.p,
	    (int)passphrase.n);
	if (info == NULL)
		err_openssl(err, "%.100s: passphrase does not open it", path);
	else if ((pkey = EVP_PKCS82PKEY(info)) == NULL)
		err_openssl(err, "%.100s: not a private key", path);
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	X509_SIG_free(p8);
	return pkey;
}

EVP_PKEY *
cakey_read(const char *path, const char *passphrase_path, struct err *err)
{
	struct buf pem = { 0 }, pass = { 0 };
	EVP_PKEY *pkey = NULL;

	if (secret_read(path, KEY_FILE_MAX, false, &pem, err) == 0 &&
	    secret_read(passphrase_path, PASSPHRASE_MAX, true, &pass,
	    err) == 0)
		pkey = decrypt(path, buf_slice(&pem), buf_slice(&pass), err);
	buf_wipe(&pem);
	buf_wipe(&pass);
	return pkey;
}
