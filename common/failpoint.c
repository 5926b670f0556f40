/* Where tests/faults makes a process die; empty in every build but theirs. */
#include "failpoint.h"

#ifdef FAILPOINTS
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fail_point(const char *name)
{
	const char *path = getenv("FAILPOINT"), *what = NULL;
	char told[64] = "";
	int fd;

	if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	if (read(fd, told, sizeof(told) - 1) > 0)
		what = strncmp(told, "stop ", 5) == 0 ? told + 5 : told;
	close(fd);
	if (what != NULL && strcmp(what, name) == 0 && unlink(path) == 0)
		(void)raise(what == told ? SIGKILL : SIGSTOP);
}

void
fail_spy(struct slice digest)
{
	const char *path = getenv("FAILPOINT_SPY");
	struct buf line = { 0 };
	int fd;

	if (path == NULL)
		return;
	buf_hex(&line, digest.p, digest.n);
	buf_addc(&line, '\n');
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd == -1 || write(fd, line.p, line.n) != (ssize_t)line.n)
		abort();
	close(fd);
	buf_free(&line);
}
#endif
