/*
 * Put back what a chronicle, compared with the database, found missing there:
 * the ledgers are read once more, for the rows themselves.
 */
#ifndef RESTORE_H
#define RESTORE_H

#include <libpq-fe.h>

#include "compare.h"

struct restored {
	uint64_t	 requests, decisions, certificates, voids;
	uint64_t	 revocations, lists, signers, audit;
	uint64_t	 rounds;	/* over an air gap */
	/* What accounts and keys were made again, as lastword.h has it; the
	   caller's to PQclear. */
	PGresult	*words;
	/* Certificates whose bytes a crash took: their serials are void now. */
	uint64_t	 lost;
	/* Entries acted upon behind the last head of their ledger; the signer
	   of the first of them. */
	uint64_t	 unvouched;
	char		 unvouched_in[64];
};

/*
 * In a transaction of db, which is the owner's and has restore_sql; the caller
 * commits.  The chronicle's flags say what is there.  ERR_DENIED: a
 * certificate in a ledger that its CA has not signed.
 */
int	 restore_all(struct db *, struct chronicle *, struct restored *,
	    struct err *);
/*
 * In the same transaction, behind restore_all: rounds over an air gap that the
 * vault answered, so that the next export follows on its last answer.
 */
int	 restore_rounds(struct db *, const struct chronicle *,
	    struct restored *, struct err *);
/*
 * In the same transaction, behind restore_all: accounts and keys become what
 * audit says last, as far as that is stricter, and audit says what is true
 * where that is.  done->words also after -1.
 */
int	 restore_accounts(struct db *, struct restored *done, struct err *);
extern const struct db_stmt restore_sql[];

#endif
