/*
 * Questions to people at a ceremony, on the terminal or whatever is standard
 * input; a signal is an answer, too: no.
 */
#ifndef CERASK_H
#define CERASK_H

#include "buf.h"
#include "err.h"

/*
 * From now on SIGINT, SIGTERM and SIGHUP end a question; *signals is a
 * descriptor to give to the others, until ask_end.  -1: ERR_INTERNAL.
 */
int	 ask_begin(int *signals, struct err *);
void	 ask_end(int signals);

/* A line of 1 to 64 bytes of text; asked for three times.  Appended. */
int	 ask_line(int signals, const char *question, struct buf *,
	    struct err *);
/*
 * 0 only for "yes"; "no", the end of the input and signals are refusals:
 * ERR_DENIED.
 */
int	 ask_yes(int signals, const char *question, struct err *);

#endif
