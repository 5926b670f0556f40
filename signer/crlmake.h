/* What a signer does every second or two: revocation lists, when due. */
#ifndef CRLMAKE_H
#define CRLMAKE_H

#include "signer.h"

/*
 * Looks whether a CA of this signer needs a new list: something was revoked or
 * released, the last one is near its end, or there is none; makes OCSP answers
 * anew; and takes in what changed in the list of blocked keys.  Does not make
 * a batch wait for a long list: goes on with it when called again.  Sets
 * s->next_crl and lists_wait.  Failures are logged and tried again.  now: unix
 * seconds.
 */
void	 crl_round(struct signer *, int64_t now);
/* At the end of the process: what was begun is as if it had not been. */
void	 crl_leave(struct signer *);

#endif
