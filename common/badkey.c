/*
 * Public keys that get no certificate: the list in memory, and the words of
 * the refusal, for signers ("blocked.c") and the command line.
 */
#include "badkey.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "hresult.h"

/* Hashes of one length: n in order, and behind them what came since. */
struct hashes {
	size_t	 octets, n, fresh, cap;
	uint8_t	*v;
};

struct badkeys {
	struct hashes	 kind[2];
	struct hashes	 gone[2];	/* fresh ones: to be taken off */
};

struct badkeys *
badkeys_new(void)
{
	struct badkeys *b = xcalloc(1, sizeof(*b));

	b->kind[0].octets = b->gone[0].octets = BADKEY_SPKI;
	b->kind[1].octets = b->gone[1].octets = BADKEY_MODULUS;
	return b;
}

void
badkeys_free(struct badkeys *b)
{
	size_t i;

	if (b == NULL)
		return;
	for (i = 0; i < 2; i++) {
		free(b->kind[i].v);
		free(b->gone[i].v);
	}
	free(b);
}

static int
by_spki(const void *a, const void *b)
{
	return memcmp(a, b, BADKEY_SPKI);
}

static int
by_modulus(const void *a, const void *b)
{
	return memcmp(a, b, BADKEY_MODULUS);
}

static int
(*order(const struct hashes *h))(const void *, const void *)
{
	return h->octets == BADKEY_SPKI ? by_spki : by_modulus;
}

static uint8_t *
find(const struct hashes *h, const uint8_t *hash)
{
	return h->n == 0 ? NULL : bsearch(hash, h->v, h->n, h->octets,
	    order(h));
}

static void
merge(struct hashes *h)
{
	size_t i = h->n, j = h->fresh, size = h->octets;
	uint8_t *fresh;

	if (j == 0)
		return;
	fresh = xcalloc(j, size);
	memcpy(fresh, h->v + i * size, j * size);
	qsort(fresh, j, size, order(h));
	h->n += j;
	h->fresh = 0;
	/* From the end, each to its place. */
	while (j > 0) {
		if (i > 0 && memcmp(h->v + (i - 1) * size,
		    fresh + (j - 1) * size, size) > 0) {
			i--;
			memcpy(h->v + (i + j) * size, h->v + i * size, size);
		} else {
			j--;
			memcpy(h->v + (i + j) * size, fresh + j * size, size);
		}
	}
	free(fresh);
}

/*
 * All in one pass: a signer that is told to forget a long list would move the
 * rest of it for each hash, and sign nothing meanwhile.
 */
static void
drop(struct hashes *h, struct hashes *gone)
{
	size_t i, kept = 0, k = 0, size = h->octets;
	const uint8_t *at;
	int order = 1;

	if (gone->fresh == 0)
		return;
	merge(gone);
	for (i = 0; i < h->n; i++) {
		at = h->v + i * size;
		while (k < gone->n &&
		    (order = memcmp(gone->v + k * size, at, size)) < 0)
			k++;
		if (k == gone->n || order != 0)
			memmove(h->v + kept++ * size, at, size);
	}
	h->n = kept;
	gone->n = 0;
}

void
badkeys_merge(struct badkeys *b)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		merge(&b->kind[i]);
		drop(&b->kind[i], &b->gone[i]);
	}
}

static void
put(struct hashes *h, const uint8_t *hash)
{
	if (find(h, hash) != NULL)
		return;
	h->v = xgrow(h->v, h->n + h->fresh, &h->cap, h->octets);
	memcpy(h->v + (h->n + h->fresh++) * h->octets, hash, h->octets);
}

void
badkeys_add(struct badkeys *b, struct slice hash, bool on)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (hash.n == b->kind[i].octets)
			put(on ? &b->kind[i] : &b->gone[i], hash.p);
}

size_t
badkeys_count(const struct badkeys *b)
{
	return b->kind[0].n + b->kind[1].n;
}

int
badkey_line(const char *line, uint8_t out[BADKEY_SPKI])
{
	char hex[2 * BADKEY_SPKI + 1];
	size_t n;

	line += strspn(line, " \t");
	if (*line == '#' || line[strspn(line, "\r\n")] == '\0')
		return 0;
	n = strspn(line, "0123456789abcdefABCDEF");
	if ((n != 2 * BADKEY_SPKI && n != 2 * BADKEY_MODULUS) ||
	    strchr(" \t\r\n", line[n]) == NULL)
		return -1;
	memcpy(hex, line, n);
	hex[n] = '\0';
	return hex_decode(hex, out, n / 2) == 0 ? (int)n / 2 : -1;
}

static void
modulus(const struct pubkey *key, uint8_t out[BADKEY_MODULUS])
{
	struct buf text = { 0 };
	uint8_t md[SHA_DIGEST_LENGTH];
	char *hex;

	if ((hex = BN_bn2hex(key->n)) == NULL)
		abort();
	buf_printf(&text, "Modulus=%s\n", hex);
	SHA1(text.p, text.n, md);
	memcpy(out, md + sizeof(md) - BADKEY_MODULUS, BADKEY_MODULUS);
	OPENSSL_free(hex);
	buf_free(&text);
}

size_t
badkey_other(const struct pubkey *key, uint8_t out[BADKEY_SPKI])
{
	uint8_t md[2][BADKEY_SPKI];

	if (pubkey_hashes(key, md) == 1) {
		modulus(key, out);
		return BADKEY_MODULUS;
	}
	memcpy(out, md[1], BADKEY_SPKI);
	return BADKEY_SPKI;
}

bool
badkeys_has(const struct badkeys *b, const struct pubkey *key)
{
	const struct hashes *other = &b->kind[key->kind == KEY_RSA];
	uint8_t md[BADKEY_SPKI];

	if (b->kind[0].n > 0) {
		pubkey_sha256(key, md);
		if (find(&b->kind[0], md) != NULL)
			return true;
	}
	if (other->n == 0)
		return false;
	(void)badkey_other(key, md);
	return find(other, md) != NULL;
}

int
badkey_of_ca(const struct pubkey *key, struct slice ca_spki, const char *ca,
    struct err *err)
{
	if (!pubkey_alike(key, ca_spki))
		return 0;
	return err_deny(err, NTE_BAD_KEY, "public key is ca %.64s's", ca);
}

static void
hash_text(const struct pubkey *key, char hex[2 * BADKEY_SPKI + 1])
{
	uint8_t md[BADKEY_SPKI];

	pubkey_sha256(key, md);
	hex_encode(md, sizeof(md), hex);
}

int
badkey_blocked(const struct pubkey *key, bool blocked, struct err *err)
{
	char hex[2 * BADKEY_SPKI + 1];

	if (!blocked)
		return 0;
	hash_text(key, hex);
	return err_deny(err, NTE_BAD_KEY, "public key %s is blocked", hex);
}

int
badkey_owned(const struct pubkey *key, const char *owner, const char *account,
    struct err *err)
{
	char hex[2 * BADKEY_SPKI + 1];

	if (owner == NULL || strcmp(owner, account) == 0)
		return 0;
	/* Whose it is, the client is not told. */
	hash_text(key, hex);
	return err_deny(err, NTE_BAD_KEY, "public key %s is certified for "
	    "another account: make a new key", hex);
}
