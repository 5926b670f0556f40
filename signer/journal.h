/* What goes into the ledger (common/ledger.h lists it). */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <libpq-fe.h>

#include "signer.h"

/* Before anything is signed, and synced by the caller. */
void	 journal_decision(struct signer *, struct job *);
/* After the signature; goes to the disk with what comes next. */
void	 journal_issued(struct signer *, const struct job *);
/* The same, of a row: a crash took that entry. */
int	 journal_stored(struct signer *, const struct intent *,
	    struct err *);

/*
 * Before a list or an answer of OCSP tells it: revocations that no ledger has
 * yet, all of a CA (outside a transaction) or those of one certificate
 * (serial: magnitude), durable in the database and synced here.  -1: the
 * database cannot be asked, or the ledger failed.
 */
int	 journal_revocations(struct signer *, const struct ca *,
	    struct err *);
int	 journal_revocation_of(struct signer *, const struct ca *,
	    struct slice serial, struct err *);
/* How often each CA's key was used since this was called last. */
void	 journal_signatures(struct signer *);

#endif
