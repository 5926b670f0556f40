/* CES towards the signer and back: [MS-WSTEP] 3.1.4.2. */
#ifndef CES_H
#define CES_H

#include "msg.h"
#include "rst.h"
#include "xmlw.h"

struct req;

struct ces_reply {
	struct buf	 bytes;		/* answer's slices borrow from it */
	struct answer	 answer;
};

/*
 * The question for a signer (msg.h), appended.  newer: a signer has said that
 * there is a newer policy.  -1: as snapshot_policy, or ERR_INTERNAL for a CA
 * that nginx names and the policy does not.
 */
int	 ces_compose(const struct req *, bool newer, struct buf *,
	    struct err *);
/*
 * The signer's answer, which is in the reply's bytes.  0: issued or pending.
 * 1: it has another policy.  -1: err says why, and for a denial the reply holds
 * the RequestID and the CMC response if there is one.
 */
int	 ces_read(struct req *, struct err *);
void	 ces_reply_free(struct ces_reply *);

/*
 * RequestSecurityTokenResponseCollection for issued or pending; uri is where
 * to ask again.  For KET it holds the exchange certificate alone.
 */
void	 ces_write(const struct rst *, const struct answer *, const char *uri,
	    struct xmlw *);

#endif
