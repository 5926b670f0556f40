/* Certificates and public keys as OpenSSL has them. */
#include "x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <time.h>

X509 *
x509_read(struct slice der)
{
	const unsigned char	*p = der.p;
	X509			*x = d2i_X509(NULL, &p, (long)der.n);

	if (x != NULL && p == der.p + der.n)
		return x;
	X509_free(x);
	return NULL;
}

static int
take(unsigned char *der, int n, struct buf *out)
{
	if (n > 0)
		buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 ? 0 : -1;
}

int
x509_spki(const X509 *x, struct buf *out)
{
	unsigned char	*der = NULL;
	int		 n = x == NULL ? -1 :
			    i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	return take(der, n, out);
}

int
x509_key_spki(const EVP_PKEY *key, struct buf *out)
{
	unsigned char	*der = NULL;
	int		 n = i2d_PUBKEY(key, &der);

	return take(der, n, out);
}

bool
x509_purpose(X509 *x, const char *dotted)
{
	ASN1_OBJECT		*want = OBJ_txt2obj(dotted, 1);
	EXTENDED_KEY_USAGE	*ekus;
	bool			 found = false;
	int			 i;

	ekus = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	for (i = 0; i < sk_ASN1_OBJECT_num(ekus); i++)
		if (OBJ_cmp(sk_ASN1_OBJECT_value(ekus, i), want) == 0)
			found = true;
	EXTENDED_KEY_USAGE_free(ekus);
	ASN1_OBJECT_free(want);
	return found;
}

int
x509_unix(const ASN1_TIME *t, int64_t *out)
{
	struct tm	tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	*out = timegm(&tm);
	return 0;
}

/* NULL: of a kind that nobody here signs with. */
static const EVP_MD *
signed_with(struct slice alg)
{
	const uint8_t	*p = alg.p;
	X509_ALGOR	*a;
	int		 md;

	a = d2i_X509_ALGOR(NULL, &p, (long)alg.n);
	if (a == NULL || OBJ_find_sigid_algs(OBJ_obj2nid(a->algorithm), &md,
	    NULL) != 1)
		md = NID_undef;
	X509_ALGOR_free(a);
	return md == NID_undef ? NULL : EVP_get_digestbynid(md);
}

bool
x509_signed(struct slice alg, struct slice tbs, struct slice sig,
    EVP_PKEY *key)
{
	const EVP_MD	*md = signed_with(alg);
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	bool		 is;

	is = ctx != NULL && md != NULL && key != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, sig.p, sig.n, tbs.p, tbs.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return is;
}
