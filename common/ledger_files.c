/* The ledger: its files, and reading all of them in their order. */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger_chain.h"

#define DIGITS		20		/* of an older file's name */
#define HASH_END	(64 + 3)	/* a file's end: hash, "}, newline */

void
files_name(uint64_t last, char name[LEDGER_NAME])
{
	snprintf(name, LEDGER_NAME, "%s.%0*llu", LEDGER_FILE, DIGITS,
	    (unsigned long long)last);
}

static bool
parse_name(const char *name, uint64_t *last)
{
	const size_t	n = sizeof(LEDGER_FILE ".") - 1;

	if (strncmp(name, LEDGER_FILE ".", n) != 0 ||
	    strspn(name + n, "0123456789") != DIGITS ||
	    name[n + DIGITS] != '\0')
		return false;
	errno = 0;
	*last = strtoull(name + n, NULL, 10);
	return errno == 0 && *last != 0;
}

static int
by_number(const void *a, const void *b)
{
	const uint64_t	*x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int
files_list(int dirfd, struct ledger_files *f, struct err *err)
{
	size_t		 cap = 0;
	struct dirent	*e;
	uint64_t	 last;
	int		 fd;
	DIR		*d;

	memset(f, 0, sizeof(*f));
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		return err_set(err, ERR_INTERNAL, "ledger: its folder: %s",
		    strerror(errno));
	while ((e = readdir(d)) != NULL) {
		if (!parse_name(e->d_name, &last))
			continue;
		f->last = xgrow(f->last, f->n, &cap, sizeof(*f->last));
		f->last[f->n++] = last;
	}
	closedir(d);
	if (f->n > 0)
		qsort(f->last, f->n, sizeof(*f->last), by_number);
	return 0;
}

void
files_free(struct ledger_files *f)
{
	free(f->last);
	memset(f, 0, sizeof(*f));
}

bool
files_is(int dirfd, const char *name, int fd)
{
	struct stat	a, b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b,
	    AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

bool
files_drop(int dirfd, int fd, struct ledger_files *f)
{
	char		name[LEDGER_NAME];

	if (f->n == 0)
		return false;
	files_name(f->last[f->n - 1], name);
	if (!files_is(dirfd, name, fd))
		return false;
	f->n--;
	return true;
}

static int
open_older(int dirfd, uint64_t last, struct err *err)
{
	char	name[LEDGER_NAME];
	int	fd;

	files_name(last, name);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		err_set(err, ERR_INTERNAL, "%s: %s", name, strerror(errno));
	return fd;
}

int
files_follow(int dirfd, const struct ledger_files *f,
    const struct ledger_chain *c, struct err *err)
{
	char		end[HASH_END] = "";
	struct stat	st;
	int		fd;
	bool		same;

	if (f->n == 0)
		return 0;	/* kept elsewhere, or this is the first */
	if (c->before != f->last[f->n - 1])
		return err_set(err, ERR_INTERNAL, "ledger: its file does not "
		    "follow the older one, which ends with entry %llu; put "
		    "the right one back", (unsigned long long)
		    f->last[f->n - 1]);
	if ((fd = open_older(dirfd, c->before, err)) == -1)
		return -1;
	same = fstat(fd, &st) == 0 && st.st_size > HASH_END && pread(fd, end,
	    HASH_END, st.st_size - HASH_END) == HASH_END &&
	    memcmp(end, c->before_hash, 64) == 0;
	close(fd);
	return same ? 0 : err_set(err, ERR_INTERNAL, "ledger: its file does "
	    "not follow the older one: another entry %llu",
	    (unsigned long long)c->before);
}

struct walk {
	int	(*cb)(void *, const struct ledger_entry *, struct err *);
	void	 *arg;
};

/* One that no signer writes any more: nothing in it is unfinished. */
static int
walk_older(struct ledger_chain *c, int dirfd, uint64_t last,
    const struct walk *w, struct err *err)
{
	struct stat	st;
	off_t		good = 0;
	int		fd, ret;

	if ((fd = open_older(dirfd, last, err)) == -1)
		return -1;
	ret = chain_read(c, fd, w->cb, w->arg, &good, err);
	if (ret == 0 && (fstat(fd, &st) == -1 || st.st_size != good ||
	    c->seq != last))
		ret = err_set(err, ERR_INTERNAL, "ledger: line %llu: is not "
		    "the last of its file, %llu", (unsigned long long)c->seq,
		    (unsigned long long)last);
	c->base += good;
	close(fd);
	return ret;
}

static int
walk_files(int dirfd, int fd, uint64_t seq, const struct walk *w,
    struct err *err)
{
	struct ledger_files	 f;
	struct ledger_chain	*c;
	off_t			 good;
	size_t			 i = 0;
	int			 ret = 0;

	if (files_list(dirfd, &f, err) == -1)
		return -1;
	files_drop(dirfd, fd, &f);
	while (i < f.n && (seq == 0 || f.last[i] < seq))
		i++;
	c = chain_new();
	c->later = seq != 1;
	for (; i < f.n && ret == 0; i++)
		ret = walk_older(c, dirfd, f.last[i], w, err);
	if (ret == 0)
		ret = chain_read(c, fd, w->cb, w->arg, &good, err);
	chain_free(c);
	files_free(&f);
	return ret;
}

/* The folder and its newest file, in fd[0] and fd[1]. */
static int
open_newest(const char *dir, int fd[2])
{
	fd[0] = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd[1] = fd[0] == -1 ? -1 : openat(fd[0], LEDGER_FILE, O_RDONLY |
	    O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	return fd[1] == -1 ? -1 : 0;
}

static void
close_newest(const int fd[2])
{
	if (fd[1] != -1)
		close(fd[1]);
	if (fd[0] != -1)
		close(fd[0]);
}

/*
 * A signer may be writing while we read, so an unfinished last line is left
 * out and is no damage: nothing can have been built on it.  The newest file is
 * opened first: should it become an older one meanwhile, it is still the one
 * that follows those.
 */
int
ledger_walk_from(const char *dir, uint64_t seq,
    int (*cb)(void *, const struct ledger_entry *, struct err *), void *arg,
    struct err *err)
{
	const struct walk	w = { cb, arg };
	int			fd[2], ret = -1;

	if (open_newest(dir, fd) == -1)
		err_set(err, ERR_INTERNAL, "%s/%s: %s", dir, LEDGER_FILE,
		    strerror(errno));
	else
		ret = walk_files(fd[0], fd[1], seq, &w, err);
	close_newest(fd);
	return ret;
}

int
ledger_walk(const char *dir,
    int (*cb)(void *, const struct ledger_entry *, struct err *), void *arg,
    struct err *err)
{
	return ledger_walk_from(dir, 1, cb, arg, err);
}

off_t
ledger_total(const char *dir)
{
	struct ledger_files	f = { NULL, 0 };
	char			name[LEDGER_NAME];
	struct err		ignored = ERR_INIT;
	struct stat		st;
	off_t			total = 0;
	size_t			i;
	int			fd[2];

	if (open_newest(dir, fd) == 0 && fstat(fd[1], &st) == 0 &&
	    files_list(fd[0], &f, &ignored) == 0) {
		total = st.st_size;
		files_drop(fd[0], fd[1], &f);
	}
	for (i = 0; i < f.n; i++) {
		files_name(f.last[i], name);
		if (fstatat(fd[0], name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			total += st.st_size;
	}
	files_free(&f);
	close_newest(fd);
	return total;
}
