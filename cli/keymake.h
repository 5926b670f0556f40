/* A key that a template takes, and a request by it; for a probe. */
#ifndef KEYMAKE_H
#define KEYMAKE_H

#include <openssl/evp.h>

#include "policy.h"

/* EVP_PKEY_free by the caller.  NULL, and -1 below: ERR_INTERNAL. */
EVP_PKEY	*keymake(const struct template *, struct err *);
/*
 * PKCS#10 ([RFC2986]) with this DNS name, or without any name; DER, appended.
 */
int		 keymake_csr(EVP_PKEY *, const char *dns, struct buf *,
		    struct err *);

#endif
