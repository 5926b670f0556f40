/* When a revocation list is due, and making it. */
#ifndef CRLMAKE_H
#define CRLMAKE_H

#include "signer.h"

/*
 * Looks, every second or two, whether a CA of this signer needs a new list:
 * something was revoked or released, the last one is near its end, or there
 * is none; and makes OCSP answers anew.  Failures are logged and tried again.
 * now: unix seconds.
 */
void	 crl_round(struct signer *, int64_t now);

#endif
