/*
 * Requests.  Oracle: the PKCS#10 in whatever is accepted OpenSSL accepts, all
 * of it, with the same key; its own signature it verifies as well.
 *
 * Mutated bytes break a signature, and little is read behind a broken one.
 * So an input that does not start like DER is signed here: its first octet
 * says what the rest becomes.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#define assert_true(x)			do { if (!(x)) abort(); } while (0)
#define assert_non_null(x)		assert_true((x) != NULL)
#define assert_int_equal(x, y)		assert_true((x) == (y))

#include "tests/unit/req_fixture.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_against_openssl(const struct request *r)
{
	const uint8_t	*p = r->csr.p;
	X509_REQ	*req = d2i_X509_REQ(NULL, &p, (long)r->csr.n);
	struct err	 err = ERR_INIT;
	EVP_PKEY	*key;
	uint8_t		*spki = NULL;
	int		 n;

	if (req == NULL || p != r->csr.p + r->csr.n)
		abort();
	n = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &spki);
	if (n < 0 || !slice_eq(slice_of(spki, (size_t)n), r->key->spki))
		abort();
	key = pubkey_evp(r->key, &err);
	if (EVP_PKEY_eq(X509_REQ_get0_pubkey(req), key) != 1)
		abort();
	EVP_PKEY_free(key);
	if (r->pop == POP_PKCS10 &&
	    X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1)
		abort();
	OPENSSL_free(spki);
	X509_REQ_free(req);
}

static void
try(struct slice der)
{
	struct err	 err = ERR_INIT;
	struct request	*r = request_parse(der, &err);
	size_t		 i;

	if ((r == NULL) != (err.kind != ERR_NONE) || err.kind == ERR_INTERNAL)
		abort();
	if (r == NULL)
		return;
	check_against_openssl(r);
	for (i = 0; i < r->nsigner; i++)
		if (!r->signer[i].verified)
			abort();
	request_free(r);
	ERR_clear_error();
}

/* A: attributes; C: controls; D: the CMC's content; S: a signed attribute. */
static void
sign_and_try(int what, struct slice rest)
{
	static EVP_PKEY	*key;
	struct cms_make	 c = { .type = OID_CCT_PKI_DATA,
	    .signer = { OUTER_KEY }, .nsigner = 1 };
	struct slice	 none = { NULL, 0 };
	struct buf	 csr = { 0 }, data = { 0 }, out = { 0 };

	if (key == NULL)
		key = EVP_EC_gen("P-256");
	put_csr(&csr, key, what == 'A' ? rest : none, INNER_GOOD);
	put_pkidata(&data, what == 'C' ? rest : none, buf_slice(&csr));
	c.key = key;
	c.content = what == 'D' ? rest : buf_slice(&data);
	c.attr = what == 'S' ? rest : none;
	if (what != 'A')
		put_cms(&out, &c);
	try(buf_slice(what == 'A' ? &csr : &out));
	buf_free(&csr);
	buf_free(&data);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char	kinds[] = "ACDS";

	if (n == 0 || data[0] == DER_SEQ)
		try(slice_of(data, n));
	else
		sign_and_try(kinds[data[0] % 4], slice_of(data + 1, n - 1));
	return 0;
}
