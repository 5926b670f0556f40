/* What can be used once is taken before anything is signed. */
#ifndef RESERVE_H
#define RESERVE_H

#include "signer.h"

/*
 * Lock the one-time secrets and the pending requests that these jobs use up;
 * who comes too late is refused here, and all are unavailable when it cannot be
 * done.  The locks end with the transaction of the batch's rows.
 */
void	 reserve(struct signer *, struct job *const *, size_t);

#endif
