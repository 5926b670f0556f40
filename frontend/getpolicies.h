/* GetPolicies, the one message of CEP: [MS-XCEP] 3.1.4.1.2.1. */
#ifndef GETPOLICIES_H
#define GETPOLICIES_H

#include "xmlin.h"

#define GETPOLICIES_OIDS	256

struct getpolicies {
	int64_t		 last_update;	/* unix seconds; INT64_MIN = never */
	struct slice	*oids;		/* policyOIDs; lent by the document */
	size_t		 noids;
	bool		 by_oid;	/* policyOIDs was there */
	int32_t		 client_version;	/* 0 = no filter */
	int32_t		 server_version;
};

/*
 * As rst_parse, but CEP's faults have no HRESULT; getpolicies_free is the
 * caller's on 0.
 */
int	 getpolicies_parse(const xmlNode *body, struct slice action,
	    struct getpolicies *, struct err *);
void	 getpolicies_free(struct getpolicies *);

#endif
