/* A certificate as OpenSSL reads it. */
#ifndef X509_H
#define X509_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/*
 * One certificate and nothing behind it, or NULL, with OpenSSL's reason in its
 * queue; X509_free by the caller.
 */
X509	*x509_read(struct slice der);
/* Is this OID one of the purposes it lists?  false where it lists none. */
bool	 x509_purpose(X509 *, const char *dotted);
/* Seconds since 1970; -1, and *out as it was, when it is no time. */
int	 x509_unix(const ASN1_TIME *, int64_t *out);

#endif
