/*
 * The audit key and its signatures: under head.c, for signers, and for who
 * verifies their ledgers.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "audit.h"
#include "secret.h"

struct audit_key {
	uint8_t	 pub[crypto_sign_PUBLICKEYBYTES];
	uint8_t	 sec[crypto_sign_SECRETKEYBYTES];
	char	 hex[AUDIT_PUB_HEX + 1];
};

_Static_assert(AUDIT_SIG == crypto_sign_BYTES, "size of a signature");
_Static_assert(AUDIT_PUB_HEX == 2 * crypto_sign_PUBLICKEYBYTES,
    "size of a public key");

static struct audit_key *
from_seed(const uint8_t seed[crypto_sign_SEEDBYTES])
{
	struct audit_key *k = xcalloc(1, sizeof(*k));

	if (sodium_init() == -1 ||
	    crypto_sign_seed_keypair(k->pub, k->sec, seed) != 0)
		abort();
	hex_encode(k->pub, sizeof(k->pub), k->hex);
	return k;
}

int
audit_key_create(const char *path, char pub[AUDIT_PUB_HEX + 1],
    struct err *err)
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	char hex[2 * sizeof(seed) + 2];
	struct audit_key *k;
	int rc;

	if (sodium_init() == -1)
		return err_set(err, ERR_INTERNAL, "audit key: no randomness");
	randombytes_buf(seed, sizeof(seed));
	hex_encode(seed, sizeof(seed), hex);
	strcat(hex, "\n");
	rc = secret_write(path, slice_str(hex), err);
	if (rc == 0) {
		k = from_seed(seed);
		memcpy(pub, k->hex, sizeof(k->hex));
		audit_key_free(k);
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(hex, sizeof(hex));
	return rc;
}

struct audit_key *
audit_key_load(const char *path, struct err *err)
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	struct audit_key *k = NULL;
	struct buf file = { 0 };

	if (secret_read(path, 128, true, &file, err) == -1)
		return NULL;
	if (file.n == 2 * sizeof(seed) &&
	    hex_decode(buf_str(&file), seed, sizeof(seed)) == 0)
		k = from_seed(seed);
	else
		err_set(err, ERR_INTERNAL,
		    "%s: an audit key is 64 hex digits", path);
	buf_wipe(&file);
	sodium_memzero(seed, sizeof(seed));
	return k;
}

void
audit_key_free(struct audit_key *k)
{
	if (k == NULL)
		return;
	sodium_memzero(k, sizeof(*k));
	free(k);
}

const char *
audit_key_pub(const struct audit_key *k)
{
	return k->hex;
}

/* "countersign LABEL", a NUL, the message. */
static void
put_signed(struct buf *b, const char *label, struct slice msg)
{
	buf_puts(b, "countersign ");
	buf_puts(b, label);
	buf_addc(b, 0);
	buf_add(b, msg.p, msg.n);
}

void
audit_sign(const struct audit_key *k, const char *label, struct slice msg,
    uint8_t sig[AUDIT_SIG])
{
	struct buf b = { 0 };

	put_signed(&b, label, msg);
	if (crypto_sign_detached(sig, NULL, b.p, b.n, k->sec) != 0)
		abort();
	buf_free(&b);
}

bool
audit_verify(const char *pub_hex, const char *label, struct slice msg,
    const uint8_t sig[AUDIT_SIG])
{
	uint8_t pub[crypto_sign_PUBLICKEYBYTES];
	struct buf b = { 0 };
	bool good;

	if (strlen(pub_hex) != AUDIT_PUB_HEX ||
	    hex_decode(pub_hex, pub, sizeof(pub)) != 0 || sodium_init() == -1)
		return false;
	put_signed(&b, label, msg);
	good = crypto_sign_verify_detached(sig, b.p, b.n, pub) == 0;
	buf_free(&b);
	return good;
}
