/*
 * The clock that serials, certificates and entries of the ledger take their
 * times from, and whether it may be believed.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "signer.h"

/*
 * Against the monotonic clock a step shows, and the database must confirm it:
 * what is written with a time from the future bars the way back.  -1: nothing
 * may be written now; ERR_UNAVAILABLE, it is before the ledger's last entry, or
 * as store_settings.
 */
int	 clock_check(struct signer *, struct err *);
/* The first half, before the first entry; the ledger's last may be later. */
int	 clock_look(struct signer *, struct err *);

#endif
