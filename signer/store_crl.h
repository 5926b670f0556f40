/*
 * Revocation lists and OCSP answers in PostgreSQL; -1 and NULL as in store.h.
 */
#ifndef STORE_CRL_H
#define STORE_CRL_H

#include "crl.h"
#include "store.h"

struct crl_list {
	uint64_t	 number;	/* 0 = there is none */
	/* Unix seconds; when it was made: it says ISSUED_EARLY less. */
	int64_t		 this_update, next_update;
	int64_t		 seen;		/* changes that are in it */
	uint64_t	 base;		/* of a delta, the list it adds to */
	bool		 followed;	/* complete, with deltas to follow */
};

struct crl_state {
	uint64_t	 told;		/* a number of before a backup, or 0 */
	int64_t		 changes;	/* of the CA's revocations so far */
	struct crl_list	 last;		/* of either kind */
	struct crl_list	 complete, before;	/* the last two of those */
	bool		 whole;		/* the bytes of complete are there */
};
int	 store_crl_state(struct store *, const char *ca, struct crl_state *,
	    struct err *);

/*
 * One signer for a CA at a time, from before it copies revocations until the
 * list is there: 1, or 0: another signer is at it.
 */
int	 store_crl_claim(struct store *, const char *ca, struct err *);
void	 store_crl_yield(struct store *, const char *ca);
/*
 * Begin the transaction in which a list is made: one view of the rows.  1:
 * begun; 0: another signer has claimed it, for our session was lost.
 */
int	 store_crl_begin(struct store *, const char *ca, struct err *);
/* -1: perhaps the list is there all the same; its number is given away. */
int	 store_crl_commit(struct store *, struct err *);
void	 store_crl_rollback(struct store *);

/*
 * Entries of a CA whose certificates had not ended at that time; or for a
 * delta all that changed since, holds that ended as CRL_REMOVE.
 */
struct crl_query {
	const char	*ca;
	bool		 delta;
	int64_t		 valid_at;	/* complete: unix seconds */
	int64_t		 since;		/* delta: changes its base has */
};
/* A walk through them, and where it is; all zero but q before the first. */
struct crl_walk {
	struct crl_query q;
	bool		 released;	/* of a delta, its second part */
	struct buf	 serial;	/* of the last row; owned */
	int64_t		 change;
	uint64_t	 entries, octets;	/* so far, of their DER */
};
/*
 * The next page, in the order of an index, is counted and, where crl is not
 * NULL, added to it.  1: there may be more, 0: that was all, or -1.
 */
int	 store_crl_page(struct store *, struct crl_walk *, struct crl *,
	    struct err *);
/* To the first row again; frees what the walk owns. */
void	 store_crl_rewind(struct crl_walk *);

struct crl_made {		/* times, seen, base as in struct crl_list */
	const char	*ca;
	uint64_t	 number, entries;
	uint64_t	 octets;	/* of the whole list */
	int64_t		 this_update, next_update, seen;
	uint64_t	 base;
	bool		 followed;
	struct slice	 digest;	/* of the TBSCertList */
};
/* A piece of its bytes: 1, 2, ... as they pass, 0 at last. */
int	 store_crl_part(struct store *, const struct crl_made *,
	    unsigned part, struct slice, struct err *);
/* The row, when all parts are there. */
int	 store_crl_put(struct store *, const struct crl_made *,
	    struct err *);

/* The row of a list as ledgers keep it, a tuple; appended. */
int	 store_crl_row(struct store *, const struct crl_made *,
	    struct buf *row, struct err *);

#define REVOCATIONS_PAGE "1000"
/*
 * Revocations that no ledger has yet: a page of them behind this change and
 * serial, or those of one certificate.  Columns: REV_*, as text; PQclear by
 * the caller.
 */
enum { REV_CHANGE, REV_SERIAL, REV_AT, REV_REASON, REV_UNTIL, REV_WHO,
    REV_NOTE };
PGresult *store_revocations(struct store *, const char *ca,
	    const char *change, struct slice serial, struct err *);
PGresult *store_revocation_of(struct store *, const char *ca,
	    struct slice serial, struct err *);
/* A ledger has these rows of store_revocations now, synced. */
int	 store_revocations_told(struct store *, const char *ca,
	    const PGresult *, struct err *);
/* Is there one that no ledger has?  1, 0, or -1. */
int	 store_revocations_untold(struct store *, const char *ca,
	    struct err *);

enum cert_state { CERT_UNKNOWN, CERT_GOOD, CERT_REVOKED };
struct cert_status {
	enum cert_state	 state;
	unsigned	 reason;	/* enum crl_reason; revoked */
	int64_t		 at;		/* unix seconds; revoked */
	bool		 untold;	/* in no ledger yet */
};
/* serial: magnitude, as everywhere in this file. */
int	 store_cert_status(struct store *, const char *ca, struct slice serial,
	    struct cert_status *, struct err *);

struct ocsp_row {
	const char		*ca;
	struct slice		 serial;
	int			 hash;		/* column "hash" */
	struct cert_status	 status;	/* that the answer tells */
	int64_t			 this_update, next_update; /* unix seconds */
	struct slice		 der;		/* OCSPResponse */
};
/* *kept is false when the status is no longer what the answer says. */
int	 store_ocsp_keep(struct store *, const struct ocsp_row *, bool *kept,
	    struct err *);
/*
 * Kept answers that end before that time and whose certificates do not:
 * serials and hash, some at a time; PQclear by the caller.
 */
PGresult	*store_ocsp_due(struct store *, const char *ca, int64_t before,
		    struct err *);
void	 store_ocsp_due_get(const PGresult *, int row, struct slice *serial,
	    int *hash);
/* Drop answers that ended a day ago: nobody made them anew. */
int	 store_ocsp_forget(struct store *, struct err *);
/* The row of a responder's certificate. */
int	 store_responder(struct store *, const char *ca, struct slice serial,
	    int64_t not_after, struct slice der, struct err *);

#endif
