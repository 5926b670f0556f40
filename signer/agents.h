/* What the database knows of a request's signers and of whom it names. */
#ifndef AGENTS_H
#define AGENTS_H

#include "agent.h"

struct signer;

/*
 * Look up what agent_decide needs; nothing is asked for when the request has
 * no such signers.  agents_free in any case.  ERR_UNAVAILABLE, or ERR_DENIED
 * for a RequesterName that is no name.
 */
int	 agents_load(struct signer *, const struct request *, int64_t now,
	    struct agency *, struct err *);
void	 agents_free(struct signer *, struct agency *);

#endif
