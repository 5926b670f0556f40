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
	int64_t	 issued;		/* unix seconds; not by us: the end
					   of time */
};

/*
 * Two halves, for who remembers.  What the certificate itself proves (strict
 * DER, no CA certificate, chain to a CA of the policy, client authentication
 * among its EKUs) holds under this policy while from <= now < until, the
 * validity of the certificate and of its anchor.  Whose it is the rule says, or
 * the row: it must be there, byte for byte, with a number and times that a
 * signer gave it, and not revoked.  ERR_MALFORMED, ERR_TOO_BIG, ERR_DENIED with
 * CERT_E_UNTRUSTEDROOT, CERT_E_EXPIRED, CRYPT_E_REVOKED or HR_ACCESS_DENIED,
 * ERR_UNAVAILABLE.  The account may be disabled: ask it.  now: unix seconds.
 */
struct certauth_proof {
	const struct trusted_ca	*rule;	/* the policy's; NULL: a CA of ours */
	int64_t			 from, until;	/* unix seconds */
};
int	 certauth_prove(const struct policy *, struct slice der, int64_t now,
	    struct certauth_proof *, struct err *);
int	 certauth_holder(struct snapshot *, const struct trusted_ca *rule,
	    struct slice der, int64_t now, struct certauth *, struct err *);
/*
 * INTEGER content, lent by der; what the row of one of ours is looked up by.
 * ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 certauth_serial(struct slice der, struct slice *serial, struct err *);
/*
 * Both, as the signer's second look: of a certificate that has a row with these
 * very bytes neither signature nor EKU are read again.  The worker has, and one
 * that lies about that could as well say that a password was right.  Errors as
 * above.
 */
struct certauth_known {
	struct snapshot		*snapshot;
	const struct policy	*policy;
	const struct issued	*row;	/* of its serial, read now; or NULL */
};
int	 certauth_recheck(const struct certauth_known *, struct slice der,
	    int64_t now, struct certauth *, struct err *);

/*
 * Is it still the principal's whose account that is?  ERR_DENIED: "account
 * import" gave it to another since, and what was issued at that moment escaped
 * its look at what is to be revoked.
 */
int	 certauth_since(const struct certauth *, const struct account *,
	    struct err *);

/*
 * The certificate alone: issued by an anchor of the policy (whose DER goes to
 * *issuer), valid then, for TLS clients.  No CA stands in between: whom the
 * policy trusts is listed there.  ERR_DENIED, CERT_E_UNTRUSTEDROOT or
 * CERT_E_EXPIRED.
 */
struct x509_st;
int	 certauth_chain(const struct policy *, struct x509_st *, int64_t now,
	    struct buf *issuer, struct err *);

#endif
