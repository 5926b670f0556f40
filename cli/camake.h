/*
 * CA keys and certificates: two tiers, keys in encrypted PKCS#8 with a random
 * passphrase in a file of its own.  [RFC5280] 4.2.1: what a CA certificate
 * must carry.
 */
#ifndef CAMAKE_H
#define CAMAKE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "buf.h"
#include "err.h"

struct ca_plan {
	const char	*subject;	/* RFC 4514 text */
	const char	*key;		/* "rsa:3072", "ec:P-256" ... */
	int64_t		 years;
	int		 pathlen;	/* -1 = no limit */
	const char	*aia;		/* caIssuers URL, or NULL */
	X509		*issuer;	/* NULL = signs itself */
	EVP_PKEY	*issuer_key;
};

/* rsa:2048, rsa:3072, rsa:4096, ec:P-256, ec:P-384. */
EVP_PKEY	*ca_key_new(const char *spec, struct err *);
/* One of those kinds, for imports. */
int		 ca_key_check(EVP_PKEY *, struct err *);
X509		*ca_cert_new(const struct ca_plan *, EVP_PKEY *, struct err *);

/*
 * Encrypt under a new random passphrase and write dir/name.key and
 * dir/name.pass, mode 0400, never over old ones.
 */
int		 ca_key_save(EVP_PKEY *, const char *dir, const char *name,
		    struct err *);
/* PEM key, encrypted or not, with the passphrase from a file or NULL. */
EVP_PKEY	*ca_key_load(const char *path, const char *passphrase_file,
		    struct err *);

#endif
