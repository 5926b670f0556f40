/*
 * Whom a client certificate stands for.  One of ours: the account in its row,
 * never what its subject says.  One of a trusted CA: the account that the
 * policy's rule for that CA finds.  Possession of the key is TLS's to prove;
 * everything else is checked here, by workers and again by signers.
 */
#ifndef CERTAUTH_H
#define CERTAUTH_H

#include "snapshot.h"

#define CERTAUTH_MAX	(16 * 1024)	/* bytes of DER */

struct certauth {
	char	 account[129];
	char	 template[65];		/* of one of ours, or "" */
	char	 issuer[65];		/* the CA's name in the policy */
};

/*
 * Everything: strict DER, no CA certificate, chain to a CA of the policy,
 * validity, client authentication among its EKUs, then the row: it must be
 * there, byte for byte, and not revoked.  ERR_MALFORMED, ERR_DENIED with
 * CERT_E_UNTRUSTEDROOT, CERT_E_EXPIRED, CRYPT_E_REVOKED or HR_ACCESS_DENIED,
 * ERR_UNAVAILABLE.  The account may be disabled: ask it.
 */
int	 certauth_identify(struct snapshot *, const struct policy *,
	    struct slice der, int64_t now, struct certauth *, struct err *);
/*
 * The signer's second look: a certificate that has a row with these very
 * bytes was built by a signer, so its signature and EKU are not read again.
 */
int	 certauth_recheck(struct snapshot *, const struct policy *,
	    struct slice der, int64_t now, struct certauth *, struct err *);

#endif
