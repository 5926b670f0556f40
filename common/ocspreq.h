/*
 * The question of OCSP ([RFC6960] 4.1), read by the worker and once more by
 * the signer.  Strict DER; what we do not need is passed over, what is
 * critical and unknown is refused.
 */
#ifndef OCSPREQ_H
#define OCSPREQ_H

#include "buf.h"
#include "err.h"

#define OCSP_REQUEST_MAX	4096
#define OCSP_IDS		16	/* questions in one message */
#define OCSP_NONCE_MAX		131	/* [RFC9654] 2.1: 128, and its head */

enum ocsp_hash { OCSP_SHA1 = 1, OCSP_SHA256 = 2 };

struct ocsp_id {		/* lent by the request's bytes */
	enum ocsp_hash	 hash;
	bool		 usual;		/* as nearly everybody writes it */
	struct slice	 tlv;		/* the whole CertID */
	struct slice	 name_hash, key_hash;
	struct slice	 serial;	/* magnitude, without leading zeros */
};

struct ocsp_request {
	struct ocsp_id	 id[OCSP_IDS];
	size_t		 n;		/* 1..OCSP_IDS, one issuer for all */
	struct slice	 nonce;		/* extnValue's content; p NULL: none */
};

/* ERR_MALFORMED or ERR_TOO_BIG. */
int	 ocsp_request_parse(struct slice, struct ocsp_request *, struct err *);

/* Is this CA certificate (DER) the issuer that the question names? */
bool	 ocsp_is_issuer(const struct ocsp_id *, struct slice certificate);

/*
 * The CertID of a certificate of this issuer (DER), as nearly everybody
 * writes it; appended.
 */
int	 ocsp_put_id(enum ocsp_hash, struct slice issuer, struct slice serial,
	    struct buf *, struct err *);

#endif
