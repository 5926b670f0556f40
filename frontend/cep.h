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
/* up: monotonic seconds; this process hears of changes from then on. */
struct cep	*cep_new(int64_t up);
void		 cep_free(struct cep *);

struct cep_ask {
	const struct policy	 *policy;
	const struct account	 *account;
	enum auth_method	  method;	/* how it was proven */
	bool			  key_based;	/* only what is renewed so, */
	const char		 *held;		/* ... and this template; "" */
	const struct getpolicies *query;
	uint64_t		  epoch;	/* snapshot_epoch, before policy
						   and account were read */
	int64_t			  now;		/* unix seconds, after that */
	int64_t			  up;		/* monotonic seconds of now */
	int64_t			  ahead;	/* seconds, of us: its clock */
};

#define CEP_UNCHANGED	(-1)
/*
 * GetPoliciesResponse is added to w; returns how many templates it offers, or
 * CEP_UNCHANGED.  Any thread may call.
 */
int	 cep_answer(struct cep *, const struct cep_ask *, struct xmlw *);

#endif
