/* The part of decide.h that judges names: what it knows by then, and asks. */
#ifndef DECIDE_NAMES_H
#define DECIDE_NAMES_H

#include "decide.h"

struct judging {
	const struct policy	*policy;
	const struct template	*tmpl;
	const struct account	*account;
	bool			 no_rule; /* an approver or override decides */
	bool			 approved; /* before, for an old certificate */
	bool			 vouched; /* an old certificate has the names */
};

/* A SID in the request must be the account's own; ERR_DENIED. */
int	 decide_sid_claim(const struct account *, const struct request *,
	    struct err *);
/*
 * The names into out->names, which holds them already if j->vouched.  On -1
 * (ERR_DENIED) some may be there: decision_free.
 */
int	 decide_names(const struct judging *, const struct request *,
	    struct decision *out, struct err *);
/*
 * Is there a name that it could get?  0 also where that hangs on the request:
 * whom an agent asks for, or whose old certificate vouches.  ERR_DENIED.
 */
int	 decide_some_names(const struct judging *, struct err *);
/*
 * The SID for the certificate, if it has a place there, into out->sid; lent by
 * the account.  ERR_DENIED when the account's is none.
 */
int	 decide_sid(const struct template *, const struct account *,
	    struct decision *out, struct err *);

#endif
