/*
 * Connections of nginx to one worker process.  Between two requests they
 * belong to no thread: whichever is free takes the next that has something to
 * say, or one that waits to be accepted.
 */
#ifndef CONNS_H
#define CONNS_H

#include "wconf.h"

struct conns;

/*
 * After fork: every process has its own, all with the same listening socket.
 * ERR_INTERNAL.
 */
struct conns	*conns_new(const struct wconf *, int listen_fd, struct err *);
/* Only without threads; what is kept is closed when the process ends. */
void		 conns_free(struct conns *);

/*
 * A connection for the calling thread alone, or -1: none within wait_ms, or
 * what is watched through conns_epoll with this tag has something.  Once
 * stopped, no new one.  Turn is the thread's own; it remembers whether new ones
 * or kept ones came first.
 */
#define CONNS_TAG	(-1)
int	 conns_next(struct conns *, bool *turn, int wait_ms);
int	 conns_epoll(const struct conns *);	/* its descriptor; lent */
/* May this one stay open after its request? */
bool	 conns_room(const struct conns *, int fd);
/* Gives it back, with nothing of a request left in it. */
void	 conns_keep(struct conns *, int fd);

/* Nothing is accepted or kept from now on. */
void	 conns_stop(struct conns *);
bool	 conns_stopped(const struct conns *);

#endif
