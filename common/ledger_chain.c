/*
 * The ledger: verifying and reading it, line by line.  At a signer's start
 * (recover.c), and by "ledger verify" and "reconcile".
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base64.h"
#include "ledger_chain.h"

/* ,"hash":"<64 digits>"} */
#define HASH_TAIL	(sizeof(",\"hash\":\"") - 1 + 64 + 2)
#define TYPE_MAX	32

struct ledger_chain *
chain_new(void)
{
	struct ledger_chain	*c = xcalloc(1, sizeof(*c));

	memset(c->hash, '0', 64);
	c->sha256 = digest_new("SHA256");
	return c;
}

void
chain_free(struct ledger_chain *c)
{
	if (c == NULL)
		return;
	digest_free(c->sha256);
	free(c);
}

void
chain_next(struct ledger_chain *c, struct slice body)
{
	uint8_t	md[DIGEST_MAX];

	hex_encode(md, digest_run(c->sha256, body, md), c->hash);
	c->seq++;
}

static int
damaged(const struct ledger_chain *c, const char *what, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "ledger: line %llu: %s",
	    (unsigned long long)c->seq + 1, what);
}

/* "2026-11-24T09:00:00.123456Z", in this very form. */
static bool
take_time(const char **p, int64_t *out)
{
	static const char	form[] = "0000-00-00T00:00:00.000000Z";
	struct tm		tm = { 0 };
	const char		*s = *p;
	size_t			i;

	for (i = 0; form[i] != '\0'; i++)
		if (form[i] == '0' ? s[i] < '0' || s[i] > '9' :
		    s[i] != form[i])
			return false;
	if (strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return false;
	*out = timegm(&tm);
	*p += sizeof(form) - 1;
	return true;
}

static bool
take_type(const char **p, char type[TYPE_MAX])
{
	size_t	n = strspn(*p, "abcdefghijklmnopqrstuvwxyz-");

	if (n == 0 || n >= TYPE_MAX || (*p)[n] != '"')
		return false;
	memcpy(type, *p, n);
	type[n] = '\0';
	*p += n + 1;
	return true;
}

/* A file tells by its first line what it follows. */
static int
take_before(struct ledger_chain *c, const char *line, struct err *err)
{
	unsigned long long	 seq;
	char			*end;

	if (!text_take(&line, "{\"seq\":") || *line < '1' || *line > '9')
		return damaged(c, "not an entry", err);
	seq = strtoull(line, &end, 10);
	line = end;
	if (seq == ULLONG_MAX || !text_take(&line, ",\"prev\":\"") ||
	    strspn(line, "0123456789abcdef") != 64)
		return damaged(c, "not an entry", err);
	if (seq == 1)
		return 0;
	c->seq = c->before = seq - 1;
	memcpy(c->hash, line, 64);
	memcpy(c->before_hash, line, 64);
	return 0;
}

/*
 * The next line, NUL ended, n characters.  Everything that the writer leaves
 * no choice in must be as it would write it.
 */
static int
check_line(struct ledger_chain *c, const char *line, size_t n,
    char type[TYPE_MAX], struct err *err)
{
	char		 head[128];
	const char	*p = line, *tail;
	int64_t		 at;

	if (n < HASH_TAIL || memchr(line, '\0', n) != NULL)
		return damaged(c, "not an entry", err);
	if (c->seq == 0 && take_before(c, line, err) == -1)
		return -1;
	tail = line + n - HASH_TAIL;
	snprintf(head, sizeof(head), "{\"seq\":%llu,\"prev\":\"",
	    (unsigned long long)c->seq + 1);
	if (!text_take(&p, head))
		return damaged(c, "sequence number is not the next", err);
	if (!text_take(&p, c->hash))
		return damaged(c, "does not follow the line before", err);
	if (!text_take(&p, "\",\"at\":\"") || !take_time(&p, &at) ||
	    !text_take(&p, "\",\"type\":\"") || !take_type(&p, type) ||
	    p > tail || (p < tail && *p != ','))
		return damaged(c, "not an entry", err);
	if (c->seq == c->before && c->seq > 0 && (!c->later ||
	    strcmp(type, "segment") != 0))
		return damaged(c, "lacks the entries before, which are not "
		    "in a file of their own", err);
	p = tail;
	if (!text_take(&p, ",\"hash\":\"") || line[n - 2] != '"' ||
	    line[n - 1] != '}')
		return damaged(c, "has no hash", err);
	chain_next(c, slice_of(line, n - HASH_TAIL));
	if (strncmp(p, c->hash, 64) != 0) {
		c->seq--;
		return damaged(c, "hash does not match", err);
	}
	if (at > c->last_time)
		c->last_time = at;
	return 0;
}

struct reader {
	int	 fd;
	char	*p;		/* LEDGER_LINE_MAX + 1 bytes */
	size_t	 start, end;	/* what is read and not used yet */
};

/* More bytes behind those that are there: 1, 0 at the end, -1. */
static int
fill(struct reader *r)
{
	ssize_t	n;

	memmove(r->p, r->p + r->start, r->end - r->start);
	r->end -= r->start;
	r->start = 0;
	do {
		n = read(r->fd, r->p + r->end, LEDGER_LINE_MAX - r->end);
	} while (n == -1 && errno == EINTR);
	if (n > 0)
		r->end += (size_t)n;
	return n > 0 ? 1 : (int)n;
}

/* The next whole line without its newline: 1, 0 at the end, -1. */
static int
next_line(struct reader *r, const struct ledger_chain *c, char **line,
    size_t *n, struct err *err)
{
	char	*nl;
	int	 got;

	for (;;) {
		nl = memchr(r->p + r->start, '\n', r->end - r->start);
		if (nl != NULL)
			break;
		if (r->end - r->start == LEDGER_LINE_MAX)
			return damaged(c, "too long", err);
		got = fill(r);
		if (got == -1)
			return damaged(c, strerror(errno), err);
		if (got == 0)
			return 0;
	}
	*nl = '\0';
	*line = r->p + r->start;
	*n = (size_t)(nl - *line);
	r->start += *n + 1;
	return 1;
}

static int
read_lines(struct ledger_chain *c, struct reader *r,
    int (*cb)(void *, const struct ledger_entry *, struct err *), void *arg,
    off_t *good, struct err *err)
{
	struct ledger_entry	 e;
	char			 type[TYPE_MAX], *line = NULL;
	size_t			 n = 0;
	int			 got;

	*good = 0;
	while ((got = next_line(r, c, &line, &n, err)) == 1) {
		if (check_line(c, line, n, type, err) == -1)
			return -1;
		*good += (off_t)n + 1;
		e = (struct ledger_entry){ c->seq, type, line, c->hash,
		    c->base + *good };
		if (cb != NULL && cb(arg, &e, err) == -1)
			return -1;
	}
	return got;
}

int
chain_read(struct ledger_chain *c, int fd,
    int (*cb)(void *, const struct ledger_entry *, struct err *), void *arg,
    off_t *good, struct err *err)
{
	struct reader	r = { fd, NULL, 0, 0 };
	int		ret;

	r.p = xcalloc(1, LEDGER_LINE_MAX + 1);
	ret = read_lines(c, &r, cb, arg, good, err);
	free(r.p);
	return ret;
}

/* Behind the closing quote of a string whose opening quote *p is at. */
static const char *
skip_string(const char *p)
{
	for (p++; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return NULL;
	}
	return p + 1;
}

/* Behind a string or number; the writer makes nothing else. */
static const char *
skip_value(const char *p)
{
	size_t	n;

	if (*p == '"')
		return skip_string(p);
	n = strspn(p, "-0123456789");
	return n != 0 ? p + n : NULL;
}

static void
put_utf8(struct buf *b, unsigned c)
{
	if (c < 0x80) {
		buf_addc(b, (uint8_t)c);
	} else if (c < 0x800) {
		buf_addc(b, (uint8_t)(0xc0 | c >> 6));
		buf_addc(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(b, (uint8_t)(0xe0 | c >> 12));
		buf_addc(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(b, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

/* From behind the opening quote up to end; the escapes of ledger_field. */
static int
unescape(const char *p, const char *end, struct buf *out)
{
	char	digits[5] = "";
	uint8_t	c[2];

	for (; p < end; p++) {
		if (*p != '\\') {
			buf_addc(out, (uint8_t)*p);
		} else if (p[1] == '"' || p[1] == '\\') {
			buf_addc(out, (uint8_t)*++p);
		} else if (p[1] == 'u' && end - p >= 6) {
			memcpy(digits, p + 2, 4);
			if (hex_decode(digits, c, 2) == -1)
				return -1;
			put_utf8(out, (unsigned)c[0] << 8 | c[1]);
			p += 5;
		} else {
			return -1;
		}
	}
	return 0;
}

/* Value of key: where it begins, *end behind it. */
static const char *
find_value(const char *p, const char *key, const char **end)
{
	const char	*name, *colon;

	while (*p == '{' || *p == ',') {
		name = ++p;
		if (*name != '"' || (colon = skip_string(name)) == NULL ||
		    *colon != ':')
			return NULL;
		p = colon + 1;
		if ((*end = skip_value(p)) == NULL)
			return NULL;
		if ((size_t)(colon - name) == strlen(key) + 2 &&
		    strncmp(name + 1, key, strlen(key)) == 0)
			return p;
		p = *end;
	}
	return NULL;
}

int
ledger_get(const struct ledger_entry *e, const char *key, struct buf *out)
{
	const char	*v, *end;
	size_t		 n = out->n;

	v = find_value(e->line, key, &end);
	if (v == NULL || *v != '"')
		return -1;
	if (unescape(v + 1, end - 1, out) == -1) {
		out->n = n;
		return -1;
	}
	return 0;
}

int
ledger_bad(const struct ledger_entry *e, const char *what, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "ledger: entry %llu: bad %s",
	    (unsigned long long)e->seq, what);
}

int
ledger_get_hex(const struct ledger_entry *e, const char *key, uint8_t *out,
    size_t n, struct err *err)
{
	struct buf	b = { 0 };
	int		rc = -1;

	if (ledger_get(e, key, &b) == 0 && b.n == 2 * n)
		rc = hex_decode(buf_str(&b), out, n);
	buf_free(&b);
	return rc == 0 ? 0 : ledger_bad(e, key, err);
}

int
ledger_get_base64(const struct ledger_entry *e, const char *key,
    struct buf *out, struct err *err)
{
	struct err	why = ERR_INIT;
	struct buf	b = { 0 };
	int		rc = ledger_get(e, key, &b);

	if (rc == 0)
		rc = base64_decode((const char *)b.p, b.n, LEDGER_LINE_MAX,
		    out, &why);
	buf_free(&b);
	return rc == 0 ? 0 : ledger_bad(e, key, err);
}

int
ledger_get_num(const struct ledger_entry *e, const char *key, int64_t *out)
{
	struct buf	b = { 0 };
	char		*end = NULL;
	long long	n = 0;
	bool		good;

	good = ledger_get(e, key, &b) == 0 && b.n > 0;
	if (good) {
		errno = 0;
		n = strtoll(buf_str(&b), &end, 10);
		good = *end == '\0' && errno == 0;
	}
	buf_free(&b);
	if (!good)
		return -1;
	*out = n;
	return 0;
}
