/* Hash functions; made ready once, for the ledger and for rows. */
#include <stdlib.h>

#include <openssl/evp.h>

#include "digest.h"

struct digest {
	EVP_MD		*md;
	EVP_MD_CTX	*ctx;
};

void
digest_sha256(struct slice s, uint8_t out[32])
{
	if (EVP_Digest(s.p, s.n, out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

struct digest *
digest_new(const char *name)
{
	struct digest	*d = xcalloc(1, sizeof(*d));

	d->md = EVP_MD_fetch(NULL, name, NULL);
	d->ctx = EVP_MD_CTX_new();
	if (d->md == NULL || d->ctx == NULL)
		abort();
	return d;
}

void
digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
}

size_t
digest_run(struct digest *d, struct slice s, uint8_t out[DIGEST_MAX])
{
	unsigned	n;

	if (EVP_DigestInit_ex(d->ctx, d->md, NULL) != 1 ||
	    EVP_DigestUpdate(d->ctx, s.p, s.n) != 1 ||
	    EVP_DigestFinal_ex(d->ctx, out, &n) != 1)
		abort();
	return n;
}

const EVP_MD *
digest_md(const struct digest *d)
{
	return d->md;
}
