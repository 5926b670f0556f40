/* A line that tells how far long work is. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"

#define EVERY_USEC	200000

void
progress_begin(struct progress *p, bool json)
{
	*p = (struct progress){ .shows = !json && isatty(STDERR_FILENO) };
}

void
progress_show(struct progress *p, const char *what, uint64_t done,
    uint64_t of)
{
	int64_t now;

	if (p == NULL || !p->shows || (now = log_usec()) < p->next)
		return;
	p->next = now + EVERY_USEC;
	p->shown = true;
	fprintf(stderr, "\r%s: %" PRIu64, what, done);
	/* Rows may come while they are counted. */
	if (of != 0)
		fprintf(stderr, " of %" PRIu64, done > of ? done : of);
	fputs("\033[K", stderr);
}

void
progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
