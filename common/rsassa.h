/*
 * RSASSA-PKCS1-v1_5 ([RFC8017] 8.2): checking signatures of keys that are used
 * once.  OpenSSL's EVP costs more for such a key than the arithmetic: 30 us,
 * in building the key and looking for algorithms by name, of 50.
 */
#ifndef RSASSA_H
#define RSASSA_H

#include "pubkey.h"

#define RSASSA_OCTETS	1024		/* of a modulus, at most */

/*
 * 0 when sig is that of msg by this RSA key.  -1 when it is not, or the hash
 * is none of SHA-1, 256, 384, 512.  May leave errors in OpenSSL's queue.
 */
int	 rsassa_verify(const struct pubkey *, const EVP_MD *,
	    struct slice msg, struct slice sig);

#endif
