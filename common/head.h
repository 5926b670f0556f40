/*
 * Heads of ledgers: signer, number and hash of an entry, signed with the
 * signer's audit key.  As the hash covers everything before it, a head that is
 * kept elsewhere proves what the ledger was: a ledger without that entry was
 * cut off or written anew.
 *
 * In the ledger a head is an entry of type "head" and speaks of the entry
 * before it.  Elsewhere it speaks of that entry itself, as a line
 *	{"ledger":"<signer>","seq":N,"hash":"<hex>","key":"<hex>","sig":"<hex>"}
 */
#ifndef HEAD_H
#define HEAD_H

#include "audit.h"

#define HEAD_HASH	64		/* hex digits */

struct head {
	char	 signer[64];
	uint64_t seq;
	char	 hash[HEAD_HASH + 1];
	char	 key[AUDIT_PUB_HEX + 1];	/* who says so */
	uint8_t	 sig[AUDIT_SIG];
};

/* key and sig of a head whose other fields are set. */
void	 head_sign(struct head *, const struct audit_key *);
/* By this key, whatever the head names. */
bool	 head_verify(const struct head *, const char *pub_hex);

void	 head_put(struct buf *, const struct head *);	/* without newline */
/*
 * From a line of text, whatever stands before it (a syslog's time and host);
 * the signature is not verified.  -1: no head in this line.
 */
int	 head_parse(const char *line, struct head *);

#endif
