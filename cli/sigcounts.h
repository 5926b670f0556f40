/*
 * How often each CA's key signed anything, from the "signatures" entries of
 * ledgers: what the counter of a token must say, too.
 */
#ifndef SIGCOUNTS_H
#define SIGCOUNTS_H

#include "ledger.h"

struct sigcount {
	char		*ca;
	uint64_t	 n;
};
struct sigcounts {
	struct sigcount	*v;
	size_t		 n;
};

/* Add an entry "signatures".  ERR_INTERNAL: it is none. */
int	 sigcounts_add(struct sigcounts *, const struct ledger_entry *,
	    struct err *);
void	 sigcounts_free(struct sigcounts *);

#endif
