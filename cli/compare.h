/*
 * The database against the chronicle of the ledgers, in one view of the rows
 * that was taken after the ledgers' sizes were noted: what a ledger says
 * within them must be there, and what is there must be in a ledger.
 *
 * Findings of the check "missing" are what an old backup lacks;
 * "countersign reconcile" can put it back.  Everything else is damage.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include "chronicle.h"
#include "cli.h"

#define COMPARE_MISSING	"missing"

struct compare {
	struct cli	*cli;
	struct chronicle *c;
	struct progress	*progress;
	const struct strlist *without;	/* signers known to be absent, or NULL:
					   the caller looks itself who is */
	struct buf	 absent;	/* whose ledger is not here: names */
	bool		 known[65536];	/* prefixes in the database */
	bool		 all_here;	/* the ledger of each of them ... */
	bool		 all_tell;	/* ... that is no vault's */
	uint64_t	 requests, certificates, voids, revoked, lists, audit;
	uint64_t	 accounts, keys, owners, answers;
	uint64_t	 untold;	/* audit rows that came since */
	uint64_t	 elsewhere;	/* rows of ledgers that are not here */
	uint64_t	 bare;		/* requests put back without bytes */
};

/*
 * Begin the view (READ ONLY, so the caller's db_rollback ends it) and read
 * everything.  -1 only when the database cannot be asked: findings go to the
 * chronicle's sink.
 */
int	 compare_begin(struct compare *, struct err *);
int	 compare_all(struct compare *, struct err *);
void	 compare_free(struct compare *);	/* not what it was given */

/* Parts of it, in other files. */
/* To the headset, before the ledgers are read; and what is missing, behind. */
int	 compare_take_heads(struct compare *, struct err *);
int	 compare_heads(struct compare *, struct err *);
int	 compare_revoked(struct compare *, struct err *);
int	 compare_lists(struct compare *, struct err *);
int	 compare_responders(struct compare *, struct err *);
int	 compare_ocsp(struct compare *, struct err *);
int	 compare_rounds(struct compare *, struct err *);
int	 compare_audit(struct compare *, struct err *);
/* Behind compare_audit: which rows does audit lack? */
int	 compare_accounts(struct compare *, struct err *);

/* Each row that such a statement returns, by its first column, is a damage. */
struct compare_query {
	const char	*stmt, *what, *text;
};
int	 compare_queries(const struct compare *, const struct compare_query *,
	    size_t n, struct err *);

/* By a signer, whose name is in a column, without a ledger here. */
bool	 compare_elsewhere(const struct compare *, struct slice signer);

/* A finding about a row: object is "what name". */
void	 compare_find(const struct compare *, const char *check,
	    const char *what, const char *name, const char *text);
void	 compare_find_hex(const struct compare *, const char *check,
	    const char *what, const uint8_t *octets, size_t n,
	    const char *text);
/*
 * A page of a statement of ledger_sql.h: parameters in text, the result in
 * binary form.  PQclear by the caller.
 */
PGresult *compare_page(struct compare *, const char *stmt,
	    const char *const *p, int n, struct err *);

#endif
