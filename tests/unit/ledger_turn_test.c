/*
 * A turn of the ledger's file, call by call: what stands on the disk when, and
 * who comes in between.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "ledger_fixture.h"

static struct ledger	*turning;	/* turns when a file is locked next */
static bool		 linked, durable, renamed;

/* These stand before the C library's. */
int
flock(int fd, int how)
{
	struct ledger	*l = turning;

	turning = NULL;
	if (l != NULL)
		turn(l, 0);
	return (int)syscall(SYS_flock, fd, how);
}

int
linkat(int fd, const char *from, int to_fd, const char *to, int flags)
{
	linked = true;
	durable = renamed = false;
	return (int)syscall(SYS_linkat, fd, from, to_fd, to, flags);
}

int
fsync(int fd)
{
	struct stat	st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		durable = linked;
	return (int)syscall(SYS_fsync, fd);
}

int
renameat(int fd, const char *from, int to_fd, const char *to)
{
	assert_true(durable);
	renamed = true;
	durable = false;
	return (int)syscall(SYS_renameat2, fd, from, to_fd, to, 0);
}

/* The old file's second name, before its first is another's; then that. */
static void
each_name_is_durable(void **state)
{
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);

	add_some(l, 1);
	turn(l, 0);
	assert_true(renamed && durable);
	ledger_close(l);
}

/* Opened when it was the newest, and locked when it was not any more. */
static void
turned_meanwhile(void **state)
{
	struct place	*p = *state;
	struct ledger	*l = must_open(p->dir);
	struct err	 err = ERR_INIT;

	add_some(l, 1);
	turning = l;
	assert_null(ledger_open(p->dir, &err));
	assert_non_null(strstr(err.text, "another signer is at work"));
	add_some(l, 1);
	ledger_close(l);
	l = must_open(p->dir);
	assert_int_equal(ledger_seq(l), 3);
	ledger_close(l);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		TEST(each_name_is_durable),
		TEST(turned_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
