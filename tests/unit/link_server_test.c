/* A signer's side of the link: strangers, odd frames, lost workers. */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <stdatomic.h>

#include "link_fixture.h"

static atomic_llong later;	/* s */

/* For all but ZeroMQ's own threads, which would miss their heartbeats. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	char name[16] = "";
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	(void)prctl(PR_GET_NAME, name);
	if (id == CLOCK_MONOTONIC && strncmp(name, "ZMQbg", 5) != 0)
		ts->tv_sec += (time_t)atomic_load(&later);
	return rc;
}

static void
test_strangers(void **state)
{
	struct link_keys unknown, wrong_server;
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	const char *uri = link_server_uri(s);
	void *ctx = zmq_ctx_new(), *sock[4];
	int64_t end;
	int zero = 0;
	size_t i;

	(void)state;
	keypair(&unknown);
	keypair(&wrong_server);
	sock[0] = raw_peer(ctx, uri, NULL, NULL);
	sock[1] = raw_peer(ctx, uri, &unknown, signer_keys.pub);
	sock[2] = raw_peer(ctx, uri, &worker_keys, wrong_server.pub);
	sock[3] = zmq_socket(ctx, ZMQ_DEALER);
	zmq_setsockopt(sock[3], ZMQ_LINGER, &zero, sizeof(zero));
	zmq_setsockopt(sock[3], ZMQ_PLAIN_USERNAME, "worker-1", 8);
	zmq_setsockopt(sock[3], ZMQ_PLAIN_PASSWORD, "x", 1);
	zmq_connect(sock[3], uri);
	for (i = 0; i < 4; i++)
		raw_send(sock[i], 2, 16, 10);
	end = link_now_ms() + LONG_MS;
	do
		assert_int_equal(received(s, 100), 0);
	while (link_zap_refused(link_server_zap(s)) < 2 &&
	    link_now_ms() < end);
	assert_int_equal(received(s, 300), 0);
	assert_true(link_zap_refused(link_server_zap(s)) >= 2);
	for (i = 0; i < 4; i++)
		zmq_close(sock[i]);
	/* And the right one gets in. */
	sock[0] = raw_peer(ctx, uri, &worker_keys, signer_keys.pub);
	raw_send(sock[0], 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	zmq_close(sock[0]);
	link_server_free(s);
	zmq_ctx_term(ctx);
}

static void
test_frames(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock;

	(void)state;
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock, 1, 16, 0);	/* no message */
	raw_send(sock, 2, 15, 10);	/* short id */
	raw_send(sock, 2, 16, 0);	/* empty message */
	raw_send(sock, 3, 16, 10);	/* a frame too many */
	raw_send(sock, 30, 16, 10);
	raw_send(sock, 2, 16, MSG_MAX);	/* at the limit */
	assert_int_equal(received(s, LONG_MS), 1);
	assert_int_equal(received(s, 50), 0);
	/* Beyond it ZeroMQ ends the connection. */
	raw_send(sock, 2, 16, MSG_MAX + 1);
	assert_int_equal(received(s, 200), 0);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	link_server_free(s);
}

/* What a worker may have waiting in our memory, when nobody takes it. */
static void
test_waiting_messages(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	static uint8_t big[MSG_MAX];
	void *ctx = zmq_ctx_new(), *sock;
	int one = 1, patience = 3000, n;

	(void)state;
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	zmq_setsockopt(sock, ZMQ_SNDHWM, &one, sizeof(one));
	zmq_setsockopt(sock, ZMQ_SNDTIMEO, &patience, sizeof(patience));
	for (n = 0; n < 4000 && zmq_send(sock, big, 16, ZMQ_SNDMORE) == 16 &&
	    zmq_send(sock, big, sizeof(big), 0) == MSG_MAX; n++)
		;
	/* More came while nobody looked: see GUARD_LOOK_MS. */
	if (n == 4000)
		fail_msg("%d messages of %d octets were taken", n, MSG_MAX);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	link_server_free(s);
}

/*
 * A database that stalls, and a worker that is restarted meanwhile: libzmq must
 * not be at its limit then, or the next heartbeat ends the program.
 */
static void
test_hung_up(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock;
	int i, n = 0;

	(void)state;
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	for (i = 0; i < 500; i++)
		raw_send(sock, 2, 16, 60000);
	sleep(1);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	sleep(11);	/* LINK_HEARTBEAT_MS, twice: nobody is there, who reads? */
	while (received(s, 1000) == 1)
		n++;
	assert_in_range(n, 64, 500);
	link_server_free(s);
}

/* Has the other side ended a connection? */
static bool
is_ended(void *events, int patience)
{
	zmq_pollitem_t item = { events, 0, ZMQ_POLLIN, 0 };
	int64_t end = link_now_ms() + patience;
	uint8_t head[6], address[256];
	uint16_t event = 0;

	while (event != ZMQ_EVENT_DISCONNECTED && link_now_ms() < end) {
		if (zmq_poll(&item, 1, 100) < 1)
			continue;
		zmq_recv(events, head, sizeof(head), 0);
		zmq_recv(events, address, sizeof(address), 0);
		memcpy(&event, head, sizeof(event));
	}
	return event == ZMQ_EVENT_DISCONNECTED;
}

static void *
events_of(void *ctx, void *sock, const char *name)
{
	void *events = zmq_socket(ctx, ZMQ_PAIR);

	zmq_socket_monitor(sock, name, ZMQ_EVENT_DISCONNECTED);
	zmq_connect(events, name);
	return events;
}

/* One message that has no end, as far as anybody can see. */
static void
send_parts(void *sock, size_t n)
{
	static uint8_t part[65536];

	for (; n > sizeof(part); n -= sizeof(part))
		assert_int_equal(zmq_send(sock, part, sizeof(part),
		    ZMQ_SNDMORE), sizeof(part));
	zmq_send(sock, part, n, 0);
}

/* [security] Z4: a message of parts is whole in memory before it is one. */
static void
test_endless_message(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *good, *bad, *events[2];
	char uri[320];

	(void)state;
	/* Of another host: all connections of one are closed. */
	snprintf(uri, sizeof(uri), "tcp://127.0.0.2:0;%s",
	    link_server_uri(s) + strlen("tcp://"));
	good = raw_peer(ctx, uri, &other_keys, signer_keys.pub);
	bad = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(good, 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	raw_send(bad, 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	events[0] = events_of(ctx, good, "inproc://good");
	events[1] = events_of(ctx, bad, "inproc://bad");
	/* As much in whole messages, which are taken, is nobody's harm. */
	for (int i = 0; i < 500; i++) {
		raw_send(good, 2, 16, 200000);
		assert_int_equal(received(s, LONG_MS), 1);
	}
	send_parts(bad, 150000000);
	assert_true(is_ended(events[1], LONG_MS));
	assert_false(is_ended(events[0], 300));
	raw_send(good, 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	zmq_socket_monitor(good, NULL, 0);
	zmq_socket_monitor(bad, NULL, 0);
	zmq_close(events[0]);
	zmq_close(events[1]);
	zmq_close(good);
	zmq_close(bad);
	zmq_ctx_term(ctx);
	link_server_free(s);
}

/* Nor does one fill it that has been there for months, and quiet. */
static void
test_old_connection(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock, *events;

	(void)state;
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock, 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	events = events_of(ctx, sock, "inproc://old");
	atomic_store(&later, 100 * 86400);
	assert_false(is_ended(events, 300));
	send_parts(sock, 150000000);
	assert_true(is_ended(events, LONG_MS));
	zmq_socket_monitor(sock, NULL, 0);
	zmq_close(events);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	link_server_free(s);
	/* Not before: who waits for 50 ms would wait for 100 days. */
	atomic_store(&later, 0);
}

#define CONNECTIONS	300	/* more than link_guard.c lets one host have */

static void
test_many_connections(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock[CONNECTIONS];
	int i, n = 0;

	(void)state;
	for (i = 0; i < CONNECTIONS; i++) {
		sock[i] = raw_peer(ctx, link_server_uri(s), &worker_keys,
		    signer_keys.pub);
		raw_send(sock[i], 2, 16, 10);
	}
	while (received(s, 1000) == 1)
		n++;
	/* One that is refused may have been heard before. */
	assert_in_range(n, 256, CONNECTIONS - 1);
	/* Who comes again finds the place of one that went. */
	for (i = 0; i < CONNECTIONS; i++)
		zmq_close(sock[i]);
	sock[0] = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock[0], 2, 16, 10);
	assert_int_equal(received(s, LONG_MS), 1);
	zmq_close(sock[0]);
	zmq_ctx_term(ctx);
	link_server_free(s);
}

static void
test_gone_worker(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock;
	struct err err = ERR_INIT;
	struct link_job job;
	int i, rc = 0;

	(void)state;
	memset(&job, 0, sizeof(job));
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock, 2, 16, 10);
	assert_int_equal(link_recv(s, &job, LONG_MS, &err), 1);
	assert_string_equal(job.worker, "worker-1");
	assert_int_equal(link_send(s, &job, slice_str(""), &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	for (i = 0; i < 2000 && rc == 0; i++) {
		memset(&err, 0, sizeof(err));
		rc = link_send(s, &job, slice_str("late"), &err);
		usleep(10000);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(err.text, "worker worker-1 is gone");
	link_job_free(&job);
	link_server_free(s);
}

/* Without its handler a server takes nobody, and says so. */
static void
test_handler_dies(void **state)
{
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	void *ctx = zmq_ctx_new(), *sock;
	struct err err = ERR_INIT;
	struct link_job job;
	int64_t end;
	int rc;

	(void)state;
	memset(&job, 0, sizeof(job));
	link_zap_kill(link_server_zap(s));
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock, 2, 16, 10);
	end = link_now_ms() + LONG_MS;
	while ((rc = link_recv(s, &job, 200, &err)) == 0 &&
	    link_now_ms() < end)
		;
	assert_int_equal(rc, -1);
	assert_non_null(strstr(err.text, "handler has stopped"));
	assert_int_equal(link_recv(s, &job, -1, &err), -1);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	link_job_free(&job);
	link_server_free(s);
}

static void
on_alarm(int sig)
{
	(void)sig;
}

static void
test_interrupted(void **state)
{
	struct itimerval t = { { 0, 0 }, { 0, 100000 } };
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	struct sigaction sa;
	int64_t start = link_now_ms();

	(void)state;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_alarm;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	assert_int_equal(received(s, 2 * LONG_MS), 0);
	assert_in_range(link_now_ms() - start, 50, LONG_MS);
	link_server_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_waiting_messages),
		cmocka_unit_test(test_hung_up),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_endless_message),
		cmocka_unit_test(test_old_connection),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_gone_worker),
		cmocka_unit_test(test_handler_dies),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
