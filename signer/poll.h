/* Polls: a client asks what became of its request. */
#ifndef POLL_H
#define POLL_H

#include "job.h"

/*
 * Answer every undecided CALL_QUERY among the jobs, with one question to the
 * database for all, and one more for those whose request is older or is not
 * theirs.  -1, as db_exec: it could not be asked; some may have an answer.
 */
int	 poll_all(struct signer *, struct job *const *, size_t, struct err *);

#endif
