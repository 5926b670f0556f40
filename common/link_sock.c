/* The worker's sockets, for link_client.c. */
#include "link_sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "msg.h"

#define POOL_MAX_SOCKETS	8192
#define CLIENT_RECONNECT_MS	50
#define CLIENT_RECONNECT_MAX_MS	1000
#define CLIENT_HWM		512	/* late answers, not yet dropped */

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

static int
sock_options(const struct link_pool *p, void *sock, const struct endpoint *e,
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
	if (zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, p->keys.pub,
	    41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, p->keys.sec,
	    41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, e->server_key, 41) != 0)
		return err_set(err, ERR_INTERNAL, "signer %s: curve: %s",
		    e->uri, zmq_strerror(zmq_errno()));
	return 0;
}

void *
sock_open(const struct link_pool *p, const struct endpoint *e,
    struct err *err)
{
	void *sock = zmq_socket(p->ctx, ZMQ_DEALER);

	if (sock == NULL) {	/* no descriptor left: later, perhaps */
		err_set(err, ERR_UNAVAILABLE, "zeromq socket: %s",
		    zmq_strerror(zmq_errno()));
		return NULL;
	}
	if (sock_options(p, sock, e, err) == -1)
		goto fail;
	if (zmq_connect(sock, e->uri) != 0) {
		err_set(err, ERR_INTERNAL, "signer %s: %s", e->uri,
		    zmq_strerror(zmq_errno()));
		goto fail;
	}
	return sock;
fail:
	(void)zmq_close(sock);
	return NULL;
}

int
sock_fd(void *sock, struct err *err)
{
	size_t len;
	int fd = -1;

	len = sizeof(fd);
	if (zmq_getsockopt(sock, ZMQ_FD, &fd, &len) != 0)
		return err_set(err, ERR_INTERNAL, "zeromq fd: %s",
		    zmq_strerror(zmq_errno()));
	return fd;
}

static int
send_frame(void *sock, const void *p, size_t n, int flags)
{
	int rc;

	do
		rc = zmq_send(sock, p, n, flags | ZMQ_DONTWAIT);
	while (rc == -1 && zmq_errno() == EINTR);
	return rc == -1 ? -1 : 0;
}

int
sock_send(void *sock, const uint8_t id[16], struct slice msg)
{
	if (send_frame(sock, id, 16, ZMQ_SNDMORE) == -1)
		return -1;
	return send_frame(sock, msg.p, msg.n, 0);
}

static int
recv_frame(void *sock, zmq_msg_t *m)
{
	int rc;

	do
		rc = zmq_msg_recv(m, sock, ZMQ_DONTWAIT);
	while (rc == -1 && zmq_errno() == EINTR);
	return rc == -1 ? -1 : 0;
}

int
sock_recv(void *sock, uint8_t id[16], zmq_msg_t *answer)
{
	bool good, more;
	size_t nth;

	(void)zmq_msg_init(answer);
	if (recv_frame(sock, answer) == -1)
		return -1;
	good = zmq_msg_size(answer) == 16;
	if (good)
		memcpy(id, zmq_msg_data(answer), 16);
	more = zmq_msg_more(answer) != 0;
	for (nth = 1; more; nth++) {
		if (recv_frame(sock, answer) == -1)
			return -1;
		more = zmq_msg_more(answer) != 0;
	}
	if (good && nth == 2 && zmq_msg_size(answer) > 0)
		return 1;
	(void)zmq_msg_close(answer);
	return 0;
}

bool
sock_connected(void *sock)
{
	int events = 0;
	size_t len = sizeof(events);

	return zmq_getsockopt(sock, ZMQ_EVENTS, &events, &len) != 0 ||
	    (events & (ZMQ_POLLIN | ZMQ_POLLOUT)) != 0;
}
