/* One worker process: its threads, until it is told to end. */
#ifndef PROCESS_H
#define PROCESS_H

#include "backoff.h"
#include "link.h"
#include "metrics.h"
#include "wconf.h"

/* What the processes of one host share; made before the first fork. */
struct inherited {
	const struct wconf	*conf;
	const struct link_keys	*keys;		/* or NULL */
	struct backoff		*backoff;
	struct metrics		*metrics;
	int			 listen_fd;
};

/*
 * Called in the child after fork, with SIGTERM and SIGINT blocked.  Serves
 * until one of them comes, finishes what is being served; the exit status.
 */
int	 process_run(const struct inherited *);

#endif
