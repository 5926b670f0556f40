/* Public keys.  What is accepted OpenSSL accepts and reads the same. */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "pubkey.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err	 err = ERR_INIT;
	struct pubkey	*k = pubkey_parse(slice_of(data, n), &err);
	const uint8_t	*p = data;
	EVP_PKEY	*want, *got;

	if ((k == NULL) != (err.kind != ERR_NONE) || err.kind == ERR_INTERNAL)
		abort();
	if (k == NULL)
		return 0;
	want = d2i_PUBKEY(NULL, &p, (long)n);
	got = pubkey_evp(k, &err);
	if (want == NULL || p != data + n || EVP_PKEY_eq(want, got) != 1 ||
	    EVP_PKEY_get_bits(want) != (int)k->bits)
		abort();
	EVP_PKEY_free(got);
	EVP_PKEY_free(want);
	pubkey_free(k);
	ERR_clear_error();
	return 0;
}
