/* Certificates and public keys as OpenSSL has them. */
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
/*
 * SubjectPublicKeyInfo of a certificate (NULL is none), as it stands there, or
 * of a key; appended.  -1, and nothing is, with OpenSSL's reason in its queue.
 */
int	 x509_spki(const X509 *, struct buf *);
int	 x509_key_spki(const EVP_PKEY *, struct buf *);
/* Is this OID one of the purposes it lists?  false where it lists none. */
bool	 x509_purpose(X509 *, const char *dotted);
/*
 * Is that the signature of this key (NULL is none's) over it?  alg is the
 * AlgorithmIdentifier, of the hash before a plain signature, as CAs use it.
 */
bool	 x509_signed(struct slice alg, struct slice tbs, struct slice sig,
	    EVP_PKEY *key);
/* Seconds since 1970; -1, and *out as it was, when it is no time. */
int	 x509_unix(const ASN1_TIME *, int64_t *out);

#endif
