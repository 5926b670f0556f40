/*
 * Is this an ECDSA signature of this P-256 key ([FIPS186-5] 6.4.2)?  With a
 * table of multiples of the one key, half of what the general function costs.
 * One thread only.
 */
#ifndef P256CHECK_H
#define P256CHECK_H

#include <openssl/types.h>

#include "buf.h"

struct p256check;

/* NULL: another kind of key, or a libcrypto that makes no such table. */
struct p256check *p256check_new(EVP_PKEY *);
void		 p256check_free(struct p256check *);
/*
 * digest: 32 octets; sig: DER, exactly one Ecdsa-Sig-Value.  0: it is right;
 * -1: it is not, or libcrypto failed: ask the general function.
 */
int		 p256check_verify(struct p256check *, struct slice digest,
		    struct slice sig);

#endif
