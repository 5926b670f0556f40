/* A CA: its certificate, the chain above it and its key.  Read once. */
#ifndef CA_H
#define CA_H

#include "cakey.h"

#define CA_CHAIN_MAX	6

struct ca_cert {
	struct buf	 der;
	struct slice	 serial;	/* INTEGER content; all inside der */
	struct slice	 issuer;	/* Name TLV */
	struct slice	 subject;	/* Name TLV */
	struct slice	 spki;		/* whole TLV */
};

struct responder;

struct ca {
	char		*name;
	struct ca_cert	 cert;
	struct ca_cert	 chain[CA_CHAIN_MAX];	/* issuers, nearest first */
	size_t		 nchain;
	struct buf	 ski;		/* key identifier */
	int64_t		 not_before, not_after;
	struct cakey	*key;		/* owned */
	struct responder *responder;	/* owned; made when first needed */
	uint64_t	 crl_number;	/* of the last list in the ledger */
};

/*
 * Certificate and chain from PEM files (chain may be NULL or empty for a
 * self-signed CA; the certificate itself in it is passed over).  Refuses what
 * is no CA, a chain that does not verify, and a key that is not the
 * certificate's.
 */
struct ca	*ca_load(const char *name, const char *certificate,
		    const char *chain, struct err *);
int		 ca_set_key(struct ca *, struct cakey *, struct err *);
void		 ca_free(struct ca *);

#endif
