/* Messages from the command line to a signer, over CURVE as the operator. */
#ifndef ASK_H
#define ASK_H

#include "cli.h"
#include "msg.h"

/*
 * Send to this signer, with NULL to one of the configuration's, and wait, up
 * to 15 seconds; the ask's id, replay key and time are filled in.  The answer
 * borrows from reply, which is the caller's also after -1.  ERR_UNAVAILABLE
 * when no signer answered: it may have decided; ERR_DENIED without a signer or
 * a key-file.
 */
int	 ask_signer(struct cli *, const struct cconf_signer *, struct ask *,
	    struct buf *reply, struct answer *, struct err *);

#endif
