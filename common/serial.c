/*
 * Serial numbers: drawn when a decision is built (job.c), and for exchange
 * and responder certificates.
 */
#include <openssl/rand.h>

#include "serial.h"

int
serial_new(int64_t now, uint16_t prefix, uint8_t out[SERIAL_LEN],
    struct err *err)
{
	int64_t units = (now - SERIAL_EPOCH) / SERIAL_UNIT;
	uint32_t t;

	if (now < SERIAL_EPOCH || units > 0x3fffff)
		return err_set(err, ERR_INTERNAL,
		    "clock: %lld is outside the serials' years",
		    (long long)now);
	if (RAND_bytes(out + 5, SERIAL_LEN - 5) != 1)
		return err_openssl(err, "serial: no random bytes");
	t = 0x400000 + (uint32_t)units;
	out[0] = (uint8_t)(t >> 16);
	out[1] = (uint8_t)(t >> 8);
	out[2] = (uint8_t)t;
	out[3] = (uint8_t)(prefix >> 8);
	out[4] = (uint8_t)prefix;
	return 0;
}

int64_t
serial_drawn(struct slice s)
{
	if (s.n != SERIAL_LEN || (s.p[0] & 0xc0) != 0x40)
		return -1;
	return SERIAL_EPOCH + (int64_t)SERIAL_UNIT * ((s.p[0] & 0x3f) << 16 |
	    s.p[1] << 8 | s.p[2]);
}

struct slice
serial_stored(struct slice s)
{
	if (s.n > 1 && s.p[0] == 0)
		return slice_of(s.p + 1, s.n - 1);
	return s;
}
