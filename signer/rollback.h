/*
 * A database that was restored from an old backup lacks what the ledger knows
 * as committed: rows, revocations, numbers of lists.  Going on would give
 * numbers away twice and call revoked certificates good, so nothing is signed
 * until "countersign reconcile" has put everything back.
 *
 * Whoever finds it tells the database, and so all signers: one whose own
 * ledger was quiet since that backup cannot see it.
 */
#ifndef ROLLBACK_H
#define ROLLBACK_H

#include "err.h"

struct signer;

/*
 * Ask for what was committed last (s->marks, ca->crl_listed, s->audited).  0:
 * it is there, nobody says otherwise, and s->checked is this session.
 * ERR_UNAVAILABLE and s->rolled_back, when it is not there or another signer
 * says so; -1 alone, when the database cannot be asked.
 */
int	 rollback_check(struct signer *, struct err *);
/*
 * store_ready, and on each new session the check: before whatever is decided,
 * signed or told.
 */
int	 signer_ready(struct signer *, struct err *);
/*
 * Always -1: tell the database and the caller what was found, since s->ended
 * was asked for.
 */
int	 rollback_report(struct signer *, struct err *, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

#endif
