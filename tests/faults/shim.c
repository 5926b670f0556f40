/*
 * What lies beneath a program fails: LD_PRELOAD.
 *
 *	SHIM_EIO	fdatasync says EIO while this file exists; a process
 *			that asks again after that leaves SHIM_EIO.again
 *	SHIM_MALLOC	a file with a number of four octets: of so many
 *			allocations one fails; 0: none
 *	SHIM_DISK	files below this mount may lose their power: what each
 *			had before a write that is not yet synced goes into
 *	SHIM_UNDO	this folder, a file for each inode; see power.py
 */
#define _GNU_SOURCE
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REAL(name)	((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Before the data that a write takes the place of. */
struct record {
	int64_t	at, n, size;	/* of the file, before */
};

/* glibc's own, which a lookup by name would need before it is there. */
extern void	*__libc_malloc(size_t), *__libc_calloc(size_t, size_t),
		*__libc_realloc(void *, size_t);

static const _Atomic uint32_t *one_in;	/* mapped */
static atomic_uint allocations;
static dev_t disk;
static const char *undo;

static void __attribute__((constructor))
begin(void)
{
	const char *path = getenv("SHIM_MALLOC"), *mount = getenv("SHIM_DISK");
	struct stat st;
	void *p = MAP_FAILED;
	int fd;

	if (mount != NULL && stat(mount, &st) == 0) {
		disk = st.st_dev;
		undo = getenv("SHIM_UNDO");
	}
	if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	p = mmap(NULL, 4, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		one_in = p;
}

static bool
is_out(void)
{
	uint32_t n = one_in == NULL ? 0 : atomic_load(one_in);

	if (n == 0 || (atomic_fetch_add(&allocations, 1) * 2654435761u >> 8) %
	    n != 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t n)
{
	return is_out() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return is_out() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return is_out() ? NULL : __libc_realloc(p, n);
}

/* The log of this file, locked, or -1 when none is kept. */
static int
open_log(int fd, struct stat *st)
{
	char path[256];
	int log, saved = errno;

	if (undo == NULL || fstat(fd, st) == -1 || st->st_dev != disk ||
	    !S_ISREG(st->st_mode)) {
		errno = saved;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%llu", undo,
	    (unsigned long long)st->st_ino);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log == -1 || flock(log, LOCK_EX) == -1 || fstat(fd, st) == -1)
		abort();
	errno = saved;
	return log;
}

/* What stands at these octets; returns the log, to be closed after. */
static int
remember(int fd, off_t at, size_t n)
{
	struct stat st;
	struct record r;
	int log = open_log(fd, &st), saved = errno;
	char *old;

	if (log == -1)
		return -1;
	if (at == -1)
		at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? st.st_size :
		    lseek(fd, 0, SEEK_CUR);
	r = (struct record){ at, 0, st.st_size };
	if (at < st.st_size)
		r.n = st.st_size - at < (off_t)n ? st.st_size - at : (off_t)n;
	old = __libc_malloc((size_t)r.n + 1);
	if (old == NULL ||
	    (r.n > 0 && pread(fd, old, (size_t)r.n, at) != r.n) ||
	    REAL(write)(log, &r, sizeof(r)) != sizeof(r) ||
	    REAL(write)(log, old, (size_t)r.n) != r.n)
		abort();
	free(old);
	errno = saved;
	return log;
}

static ssize_t
after(int log, ssize_t rc)
{
	int saved = errno;

	if (log != -1)
		close(log);
	errno = saved;
	return rc;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	int log = remember(fd, -1, n);

	return after(log, REAL(write)(fd, p, n));
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	int log = remember(fd, at, n);

	return after(log, REAL(pwrite)(fd, p, n, at));
}

ssize_t
pwritev(int fd, const struct iovec *v, int count, off_t at)
{
	size_t n = 0;
	int i, log;

	for (i = 0; i < count; i++)
		n += v[i].iov_len;
	log = remember(fd, at, n);
	return after(log, REAL(pwritev)(fd, v, count, at));
}

int
ftruncate(int fd, off_t n)
{
	struct stat st;
	int log = -1;

	if (undo != NULL && fstat(fd, &st) == 0 && n < st.st_size)
		log = remember(fd, n, (size_t)(st.st_size - n));
	return (int)after(log, REAL(ftruncate)(fd, n));
}

/* What is on the disk is not taken back. */
static int
synced(int fd, int (*sync)(int))
{
	struct stat st;
	int log = open_log(fd, &st), rc = sync(fd);

	if (rc == 0 && log != -1 && REAL(ftruncate)(log, 0) == -1)
		abort();
	return (int)after(log, rc);
}

int
fsync(int fd)
{
	return synced(fd, REAL(fsync));
}

/* A disk that failed once is not to be trusted. */
static void
tell_again(const char *path)
{
	char name[256];
	int fd;

	snprintf(name, sizeof(name), "%s.again", path);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd != -1)
		close(fd);
}

int
fdatasync(int fd)
{
	static atomic_bool failed;
	const char *path = getenv("SHIM_EIO");

	if (path != NULL && atomic_load(&failed))
		tell_again(path);
	if (path != NULL && access(path, F_OK) == 0) {
		atomic_store(&failed, true);
		errno = EIO;
		return -1;
	}
	return synced(fd, REAL(fdatasync));
}
