/*
 * Strict DER: reader and writer.  Everything that a client sends is read with
 * this, and all that is signed is written with it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "der.h"

#define DER_INTEGER_MAX	4096	/* octets; more is an attack, not a number */

void
der_init(struct der *d, struct slice s)
{
	d->p = s.p;
	d->end = s.n != 0 ? s.p + s.n : s.p;
}

bool
der_done(const struct der *d)
{
	return d->p == d->end;
}

int
der_peek(const struct der *d)
{
	return der_done(d) ? -1 : *d->p;
}

/*
 * Identifier octet: one byte, and of the universal class only SEQUENCE and
 * SET are constructed ([X.690] 10.2); number 0 would be an end-of-contents.
 */
static int
check_tag(int tag, const char *what, struct err *err)
{
	int	number = tag & 0x1f;
	bool	constructed = (tag & 0x20) != 0;

	if (number == 0x1f)
		return err_bad(err, 0, "%s: tag number above 30", what);
	if ((tag & 0xc0) != 0)
		return 0;
	if (number == 0)
		return err_bad(err, 0, "%s: end-of-contents octets", what);
	if (constructed != (number == 0x10 || number == 0x11))
		return err_bad(err, 0, "%s: tag %02x is %s", what, tag,
		    constructed ? "constructed" : "primitive");
	return 0;
}

/* Length octets at *p, minimal and definite ([X.690] 10.1). */
static int
read_length(const uint8_t **p, const uint8_t *end, size_t *len,
    const char *what, struct err *err)
{
	const uint8_t	*q = *p;
	size_t		 n, v = 0;

	if (q == end)
		return err_bad(err, 0, "%s: ends before its length", what);
	n = *q++;
	if (n < 0x80) {
		v = n;
	} else {
		n &= 0x7f;
		if (n == 0)
			return err_bad(err, 0, "%s: indefinite length, "
			    "which is BER: encode it as DER", what);
		if (n > (size_t)(end - q))
			return err_bad(err, 0, "%s: ends inside its length",
			    what);
		if (*q == 0 || (n == 1 && *q < 0x80))
			return err_bad(err, 0, "%s: length is not minimal",
			    what);
		if (n > 4)
			return err_bad(err, 0, "%s: length of %zu octets",
			    what, n);
		while (n-- > 0)
			v = v << 8 | *q++;
	}
	if (v > (size_t)(end - q))
		return err_bad(err, 0, "%s: length %zu, only %zu octets left",
		    what, v, (size_t)(end - q));
	*p = q;
	*len = v;
	return 0;
}

static const char *
check_integer(struct slice c)
{
	if (c.n == 0)
		return "empty integer";
	if (c.n > DER_INTEGER_MAX)
		return "integer too long";
	if (c.n > 1 && ((c.p[0] == 0x00 && c.p[1] < 0x80) ||
	    (c.p[0] == 0xff && c.p[1] >= 0x80)))
		return "integer is not minimal";	/* [X.690] 8.3.2 */
	return NULL;
}

static const char *
check_boolean(struct slice c)
{
	if (c.n != 1 || (c.p[0] != 0x00 && c.p[0] != 0xff))
		return "boolean is not 00 or ff";	/* [X.690] 11.1 */
	return NULL;
}

static const char *
check_bits(struct slice c)
{
	if (c.n == 0 || c.p[0] > 7 || (c.n == 1 && c.p[0] != 0))
		return "wrong count of unused bits";
	if ((c.p[c.n - 1] & ((1u << c.p[0]) - 1)) != 0 && c.n > 1)
		return "unused bits are not zero";	/* [X.690] 11.2.1 */
	return NULL;
}

static const char *
check_null(struct slice c)
{
	return c.n != 0 ? "null with content" : NULL;
}

/* Whole subidentifiers, none with a leading 80 ([X.690] 8.19.2). */
static const char *
check_oid(struct slice c)
{
	size_t	i;
	bool	first = true;

	if (c.n == 0 || (c.p[c.n - 1] & 0x80) != 0)
		return "unfinished object identifier";
	for (i = 0; i < c.n; i++) {
		if (first && c.p[i] == 0x80)
			return "object identifier is not minimal";
		first = (c.p[i] & 0x80) == 0;
	}
	return NULL;
}

static const struct {
	int		 tag;
	const char	*(*check)(struct slice);
} primitives[] = {
	{ DER_BOOLEAN,		check_boolean },
	{ DER_INTEGER,		check_integer },
	{ DER_BIT_STRING,	check_bits },
	{ DER_NULL,		check_null },
	{ DER_OID,		check_oid },
	{ DER_ENUM,		check_integer },
};

static int
check_content(int tag, struct slice content, const char *what,
    struct err *err)
{
	const char	*bad;
	size_t		 i;

	for (i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++) {
		if (primitives[i].tag != tag)
			continue;
		bad = primitives[i].check(content);
		if (bad != NULL)
			return err_bad(err, 0, "%s: %s", what, bad);
	}
	return 0;
}

int
der_any(struct der *d, int *tag, struct slice *tlv, struct slice *content,
    const char *what, struct err *err)
{
	const uint8_t	*p = d->p;
	struct slice	 c;
	int		 t;

	if (der_done(d))
		return err_bad(err, 0, "%s: missing", what);
	t = *p++;
	if (check_tag(t, what, err) == -1 ||
	    read_length(&p, d->end, &c.n, what, err) == -1)
		return -1;
	c.p = p;
	if (check_content(t, c, what, err) == -1)
		return -1;
	if (tag != NULL)
		*tag = t;
	if (tlv != NULL)
		*tlv = slice_of(d->p, (size_t)(p - d->p) + c.n);
	if (content != NULL)
		*content = c;
	d->p = p + c.n;
	return 0;
}

static int
expect(const struct der *d, int tag, const char *what, struct err *err)
{
	if (der_done(d))
		return err_bad(err, 0, "%s: missing", what);
	if (*d->p != tag)
		return err_bad(err, 0, "%s: tag %02x instead of %02x", what,
		    *d->p, (unsigned)tag);
	return 0;
}

int
der_get(struct der *d, int tag, struct slice *content, const char *what,
    struct err *err)
{
	if (expect(d, tag, what, err) == -1)
		return -1;
	return der_any(d, NULL, NULL, content, what, err);
}

int
der_enter(struct der *d, int tag, struct der *inner, const char *what,
    struct err *err)
{
	struct slice	content;

	if (der_get(d, tag, &content, what, err) == -1)
		return -1;
	der_init(inner, content);
	return 0;
}

int
der_tlv(struct der *d, int tag, struct slice *tlv, const char *what,
    struct err *err)
{
	if (expect(d, tag, what, err) == -1)
		return -1;
	return der_any(d, NULL, tlv, NULL, what, err);
}

int
der_end(const struct der *d, const char *what, struct err *err)
{
	if (!der_done(d))
		return err_bad(err, 0, "%s: %zu octets left over", what,
		    (size_t)(d->end - d->p));
	return 0;
}

int
der_uint(struct der *d, uint64_t *out, const char *what, struct err *err)
{
	struct der	try = *d;
	struct slice	c;
	uint64_t	v = 0;
	size_t		i;

	if (der_get(&try, DER_INTEGER, &c, what, err) == -1)
		return -1;
	if ((c.p[0] & 0x80) != 0)
		return err_bad(err, 0, "%s: negative", what);
	if (c.n > sizeof(v))
		return err_bad(err, 0, "%s: above 2^63 - 1", what);
	for (i = 0; i < c.n; i++)
		v = v << 8 | c.p[i];
	*out = v;
	*d = try;
	return 0;
}

int
der_bits(struct der *d, struct slice *out, const char *what, struct err *err)
{
	struct der	try = *d;
	struct slice	c;

	if (der_get(&try, DER_BIT_STRING, &c, what, err) == -1)
		return -1;
	if (c.p[0] != 0)
		return err_bad(err, 0, "%s: %d unused bits", what, c.p[0]);
	*out = slice_of(c.p + 1, c.n - 1);
	*d = try;
	return 0;
}

int
der_bool(struct der *d, bool *out, const char *what, struct err *err)
{
	struct slice	c;

	if (der_get(d, DER_BOOLEAN, &c, what, err) == -1)
		return -1;
	*out = c.p[0] != 0;
	return 0;
}

int
der_extension(struct der *list, struct slice *oid, struct slice *value,
    struct err *err)
{
	struct der	rest = *list, ext;
	struct slice	type, content;
	bool		critical;

	if (der_enter(&rest, DER_SEQ, &ext, "extension", err) == -1 ||
	    der_get(&ext, DER_OID, &type, "extension", err) == -1 ||
	    (der_peek(&ext) == DER_BOOLEAN &&
	    der_bool(&ext, &critical, "extension", err) == -1) ||
	    der_get(&ext, DER_OCTETS, &content, "extension", err) == -1 ||
	    der_end(&ext, "extension", err) == -1)
		return -1;
	*list = rest;
	*oid = type;
	*value = content;
	return 0;
}

int
der_only(struct slice s, int tag, struct der *inner, const char *what,
    struct err *err)
{
	struct der	d, in;

	der_init(&d, s);
	if (der_enter(&d, tag, &in, what, err) == -1 ||
	    der_end(&d, what, err) == -1)
		return -1;
	*inner = in;
	return 0;
}

static int	check_inner(struct slice, int, unsigned, const char *,
		    struct err *);

/*
 * One element and what is in it.  No TLV is a prefix of another one, so
 * comparing the shorter length is the order of [X.690] 11.6.
 */
static int
check_one(struct der *d, struct slice *tlv, unsigned depth, const char *what,
    struct err *err)
{
	struct slice	content;
	int		tag;

	if (der_any(d, &tag, tlv, &content, what, err) == -1)
		return -1;
	if ((tag & 0x20) == 0)
		return 0;
	if (depth == 0)
		return err_bad(err, 0, "%s: nested too deep", what);
	return check_inner(content, tag, depth - 1, what, err);
}

static int
check_inner(struct slice content, int tag, unsigned depth, const char *what,
    struct err *err)
{
	struct der	d;
	struct slice	prev = { NULL, 0 }, tlv;

	der_init(&d, content);
	while (!der_done(&d)) {
		if (check_one(&d, &tlv, depth, what, err) == -1)
			return -1;
		if (tag == DER_SET && prev.n != 0 && memcmp(prev.p, tlv.p,
		    prev.n < tlv.n ? prev.n : tlv.n) > 0)
			return err_bad(err, 0, "%s: set is not sorted", what);
		prev = tlv;
	}
	return 0;
}

int
der_check(struct slice s, unsigned max_depth, const char *what,
    struct err *err)
{
	struct der	d;
	struct slice	tlv;

	der_init(&d, s);
	if (check_one(&d, &tlv, max_depth, what, err) == -1)
		return -1;
	return der_end(&d, what, err);
}

/* Length octets for n into out; how many. */
static size_t
length_octets(size_t n, uint8_t out[9])
{
	size_t	count = 0, v, i;

	if (n < 0x80) {
		out[0] = (uint8_t)n;
		return 1;
	}
	for (v = n; v != 0; v >>= 8)
		count++;
	out[0] = (uint8_t)(0x80 | count);
	for (i = count; i > 0; i--, n >>= 8)
		out[i] = (uint8_t)n;
	return count + 1;
}

size_t
der_open(struct buf *b, int tag)
{
	buf_addc(b, (uint8_t)tag);
	buf_addc(b, 0);
	return b->n;
}

void
der_close(struct buf *b, size_t mark)
{
	uint8_t	head[9];
	size_t	n = b->n - mark, len = length_octets(n, head);

	if (len > 1) {		/* one octet is there already */
		buf_extend(b, len - 1);
		memmove(b->p + mark + len - 1, b->p + mark, n);
	}
	memcpy(b->p + mark - 1, head, len);
}

void
der_put(struct buf *b, int tag, const void *p, size_t n)
{
	uint8_t	head[9];

	buf_addc(b, (uint8_t)tag);
	buf_add(b, head, length_octets(n, head));
	buf_add(b, p, n);
}

void
der_put_slice(struct buf *b, int tag, struct slice s)
{
	der_put(b, tag, s.p, s.n);
}

void
der_put_uint(struct buf *b, uint64_t v)
{
	uint8_t	be[8];

	be64_put(v, be);
	der_put_bigint(b, be, sizeof(be));
}

void
der_put_bigint(struct buf *b, const uint8_t *p, size_t n)
{
	uint8_t	head[9];
	size_t	pad;

	while (n > 0 && *p == 0) {
		p++;
		n--;
	}
	pad = n == 0 || (*p & 0x80) != 0;
	buf_addc(b, DER_INTEGER);
	buf_add(b, head, length_octets(n + pad, head));
	if (pad)
		buf_addc(b, 0);
	buf_add(b, p, n);
}

void
der_put_bool(struct buf *b, bool v)
{
	der_put(b, DER_BOOLEAN, v ? "\xff" : "\0", 1);
}

void
der_put_bits(struct buf *b, const uint8_t *p, size_t n)
{
	uint8_t	head[9];

	buf_addc(b, DER_BIT_STRING);
	buf_add(b, head, length_octets(n + 1, head));
	buf_addc(b, 0);
	buf_add(b, p, n);
}

void
der_put_str(struct buf *b, int tag, const char *s)
{
	der_put(b, tag, s, strlen(s));
}

void
der_put_oid(struct buf *b, struct slice oid)
{
	der_put_slice(b, DER_OID, oid);
}

void
der_put_alg(struct buf *b, struct slice oid, bool null)
{
	size_t	seq = der_open(b, DER_SEQ);

	der_put_oid(b, oid);
	if (null)
		der_put(b, DER_NULL, NULL, 0);
	der_close(b, seq);
}

/* 9999-12-31T23:59:59Z is "no end" in [RFC5280] 4.1.2.5 and our ceiling. */
#define TIME_MIN	(-62167219200)
#define TIME_MAX	253402300799

static void
broken_down(int64_t t, struct tm *tm)
{
	time_t	v;

	v = t < TIME_MIN ? TIME_MIN : t > TIME_MAX ? TIME_MAX : t;
	if (gmtime_r(&v, tm) == NULL)
		abort();
}

void
der_put_gentime(struct buf *b, int64_t t)
{
	struct tm	tm;
	size_t		mark;

	broken_down(t, &tm);
	mark = der_open(b, DER_GENTIME);
	buf_printf(b, "%04d%02d%02d%02d%02d%02dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	der_close(b, mark);
}

void
der_put_time(struct buf *b, int64_t t)
{
	struct tm	tm;
	size_t		mark;

	broken_down(t, &tm);
	if (tm.tm_year < 50 || tm.tm_year >= 150) {
		der_put_gentime(b, t);
		return;
	}
	mark = der_open(b, DER_UTCTIME);
	buf_printf(b, "%02d%02d%02d%02d%02d%02dZ", tm.tm_year % 100,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	der_close(b, mark);
}
