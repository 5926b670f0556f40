/* Archived keys: what opens, what does not, and every cut of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "enveloped.h"
#include "keyblob.h"

static void
put_pkcs8(EVP_PKEY *pkey, struct buf *out)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	unsigned char *der = NULL;
	int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);

	assert_true(n > 0);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(info);
}

static void
test_keys(void **state)
{
	EVP_PKEY *key[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-256"),
	    EVP_EC_gen("P-521") }, *back;
	struct buf der = { 0 };
	struct err err;
	size_t i, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		buf_reset(&der);
		put_pkcs8(key[i], &der);
		memset(&err, 0, sizeof(err));
		back = keyblob_parse(buf_slice(&der), &err);
		assert_non_null(back);
		assert_true(keyblob_fits(back, key[i]));
		assert_false(keyblob_fits(back, key[(i + 1) % 3]));
		EVP_PKEY_free(back);
		for (n = 0; n < der.n; n++) {
			memset(&err, 0, sizeof(err));
			assert_null(keyblob_parse(slice_of(der.p, n), &err));
			assert_int_equal(err.kind, ERR_MALFORMED);
		}
	}
	for (i = 0; i < 3; i++)
		EVP_PKEY_free(key[i]);
	buf_free(&der);
}

static void
test_other_kinds(void **state)
{
	EVP_PKEY *key[] = { EVP_EC_gen("secp256k1"),
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_RSA_gen(512) };
	struct buf der = { 0 };
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		buf_reset(&der);
		put_pkcs8(key[i], &der);
		memset(&err, 0, sizeof(err));
		assert_null(keyblob_parse(buf_slice(&der), &err));
		assert_int_equal(err.kind, ERR_MALFORMED);
		EVP_PKEY_free(key[i]);
	}
	buf_free(&der);
}

/* What OpenSSL encrypts to a certificate of this key. */
static void
encrypt(EVP_PKEY *key, const EVP_CIPHER *cipher, struct buf *out)
{
	STACK_OF(X509) *to = sk_X509_new_null();
	X509 *x = X509_new();
	BIO *in = BIO_new_mem_buf("a private key", -1);
	CMS_ContentInfo *cms;
	unsigned char *der = NULL;
	int n;

	ASN1_INTEGER_set(X509_get_serialNumber(x), 77);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 60);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	sk_X509_push(to, x);
	cms = CMS_encrypt(to, in, cipher, CMS_BINARY);
	assert_non_null(cms);
	n = i2d_CMS_ContentInfo(cms, &der);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	sk_X509_pop_free(to, X509_free);
}

static void
test_enveloped(void **state)
{
	const EVP_CIPHER *cipher[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(),
	    EVP_aes_256_cbc(), EVP_des_ede3_cbc() };
	EVP_PKEY *key = EVP_RSA_gen(2048), *other = EVP_RSA_gen(2048);
	struct buf der = { 0 }, out = { 0 };
	struct enveloped e;
	struct err err;
	const uint8_t *last;
	size_t i, n;

	(void)state;
	for (i = 0; i < 4; i++) {
		buf_reset(&der);
		buf_reset(&out);
		encrypt(key, cipher[i], &der);
		memset(&err, 0, sizeof(err));
		assert_int_equal(enveloped_parse(&e, buf_slice(&der), &err),
		    0);
		assert_true(slice_eq(e.serial, slice_of("\x4d", 1)));
		assert_int_equal(enveloped_open(&e, key, &out), 0);
		assert_true(slice_is(buf_slice(&out), "a private key"));
		/* Somebody else's key opens to nothing that it was. */
		buf_reset(&out);
		(void)enveloped_open(&e, other, &out);
		assert_false(slice_is(buf_slice(&out), "a private key"));
		/* What it has is no success of this one: a broken padding. */
		buf_reset(&out);
		buf_puts(&out, "before");
		last = e.content.n > e.iv.n ?
		    e.content.p + e.content.n - e.iv.n : e.iv.p + e.iv.n;
		der.p[last - der.p - 1] ^= 0x80;
		assert_int_equal(enveloped_open(&e, key, &out), -1);
		assert_true(slice_is(buf_slice(&out), "before"));
		for (n = 0; n < der.n; n++) {
			memset(&err, 0, sizeof(err));
			assert_int_equal(enveloped_parse(&e,
			    slice_of(der.p, n), &err), -1);
		}
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	buf_free(&der);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_enveloped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
