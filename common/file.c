/*
 * Whole files, read and written: configuration, certificates, what is
 * published.  Secrets: secret.c.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail(struct err *err, const char *path, const char *what)
{
	return err_set(err, ERR_DENIED, "%.120s: %s: %s", path, what,
	    strerror(errno));
}

int
file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	bool in = strcmp(path, "-") == 0;
	FILE *f = in ? stdin : fopen(path, "re");
	struct buf b = { 0 };
	uint8_t block[8192];
	size_t n;
	int rc = 0;

	if (f == NULL)
		return fail(err, path, "open");
	while (rc == 0 && (n = fread(block, 1, sizeof block, f)) > 0) {
		if (n > max - b.n)
			rc = err_set(err, ERR_TOO_BIG,
			    "%.120s: more than %zu bytes", path, max);
		else
			buf_add(&b, block, n);
	}
	if (rc == 0 && ferror(f))
		rc = fail(err, path, "read");
	if (rc == 0)
		buf_add(out, b.p, b.n);
	if (!in)
		fclose(f);
	buf_free(&b);
	return rc;
}

bool
file_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

bool
file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int
file_write_all(int fd, struct slice s)
{
	ssize_t n;

	while (s.n > 0) {
		if ((n = write(fd, s.p, s.n)) < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s.p += n;
		s.n -= (size_t)n;
	}
	return 0;
}

static int
sync_folder_of(const char *path, struct err *err)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = fail(err, path, "fsync of its folder");
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* Takes the descriptor; the file goes away when it cannot be whole. */
static int
fill(int fd, const char *path, unsigned mode, struct slice s, bool durable,
    struct err *err)
{
	int rc = 0;

	/* The mode that was asked for, whatever the umask. */
	if (fchmod(fd, mode) != 0 || file_write_all(fd, s) != 0 ||
	    (durable && fsync(fd) != 0))
		rc = fail(err, path, "write");
	if (close(fd) != 0 && rc == 0)
		rc = fail(err, path, "close");
	if (rc != 0)
		unlink(path);
	return rc;
}

int
file_create(const char *path, unsigned mode, struct slice s, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(err, path, "create");
	if (fill(fd, path, mode, s, true, err) != 0)
		return -1;
	return sync_folder_of(path, err);
}

static int
stage(const char *path, unsigned mode, struct slice s, bool durable,
    char **staged, struct err *err)
{
	struct buf name = { 0 };
	char *temp;
	int fd;

	buf_printf(&name, "%s.XXXXXX", path);
	temp = xstrdup(buf_str(&name));
	buf_free(&name);
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0) {
		fail(err, path, "create");
		free(temp);
		return -1;
	}
	if (fill(fd, temp, mode, s, durable, err) != 0) {
		free(temp);
		return -1;
	}
	*staged = temp;
	return 0;
}

int
file_stage(const char *path, unsigned mode, struct slice s, char **staged,
    struct err *err)
{
	return stage(path, mode, s, true, staged, err);
}

static int
put_in_place(const char *staged, const char *path, struct err *err)
{
	if (rename(staged, path) == 0)
		return 0;
	fail(err, path, "rename");
	unlink(staged);
	return -1;
}

int
file_commit(const char *staged, const char *path, struct err *err)
{
	if (put_in_place(staged, path, err) != 0)
		return -1;
	return sync_folder_of(path, err);
}

int
file_show(const char *path, unsigned mode, struct slice s, struct err *err)
{
	char *staged;
	int rc;

	if (stage(path, mode, s, false, &staged, err) != 0)
		return -1;
	rc = put_in_place(staged, path, err);
	free(staged);
	return rc;
}

int
file_put(const char *path, unsigned mode, struct slice s, struct err *err)
{
	struct stat st;
	char *staged;
	int rc;

	if (path == NULL || strcmp(path, "-") == 0) {
		fflush(stdout);
		return file_write_all(STDOUT_FILENO, s) == 0 ? 0 :
		    fail(err, "standard output", "write");
	}
	/* A device or a pipe is written to, not replaced. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		rc = fd < 0 || file_write_all(fd, s) != 0 ?
		    fail(err, path, "write") : 0;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (file_stage(path, mode, s, &staged, err) != 0)
		return -1;
	rc = file_commit(staged, path, err);
	free(staged);
	return rc;
}

char *
file_path(const char *dir, const char *name, const char *suffix)
{
	struct buf b = { 0 };
	char *path;

	buf_printf(&b, "%s/%s%s", dir, name, suffix);
	path = xstrdup(buf_str(&b));
	buf_free(&b);
	return path;
}
