/* What Active Directory says in a ticket beside the name: [MS-PAC]. */
#ifndef PAC_H
#define PAC_H

#include "sid.h"

#define SAM_TEXT	(256 + 1)	/* [MS-ADA3] 2.222, and the NUL */

/* Whom a ticket is of, as the directory has him; each "" if not told. */
struct pac {
	char	sam[SAM_TEXT];	/* the name of his account there */
	char	sid[SID_TEXT];
};

/*
 * From UPN_DNS_INFO ([MS-PAC] 2.10): 0; neither is told by controllers older
 * than November 2021.  What of the name is not ASCII, or no character, is "?".
 * -1 for what is malformed.
 */
int	 pac_read(struct slice upn_dns_info, struct pac *);

#endif
