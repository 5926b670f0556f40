/*
 * Deciding a request that waits: an operator's approve or deny.  The request
 * is read again and judged again as if it came today; the answer goes to the
 * operator, and the client finds the outcome when it asks for it.
 */
#ifndef APPROVAL_H
#define APPROVAL_H

#include "store.h"

struct pending {		/* what a job borrows from; owned by it */
	struct buf	 token, evidence;
	char		*template_name;
	char		*approver;	/* for the row: "operator:root", ... */
	char		*reason;
	struct buf	 record;	/* the approver's, for an air gap */
};
void	 pending_free(struct pending *);

/*
 * Load the request and decide: JOB_RECORD, or JOB_ANSWERED when it was
 * decided by this very message before or may not be.
 */
void	 approval_check(struct signer *, struct job *);
/*
 * Put the approver's subject, if there is one, into the parsed request.
 * ERR_DENIED: it is no name ([RFC4514]), and the request is as it was.
 */
int	 approval_subject(struct job *, struct err *);
/*
 * For the vault: job's pending and verdict are set, its request is parsed, and
 * approver is an account or empty.  As for an approval here.
 */
int	 approval_judge(struct signer *, struct job *, const char *approver,
	    struct err *);
/*
 * Another signer was quicker: its decision is the answer when it had the same
 * message, and otherwise the reason why there is nothing to decide any more.
 */
void	 approval_lost(struct signer *, struct job *);
/* A row that waited for too long answers as a denial. */
void	 pending_expire(struct job *, const struct stored *);

#endif
