/*
 * How far long work is: one line on the terminal of standard error, written
 * over again and gone at the end.  Nothing where standard error is no terminal,
 * and nothing for programs (--json).
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool	 shows;
	bool	 shown;		/* there is a line to take away */
	int64_t	 next;		/* not before: microseconds, monotonic */
};

void	 progress_begin(struct progress *, bool json);
/*
 * "what: done of of", a few times a second at most; of 0: nobody knows of how
 * many.  Of NULL nothing is shown.
 */
void	 progress_show(struct progress *, const char *what, uint64_t done,
	    uint64_t of);
/* Before anything else is printed. */
void	 progress_end(struct progress *);

#endif
