/* Base64, strict: there is one spelling of any bytes, white space aside. */
#include "base64.h"

static const char alphabet[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0..63, or one of these. */
#define B64_BAD		(-1)
#define B64_SPACE	(-2)
#define B64_PAD		(-3)

static int
b64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	if (c == '=')
		return B64_PAD;
	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return B64_SPACE;
	return B64_BAD;
}

/* Characters that are data and padding, so that limits come first. */
static int
b64_count(const char *s, size_t n, size_t *data, size_t *pad, struct err *err)
{
	size_t	i;
	int	v;

	*data = *pad = 0;
	for (i = 0; i < n; i++) {
		v = b64_value((unsigned char)s[i]);
		if (v == B64_SPACE)
			continue;
		if (v == B64_BAD)
			return err_bad(err, 0,
			    "base64: character 0x%02x is not of the alphabet",
			    (unsigned char)s[i]);
		if (v == B64_PAD)
			(*pad)++;
		else if (*pad != 0)
			return err_bad(err, 0, "base64: data behind padding");
		else
			(*data)++;
	}
	return 0;
}

int
base64_decode(const char *s, size_t n, size_t max, struct buf *out,
    struct err *err)
{
	size_t		 data, pad, need, i;
	uint8_t		*at;
	uint32_t	 acc = 0;
	unsigned	 bits = 0;
	int		 v;

	if (b64_count(s, n, &data, &pad, err) == -1)
		return -1;
	if (pad > 2 || (data + pad) % 4 != 0)
		return err_bad(err, 0, "base64: padding of %zu for %zu "
		    "characters", pad, data);
	need = data / 4 * 3 + data % 4 * 6 / 8;
	if (need > max)
		return err_set(err, ERR_TOO_BIG, "base64: %zu bytes, limit %zu",
		    need, max);
	at = buf_extend(out, need);
	for (i = 0; i < n; i++) {
		v = b64_value((unsigned char)s[i]);
		if (v < 0)
			continue;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*at++ = (uint8_t)(acc >> bits);
		}
	}
	if ((acc & ((1u << bits) - 1)) != 0) {	/* [RFC4648] 3.5 */
		out->n -= need;
		return err_bad(err, 0, "base64: pad bits are not zero");
	}
	return 0;
}

void
base64_encode(const uint8_t *p, size_t n, struct buf *out)
{
	uint8_t		*at;
	uint32_t	 v;
	size_t		 i;

	at = buf_extend(out, (n + 2) / 3 * 4);
	for (i = 0; i < n; i += 3) {
		v = (uint32_t)p[i] << 16;
		if (i + 1 < n)
			v |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		*at++ = (uint8_t)alphabet[v >> 18];
		*at++ = (uint8_t)alphabet[v >> 12 & 63];
		*at++ = (uint8_t)(i + 1 < n ? alphabet[v >> 6 & 63] : '=');
		*at++ = (uint8_t)(i + 2 < n ? alphabet[v & 63] : '=');
	}
}
