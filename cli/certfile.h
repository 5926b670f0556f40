/*
 * Certificates in files: PEM, DER, and, to write, PKCS#7 that carries nothing
 * else.  Only our own certificates and those an operator imports come here, so
 * OpenSSL's X.509 functions are good enough.
 */
#ifndef CERTFILE_H
#define CERTFILE_H

#include <openssl/x509.h>

#include "buf.h"
#include "err.h"

#define CERT_CHAIN_MAX	8
#define CERT_FILE_MAX	(256 * 1024)

struct certs {			/* DER, leaf first, root last */
	struct buf	 der[CERT_CHAIN_MAX];
	size_t		 n;
};

/* One more, copied; ERR_TOO_BIG beyond CERT_CHAIN_MAX.  Free: certs_free. */
int	 certs_add(struct certs *, struct slice der, struct err *);
int	 certs_add_x509(struct certs *, X509 *, struct err *);
/*
 * A file of PEM certificates or one in DER, behind those that are there.
 * ERR_MALFORMED when there is none in it; one that is damaged is ERR_INTERNAL;
 * as certs_add, or file_read.
 */
int	 certs_read(struct certs *, const char *path, struct err *);
void	 certs_free(struct certs *);

/* Number i of them; X509_free by the caller. */
X509	*certs_x509(const struct certs *, size_t i, struct err *);
/*
 * Format "pem", "der" (one certificate only) or "p7b" ([RFC2315] 14, without
 * a signer) to path (NULL = standard output).
 */
int	 certs_write(const struct certs *, const char *format,
	    const char *path, struct err *);
/* From number first on, as PEM ([RFC7468] 5); appended. */
void	 certs_pem(const struct certs *, size_t first, struct buf *);

/* SubjectPublicKeyInfo of the first certificate in a file; appended. */
int	 cert_public(const char *path, struct buf *spki, struct err *);
/* RFC 4514 text of a name, appended; UTF-8. */
void	 cert_name(const X509_NAME *, struct buf *);
/* "2026-11-24T09:00:00Z", appended; nothing when it is no time. */
void	 cert_time(const ASN1_TIME *, struct buf *);
/* Unix seconds; 0 when it is no time. */
int64_t	 cert_unix(const ASN1_TIME *);
/* Upper-case hex, as openssl x509 -serial prints it; appended, as below. */
void	 cert_serial(const X509 *, struct buf *);
/* "RSA 3072", "P-256". */
void	 cert_key(const X509 *, struct buf *);
/* What openssl x509 -text shows. */
int	 cert_text(struct slice der, struct buf *, struct err *);

#endif
