/*
 * The CMC full response ([RFC5272] 3.2, [MS-WCCE] 2.2.2.8): what Windows
 * reads out of an enrollment answer.  SignedData over a PKIResponse, signed
 * by the CA key itself.
 */
#ifndef CMCRESP_H
#define CMCRESP_H

#include "ca.h"

enum cmc_status {		/* [RFC5272] 6.1.1 */
	CMC_SUCCESS = 0,
	CMC_FAILED = 2,
	CMC_PENDING = 3
};

struct cmcresp {
	const struct ca	*ca;
	enum cmc_status	 status;
	const char	*text;		/* UTF-8 */
	struct slice	 leaf;		/* CMC_SUCCESS only */
	uint64_t	 body_part_id;	/* of the request */
	struct slice	 transaction_id, sender_nonce;	/* as request.h */
	struct slice	 key_hash;	/* of an archived key, echoed */
	uint32_t	 number;	/* CMC_PENDING: the token to ask with */
	int64_t		 received;	/* CMC_PENDING: when it came */
};

int	 cmcresp_build(const struct cmcresp *, struct buf *out, struct err *);

#endif
