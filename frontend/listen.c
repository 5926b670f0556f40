/*
 * The FastCGI socket: made by main.c before the first fork, accepted from by
 * conns.c; who may connect is asked of the kernel.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "log.h"

/*
 * Requests that wait for a thread wait here: beyond it nginx answers 502.  The
 * kernel takes no more than net.core.somaxconn.
 */
#define BACKLOG		4096
#define FULL_US		50000	/* a pause when there are no descriptors */
#define PEER_S		30	/* nginx has the request when it connects */

/* Bound under a name of its own, then renamed over the old one. */
static int
bind_at(int fd, const struct wconf *c, const char *path, struct err *err)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	mode_t			old;
	int			r;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	(void)unlink(path);
	old = umask(0177);
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(old);
	if (r == -1)
		return err_set(err, ERR_INTERNAL, "%s: bind: %s", path,
		    strerror(errno));
	if (c->group != (gid_t)-1 && chown(path, (uid_t)-1, c->group) == -1)
		return err_set(err, ERR_INTERNAL, "%s: socket-group: %s",
		    path, strerror(errno));
	if (chmod(path, c->mode) == -1 || listen(fd, BACKLOG) == -1 ||
	    rename(path, c->socket) == -1)
		return err_set(err, ERR_INTERNAL, "%s: %s", c->socket,
		    strerror(errno));
	return 0;
}

int
listen_open(const struct wconf *c, struct err *err)
{
	char		path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int		fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(err, ERR_INTERNAL, "socket: %s",
		    strerror(errno));
	snprintf(path, sizeof(path), "%s.%ld", c->socket, (long)getpid());
	if (bind_at(fd, c, path, err) == -1) {
		(void)unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * A successor may have renamed its socket over ours already: then a
 * connection to the path is not answered by us, and it is left alone.
 */
void
listen_close(const struct wconf *c, int fd)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	int			probe, gone;

	close(fd);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", c->socket);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe == -1)
		return;
	gone = connect(probe, (struct sockaddr *)&sun, sizeof(sun)) == -1 &&
	    errno == ECONNREFUSED;
	close(probe);
	if (gone)
		(void)unlink(c->socket);
}

/* [security] N4: whoever can connect could claim to be anybody. */
static int
check_peer(const struct wconf *c, int fd)
{
	struct ucred	cred;
	socklen_t	n = sizeof(cred);
	size_t		i;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == -1)
		return -1;
	for (i = 0; i < c->npeers; i++)
		if (cred.uid == c->peer[i])
			return 0;
	log_note("peer-refused", "uid %ld is not a configured peer",
	    (long)cred.uid);
	return -1;
}

int
listen_accept(const struct wconf *c, int fd)
{
	struct timeval	tv = { PEER_S, 0 };
	int		s;

	s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (s == -1) {
		/* Out of descriptors: do not spin. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			usleep(FULL_US);
		return -1;
	}
	if (check_peer(c, s) == -1) {
		close(s);
		return -1;
	}
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return s;
}
