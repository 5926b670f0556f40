/*
 * A call into a token's library that never comes back cannot be broken off:
 * the process ends instead, and says so.  Nothing was answered, the intents
 * are in the ledger, the lease is free: another signer or the next start of
 * this one goes on.  One thread only; not to be nested.
 */
#ifndef DEADLINE_H
#define DEADLINE_H

/* Within so many seconds (1 or more) deadline_end must have been called. */
void	 deadline_begin(unsigned seconds);
void	 deadline_end(void);

#endif
