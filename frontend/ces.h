/* CES towards the signer and back: [MS-WSTEP] 3.1.4.2. */
#ifndef CES_H
#define CES_H

#include "msg.h"
#include "rst.h"
#include "snapshot.h"
#include "xmlw.h"

struct ces_ask {
	struct snapshot	*snap;
	const uint8_t	*id;		/* 16 bytes: the request's */
	const char	*ca;
	enum auth_method method;
	const char	*account;	/* canonical name */
	const char	*address;
	struct slice	 evidence;	/* client certificate, or empty */
	struct slice	 message_id;	/* p NULL: none */
	int64_t		 now;		/* unix milliseconds */
	const struct rst *rst;
};

struct ces_reply {
	struct buf	 bytes;		/* answer's slices borrow from it */
	struct answer	 answer;
};

/*
 * The question for a signer (msg.h), appended.  newer: a signer has said that
 * there is a newer policy.  -1: as snapshot_policy, or ERR_INTERNAL for a CA
 * that nginx names and the policy does not.
 */
int	 ces_compose(const struct ces_ask *, bool newer, struct buf *,
	    struct err *);
/*
 * The signer's answer, which is in r->bytes.  0: issued or pending.  1: it has
 * another policy.  -1: err says why, and for a denial *r holds the RequestID
 * and the CMC response if there is one.  Zero *r before, ces_reply_free after.
 */
int	 ces_read(const struct ces_ask *, struct ces_reply *, struct err *);
void	 ces_reply_free(struct ces_reply *);

/*
 * RequestSecurityTokenResponseCollection for issued or pending; uri is where
 * to ask again.  For KET it holds the exchange certificate alone.
 */
void	 ces_write(const struct rst *, const struct answer *, const char *uri,
	    struct xmlw *);

#endif
