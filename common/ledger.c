/*
 * The ledger: writing it.  Only a signer does; batch.c says when it must be
 * on the disk.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base64.h"
#include "failpoint.h"
#include "file.h"
#include "ledger_chain.h"
#include "log.h"

struct ledger {
	int			 dirfd, fd;
	off_t			 size;	/* of the file */
	uint64_t		 synced; /* number of the last entry that is */
	struct ledger_chain	*chain;
	struct buf		 out;	/* lines not yet written */
	bool			 dirty;	/* written, not synced */
	int64_t			 clock;	/* see ledger_clock; 0: not known */
	bool			 failed;
};

static int
open_dir(const char *dir, struct err *err)
{
	int	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		err_set(err, ERR_INTERNAL, "ledger %s: %s", dir,
		    strerror(errno));
	return fd;
}

/* Where older files are, a new one is begun by ledger_turn and nobody else. */
static int
open_file(int dirfd, const char *dir, bool older, struct err *err)
{
	int	fd;

	fd = openat(dirfd, LEDGER_FILE, O_RDWR | (older ? 0 : O_CREAT) |
	    O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	/* A new name is not durable before its folder is. */
	if (fd != -1 && fsync(dirfd) == -1) {
		close(fd);
		fd = -1;
	}
	if (fd == -1)
		err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(errno));
	return fd;
}

static int
check_mode(int fd, const char *dir, struct err *err)
{
	struct stat	st;

	if (fstat(fd, &st) == -1)
		return err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		return err_set(err, ERR_INTERNAL, "ledger in %s: not a regular "
		    "file of mode 0600", dir);
	return 0;
}

/*
 * A signer that turns gives the old file's lock back: whoever opened that one
 * just before has locked what is not the newest any more.
 */
static int
lock_file(int dirfd, int fd, const char *dir, struct err *err)
{
	if (check_mode(fd, dir, err) == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_INTERNAL, errno == EWOULDBLOCK ?
		    "ledger in %s: in use by another signer" :
		    "ledger in %s: cannot be locked", dir);
	if (!files_is(dirfd, LEDGER_FILE, fd))
		return err_set(err, ERR_INTERNAL, "ledger in %s: another "
		    "signer is at work", dir);
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

/*
 * After an fdatasync that failed the kernel calls pages clean that never came
 * to the disk.  What is read now must be what is there.
 */
static void
forget_cache(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* A turn that a crash stopped half-way: the file has both names. */
static int
undo_turn(int dirfd, int fd, struct ledger_files *f, struct err *err)
{
	char	name[LEDGER_NAME];

	if (!files_drop(dirfd, fd, f))
		return 0;
	files_name(f->last[f->n], name);
	if (unlinkat(dirfd, name, 0) == -1 || fsync(dirfd) == -1)
		return err_set(err, ERR_INTERNAL, "ledger: %s: %s", name,
		    strerror(errno));
	return 0;
}

static int
read_file(struct ledger *l, const char *dir, struct ledger_files *f,
    struct err *err)
{
	forget_cache(l->fd);
	if (lock_file(l->dirfd, l->fd, dir, err) == -1 ||
	    undo_turn(l->dirfd, l->fd, f, err) == -1)
		return -1;
	l->chain->later = true;
	if (chain_read(l->chain, l->fd, NULL, NULL, &l->size, err) == -1 ||
	    cut_torn_tail(l->fd, l->size, err) == -1)
		return -1;
	l->synced = l->chain->seq;
	return files_follow(l->dirfd, f, l->chain, err);
}

struct ledger *
ledger_open(const char *dir, struct err *err)
{
	struct ledger		*l = xcalloc(1, sizeof(*l));
	struct ledger_files	 older = { NULL, 0 };

	l->chain = chain_new();
	l->fd = -1;
	l->dirfd = open_dir(dir, err);
	if (l->dirfd != -1 && files_list(l->dirfd, &older, err) == 0)
		l->fd = open_file(l->dirfd, dir, older.n > 0, err);
	if (l->fd == -1 || read_file(l, dir, &older, err) == -1) {
		ledger_close(l);
		l = NULL;
	}
	files_free(&older);
	return l;
}

void
ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	if (l->fd != -1)
		close(l->fd);
	if (l->dirfd != -1)
		close(l->dirfd);
	chain_free(l->chain);
	buf_free(&l->out);
	free(l);
}

/*
 * As the kernel lists them: to try the lock could keep it from a signer that
 * starts just now.  false also where the list cannot be read.
 */
static bool
is_locked(int fd)
{
	FILE		*f = fopen("/proc/locks", "re");
	char		 line[256];
	unsigned	 major, minor;
	uintmax_t	 ino;
	struct stat	 st;
	bool		 found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*u: FLOCK ADVISORY WRITE %*d %x:%x:%ju",
		    &major, &minor, &ino) == 3 && fstat(fd, &st) == 0 &&
		    ino == st.st_ino && st.st_dev == makedev(major, minor);
	if (f != NULL)
		fclose(f);
	return found;
}

/* A signer writes to the file, and begins the next one beside it. */
static int
check_access(int dirfd, const char *name, const char *dir, struct err *err)
{
	if (faccessat(dirfd, name, R_OK | W_OK, AT_EACCESS) == -1)
		return err_set(err, ERR_INTERNAL, "ledger in %s: %s: %s", dir,
		    strcmp(name, ".") == 0 ? "its folder" : "its file",
		    strerror(errno));
	return 0;
}

/*
 * Root may do what the signer's user may not: a file that somebody put back is
 * to be his whose folder it lies in.
 */
static int
check_owner(int dirfd, int fd, const char *dir, struct err *err)
{
	struct stat	folder, file;

	if (geteuid() != 0 || fstat(dirfd, &folder) == -1 ||
	    fstat(fd, &file) == -1 || folder.st_uid == file.st_uid)
		return 0;
	return err_set(err, ERR_INTERNAL, "ledger in %s: its file is of user "
	    "%u, its folder of user %u: chown it", dir,
	    (unsigned)file.st_uid, (unsigned)folder.st_uid);
}

/* The newest file, read-only; where there is none at all: 0, and *fd is -1. */
static int
open_to_look(int dirfd, const char *dir, int *fd, struct err *err)
{
	struct ledger_files	 older = { NULL, 0 };
	int			 rc;

	*fd = openat(dirfd, LEDGER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY | O_NONBLOCK);
	if (*fd != -1)
		return check_mode(*fd, dir, err) == -1 ||
		    check_owner(dirfd, *fd, dir, err) == -1 ? -1 :
		    check_access(dirfd, LEDGER_FILE, dir, err);
	if (errno != ENOENT)
		return err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(errno));
	rc = files_list(dirfd, &older, err);
	if (rc == 0 && older.n > 0)
		rc = err_set(err, ERR_INTERNAL, "ledger in %s: %s", dir,
		    strerror(ENOENT));
	files_free(&older);
	return rc;
}

/* Chain, and the file before: listed when this one is open, as walks do it. */
static int
look_into(int dirfd, int fd, struct err *err)
{
	struct ledger_files	 older = { NULL, 0 };
	struct ledger_chain	*c = chain_new();
	off_t			 good;
	int			 rc;

	c->later = true;
	rc = files_list(dirfd, &older, err);
	if (rc == 0 && (rc = chain_read(c, fd, NULL, NULL, &good, err)) == 0) {
		files_drop(dirfd, fd, &older);
		rc = files_follow(dirfd, &older, c, err);
	}
	files_free(&older);
	chain_free(c);
	return rc;
}

int
ledger_look(const char *dir, enum ledger_seen *seen, struct err *err)
{
	int	dirfd, fd = -1, rc;

	if ((dirfd = open_dir(dir, err)) == -1)
		return -1;
	rc = check_access(dirfd, ".", dir, err);
	if (rc == 0)
		rc = open_to_look(dirfd, dir, &fd, err);
	if (rc == 0 && fd != -1)
		rc = look_into(dirfd, fd, err);
	if (rc == 0)
		*seen = fd == -1 ? LEDGER_ABSENT : is_locked(fd) ?
		    LEDGER_IN_USE : LEDGER_FREE;
	if (fd != -1)
		close(fd);
	close(dirfd);
	return rc;
}

/* What the clock shows, or would have shown if it had not stepped. */
static time_t
unstepped(const struct ledger *l, time_t now)
{
	time_t	then = (time_t)(l->clock + log_usec() / 1000000);

	return l->clock == 0 || (now <= then + LEDGER_SLACK &&
	    now >= then - LEDGER_SLACK) ? now : then;
}

/* "2026-11-24T09:00:00.123456Z" of now. */
static void
put_now(struct ledger *l)
{
	struct timespec	ts;
	struct tm	tm;
	time_t		last = (time_t)l->chain->last_time;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1)
		abort();
	ts.tv_sec = unstepped(l, ts.tv_sec);
	if (gmtime_r(&ts.tv_sec, &tm) == NULL)
		abort();
	buf_printf(&l->out, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000);
	if (ts.tv_sec > last)
		l->chain->last_time = ts.tv_sec;
}

void
ledger_clock(struct ledger *l, int64_t clock)
{
	l->clock = clock;
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
sync_out(int fd)
{
	fail_point("written");
	return fdatasync(fd);
}

/* For good: see ledger_sync in the header. */
static int
fail(struct ledger *l, struct err *err)
{
	l->failed = true;
	return err_set(err, ERR_UNAVAILABLE, "ledger: %s", strerror(errno));
}

int
ledger_write(struct ledger *l, struct err *err)
{
	if (l->failed)
		return err_set(err, ERR_UNAVAILABLE,
		    "ledger: an earlier write failed");
	if (l->out.n == 0)
		return 0;
	if (file_write_all(l->fd, buf_slice(&l->out)) == -1)
		return fail(l, err);
	l->size += (off_t)l->out.n;
	l->dirty = true;
	buf_reset(&l->out);
	return 0;
}

bool
ledger_unsynced(const struct ledger *l)
{
	return l->dirty || l->out.n > 0;
}

int
ledger_sync(struct ledger *l, struct err *err)
{
	if (ledger_write(l, err) == -1)
		return -1;
	if (!ledger_unsynced(l))
		return 0;
	if (sync_out(l->fd) == -1)
		return fail(l, err);
	l->dirty = false;
	l->synced = l->chain->seq;
	return 0;
}

/*
 * The new file is whole and locked before it has its name; until then the one
 * before goes by both, and undo_turn takes the second name back.  The second
 * must be on the disk before the first is given away: a file without any is
 * gone.
 */
static int
next_file(const struct ledger *l)
{
	char	name[LEDGER_NAME];
	int	fd;

	files_name(l->synced, name);
	fd = openat(l->dirfd, LEDGER_NEXT, O_RDWR | O_CREAT | O_TRUNC |
	    O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    file_write_all(fd, buf_slice(&l->out)) == 0 &&
	    sync_out(fd) == 0 &&
	    linkat(l->dirfd, LEDGER_FILE, l->dirfd, name, 0) == 0 &&
	    fsync(l->dirfd) == 0) {
		fail_point("turning");
		if (renameat(l->dirfd, LEDGER_NEXT, l->dirfd,
		    LEDGER_FILE) == 0 && fsync(l->dirfd) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

int
ledger_turn(struct ledger *l, struct err *err)
{
	int	fd;

	if (l->failed)
		return err_set(err, ERR_UNAVAILABLE,
		    "ledger: an earlier write failed");
	if ((fd = next_file(l)) == -1) {
		l->failed = true;
		return err_set(err, ERR_UNAVAILABLE, "ledger: its next "
		    "file: %s", strerror(errno));
	}
	close(l->fd);
	l->fd = fd;
	l->size = (off_t)l->out.n;
	l->synced = l->chain->seq;
	buf_reset(&l->out);
	return 0;
}

off_t
ledger_size(const struct ledger *l)
{
	return l->size;
}

uint64_t
ledger_seq(const struct ledger *l)
{
	return l->chain->seq;
}

const char *
ledger_hash(const struct ledger *l)
{
	return l->chain->hash;
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
	buf_addc(b, '"');
	buf_puts(b, key);
	buf_puts(b, "\":");
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
ledger_field_base64(struct buf *b, const char *key, struct slice s)
{
	put_key(b, key);
	buf_addc(b, '"');
	base64_encode(s.p, s.n, b);
	buf_addc(b, '"');
}

void
ledger_field_num(struct buf *b, const char *key, int64_t v)
{
	put_key(b, key);
	buf_printf(b, "\"%lld\"", (long long)v);
}
