/* Extensions of CA certificates, from a plan. */
#ifndef CAEXT_H
#define CAEXT_H

#include "camake.h"

/*
 * basicConstraints, keyUsage, key identifiers, and what the plan has of
 * extendedKeyUsage, nameConstraints (critical), CRL and issuer addresses.
 * Subject, issuer and public key must be set.  keyUsage has digitalSignature
 * where no CA may stand below: that one answers clients, whose CMC responses
 * are neither certificates nor lists ([RFC5280] 4.2.1.3).  ERR_MALFORMED: a
 * word of the plan is none.
 */
int	 ca_ext_add(X509 *, const struct ca_plan *, struct err *);
/* Of these what the plan has words for; needs no name and no key. */
int	 ca_ext_words(X509 *, const struct ca_plan *, struct err *);

#endif
