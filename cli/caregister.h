/* The register of a root: see caroot.h. */
#ifndef CAREGISTER_H
#define CAREGISTER_H

#include "caroot.h"

struct register_entry {
	char		 serial[41];	/* upper-case hex */
	int64_t		 at;		/* unix seconds */
	unsigned	 reason;	/* [RFC5280] 5.3.1 */
};

struct register_state {
	const char	*serial;	/* looked for, or NULL */
	bool		 signed_here, revoked_here;	/* that one */
	uint64_t	 crl_number;	/* of the last list, 0 = none */
	int64_t		 crl_at;	/* its thisUpdate; unix seconds */
	int64_t		 now;		/* not touched */
	struct register_entry *revoked;	/* owned: register_free */
	size_t		 n;
};

/*
 * A whole line, without its end; on the disk when this returns 0.  -1
 * (ERR_DENIED): what it tells of must not leave, and a part of it may stand
 * there.
 */
int	 register_add(const struct root *, struct buf *line, struct err *);
/*
 * All of it, into what s->serial asks for.  A line that is none of ours is
 * refused (ERR_DENIED): somebody has written into it, or it was torn by a full
 * disk or a power cut, and what it would tell of has never left.
 */
int	 register_read(const struct root *, struct register_state *,
	    struct err *);
void	 register_free(struct register_state *);

#endif
