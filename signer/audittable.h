/*
 * The table audit, of what operators did, copied into the ledger: every row,
 * in the order of its key (n, at), by each signer.  Heads then vouch for it,
 * "countersign ledger verify" finds what was changed there, and "countersign
 * reconcile" puts back what a restored backup lacks.
 */
#ifndef AUDITTABLE_H
#define AUDITTABLE_H

#include "store.h"
#include "tuple.h"

struct signer;

/*
 * Between two batches and at the end: a page of those that are new, written
 * and synced; -1: not now.  While pages are found a signer that nobody asks
 * takes one after the other; one that is asked gives them a fifth of its time,
 * and a request waits for one page at most.
 */
int	 audittable_tell(struct signer *, struct err *);
/* Between two batches, asked: the last was not empty.  One, if it is time. */
void	 audittable_round(struct signer *, bool asked);
/* How many ms of these to wait for a request, until it is time. */
int	 audittable_wait(const struct signer *, int ms);
/* The key of a row as the ledger has it; a damaged one has none. */
void	 audittable_take(const struct tuple *, struct audit_row *);
uint64_t audittable_number(const struct audit_row *);	/* 0: none */

#endif
