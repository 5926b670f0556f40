/* Answers of OCSP ([RFC6960] 4.2), signed by the CA's responder. */
#ifndef OCSPRESP_H
#define OCSPRESP_H

#include "job.h"

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
