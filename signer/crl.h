/*
 * A revocation list ([RFC5280] 5), written as a stream: the entries pass
 * through a buffer of fixed size, hashed on their way, and their number does
 * not matter for memory.  The lengths in front of them must be known
 * beforehand: the caller adds up crl_entry_octets.
 */
#ifndef CRL_H
#define CRL_H

#include "ca.h"

enum crl_reason {		/* [RFC5280] 5.3.1 */
	CRL_UNSPECIFIED = 0,
	CRL_KEY_COMPROMISE = 1,
	CRL_HOLD = 6,
	CRL_REMOVE = 8		/* on deltas alone */
};

struct crl_entry {
	struct slice	 serial;	/* magnitude, 1 to 20 octets */
	int64_t		 at;		/* unix seconds */
	unsigned	 reason;	/* enum crl_reason; 0 is left out */
};

/*
 * Octets of an entry's DER.  high: the first bit of the serial is set;
 * generalized: its date is from 2050 on; reason: it has one.
 */
struct crl_shape {
	size_t		 serial_octets;
	bool		 high, generalized, reason;
};
size_t	 crl_entry_octets(const struct crl_shape *);
struct crl_shape crl_shape_of(const struct crl_entry *);

struct crl_head {
	const struct ca	*ca;
	uint64_t	 number;	/* [RFC5280] 5.2.3 */
	int64_t		 this_update, next_update;	/* unix seconds */
	int64_t		 next_publish;	/* when the next one is due */
	uint64_t	 octets;	/* of all entries */
	uint64_t	 base;		/* of a delta; 0: it is complete */
	const struct strlist *freshest;	/* where its deltas are, or NULL */
};

/* Takes the next bytes of the TBSCertList; -1 ends it all. */
struct crl_sink {
	int	(*put)(void *, struct slice, struct err *);
	void	*arg;
};

struct crl;

/*
 * The head is copied; its ca and freshest are borrowed.  Writes what stands
 * before the entries; NULL, and -1 below: as the sink, or ERR_INTERNAL.
 */
struct crl	*crl_new(const struct crl_head *, struct crl_sink,
		    struct err *);
void		 crl_free(struct crl *);
/* In the order in which they shall stand. */
int		 crl_add(struct crl *, const struct crl_entry *, struct err *);
/*
 * Behind the last entry.  Appends the digest of the TBSCertList, for the
 * ledger.  ERR_INTERNAL when the entries had not the octets that were told.
 */
int		 crl_end(struct crl *, struct buf *digest, struct err *);
/*
 * Sign after crl_end.  first goes before what the sink got, last behind it;
 * both appended.  -1: as cakey_sign.
 */
int		 crl_sign(struct crl *, struct buf *first, struct buf *last,
		    struct err *);

#endif
