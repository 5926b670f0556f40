/*
 * The link over real sockets: who is let in, what is dropped, and what a
 * worker does when a signer does not answer.
 */
#include <sys/stat.h>
#include <sys/time.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "link_zap.h"

#define TRY_MS	200
#define TOTAL_MS 1500

static struct link_keys signer_keys, worker_keys, other_keys;
static char dir[64];

static void
keypair(struct link_keys *k)
{
	assert_int_equal(zmq_curve_keypair(k->pub, k->sec), 0);
}

static struct link_server *
server_new(const char *uri)
{
	struct err err = ERR_INIT;
	char n1[] = "worker-1", n2[] = "worker-2";
	struct link_peer peer[2] = {
		{ n1, worker_keys.pub }, { n2, other_keys.pub }
	};
	struct link_server *s;

	s = link_server_new(uri, &signer_keys, peer, 2, &err);
	assert_string_equal(err.text, "");
	assert_non_null(s);
	return s;
}

/* A signer in a thread of its own. */
struct signer {
	struct link_server	*server;
	pthread_t		 thread;
	atomic_int		 stop, mute, seen, late;
	char			 uri[256];
};

static void
signer_answer(struct signer *s, const struct link_job *job)
{
	struct buf b = { NULL, 0, 0 };
	struct err err = ERR_INIT;

	buf_printf(&b, "%s:%.*s", job->worker, (int)job->msg.n,
	    (const char *)job->msg.p);
	(void)link_send(s->server, job, buf_slice(&b), &err);
	buf_free(&b);
}

static void *
signer_loop(void *arg)
{
	struct signer *s = arg;
	struct link_job job, held;
	struct err err = ERR_INIT;

	memset(&job, 0, sizeof(job));
	memset(&held, 0, sizeof(held));
	while (!atomic_load(&s->stop)) {
		if (link_recv(s->server, &job, 20, &err) != 1)
			continue;
		atomic_fetch_add(&s->seen, 1);
		if (atomic_load(&s->mute))
			continue;
		if (atomic_load(&s->late) && held.msg.n == 0) {
			held = job;
			memset(&job, 0, sizeof(job));
			continue;
		}
		if (held.msg.n > 0) {
			signer_answer(s, &held);
			link_job_free(&held);
			atomic_store(&s->late, 0);
		}
		signer_answer(s, &job);
	}
	link_job_free(&job);
	link_job_free(&held);
	return NULL;
}

static void
signer_start(struct signer *s, const char *uri)
{
	memset(s, 0, sizeof(*s));
	s->server = server_new(uri);
	snprintf(s->uri, sizeof(s->uri), "%s", link_server_uri(s->server));
	assert_int_equal(pthread_create(&s->thread, NULL, signer_loop, s), 0);
}

static void
signer_stop(struct signer *s)
{
	atomic_store(&s->stop, 1);
	pthread_join(s->thread, NULL);
	link_server_free(s->server);
}

static struct link_pool *
pool_of(const char *uri1, const char *uri2, const struct link_keys *keys)
{
	char u1[256], u2[256];
	struct link_endpoint ep[2] = {
		{ u1, signer_keys.pub }, { u2, signer_keys.pub }
	};
	struct err err = ERR_INIT;
	struct link_pool *p;

	snprintf(u1, sizeof(u1), "%s", uri1);
	snprintf(u2, sizeof(u2), "%s", uri2 != NULL ? uri2 : "");
	p = link_pool_new(ep, uri2 != NULL ? 2 : 1, keys, &err);
	assert_string_equal(err.text, "");
	return p;
}

static struct link *
link_of(struct link_pool *p)
{
	struct err err = ERR_INIT;
	struct link *l = link_new(p, TRY_MS, TOTAL_MS, &err);

	assert_non_null(l);
	return l;
}

/* Ask "hello" under an id of one repeated byte. */
static int
ask(struct link *l, uint8_t c, char *out, size_t max, struct err *err)
{
	struct buf reply = { NULL, 0, 0 };
	uint8_t id[16];
	int rc;

	memset(id, c, sizeof(id));
	buf_puts(&reply, ">");
	rc = link_call(l, id, slice_str("hello"), &reply, err);
	snprintf(out, max, "%s", buf_str(&reply));
	buf_free(&reply);
	return rc;
}

static void
assert_answer(struct link *l, uint8_t id, const char *want)
{
	struct err err = ERR_INIT;
	char got[64];

	assert_int_equal(ask(l, id, got, sizeof(got), &err), 0);
	assert_string_equal(got, want);
}

static int64_t
assert_unavailable(struct link *l)
{
	struct err err = ERR_INIT;
	int64_t start = link_now_ms();
	char got[64];

	assert_int_equal(ask(l, 9, got, sizeof(got), &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(err.text, "no signer answered");
	assert_string_equal(got, ">");
	return link_now_ms() - start;
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
	assert_answer(l, 1, ">worker-1:hello");
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
	int i, seen;

	(void)state;
	signer_start(&s[0], "tcp://127.0.0.1:*");
	signer_start(&s[1], "tcp://127.0.0.1:*");
	p = pool_of(s[0].uri, s[1].uri, &worker_keys);
	l = link_of(p);
	assert_answer(l, 0, ">worker-1:hello");
	usleep(100000);		/* the other is connected too */
	for (i = 1; i < 6; i++)
		assert_answer(l, (uint8_t)i, ">worker-1:hello");
	/* In turn. */
	assert_true(atomic_load(&s[0].seen) >= 2);
	assert_true(atomic_load(&s[1].seen) >= 2);
	atomic_store(&s[0].mute, 1);
	start = link_now_ms();
	for (i = 0; i < 6; i++)
		assert_answer(l, (uint8_t)(10 + i), ">worker-1:hello");
	/* Only one of the six waited for the mute one. */
	assert_in_range(link_now_ms() - start, TRY_MS, 2 * TRY_MS);
	atomic_store(&s[1].mute, 1);
	seen = atomic_load(&s[0].seen) + atomic_load(&s[1].seen);
	assert_true(assert_unavailable(l) <= TOTAL_MS + 100);
	assert_in_range(atomic_load(&s[0].seen) + atomic_load(&s[1].seen) -
	    seen, 2, 4);
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

	(void)state;
	signer_start(&s, "tcp://127.0.0.1:*");
	atomic_store(&s.mute, 1);
	p = pool_of(s.uri, NULL, &worker_keys);
	l = link_of(p);
	took = assert_unavailable(l);
	assert_int_equal(atomic_load(&s.seen), 2);
	assert_in_range(took, 2 * TRY_MS - 20, 3 * TRY_MS);
	atomic_store(&s.mute, 0);
	assert_answer(l, 4, ">worker-1:hello");
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
	assert_in_range(assert_unavailable(l), TRY_MS - 20, 3 * TRY_MS);
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
	assert_answer(l, 1, ">worker-1:hello");
	snprintf(uri, sizeof(uri), "%s", s.uri);
	signer_stop(&s);
	took = assert_unavailable(l);
	assert_in_range(took, TRY_MS - 20, 3 * TRY_MS);
	signer_start(&s, uri);
	assert_answer(l, 2, ">worker-1:hello");
	link_free(l);
	link_pool_free(p);
	signer_stop(&s);
}

/* A peer that speaks plain ZeroMQ, with any credentials. */
static void *
raw_peer(void *ctx, const char *uri, const struct link_keys *keys,
    const char *server_key)
{
	void *sock = zmq_socket(ctx, ZMQ_DEALER);
	int zero = 0;

	zmq_setsockopt(sock, ZMQ_LINGER, &zero, sizeof(zero));
	if (keys != NULL) {
		zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, keys->pub, 41);
		zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, keys->sec, 41);
		zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, server_key, 41);
	}
	assert_int_equal(zmq_connect(sock, uri), 0);
	return sock;
}

static void
raw_send(void *sock, int nframes, size_t idlen, size_t len)
{
	static uint8_t zero[MSG_MAX + 1];
	int i;

	for (i = 0; i < nframes; i++)
		zmq_send(sock, zero, i == 0 ? idlen : len,
		    ZMQ_DONTWAIT | (i + 1 < nframes ? ZMQ_SNDMORE : 0));
}

static int
received(struct link_server *s, int timeout_ms)
{
	struct err err = ERR_INIT;
	struct link_job job;
	int rc;

	memset(&job, 0, sizeof(job));
	rc = link_recv(s, &job, timeout_ms, &err);
	link_job_free(&job);
	return rc;
}

static void
test_strangers(void **state)
{
	struct link_keys unknown, wrong_server;
	struct link_server *s = server_new("tcp://127.0.0.1:*");
	const char *uri = link_server_uri(s);
	void *ctx = zmq_ctx_new(), *sock[4];
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
	assert_int_equal(received(s, 400), 0);
	assert_true(link_zap_refused(link_server_zap(s)) >= 2);
	for (i = 0; i < 4; i++)
		zmq_close(sock[i]);
	/* And the right one gets in. */
	sock[0] = raw_peer(ctx, uri, &worker_keys, signer_keys.pub);
	raw_send(sock[0], 2, 16, 10);
	assert_int_equal(received(s, 2000), 1);
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
	assert_int_equal(received(s, 2000), 1);
	assert_int_equal(received(s, 50), 0);
	/* Beyond it ZeroMQ ends the connection. */
	raw_send(sock, 2, 16, MSG_MAX + 1);
	assert_int_equal(received(s, 200), 0);
	zmq_close(sock);
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
	assert_int_equal(link_recv(s, &job, 2000, &err), 1);
	assert_string_equal(job.worker, "worker-1");
	assert_int_equal(link_send(s, &job, slice_str(""), &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	zmq_close(sock);
	zmq_ctx_term(ctx);
	for (i = 0; i < 100 && rc == 0; i++) {
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

	(void)state;
	memset(&job, 0, sizeof(job));
	link_zap_kill(link_server_zap(s));
	sock = raw_peer(ctx, link_server_uri(s), &worker_keys,
	    signer_keys.pub);
	raw_send(sock, 2, 16, 10);
	usleep(200000);
	assert_int_equal(link_recv(s, &job, 200, &err), -1);
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
	assert_int_equal(received(s, 2000), 0);
	assert_in_range(link_now_ms() - start, 50, 1000);
	assert_true(link_server_fd(s) >= 0);
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
	assert_int_equal(link_recv(s, &job, 2000, &err), 1);
	assert_string_equal(job.worker, "local");
	zmq_close(sock);
	link_server_free(s);

	s = link_server_new(uri, NULL, &peer, 1, &err);
	assert_non_null(s);
	sock = raw_peer(ctx, uri, NULL, NULL);
	raw_send(sock, 2, 16, 3);
	assert_int_equal(link_recv(s, &job, 2000, &err), 1);
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

static int
set_up(void **state)
{
	(void)state;
	keypair(&signer_keys);
	keypair(&worker_keys);
	keypair(&other_keys);
	snprintf(dir, sizeof(dir), "/tmp/link_test.XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "key", "bad", "sock" };
	char path[128];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
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
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_gone_worker),
		cmocka_unit_test(test_handler_dies),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_refused_set_ups),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
