/*
 * One request from top to bottom: HTTP, envelope, the typed message, identity,
 * a signer's answer, the answer or the fault, one log line.  What was
 * authenticated and what is carried out is one struct; after parsing nobody
 * looks at XML.
 */
#ifndef SERVE_H
#define SERVE_H

#include <fcgiapp.h>

#include "auth.h"
#include "cep.h"
#include "certlogon.h"
#include "kerberos.h"
#include "link.h"
#include "metrics.h"
#include "ocsp.h"
#include "snapshot.h"
#include "xmlin.h"

struct serve {			/* a thread's view */
	struct snapshot	*snap;	/* shared by the process */
	struct auth	*auth;	/* shared */
	struct certlogon *certs;	/* shared */
	struct kerberos	*kerberos;	/* shared; or NULL */
	struct cep	*cep;	/* shared */
	struct ocsp	*ocsp;	/* shared */
	struct turns	*turns;	/* shared */
	struct metrics	*metrics;	/* shared by the host's processes */
	const char	*metrics_folder; /* other programs', or NULL */
	struct xmlin	*xml;	/* this thread's */
	struct link	*link;	/* this thread's, for what it waits for */
};

/*
 * The first half: NULL when the request is answered, or the question that a
 * signer must answer first, to be asked as the caller's last act: then the
 * request is whoever's takes the question back.
 */
struct link_question	*serve_request(const struct serve *, FCGX_Request *);
/* Whose request that is. */
FCGX_Request		*serve_asker(const struct link_question *);
/* The second half: NULL when it is answered, or what to ask again. */
struct link_question	*serve_answer(const struct serve *,
			    struct link_question *);

#endif
