/*
 * What the vault's ledger says, in memory: certificates that were signed, what
 * is revoked, where the rounds are.  The ledger is all that there is: read at
 * start, and whatever is written to it is told the book as well.
 */
#ifndef AIRGAP_BOOK_H
#define AIRGAP_BOOK_H

#include "bundle.h"
#include "ca.h"
#include "ledger.h"
#include "serial.h"

#define BOOK_SERIAL	20

struct book_cert {
	uint8_t		 id[MSG_ID];
	uint8_t		 serial[SERIAL_LEN];
	uint8_t		 sha256[32];	/* of the certificate, once issued */
	uint8_t		 spki[32];	/* SHA-256 of its key, once issued */
	char		*account, *template_name, *ca;
	unsigned	 renewals;
	int64_t		 chain_start;	/* unix seconds, once issued */
	bool		 issued, voided;
	bool		 wanted;	/* book_fetch brings what follows */
	struct buf	*der;		/* or NULL */
	int64_t		 decided;	/* unix microseconds */
	uint32_t	 major, minor;	/* of the template */
};

struct book_revoked {
	uint8_t		 serial[BOOK_SERIAL + 1];	/* length, bytes */
	char		*ca;
	int64_t		 at, not_after;	/* unix seconds; 0: never ends */
	unsigned	 reason;
	bool		 released;	/* the hold ended: not revoked */
	bool		 untold;	/* void, and the desk not told yet */
};

struct book_list {			/* the last one of a CA */
	char		*ca;
	uint64_t	 number;
	int64_t		 this_update;
};

struct book;

/*
 * Reads the ledger in that folder and checks its chain.  NULL: ERR_INTERNAL,
 * which entry is bad.  What the functions below return is lent until something
 * is added to the book.
 */
struct book	*book_open(const char *ledger, struct err *);
void		 book_free(struct book *);

/* The round taken last, and the one answered last; 0: none yet. */
struct book_round {
	uint64_t	 in, out;
	/* SHA-256 of their bundles' files. */
	uint8_t		 request[BUNDLE_HASH], response[BUNDLE_HASH];
	char		 deployment[64];	/* policy id; "": none yet */
};
struct book_round *book_round(struct book *);

/* The last certificate meant for a request; by serial number; or NULL. */
struct book_cert *book_by_id(struct book *, const uint8_t id[MSG_ID]);
struct book_cert *book_by_serial(struct book *, struct slice serial);
/* The last certificate that was issued for a key, or NULL. */
struct book_cert *book_by_key(struct book *, const uint8_t spki[32]);
struct book_revoked *book_revoked(struct book *, struct slice serial);
bool		 book_is_revoked(struct book *, struct slice serial);

/* An intent; id, serial, names and renewals are copied. */
void		 book_add(struct book *, const struct book_cert *);
/* spki: SHA-256 of the certificate's key. */
void		 book_issued(struct book *, struct book_cert *,
		    struct slice der, const uint8_t spki[32]);
/*
 * Read the ledger once more for those marked as wanted: der, decided, major
 * and minor.
 */
int		 book_fetch(struct book *, const char *ledger, struct err *);

/* Intents of which nobody knows whether they were signed. */
struct book_cert *book_open_intent(struct book *);
void		 book_void(struct book *, struct book_cert *, int64_t at);
/* Void since the last answer: one after the other from *i = 0; NULL. */
const struct book_cert *book_void_next(struct book *, size_t *i);
void		 book_answered(struct book *);

/* An order of the desk: revoke, or the hold ends. */
void		 book_revoke(struct book *, const struct bundle_order *);
void		 book_release(struct book_revoked *);
/*
 * What of a CA is on a list that is made after that time: sorted by serial
 * number, pointers lent; free(3) by the caller.
 */
struct book_revoked **book_entries(struct book *, const char *ca,
		    int64_t valid_at, size_t *n);
/* Of a CA; made when there is none. */
struct book_list *book_list(struct book *, const char *ca);

#endif
