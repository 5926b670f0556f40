/*
 * The CMC full response ([MS-WCCE] 3.2.1.4.2.1.4.8.2): what Windows reads out
 * of an enrollment answer.  SignedData over a PKIResponse, signed by the CA
 * key itself; by nobody when that is behind an air gap.
 */
#ifndef CMCRESP_H
#define CMCRESP_H

#include "ca.h"
#include "cmc.h"

enum cmc_status {		/* cMCStatus, in the same place */
	CMC_SUCCESS = 0,
	CMC_FAILED = 2,
	CMC_PENDING = 3
};

#define CMC_ALSO_MAX	16

struct cmcresp {
	const struct ca	*ca;
	enum cmc_status	 status;
	const char	*text;		/* UTF-8 */
	struct slice	 leaf;		/* CMC_SUCCESS only */
	const struct buf *also;		/* certificates besides the chain */
	size_t		 nalso;		/* at most CMC_ALSO_MAX are taken */
	struct cmc_echo	 echo;		/* of the request */
	uint32_t	 number;	/* CMC_PENDING: the token to ask with */
	int64_t		 received;	/* CMC_PENDING: when it came */
};

/*
 * The certificate with this serial number (INTEGER content) in a response as
 * it is built here; borrowed.  -1: none has it.
 */
int	 cmcresp_leaf(struct slice response, struct slice serial,
	    struct slice *leaf);
/* Appended; nothing on -1, when the key does not sign (cakey_sign). */
int	 cmcresp_build(const struct cmcresp *, struct buf *out, struct err *);

#endif
