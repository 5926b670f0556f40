/*
 * What has come from workers and waits for its batch.  A slow key lets a
 * queue grow; what cannot wait is taken from it first.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "job.h"

struct queue;

struct queue	*queue_new(void);
/* Without answers for what is left: the workers ask another signer. */
void		 queue_free(struct signer *, struct queue *);

/*
 * Takes over a job that job_read has been called for.  Who came first is first,
 * but workers have turns: one that sends much waits for itself alone.  There is
 * room for 4096: queue_fill looks.
 */
void		 queue_add(struct queue *, struct job *);
size_t		 queue_length(const struct queue *);
/*
 * Everything that is on the link, up to 16 MiB or 4096 jobs: the rest stays
 * with ZeroMQ.  Waits for it at most timeout_ms where the queue is empty.  -1
 * when the link has failed.
 */
int		 queue_fill(struct signer *, struct queue *, int timeout_ms,
		    struct err *);
/* At most 5 ms of parsing, which tells renewals from other requests. */
void		 queue_parse(struct queue *);
/*
 * While the database commits: both.  A link that fails here fails again in
 * queue_fill.
 */
void		 queue_ahead(struct signer *, struct queue *);

/*
 * Moves jobs to v: how many, at most max, and no more once they have 2 MiB of
 * messages.  When not all can go, each fourth place is for who is first, so
 * that nobody waits for ever; the others are first for whatever asks for no
 * new certificate (polls, OCSP, approvals), then for renewals of what ends
 * soon (pace.h) as far as parsed, then for the rest.
 */
size_t		 queue_take(struct queue *, struct job **v, size_t max);

#endif
