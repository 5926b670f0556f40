/*
 * Object identifiers.  In memory an OID is its DER content octets (a slice);
 * the text form is dotted decimal.
 */
#ifndef OID_H
#define OID_H

#include "buf.h"
#include "err.h"

#define OID_OCTETS 64	/* content octets of any OID we accept */

/*
 * Dotted text to content octets, appended to out.  Refuses (ERR_MALFORMED)
 * arcs above 2^31 - 1 (Windows drops such templates) and more than 20 arcs.
 */
int	 oid_parse(const char *, struct buf *out, struct err *);
/* Content octets to dotted text, NUL ended; -1: no valid OID, or no room. */
int	 oid_text(struct slice, char *out, size_t outlen);
/* For a message: dotted, in buf which is lent back, or "of an odd name". */
const char	*oid_show(struct slice, char *buf, size_t);
/* Friendly name that Windows would show ("Client Authentication") or NULL. */
const char	*oid_name(const char *dotted);

/* Well-known OIDs as content octets; compare with slice_eq. */
extern const struct slice
	OID_EXTENSION_REQUEST,		/* 1.2.840.113549.1.9.14 */
	OID_MS_CERT_EXTENSIONS,		/* 1.3.6.1.4.1.311.2.1.14 */
	OID_OS_VERSION,			/* 1.3.6.1.4.1.311.13.2.3 */
	OID_CSP_PROVIDER,		/* 1.3.6.1.4.1.311.13.2.2 */
	OID_NAME_VALUE,			/* 1.3.6.1.4.1.311.13.2.1 */
	OID_RENEWAL_CERT,		/* 1.3.6.1.4.1.311.13.1 */
	OID_CLIENT_INFO,		/* 1.3.6.1.4.1.311.21.20 */
	OID_TEMPLATE_OID,		/* 1.3.6.1.4.1.311.21.7 */
	OID_TEMPLATE_NAME,		/* 1.3.6.1.4.1.311.20.2 */
	OID_CRL_NEXT_PUBLISH,		/* 1.3.6.1.4.1.311.21.4 */
	OID_APP_POLICIES,		/* 1.3.6.1.4.1.311.21.10 */
	OID_SID_EXT,			/* 1.3.6.1.4.1.311.25.2 */
	OID_EXT_SMIME,			/* 1.2.840.113549.1.9.15 */
	OID_SID_VALUE,			/* 1.3.6.1.4.1.311.25.2.1 */
	OID_UPN,			/* 1.3.6.1.4.1.311.20.2.3 */
	OID_ISSUED_CERT_HASH,		/* 1.3.6.1.4.1.311.21.17 */
	OID_ARCHIVED_KEY,		/* 1.3.6.1.4.1.311.21.13 */
	OID_ENCRYPTED_KEY_HASH,		/* 1.3.6.1.4.1.311.21.21 */
	OID_CMC_ADD_ATTRIBUTES,		/* 1.3.6.1.4.1.311.10.10.1 */
	OID_CMC_ADD_EXTENSIONS,		/* 1.3.6.1.5.5.7.7.8 */
	OID_CMC_REG_INFO,		/* 1.3.6.1.5.5.7.7.18 */
	OID_CMC_STATUS_INFO,		/* 1.3.6.1.5.5.7.7.1 */
	OID_CMC_TRANSACTION_ID,		/* 1.3.6.1.5.5.7.7.5 */
	OID_CMC_SENDER_NONCE,		/* 1.3.6.1.5.5.7.7.6 */
	OID_CMC_RECIPIENT_NONCE,	/* 1.3.6.1.5.5.7.7.7 */
	OID_CCT_PKI_DATA,		/* 1.3.6.1.5.5.7.12.2 */
	OID_CCT_PKI_RESPONSE,		/* 1.3.6.1.5.5.7.12.3 */
	OID_NO_SIGNATURE,		/* 1.3.6.1.5.5.7.6.2 */
	OID_PKCS7_DATA,			/* 1.2.840.113549.1.7.1 */
	OID_PKCS7_SIGNED,		/* 1.2.840.113549.1.7.2 */
	OID_CONTENT_TYPE,		/* 1.2.840.113549.1.9.3 */
	OID_MESSAGE_DIGEST,		/* 1.2.840.113549.1.9.4 */
	OID_RSA_ENCRYPTION,		/* 1.2.840.113549.1.1.1 */
	OID_RSA_SHA1, OID_RSA_SHA256, OID_RSA_SHA384, OID_RSA_SHA512,
	OID_RSA_PSS,			/* 1.2.840.113549.1.1.10 */
	OID_EC_PUBLIC_KEY,		/* 1.2.840.10045.2.1 */
	OID_ECDSA_SHA1, OID_ECDSA_SHA256, OID_ECDSA_SHA384, OID_ECDSA_SHA512,
	OID_P256, OID_P384, OID_P521,
	OID_SHA1, OID_SHA256, OID_SHA384, OID_SHA512,
	OID_EXT_SKI, OID_EXT_KEY_USAGE, OID_EXT_SAN, OID_EXT_BASIC, OID_EXT_CDP,
	OID_EXT_CRL_NUMBER, OID_EXT_DELTA_CRL,
	OID_EXT_FRESHEST,
	OID_EXT_POLICIES, OID_EXT_AKI, OID_EXT_EKU,
	OID_EXT_AIA,			/* 1.3.6.1.5.5.7.1.1 */
	OID_OCSP_BASIC, OID_OCSP_NONCE, OID_OCSP_NOCHECK, OID_KP_OCSP,
	OID_AD_OCSP, OID_AD_CA_ISSUERS,
	OID_CN, OID_EMAIL;		/* 2.5.4.3, 1.2.840.113549.1.9.1 */

#endif
