/*
 * CA certificates and requests for them.  [RFC5280] 4.2.1: what a CA
 * certificate must carry.  Keys come as EVP_PKEY, wherever they live.
 */
#ifndef CAMAKE_H
#define CAMAKE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "buf.h"
#include "err.h"
#include "strlist.h"

struct ca_plan {
	const char	*subject;	/* RFC 4514 text ... */
	const X509_NAME	*name;		/* ... or, when not NULL, these bytes */
	const char	*key;		/* "rsa:3072", "ec:P-256" ... */
	int64_t		 years;
	const ASN1_TIME	*until;		/* no later than this, or NULL */
	int		 pathlen;	/* -1 = no limit */
	const char	*aia;		/* caIssuers URL, or NULL */
	const char	*cdp;		/* URL of the issuer's list, or NULL */
	/*
	 * Name constraints, critical: "dns:example.org", "email:example.org",
	 * "email:one@example.org", "uri:.example.org", "ip:10.0.0.0/8".
	 */
	struct strlist	 permit, exclude;
	/* Words of the policy or dotted; OCSP signing is added by itself. */
	struct strlist	 eku;
	X509		*issuer;	/* NULL = signs itself */
	EVP_PKEY	*issuer_key;	/* of the issuer; unused without one */
};

/*
 * The name stands in URLs, file names and the policy: letters, digits, dots,
 * dashes, underscores.  ERR_MALFORMED.
 */
int		 ca_name_check(const char *, struct err *);

/* Frees the lists; the rest is borrowed. */
void		 ca_plan_free(struct ca_plan *);

/*
 * What is wrong with its words whatever the issuer: subject, name constraints,
 * purposes, addresses.  ERR_MALFORMED.
 */
int		 ca_plan_check(const struct ca_plan *, struct err *);

/*
 * A certificate for this key, version 3, random serial number.  Never beyond
 * its issuer: a plan of more years is cut, callers refuse it before.  X509_free
 * by the caller.
 */
X509		*ca_cert_new(const struct ca_plan *, EVP_PKEY *, struct err *);

/*
 * PKCS#10 ([RFC2986]) for the key: subject and "is a CA", nothing else.
 * X509_REQ_free by the caller.
 */
X509_REQ	*ca_request_new(const X509_NAME *subject, EVP_PKEY *,
		    struct err *);
/*
 * A request that was carried here: signed by its key, the key strong, the
 * subject the plan's, and nothing asked for that is the issuer's to decide.
 * ERR_DENIED.
 */
int		 ca_request_check(X509_REQ *, const struct ca_plan *,
		    struct err *);
/* One request, PEM or DER; X509_REQ_free by the caller. */
X509_REQ	*ca_request_read(const char *path, struct err *);
/* PEM, to this file (file_put). */
int		 ca_request_write(X509_REQ *, const char *path, struct err *);

/*
 * May this certificate issue one with this plan: is a CA, valid now and for so
 * many years, path length left, and this its key?  ERR_DENIED
 * ([RFC5280] 4.2.1.9, 4.2.1.3).
 */
int		 ca_issuer_check(X509 *issuer, EVP_PKEY *issuer_key,
		    const struct ca_plan *, struct err *);

/*
 * "CN=Example CA,O=Example" ([RFC4514]) to a Name; X509_NAME_free by the
 * caller.  NULL when it is none.
 */
X509_NAME	*ca_name_parse(const char *text, struct err *);
/* What this key signs with: SHA-384 with P-384, SHA-256 otherwise, as cakey. */
const EVP_MD	*ca_md(EVP_PKEY *);

#endif
