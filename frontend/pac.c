/* The one part of a PAC that we read; kerberos.c knows that it is genuine. */
#include "pac.h"

#define HAS_SAM_AND_SID	2u	/* flag S */
#define FLAGS		8	/* offset, 4 octets */
#define SAM		12	/* offsets: of a length and, behind it, an offset, */
#define SID		16	/* 2 octets each */
#define WITHOUT_SID	12	/* octets */
#define WITH_SID	20

static unsigned
u16(struct slice s, size_t at)
{
	return (unsigned)s.p[at] | (unsigned)s.p[at + 1] << 8;
}

/* What the length and the offset there say, behind the fixed part. */
static int
part(struct slice s, size_t field, struct slice *out)
{
	size_t	n = u16(s, field), at = u16(s, field + 2);

	if (at < WITH_SID || at > s.n || n > s.n - at)
		return -1;
	*out = slice_of(s.p + at, n);
	return 0;
}

/* UTF-16LE; who asks compares it with names in ASCII. */
static int
text(struct slice s, char out[SAM_TEXT])
{
	size_t		i;
	unsigned	c;

	if (s.n == 0 || s.n % 2 != 0 || s.n / 2 >= SAM_TEXT)
		return -1;
	for (i = 0; i < s.n / 2; i++) {
		c = u16(s, 2 * i);
		out[i] = c > ' ' && c < 0x7f ? (char)c : '?';
	}
	out[i] = '\0';
	return 0;
}

int
pac_read(struct slice s, struct pac *out)
{
	struct pac	p;
	struct slice	sam, sid;

	if (s.n < WITHOUT_SID)
		return -1;
	if ((u16(s, FLAGS) & HAS_SAM_AND_SID) == 0) {
		*out = (struct pac){ .sam = "" };
		return 0;
	}
	if (s.n < WITH_SID || part(s, SAM, &sam) == -1 ||
	    part(s, SID, &sid) == -1 || text(sam, p.sam) == -1 ||
	    !sid_text(sid, p.sid))
		return -1;
	*out = p;
	return 0;
}
