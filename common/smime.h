/*
 * What the owner of a key can decrypt: SMIMECapabilities ([RFC8551] 2.5.2) as an
 * extension ([RFC4262]).  Mail programs go by that of a certificate until they
 * have a message of its owner.
 */
#ifndef SMIME_H
#define SMIME_H

#include "buf.h"
#include "err.h"

#define SMIME_MAX	64	/* algorithms in a list */

/*
 * A request's extension value to that of the certificate, appended: the forms
 * of AES that it lists ([RFC3565] 4.1, [RFC5084] 3.2), each once, in its order.
 * Windows lists 3DES, RC2 and DES, too, which nobody should choose.  Nothing is
 * appended when no AES is there.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 smime_copy(struct slice value, struct buf *out, struct err *);

#endif
