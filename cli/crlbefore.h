/*
 * The last revocation list of a CA that moves here, for "ca import --crl": our
 * lists go on behind it.
 */
#ifndef CRLBEFORE_H
#define CRLBEFORE_H

#include <openssl/x509.h>

#include "cli.h"
#include "listfile.h"

struct crlbefore {
	struct list_facts	 facts;
	uint8_t			 sha256[32];	/* of its DER */
	/* Of all entries, as arrays in SQL's text form. */
	struct buf		 serials, dates, reasons;
};

/*
 * The list in this file, which must be all that this CA has revoked, signed
 * with its key.  ERR_DENIED and as listfile_read otherwise.  crlbefore_free.
 */
int	 crlbefore_read(const char *path, X509 *ca, struct crlbefore *,
	    struct err *);
/* Its rows, in the transaction in which the CA is registered. */
int	 crlbefore_put(struct cli *, const char *ca, struct crlbefore *,
	    struct err *);
void	 crlbefore_free(struct crlbefore *);

#endif
