/* Exchange keys and archived keys in PostgreSQL; -1 as in store.h. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "store.h"

/*
 * DER of the newest exchange certificate good for a day or more, appended;
 * nothing when there is none.
 */
int	 store_exchange_current(struct store *, const char *ca,
	    struct buf *der, struct err *);
/* The sealed key of one, appended; nothing when there is none any more. */
int	 store_exchange_find(struct store *, const char *ca,
	    struct slice serial, struct buf *sealed, struct err *);
/* Drop the keys of those that nobody may use any more. */
int	 store_exchange_wipe(struct store *, struct err *);
/* What a job brings along, in the transaction of its rows. */
int	 store_job_keys(struct store *, const struct job *, struct err *);

#endif
