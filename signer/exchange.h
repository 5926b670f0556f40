/*
 * The CA's exchange certificate and its key ([MS-WSTEP] 3.1.4.2.2.1,
 * KeyExchangeToken): clients encrypt private keys to it on their way into the
 * archive.  A new one each week; the one before still opens for a week.  All
 * signers of a CA share them: the key lies in the database, sealed under a
 * key that only who has the CA's key can derive.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "account.h"
#include "ca.h"
#include "decide.h"

struct signer;
struct job;

/*
 * One being made, of a job, whose decision borrows from it; what a decision
 * needs that no policy has.
 */
struct exchange {
	struct template	 tmpl;
	struct account	 account;
	struct buf	 spki;
	struct pubkey	*key;
	struct buf	 sealed;	/* the private key, for the row */
};
void		 exchange_free(struct exchange *);

/*
 * The answer to a CALL_KET: the exchange certificate in use, into j->cert, or
 * one being made (JOB_RECORD) where there is none for tomorrow; a copy of the
 * one that an earlier job of the batch makes.
 */
void		 job_ket(struct signer *, struct job *,
		    struct job *const *earlier, size_t nearlier);
/*
 * The private key of the exchange certificate with this serial number
 * (INTEGER content); EVP_PKEY_free by the caller.  NULL when it was not sealed
 * for it, or by another CA (ERR_INTERNAL), or as cakey_derive.
 */
EVP_PKEY	*exchange_open(struct ca *, struct slice serial,
		    struct slice sealed, struct err *);

#endif
