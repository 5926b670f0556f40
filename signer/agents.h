/* What the database knows of a request's signers and of whom it names. */
#ifndef AGENTS_H
#define AGENTS_H

#include "decide.h"

struct signer;

/*
 * What agent_decide needs: the rows that are in the ask already, and an
 * account that is looked up (NULL: there is none); nothing when the request
 * has no such signers.  agents_free in any case.  ERR_DENIED for a
 * RequesterName that is no name, or as snapshot_account.
 */
int	 agents_load(struct signer *, const struct decide_ask *,
	    struct agency *, struct err *);
void	 agents_free(struct signer *, struct agency *);

#endif
