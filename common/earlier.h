/*
 * Certificates that a CA's key signed elsewhere, before the CA came here.  No
 * row says what they were, so they give nothing: whoever renews one gets what
 * he would get without it.
 */
#ifndef EARLIER_H
#define EARLIER_H

#include "decide.h"

/* Has it a number and a beginning that no certificate of a signer here has? */
bool	 earlier_looks(struct slice cert);
/*
 * What a row would say of the certificate that is renewed, but for the account
 * (NULL) and what led to it: ca is the key that signed it; template is the name
 * that the policy has for what it names, or what it names itself.  number is
 * what refusals call it.  1: read, and issued_clear by the caller; else *out is
 * untouched.  0: no key of the CA that is asked has signed it that came here with
 * a list.  -1: ERR_DENIED, CERT_E_UNTRUSTEDROOT when a signer has, here, or
 * somebody since it came; CERTSRV_E_TEMPLATE_CONFLICT when it names no template.
 */
int	 earlier_read(const struct decide_ask *, const char *number,
	    struct issued *out, struct err *);

#endif
