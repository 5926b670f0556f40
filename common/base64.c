/* Base64, strict: there is one spelling of any bytes, white space aside. */
#include "base64.h"

static const char alphabet[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value and one more, or one of these. */
#define B64_BAD		0
#define B64_PAD		65
#define B64_SPACE	66

static const uint8_t meanings[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6,
	['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12,
	['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17,
	['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22,
	['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
	['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,
	['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47,
	['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52,
	['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57,
	['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,
	['+'] = 63, ['/'] = 64,
	['='] = B64_PAD,
	[' '] = B64_SPACE, ['\t'] = B64_SPACE, ['\r'] = B64_SPACE,
	['\n'] = B64_SPACE
};

/* Are the next four characters data?  Then their 24 bits. */
static inline bool
b64_quad(const char *s, size_t n, uint32_t *v)
{
	const uint8_t	*c = (const uint8_t *)s;
	uint32_t	 w, x, y, z;

	if (n < 4)
		return false;
	w = meanings[c[0]] - 1u;	/* huge if it is none */
	x = meanings[c[1]] - 1u;
	y = meanings[c[2]] - 1u;
	z = meanings[c[3]] - 1u;
	*v = w << 18 | x << 12 | y << 6 | z;
	return (w | x | y | z) < 64;
}

/* Characters that are data and padding, so that limits come first. */
static int
b64_count(const char *s, size_t n, size_t *data, size_t *pad, struct err *err)
{
	size_t		i;
	uint32_t	bits;
	uint8_t		v;

	*data = *pad = 0;
	for (i = 0; i < n; i++) {
		if (*pad == 0 && b64_quad(s + i, n - i, &bits)) {
			*data += 4;
			i += 3;
			continue;
		}
		v = meanings[(unsigned char)s[i]];
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
	uint8_t		 v;

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
		if (bits == 0 && b64_quad(s + i, n - i, &acc)) {
			*at++ = (uint8_t)(acc >> 16);
			*at++ = (uint8_t)(acc >> 8);
			*at++ = (uint8_t)acc;
			i += 3;
			continue;
		}
		v = meanings[(unsigned char)s[i]];
		if (v > 64)
			continue;
		acc = acc << 6 | (uint32_t)(v - 1);
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

/* The last one or two bytes. */
static void
encode_rest(const uint8_t *p, size_t n, uint8_t *at)
{
	uint32_t	v = (uint32_t)p[0] << 16;

	if (n == 2)
		v |= (uint32_t)p[1] << 8;
	*at++ = (uint8_t)alphabet[v >> 18];
	*at++ = (uint8_t)alphabet[v >> 12 & 63];
	*at++ = (uint8_t)(n == 2 ? alphabet[v >> 6 & 63] : '=');
	*at = '=';
}

void
base64_encode(const uint8_t *p, size_t n, struct buf *out)
{
	uint8_t		*at;
	uint32_t	 v;

	at = buf_extend(out, (n + 2) / 3 * 4);
	for (; n >= 3; p += 3, n -= 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*at++ = (uint8_t)alphabet[v >> 18];
		*at++ = (uint8_t)alphabet[v >> 12 & 63];
		*at++ = (uint8_t)alphabet[v >> 6 & 63];
		*at++ = (uint8_t)alphabet[v & 63];
	}
	if (n != 0)
		encode_rest(p, n, at);
}
