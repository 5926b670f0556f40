/* CMC PKIData ([RFC2797] 3.1) of a request. */
#ifndef CMC_H
#define CMC_H

#include "reqparse.h"

#define CMC_CONTROLS	8

struct cmc {
	struct slice	 csr;		/* CertificationRequest TLV */
	uint64_t	 body_part_id;	/* its */
	struct {
		uint64_t	 body_part_id;
		struct slice	 oid;
		struct slice	 value;	/* the only one, TLV */
	}		 control[CMC_CONTROLS];
	size_t		 ncontrol;
};

/*
 * PKIData TLV, from which the slices borrow: exactly one PKCS#10 request and at
 * most CMC_CONTROLS controls, each once.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 cmc_parse(struct cmc *, struct slice, struct err *);
/*
 * What the controls ask for, into the request; an unknown one is refused.
 * After cms_prove, since some count only when signed.
 */
int	 cmc_controls(struct reqparse *, const struct cmc *, struct err *);

/*
 * What a response repeats of a request that was accepted before: form only,
 * no signature is looked at.  The slices are TLVs that borrow from the token;
 * empty, and the part 1, in a request that is no CMC.  -1: ERR_MALFORMED,
 * ERR_TOO_BIG.
 */
struct cmc_echo {
	uint64_t	 body_part_id;
	struct slice	 transaction_id, sender_nonce, key_hash;
};
int	 cmc_echo(struct slice token, struct cmc_echo *, struct err *);

#endif
