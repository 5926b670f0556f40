#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "place.h"
#include "secret.h"

static int
setup(void **state)
{
	return place_make(state, "key");
}

static void
assert_refused(const char *path, size_t max, const char *said)
{
	struct err	err = ERR_INIT;
	struct buf	b = { 0 };

	assert_int_equal(secret_read(path, max, false, &b, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	if (strstr(err.text, said) == NULL)
		fail_msg("%s instead of %s", err.text, said);
	assert_null(strstr(err.text, "hush"));
	assert_int_equal(b.n, 0);
	buf_wipe(&b);
}

static void
written_and_read(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT, e2 = ERR_INIT;
	struct buf	 b = { 0 };
	struct stat	 st;

	assert_int_equal(secret_write(p->file, slice_str("hush\n\n"), &err),
	    0);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(secret_read(p->file, 6, false, &b, &err), 0);
	assert_true(slice_is(buf_slice(&b), "hush\n\n"));
	buf_wipe(&b);
	assert_int_equal(secret_read(p->file, 6, true, &b, &err), 0);
	assert_true(slice_is(buf_slice(&b), "hush\n"));
	buf_wipe(&b);
	assert_null(b.p);
	/* Never over an existing file. */
	assert_int_equal(secret_write(p->file, slice_str("x"), &e2), -1);
	assert_int_equal(secret_read(p->file, 6, true, &b, &err), 0);
	buf_wipe(&b);
}

static void
open_modes_are_refused(void **state)
{
	static const mode_t	modes[] = { 0440, 0420, 0404, 0402, 0410,
	    0401, 0644, 0660, 0777 };
	struct place		*p = *state;
	struct err		 err = ERR_INIT;
	size_t			 i;

	assert_int_equal(secret_write(p->file, slice_str("hush"), &err), 0);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(p->file, modes[i]), 0);
		assert_refused(p->file, 10, "lets group or others in");
	}
}

static void
odd_files_are_refused(void **state)
{
	struct place	*p = *state;
	struct err	 err = ERR_INIT;

	assert_refused(p->file, 10, "No such file");
	assert_refused(p->dir, 10, "not a regular file");
	assert_int_equal(mkfifo(p->file, 0600), 0);
	assert_refused(p->file, 10, "not a regular file");
	unlink(p->file);
	assert_int_equal(secret_write(p->file, slice_str("hush"), &err), 0);
	assert_refused(p->file, 3, "larger than 3 bytes");
	if (geteuid() == 0) {
		assert_int_equal(chown(p->file, 12345, 0), 0);
		assert_refused(p->file, 10, "owned by user 12345, but user 0");
	}
}

static void
hardens(void **state)
{
	struct err	err = ERR_INIT;

	(void)state;
	assert_int_equal(secret_harden(&err), 0);
}

/* What is opened next is none of them. */
static void
holds_streams(void **state)
{
	struct err	err = ERR_INIT;
	char		c;
	int		in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO), fd;

	(void)state;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	assert_int_equal(secret_harden(&err), 0);
	fd = open("/dev/zero", O_RDWR);
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(read(STDIN_FILENO, &c, 1), -1);
	assert_int_equal(write(STDOUT_FILENO, "", 1), -1);
	close(fd);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	close(in);
	close(out);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		TEST(written_and_read),
		TEST(open_modes_are_refused),
		TEST(odd_files_are_refused),
		TEST(hardens),
		TEST(holds_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
