/* One request of a bundle, on its way to its answer. */
#ifndef AIRGAP_ITEM_H
#define AIRGAP_ITEM_H

#include "airgap_vault.h"

struct item {
	size_t			 nth;	/* of its batch, an array: from 0 */
	struct job		*job;
	struct bundle_item	 in;	/* borrows from job->link.msg */
	struct account		*account[BUNDLE_ACCOUNTS];
	size_t			 naccounts;
	uint32_t		 major, minor, renewals;
	bool			 again;	/* it has its certificate already */
};

/* What a snapshot answers with: the records that came with the request. */
struct snapshot *item_snapshot(struct vault *);

/*
 * Parse and decide: job->state is JOB_RECORD, or JOB_ANSWERED for one that has
 * its certificate already (again).  What is wrong with the request is a denial;
 * -1, ERR_UNAVAILABLE or ERR_INTERNAL, ends the round.
 */
int	 item_decide(struct vault *, struct item *, struct err *);

#endif
