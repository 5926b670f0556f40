/*
 * Serial numbers ([RFC5280] 4.1.2.2), 16 octets: 3 of time (0x400000 plus
 * units of 1024 s since 2020-01-01: positive, never longer, and inserts stay
 * at the right edge of the index; see serial_time() in the schema), 2 of the
 * signer, 11 random.  No two signers need to agree on anything.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include "buf.h"
#include "err.h"

#define SERIAL_LEN	16
#define SERIAL_EPOCH	1577836800	/* 2020-01-01 */
#define SERIAL_UNIT	1024		/* seconds */

/*
 * now: unix seconds.  ERR_INTERNAL: no randomness, or a time that is not from
 * 2020 to 2156.
 */
int	 serial_new(int64_t now, uint16_t prefix, uint8_t out[SERIAL_LEN],
	    struct err *);
/*
 * When one was drawn: then, or less than SERIAL_UNIT seconds later.  -1:
 * no signer draws such a number.
 */
int64_t	 serial_drawn(struct slice);
/*
 * An INTEGER's content as rows have it: all are positive, and the octet that
 * keeps one so is not there.  Lent.
 */
struct slice serial_stored(struct slice);

#endif
