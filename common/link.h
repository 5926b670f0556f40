/*
 * The link: ZeroMQ DEALER (worker) to ROUTER (signer).  ipc:// on one host;
 * tcp:// only with CURVE and a ZAP allow-list on the signer, since CURVE
 * alone lets any key in.
 */
#ifndef LINK_H
#define LINK_H

#include "buf.h"
#include "err.h"

/*
 * Z85 keys (40 characters); secret keys are wiped by link_keys_free.  The
 * file (mode 0400) holds the secret key alone: the public one follows from it.
 */
struct link_keys {
	char	 pub[41];
	char	 sec[41];
};
int	 link_keys_load(const char *path, struct link_keys *, struct err *);
int	 link_keys_create(const char *path, struct link_keys *, struct err *);
void	 link_keys_free(struct link_keys *);

struct link_endpoint {
	char	*uri;		/* "tcp://127.0.0.1:7001", "ipc:///run/..." */
	char	*server_key;	/* Z85 of the signer; NULL with ipc:// */
};

/*
 * Worker side.  One struct link_pool per process (one ZeroMQ context), one
 * struct link per thread.  link_call sends to one signer and waits; a signer
 * that does not answer within try_ms is left alone for a while and the next
 * one is asked with the same bytes (the id makes that safe), until total_ms.
 * reply is appended.  ERR_UNAVAILABLE when no signer answered.
 *
 * A pool belongs to the process that made it: fork first, link_pool_new then
 * (ZeroMQ's threads do not survive a fork).  A pool may be used by many
 * threads, a link by the one thread that calls it; free links before the pool.
 * keys may be NULL when no endpoint is tcp://.
 */
struct link_pool	*link_pool_new(const struct link_endpoint *, size_t n,
			    const struct link_keys *, struct err *);
void			 link_pool_free(struct link_pool *);
struct link		*link_new(struct link_pool *, int try_ms, int total_ms,
			    struct err *);
void			 link_free(struct link *);
int			 link_call(struct link *, const uint8_t id[16],
			    struct slice msg, struct buf *reply, struct err *);

/*
 * Signer side.  Peers are named by the allow-list; the name of the peer
 * (ZAP User-Id), never what the message says, is the worker recorded.
 */
struct link_peer {
	char	*name;
	char	*public_key;	/* Z85 */
};
struct link_server;
struct link_job {		/* one message received; owned by the caller */
	struct buf	 routing_id;
	uint8_t		 id[16];	/* first frame; goes back with the answer */
	struct buf	 msg;
	char		 worker[64];	/* name from the allow-list */
};

/*
 * Binds, and on tcp:// starts the ZAP handler and proves with a random key
 * that an unknown peer is refused; fails if it is not.  On ipc:// keys are
 * not used: the socket (0660) and its folder decide who may connect, and the
 * worker is called by the only peer's name, or "local".  Two peers may have one name (a key
 * being replaced), never one key.  One server, one thread.
 */
struct link_server	*link_server_new(const char *uri,
			    const struct link_keys *, const struct link_peer *,
			    size_t npeers, struct err *);
void	 link_server_free(struct link_server *);
/*
 * For poll(2); ZeroMQ signals edges: call link_recv until it returns 0 before
 * waiting again.
 */
int	 link_server_fd(const struct link_server *);
const char	*link_server_uri(const struct link_server *);	/* as bound */
/*
 * Next message, waiting at most timeout_ms (0 = do not wait, -1 = for ever).
 * 1 = got one, 0 = none, -1 = error: nothing will be accepted any more, end.
 * Messages over the limits are dropped.  EINTR counts as none.  The job is
 * overwritten: zero it before the first use, link_job_free after the last.
 */
int	 link_recv(struct link_server *, struct link_job *, int timeout_ms,
	    struct err *);
/* Never waits; ERR_UNAVAILABLE when the worker is gone or does not read. */
int	 link_send(struct link_server *, const struct link_job *, struct slice,
	    struct err *);
void	 link_job_free(struct link_job *);

#endif
