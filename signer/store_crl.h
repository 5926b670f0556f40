/* Revocation lists and OCSP answers in PostgreSQL. */
#ifndef STORE_CRL_H
#define STORE_CRL_H

#include "crl.h"
#include "store.h"

struct crl_state {
	int64_t		 changes;	/* of the CA's revocations so far */
	uint64_t	 number;	/* of the last list; 0 = none yet */
	int64_t		 this_update, next_update;	/* of the last list */
	int64_t		 seen;		/* changes that are in it */
};
int	 store_crl_state(struct store *, const char *ca, struct crl_state *,
	    struct err *);

/*
 * Begin the transaction in which a list is made: one view of the rows, one
 * signer for a CA at a time.  1: begun; 0: another signer is at it.
 */
int	 store_crl_begin(struct store *, const char *ca, struct err *);
int	 store_crl_commit(struct store *, struct err *);
void	 store_crl_rollback(struct store *);

/* Entries of a CA whose certificates had not ended at that time. */
struct crl_query {
	const char	*ca;
	int64_t		 valid_at;
};
/* How many, and the octets of their DER. */
int	 store_crl_count(struct store *, const struct crl_query *,
	    uint64_t *entries, uint64_t *octets, struct err *);
/* In order of serial numbers, some thousand in memory at a time. */
int	 store_crl_entries(struct store *, const struct crl_query *,
	    struct crl *, struct err *);

struct crl_made {
	const char	*ca;
	uint64_t	 number, entries, octets;
	int64_t		 this_update, next_update, seen;
	struct slice	 digest;
};
int	 store_crl_part(struct store *, const struct crl_made *,
	    unsigned part, struct slice, struct err *);
int	 store_crl_put(struct store *, const struct crl_made *,
	    struct err *);

enum cert_state { CERT_UNKNOWN, CERT_GOOD, CERT_REVOKED };
struct cert_status {
	enum cert_state	 state;
	unsigned	 reason;
	int64_t		 at;
};
int	 store_cert_status(struct store *, const char *ca, struct slice serial,
	    struct cert_status *, struct err *);

struct ocsp_row {
	const char		*ca;
	struct slice		 serial;
	int			 hash;		/* column "hash" */
	struct cert_status	 status;
	int64_t			 this_update, next_update;
	struct slice		 der;
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
int	 store_ocsp_forget(struct store *, struct err *);
int	 store_responder(struct store *, const char *ca, struct slice serial,
	    int64_t not_after, struct slice der, struct err *);

#endif
