/*
 * One line per request on standard error, "key=value" with values quoted and
 * escaped when they hold anything but [A-Za-z0-9._:@/+-].  A line has at most
 * 4096 octets: a value that is too long for it ends in "...", and what comes
 * behind is left out.  Never a password, token or request body.
 */
#ifndef LOG_H
#define LOG_H

#include <stdint.h>

#include "buf.h"

struct log_line {		/* or several, { 0 } at first */
	struct buf	 b;
	size_t		 start;		/* of the line at hand */
};

/* Starts with time (UTC, microseconds), program, pid and event=. */
void	 log_begin(struct log_line *, const char *event);
/* One more line behind those that are there: all go out together. */
void	 log_next(struct log_line *, const char *event);
void	 log_str(struct log_line *, const char *key, const char *value);
void	 log_slice(struct log_line *, const char *key, struct slice);
void	 log_num(struct log_line *, const char *key, int64_t);
void	 log_id(struct log_line *, const char *key, const uint8_t id[16]);
/* One write(2), unless there is no line; frees. */
void	 log_end(struct log_line *);

/* A line with a free text (1023 octets of it), for start, stop and trouble. */
void	 log_note(const char *event, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	 log_program(const char *name);	/* once, in main */
int64_t	 log_usec(void);		/* monotonic microseconds */
int64_t	 unix_usec(void);	/* since 1970, whatever the clock shows */

#endif
