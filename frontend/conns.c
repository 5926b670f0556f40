/*
 * Connections of nginx that stay open: one epoll for each process, from which
 * its threads (process.c) take what has something to say.
 */
#include <sys/epoll.h>
#include <sys/resource.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conns.h"
#include "listen.h"

struct conns {
	const struct wconf	*conf;
	int			 listen_fd;
	int			 epoll;
	int			 limit;	/* from this descriptor on: closed */
	atomic_bool		 stop;
};

static int
watch(const struct conns *c, int fd, int op, uint32_t events)
{
	struct epoll_event	ev = { .events = events, .data.fd = fd };

	return epoll_ctl(c->epoll, op, fd, &ev);
}

struct conns *
conns_new(const struct wconf *conf, int listen_fd, struct err *err)
{
	struct conns	*c = xcalloc(1, sizeof(*c));
	struct rlimit	 files = { 1024, 1024 };

	c->conf = conf;
	c->listen_fd = listen_fd;
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll == -1 ||
	    watch(c, listen_fd, EPOLL_CTL_ADD, EPOLLIN) == -1) {
		err_set(err, ERR_INTERNAL, "epoll: %s", strerror(errno));
		conns_free(c);
		return NULL;
	}
	(void)getrlimit(RLIMIT_NOFILE, &files);
	c->limit = files.rlim_cur < INT32_MAX ? (int)(files.rlim_cur / 2) :
	    INT32_MAX;
	return c;
}

void
conns_free(struct conns *c)
{
	if (c == NULL)
		return;
	if (c->epoll != -1)
		close(c->epoll);
	free(c);
}

/*
 * Whoever waits to be accepted is in one queue, in a socket, and kept ones are
 * in another: were one always emptied first, the other would starve.
 */
int
conns_next(struct conns *c, bool *turn, int wait_ms)
{
	struct epoll_event	ev;
	bool			stop = atomic_load(&c->stop);
	int			fd = -1;

	*turn = !*turn;
	if (*turn && !stop)
		fd = listen_accept(c->conf, c->listen_fd);
	if (fd != -1)
		return fd;
	if (epoll_wait(c->epoll, &ev, 1, wait_ms) != 1)
		return -1;
	if (ev.data.fd != c->listen_fd)
		return ev.data.fd;
	return stop ? -1 : listen_accept(c->conf, c->listen_fd);
}

int
conns_epoll(const struct conns *c)
{
	return c->epoll;
}

bool
conns_room(const struct conns *c, int fd)
{
	return fd < c->limit && !atomic_load(&c->stop);
}

void
conns_keep(struct conns *c, int fd)
{
	/* Once only, so that one thread at a time has it. */
	if (watch(c, fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT) == -1 &&
	    watch(c, fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLONESHOT) == -1)
		close(fd);
}

void
conns_stop(struct conns *c)
{
	(void)watch(c, c->listen_fd, EPOLL_CTL_DEL, 0);
	atomic_store(&c->stop, true);
}

bool
conns_stopped(const struct conns *c)
{
	return atomic_load(&c->stop);
}
