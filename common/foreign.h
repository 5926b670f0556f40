/*
 * Certificates to renew that no signer here issued: of before their CA came
 * here with its key, or of another CA whose renewals the policy lets in.  No
 * row says what they were, so they give nothing: whoever renews one gets what
 * he would get without it.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "decide.h"

/* Has it a number and a beginning that no certificate of a signer here has? */
bool	 foreign_looks(struct slice cert);
/*
 * What a row would say of the certificate that is renewed, but for the account
 * and the CA (NULL) and what led to it: template is the name that the policy
 * has for what it names, or what it names itself.  number is what refusals call
 * it.  1: read, and issued_clear by the caller; else *out is untouched.  0: no
 * key that came here with a list, for this CA of the policy or another, has
 * signed it, nor has that of a trusted-ca with renewals.  -1: ERR_DENIED, CERT_E_UNTRUSTEDROOT when
 * a signer has issued it, or somebody with the CA's key since that came;
 * CRYPT_E_REVOKED, which of another CA's nobody here knows;
 * CERTSRV_E_TEMPLATE_CONFLICT when it names no template;
 * CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE when it has no validity or no key.
 */
int	 foreign_read(const struct decide_ask *, const char *number,
	    struct issued *out, struct err *);

#endif
