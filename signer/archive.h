/*
 * A private key into the archive ([MS-WCCE] 3.2.2.6.2.1.2.2, 3.2.2.6.2.1.3):
 * what the client encrypted to the exchange certificate is decrypted, must be
 * the private key of the request, and is encrypted to the recovery agents.
 * Nowhere else is it kept, and in the clear it leaves this file never.
 */
#ifndef ARCHIVE_H
#define ARCHIVE_H

#include "ca.h"
#include "policy.h"
#include "request.h"

struct signer;

/*
 * Appends the CMS EnvelopedData ([RFC5652] 6) for the agents.  ERR_MALFORMED:
 * what the client sent is none.  ERR_DENIED: it is encrypted to somebody else;
 * and for everything that depends on what was decrypted, with one and the same
 * words.  Else as store_exchange_find and exchange_open.
 */
int	 archive_key(struct signer *, struct ca *, const struct policy_ca *,
	    const struct request *, struct buf *out, struct err *err);

#endif
