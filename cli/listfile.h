/*
 * A complete revocation list in a file that an operator brings: of a CA above
 * ours (crl install), or the last one of a CA that moves here (ca import).
 */
#ifndef LISTFILE_H
#define LISTFILE_H

#include <openssl/x509.h>

#include "err.h"

/*
 * DER, PEM or base64, at most max bytes; X509_CRL_free by the caller.  NULL: as
 * derfile_read, or ERR_INTERNAL when it is no list.
 */
X509_CRL *listfile_read(const char *path, size_t max, struct err *);

/* As statements take them: decimal, times in unix seconds. */
struct list_facts {
	char	 number[64], this_update[24], next_update[24], entries[24];
};
/*
 * ERR_DENIED: it has no number or nextUpdate ([RFC5280] 5.1.2.5, 5.2.3), is a
 * delta, or counts from a time on that is still to come.
 */
int	 listfile_facts(X509_CRL *, struct list_facts *, struct err *);

#endif
