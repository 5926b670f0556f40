/*
 * The signer's loop.  What is queued is taken as a batch of about 5 ms of
 * signing, with a slow key of sixteen certificates or 64 ms, whichever is
 * less; one fdatasync of the ledger (journal.h), before anything is signed, and
 * one transaction (commit.h), before anything is answered, serve all of it.
 */
#ifndef BATCH_H
#define BATCH_H

#include "signer.h"

/*
 * Until SIGTERM or SIGINT (blocked by the caller) is pending: 0, and the
 * ledger is synced and ends with a head, if there is a key for it.  -1 when
 * going on could lose something: ledger or link failed, or another process has
 * this one's lease.
 */
int	 batch_loop(struct signer *, struct err *);

#endif
