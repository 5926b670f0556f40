/*
 * Signatures of registration authorities over a request, and enrolling on
 * behalf of somebody else ([MS-WCCE] 3.2.2.6.2.1.2.1): off unless an agent
 * rule of the policy names agent, template and target.
 */
#ifndef AGENT_H
#define AGENT_H

#include "decide.h"

struct snapshot;

/* What accounts say of a request's signers and of whom it names. */
struct agency {
	bool		 disabled[REQUEST_SIGNERS];	/* whose row it is */
	const struct account *target;	/* of RequesterName; NULL: none */
};

/* Has an authority signed it, or is it for somebody else? */
bool	 agent_wanted(const struct request *);
/*
 * RequesterName, out of what the agent has signed, as the canonical name of an
 * account.  ERR_DENIED when it is no name.
 */
int	 agent_target(const struct policy *, const struct request *,
	    char out[129], struct err *);
/*
 * Fills a zeroed agency before decide(), if agent_wanted; agency_clear in any
 * case.  ERR_DENIED as agent_target, or as snapshot_account.
 */
int	 agency_load(struct snapshot *, const struct decide_ask *,
	    struct agency *, struct err *);
/* Gives the target back to that snapshot. */
void	 agency_clear(struct snapshot *, struct agency *);

/*
 * Every signer's certificate is ours, by its row, and good, and its account not
 * disabled; as many and such as the template wants; and if the request names
 * somebody else, a rule lets this agent enroll this template for this target.
 * *subject, untouched on -1, is whom the certificate is for: the target, or the
 * account that asks; lent by the question.  ERR_DENIED; ERR_MALFORMED for a
 * certificate of our own that cannot be read, ERR_INTERNAL when there are
 * signers and no agency.
 */
int	 agent_decide(const struct decide_ask *, const struct template *,
	    const struct account **subject, struct err *);

#endif
