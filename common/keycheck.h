/*
 * RSA moduli that can be factored: made by a broken generator or on purpose.
 * Costs a ninth of a signature check; the caller has limited the size.
 */
#ifndef KEYCHECK_H
#define KEYCHECK_H

#include "buf.h"
#include "err.h"

/* Big-endian.  ERR_DENIED with NTE_BAD_KEY when it is weak. */
int	 keycheck_modulus(struct slice modulus, struct err *);

#endif
