/*
 * For whoever sets up a client: who the server thinks is asking, and which
 * templates that account sees, or why not.
 */
#ifndef WHOAMI_H
#define WHOAMI_H

#include "account.h"
#include "certauth.h"
#include "policy.h"

struct whoami {
	const struct policy	*policy;
	const struct account	*account;
	enum auth_method	 method;
	int64_t			 now;	/* unix seconds */
	const struct certauth	*cert;	/* method certificate, or NULL */
	const char		*principal;	/* kerberos, or NULL */
	bool			 json;
};

/* As text or as one JSON object; appended. */
void	 whoami_write(const struct whoami *, struct buf *);
/* A refusal in the same form, with the request's id. */
void	 whoami_refuse(bool json, const char *text, const uint8_t id[16],
	    struct buf *);

#endif
