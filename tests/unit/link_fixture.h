/* Signers in threads, and workers that ask them. */
#ifndef LINK_FIXTURE_H
#define LINK_FIXTURE_H

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
#include "msg.h"

#define TRY_MS	1000	/* a busy machine answers within */
#define TOTAL_MS 8000
#define LONG_MS	20000	/* for what comes at once, on any machine */

static struct link_keys signer_keys, worker_keys, other_keys;
static char dir[64];

static inline void
keypair(struct link_keys *k)
{
	assert_int_equal(zmq_curve_keypair(k->pub, k->sec), 0);
}

static inline struct link_server *
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
	atomic_int		 stop, mute, seen, late, elsewhere;
	char			 uri[256];
};

static inline void
signer_answer(struct signer *s, const struct link_job *job)
{
	struct buf b = { NULL, 0, 0 };
	struct err err = ERR_INIT;

	if (atomic_load(&s->elsewhere))
		answer_encode(&(struct answer){ .status = MSG_ELSEWHERE },
		    &b);
	else
		buf_printf(&b, "%s:%.*s", job->worker, (int)job->msg.n,
		    (const char *)job->msg.p);
	(void)link_send(s->server, job, buf_slice(&b), &err);
	buf_free(&b);
}

static inline void *
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

static inline void
signer_start(struct signer *s, const char *uri)
{
	memset(s, 0, sizeof(*s));
	s->server = server_new(uri);
	snprintf(s->uri, sizeof(s->uri), "%s", link_server_uri(s->server));
	assert_int_equal(pthread_create(&s->thread, NULL, signer_loop, s), 0);
}

static inline void
signer_stop(struct signer *s)
{
	atomic_store(&s->stop, 1);
	pthread_join(s->thread, NULL);
	link_server_free(s->server);
}

static inline struct link_pool *
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

static inline struct link *
link_of(struct link_pool *p)
{
	struct err err = ERR_INIT;
	struct link *l = link_new(p, TRY_MS, TOTAL_MS, &err);

	assert_non_null(l);
	return l;
}

/* A worker, and the signer or two that it may ask. */
struct lab {
	struct signer		 s[2];
	int			 n;
	struct link_pool	*pool;
	struct link		*link;
};

/* The link is lent. */
static inline struct link *
lab_start(struct lab *lab, int n)
{
	int i;

	lab->n = n;
	for (i = 0; i < n; i++)
		signer_start(&lab->s[i], "tcp://127.0.0.1:*");
	lab->pool = pool_of(lab->s[0].uri, n > 1 ? lab->s[1].uri : NULL,
	    &worker_keys);
	return lab->link = link_of(lab->pool);
}

static inline void
lab_end(struct lab *lab)
{
	int i;

	link_free(lab->link);
	link_pool_free(lab->pool);
	for (i = 0; i < lab->n; i++)
		signer_stop(&lab->s[i]);
}

/* Ask "hello" under an id of one repeated byte. */
static inline int
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

static inline void
assert_answer(struct link *l, uint8_t id, const char *want)
{
	struct err err = ERR_INIT;
	char got[64];

	assert_int_equal(ask(l, id, got, sizeof(got), &err), 0);
	assert_string_equal(got, want);
}

/* The same until it is connected, which may take longer than one try. */
static inline void
assert_connected(struct link *l, uint8_t id, const char *want)
{
	int64_t end = link_now_ms() + LONG_MS;
	struct err err;
	char got[64];
	int rc;

	do {
		memset(&err, 0, sizeof(err));
		rc = ask(l, id, got, sizeof(got), &err);
	} while (rc == -1 && link_now_ms() < end);
	assert_string_equal(err.text, "");
	assert_string_equal(got, want);
}

/* What was sent is seen when its thread gets to run. */
static inline void
assert_seen(struct signer *s, int n)
{
	int64_t end = link_now_ms() + LONG_MS;

	while (atomic_load(&s->seen) < n && link_now_ms() < end)
		usleep(5000);
	assert_true(atomic_load(&s->seen) >= n);
}

static inline int64_t
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

/* A peer that speaks plain ZeroMQ, with any credentials. */
static inline void *
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

static inline void
raw_send(void *sock, int nframes, size_t idlen, size_t len)
{
	static uint8_t zero[MSG_MAX + 1];
	int i;

	for (i = 0; i < nframes; i++)
		zmq_send(sock, zero, i == 0 ? idlen : len,
		    ZMQ_DONTWAIT | (i + 1 < nframes ? ZMQ_SNDMORE : 0));
}

static inline int
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

static inline int
set_up(void **state)
{
	(void)state;
	keypair(&signer_keys);
	keypair(&worker_keys);
	keypair(&other_keys);
	snprintf(dir, sizeof(dir), "/tmp/link_test.XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static inline int
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

#endif
