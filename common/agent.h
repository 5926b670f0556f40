/*
 * Signatures of registration authorities over a request, and enrolling on
 * behalf of somebody else ([MS-WCCE] 3.2.2.6.2.1.2.1): off unless an agent
 * rule of the policy names agent, template and target.
 */
#ifndef AGENT_H
#define AGENT_H

#include "account.h"
#include "issued.h"
#include "policy.h"
#include "request.h"

/* What the database says of a request's signers and of whom it names. */
struct agency {
	const struct issued *row[REQUEST_SIGNERS];	/* as request.signer;
						   NULL: none */
	bool		 disabled[REQUEST_SIGNERS];	/* whose row it is */
	const struct account *target;	/* of RequesterName; NULL: none */
	int64_t		 now;		/* unix seconds */
};

struct agent_ask {
	const struct policy	*policy;
	const char		*ca;
	const struct template	*tmpl;
	const struct account	*account;	/* who is asking */
	const struct request	*request;
	const struct agency	*agency;	/* may be NULL: nothing known */
};

/* Is there anything that the database has to be asked for? */
bool	 agent_wanted(const struct request *);
/*
 * RequesterName, out of what the agent has signed, as the canonical name of an
 * account.  ERR_DENIED when it is no name.
 */
int	 agent_target(const struct policy *, const struct request *,
	    char out[129], struct err *);

/*
 * Every signer's certificate is ours, by its row, and good, and its account not
 * disabled; as many and such as the template wants; and if the request names
 * somebody else, a rule lets this agent enroll this template for this target.  *subject, untouched on -1,
 * is whom the certificate is for: the target, or the account that asks; lent
 * by the question.  ERR_DENIED; ERR_MALFORMED for a certificate of our own that
 * cannot be read, ERR_INTERNAL when there are signers and no agency.
 */
int	 agent_decide(const struct agent_ask *, const struct account **subject,
	    struct err *);

#endif
