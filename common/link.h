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
/* -1: ERR_INTERNAL. */
int	 link_keys_load(const char *path, struct link_keys *, struct err *);
int	 link_keys_create(const char *path, struct link_keys *, struct err *);
void	 link_keys_free(struct link_keys *);

struct link_endpoint {
	char	*uri;		/* "tcp://127.0.0.1:7001", "ipc:///run/..." */
	char	*server_key;	/* Z85 of the signer; NULL with ipc:// */
};

/*
 * Worker side.  One struct link_pool per process (one ZeroMQ context), and
 * links of it, each with a connection of its own to every signer it has asked.
 * A question goes to one signer; one that does not answer within try_ms is
 * left alone for a while and the next one is asked with the same bytes (the id
 * makes that safe), until total_ms, which is at least try_ms.  One that answers
 * MSG_ELSEWHERE has not the key or cannot work now: the next is asked, and what
 * the last one says is the reply.
 *
 * A pool belongs to the process that made it: fork first, link_pool_new then
 * (ZeroMQ's threads do not survive a fork).  Free links before the pool.
 * keys may be NULL when no endpoint is tcp://.  NULL: ERR_INTERNAL.
 */
struct link_pool	*link_pool_new(const struct link_endpoint *, size_t n,
			    const struct link_keys *, struct err *);
void			 link_pool_free(struct link_pool *);
struct link		*link_new(struct link_pool *, int try_ms, int total_ms,
			    struct err *);
void			 link_free(struct link *);	/* nothing pending */

/*
 * Asks and waits: a link that no other thread uses meanwhile.  reply is
 * appended, or as it was on -1: ERR_UNAVAILABLE when no signer answered,
 * ERR_TOO_BIG for a msg above MSG_MAX, ERR_INTERNAL.
 */
int			 link_call(struct link *, const uint8_t id[16],
			    struct slice msg, struct buf *reply, struct err *);

/*
 * The same without waiting, for any number of threads: each gives questions
 * and takes back what is answered, its own or another's.
 */
struct link_question {		/* zero it, fill the first part */
	uint8_t		 id[16];	/* no other pending one has it */
	struct slice	 msg;		/* lent */
	uint32_t	 lot;		/* who is asked first: 0, the next in
					   turn; the same for the same */
	struct buf	*reply;		/* appended */
	void		*asker;
	struct err	 err;		/* taken back: none or why not */
	/* The link's own: how far it has come. */
	struct link_question *next;
	struct endpoint	*at;		/* who has it now, or NULL */
	int64_t		 until, end, await_end;
	size_t		 before, first, k, asked;
	uint32_t	 away;
	int		 got;
	bool		 last, absent, waits;
};
/* From here on it belongs to whoever takes it back. */
void			 link_ask(struct link *, struct link_question *);
/* The next that is answered or given up; NULL: none that is known of. */
struct link_question	*link_next(struct link *);
/* Finds out: when a socket says so, and every 100 ms while one is pending. */
void			 link_look(struct link *);
/* Waits until a socket says so or it is time, then looks. */
void			 link_wait(struct link *);
/* Questions not taken back. */
size_t			 link_pending(struct link *);
/*
 * Before the first question: what a socket says shall also be seen in this
 * epoll, edge triggered, as data.fd = tag.
 */
void			 link_watch(struct link *, int epoll, int tag);

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
	uint8_t		 id[16];	/* first frame; goes back, too */
	struct buf	 msg;
	char		 worker[64];	/* name from the allow-list */
};

/*
 * Binds, and on tcp:// starts the ZAP handler and proves with a random key
 * that an unknown peer is refused; fails if it is not.  On ipc:// keys are
 * not used: the socket (0660) and its folder decide who may connect, and the
 * worker is called by the only peer's name, or "local".  Two peers may have
 * one name (a key being replaced), never one key.  One server, one thread.
 */
struct link_server	*link_server_new(const char *uri,
			    const struct link_keys *, const struct link_peer *,
			    size_t npeers, struct err *);
void	 link_server_free(struct link_server *);
const char	*link_server_uri(const struct link_server *);	/* as bound */
/*
 * Next message, waiting at most timeout_ms (0 = do not wait, -1 = for ever).
 * 1 = got one, 0 = none, -1 = error: nothing will be accepted any more, end.
 * Messages over the limits are dropped.  EINTR counts as none.  The job is
 * overwritten: zero it before the first use, link_job_free after the last.
 */
int	 link_recv(struct link_server *, struct link_job *, int timeout_ms,
	    struct err *);
/*
 * Never waits; ERR_UNAVAILABLE when the worker is gone or does not read,
 * ERR_INTERNAL when link_recv will fail from now on.
 */
int	 link_send(struct link_server *, const struct link_job *, struct slice,
	    struct err *);
void	 link_job_free(struct link_job *);

#endif
