/*
 * The CA's private key.  Nothing else in the program touches it: a PKCS#11
 * token can take this file's place.  One thread only.
 */
#ifndef CAKEY_H
#define CAKEY_H

#include "buf.h"
#include "err.h"
#include "pubkey.h"

struct cakey;

/*
 * Encrypted PKCS#8 in PEM and the file with its passphrase; both must pass
 * secret_read.  RSA 2048 to 4096 bits, P-256 or P-384.  Signs once, to
 * measure what a signature costs.
 */
struct cakey	*cakey_load(const char *path, const char *passphrase_path,
		    struct err *);
void		 cakey_free(struct cakey *);

enum key_kind	 cakey_kind(const struct cakey *);
struct slice	 cakey_spki(const struct cakey *);	/* whole TLV */
int64_t		 cakey_cost(const struct cakey *);	/* us of one
							   certificate */

/*
 * A secret that follows from the private key and a label, and tells nothing
 * of the key ([RFC5869]).  Every signer of the CA derives the same.
 */
int		 cakey_derive(const struct cakey *, const char *label,
		    uint8_t out[32], struct err *);

/* The key's hash: SHA-384 for P-384, SHA-256 otherwise.  Returns its size. */
size_t		 cakey_digest(const struct cakey *, struct slice,
		    uint8_t out[64]);
struct slice	 cakey_digest_oid(const struct cakey *);

/* AlgorithmIdentifier of its signatures in certificates ([RFC5280] 4.1.1.2). */
void		 cakey_put_sigalg(const struct cakey *, struct buf *);

/* For what is hashed in pieces: the digest to hash with, lent. */
const struct evp_md_st	*cakey_md(const struct cakey *);
/* As cakey_sign, of a digest made with cakey_md. */
int		 cakey_sign_digest(struct cakey *, struct slice digest,
		    bool check, struct buf *sig, struct err *);

/*
 * Sign; the signature is appended.  With check it is verified before it is
 * handed out: a faulty computation or token must not become a certificate.
 */
int		 cakey_sign(struct cakey *, struct slice msg, bool check,
		    struct buf *sig, struct err *);

#endif
