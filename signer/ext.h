/* Extensions of certificates and revocation lists, as DER. */
#ifndef EXT_H
#define EXT_H

#include "ca.h"
#include "policy.h"

struct ext {			/* an extension being written */
	size_t	 seq, octets;
};

/* Appended ([RFC5280] 4.1); what comes in between is extnValue's content. */
struct ext	 ext_open(struct buf *, struct slice oid, bool critical);
void		 ext_close(struct buf *, struct ext);

/* [RFC5280] 4.2.1.1: the key identifier alone, as AD CS does. */
void	 ext_put_aki(struct buf *, const struct ca *);
/*
 * [RFC5280] 4.2.1.13 and 4.2.1.15: one DistributionPoint with the policy's
 * addresses for this key.  Nothing when there are none.
 */
void	 ext_put_points(struct buf *, struct slice oid,
	    const struct strlist *patterns, const struct ca *);
/* A GeneralName with such an address. */
void	 ext_put_uri(struct buf *, const char *pattern, const struct ca *);

#endif
