/*
 * The audit key: Ed25519, one a signer, in a file of its own.  It signs what
 * others hold against the ledger, never a certificate: whoever has the CA's
 * key alone cannot rewrite the past.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include "buf.h"
#include "err.h"

#define AUDIT_SIG	64		/* octets */
#define AUDIT_PUB_HEX	64		/* digits of a public key */

struct audit_key;

/*
 * The file (mode 0400, never over an old one) holds 64 hex digits, the seed
 * of [RFC8032] 5.1.5; pub gets the public key's.  -1 or NULL: ERR_INTERNAL.
 */
int	 audit_key_create(const char *path, char pub[AUDIT_PUB_HEX + 1],
	    struct err *);
struct audit_key *audit_key_load(const char *path, struct err *);
void	 audit_key_free(struct audit_key *);	/* wipes */
const char *audit_key_pub(const struct audit_key *);	/* hex; lent */

/*
 * label says what is signed ("ledger head"): a signature of one kind never
 * counts as one of another.
 */
void	 audit_sign(const struct audit_key *, const char *label,
	    struct slice, uint8_t sig[AUDIT_SIG]);
/* False also for a public key that is none. */
bool	 audit_verify(const char *pub_hex, const char *label, struct slice,
	    const uint8_t sig[AUDIT_SIG]);

#endif
