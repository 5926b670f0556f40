/* The body of an answer to GetPolicies; see cep.h. */
#ifndef CEPWRITE_H
#define CEPWRITE_H

#include "policy.h"
#include "xmlw.h"

#define CEP_ENROLL	1
#define CEP_AUTOENROLL	2

/*
 * allowed: a byte for each template of the policy, 0 = not offered.  NULL:
 * the answer says that the policies have not changed.
 */
void	 cep_write(const struct policy *, const uint8_t *allowed,
	    struct xmlw *);

#endif
