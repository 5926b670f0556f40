/*
 * Log lines on standard error: a request has one in each program, with its
 * id.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define LOG_LINE_MAX	4096
#define LOG_TAIL	8	/* kept free for the end of a cut value */

static const char	*program = "countersign";

void
log_program(const char *name)
{
	program = name;
}

static int64_t
usec_of(clockid_t clock)
{
	struct timespec	ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
log_usec(void)
{
	return usec_of(CLOCK_MONOTONIC);
}

int64_t
unix_usec(void)
{
	return usec_of(CLOCK_REALTIME);
}

/* What needs no quotes, besides letters and digits. */
static const bool plain_sign[128] = {
	['.'] = true, ['_'] = true, [':'] = true, ['@'] = true, ['/'] = true,
	['+'] = true, ['-'] = true
};

static bool
is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c < 128 && plain_sign[c]);
}

static bool
is_plain_slice(struct slice s)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		if (!is_plain(s.p[i]))
			return false;
	return s.n != 0;
}

/*
 * Everything but printable ASCII is escaped: whoever reads the log sees no
 * line, colour or direction that a client made up.
 */
static void
put_char(struct buf *b, uint8_t c)
{
	if (c == '"' || c == '\\') {
		buf_addc(b, '\\');
		buf_addc(b, c);
	} else if (c < 0x20 || c > 0x7e) {
		buf_puts(b, "\\x");
		buf_hex(b, &c, 1);
	} else {
		buf_addc(b, c);
	}
}

/* Octets that the line may still have. */
static size_t
room(const struct log_line *l)
{
	size_t	n = l->b.n - l->start;

	return n < LOG_LINE_MAX - LOG_TAIL ? LOG_LINE_MAX - LOG_TAIL - n : 0;
}

static bool
put_key(struct log_line *l, const char *key)
{
	if (room(l) < strlen(key) + 3)
		return false;
	if (l->b.n != l->start)
		buf_addc(&l->b, ' ');
	buf_puts(&l->b, key);
	buf_addc(&l->b, '=');
	return true;
}

static void
put_quoted(struct log_line *l, struct slice value)
{
	size_t	i;

	buf_addc(&l->b, '"');
	for (i = 0; i < value.n; i++) {
		if (room(l) < 4) {
			buf_puts(&l->b, "...");
			break;
		}
		put_char(&l->b, value.p[i]);
	}
	buf_addc(&l->b, '"');
}

void
log_slice(struct log_line *l, const char *key, struct slice value)
{
	if (!put_key(l, key))
		return;
	if (is_plain_slice(value) && value.n < room(l))
		buf_add(&l->b, value.p, value.n);
	else
		put_quoted(l, value);
}

void
log_str(struct log_line *l, const char *key, const char *value)
{
	log_slice(l, key, slice_str(value != NULL ? value : ""));
}

void
log_num(struct log_line *l, const char *key, int64_t v)
{
	if (put_key(l, key))
		buf_dec(&l->b, v);
}

void
log_id(struct log_line *l, const char *key, const uint8_t id[16])
{
	char	s[33];

	hex_encode(id, 16, s);
	log_str(l, key, s);
}

static void
put_time(struct log_line *l)
{
	struct timespec	ts;
	struct tm	tm;
	char		day[32] = "", s[64];

	clock_gettime(CLOCK_REALTIME, &ts);
	if (gmtime_r(&ts.tv_sec, &tm) != NULL)
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(s, sizeof(s), "%s.%06ldZ", day, ts.tv_nsec / 1000);
	log_str(l, "time", s);
}

void
log_next(struct log_line *l, const char *event)
{
	if (l->b.n > 0)
		buf_addc(&l->b, '\n');
	l->start = l->b.n;
	buf_reserve(&l->b, 512);	/* most lines */
	put_time(l);
	log_str(l, "program", program);
	log_num(l, "pid", getpid());
	log_str(l, "event", event);
}

void
log_begin(struct log_line *l, const char *event)
{
	*l = (struct log_line){ 0 };
	log_next(l, event);
}

void
log_end(struct log_line *l)
{
	ssize_t	n;

	if (l->b.n == 0)
		return;
	buf_addc(&l->b, '\n');
	/* Nobody is left to tell when even the log is gone. */
	n = write(STDERR_FILENO, l->b.p, l->b.n);
	(void)n;
	buf_free(&l->b);
}

void
log_note(const char *event, const char *fmt, ...)
{
	struct log_line	l;
	va_list		ap;
	char		text[1024];

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	log_begin(&l, event);
	log_str(&l, "text", text);
	log_end(&l);
}
