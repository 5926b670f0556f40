/* What cakey.c, cakey_file.c and cakey_token.c share. */
#ifndef CAKEY_INT_H
#define CAKEY_INT_H

#include <openssl/evp.h>

#include "cakey.h"
#include "p256check.h"

struct cakey {
	enum key_kind	 kind;
	EVP_PKEY	*pkey;		/* of a file */
	EVP_PKEY_CTX	*sign;		/* of a file; set up once: costs 5 us
					   each time */
	EVP_PKEY_CTX	*verify;
	struct p256check *p256;		/* verifies faster; may be NULL */
	struct digest	*digest;	/* once, for the same reason */
	struct buf	 spki;
	int64_t		 cost;
	uint64_t	 made;		/* signatures not told yet */

	struct tokenkey	*token;		/* borrowed; NULL = a file */
	unsigned	 timeout;	/* seconds, of a call into it */
	struct buf	 secret;	/* for cakey_derive */
	int64_t		 next_try;	/* monotonic us */
	char		 why[sizeof(((struct err *)0)->text)];
					/* it is away, or "" */
};

/* The file alone; EVP_PKEY_free by the caller. */
EVP_PKEY	*cakey_read(const char *path, const char *passphrase_path,
		    struct err *);
/* Kind, digest, public key and what verifies. */
int		 cakey_public(struct cakey *, EVP_PKEY *, struct err *);
EVP_PKEY_CTX	*cakey_ctx(const struct cakey *, EVP_PKEY *,
		    int (*init)(EVP_PKEY_CTX *));
/* *n: room, then octets; not verified. */
int		 cakey_token_sign(struct cakey *, struct slice digest,
		    uint8_t *out, size_t *n, struct err *);

#endif
