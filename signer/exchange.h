/*
 * The CA's exchange certificate and its key ([MS-WSTEP] 3.1.4.1.3.4,
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

#define EXCHANGE_ACCOUNT "<exchange>"	/* no account can have this name */
#define EXCHANGE_TEMPLATE "CAExchange"

/* One being made; what a decision needs that no policy has. */
struct exchange {
	struct template	 tmpl;
	struct account	 account;
	struct buf	 spki;
	struct pubkey	*key;
	struct buf	 sealed;
};
/*
 * A new key, sealed for this serial number (SERIAL_LEN octets), and the
 * decision to certify it, which borrows from the exchange.  NULL:
 * ERR_INTERNAL.
 */
struct exchange	*exchange_new(struct ca *, const struct policy_ca *,
		    const uint8_t *serial, struct decision *, struct err *);
void		 exchange_free(struct exchange *);

/*
 * The private key of the exchange certificate with this serial number
 * (INTEGER content); EVP_PKEY_free by the caller.  NULL when it was not sealed
 * for it, or by another CA.
 */
EVP_PKEY	*exchange_open(struct ca *, struct slice serial,
		    struct slice sealed, struct err *);

#endif
