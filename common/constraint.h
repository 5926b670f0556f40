/*
 * Name constraints of a CA's certificate, [RFC5280] 4.2.1.10: who trusts the
 * CA takes no other names from it.
 */
#ifndef CONSTRAINT_H
#define CONSTRAINT_H

#include "name.h"
#include "policy.h"

/* Of ca->cert into ca->constraints, which stays NULL without any. */
void	 constraint_read(struct policy_ca *);
void	 constraint_free(struct policy_ca *);

/* May the CA certify these names?  ERR_DENIED, with the first it may not. */
int	 constraint_check(const struct policy_ca *, const struct names *,
	    struct err *);

#endif
