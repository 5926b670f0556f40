/*
 * Characters and simple types of XML: what xmlin.c lets in and xmlw.c lets
 * out.
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "xmlchar.h"

size_t
xml_char(const uint8_t *p, const uint8_t *end)
{
	size_t	n;

	if (*p == '\t' || *p == '\n' || *p == '\r')
		return 1;
	n = utf8_char(p, (size_t)(end - p));
	if (n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)
		return 0;	/* U+FFFE, U+FFFF */
	return n;
}

/* No byte below 0x20 and none above 0x7f among eight? */
static bool
plain8(const uint8_t *p)
{
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return (((v - 0x2020202020202020u) | v) & 0x8080808080808080u) == 0;
}

bool
xml_chars(struct slice s)
{
	const uint8_t	*p = s.p, *end = s.p + s.n;
	size_t		 n;

	while (p < end) {
		while (end - p >= 8 && plain8(p))
			p += 8;
		if (p == end)
			break;
		n = xml_char(p, end);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

bool
xml_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct slice
xml_trim(struct slice s)
{
	while (s.n > 0 && xml_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && xml_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
xml_word(struct slice s, const char *word)
{
	return s.n == strlen(word) &&
	    strncasecmp((const char *)s.p, word, s.n) == 0;
}

bool
xml_utf8(struct slice s)
{
	return xml_word(s, "utf-8") || xml_word(s, "utf8");
}

/* Exactly n digits; the rest stays in *s. */
static int
digits(struct slice *s, size_t n, int *out)
{
	size_t	i;
	int	v = 0;

	if (s->n < n)
		return -1;
	for (i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -1;
		v = v * 10 + (s->p[i] - '0');
	}
	s->p += n;
	s->n -= n;
	*out = v;
	return 0;
}

static int
literal(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != (uint8_t)c)
		return -1;
	s->p++;
	s->n--;
	return 0;
}

static int
date_part(struct slice *s, int64_t *out)
{
	struct tm	tm = { 0 };
	int		y, m, d;

	if (digits(s, 4, &y) == -1 || literal(s, '-') == -1 ||
	    digits(s, 2, &m) == -1 || literal(s, '-') == -1 ||
	    digits(s, 2, &d) == -1 || literal(s, 'T') == -1 || y < 1)
		return -1;
	tm.tm_year = y - 1900;
	tm.tm_mon = m - 1;
	tm.tm_mday = d;
	*out = timegm(&tm);
	/* A day that there is not is made another by timegm. */
	return tm.tm_mon == m - 1 && tm.tm_mday == d ? 0 : -1;
}

static int
time_part(struct slice *s, int64_t *out)
{
	int	h, m, sec, skip;

	if (digits(s, 2, &h) == -1 || literal(s, ':') == -1 ||
	    digits(s, 2, &m) == -1 || literal(s, ':') == -1 ||
	    digits(s, 2, &sec) == -1 || h > 23 || m > 59 || sec > 59)
		return -1;
	if (literal(s, '.') == 0) {
		if (digits(s, 1, &skip) == -1)
			return -1;
		while (digits(s, 1, &skip) == 0)
			;
	}
	*out += h * 3600 + m * 60 + sec;
	return 0;
}

static int
zone_part(struct slice *s, int64_t *out)
{
	int	sign, h, m;

	if (s->n == 0 || literal(s, 'Z') == 0)
		return s->n == 0 ? 0 : -1;
	sign = s->p[0] == '-' ? 1 : -1;
	if (literal(s, '+') == -1 && literal(s, '-') == -1)
		return -1;
	if (digits(s, 2, &h) == -1 || literal(s, ':') == -1 ||
	    digits(s, 2, &m) == -1 || s->n != 0 || m > 59 ||
	    h * 60 + m > 14 * 60)
		return -1;
	*out += sign * (h * 3600 + m * 60);
	return 0;
}

int
xml_datetime(struct slice s, int64_t *out)
{
	int64_t	t;

	s = xml_trim(s);
	if (date_part(&s, &t) == -1 || time_part(&s, &t) == -1 ||
	    zone_part(&s, &t) == -1)
		return -1;
	*out = t;
	return 0;
}

int
xml_int(struct slice s, int32_t *out)
{
	int64_t	v = 0;
	int	digit;
	bool	minus;

	s = xml_trim(s);
	minus = literal(&s, '-') == 0;
	if (!minus)
		(void)literal(&s, '+');
	if (s.n == 0)
		return -1;
	while (s.n > 0) {
		if (digits(&s, 1, &digit) == -1)
			return -1;
		v = v * 10 + digit;
		if (v > (int64_t)INT32_MAX + 1)
			return -1;
	}
	v = minus ? -v : v;
	if (v > INT32_MAX)
		return -1;
	*out = (int32_t)v;
	return 0;
}

int
xml_bool(struct slice s, bool *out)
{
	s = xml_trim(s);
	if (slice_is(s, "true") || slice_is(s, "1"))
		*out = true;
	else if (slice_is(s, "false") || slice_is(s, "0"))
		*out = false;
	else
		return -1;
	return 0;
}
