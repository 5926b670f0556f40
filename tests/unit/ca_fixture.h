/* A root and an issuing CA below it, in files, as an operator would have. */
#ifndef CA_FIXTURE_H
#define CA_FIXTURE_H

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "ca.h"

#define FIXTURE_PASS	"correct horse"

struct ca_fixture {
	char	 dir[32];
	char	 cert[64], chain[64], key[64], pass[64];
};

static inline EVP_PKEY *
fixture_key(const char *kind)
{
	if (strncmp(kind, "rsa:", 4) == 0)
		return EVP_RSA_gen((size_t)atoi(kind + 4));
	return EVP_EC_gen(kind);
}

static inline void
fixture_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static inline X509 *
fixture_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *signer)
{
	X509 *x = X509_new();
	X509_NAME *n = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer == NULL ? 1 : 77);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 400L * 86400);
	X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8,
	    (const unsigned char *)"Fixture", -1, -1, 0);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer == NULL ? n :
	    X509_get_subject_name(issuer));
	X509_set_pubkey(x, key);
	if (issuer == NULL)
		issuer = x;
	fixture_ext(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
	fixture_ext(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
	fixture_ext(x, issuer, NID_subject_key_identifier, "hash");
	assert_true(X509_sign(x, signer, EVP_sha256()) > 0);
	return x;
}

static inline void
fixture_write_cert(const char *path, X509 *x)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
}

static inline void
fixture_write_key(const char *path, EVP_PKEY *key, const char *pass)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, pass == NULL ?
	    NULL : EVP_aes_256_cbc(), pass, pass == NULL ? 0 :
	    (int)strlen(pass), NULL, NULL), 1);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static inline void
fixture_write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static inline void
fixture_make(struct ca_fixture *f, const char *kind)
{
	EVP_PKEY *root_key = fixture_key("P-256"), *key = fixture_key(kind);
	X509 *root, *ca;

	strcpy(f->dir, "/tmp/ca_fixture.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->cert, sizeof(f->cert), "%s/ca.pem", f->dir);
	snprintf(f->chain, sizeof(f->chain), "%s/chain.pem", f->dir);
	snprintf(f->key, sizeof(f->key), "%s/ca.key", f->dir);
	snprintf(f->pass, sizeof(f->pass), "%s/ca.pass", f->dir);
	root = fixture_cert("Root", root_key, NULL, root_key);
	ca = fixture_cert("Issuing", key, root, root_key);
	fixture_write_cert(f->cert, ca);
	fixture_write_cert(f->chain, root);
	fixture_write_key(f->key, key, FIXTURE_PASS);
	fixture_write_text(f->pass, FIXTURE_PASS "\n");
	X509_free(root);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(root_key);
}

static inline void
fixture_remove(const struct ca_fixture *f)
{
	unlink(f->cert);
	unlink(f->chain);
	unlink(f->key);
	unlink(f->pass);
	assert_int_equal(rmdir(f->dir), 0);
}

static inline struct ca *
fixture_ca(const struct ca_fixture *f)
{
	struct err err = ERR_INIT;
	struct ca *ca = ca_load("Fixture", f->cert, f->chain, &err);
	struct cakey *key;

	assert_string_equal(err.text, "");
	key = cakey_load(f->key, f->pass, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(ca_set_key(ca, key, &err), 0);
	return ca;
}

#endif
