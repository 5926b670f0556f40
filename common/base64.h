/* Base64 (RFC 4648 section 4), strict. */
#ifndef BASE64_H
#define BASE64_H

#include "buf.h"
#include "err.h"

/*
 * Decode text whose white space (space, tab, CR, LF) is ignored anywhere.
 * Refuses (ERR_MALFORMED) other characters, wrong padding, non-zero pad bits
 * and data behind the padding, and (ERR_TOO_BIG) more than max decoded bytes.
 * Appended to out, which is as it was on failure.
 */
int	 base64_decode(const char *, size_t, size_t max, struct buf *out,
	    struct err *);
/* Unbroken, padded; appended to out. */
void	 base64_encode(const uint8_t *, size_t, struct buf *out);

#endif
