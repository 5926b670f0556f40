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
 * Between two batches and at the end: a page of those that are new, as entries
 * that are buffered (s->unsynced).  How many, or -1.
 */
int	 audittable_tell(struct signer *, struct err *);
/* The key of a row as the ledger has it; a damaged one has none. */
void	 audittable_take(const struct tuple *, struct audit_row *);
uint64_t audittable_number(const struct audit_row *);	/* 0: none */

#endif
