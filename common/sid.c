/* Security identifiers: of Kerberos tickets and of exports of a directory. */
#include <inttypes.h>
#include <stdio.h>

#include "sid.h"

#define HEAD	8	/* revision, count, authority */
#define PARTS	15

bool
sid_text(struct slice s, char out[SID_TEXT])
{
	uint64_t	authority = 0;
	size_t		i, n;
	int		at;

	if (s.n < HEAD || s.p[0] != 1 || s.p[1] == 0 || s.p[1] > PARTS ||
	    s.n != HEAD + 4 * (size_t)s.p[1])
		return false;
	n = s.p[1];
	for (i = 2; i < HEAD; i++)
		authority = authority << 8 | s.p[i];
	at = snprintf(out, SID_TEXT, authority >> 32 == 0 ? "S-1-%" PRIu64 :
	    "S-1-0x%012" PRIX64, authority);
	for (i = 0; i < n; i++)		/* these are little-endian */
		at += snprintf(out + at, SID_TEXT - (size_t)at, "-%" PRIu32,
		    (uint32_t)s.p[HEAD + 4 * i] |
		    (uint32_t)s.p[HEAD + 4 * i + 1] << 8 |
		    (uint32_t)s.p[HEAD + 4 * i + 2] << 16 |
		    (uint32_t)s.p[HEAD + 4 * i + 3] << 24);
	return true;
}
