/*
 * Bytes: growing and borrowed, hex, UTC times, and an allocator that cannot
 * fail.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "buf.h"

/* Not a process state to go on in; the supervisor starts a new one. */
void
out_of_memory(void)
{
	static const char	msg[] = "out of memory\n";

	if (write(STDERR_FILENO, msg, sizeof(msg) - 1) < 0)
		abort();
	abort();
}

void *
xcalloc(size_t n, size_t size)
{
	void	*p;

	p = calloc(n != 0 ? n : 1, size != 0 ? size : 1);
	if (p == NULL)
		out_of_memory();
	return p;
}

void *
xmemdup(const void *src, size_t n)
{
	void	*p;

	p = malloc(n != 0 ? n : 1);
	if (p == NULL)
		out_of_memory();
	if (n != 0)
		memcpy(p, src, n);
	return p;
}

char *
xstrdup(const char *s)
{
	return xmemdup(s, strlen(s) + 1);
}

char *
xstrndup(const char *s, size_t max)
{
	char	*p;

	p = strndup(s, max);
	if (p == NULL)
		out_of_memory();
	return p;
}

void *
xreallocarray(void *old, size_t n, size_t size)
{
	void	*p;

	p = reallocarray(old, n != 0 ? n : 1, size != 0 ? size : 1);
	if (p == NULL)
		out_of_memory();
	return p;
}

void *
xgrow(void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 16 : 2 * *cap;
	return xreallocarray(v, *cap, size);
}

/* libcrypto's forms of these; nothing was lost, so 0 octets are NULL. */
static void *
crypto_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return n == 0 ? NULL : xreallocarray(NULL, n, 1);
}

static void *
crypto_realloc(void *old, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	if (n != 0)
		return xreallocarray(old, n, 1);
	free(old);
	return NULL;
}

static void
crypto_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

void
xalloc_openssl(void)
{
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc,
	    crypto_free) != 1)
		abort();
}

uint8_t *
buf_extend(struct buf *b, size_t n)
{
	uint8_t	*at;
	size_t	 cap;

	if (b->p == NULL || n > b->cap - b->n) {
		if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4)
			out_of_memory();
		cap = b->cap < 64 ? 64 : b->cap * 2;
		if (cap < b->n + n)
			cap = b->n + n;
		b->p = xreallocarray(b->p, cap, 1);
		b->cap = cap;
	}
	at = b->p + b->n;
	b->n += n;
	return at;
}

void
buf_reserve(struct buf *b, size_t n)
{
	(void)buf_extend(b, n);
	b->n -= n;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n != 0)
		memcpy(buf_extend(b, n), p, n);
}

void
buf_addc(struct buf *b, uint8_t c)
{
	*buf_extend(b, 1) = c;
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t	 room = 128;	/* nearly always enough: then it is one pass */
	va_list	 ap;
	uint8_t	*at;
	int	 n;

	for (;;) {
		buf_reserve(b, room);
		at = b->p + b->n;
		va_start(ap, fmt);
		n = vsnprintf((char *)at, room, fmt, ap);
		va_end(ap);
		if (n < 0)
			abort();	/* only a broken format or locale */
		if ((size_t)n < room)
			break;
		room = (size_t)n + 1;
	}
	b->n += (size_t)n;	/* the NUL stays behind, not counted */
}

void
buf_dec(struct buf *b, int64_t v)
{
	uint64_t	u = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char		text[20], *p = text + sizeof(text);

	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (v < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void
buf_hex(struct buf *b, const uint8_t *p, size_t n)
{
	if (n > SIZE_MAX / 8)
		out_of_memory();
	hex_encode(p, n, (char *)buf_extend(b, 2 * n + 1));
	b->n--;
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		OPENSSL_cleanse(b->p, b->cap);
	buf_free(b);
}

char *
buf_str(struct buf *b)
{
	*buf_extend(b, 1) = '\0';
	b->n--;
	return (char *)b->p;
}

struct slice
buf_slice(const struct buf *b)
{
	return slice_of(b->p, b->n);
}

struct slice
slice_of(const void *p, size_t n)
{
	return (struct slice){ p, n };
}

struct slice
slice_str(const char *s)
{
	return slice_of(s, strlen(s));
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
slice_among(const struct slice *v, size_t n, struct slice s)
{
	size_t	i;

	for (i = 0; i < n; i++)
		if (slice_eq(v[i], s))
			return true;
	return false;
}

int64_t
slice_int(struct slice s)
{
	uint64_t	v = 0;
	size_t		i;

	for (i = 0; i < s.n && i < 8; i++)
		v = v << 8 | s.p[i];
	return (int64_t)v;
}

void
be64_put(uint64_t v, uint8_t out[8])
{
	int	i;

	for (i = 7; i >= 0; i--, v >>= 8)
		out[i] = (uint8_t)v;
}

bool
slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

/* [RFC3629] section 4; overlong forms and surrogates are broken. */
size_t
utf8_char(const uint8_t *p, size_t n)
{
	size_t	len, i;

	if (n == 0 || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xc2 && p[1] < 0xa0) ||	/* C1 controls */
	    (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool
slice_is_text(struct slice s)
{
	size_t	n;

	for (; s.n > 0; s.p += n, s.n -= n) {
		n = utf8_char(s.p, s.n);
		if (n == 0)
			return false;
	}
	return true;
}

void
hex_encode(const uint8_t *p, size_t n, char *out)
{
	static const char	digits[] = "0123456789abcdef";
	size_t			i;

	for (i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(const char *s, uint8_t *out, size_t n)
{
	size_t	i;

	/* Untouched output on failure, hence two rounds. */
	for (i = 0; i < 2 * n; i++)
		if (hex_digit(s[i]) == -1)
			return -1;
	if (s[2 * n] != '\0')
		return -1;
	for (i = 0; i < n; i++)
		out[i] = (uint8_t)(hex_digit(s[2 * i]) << 4 |
		    hex_digit(s[2 * i + 1]));
	return 0;
}

bool
text_take(const char **p, const char *text)
{
	size_t	n = strlen(text);

	if (strncmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

void
utc_text(int64_t unix_seconds, char out[32])
{
	time_t		v = (time_t)unix_seconds;
	struct tm	tm;

	if (gmtime_r(&v, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 32, "%lld", (long long)unix_seconds);
}
