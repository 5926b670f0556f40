/*
 * The files of the ledger.  A signer reads the newest when it starts, so what
 * it needs to know of the older ones stands at its beginning.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "err.h"

struct signer;

/*
 * Between two batches: begin the next file when this one has ledger-segment
 * bytes, no intent in it is open (a start reads the newest file alone) and the
 * database lacks nothing.  -1 is the end of this process.
 */
int	segment_round(struct signer *, struct err *);

#endif
