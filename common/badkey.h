/*
 * Public keys that get no certificate, [security] A6: those of our CAs, those
 * an operator blocked, those certified for somebody else.  Signers, "explain"
 * and "cert check" say it with these words.
 *
 * A list of blocked keys has hashes of two kinds: SHA-256 of a
 * SubjectPublicKeyInfo, and, as lists of Debian's weak keys (CVE-2008-0166)
 * have them, the last 10 octets of SHA-1 over "Modulus=", the modulus in upper
 * case hex, newline.
 */
#ifndef BADKEY_H
#define BADKEY_H

#include "err.h"
#include "pubkey.h"

#define BADKEY_SPKI	32
#define BADKEY_MODULUS	10

struct badkeys;

struct badkeys	*badkeys_new(void);
void		 badkeys_free(struct badkeys *);
/*
 * The next news of a hash: on the list, or off it; one of each hash between
 * two badkeys_merge, from which on they count.  Of any other length: passed
 * over.
 */
void		 badkeys_add(struct badkeys *, struct slice hash, bool on);
void		 badkeys_merge(struct badkeys *);
size_t		 badkeys_count(const struct badkeys *);
bool		 badkeys_has(const struct badkeys *, const struct pubkey *);

/*
 * A line of such a list: either hash in hex, behind a blank what people want
 * to remember; "#" begins a remark.  The octets of the hash, 0: none, -1: it
 * is neither.
 */
int		 badkey_line(const char *, uint8_t out[BADKEY_SPKI]);

/*
 * The other hash that names the same secret: an RSA key's modulus; the SPKI
 * of an EC key's other point (pubkey_hashes).  Its octets.
 */
size_t		 badkey_other(const struct pubkey *,
		    uint8_t out[BADKEY_SPKI]);

/* The refusals, all ERR_DENIED with NTE_BAD_KEY. */
int	 badkey_of_ca(const struct pubkey *, struct slice ca_spki,
	    const char *ca, struct err *);
int	 badkey_blocked(const struct pubkey *, bool blocked, struct err *);
/* owner: the account that the key is certified for, or NULL. */
int	 badkey_owned(const struct pubkey *, const char *owner,
	    const char *account, struct err *);

#endif
