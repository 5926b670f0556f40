/* Unified differences between two texts, for people. */
#ifndef DIFF_H
#define DIFF_H

#include "buf.h"
#include "err.h"

/*
 * Append what turns a into b, three lines around each change, under their
 * names; nothing when they are equal.  ERR_TOO_BIG when the differing parts
 * are too long.
 */
int	 diff_unified(struct slice a, struct slice b, const char *a_name,
	    const char *b_name, struct buf *, struct err *);

#endif
