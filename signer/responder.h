/*
 * A delegated OCSP responder ([RFC6960] 4.2.2.2) of one CA and one signer:
 * the key is made at start, never leaves this process, and is forgotten with
 * it; the certificate lives some days and is replaced long before.
 */
#ifndef RESPONDER_H
#define RESPONDER_H

#include "signer.h"

struct responder;

/*
 * The CA's responder, made or renewed when it must be: recorded in the ledger
 * before the CA signs, and in the database before it is used.  Owned by the ca
 * and lent until the next call for it.  NULL: ERR_UNAVAILABLE, the token or the
 * database is away, or the CA is not valid now; else ERR_INTERNAL.  now: unix
 * seconds.
 */
struct responder	*responder_get(struct signer *, struct ca *,
			    int64_t now, struct err *);
void			 responder_free(struct responder *);

struct slice	 responder_cert(const struct responder *);	/* DER; lent */
/* SHA-1 of its key's octets, [RFC6960] 4.2.1 KeyHash; lent. */
struct slice	 responder_key_hash(const struct responder *);
int64_t		 responder_not_after(const struct responder *);	/* unix s */
/* ECDSA with SHA-256; appended. */
int		 responder_sign(const struct responder *, struct slice,
		    struct buf *, struct err *);
/* The AlgorithmIdentifier of that; appended. */
void		 responder_put_sigalg(struct buf *);

#endif
