/*
 * Where a process may be made to die, for tests/faults alone: a build with
 * -DFAILPOINTS.  In every other build nothing of this is left.
 */
#ifndef FAILPOINT_H
#define FAILPOINT_H

#include "buf.h"

#ifdef FAILPOINTS
/*
 * SIGKILL for this process, if the file that the environment variable
 * FAILPOINT names holds this name, SIGSTOP if "stop " stands before it; the
 * file is removed first.
 */
void	 fail_point(const char *name);
/* Appends the digest, in hex, to the file that FAILPOINT_SPY names. */
void	 fail_spy(struct slice digest);
#else
#define fail_point(name)	((void)0)
#define fail_spy(digest)	((void)0)
#endif

#endif
