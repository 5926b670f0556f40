/* Where the site is: what nginx's configuration and the landing page share. */
#ifndef SITEURLS_H
#define SITEURLS_H

#include "cli.h"

enum site_url { SITE_BASE, SITE_CERT, SITE_HTTP, SITE_URLS };

/* What begins the policy's addresses, or --set says; appended to each. */
int	 site_urls(struct cli *, const struct args *, const struct policy *,
	    struct buf [SITE_URLS], struct err *);

#endif
