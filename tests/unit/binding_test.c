/* tls-server-end-point of certificates, and of files that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "binding.h"
#include "file.h"

#define PREFIX	"tls-server-end-point:"

/* A certificate signed so, as PEM; the hash of its DER is by md. */
static void
make(EVP_PKEY *key, const EVP_MD *sign, bool pss, const EVP_MD *md,
    struct buf *pem, struct binding_value *want)
{
	X509		*x = X509_new();
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX	*pctx;
	BIO		*bio = BIO_new(BIO_s_mem());
	char		*text;
	long		 len;
	unsigned	 n = 0;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), rand());
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, sign, NULL, key), 1);
	if (pss)
		assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx,
		    RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(X509_sign_ctx(x, ctx) > 0);
	PEM_write_bio_X509(bio, x);
	len = BIO_get_mem_data(bio, &text);
	buf_add(pem, text, (size_t)len);
	memcpy(want->data, PREFIX, strlen(PREFIX));
	assert_int_equal(X509_digest(x, md, want->data + strlen(PREFIX), &n),
	    1);
	want->n = strlen(PREFIX) + n;
	BIO_free(bio);
	EVP_MD_CTX_free(ctx);
	X509_free(x);
}

static void
same(const struct binding_value *a, const struct binding_value *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->data, b->data, a->n);
}

static void
test_hashes(void **state)
{
	EVP_PKEY		*ec = EVP_EC_gen("P-256");
	EVP_PKEY		*rsa = EVP_RSA_gen(2048);
	struct binding_value	 want, got;
	struct err		 err = ERR_INIT;
	struct buf		 pem = { 0 };
	const struct {
		EVP_PKEY	*key;
		const EVP_MD	*sign;
		bool		 pss;
		const EVP_MD	*md;
	} cases[] = {
		{ ec, EVP_sha256(), false, EVP_sha256() },
		{ ec, EVP_sha384(), false, EVP_sha384() },
		{ rsa, EVP_sha512(), false, EVP_sha512() },
		{ rsa, EVP_sha384(), true, EVP_sha384() },
		/* Too weak for it: [RFC5929] 4.1 */
		{ rsa, EVP_sha1(), false, EVP_sha256() },
		{ rsa, EVP_md5(), false, EVP_sha256() },
	};
	size_t			 i;
	(void)state;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&pem);
		make(cases[i].key, cases[i].sign, cases[i].pss, cases[i].md,
		    &pem, &want);
		assert_int_equal(binding_of_pem(buf_slice(&pem), "x", &got,
		    &err), 0);
		same(&got, &want);
	}
	buf_free(&pem);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
}

static void
test_none(void **state)
{
	EVP_PKEY		*ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct binding_value	 want, got;
	struct err		 err = ERR_INIT;
	struct buf		 pem = { 0 };
	(void)state;

	make(ed, NULL, false, EVP_sha256(), &pem, &want);
	assert_int_equal(binding_of_pem(buf_slice(&pem), "x", &got, &err), -1);
	assert_non_null(strstr(err.text, "has no hash"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(binding_of_pem(slice_str("no PEM"), "a-path", &got,
	    &err), -1);
	assert_non_null(strstr(err.text, "a-path"));
	assert_int_equal(got.n, 0);
	buf_free(&pem);
	EVP_PKEY_free(ed);
}

static void
put(const char *path, const struct buf *pem)
{
	struct err	err = ERR_INIT;

	assert_int_equal(file_put(path, 0644, buf_slice(pem), &err), 0);
}

/* Of three in turn the last two are good; what cannot be read is none. */
static void
test_changes(void **state)
{
	char			 path[] = "/tmp/binding_test.XXXXXX";
	char			*paths[] = { path };
	const struct strlist	 files = { paths, 1 };
	EVP_PKEY		*ec = EVP_EC_gen("P-256");
	struct binding_value	 want[3], got[BINDING_MAX];
	struct buf		 pem[3] = { { 0 }, { 0 }, { 0 } };
	struct err		 err = ERR_INIT;
	struct binding		*b;
	size_t			 i;
	(void)state;

	assert_int_not_equal(close(mkstemp(path)), -1);
	assert_null(binding_new(&files, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	memset(&err, 0, sizeof(err));
	for (i = 0; i < 3; i++)
		make(ec, EVP_sha256(), false, EVP_sha256(), &pem[i], &want[i]);
	put(path, &pem[0]);
	b = binding_new(&files, &err);
	assert_non_null(b);
	assert_int_equal(binding_values(b, got), 1);
	same(&got[0], &want[0]);
	put(path, &pem[1]);
	assert_int_equal(binding_values(b, got), 2);
	same(&got[0], &want[1]);
	same(&got[1], &want[0]);
	put(path, &pem[1]);		/* touched only */
	assert_int_equal(binding_values(b, got), 2);
	same(&got[1], &want[0]);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(binding_values(b, got), 2);
	same(&got[0], &want[1]);
	put(path, &pem[2]);
	assert_int_equal(binding_values(b, got), 2);
	same(&got[0], &want[2]);
	same(&got[1], &want[1]);
	unlink(path);
	binding_free(b);
	for (i = 0; i < 3; i++)
		buf_free(&pem[i]);
	EVP_PKEY_free(ec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
