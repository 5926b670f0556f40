/*
 * A crash at a chosen moment: the process kills itself before the call of
 * fsync, fdatasync, rename or (to the database) send that CRASH_AT counts to.
 * Built and preloaded by conftest.py.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void
step(void)
{
	static long n;
	const char *at = getenv("CRASH_AT");

	if (at != NULL && ++n == atol(at))
		kill(getpid(), SIGKILL);
}

int
fsync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	step();
	return next(fd);
}

int
fdatasync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	step();
	return next(fd);
}

int
rename(const char *from, const char *to)
{
	int (*next)(const char *, const char *) =
	    (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");

	step();
	return next(from, to);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	ssize_t (*next)(int, const void *, size_t, int) =
	    (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT,
	    "send");

	step();
	return next(fd, p, n, flags);
}
