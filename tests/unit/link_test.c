/*
 * The link over real sockets: who is let in, what is dropped, and what a
 * worker does when a signer does not answer.
 */
#include <sys/epoll.h>

#include <dlfcn.h>

#include "link_fixture.h"

#define MUTE_MS	3000	/* how long one that does not answer is left alone */

/* ZeroMQ's, but slow; or, asked for events, only back when connected. */
static _Thread_local useconds_t send_us;
static _Thread_local bool until_up;

int
zmq_send(void *sock, const void *p, size_t n, int flags)
{
	int (*real)(void *, const void *, size_t, int);

	*(void **)&real = dlsym(RTLD_NEXT, "zmq_send");
	usleep(send_us);
	return real(sock, p, n, flags);
}

int
zmq_getsockopt(void *sock, int opt, void *value, size_t *n)
{
	int (*real)(void *, int, void *, size_t *), rc;

	*(void **)&real = dlsym(RTLD_NEXT, "zmq_getsockopt");
	rc = real(sock, opt, value, n);
	while (rc == 0 && opt == ZMQ_EVENTS && until_up &&
	    (*(int *)value & ZMQ_POLLOUT) == 0) {
		usleep(1000);
		rc = real(sock, opt, value, n);
	}
	return rc;
}

static void
test_keys(void **state)
{
	struct link_keys made, got;
	struct err err = ERR_INIT;
	char path[128];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(link_keys_create(path, &made, &err), 0);
	assert_int_equal(link_keys_load(path, &got, &err), 0);
	assert_string_equal(made.pub, got.pub);
	assert_string_equal(made.sec, got.sec);
	assert_int_equal(link_keys_create(path, &made, &err), -1);
	link_keys_free(&got);
	assert_int_equal(got.sec[0], 0);
	link_keys_free(NULL);

	snprintf(path, sizeof(path), "%s/bad", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%040d\n", 7);
	fclose(f);
	memset(&err, 0, sizeof(err));
	chmod(path, 0644);
	assert_int_equal(link_keys_load(path, &got, &err), -1);
	chmod(path, 0400);
	memset(&err, 0, sizeof(err));
	f = fopen(path, "w");
	if (f != NULL) {
		fprintf(f, "too short\n");
		fclose(f);
		assert_int_equal(link_keys_load(path, &got, &err), -1);
		assert_non_null(strstr(err.text, "40 characters"));
	}
}

static void
test_round_trip(void **state)
{
	struct link_pool *p1, *p2;
	struct link *l1, *l2, *l3;
	struct signer s;
	int i;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p1 = pool_of(s.uri, NULL, &worker_keys);
	p2 = pool_of(s.uri, NULL, &other_keys);
	l1 = link_of(p1);
	l2 = link_of(p1);
	l3 = link_of(p2);
	assert_connected(l1, 100, ">worker-1:hello");
	assert_connected(l2, 100, ">worker-1:hello");
	assert_connected(l3, 100, ">worker-2:hello");
	for (i = 0; i < 20; i++) {
		assert_answer(l1, (uint8_t)i, ">worker-1:hello");
		assert_answer(l3, (uint8_t)i, ">worker-2:hello");
		assert_answer(l2, (uint8_t)i, ">worker-1:hello");
	}
	link_free(l1);
	link_free(l2);
	link_free(l3);
	link_pool_free(p1);
	link_pool_free(p2);
	signer_stop(&s);
	link_free(NULL);
	link_pool_free(NULL);
	link_server_free(NULL);
}

static void
test_late_answer(void **state)
{
	struct link_pool *p;
	struct signer s;
	struct link *l;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	assert_connected(l, 1, ">worker-1:hello");
	/* The first is held back and answered twice when it is repeated. */
	atomic_store(&s.late, 1);
	assert_answer(l, 2, ">worker-1:hello");
	/* Its second answer waits in the socket and is not ours. */
	assert_answer(l, 3, ">worker-1:hello");
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

static void
test_mute_signer(void **state)
{
	struct link_pool *p;
	struct signer s[2];
	struct link *l;
	int64_t start;
	int i, n, seen;

	(void)state;
	signer_start(&s[0], "tcp://127.0.0.1:*");
	signer_start(&s[1], "tcp://127.0.0.1:*");
	p = pool_of(s[0].uri, s[1].uri, &worker_keys);
	l = link_of(p);
	/* In turn, once both are connected. */
	for (i = 0; i < 1000 && (atomic_load(&s[0].seen) < 2 ||
	    atomic_load(&s[1].seen) < 2); i++) {
		assert_connected(l, 0, ">worker-1:hello");
		usleep(10000);
	}
	assert_true(i < 1000);
	seen = atomic_load(&s[0].seen);
	atomic_store(&s[0].mute, 1);
	start = link_now_ms();
	for (i = 0; i < 6; i++)
		assert_answer(l, (uint8_t)(10 + i), ">worker-1:hello");
	assert_true(link_now_ms() - start >= TRY_MS - 20);
	/* Only one of the six waited for the mute one, and one later on. */
	assert_seen(&s[0], seen + 1);
	assert_true(atomic_load(&s[0].seen) - seen <=
	    1 + (link_now_ms() - start) / MUTE_MS);
	atomic_store(&s[1].mute, 1);
	n = atomic_load(&s[0].seen);
	seen = atomic_load(&s[1].seen);
	assert_true(assert_unavailable(l) <= LONG_MS);
	assert_seen(&s[1], seen + 1);
	assert_true(atomic_load(&s[0].seen) - n +
	    atomic_load(&s[1].seen) - seen <= 4);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s[0]);
	signer_stop(&s[1]);
}

/* A signer without the key: the other is asked, and waited for. */
static void
test_key_elsewhere(void **state)
{
	struct link_pool *p;
	struct signer s[2];
	struct link *l;
	struct buf reply = { NULL, 0, 0 };
	struct err err = ERR_INIT;
	uint8_t id[16] = { 7 };
	char uri[256];
	int i;

	(void)state;
	signer_start(&s[0], "tcp://127.0.0.1:*");
	signer_start(&s[1], "tcp://127.0.0.1:*");
	atomic_store(&s[0].elsewhere, 1);
	p = pool_of(s[0].uri, s[1].uri, &worker_keys);
	l = link_of(p);
	for (i = 0; i < 1000 && atomic_load(&s[0].seen) < 2; i++) {
		assert_connected(l, (uint8_t)i, ">worker-1:hello");
		usleep(10000);
	}
	assert_true(i < 1000);
	assert_true(atomic_load(&s[1].seen) >= i);
	/* Nobody has it: that is the answer, and soon. */
	atomic_store(&s[1].elsewhere, 1);
	assert_int_equal(link_call(l, id, slice_str("hello"), &reply, &err),
	    0);
	assert_true(answer_is_elsewhere(buf_slice(&reply)));
	buf_free(&reply);
	/* Who has it is away: no answer but that. */
	snprintf(uri, sizeof(uri), "%s", s[1].uri);
	signer_stop(&s[1]);
	assert_true(assert_unavailable(l) >= TRY_MS - 20);
	signer_start(&s[1], uri);
	for (i = 0; i < 400 && link_call(l, id, slice_str("hello"), &reply,
	    &err) == -1; i++)
		memset(&err, 0, sizeof(err));
	assert_int_equal(err.kind, ERR_NONE);
	assert_false(answer_is_elsewhere(buf_slice(&reply)));
	buf_free(&reply);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s[0]);
	signer_stop(&s[1]);
}

static void
test_one_mute_signer(void **state)
{
	struct link_pool *p;
	struct signer s;
	struct link *l;
	int64_t took;
	int seen;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	assert_connected(l, 3, ">worker-1:hello");
	seen = atomic_load(&s.seen);
	atomic_store(&s.mute, 1);
	took = assert_unavailable(l);
	assert_seen(&s, seen + 2);
	assert_int_equal(atomic_load(&s.seen), seen + 2);
	assert_in_range(took, 2 * TRY_MS - 20, LONG_MS);
	atomic_store(&s.mute, 0);
	assert_connected(l, 4, ">worker-1:hello");
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

static void
test_nobody_there(void **state)
{
	struct link_pool *p;
	struct link *l;

	(void)state;
	p = pool_of("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", &worker_keys);
	l = link_of(p);
	assert_in_range(assert_unavailable(l), TRY_MS - 20, LONG_MS);
	link_free(l);
	link_pool_free(p);
}

static void
test_signer_gone_and_back(void **state)
{
	struct link_pool *p;
	struct signer s;
	struct link *l;
	char uri[256];
	int64_t took;

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	assert_connected(l, 1, ">worker-1:hello");
	snprintf(uri, sizeof(uri), "%s", s.uri);
	signer_stop(&s);
	took = assert_unavailable(l);
	assert_in_range(took, TRY_MS - 20, LONG_MS);
	signer_start(&s, uri);
	assert_connected(l, 2, ">worker-1:hello");
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

#define MANY	40

struct crowd {
	struct link_question	 q[MANY];
	struct buf		 reply[MANY];
	char			 text[MANY][20];
};

static void
crowd_ask(struct crowd *c, struct link *l, int from, int to)
{
	int i;

	for (i = from; i < to; i++) {
		snprintf(c->text[i], sizeof(c->text[i]), "hello %d", i);
		memset(c->q[i].id, i + 1, sizeof(c->q[i].id));
		c->q[i].msg = slice_str(c->text[i]);
		c->q[i].reply = &c->reply[i];
		c->q[i].asker = &c->reply[i];
		link_ask(l, &c->q[i]);
	}
}

static struct link_question *
crowd_next(struct link *l)
{
	struct link_question *q;

	while ((q = link_next(l)) == NULL)
		link_wait(l);
	return q;
}

/* Each gets the answer to its own question. */
static void
crowd_check(struct crowd *c, int from)
{
	char want[64];
	int i;

	for (i = from; i < MANY; i++) {
		assert_int_equal(c->q[i].err.kind, ERR_NONE);
		snprintf(want, sizeof(want), "worker-1:%s", c->text[i]);
		assert_string_equal(buf_str(&c->reply[i]), want);
		buf_free(&c->reply[i]);
	}
}

static void
test_many_questions(void **state)
{
	struct crowd c;
	struct link_question *q;
	struct link_pool *p;
	struct signer s;
	struct link *l;
	int i;

	(void)state;
	memset(&c, 0, sizeof(c));
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	crowd_ask(&c, l, 0, MANY);
	assert_int_equal(link_pending(l), MANY);
	for (i = 0; i < MANY; i++) {
		q = crowd_next(l);
		assert_ptr_equal(q->reply, q->asker);
	}
	assert_int_equal(link_pending(l), 0);
	assert_null(link_next(l));
	crowd_check(&c, 0);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

/* Those that one has are asked of the other, after one time-out for all. */
static void
test_many_and_a_mute_signer(void **state)
{
	struct crowd c;
	struct link_pool *p;
	struct signer s[2];
	struct link *l;
	int64_t start;
	int i, seen;

	(void)state;
	memset(&c, 0, sizeof(c));
	signer_start(&s[0], "tcp://127.0.0.1:*");
	signer_start(&s[1], "tcp://127.0.0.1:*");
	p = pool_of(s[0].uri, s[1].uri, &worker_keys);
	l = link_of(p);
	while (atomic_load(&s[0].seen) == 0 || atomic_load(&s[1].seen) == 0) {
		assert_answer(l, 0xf0, ">worker-1:hello");
		usleep(10000);
	}
	seen = atomic_load(&s[1].seen);
	atomic_store(&s[1].mute, 1);
	start = link_now_ms();
	crowd_ask(&c, l, 0, MANY);
	for (i = 0; i < MANY; i++)
		(void)crowd_next(l);
	assert_in_range(link_now_ms() - start, TRY_MS, MANY * TRY_MS / 4);
	assert_int_equal(atomic_load(&s[1].seen) - seen, MANY / 2);
	crowd_check(&c, 0);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s[0]);
	signer_stop(&s[1]);
}

/* One message in several hands goes to one signer. */
static void
test_lots(void **state)
{
	struct crowd c;
	struct link_pool *p;
	struct signer s[2];
	struct link *l;
	int i, lot, seen[2];

	(void)state;
	signer_start(&s[0], "tcp://127.0.0.1:*");
	signer_start(&s[1], "tcp://127.0.0.1:*");
	p = pool_of(s[0].uri, s[1].uri, &worker_keys);
	l = link_of(p);
	while (atomic_load(&s[0].seen) == 0 || atomic_load(&s[1].seen) == 0) {
		assert_answer(l, 0xf0, ">worker-1:hello");
		usleep(10000);
	}
	for (lot = 7; lot < 9; lot++) {
		memset(&c, 0, sizeof(c));
		seen[0] = atomic_load(&s[0].seen);
		seen[1] = atomic_load(&s[1].seen);
		for (i = 0; i < MANY; i++)
			c.q[i].lot = (uint32_t)lot;
		crowd_ask(&c, l, 0, MANY);
		for (i = 0; i < MANY; i++)
			(void)crowd_next(l);
		crowd_check(&c, 0);
		assert_int_equal(atomic_load(&s[lot % 2].seen) -
		    seen[lot % 2], MANY);
		assert_int_equal(atomic_load(&s[1 - lot % 2].seen),
		    seen[1 - lot % 2]);
	}
	link_free(l);
	link_pool_free(p);
	signer_stop(&s[0]);
	signer_stop(&s[1]);
}

struct half {
	struct crowd	*c;
	struct link	*l;
	int		 from;
	atomic_int	*taken;
};

static void *
ask_half(void *arg)
{
	struct half *h = arg;

	crowd_ask(h->c, h->l, h->from, h->from + MANY / 2);
	while (atomic_load(h->taken) < MANY)
		if (link_next(h->l) != NULL)
			atomic_fetch_add(h->taken, 1);
		else
			link_wait(h->l);
	return NULL;
}

/* Two threads, either of which may take what the other has asked. */
static void
test_two_threads(void **state)
{
	struct crowd c;
	struct half h[2];
	struct link_pool *p;
	struct signer s;
	pthread_t id[2];
	atomic_int taken = 0;
	int i;

	(void)state;
	memset(&c, 0, sizeof(c));
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	h[0] = (struct half){ &c, link_of(p), 0, &taken };
	h[1] = h[0];
	h[1].from = MANY / 2;
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&id[i], NULL, ask_half,
		    &h[i]), 0);
	for (i = 0; i < 2; i++)
		pthread_join(id[i], NULL);
	assert_int_equal(atomic_load(&taken), MANY);
	crowd_check(&c, 0);
	link_free(h[0].l);
	link_pool_free(p);
	signer_stop(&s);
}

/* The signer goes while it has questions, and is back in time for them. */
static void
test_lost_with_questions(void **state)
{
	struct crowd c;
	struct link_pool *p;
	struct signer s;
	struct link *l;
	char uri[256];
	int i;

	(void)state;
	memset(&c, 0, sizeof(c));
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	assert_answer(l, 0xf0, ">worker-1:hello");
	atomic_store(&s.mute, 1);
	crowd_ask(&c, l, 0, MANY);
	snprintf(uri, sizeof(uri), "%s", s.uri);
	signer_stop(&s);
	signer_start(&s, uri);
	for (i = 0; i < MANY; i++)
		(void)crowd_next(l);
	crowd_check(&c, 0);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

/*
 * An epoll of another's sees whatever is to be done, although ZeroMQ's
 * descriptor tells it once, and perhaps to us while we do something else.
 */
static void
watched(useconds_t us, bool up, int from)
{
	struct epoll_event ev;
	struct crowd c;
	struct link_pool *p;
	struct signer s;
	struct link *l;
	int i, fd = epoll_create1(0);

	memset(&c, 0, sizeof(c));
	signer_start(&s, "tcp://127.0.0.1:*");
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	link_watch(l, fd, -7);
	until_up = up;
	crowd_ask(&c, l, from, MANY);
	until_up = false;
	send_us = us;
	for (i = from; i < MANY; ) {
		if (link_next(l) != NULL) {
			i++;
			continue;
		}
		assert_int_equal(epoll_wait(fd, &ev, 1, LONG_MS), 1);
		assert_int_equal(ev.data.fd, -7);
		link_look(l);
	}
	send_us = 0;
	crowd_check(&c, from);
	close(fd);
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

static void
test_watched(void **state)
{
	(void)state;
	watched(0, false, 0);
}

/* The first are answered while the others, who waited too, are sent. */
static void
test_answered_while_sending(void **state)
{
	(void)state;
	watched(3000, false, 0);
}

/* Connected behind the only question's try to send. */
static void
test_connected_while_asking(void **state)
{
	(void)state;
	watched(0, true, MANY - 1);
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

static void
test_ipc(void **state)
{
	char uri[160], path[128], name[] = "front";
	struct link_peer peer = { name, NULL };
	struct link_endpoint ep = { uri, NULL };
	struct link_server *s;
	struct link_pool *p;
	struct err err = ERR_INIT;
	struct stat st;
	void *ctx = zmq_ctx_new(), *sock;
	struct link_job job;
	FILE *f;

	(void)state;
	memset(&job, 0, sizeof(job));
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(uri, sizeof(uri), "ipc://%s", path);
	s = link_server_new(uri, NULL, NULL, 0, &err);
	assert_non_null(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	sock = raw_peer(ctx, uri, NULL, NULL);
	raw_send(sock, 2, 16, 3);
	assert_int_equal(link_recv(s, &job, LONG_MS, &err), 1);
	assert_string_equal(job.worker, "local");
	zmq_close(sock);
	link_server_free(s);

	s = link_server_new(uri, NULL, &peer, 1, &err);
	assert_non_null(s);
	sock = raw_peer(ctx, uri, NULL, NULL);
	raw_send(sock, 2, 16, 3);
	assert_int_equal(link_recv(s, &job, LONG_MS, &err), 1);
	assert_string_equal(job.worker, "front");
	zmq_close(sock);
	link_server_free(s);
	zmq_ctx_term(ctx);
	link_job_free(&job);

	p = link_pool_new(&ep, 1, NULL, &err);
	assert_non_null(p);
	link_pool_free(p);

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_null(link_server_new(uri, NULL, NULL, 0, &err));
	assert_non_null(strstr(err.text, "not a socket"));
}

static void
server_refused(const char *uri, const struct link_keys *keys,
    const struct link_peer *peer, size_t n, const char *why)
{
	struct err err = ERR_INIT;

	assert_null(link_server_new(uri, keys, peer, n, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: not \"%s\"", err.text, why);
}

static void
test_refused_set_ups(void **state)
{
	char a[] = "a", b[] = "b", none[] = "", bad[] = "short";
	struct link_peer twice[2] = {
		{ a, worker_keys.pub }, { b, worker_keys.pub }
	};
	struct link_peer nameless = { none, worker_keys.pub };
	struct link_peer badkey = { a, bad };
	struct link_endpoint tcp = { bad, NULL };
	struct err err = ERR_INIT;
	const char *uri = "tcp://127.0.0.1:*";
	char u[] = "tcp://127.0.0.1:7", v[] = "ipc:///tmp/x";

	(void)state;
	server_refused(uri, &signer_keys, twice, 2, "have one key");
	server_refused(uri, &signer_keys, &nameless, 1, "1 to 63");
	server_refused(uri, &signer_keys, &badkey, 1, "40 characters");
	server_refused(uri, &signer_keys, NULL, 0, "allow-list");
	server_refused(uri, NULL, twice, 1, "needs a key");
	server_refused("udp://x", &signer_keys, twice, 1, "only tcp");
	server_refused("inproc://x", &signer_keys, twice, 1, "only tcp");
	server_refused("ipc://x", NULL, NULL, 0, "absolute");
	server_refused("ipc://@x", NULL, NULL, 0, "absolute");
	server_refused("ipc:///nonexistent/x", NULL, NULL, 0, "bind");

	assert_null(link_pool_new(&tcp, 0, &worker_keys, &err));
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
	tcp.uri = u;
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
	tcp.server_key = signer_keys.pub;
	assert_null(link_pool_new(&tcp, 1, NULL, &err));
	tcp.uri = v;
	assert_null(link_pool_new(&tcp, 1, &worker_keys, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_mute_signer),
		cmocka_unit_test(test_one_mute_signer),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_signer_gone_and_back),
		cmocka_unit_test(test_many_questions),
		cmocka_unit_test(test_many_and_a_mute_signer),
		cmocka_unit_test(test_lots),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_lost_with_questions),
		cmocka_unit_test(test_watched),
		cmocka_unit_test(test_answered_while_sending),
		cmocka_unit_test(test_connected_while_asking),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_key_elsewhere),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_refused_set_ups),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
