/*
 * Public keys of requests: fixed-shape SubjectPublicKeyInfo (RSA PKCS#1 and
 * the named curves P-256, P-384, P-521 uncompressed), never read by OpenSSL's
 * decoders (86 us and most of the memory bugs).  A fuzz target proves that
 * what is accepted here OpenSSL accepts and reads the same.
 */
#ifndef PUBKEY_H
#define PUBKEY_H

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

enum key_kind { KEY_RSA, KEY_P256, KEY_P384, KEY_P521 };

struct pubkey {
	enum key_kind	 kind;
	unsigned	 bits;		/* 2048, 256, ... */
	struct slice	 spki;		/* whole TLV, borrowed */
	struct slice	 bits_content;	/* the BIT STRING's octets, for SKI */
	BIGNUM		*n;		/* RSA: modulus, owned, and exponent */
	uint64_t	 e;
	BN_MONT_CTX	*mont;		/* of the modulus, owned */
	EVP_PKEY	*pkey;		/* EC: owned */
};

/*
 * SPKI TLV, which must outlive the key.  NULL: ERR_MALFORMED, with
 * NTE_BAD_ALGID for another algorithm or curve; explicit curve parameters are
 * malformed.  Or ERR_DENIED: CERTSRV_E_KEY_LENGTH for RSA below 1024 (a
 * template says the real minimum) or above 8192 bits; NTE_BAD_KEY for a point
 * off the curve, RSA not of whole octets, an even modulus, an exponent that is
 * even or not 65537..2^63-1, small factors, perfect squares, ROCA, close primes
 * (Fermat, 100 rounds).  Size gates come before arithmetic.
 */
struct pubkey	*pubkey_parse(struct slice spki, struct err *);
void		 pubkey_free(struct pubkey *);
/* As OpenSSL has it; the caller frees.  NULL only when OpenSSL fails. */
EVP_PKEY	*pubkey_evp(const struct pubkey *, struct err *);

/* "RSA 2048", "P-256", for people; into buf, which is lent back. */
const char	*pubkey_name(const struct pubkey *, char *buf, size_t);
/* SHA-1 over the BIT STRING octets: the SKI of [RFC5280] 4.2.1.2 (1). */
void		 pubkey_ski(const struct pubkey *, uint8_t out[20]);
/* SHA-256 over the SPKI TLV. */
void		 pubkey_sha256(const struct pubkey *, uint8_t out[32]);
/*
 * Of a curve's two points with one x, P and -P, the private keys are d and
 * n - d: who has one has both.  The hash above and, for an EC key, that of
 * the other point's SPKI; how many.
 */
size_t		 pubkey_hashes(const struct pubkey *, uint8_t out[2][32]);
/* Is this SPKI, of a good key, that key's, or the one of its other point? */
bool		 pubkey_alike(const struct pubkey *, struct slice spki);
/* Any number, the same for keys that are alike. */
uint32_t	 pubkey_lot(const struct pubkey *);

/*
 * Verify a signature made over msg.  sigalg is an AlgorithmIdentifier TLV:
 * sha1/256/384/512WithRSAEncryption, ecdsa-with-SHA1/256/384/512 or -Specified,
 * RSASSA-PSS with MGF1 of the same hash and a salt of the hash's length or the
 * longest that fits.  SHA-1 is allowed only here, as proof of possession
 * (Windows' schema 1/2 default).  For CMS, sigalg may be rsaEncryption or
 * id-ecPublicKey with the digest named apart: pass its AlgorithmIdentifier in
 * digest, else an empty slice.  -1: ERR_DENIED with NTE_BAD_SIGNATURE when it
 * does not verify, else ERR_MALFORMED, most with NTE_BAD_ALGID.
 */
int	 pubkey_verify(const struct pubkey *, struct slice sigalg,
	    struct slice digest, struct slice msg, struct slice sig,
	    struct err *);
/* Hash of an AlgorithmIdentifier TLV (SHA-1/256/384/512), or NULL: another. */
const EVP_MD	*digest_of(struct slice alg);

#endif
