/*
 * One peer must not fill the memory of a signer that all need ([security] Z4).
 * Beside link_server.c: the kernel counts what a connection has brought, the
 * server what it took, and the difference is in ZeroMQ's memory.
 */
#include "link_guard.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "link_zap.h"
#include "log.h"

#define GUARD_EVENTS	"inproc://countersign.guard"
#define GUARD_WAITING	(64 * 1024 * 1024)
#define GUARD_ADDRESS	256	/* a host's: 64 processes, those of before */
#define GUARD_ALL	1024
#define GUARD_BARRED	16
#define GUARD_FDS	4096	/* more than all, and twice */
#define GUARD_LOOK_MS	50
#define GUARD_SAY_MS	10000	/* between two lines about the same */
/*
 * A frame as [ZMTP 3.0] and CURVE have it: flags and length, "MESSAGE", nonce,
 * box, flags once more.  And what heartbeats of both sides may take a second.
 */
#define FRAME_BOX	33
#define FRAME_SHORT	2
#define FRAME_LONG	9
#define BEAT_BYTES	24

struct conn {
	int		 own;		/* of the same connection, or -1 */
	int64_t		 taken;
	int64_t		 since;		/* ms */
	struct in6_addr	 from;
	bool		 unwanted;
};

struct link_guard {
	void		*events;	/* PAIR, the thread's */
	void		*sock;
	pthread_t	 thread;
	bool		 started;
	atomic_bool	 stop;
	pthread_mutex_t	 lock;		/* what follows */
	struct conn	 conn[GUARD_FDS];	/* by ZeroMQ's descriptor */
	int		 top;		/* above the last that is open */
	int64_t		 left;		/* by those that were closed */
	struct in6_addr	 barred[GUARD_BARRED];	/* until that is taken */
	size_t		 nbarred;
	int64_t		 said_at;
};

static void
conn_forget(struct conn *c)
{
	if (c->own != -1)
		(void)close(c->own);
	c->own = -1;
}

/* Whatever the descriptor means meanwhile, this is the connection. */
static void
conn_end(struct conn *c)
{
	(void)shutdown(c->own, SHUT_RDWR);
	conn_forget(c);
}

static int64_t
conn_waiting(struct conn *c, int64_t now)
{
	struct tcp_info	info = { 0 };
	socklen_t	len = sizeof(info);
	int64_t		brought;

	if (c->own == -1 ||
	    getsockopt(c->own, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	brought = (int64_t)info.tcpi_bytes_received;
	/* Not its own, but of one that had the descriptor before. */
	if (c->taken > brought)
		c->taken = brought;
	brought -= c->taken;
	/* What heartbeats did not need must not hide days later what waits. */
	if ((now - c->since) / 1000 > brought / BEAT_BYTES)
		c->since = now - brought / BEAT_BYTES * 1000;
	return brought - (now - c->since) / 1000 * BEAT_BYTES;
}

static void
say(struct link_guard *g, const struct conn *c, const char *why)
{
	char	text[INET6_ADDRSTRLEN] = "";
	int64_t	now = link_now_ms();

	if (now < g->said_at)
		return;
	g->said_at = now + GUARD_SAY_MS;
	if (IN6_IS_ADDR_V4MAPPED(&c->from))
		(void)inet_ntop(AF_INET, c->from.s6_addr + 12, text,
		    sizeof(text));
	else
		(void)inet_ntop(AF_INET6, &c->from, text, sizeof(text));
	log_note("link", "connection of %s is closed: %s", text, why);
}

/* By what is compared: IPv4 as IPv6 has it. */
static int
address_of(int fd, struct in6_addr *out)
{
	struct sockaddr_storage	ss;
	struct sockaddr_in	v4;
	struct sockaddr_in6	v6;
	socklen_t		len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
		return -1;
	if (ss.ss_family == AF_INET6) {
		memcpy(&v6, &ss, sizeof(v6));
		*out = v6.sin6_addr;
		return 0;
	}
	if (ss.ss_family != AF_INET)
		return -1;
	memcpy(&v4, &ss, sizeof(v4));
	memset(out, 0, sizeof(*out));
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(out->s6_addr + 12, &v4.sin_addr, 4);
	return 0;
}

static bool
is_barred(const struct link_guard *g, const struct in6_addr *from)
{
	size_t	i;

	for (i = 0; i < g->nbarred; i++)
		if (memcmp(&g->barred[i], from, sizeof(*from)) == 0)
			return true;
	return g->nbarred == GUARD_BARRED || g->left > GUARD_WAITING;
}

static bool
is_too_many(const struct link_guard *g, const struct in6_addr *from)
{
	int	i, all = 0, theirs = 0;

	for (i = 0; i < g->top; i++) {
		if (g->conn[i].own == -1 || g->conn[i].unwanted)
			continue;
		all++;
		theirs += memcmp(&g->conn[i].from, from, sizeof(*from)) == 0;
	}
	return all >= GUARD_ALL || theirs >= GUARD_ADDRESS;
}

/*
 * It may be gone already, and the descriptor that of the database: then that
 * it is gone has been said, too, and is heard before anything is closed.
 */
static void
guard_opened(struct link_guard *g, int fd)
{
	struct conn	c = { .own = fcntl(fd, F_DUPFD_CLOEXEC, 0),
			    .since = link_now_ms() };

	conn_forget(&g->conn[fd]);
	if (c.own == -1)
		return;
	if (address_of(c.own, &c.from) == -1) {
		conn_forget(&c);
		return;
	}
	c.unwanted = is_barred(g, &c.from) || is_too_many(g, &c.from);
	g->conn[fd] = c;
	if (fd >= g->top)
		g->top = fd + 1;
}

static void
guard_event(struct link_guard *g, uint16_t event, uint32_t value)
{
	if (value >= GUARD_FDS)
		return;
	(void)pthread_mutex_lock(&g->lock);
	if (event == ZMQ_EVENT_ACCEPTED)
		guard_opened(g, (int)value);
	else
		conn_forget(&g->conn[value]);
	(void)pthread_mutex_unlock(&g->lock);
}

/* All that are there; -1: the socket is gone. */
static int
guard_hear(struct link_guard *g)
{
	uint8_t		head[6], address[256];
	uint16_t	event;
	uint32_t	value;
	int		n;

	while ((n = zmq_recv(g->events, head, sizeof(head),
	    ZMQ_DONTWAIT)) != -1) {
		if (n != sizeof(head) ||
		    zmq_recv(g->events, address, sizeof(address), 0) == -1)
			return -1;
		memcpy(&event, head, sizeof(event));
		memcpy(&value, head + sizeof(event), sizeof(value));
		guard_event(g, event, value);
	}
	return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? 0 : -1;
}

/*
 * All connections of a host that has been too much, and no other until what
 * they leave behind is taken: whole messages stay when theirs is closed.
 */
static void
guard_bar(struct link_guard *g, const struct conn *worst, int64_t now)
{
	struct in6_addr	from = worst->from;
	struct conn	*c;

	say(g, worst, "it has more waiting than all others");
	if (g->nbarred < GUARD_BARRED)
		g->barred[g->nbarred++] = from;
	for (c = g->conn; c < g->conn + g->top; c++) {
		if (c->own == -1 || memcmp(&c->from, &from, sizeof(from)) != 0)
			continue;
		g->left += conn_waiting(c, now);
		conn_end(c);
	}
}

static void
end_unwanted(struct link_guard *g)
{
	struct conn	*c;

	for (c = g->conn; c < g->conn + g->top; c++)
		if (c->own != -1 && c->unwanted) {
			say(g, c, "it has too many, or has filled the memory");
			conn_end(c);
		}
}

/* The host is that of the one connection that has most. */
static void
guard_look(struct link_guard *g)
{
	int64_t		now = link_now_ms(), waiting, most, all;
	struct conn	*c, *worst;

	(void)pthread_mutex_lock(&g->lock);
	end_unwanted(g);
	do {
		worst = NULL;
		most = all = 0;
		for (c = g->conn; c < g->conn + g->top; c++) {
			waiting = conn_waiting(c, now);
			all += waiting;
			if (waiting > most) {
				most = waiting;
				worst = c;
			}
		}
		if (all > GUARD_WAITING)
			guard_bar(g, worst, now);
	} while (all > GUARD_WAITING);
	(void)pthread_mutex_unlock(&g->lock);
}

static void *
guard_thread(void *arg)
{
	struct link_guard	*g = arg;
	zmq_pollitem_t		 item = { g->events, 0, ZMQ_POLLIN, 0 };

	while (!atomic_load(&g->stop)) {
		if (zmq_poll(&item, 1, GUARD_LOOK_MS) == -1 &&
		    zmq_errno() != EINTR)
			break;
		if (guard_hear(g) == -1)
			break;
		guard_look(g);
	}
	return NULL;
}

static int
guard_run(struct link_guard *g, struct err *err)
{
	sigset_t	all, old;
	int		rc;

	/* Signals are for the program's own thread. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&g->thread, NULL, guard_thread, g);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(err, ERR_INTERNAL, "link guard: %s",
		    strerror(rc));
	g->started = true;
	return 0;
}

struct link_guard *
link_guard_start(void *ctx, void *sock, struct err *err)
{
	struct link_guard	*g = xcalloc(1, sizeof(*g));
	int			 i, zero = 0;

	g->sock = sock;
	(void)pthread_mutex_init(&g->lock, NULL);
	for (i = 0; i < GUARD_FDS; i++)
		g->conn[i].own = -1;
	g->events = zmq_socket(ctx, ZMQ_PAIR);
	if (g->events == NULL ||
	    zmq_setsockopt(g->events, ZMQ_LINGER, &zero, sizeof(zero)) != 0 ||
	    zmq_setsockopt(g->events, ZMQ_RCVHWM, &zero, sizeof(zero)) != 0 ||
	    zmq_socket_monitor(sock, GUARD_EVENTS,
	    ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0 ||
	    zmq_connect(g->events, GUARD_EVENTS) != 0)
		err_set(err, ERR_INTERNAL, "link guard: %s",
		    zmq_strerror(zmq_errno()));
	else if (guard_run(g, err) == 0)
		return g;
	link_guard_stop(g);
	return NULL;
}

void
link_guard_stop(struct link_guard *g)
{
	int	i;

	if (g == NULL)
		return;
	/* The thread hears until then: nobody waits for it. */
	(void)zmq_socket_monitor(g->sock, NULL, 0);
	atomic_store(&g->stop, true);
	if (g->started)
		(void)pthread_join(g->thread, NULL);
	if (g->events != NULL)
		(void)zmq_close(g->events);
	for (i = 0; i < g->top; i++)
		conn_forget(&g->conn[i]);
	(void)pthread_mutex_destroy(&g->lock);
	free(g);
}

void
link_guard_took(struct link_guard *g, int fd, size_t n)
{
	size_t	frame = n + FRAME_BOX;

	if (g == NULL || fd < 0 || fd >= GUARD_FDS)
		return;
	frame += frame > 255 ? FRAME_LONG : FRAME_SHORT;
	(void)pthread_mutex_lock(&g->lock);
	g->conn[fd].taken += (int64_t)frame;
	(void)pthread_mutex_unlock(&g->lock);
}

void
link_guard_empty(struct link_guard *g)
{
	if (g == NULL)
		return;
	(void)pthread_mutex_lock(&g->lock);
	g->left = 0;
	g->nbarred = 0;
	(void)pthread_mutex_unlock(&g->lock);
}
