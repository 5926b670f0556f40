/* Answers of OCSP ([RFC6960] 4.2), signed by the CA's responder. */
#ifndef OCSPRESP_H
#define OCSPRESP_H

#include "job.h"
#include "responder.h"
#include "store_crl.h"

struct ocsp_single {
	struct slice		 id;	/* the CertID of the question, TLV */
	struct cert_status	 status;
};

struct ocsp_answer {
	const struct responder	*responder;
	const struct ocsp_single *single;
	size_t			 n;
	int64_t			 this_update, next_update; /* unix seconds */
	struct slice		 nonce;	/* extnValue's content; p NULL: none */
};

/* OCSPResponse with a BasicOCSPResponse; appended. */
int	 ocsp_build(const struct ocsp_answer *, struct buf *, struct err *);

/*
 * The answer to a CALL_OCSP, into j->response.  One question about a
 * certificate of ours is kept for the workers.
 */
void	 job_ocsp(struct signer *, struct job *);

/*
 * Answers that are kept and past the half of their life, made anew before
 * anybody asks again; some at a time.  now: unix seconds.  -1: the others stay
 * as they are, until the next time.
 */
int	 ocsp_ahead(struct signer *, struct ca *, const struct policy_ca *,
	    int64_t now, struct err *);

#endif
