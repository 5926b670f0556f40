/*
 * The ZAP handler, in front of link_server.c.  CURVE proves that a peer has
 * the key it shows; only this list says whose keys are welcome ([security]
 * Z1).
 */
#include "link_zap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT	"inproc://zeromq.zap.01"
#define ZAP_STOP	"inproc://countersign.zap.stop"
#define ZAP_FRAMES	7
#define ZAP_FRAME_MAX	256

/* RFC 27: version, request id, domain, address, routing id, mechanism, key. */
enum { F_VERSION, F_ID, F_DOMAIN, F_ADDRESS, F_ROUTING, F_MECHANISM, F_KEY };

struct zap_peer {
	char	 name[64];
	uint8_t	 key[32];
};

struct zap_frame {
	uint8_t	 p[ZAP_FRAME_MAX];
	size_t	 n;
};

struct link_zap {
	void		*handler;	/* REP, the thread's */
	void		*stop_in;	/* PAIR, the thread's end */
	void		*stop_out;	/* PAIR, the owner's end */
	pthread_t	 thread;
	bool		 started;
	atomic_bool	 alive;
	atomic_uint	 refused;
	struct zap_peer	*peers;
	size_t		 n;
};

static bool
frame_is(const struct zap_frame *f, const char *s)
{
	return slice_is(slice_of(f->p, f->n), s);
}

static const struct zap_peer *
zap_find(const struct link_zap *z, const struct zap_frame *f, size_t n)
{
	size_t i;

	if (n != ZAP_FRAMES || !frame_is(&f[F_VERSION], "1.0") ||
	    !frame_is(&f[F_DOMAIN], LINK_DOMAIN) ||
	    !frame_is(&f[F_MECHANISM], "CURVE") || f[F_KEY].n != 32)
		return NULL;
	for (i = 0; i < z->n; i++)
		if (memcmp(z->peers[i].key, f[F_KEY].p, 32) == 0)
			return &z->peers[i];
	return NULL;
}

/* All frames of one request; those beyond our limits only count. */
static int
zap_recv(struct link_zap *z, struct zap_frame *f, size_t *n)
{
	int more = 1, got;
	size_t len = sizeof(more);

	for (*n = 0; more; (*n)++) {
		struct zap_frame spill, *to = *n < ZAP_FRAMES ? &f[*n] : &spill;

		got = zmq_recv(z->handler, to->p, ZAP_FRAME_MAX, 0);
		if (got == -1)
			return -1;
		/* zmq_recv truncates and tells the true length. */
		to->n = (size_t)got <= ZAP_FRAME_MAX ? (size_t)got : 0;
		if (zmq_getsockopt(z->handler, ZMQ_RCVMORE, &more, &len) != 0)
			return -1;
	}
	return 0;
}

static int
zap_send(struct link_zap *z, const void *p, size_t n, int more)
{
	return zmq_send(z->handler, p, n, more ? ZMQ_SNDMORE : 0) == -1 ?
	    -1 : 0;
}

/* version, request id, status code, status text, user id, metadata */
static int
zap_answer(struct link_zap *z)
{
	struct zap_frame f[ZAP_FRAMES];
	const struct zap_peer *peer;
	const char *code, *text, *user;
	size_t n;

	if (zap_recv(z, f, &n) == -1)
		return errno == EINTR ? 0 : -1;
	peer = zap_find(z, f, n);
	code = peer != NULL ? "200" : "400";
	text = peer != NULL ? "OK" : "not in the allow-list";
	user = peer != NULL ? peer->name : "";
	if (peer == NULL)
		atomic_fetch_add(&z->refused, 1);
	if (zap_send(z, "1.0", 3, 1) == -1 ||
	    zap_send(z, f[F_ID].p, n > F_ID ? f[F_ID].n : 0, 1) == -1 ||
	    zap_send(z, code, strlen(code), 1) == -1 ||
	    zap_send(z, text, strlen(text), 1) == -1 ||
	    zap_send(z, user, strlen(user), 1) == -1)
		return -1;
	return zap_send(z, "", 0, 0);
}

static void *
zap_thread(void *arg)
{
	struct link_zap *z = arg;
	zmq_pollitem_t item[2] = {
		{ z->handler, 0, ZMQ_POLLIN, 0 },
		{ z->stop_in, 0, ZMQ_POLLIN, 0 },
	};

	for (;;) {
		if (zmq_poll(item, 2, -1) == -1) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (item[1].revents != 0)
			break;
		if (item[0].revents != 0 && zap_answer(z) == -1)
			break;
	}
	/*
	 * The socket stays open: a request that nobody answers lets nobody in,
	 * while without any handler ZeroMQ might.
	 */
	atomic_store(&z->alive, false);
	return NULL;
}

static int
zap_peers(struct link_zap *z, const struct link_peer *peers, size_t n,
    struct err *err)
{
	size_t i, j;

	z->peers = xcalloc(n == 0 ? 1 : n, sizeof(*z->peers));
	for (i = 0; i < n; i++) {
		struct zap_peer *p = &z->peers[i];
		size_t len = strlen(peers[i].name);

		if (len == 0 || len >= sizeof(p->name))
			return err_set(err, ERR_INTERNAL,
			    "worker name of %zu bytes, must be 1 to 63", len);
		memcpy(p->name, peers[i].name, len + 1);
		if (link_key_decode(peers[i].public_key, p->key, p->name,
		    err) == -1)
			return -1;
		for (j = 0; j < i; j++)
			if (memcmp(z->peers[j].key, p->key, 32) == 0)
				return err_set(err, ERR_INTERNAL,
				    "workers %s and %s have one key",
				    z->peers[j].name, p->name);
		z->n++;
	}
	return 0;
}

static int
zap_sockets(struct link_zap *z, void *ctx, struct err *err)
{
	int zero = 0;

	z->handler = zmq_socket(ctx, ZMQ_REP);
	z->stop_in = zmq_socket(ctx, ZMQ_PAIR);
	z->stop_out = zmq_socket(ctx, ZMQ_PAIR);
	if (z->handler == NULL || z->stop_in == NULL || z->stop_out == NULL ||
	    zmq_setsockopt(z->handler, ZMQ_LINGER, &zero, sizeof(zero)) != 0 ||
	    zmq_setsockopt(z->stop_out, ZMQ_LINGER, &zero, sizeof(zero)) != 0 ||
	    zmq_bind(z->handler, ZAP_ENDPOINT) != 0 ||
	    zmq_bind(z->stop_in, ZAP_STOP) != 0 ||
	    zmq_connect(z->stop_out, ZAP_STOP) != 0)
		return err_set(err, ERR_INTERNAL, "zap handler: %s",
		    zmq_strerror(zmq_errno()));
	return 0;
}

struct link_zap *
link_zap_start(void *ctx, const struct link_peer *peers, size_t n,
    struct err *err)
{
	struct link_zap *z = xcalloc(1, sizeof(*z));
	sigset_t all, old;
	int rc;

	if (zap_peers(z, peers, n, err) == -1 ||
	    zap_sockets(z, ctx, err) == -1)
		goto fail;
	atomic_store(&z->alive, true);
	/* Signals are for the program's own thread. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&z->thread, NULL, zap_thread, z);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		err_set(err, ERR_INTERNAL, "zap thread: %s", strerror(rc));
		goto fail;
	}
	z->started = true;
	return z;
fail:
	link_zap_stop(z);
	return NULL;
}

void
link_zap_kill(struct link_zap *z)
{
	if (!z->started)
		return;
	(void)zmq_send(z->stop_out, "", 0, 0);
	(void)pthread_join(z->thread, NULL);
	z->started = false;
}

void
link_zap_stop(struct link_zap *z)
{
	if (z == NULL)
		return;
	link_zap_kill(z);
	if (z->handler != NULL)
		(void)zmq_close(z->handler);
	if (z->stop_in != NULL)
		(void)zmq_close(z->stop_in);
	if (z->stop_out != NULL)
		(void)zmq_close(z->stop_out);
	free(z->peers);
	free(z);
}

bool
link_zap_alive(const struct link_zap *z)
{
	return atomic_load(&z->alive);
}

unsigned
link_zap_refused(const struct link_zap *z)
{
	return atomic_load(&z->refused);
}
