/*
 * From signed to committed: the rows of a batch in one transaction, and what
 * holds when it fails or nobody knows how it ended.
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "job.h"
#include "recover.h"
#include "store.h"

#define BATCH_MAX	256	/* jobs at most */

/*
 * Insert the rows of v, at most BATCH_MAX; v is worked upon and in no order
 * afterwards.  A database that is away is waited for until the deadline
 * (log_usec), and what it then lacks is inserted again, but for accounts that
 * were disabled meanwhile: the certificates are the same, no serial is used
 * twice.  A database that refuses is asked for each
 * half of them, and so on, so that one bad row does not take the others with
 * it, nor cost each of them a COMMIT of its own.
 *
 * Afterwards each job is committed: its row is durable, also after a failover;
 * or answered from another's row; or unavailable, and its intent is in
 * s->unresolved, which recover_resolve settles before anything new is decided.
 */
void	 commit(struct signer *, struct job **v, size_t n, int64_t deadline);

/*
 * Nobody gets this one's certificate; whether it has a row is open, and its
 * intent goes to s->unresolved.  text: for our log.
 */
void	 commit_leave(struct signer *, struct job *, const char *text);

/* Remember a job's intent in a list of them. */
void	 commit_note(struct intents *, const struct job *);

/* What a job's row is looked for by. */
void	 commit_put_key(struct store_key *, const struct job *);
/*
 * The row of a job, by its id or its message, lent by found: 1, 0 for none, or
 * -1 for one that cannot be read (ERR_INTERNAL).
 */
int	 commit_find_row(const struct found *, const struct job *,
	    struct stored *, struct err *);

#endif
