/* The FastCGI socket: who may connect, and waiting for them. */
#ifndef LISTEN_H
#define LISTEN_H

#include "wconf.h"

/*
 * Takes the place of whatever socket has the path, in one step, so that there
 * is no moment without one.  Returns the descriptor.
 */
int	 listen_open(const struct wconf *, struct err *);
/* Removes the path if it is still the socket of listen_open. */
void	 listen_close(const struct wconf *, int fd);

/*
 * Waits up to half a second for a connection of a configured peer.  Returns
 * the descriptor, or -1 when there was none.
 */
int	 listen_accept(const struct wconf *, int fd);

#endif
