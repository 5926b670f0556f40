/*
 * The worker's sockets to its signers, for link_client.c: one DEALER for each
 * endpoint of a pool.  Only under the lock of the link that they belong to.
 */
#ifndef LINK_SOCK_H
#define LINK_SOCK_H

#include <stdatomic.h>
#include <sys/types.h>
#include <zmq.h>

#include "link_zap.h"

#define POOL_ENDPOINTS	32

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

/* A connected socket to the pool's endpoint, or NULL. */
void	*sock_open(const struct link_pool *, const struct endpoint *,
	    struct err *);
/* What becomes readable when something has happened to it; edges. */
int	 sock_fd(void *sock, struct err *);
/* Never waits; -1 with zmq_errno. */
int	 sock_send(void *sock, const uint8_t id[16], struct slice msg);
/*
 * One message of an id and one more frame, which the caller closes: 1; 0:
 * something else, dropped; -1: none is there.
 */
int	 sock_recv(void *sock, uint8_t id[16], zmq_msg_t *answer);
/* No answer can come over a connection that is gone. */
bool	 sock_connected(void *sock);

#endif
