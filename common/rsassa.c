/* RSASSA-PKCS1-v1_5 signatures of keys that are used once: under sigalg.c. */
#include <string.h>

#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "rsassa.h"

/* [RFC8017] 9.2, note 1: DigestInfo up to the hash. */
struct digest_info {
	int		 nid;
	struct slice	 prefix;
};

static const struct digest_info infos[] = {
	{ NID_sha256, { (const uint8_t *)"\x30\x31\x30\x0d\x06\x09\x60\x86"
	    "\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20", 19 } },
	{ NID_sha384, { (const uint8_t *)"\x30\x41\x30\x0d\x06\x09\x60\x86"
	    "\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30", 19 } },
	{ NID_sha512, { (const uint8_t *)"\x30\x51\x30\x0d\x06\x09\x60\x86"
	    "\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40", 19 } },
	{ NID_sha1, { (const uint8_t *)"\x30\x21\x30\x09\x06\x05\x2b\x0e"
	    "\x03\x02\x1a\x05\x00\x04\x14", 15 } },
};

#define NINFOS	(sizeof(infos) / sizeof(infos[0]))

static struct slice
info_of(const EVP_MD *md)
{
	size_t	i;

	for (i = 0; i < NINFOS; i++)
		if (infos[i].nid == EVP_MD_get_type(md))
			return infos[i].prefix;
	return slice_of(NULL, 0);
}

/* EMSA-PKCS1-v1_5 ([RFC8017] 9.2): 0, 1, at least eight 0xff, 0, the hash. */
static int
encode(const EVP_MD *md, struct slice msg, uint8_t *em, size_t n)
{
	struct slice	info = info_of(md);
	size_t		tail = info.n + (size_t)EVP_MD_get_size(md);

	if (info.n == 0 || n < tail + 11)
		return -1;
	em[0] = 0;
	em[1] = 1;
	memset(em + 2, 0xff, n - tail - 3);
	em[n - tail - 1] = 0;
	memcpy(em + n - tail, info.p, info.n);
	return EVP_Digest(msg.p, msg.n, em + n - tail + info.n, NULL, md,
	    NULL) == 1 ? 0 : -1;
}

/*
 * m = s^65537.  That exponent has two bits: 16 squarings, and by the last
 * product, of whose factors one alone is in Montgomery form, the result is
 * out of it.  A third less than the general function.
 */
static int
power_f4(BIGNUM *m, const BIGNUM *s, BN_MONT_CTX *mont, BN_CTX *ctx)
{
	int	i;

	if (!BN_to_montgomery(m, s, mont, ctx))
		return -1;
	for (i = 0; i < 16; i++)
		if (!BN_mod_mul_montgomery(m, m, m, mont, ctx))
			return -1;
	return BN_mod_mul_montgomery(m, m, s, mont, ctx) ? 0 : -1;
}

static int
power(const struct pubkey *k, BIGNUM *m, const BIGNUM *s, BN_CTX *ctx)
{
	BIGNUM	*e;

	if (k->e == RSA_F4)
		return power_f4(m, s, k->mont, ctx);
	e = BN_CTX_get(ctx);
	return e != NULL && BN_set_word(e, k->e) &&
	    BN_mod_exp_mont(m, s, e, k->n, ctx, k->mont) ? 0 : -1;
}

/* RSAVP1 ([RFC8017] 5.2.2), as many octets as the modulus has. */
static int
open_signature(const struct pubkey *k, struct slice sig, uint8_t *em,
    BN_CTX *ctx)
{
	BIGNUM	*s = BN_CTX_get(ctx), *m = BN_CTX_get(ctx);

	if (m == NULL || BN_bin2bn(sig.p, (int)sig.n, s) == NULL ||
	    BN_cmp(s, k->n) >= 0 || power(k, m, s, ctx) == -1)
		return -1;
	return BN_bn2binpad(m, em, (int)sig.n) == (int)sig.n ? 0 : -1;
}

/*
 * What must stand in the signature is made and compared as a whole: a reader
 * of it could be lenient where it must not be ([RFC8017] 8.2.2, the note).
 */
int
rsassa_verify(const struct pubkey *k, const EVP_MD *md, struct slice msg,
    struct slice sig)
{
	uint8_t	 want[RSASSA_OCTETS], got[RSASSA_OCTETS];
	BN_CTX	*ctx;
	int	 rc;

	if (sig.n > RSASSA_OCTETS || sig.n != (size_t)BN_num_bytes(k->n) ||
	    encode(md, msg, want, sig.n) == -1)
		return -1;
	ctx = BN_CTX_new();
	if (ctx == NULL)
		return -1;
	BN_CTX_start(ctx);
	rc = open_signature(k, sig, got, ctx);
	BN_CTX_end(ctx);
	BN_CTX_free(ctx);
	return rc == 0 && memcmp(want, got, sig.n) == 0 ? 0 : -1;
}
