/* What the files of restore share; not for others. */
#ifndef RESTORE_INT_H
#define RESTORE_INT_H

#include <openssl/x509.h>

#include "restore.h"
#include "tuple.h"

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

/*
 * The tuple of at least so many fields that an entry has under this key; its
 * fields are lent by bytes.  -1: ERR_INTERNAL.
 */
int	 restore_tuple(const struct ledger_entry *, const char *key,
	    struct buf *bytes, struct tuple *, size_t least, struct err *);
/* The record of the serial that an entry names, or NULL. */
struct chr_row *restore_record(const struct restore *,
	    const struct ledger_entry *);

/*
 * Entries "issued" and "responder-issued": a certificate that is missing.
 * ERR_DENIED: its CA has not signed it, or is not in the database.
 */
int	 restore_issued(struct restore *, const struct ledger_entry *,
	    struct err *);
int	 restore_responder(struct restore *, const struct ledger_entry *,
	    struct err *);
void	 restore_issuer_free(struct restore *);

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
