/*
 * RSA moduli that can be factored: made by a broken generator or on purpose.
 * Costs about as much as a signature check; the caller has limited the size.
 */
#ifndef KEYCHECK_H
#define KEYCHECK_H

#include <openssl/bn.h>

#include "buf.h"
#include "err.h"

/* octets is n, big-endian.  ERR_DENIED with NTE_BAD_KEY when n is weak. */
int	 keycheck_modulus(const BIGNUM *n, struct slice octets, struct err *);

#endif
