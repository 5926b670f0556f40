/*
 * The publisher's file for Prometheus: age and end of each CA's list, and how
 * many certificates end within 7 and 30 days, by template.
 */
#ifndef CRLMETRICS_H
#define CRLMETRICS_H

#include "cli.h"

struct crlmetrics;

/* Path, and where lists are published to: borrowed. */
struct crlmetrics	*crlmetrics_new(const char *path, const char *to);
void			 crlmetrics_free(struct crlmetrics *);
/*
 * Behind a publication that went well.  If it is due: once a minute.  NULL does
 * nothing.
 */
int			 crlmetrics_write(struct crlmetrics *, struct cli *,
			    struct err *);

#endif
