/*
 * CMS SignedData around a request ([RFC5652] section 5): only the profile
 * that Windows clients send.  Slices borrow from the parsed bytes.
 */
#ifndef CMS_H
#define CMS_H

#include "reqparse.h"

#define CMS_CERTS	8
#define CMS_SIGNERS	3	/* the new key, and two certificates */
#define CMS_DIGESTS	4

struct cms_cert {
	struct slice	 tlv;
	struct slice	 issuer;	/* Name TLV */
	struct slice	 serial;	/* INTEGER content */
	struct slice	 spki;
};

struct cms_signer {
	bool		 by_key;	/* named by a key identifier ... */
	struct slice	 ski;		/* ... its octets; else by ... */
	struct slice	 issuer, serial; /* ... Name TLV, INTEGER content */
	struct slice	 digest;	/* AlgorithmIdentifier TLV */
	bool		 has_attrs;
	struct slice	 attrs;		/* content of signedAttrs */
	struct slice	 alg;		/* AlgorithmIdentifier TLV */
	struct slice	 sig;
	struct slice	 unsigned_attrs; /* content or empty */
};

struct cms {
	struct slice	 type;		/* eContentType */
	struct slice	 content;	/* eContent's octets */
	struct slice	 digest[CMS_DIGESTS];
	size_t		 ndigest;
	struct cms_cert	 cert[CMS_CERTS];
	size_t		 ncert;
	struct cms_signer signer[CMS_SIGNERS];
	size_t		 nsigner;
};

/* ContentInfo TLV of SignedData, form only.  ERR_MALFORMED, ERR_TOO_BIG. */
int	 cms_parse(struct cms *, struct slice, struct err *);
/*
 * Check every signature: by the request's key, by a certificate that came
 * along, or the no-signature form ([RFC5272] C.1).  Fills what the request
 * takes from signers and refuses a request that nothing proves.  ERR_MALFORMED,
 * ERR_TOO_BIG, or ERR_DENIED: NTE_BAD_SIGNATURE, NTE_BAD_ALGID for SHA-1 by a
 * certificate, what pubkey_parse denies.  After pkcs10_parse, whose key it
 * needs.
 */
int	 cms_prove(struct reqparse *, const struct cms *, struct err *);

#endif
