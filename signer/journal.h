/*
 * What goes into the ledger (common/ledger.h lists it), and when it is on the
 * disk.  The functions without an err only buffer: what they add is durable
 * with the next journal_sync, and lost with this process before it.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <libpq-fe.h>

#include "signer.h"

/*
 * Write what is buffered and fdatasync.  -1 is the end of this process
 * (s->ledger_failed): a ledger that may have lost bytes is trusted no more.
 */
int	 journal_sync(struct signer *, struct err *);

/*
 * The entry of a job's state: an intent, a denial, or what waits; sets
 * j->intent.  Synced by the caller before anything is signed or told.
 */
void	 journal_decision(struct signer *, struct job *);
/* After the signature, and before the row is committed. */
void	 journal_issued(struct signer *, const struct job *);
/*
 * The same out of the row, where a crash took the entry; buffered, too.  -1:
 * the database cannot be asked, or the row is gone (ERR_UNAVAILABLE).
 */
int	 journal_stored(struct signer *, const struct intent *,
	    struct err *);

/*
 * Before a list or an answer of OCSP tells it: revocations that no ledger has
 * yet, all of a CA (outside a transaction) or those of one certificate
 * (serial: magnitude), durable in the database and synced here.  -1: the
 * database cannot be asked, or the ledger failed.
 */
int	 journal_revocations(struct signer *, const struct ca *,
	    struct err *);
/* A page of all: 1 when there may be more, 0, or -1. */
int	 journal_revocations_page(struct signer *, const struct ca *,
	    struct err *);
int	 journal_revocation_of(struct signer *, const struct ca *,
	    struct slice serial, struct err *);
/* How often each CA's key was used since this was called last. */
void	 journal_signatures(struct signer *);

#endif
