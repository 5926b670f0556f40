/*
 * The signer's loop.  What is queued is taken as a batch of about 5 ms of
 * signing, with a slow key of sixteen certificates or 64 ms, whichever is
 * less; one fdatasync of the ledger and one transaction serve all of it.
 */
#ifndef BATCH_H
#define BATCH_H

#include "signer.h"

/*
 * Until SIGTERM or SIGINT (blocked by the caller) is pending: 0.  -1 when
 * going on could lose something: the ledger or the link failed.
 */
int	 batch_loop(struct signer *, struct err *);

#endif
