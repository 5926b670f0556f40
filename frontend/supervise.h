/* The parent: keeps the worker processes running. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "process.h"

/*
 * Forks the processes and restarts what dies, later each time it dies young.
 * Returns after SIGTERM or SIGINT, when all have ended: the exit status.
 * Call it before any thread exists (ZeroMQ's do not survive a fork).
 */
int	 supervise(const struct inherited *);

#endif
