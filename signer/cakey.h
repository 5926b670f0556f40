/*
 * The CA's private key, in a file or in a token.  Nothing else in the program
 * touches it.  One thread only.
 */
#ifndef CAKEY_H
#define CAKEY_H

#include "buf.h"
#include "err.h"
#include "pubkey.h"

struct cakey;
struct tokenkey;

/*
 * Encrypted PKCS#8 in PEM and the file with its passphrase; both must pass
 * secret_read.  RSA 2048 to 4096 bits, P-256 or P-384.  Signs once, to
 * measure what a signature costs.
 */
struct cakey	*cakey_load(const char *path, const char *passphrase_path,
		    struct err *);
/*
 * In a token, with the public key that the certificate has.  A token that is
 * away is no failure: the key is not ready then.  One whose library does not
 * come back within timeout seconds ends the process: deadline.h.
 * secret_path: what cakey_derive starts from, since the key cannot be read;
 * or NULL.
 */
struct cakey	*cakey_token(struct tokenkey *, unsigned timeout,
		    struct slice spki, const char *secret_path,
		    struct err *);
void		 cakey_free(struct cakey *);

/*
 * For cakey_ready, cakey_cost and cakey_made NULL is a key behind an air gap:
 * nothing waits for it, and it is never used here.
 *
 * Can it sign now?  -1 with ERR_UNAVAILABLE: its token is away; once
 * a second this looks whether it is back.
 */
int		 cakey_ready(struct cakey *, struct err *);
enum key_kind	 cakey_kind(const struct cakey *);
struct slice	 cakey_spki(const struct cakey *);	/* whole TLV */
int64_t		 cakey_cost(const struct cakey *);	/* us of one
							   certificate; a
							   token's may change */
/* Signatures made since this was asked last, good or not. */
uint64_t	 cakey_made(struct cakey *);

/*
 * A secret that follows from the private key (or from secret_path) and a
 * label, and tells nothing of the key ([RFC5869]).  Every signer of the CA
 * derives the same.  ERR_DENIED: a key in a token without that file.
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
 * Is this quickly seen to be this key's signature?  false says nothing: ask
 * OpenSSL.
 */
bool		 cakey_signed(const struct cakey *, struct slice msg,
		    struct slice sig);

/*
 * Sign; the signature is appended.  With check, and always with a token, it
 * is verified before it is handed out: a faulty computation must not become
 * a certificate.  Certificates and lists are in the ledger before, synced.  -1,
 * nothing appended: ERR_UNAVAILABLE, the token is away, or its signature is
 * wrong; ERR_INTERNAL for a key in a file.
 */
int		 cakey_sign(struct cakey *, struct slice msg, bool check,
		    struct buf *sig, struct err *);

#endif
