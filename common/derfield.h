/*
 * Fields of our own DER messages (msg.h, bundle.h): each with its limit.  what:
 * "ask.token", as in der.h.  -1: ERR_MALFORMED, above a max ERR_TOO_BIG; unlike
 * there the outputs and the reader are then good for nothing.
 */
#ifndef DERFIELD_H
#define DERFIELD_H

#include "der.h"

/* An ENUMERATED of one octet. */
void	 der_put_enum(struct buf *, unsigned);
/* A value of 1..max. */
int	 der_enum(struct der *, unsigned max, unsigned *, const char *what,
	    struct err *);
/* OCTET STRING of exactly n octets, copied. */
int	 der_fixed(struct der *, uint8_t *, size_t n, const char *what,
	    struct err *);
/* OCTET STRING of at most max octets; borrows. */
int	 der_octets(struct der *, struct slice *, size_t max,
	    const char *what, struct err *);
/* UTF8String of at most max octets without control characters; borrows. */
int	 der_text(struct der *, struct slice *, size_t max, const char *what,
	    struct err *);
/* INTEGER that fits 0..2^32-1. */
int	 der_u32(struct der *, uint32_t *, const char *what, struct err *);

#endif
