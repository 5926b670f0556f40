/*
 * One request from top to bottom: HTTP, envelope, identity, the typed message,
 * the answer or the fault, one log line.  What was authenticated and what is
 * carried out is one struct; after parsing nobody looks at XML.
 */
#ifndef SERVE_H
#define SERVE_H

#include <fcgiapp.h>

#include "auth.h"
#include "cep.h"
#include "link.h"
#include "ocsp.h"
#include "snapshot.h"
#include "xmlin.h"

struct serve {			/* a thread's view */
	struct snapshot	*snap;	/* shared by the process */
	struct auth	*auth;	/* shared */
	struct cep	*cep;	/* shared */
	struct ocsp	*ocsp;	/* shared */
	struct xmlin	*xml;	/* this thread's */
	struct link	*link;	/* this thread's */
};

void	 serve_request(const struct serve *, FCGX_Request *);

#endif
