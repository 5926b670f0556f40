/*
 * A key of a CA: its certificate, the chain above it and the private key.  The
 * first key of a CA bears its name, later ones names of their own.
 */
#ifndef CA_H
#define CA_H

#include "cakey.h"
#include "digest.h"

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
	char		*name;		/* of the key */
	char		*of;		/* the CA, as signer.conf says */
	bool		 good, in_use;	/* see caset.h */
	struct ca_cert	 cert;
	struct ca_cert	 chain[CA_CHAIN_MAX];	/* issuers, nearest first */
	size_t		 nchain;
	struct buf	 ski;		/* key identifier, its octets */
	int64_t		 not_before, not_after;	/* unix seconds */
	bool		 apart;		/* the key is behind an air gap: NULL */
	struct cakey	*key;		/* owned */
	struct digest	*sha1, *sha256;	/* owned; of what is in its rows */
	struct responder *responder;	/* owned; made when first needed */
	uint64_t	 crl_number;	/* of the last list in the ledger */
	uint64_t	 crl_listed;	/* ... that was committed */
	int64_t		 crl_took;	/* the last one, seconds */
	int64_t		 next_read;	/* monotonic seconds: see caset.c */
};

/*
 * Certificate and chain from PEM files (chain may be NULL or empty for a
 * self-signed CA; the certificate itself in it is passed over).  Refuses
 * (ERR_INTERNAL) what is no CA, a chain that does not verify, and, with
 * ca_set_key, which takes the key over on 0, one that is not the
 * certificate's.
 */
struct ca	*ca_load(const char *name, const char *certificate,
		    const char *chain, struct err *);
int		 ca_set_key(struct ca *, struct cakey *, struct err *);
/*
 * Read certificate and chain again, for the same key and subject; nothing
 * changes when they are not good.
 */
int		 ca_read_again(struct ca *, const char *certificate,
		    const char *chain, struct err *);
void		 ca_free(struct ca *);

/* ERR_UNAVAILABLE when the CA's own certificate is not valid then. */
int		 ca_check_time(const struct ca *, int64_t now, struct err *);
/* Microseconds of a certificate of the slowest of them, as far as is known. */
int64_t		 ca_cost(struct ca *const *, size_t n);

#endif
