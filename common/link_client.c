/*
 * The worker's end of the link.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "link_zap.h"

#define POOL_ENDPOINTS		32
#define POOL_MAX_SOCKETS	8192
#define CLIENT_DEAD_MS		3000	/* how long a mute signer is left alone */
#define CLIENT_SLICE_MS		100	/* how soon a lost connection is seen */
#define CLIENT_RECONNECT_MS	50
#define CLIENT_RECONNECT_MAX_MS	1000
#define CLIENT_HWM		64	/* answers too late and not yet dropped */

struct endpoint {
	char			*uri;
	char			*server_key;
	atomic_int_least64_t	 dead_until;	/* monotonic ms, 0 = alive */
};

struct link_pool {
	void		*ctx;
	pid_t		 pid;		/* threads do not survive a fork */
	struct link_keys keys;
	struct endpoint	*ep;
	size_t		 n;
	atomic_size_t	 start;		/* where the next link begins */
};

struct link {
	struct link_pool *pool;
	void		**sock;		/* one per endpoint, NULL until used */
	size_t		  next;
	int		  try_ms;
	int		  total_ms;
};

/* What came of asking one signer. */
enum outcome { GOT_REPLY, NO_CONNECTION, NO_REPLY, BROKEN };

static int
pool_add(struct link_pool *p, const struct link_endpoint *from,
    bool have_keys, struct err *err)
{
	struct endpoint *e = &p->ep[p->n];
	uint8_t key[32];

	if (link_is_tcp(from->uri)) {
		if (!have_keys)
			return err_set(err, ERR_INTERNAL,
			    "signer %s: tcp needs a key", from->uri);
		if (link_key_decode(from->server_key, key, from->uri,
		    err) == -1)
			return -1;
	} else if (!link_is_ipc(from->uri)) {
		return err_set(err, ERR_INTERNAL,
		    "signer %.64s: only tcp:// and ipc:// are known",
		    from->uri);
	} else if (from->server_key != NULL) {
		return err_set(err, ERR_INTERNAL,
		    "signer %s: ipc has no public key", from->uri);
	}
	e->uri = xstrdup(from->uri);
	if (from->server_key != NULL)
		e->server_key = xstrdup(from->server_key);
	p->n++;
	return 0;
}

struct link_pool *
link_pool_new(const struct link_endpoint *ep, size_t n,
    const struct link_keys *keys, struct err *err)
{
	struct link_pool *p;
	size_t i;

	if (n == 0 || n > POOL_ENDPOINTS) {
		err_set(err, ERR_INTERNAL, "%zu signers, must be 1 to %d", n,
		    POOL_ENDPOINTS);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->ep = xcalloc(n, sizeof(*p->ep));
	p->pid = getpid();
	if (keys != NULL)
		p->keys = *keys;
	for (i = 0; i < n; i++)
		if (pool_add(p, &ep[i], keys != NULL, err) == -1)
			goto fail;
	p->ctx = zmq_ctx_new();
	if (p->ctx == NULL ||
	    zmq_ctx_set(p->ctx, ZMQ_MAX_SOCKETS, POOL_MAX_SOCKETS) != 0) {
		err_set(err, ERR_INTERNAL, "zeromq context: %s",
		    zmq_strerror(zmq_errno()));
		goto fail;
	}
	return p;
fail:
	link_pool_free(p);
	return NULL;
}

void
link_pool_free(struct link_pool *p)
{
	size_t i;

	if (p == NULL)
		return;
	if (p->ctx != NULL && p->pid == getpid())
		(void)zmq_ctx_term(p->ctx);
	for (i = 0; i < p->n; i++) {
		free(p->ep[i].uri);
		free(p->ep[i].server_key);
	}
	free(p->ep);
	link_keys_free(&p->keys);
	free(p);
}

struct link *
link_new(struct link_pool *p, int try_ms, int total_ms, struct err *err)
{
	struct link *l;

	if (p->pid != getpid()) {
		err_set(err, ERR_INTERNAL, "link pool made before a fork");
		return NULL;
	}
	if (try_ms <= 0 || total_ms < try_ms) {
		err_set(err, ERR_INTERNAL, "try-ms %d, total-ms %d: must be "
		    "positive and ascending", try_ms, total_ms);
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->pool = p;
	l->sock = xcalloc(p->n, sizeof(*l->sock));
	l->next = atomic_fetch_add(&p->start, 1) % p->n;
	l->try_ms = try_ms;
	l->total_ms = total_ms;
	return l;
}

void
link_free(struct link *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->pool->n; i++)
		if (l->sock[i] != NULL)
			(void)zmq_close(l->sock[i]);
	free(l->sock);
	free(l);
}

static int
client_options(const struct link *l, void *sock, const struct endpoint *e,
    struct err *err)
{
	/* IMMEDIATE: nothing queues for a signer that is not there. */
	if (link_common_options(sock, e->uri, err) == -1 ||
	    link_setopt(sock, ZMQ_IMMEDIATE, 1, "immediate", err) == -1 ||
	    link_setopt(sock, ZMQ_LINGER, 0, "linger", err) == -1 ||
	    link_setopt(sock, ZMQ_RCVHWM, CLIENT_HWM, "rcvhwm", err) == -1 ||
	    link_setopt(sock, ZMQ_RECONNECT_IVL, CLIENT_RECONNECT_MS,
	    "reconnect", err) == -1 ||
	    link_setopt(sock, ZMQ_RECONNECT_IVL_MAX, CLIENT_RECONNECT_MAX_MS,
	    "reconnect max", err) == -1)
		return -1;
	if (e->server_key == NULL)
		return 0;
	if (zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, l->pool->keys.pub,
	    41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, l->pool->keys.sec,
	    41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, e->server_key, 41) != 0)
		return err_set(err, ERR_INTERNAL, "signer %s: curve: %s",
		    e->uri, zmq_strerror(zmq_errno()));
	return 0;
}

static int
client_open(struct link *l, size_t i, struct err *err)
{
	const struct endpoint *e = &l->pool->ep[i];
	void *sock;

	if (l->sock[i] != NULL)
		return 0;
	sock = zmq_socket(l->pool->ctx, ZMQ_DEALER);
	if (sock == NULL)
		return err_set(err, ERR_INTERNAL, "zeromq socket: %s",
		    zmq_strerror(zmq_errno()));
	if (client_options(l, sock, e, err) == -1)
		goto fail;
	if (zmq_connect(sock, e->uri) != 0) {
		err_set(err, ERR_INTERNAL, "signer %s: %s", e->uri,
		    zmq_strerror(zmq_errno()));
		goto fail;
	}
	l->sock[i] = sock;
	return 0;
fail:
	(void)zmq_close(sock);
	return -1;
}

/* A mute signer is asked again by one thread at a time, not by all. */
static bool
endpoint_usable(struct endpoint *e, int64_t now)
{
	int_least64_t dead = atomic_load(&e->dead_until);

	return dead == 0 || (now >= dead &&
	    atomic_compare_exchange_strong(&e->dead_until, &dead,
	    now + CLIENT_DEAD_MS));
}

static int
client_send_frame(void *sock, const void *p, size_t n, int flags)
{
	int rc;

	do
		rc = zmq_send(sock, p, n, flags | ZMQ_DONTWAIT);
	while (rc == -1 && zmq_errno() == EINTR);
	return rc == -1 ? -1 : 0;
}

/*
 * One message.  1: the answer to id, appended to reply; 0: something else,
 * dropped (an answer that came too late); -1 with errno: nothing there.
 */
static int
client_recv(void *sock, const uint8_t id[16], struct buf *reply)
{
	bool match = true, more = true;
	size_t nth, before = reply->n;
	zmq_msg_t m;

	for (nth = 0; more; nth++) {
		(void)zmq_msg_init(&m);
		if (zmq_msg_recv(&m, sock, ZMQ_DONTWAIT) == -1) {
			(void)zmq_msg_close(&m);
			reply->n = before;
			return -1;
		}
		if (nth == 0)
			match = zmq_msg_size(&m) == 16 &&
			    memcmp(zmq_msg_data(&m), id, 16) == 0;
		else if (nth == 1 && match)
			buf_add(reply, zmq_msg_data(&m), zmq_msg_size(&m));
		more = zmq_msg_more(&m) != 0;
		(void)zmq_msg_close(&m);
	}
	if (match && nth == 2 && reply->n > before)
		return 1;
	reply->n = before;
	return 0;
}

/* POLLIN and POLLOUT of the socket; -1 with errno. */
static int
client_events(void *sock)
{
	int events = 0;
	size_t len = sizeof(events);

	return zmq_getsockopt(sock, ZMQ_EVENTS, &events, &len) == 0 ? events :
	    -1;
}

/*
 * zmq_poll would ask for the events twice more, with a system call each; the
 * descriptor tells only of news, so the events come first every time.
 */
static int
client_sleep(void *sock, int64_t ms)
{
	struct pollfd p = { .events = POLLIN };
	size_t len = sizeof(p.fd);

	if (zmq_getsockopt(sock, ZMQ_FD, &p.fd, &len) != 0)
		return -1;
	return poll(&p, 1, (int)ms) == -1 && errno != EINTR ? -1 : 0;
}

static enum outcome
client_wait(void *sock, const uint8_t id[16], int64_t end, struct buf *reply)
{
	int64_t left;
	int events, rc;

	for (;;) {
		events = client_events(sock);
		if (events == -1 && zmq_errno() != EINTR)
			return BROKEN;
		if (events == -1)
			continue;
		if ((events & ZMQ_POLLIN) != 0) {
			rc = client_recv(sock, id, reply);
			if (rc == 1)
				return GOT_REPLY;
			if (rc == -1 && zmq_errno() != EAGAIN &&
			    zmq_errno() != EINTR)
				return BROKEN;
			continue;
		}
		/* No answer can come over a connection that is gone. */
		if ((events & ZMQ_POLLOUT) == 0)
			return NO_CONNECTION;
		left = end - link_now_ms();
		if (left <= 0)
			return NO_REPLY;
		if (client_sleep(sock, left < CLIENT_SLICE_MS ? left :
		    CLIENT_SLICE_MS) == -1)
			return BROKEN;
	}
}

struct call {
	const uint8_t	*id;
	struct slice	 msg;
	struct buf	*reply;
	int64_t		 end;
};

static enum outcome
client_ask(struct link *l, size_t i, const struct call *c)
{
	struct endpoint *e = &l->pool->ep[i];
	int64_t end = link_now_ms() + l->try_ms;
	enum outcome got;

	if (client_send_frame(l->sock[i], c->id, 16, ZMQ_SNDMORE) == -1 ||
	    client_send_frame(l->sock[i], c->msg.p, c->msg.n, 0) == -1)
		return zmq_errno() == EAGAIN ? NO_CONNECTION : BROKEN;
	got = client_wait(l->sock[i], c->id, end < c->end ? end : c->end,
	    c->reply);
	if (got == GOT_REPLY)
		atomic_store(&e->dead_until, 0);
	else if (got == NO_REPLY)
		atomic_store(&e->dead_until, link_now_ms() + CLIENT_DEAD_MS);
	return got;
}

/*
 * One round: every signer once, beginning with the next in turn; those found
 * mute only when last is set.  asked counts who took the message and kept it.
 */
static enum outcome
client_round(struct link *l, const struct call *c, bool last, size_t *asked,
    struct err *err)
{
	size_t i, k, n = l->pool->n, first = l->next;
	enum outcome got = NO_CONNECTION;

	l->next = (first + 1) % n;
	for (k = 0; k < n && *asked < 2 * n && link_now_ms() < c->end; k++) {
		i = (first + k) % n;
		if (!endpoint_usable(&l->pool->ep[i], link_now_ms()) && !last)
			continue;
		if (client_open(l, i, err) == -1)
			return BROKEN;
		got = client_ask(l, i, c);
		if (got == GOT_REPLY || got == BROKEN)
			return got;
		if (got == NO_REPLY)
			(*asked)++;
	}
	return got;
}

/* Nobody is connected: wait a moment for the first who is. */
static void
client_await(const struct link *l, int64_t end)
{
	zmq_pollitem_t item[POOL_ENDPOINTS];
	int64_t left = end - link_now_ms();
	int n = 0;
	size_t i;

	for (i = 0; i < l->pool->n; i++)
		if (l->sock[i] != NULL)
			item[n++] = (zmq_pollitem_t){ l->sock[i], 0,
			    ZMQ_POLLOUT, 0 };
	if (left > 0)
		(void)zmq_poll(item, n, (long)left);
}

/*
 * Every signer is asked at most twice (the id makes that safe); when none is
 * connected, it takes no longer than one try to say so.
 */
static enum outcome
client_rounds(struct link *l, const struct call *c, struct err *err)
{
	enum outcome got = NO_CONNECTION;
	int64_t await_end = 0;
	size_t asked = 0;
	bool last = false;

	while (link_now_ms() < c->end && asked < 2 * l->pool->n) {
		got = client_round(l, c, last, &asked, err);
		if (got == GOT_REPLY || got == BROKEN)
			break;
		if (got == NO_REPLY || await_end == 0)
			await_end = link_now_ms() + l->try_ms;
		else if (link_now_ms() >= await_end)
			break;
		if (got == NO_CONNECTION && last)
			client_await(l, await_end < c->end ? await_end :
			    c->end);
		last = true;
	}
	return got;
}

int
link_call(struct link *l, const uint8_t id[16], struct slice msg,
    struct buf *reply, struct err *err)
{
	struct call c = { id, msg, reply, link_now_ms() + l->total_ms };

	if (msg.n == 0 || msg.n > MSG_MAX)
		return err_set(err, ERR_TOO_BIG,
		    "message of %zu bytes, must be 1 to %d", msg.n, MSG_MAX);
	switch (client_rounds(l, &c, err)) {
	case GOT_REPLY:
		return 0;
	case BROKEN:
		return err_set(err, ERR_INTERNAL, "link: %s",
		    zmq_strerror(zmq_errno()));
	default:
		return err_set(err, ERR_UNAVAILABLE, "no signer answered");
	}
}
