/* Security identifiers of Windows: [MS-DTYP] 2.4.2. */
#ifndef SID_H
#define SID_H

#include "buf.h"

/* "S-1-", an authority of at most 15 digits, 15 numbers of 32 bits, the NUL. */
#define SID_TEXT	(4 + 15 + 15 * 11 + 1)

/*
 * The packet form (2.4.2.2) as text (2.4.2.1).  False for what is none: another
 * revision than 1, no or more than 15 parts, another length than they have.
 */
bool	 sid_text(struct slice packet, char out[SID_TEXT]);

#endif
