/* The body of an answer to GetPolicies; see cep.h. */
#ifndef CEPWRITE_H
#define CEPWRITE_H

#include "policy.h"
#include "xmlw.h"

#define CEP_ENROLL	1
#define CEP_AUTOENROLL	2

struct cep_view {		/* what this caller can see */
	const struct policy	*policy;
	/* A byte for each template, 0 = not offered; NULL: nothing has
	   changed, and the answer says just that. */
	const uint8_t		*allowed;
	enum auth_method	 method;	/* how it has come in */
	bool			 password;	/* the account has one */
};

/*
 * Has this CA an address for the template where this caller would be let in?
 * Password: who has one.  Certificate: who has come with one, and anybody who
 * renews.  Anonymous: renewals of a template that says so.  A client that is
 * told others tries them first and fails ([MS-XCEP] 3.1.4.1.3.5).
 */
bool	 cep_reachable(const struct cep_view *, const struct template *,
	    const struct policy_ca *);

/* GetPoliciesResponse ([MS-XCEP] 3.1.4.1.2.2); added to w. */
void	 cep_write(const struct cep_view *, struct xmlw *w);

#endif
