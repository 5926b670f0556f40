/*
 * key recover: private keys out of the archive (signer/archive.c), decrypted
 * here, with an agent's key.
 */
#include "commands.h"

#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "secret.h"

#define KEY_FILE_MAX	(64 * 1024)
#define PASSPHRASE_MAX	1024

const struct opt opts_key_recover[] = {
	{ "agent-key", "FILE", "private key of a recovery agent, PEM", false },
	{ "agent-passphrase-file", "FILE", "opens it", false },
	{ "agent-cert", "FILE", "its certificate, PEM or DER", false },
	{ "out", "FILE", "new file for the private key, PEM", false },
	{ "passphrase-file", "FILE", "encrypt the private key under this "
	    "passphrase", false },
	{ NULL, NULL, NULL, false }
};

static int
read_passphrase(const char *path, struct buf *out, struct err *err)
{
	if (path == NULL)
		return 0;
	if (secret_read(path, PASSPHRASE_MAX, true, out, err) != 0)
		return -1;
	if (out->n == 0)
		return err_set(err, ERR_DENIED, "%.120s: is empty", path);
	return 0;
}

/* The agent's key may be without a passphrase: its file is a secret then. */
static EVP_PKEY *
read_agent(const struct args *a, struct err *err)
{
	struct buf pem = { 0 }, pass = { 0 };
	EVP_PKEY *pkey = NULL;
	BIO *bio = NULL;

	if (read_passphrase(args_get(a, "agent-passphrase-file"), &pass,
	    err) == 0 && secret_read(args_get(a, "agent-key"), KEY_FILE_MAX,
	    false, &pem, err) == 0 &&
	    (bio = BIO_new_mem_buf(pem.p, (int)pem.n)) != NULL) {
		pkey = PEM_read_bio_PrivateKey(bio, NULL, secret_pem, &pass);
		if (pkey == NULL)
			err_set(err, ERR_DENIED, "%.120s: is no private key "
			    "in pem, or its passphrase is another",
			    args_get(a, "agent-key"));
	}
	BIO_free(bio);
	buf_wipe(&pem);
	buf_wipe(&pass);
	ERR_clear_error();
	return pkey;
}

static X509 *
read_cert(const char *path, struct err *err)
{
	struct certs certs = { 0 };
	X509 *x = NULL;

	if (certs_read(&certs, path, err) == 0)
		x = certs_x509(&certs, 0, err);
	certs_free(&certs);
	return x;
}

/* PKCS#8 in DER from the archive's CMS. */
static int
decrypt(struct slice body, EVP_PKEY *pkey, X509 *cert, struct buf *out,
    struct err *err)
{
	const unsigned char *p = body.p;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)body.n);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *clear;
	long n;
	int rc = -1;

	if (cms == NULL || bio == NULL || p != body.p + body.n)
		err_set(err, ERR_INTERNAL, "archived key: does not parse");
	else if (CMS_decrypt(cms, pkey, cert, NULL, bio, CMS_BINARY) != 1)
		err_set(err, ERR_DENIED, "archived key: is not encrypted to "
		    "this recovery agent");
	else if ((n = BIO_get_mem_data(bio, &clear)) > 0) {
		buf_add(out, clear, (size_t)n);
		rc = 0;
	}
	BIO_free(bio);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return rc;
}

/* The file's PEM: as it is, or under a passphrase. */
static int
encode(struct slice der, const struct buf *pass, struct buf *pem,
    struct err *err)
{
	const unsigned char *p = der.p;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p,
	    (long)der.n);
	EVP_PKEY *pkey = info == NULL ? NULL : EVP_PKCS82PKEY(info);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text;
	long n;
	int rc = -1;

	if (pkey != NULL && bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio,
	    pkey, pass->n == 0 ? NULL : EVP_aes_256_cbc(),
	    pass->n == 0 ? NULL : (char *)pass->p, (int)pass->n, NULL,
	    NULL) == 1 && (n = BIO_get_mem_data(bio, &text)) > 0) {
		buf_add(pem, text, (size_t)n);
		rc = 0;
	} else
		err_openssl(err, "archived key: writing pem");
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	PKCS8_PRIV_KEY_INFO_free(info);		/* wipes */
	return rc;
}

/* The database writes the line in audit before it hands the blob out. */
static int
fetch(struct cli *c, const char *serial, struct buf *out, struct err *err)
{
	PGresult *res = cli_query(c, "key_recover",
	    (const char *[]){ serial }, 1, err);
	int rc = -1;

	if (res == NULL)
		return -1;
	if (PQntuples(res) != 1 || PQgetisnull(res, 0, 0))
		err_set(err, ERR_DENIED, "no archived key of certificate %s",
		    serial);
	else
		rc = cli_bytea(PQgetvalue(res, 0, 0), out, err);
	PQclear(res);
	return rc;
}

/* Passphrase before blob: after fetch there is a line in audit. */
static int
recover(struct cli *c, const struct args *a, EVP_PKEY *pkey, X509 *cert,
    struct err *err)
{
	struct buf body = { 0 }, der = { 0 }, pem = { 0 }, pass = { 0 };
	char serial[41];
	int rc = -1;

	if (serial_parse(c, a->pos[0], serial, err) == 0 &&
	    read_passphrase(args_get(a, "passphrase-file"), &pass,
	    err) == 0 && fetch(c, serial, &body, err) == 0 &&
	    decrypt(buf_slice(&body), pkey, cert, &der, err) == 0 &&
	    encode(buf_slice(&der), &pass, &pem, err) == 0)
		rc = secret_write(args_get(a, "out"), buf_slice(&pem), err);
	buf_free(&body);
	buf_wipe(&der);
	buf_wipe(&pem);
	buf_wipe(&pass);
	return rc;
}

int
cmd_key_recover(struct cli *c, const struct args *a, struct err *err)
{
	static const char *const must[] = { "agent-key", "agent-cert", "out" };
	EVP_PKEY *pkey;
	X509 *cert;
	size_t i;
	int rc = -1;

	for (i = 0; i < sizeof must / sizeof must[0]; i++)
		if (!args_has(a, must[i]))
			return cli_usage(c, err, "--%s is missing", must[i]);
	pkey = read_agent(a, err);
	cert = pkey == NULL ? NULL : read_cert(args_get(a, "agent-cert"),
	    err);
	/* First of all: a mistake here must not leave a line in audit. */
	if (cert != NULL && X509_check_private_key(cert, pkey) != 1) {
		ERR_clear_error();
		err_set(err, ERR_DENIED, "agent-key is not the key of "
		    "agent-cert");
	} else if (cert != NULL)
		rc = recover(c, a, pkey, cert, err);
	X509_free(cert);
	EVP_PKEY_free(pkey);
	return rc != 0 ? -1 : cli_written(c, args_get(a, "out"), err);
}
