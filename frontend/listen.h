/* The FastCGI socket: who may connect. */
#ifndef LISTEN_H
#define LISTEN_H

#include "wconf.h"

/*
 * Takes the place of whatever socket has the path, in one step, so that there
 * is no moment without one.  Returns the descriptor; -1: ERR_INTERNAL.
 */
int	 listen_open(const struct wconf *, struct err *);
/* Removes the path if it is still the socket of listen_open. */
void	 listen_close(const struct wconf *, int fd);

/*
 * A connection of a configured peer that waits to be accepted.  Returns the
 * descriptor, or -1 when there is none.
 */
int	 listen_accept(const struct wconf *, int fd);

#endif
