/* The ledger: writing it. */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ledger_chain.h"

struct ledger {
	int			 fd;
	struct ledger_chain	*chain;
	struct buf		 out;	/* lines not yet written */
	bool			 failed;
};

static int
open_file(const char *dir, struct err *err)
{
	int	dirfd, fd;

	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd == -1)
		return err_set(err, ERR_INTERNAL, "ledger %s: %s", dir,
		    strerror(errno));
	fd = openat(dirfd, LEDGER_FILE, O_RDWR | O_CREAT | O_APPEND |
	    O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	/* A new name is not durable before its folder is. */
	if (fd != -1 && fsync(dirfd) == -1) {
		close(fd);
		fd = -1;
	}
	if (fd == -1)
		err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(errno));
	close(dirfd);
	return fd;
}

static int
lock_file(int fd, const char *dir, struct err *err)
{
	struct stat	st;

	if (fstat(fd, &st) == -1)
		return err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		return err_set(err, ERR_INTERNAL, "ledger in %s: not a regular "
		    "file of mode 0600", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_INTERNAL, errno == EWOULDBLOCK ?
		    "ledger in %s: in use by another signer" :
		    "ledger in %s: cannot be locked", dir);
	return 0;
}

/*
 * Nothing was signed on the strength of a line that has no end: fdatasync
 * cannot have returned for it.  Whole lines may not be durable either, and
 * the next ones will build on them.
 */
static int
cut_torn_tail(int fd, off_t good, struct err *err)
{
	struct stat	st;

	if (fstat(fd, &st) == -1 ||
	    (st.st_size != good && ftruncate(fd, good) == -1) ||
	    fsync(fd) == -1)
		return err_set(err, ERR_INTERNAL, "ledger: torn last line: %s",
		    strerror(errno));
	return 0;
}

struct ledger *
ledger_open(const char *dir, struct err *err)
{
	struct ledger	*l = xcalloc(1, sizeof(*l));
	off_t		 good;

	l->chain = chain_new();
	l->fd = open_file(dir, err);
	if (l->fd == -1 || lock_file(l->fd, dir, err) == -1 ||
	    chain_read(l->chain, l->fd, NULL, NULL, &good, err) == -1 ||
	    cut_torn_tail(l->fd, good, err) == -1) {
		ledger_close(l);
		return NULL;
	}
	return l;
}

void
ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	if (l->fd != -1)
		close(l->fd);
	chain_free(l->chain);
	buf_free(&l->out);
	free(l);
}

/* "2026-11-24T09:00:00.123456Z" of now. */
static void
put_now(struct ledger *l)
{
	struct timespec	ts;
	struct tm	tm;
	time_t		last = (time_t)l->chain->last_time;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1 ||
	    gmtime_r(&ts.tv_sec, &tm) == NULL)
		abort();
	buf_printf(&l->out, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000);
	if (ts.tv_sec > last)
		l->chain->last_time = ts.tv_sec;
}

void
ledger_add(struct ledger *l, const char *type, struct slice fields)
{
	size_t	start = l->out.n;

	buf_printf(&l->out, "{\"seq\":%llu,\"prev\":\"%s\",\"at\":\"",
	    (unsigned long long)l->chain->seq + 1, l->chain->hash);
	put_now(l);
	buf_puts(&l->out, "\",\"type\":\"");
	buf_puts(&l->out, type);
	buf_addc(&l->out, '"');
	if (fields.n != 0)
		buf_addc(&l->out, ',');
	buf_add(&l->out, fields.p, fields.n);
	chain_next(l->chain, slice_of(l->out.p + start, l->out.n - start));
	buf_puts(&l->out, ",\"hash\":\"");
	buf_puts(&l->out, l->chain->hash);
	buf_puts(&l->out, "\"}\n");
	/* A line that could not be read again must not be relied on. */
	if (l->out.n - start > LEDGER_LINE_MAX)
		l->failed = true;
}

static int
write_out(const struct ledger *l)
{
	struct slice	s = buf_slice(&l->out);
	ssize_t		n;

	while (s.n > 0) {
		n = write(l->fd, s.p, s.n);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		s.p += n;
		s.n -= (size_t)n;
	}
	return fdatasync(l->fd);
}

int
ledger_sync(struct ledger *l, struct err *err)
{
	if (l->failed)
		return err_set(err, ERR_UNAVAILABLE,
		    "ledger: an earlier write failed");
	if (l->out.n == 0)
		return 0;
	if (write_out(l) == -1) {
		l->failed = true;
		return err_set(err, ERR_UNAVAILABLE, "ledger: %s",
		    strerror(errno));
	}
	buf_reset(&l->out);
	return 0;
}

uint64_t
ledger_seq(const struct ledger *l)
{
	return l->chain->seq;
}

int64_t
ledger_last_time(const struct ledger *l)
{
	return l->chain->last_time;
}

static void
put_key(struct buf *b, const char *key)
{
	if (b->n != 0)
		buf_addc(b, ',');
	buf_printf(b, "\"%s\":", key);
}

static bool
is_plain(uint8_t c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* What is not UTF-8 becomes U+FFFD: every line stays a JSON text. */
static void
put_escaped(struct buf *b, struct slice s)
{
	size_t	n;

	for (; s.n > 0; s.p += n, s.n -= n) {
		for (n = 0; n < s.n && is_plain(s.p[n]); n++)
			;
		if (n > 0) {	/* nearly everything: hexadecimal, base64 */
			buf_add(b, s.p, n);
			continue;
		}
		n = utf8_char(s.p, s.n);
		if (n == 1 && (*s.p == '"' || *s.p == '\\'))
			buf_addc(b, '\\');
		if (n != 0) {
			buf_add(b, s.p, n);
			continue;
		}
		n = 1;
		if (*s.p < 0x80)
			buf_printf(b, "\\u%04x", *s.p);
		else
			buf_puts(b, "\\ufffd");
	}
}

void
ledger_field(struct buf *b, const char *key, struct slice value)
{
	put_key(b, key);
	buf_addc(b, '"');
	put_escaped(b, value);
	buf_addc(b, '"');
}

void
ledger_field_hex(struct buf *b, const char *key, const uint8_t *p, size_t n)
{
	put_key(b, key);
	buf_addc(b, '"');
	buf_hex(b, p, n);
	buf_addc(b, '"');
}

void
ledger_field_num(struct buf *b, const char *key, int64_t v)
{
	put_key(b, key);
	buf_printf(b, "%lld", (long long)v);
}
