/*
 * What answers at a signer's address speaks another protocol, or breaks it;
 * or there is nothing left to ask with.
 */
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>

#include "link_fixture.h"

/* ZMTP 3.0, 2.2: signature, version, mechanism, who is the server. */
#define GREETING	64

static int
listener(char uri[64])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(uri, 64, "tcp://127.0.0.1:%d", ntohs(a.sin_port));
	return fd;
}

/* The next that connects is told this. */
static void
say(int fd, const uint8_t *p, size_t n)
{
	uint8_t in[GREETING];
	int c = accept(fd, NULL, NULL);

	assert_true(c != -1);
	assert_true(recv(c, in, sizeof(in), 0) > 0);
	assert_int_equal(send(c, p, n, MSG_NOSIGNAL), n);
	usleep(100000);
	close(c);
}

static void
broken(const uint8_t *said, size_t n)
{
	struct link_pool *p;
	struct signer s;
	struct link *l;
	char uri[64];
	int fd = listener(uri);
	uint8_t id[16] = { 1 };
	struct buf reply = { NULL, 0, 0 };
	struct link_question q = { .msg = slice_str("hello"),
	    .reply = &reply };

	p = pool_of(uri, NULL, &worker_keys);
	l = link_of(p);
	memcpy(q.id, id, sizeof(q.id));
	link_ask(l, &q);
	say(fd, said, n);
	close(fd);
	while (link_next(l) == NULL)
		link_wait(l);
	assert_int_equal(q.err.kind, ERR_UNAVAILABLE);
	signer_start(&s, uri);
	assert_connected(l, 2, ">worker-1:hello");
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
	buf_free(&reply);
}

static void
test_another_protocol(void **state)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	(void)state;
	broken((const uint8_t *)http, sizeof(http) - 1);
}

/* As when bytes of the handshake are changed on the way. */
static void
test_broken_handshake(void **state)
{
	uint8_t said[GREETING + 202] = { 0xff, [9] = 0x7f, 3, 1, 'C', 'U',
	    'R', 'V', 'E', [32] = 1, [GREETING] = 4, 200, 7, 'W', 'E', 'L',
	    'C', 'O', 'M', 'E' };

	(void)state;
	broken(said, sizeof(said));
}

/* As in a process whose other threads have them all. */
static void
test_no_descriptors(void **state)
{
	struct err err = ERR_INIT;
	struct rlimit old, none;
	struct link_pool *p;
	struct link *l, *other;
	struct signer s;
	char got[64];
	int fd;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	other = link_of(p);
	assert_connected(l, 1, ">worker-1:hello");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true((fd = open("/dev/null", O_RDONLY)) != -1);
	close(fd);
	none = old;
	none.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ask(other, 2, got, sizeof(got), &err), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_connected(other, 3, ">worker-1:hello");
	link_free(l);
	link_free(other);
	link_pool_free(p);
	signer_stop(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_protocol),
		cmocka_unit_test(test_broken_handshake),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
