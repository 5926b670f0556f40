/*
 * Fields with limits, for the messages of msg.c and the records of bundle.c.
 */
#include <string.h>

#include "derfield.h"

void
der_put_enum(struct buf *b, unsigned v)
{
	uint8_t	c = (uint8_t)v;

	der_put(b, DER_ENUM, &c, 1);
}

/* A value of 1..max in one octet. */
int
der_enum(struct der *d, unsigned max, unsigned *out, const char *what,
    struct err *err)
{
	struct slice	c;

	if (der_get(d, DER_ENUM, &c, what, err) == -1)
		return -1;
	if (c.n != 1 || c.p[0] < 1 || c.p[0] > max)
		return err_bad(err, 0, "%s: unknown value", what);
	*out = c.p[0];
	return 0;
}

int
der_fixed(struct der *d, uint8_t *out, size_t n, const char *what,
    struct err *err)
{
	struct slice	c;

	if (der_get(d, DER_OCTETS, &c, what, err) == -1)
		return -1;
	if (c.n != n)
		return err_bad(err, 0, "%s: %zu octets instead of %zu", what,
		    c.n, n);
	memcpy(out, c.p, n);
	return 0;
}

int
der_octets(struct der *d, struct slice *out, size_t max, const char *what,
    struct err *err)
{
	if (der_get(d, DER_OCTETS, out, what, err) == -1)
		return -1;
	if (out->n > max)
		return err_set(err, ERR_TOO_BIG, "%s: %zu octets, limit %zu",
		    what, out->n, max);
	return 0;
}

int
der_text(struct der *d, struct slice *out, size_t max, const char *what,
    struct err *err)
{
	if (der_get(d, DER_UTF8, out, what, err) == -1)
		return -1;
	if (out->n > max)
		return err_set(err, ERR_TOO_BIG, "%s: %zu octets, limit %zu",
		    what, out->n, max);
	if (!slice_is_text(*out))
		return err_bad(err, 0, "%s: not plain UTF-8", what);
	return 0;
}

int
der_u32(struct der *d, uint32_t *out, const char *what, struct err *err)
{
	uint64_t	v;

	if (der_uint(d, &v, what, err) == -1)
		return -1;
	if (v > UINT32_MAX)
		return err_bad(err, 0, "%s: above 2^32 - 1", what);
	*out = (uint32_t)v;
	return 0;
}
