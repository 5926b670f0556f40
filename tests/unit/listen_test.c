/* The worker's socket: a burst waits in it, and strangers are hung up on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"

#define BURST	900	/* below the usual limit of 1,024 descriptors */

static long
kernel_limit(void)
{
	FILE	*f = fopen("/proc/sys/net/core/somaxconn", "r");
	long	 n = 0;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

static int
knock(const char *path)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	int			fd;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(fd, -1);
	/* As nginx does: EAGAIN here is what it answers 502 to. */
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
test_burst_waits(void **state)
{
	char		dir[] = "/tmp/listen_testXXXXXX", path[64];
	struct wconf	conf = { .mode = 0600, .group = (gid_t)-1 };
	struct err	err = ERR_INIT;
	int		fd, client[BURST], i, in = 0;

	(void)state;
	if (kernel_limit() < BURST)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/worker.sock", dir);
	conf.socket = path;
	fd = listen_open(&conf, &err);
	assert_int_not_equal(fd, -1);
	for (i = 0; i < BURST; i++) {
		client[i] = knock(path);
		in += client[i] != -1;
	}
	for (i = 0; i < BURST; i++)
		if (client[i] != -1)
			close(client[i]);
	listen_close(&conf, fd);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(in, BURST);
}

/* Has the other end closed it, as far as who knocked can see? */
static bool
is_closed(int fd)
{
	char	c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* [security] N4: by the user that the kernel says, of several in the list. */
static void
test_peers(void **state)
{
	char		dir[] = "/tmp/listen_testXXXXXX", path[64];
	struct wconf	conf = { .mode = 0600, .group = (gid_t)-1,
			    .peer = { getuid() + 1, getuid() + 2 } };
	struct err	err = ERR_INIT;
	int		fd, client, s;
	size_t		n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/worker.sock", dir);
	conf.socket = path;
	fd = listen_open(&conf, &err);
	assert_int_not_equal(fd, -1);
	for (n = 0; n <= 2; n++) {	/* nobody, one and two others */
		conf.npeers = n;
		client = knock(path);
		assert_int_equal(listen_accept(&conf, fd), -1);
		assert_true(is_closed(client));
		close(client);
	}
	conf.peer[1] = getuid();
	client = knock(path);
	s = listen_accept(&conf, fd);
	assert_int_not_equal(s, -1);
	assert_false(is_closed(client));
	close(s);
	close(client);
	listen_close(&conf, fd);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_burst_waits),
		cmocka_unit_test(test_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
