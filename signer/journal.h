/* What a job leaves in the ledger. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "signer.h"

/* The intent of a certificate, or what was decided instead of one. */
void	 journal_decision(struct signer *, struct job *);
void	 journal_issued(struct signer *, const struct job *);

#endif
