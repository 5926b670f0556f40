/* Messages from the command line to a signer, over CURVE as the operator. */
#ifndef ASK_H
#define ASK_H

#include "cli.h"
#include "msg.h"

/*
 * Send to one of the signers signers[0..n-1] and wait; the ask's id and time
 * are filled in.  The answer borrows from reply.  ERR_UNAVAILABLE when no
 * signer answered.
 */
int	 ask_signer(struct cli *, const struct cconf_signer *, size_t n,
	    struct ask *, struct buf *reply, struct answer *, struct err *);

#endif
