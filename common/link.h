/*
 * The link: ZeroMQ DEALER (worker) to ROUTER (signer).  ipc:// on one host;
 * tcp:// only with CURVE and a ZAP allow-list on the signer, since CURVE
 * alone lets any key in.
 */
#ifndef LINK_H
#define LINK_H

#include "buf.h"
#include "err.h"

/* Z85 keys (40 characters); secret keys are wiped by link_keys_free. */
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
	struct buf	 msg;
	char		 worker[64];	/* name from the allow-list */
};

/*
 * Binds, and on tcp:// starts the ZAP handler and proves with a random key
 * that an unknown peer is refused; fails if it is not.
 */
struct link_server	*link_server_new(const char *uri,
			    const struct link_keys *, const struct link_peer *,
			    size_t npeers, struct err *);
void	 link_server_free(struct link_server *);
int	 link_server_fd(const struct link_server *);	/* for poll(2) */
/*
 * Next message, waiting at most timeout_ms (0 = do not wait, -1 = for ever).
 * 1 = got one, 0 = none, -1 = error.  Frames over the limits are dropped.
 * EINTR counts as none.
 */
int	 link_recv(struct link_server *, struct link_job *, int timeout_ms,
	    struct err *);
int	 link_send(struct link_server *, const struct link_job *, struct slice,
	    struct err *);
void	 link_job_free(struct link_job *);

#endif
