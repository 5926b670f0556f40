/*
 * Archived keys: EnvelopedData and the private keys inside it.  The first
 * octet says what the rest is; 'O' is opened with a key of ours, whatever its
 * recipient says, and must end quietly.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "keyblob.h"
#include "signer/enveloped.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
try_key(struct slice s)
{
	struct err	 err = ERR_INIT;
	EVP_PKEY	*pkey = keyblob_parse(s, &err);

	if ((pkey == NULL) != (err.kind != ERR_NONE) ||
	    (pkey == NULL && err.kind != ERR_MALFORMED))
		abort();
	EVP_PKEY_free(pkey);
}

static void
try_enveloped(struct slice s, bool open)
{
	static EVP_PKEY	*key;
	struct enveloped e;
	struct err	 err = ERR_INIT;
	struct buf	 out = { 0 };

	if (key == NULL)
		key = EVP_RSA_gen(1024);
	if (enveloped_parse(&e, s, &err) == -1) {
		if (err.kind != ERR_MALFORMED)
			abort();
		return;
	}
	if (open && (enveloped_open(&e, key, &out) == 0) != (out.n != 0))
		abort();
	if (out.n > e.content.n)
		abort();
	buf_wipe(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	if (data[0] == 'K')
		try_key(slice_of(data + 1, n - 1));
	else if (data[0] == 'O')
		try_enveloped(slice_of(data + 1, n - 1), true);
	else {
		try_key(slice_of(data, n));
		try_enveloped(slice_of(data, n), false);
	}
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	return 0;
}
