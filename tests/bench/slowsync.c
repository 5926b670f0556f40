/*
 * A slower disk: preloaded, each fsync and fdatasync takes SLOW_SYNC_MS
 * milliseconds more.
 */
#include <sys/syscall.h>

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int	fsync(int);
int	fdatasync(int);

static void
pause_ms(void)
{
	const char	*s = getenv("SLOW_SYNC_MS");
	long		 us = s != NULL ? (long)(atof(s) * 1000) : 0;
	struct timespec	 ts = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

int
fsync(int fd)
{
	pause_ms();
	return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	pause_ms();
	return (int)syscall(SYS_fdatasync, fd);
}
