/*
 * The Ed25519 key with which one side of an air gap signs its bundles, and the
 * public one of the other side.  PEM files: PKCS#8, which only its owner can
 * read, and SubjectPublicKeyInfo.
 */
#ifndef BUNDLEKEY_H
#define BUNDLEKEY_H

#include "buf.h"
#include "err.h"

#define BUNDLE_SIGNATURE	64

struct bundlekey;

/*
 * Of a file, which for a private key must pass secret_read.  NULL:
 * ERR_INTERNAL; bundlekey_free by the caller.
 */
struct bundlekey *bundlekey_private(const char *path, struct err *);
struct bundlekey *bundlekey_public(const char *path, struct err *);
void	 bundlekey_free(struct bundlekey *);	/* wipes */
/*
 * A new private key at path, mode 0400, never over an old one.  ERR_INTERNAL.
 */
int	 bundlekey_make(const char *path, struct err *);

/* SHA-256 of the SubjectPublicKeyInfo, lent. */
const uint8_t *bundlekey_id(const struct bundlekey *);
/* The same for people, "1a2b 3c4d ...": 80 bytes. */
void	 bundlekey_fingerprint(const uint8_t id[32], char out[80]);
/* SubjectPublicKeyInfo, PEM; appended. */
int	 bundlekey_pem(const struct bundlekey *, struct buf *, struct err *);

/* Ed25519 ([RFC8032] 5.1), of the message itself; sign: a private key. */
int	 bundlekey_sign(const struct bundlekey *, struct slice,
	    uint8_t sig[BUNDLE_SIGNATURE], struct err *);
bool	 bundlekey_verify(const struct bundlekey *, struct slice,
	    const uint8_t sig[BUNDLE_SIGNATURE]);

#endif
