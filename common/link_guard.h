/*
 * What the peers of a tcp:// server have sent and nobody has taken.  ZeroMQ
 * limits frames alone: the limit that it has for a connection's messages ends the
 * program (see link_server.c), and it has none for the frames of a message that
 * does not end or for connections.
 */
#ifndef LINK_GUARD_H
#define LINK_GUARD_H

#include <stddef.h>

#include "err.h"

struct link_guard;

/*
 * Before the socket is bound; it has its own thread, and hears of connections
 * by the socket's monitor.  While all of them together have more than 64 MiB
 * waiting, which small frames make 300 of ZeroMQ's memory, those of the host
 * are closed that has the one with most, and it gets no new one until the
 * server has seen the end of what is there.  So it is with a new one of a host
 * that has 256 of them, or when there are 1024.  NULL: ERR_INTERNAL.
 */
struct link_guard	*link_guard_start(void *ctx, void *sock, struct err *);
/* Before the socket is closed: joins; frees. */
void			 link_guard_stop(struct link_guard *);
/* So many octets of a frame have been taken; fd as in ZMQ_SRCFD. */
void			 link_guard_took(struct link_guard *, int fd, size_t n);
/* Nothing more is there to be taken. */
void			 link_guard_empty(struct link_guard *);

#endif
