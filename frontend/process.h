/* One worker process: its threads, until it is told to end. */
#ifndef PROCESS_H
#define PROCESS_H

#include "link.h"
#include "wconf.h"

/*
 * Called in the child after fork, with SIGTERM and SIGINT blocked.  Serves
 * until one of them comes, finishes what is being served; the exit status.
 */
int	 process_run(const struct wconf *, const struct link_keys *,
	    int listen_fd);

#endif
