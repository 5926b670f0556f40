/* What the files of restore share; not for others. */
#ifndef RESTORE_INT_H
#define RESTORE_INT_H

#include <openssl/x509.h>

#include "restore.h"

struct restore {
	struct db		*db;
	struct chronicle	*c;
	struct restored		*done;
	const struct chr_ledger	*l;
	struct buf		 requests, certs, lists, audit;	/* to COPY */
	char			*issuer;	/* of the one looked at last */
	X509			*issuer_cert;	/* or NULL */
};

/* What a stream of COPY begins with, if this is its first row. */
void	 restore_open_rows(struct buf *);
/* A statement of restore_sql whose result does not matter. */
int	 restore_run(struct restore *, const char *stmt,
	    const struct db_param *, int n, struct err *);
/*
 * This entry is acted upon: is it behind the last head of its ledger?  Then
 * only its place in a file says so.
 */
void	 restore_vouch(struct restore *, const struct ledger_entry *);

/* The serial is void; at: microseconds, or NULL for now. */
int	 restore_void(struct restore *, struct chr_row *, const char *at,
	    struct err *);
/* An entry "revoked" or "released": once the certificates are there. */
int	 restore_revocation(struct restore *, const struct ledger_entry *,
	    struct err *);
/* Rows of audit that got numbers of lost ones get others, before these come. */
int	 restore_audit_numbers(struct restore *, struct err *);
/* An entry "audit": into the rows to COPY, unless it is there. */
int	 restore_audit(struct restore *, const struct ledger_entry *,
	    struct err *);
/* Changes go on above the ledgers' numbers. */
int	 restore_changes(struct restore *, struct err *);

#endif
