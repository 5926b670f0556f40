/*
 * libpq with an end: what was sent is waited for, but not for ever.  A server
 * that is stopped, or whose COMMIT waits for a standby that is gone, still
 * acknowledges every segment: neither keepalives nor its own time-outs end
 * that.  For connections that are not blocking (PQsetnonblocking).
 */
#ifndef DB_WAIT_H
#define DB_WAIT_H

#include <libpq-fe.h>

#include "buf.h"

struct db_wait {
	PGconn	*conn;
	int	 ms;		/* 0 = for ever */
	bool	 silent;	/* set when the time was over */
};

/*
 * The last result of what PQsend* sent (sent is its return value), the first
 * when it begins a COPY; the caller clears it.  NULL: nothing was sent, or
 * the connection broke, or silent.
 */
PGresult	*db_wait(struct db_wait *, int sent);
/* What was sent has left, as far as we know: 0, or -1. */
int		 db_wait_sent(struct db_wait *);
/* The rows of a COPY and its end; 0 or -1.  Its result is not yet read. */
int		 db_wait_copy(struct db_wait *, struct slice rows);

#endif
