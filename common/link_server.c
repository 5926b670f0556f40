/*
 * The signer's end of the link: what arrives here has come from a peer of the
 * allow-list, or over a socket that only workers can open.  batch.c takes it.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "link_guard.h"
#include "link_zap.h"

#define SERVER_LINGER_MS	1000	/* for answers on their way */
/*
 * Messages of a connection: that wait to be taken, without a limit: libzmq 4.3.4
 * aborts when a peer hangs up behind it and the next heartbeat comes (issue
 * 4364), so link_guard.c counts them; and that it has not read.
 */
#define SERVER_RCVHWM		0
#define SERVER_SNDHWM		128
#define SERVER_BACKLOG		256
#define SERVER_SLICE_MS		500	/* how soon a dead handler is seen */
#define SELFTEST_MS		5000
/* ZMQ_ZAP_ENFORCE_DOMAIN: libzmq 4.3 knows it, zmq.h calls it a draft. */
#define SERVER_ENFORCE_DOMAIN	93

struct link_server {
	void		*ctx;
	void		*sock;
	struct link_zap	*zap;		/* NULL with ipc://, as guard */
	struct link_guard *guard;
	char		 uri[256];	/* as bound */
	char		 local[64];	/* the worker's name with ipc:// */
	bool		 unbound;
};

static int
server_failed(const struct link_server *s, const char *what, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "link %s: %s: %s", s->uri, what,
	    zmq_strerror(zmq_errno()));
}

static int
server_curve(struct link_server *s, const struct link_keys *keys,
    const struct link_peer *peers, size_t n, struct err *err)
{
	int one = 1;

	if (keys == NULL || n == 0)
		return err_set(err, ERR_INTERNAL,
		    "link %s: tcp needs a key and an allow-list", s->uri);
	s->zap = link_zap_start(s->ctx, peers, n, err);
	if (s->zap == NULL)
		return -1;
	s->guard = link_guard_start(s->ctx, s->sock, err);
	if (s->guard == NULL)
		return -1;
	if (zmq_setsockopt(s->sock, ZMQ_CURVE_SERVER, &one,
	    sizeof(one)) != 0 ||
	    zmq_setsockopt(s->sock, ZMQ_CURVE_SECRETKEY, keys->sec, 41) != 0 ||
	    zmq_setsockopt(s->sock, ZMQ_ZAP_DOMAIN, LINK_DOMAIN,
	    strlen(LINK_DOMAIN)) != 0)
		return server_failed(s, "curve", err);
	/* A second fence; the self-test proves the first. */
	if (zmq_setsockopt(s->sock, SERVER_ENFORCE_DOMAIN, &one,
	    sizeof(one)) != 0 && zmq_errno() != EINVAL)
		return server_failed(s, "zap domain", err);
	return 0;
}

static int
server_local(struct link_server *s, const struct link_peer *peers, size_t n,
    struct err *err)
{
	const char *name = n == 1 ? peers[0].name : "local";

	if (strlen(name) == 0 || strlen(name) >= sizeof(s->local))
		return err_set(err, ERR_INTERNAL,
		    "worker name of %zu bytes, must be 1 to 63", strlen(name));
	memcpy(s->local, name, strlen(name) + 1);
	return 0;
}

static int
server_options(struct link_server *s, struct err *err)
{
	/* [security] Z2: a lost answer is seen, a routing id never stolen. */
	if (link_common_options(s->sock, s->uri, err) == -1 ||
	    link_setopt(s->sock, ZMQ_ROUTER_MANDATORY, 1, "mandatory",
	    err) == -1 ||
	    link_setopt(s->sock, ZMQ_ROUTER_HANDOVER, 0, "handover",
	    err) == -1 ||
	    link_setopt(s->sock, ZMQ_LINGER, SERVER_LINGER_MS, "linger",
	    err) == -1 ||
	    link_setopt(s->sock, ZMQ_RCVHWM, SERVER_RCVHWM, "rcvhwm",
	    err) == -1 ||
	    link_setopt(s->sock, ZMQ_SNDHWM, SERVER_SNDHWM, "sndhwm",
	    err) == -1)
		return -1;
	return link_setopt(s->sock, ZMQ_BACKLOG, SERVER_BACKLOG, "backlog",
	    err);
}

/* ZeroMQ unlinks whatever has the socket's name: only let it be a socket. */
static int
server_bind_ipc(struct link_server *s, struct err *err)
{
	const char *path = s->uri + strlen("ipc://");
	struct stat st;
	mode_t mask;
	int rc;

	if (path[0] != '/')
		return err_set(err, ERR_INTERNAL,
		    "link %s: an absolute path is needed", s->uri);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s is not a socket", path);
	mask = umask(0117);
	rc = zmq_bind(s->sock, s->uri);
	(void)umask(mask);
	if (rc != 0)
		return server_failed(s, "bind", err);
	if (lstat(path, &st) != 0 || (st.st_mode & 07777) != 0660)
		return err_set(err, ERR_INTERNAL, "%s: mode is not 0660", path);
	return 0;
}

static int
server_bind(struct link_server *s, struct err *err)
{
	size_t len = sizeof(s->uri);

	if (link_is_ipc(s->uri))
		return server_bind_ipc(s, err);
	if (zmq_bind(s->sock, s->uri) != 0)
		return server_failed(s, "bind", err);
	/* With the port that "tcp://127.0.0.1:*" got. */
	if (zmq_getsockopt(s->sock, ZMQ_LAST_ENDPOINT, s->uri, &len) != 0)
		return server_failed(s, "endpoint", err);
	return 0;
}

/* Event number of the next monitor message, 0 after the deadline, or -1. */
static int
selftest_event(void *monitor, int timeout_ms)
{
	zmq_pollitem_t item = { monitor, 0, ZMQ_POLLIN, 0 };
	uint8_t head[6], address[256];
	uint16_t event;
	int rc;

	rc = zmq_poll(&item, 1, timeout_ms);
	if (rc <= 0)
		return rc;
	if (zmq_recv(monitor, head, sizeof(head), 0) != sizeof(head) ||
	    zmq_recv(monitor, address, sizeof(address), 0) == -1)
		return -1;
	memcpy(&event, head, sizeof(event));
	return event;
}

/* Does the server's own word say that this key is refused? */
static int
selftest_wait(void *monitor, struct err *err)
{
	int64_t left, end = link_now_ms() + SELFTEST_MS;
	int event;

	while ((left = end - link_now_ms()) > 0) {
		event = selftest_event(monitor, (int)left);
		if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
			return 0;
		if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
			return err_set(err, ERR_INTERNAL,
			    "link self-test: an unknown key was let in");
		if (event == -1 && zmq_errno() != EINTR)
			break;
	}
	return err_set(err, ERR_INTERNAL,
	    "link self-test: no refusal of an unknown key was seen");
}

static int
selftest_connect(void *sock, void *monitor, const char *uri,
    const char *server_key, struct err *err)
{
	char pub[41], sec[41];

	if (link_common_options(sock, uri, err) == -1 ||
	    link_setopt(sock, ZMQ_LINGER, 0, "linger", err) == -1 ||
	    link_setopt(monitor, ZMQ_LINGER, 0, "linger", err) == -1)
		return -1;
	if (zmq_curve_keypair(pub, sec) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, pub, 41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, sec, 41) != 0 ||
	    zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, server_key, 41) != 0 ||
	    zmq_socket_monitor(sock, "inproc://selftest",
	    ZMQ_EVENT_ALL) != 0 ||
	    zmq_connect(monitor, "inproc://selftest") != 0 ||
	    zmq_connect(sock, uri) != 0)
		return err_set(err, ERR_INTERNAL, "link self-test: %s",
		    zmq_strerror(zmq_errno()));
	return 0;
}

static int
server_selftest(struct link_server *s, const struct link_keys *keys,
    struct err *err)
{
	void *ctx = zmq_ctx_new(), *sock = NULL, *monitor = NULL;
	int rc = -1;

	if (ctx != NULL) {
		sock = zmq_socket(ctx, ZMQ_DEALER);
		monitor = zmq_socket(ctx, ZMQ_PAIR);
	}
	if (sock == NULL || monitor == NULL)
		err_set(err, ERR_INTERNAL, "link self-test: %s",
		    zmq_strerror(zmq_errno()));
	else if (selftest_connect(sock, monitor, s->uri, keys->pub,
	    err) == 0 && selftest_wait(monitor, err) == 0)
		rc = 0;
	/* A handshake that fails for another reason proves no allow-list. */
	if (rc == 0 && link_zap_refused(s->zap) == 0)
		rc = err_set(err, ERR_INTERNAL,
		    "link self-test: refused, but not by the allow-list");
	if (sock != NULL) {
		(void)zmq_socket_monitor(sock, NULL, 0);
		(void)zmq_close(sock);
	}
	if (monitor != NULL)
		(void)zmq_close(monitor);
	if (ctx != NULL)
		(void)zmq_ctx_term(ctx);
	return rc;
}

static int
server_start(struct link_server *s, const struct link_keys *keys,
    const struct link_peer *peers, size_t npeers, struct err *err)
{
	bool tcp = link_is_tcp(s->uri);

	s->ctx = zmq_ctx_new();
	if (s->ctx == NULL)
		return server_failed(s, "context", err);
	s->sock = zmq_socket(s->ctx, ZMQ_ROUTER);
	if (s->sock == NULL)
		return server_failed(s, "socket", err);
	if (server_options(s, err) == -1)
		return -1;
	if ((tcp ? server_curve(s, keys, peers, npeers, err) :
	    server_local(s, peers, npeers, err)) == -1)
		return -1;
	if (server_bind(s, err) == -1)
		return -1;
	return tcp ? server_selftest(s, keys, err) : 0;
}

struct link_server *
link_server_new(const char *uri, const struct link_keys *keys,
    const struct link_peer *peers, size_t npeers, struct err *err)
{
	struct link_server *s;

	if (strlen(uri) >= sizeof(s->uri) ||
	    (!link_is_tcp(uri) && !link_is_ipc(uri))) {
		err_set(err, ERR_INTERNAL,
		    "link %.64s: only tcp:// and ipc:// are known", uri);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	memcpy(s->uri, uri, strlen(uri) + 1);
	if (server_start(s, keys, peers, npeers, err) == -1) {
		link_server_free(s);
		return NULL;
	}
	return s;
}

/* Closed for good before the handler that guards it goes. */
void
link_server_free(struct link_server *s)
{
	if (s == NULL)
		return;
	if (s->sock != NULL) {
		if (!s->unbound)
			(void)zmq_unbind(s->sock, s->uri);
		link_guard_stop(s->guard);
		(void)zmq_close(s->sock);
	}
	link_zap_stop(s->zap);
	if (s->ctx != NULL)
		(void)zmq_ctx_term(s->ctx);
	free(s);
}

const char *
link_server_uri(const struct link_server *s)
{
	return s->uri;
}

struct link_zap *
link_server_zap(struct link_server *s)
{
	return s->zap;
}

/* [security] Z2: who sent it is what the handler said, nothing else. */
static bool
recv_worker(const struct link_server *s, zmq_msg_t *m, struct link_job *job)
{
	const char *name = s->zap == NULL ? s->local :
	    zmq_msg_gets(m, "User-Id");

	if (name == NULL || name[0] == '\0' ||
	    strlen(name) >= sizeof(job->worker))
		return false;
	memcpy(job->worker, name, strlen(name) + 1);
	return true;
}

static bool
recv_frame(const struct link_server *s, zmq_msg_t *m, size_t nth,
    struct link_job *job)
{
	size_t n = zmq_msg_size(m);

	switch (nth) {
	case 0:
		buf_reset(&job->routing_id);
		buf_add(&job->routing_id, zmq_msg_data(m), n);
		return true;
	case 1:
		if (n == sizeof(job->id))
			memcpy(job->id, zmq_msg_data(m), n);
		return n == sizeof(job->id);
	case 2:
		if (n == 0 || n > MSG_MAX)
			return false;
		buf_reset(&job->msg);
		buf_add(&job->msg, zmq_msg_data(m), n);
		return recv_worker(s, m, job);
	default:
		return false;
	}
}

/* One message, good (1) or dropped (0); -1 with errno when there is none. */
static int
recv_message(struct link_server *s, struct link_job *job)
{
	bool good = true, more = true;
	zmq_msg_t m;
	size_t nth;

	for (nth = 0; more; nth++) {
		(void)zmq_msg_init(&m);
		if (zmq_msg_recv(&m, s->sock, ZMQ_DONTWAIT) == -1) {
			if (zmq_errno() == EAGAIN)
				link_guard_empty(s->guard);
			(void)zmq_msg_close(&m);
			return -1;
		}
		if (nth > 0)	/* the first is not the peer's */
			link_guard_took(s->guard, zmq_msg_get(&m, ZMQ_SRCFD),
			    zmq_msg_size(&m));
		good = good && recv_frame(s, &m, nth, job);
		more = zmq_msg_more(&m) != 0;
		(void)zmq_msg_close(&m);
	}
	return good && nth == 3 ? 1 : 0;
}

static int
server_alive(struct link_server *s, struct err *err)
{
	if (s->zap == NULL || link_zap_alive(s->zap))
		return 0;
	if (!s->unbound)
		(void)zmq_unbind(s->sock, s->uri);
	s->unbound = true;
	return err_set(err, ERR_INTERNAL,
	    "link %s: the zap handler has stopped", s->uri);
}

int
link_recv(struct link_server *s, struct link_job *job, int timeout_ms,
    struct err *err)
{
	zmq_pollitem_t item = { s->sock, 0, ZMQ_POLLIN, 0 };
	int64_t left, end = link_now_ms() + timeout_ms;
	int rc;

	for (;;) {
		if (server_alive(s, err) == -1)
			return -1;
		rc = recv_message(s, job);
		if (rc == 1)
			return 1;
		if (rc == -1 && zmq_errno() == EINTR)
			return 0;
		if (rc == -1 && zmq_errno() != EAGAIN)
			return server_failed(s, "receive", err);
		left = timeout_ms < 0 ? SERVER_SLICE_MS : end - link_now_ms();
		if (left <= 0 && rc == -1)
			return 0;
		if (rc == 0)
			continue;	/* dropped: the next may be good */
		if (zmq_poll(&item, 1, left < SERVER_SLICE_MS ? (long)left :
		    SERVER_SLICE_MS) == -1)
			return zmq_errno() == EINTR ? 0 :
			    server_failed(s, "poll", err);
	}
}

static int
send_frame(struct link_server *s, const void *p, size_t n, int flags)
{
	int rc;

	do
		rc = zmq_send(s->sock, p, n, flags | ZMQ_DONTWAIT);
	while (rc == -1 && zmq_errno() == EINTR);
	return rc == -1 ? -1 : 0;
}

int
link_send(struct link_server *s, const struct link_job *job,
    struct slice answer, struct err *err)
{
	if (answer.n == 0 || answer.n > MSG_MAX)
		return err_set(err, ERR_INTERNAL,
		    "answer of %zu bytes, must be 1 to %d", answer.n, MSG_MAX);
	if (send_frame(s, job->routing_id.p, job->routing_id.n,
	    ZMQ_SNDMORE) == 0 &&
	    send_frame(s, job->id, sizeof(job->id), ZMQ_SNDMORE) == 0 &&
	    send_frame(s, answer.p, answer.n, 0) == 0)
		return 0;
	if (zmq_errno() == EHOSTUNREACH)
		return err_set(err, ERR_UNAVAILABLE, "worker %s is gone",
		    job->worker);
	if (zmq_errno() == EAGAIN)
		return err_set(err, ERR_UNAVAILABLE,
		    "worker %s does not read its answers", job->worker);
	return server_failed(s, "send", err);
}
