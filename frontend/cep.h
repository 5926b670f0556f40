/*
 * The answer to GetPolicies: [MS-XCEP] 3.1.4.1.3.23.  Every nillable element
 * is there and in order: WWSAPI reads strictly and loses the whole policy
 * over one omission.
 *
 * The body depends on the policy, on which templates the caller may use and
 * on which addresses; it is written once for each such combination and kept.
 */
#ifndef CEP_H
#define CEP_H

#include "account.h"
#include "getpolicies.h"
#include "policy.h"
#include "xmlw.h"

struct cep;
/* now: unix seconds; this process hears of changes from then on. */
struct cep	*cep_new(int64_t now);
void		 cep_free(struct cep *);

struct cep_ask {
	const struct policy	 *policy;
	const struct account	 *account;
	enum auth_method	  method;	/* how it was proven */
	bool			  key_based;	/* only what is renewed so, */
	const char		 *held;		/* ... and this template; "" */
	const struct getpolicies *query;
	uint64_t		  epoch;	/* snapshot_epoch */
	int64_t			  now;		/* unix seconds */
	int64_t			  ahead;	/* seconds, of us: its clock */
};

/*
 * GetPoliciesResponse is added to w; returns how many templates it offers,
 * -1 for "policies not changed".  Any thread may call.
 */
int	 cep_answer(struct cep *, const struct cep_ask *, struct xmlw *);

#endif
