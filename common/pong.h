/*
 * What a signer says about itself in the response of an answer to CALL_PING,
 * for "countersign doctor" and the worker's status:
 *
 *	Pong ::= SEQUENCE {
 *	  signer        UTF8String,
 *	  now           INTEGER,                  -- unix milliseconds
 *	  version       INTEGER,                  -- of the policy, 0 = none
 *	  policyHash    OCTET STRING (SIZE(32)) } -- zeroes without one
 *
 * Why there is none stands in the answer's text.
 */
#ifndef PONG_H
#define PONG_H

#include "msg.h"

struct pong {
	struct slice	 signer;	/* borrows from the message */
	int64_t		 now;		/* unix milliseconds */
	uint64_t	 version;
	uint8_t		 policy_hash[32];
};

/* Appends / ERR_MALFORMED. */
void	 pong_encode(const struct pong *, struct buf *);
int	 pong_decode(struct slice, struct pong *, struct err *);
/*
 * Out of the answer to a ping; ERR_UNAVAILABLE with its text if it is none, or
 * as pong_decode.
 */
int	 pong_of(const struct answer *, struct pong *, struct err *);

#endif
