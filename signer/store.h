/*
 * The signer's PostgreSQL: everything it reads and writes there.  Rows of one
 * batch go in with COPY, in one transaction.
 */
#ifndef STORE_H
#define STORE_H

#include "db.h"
#include "job.h"
#include "recover.h"

struct store;

/* Connects lazily; signer is the name whose lock is held while connected. */
struct store	*store_open(const char *dsn, const char *signer);
void		 store_close(struct store *);

/*
 * Connected, durable by its settings, and the only signer of this name: the
 * lock is the session's, so a session that still has a COMMIT to finish keeps
 * its successor waiting.  Cheap when nothing happened since the last call.
 */
int		 store_ready(struct store *, struct err *);
/* Ask for the settings again: somebody may have changed them. */
int		 store_settings(struct store *, struct err *);
int		 store_register(struct store *, uint16_t *prefix,
		    struct err *);
int		 store_partitions(struct store *, struct err *);

/*
 * Rows found.  found_free at the end; what found_get lends lives until then.
 */
struct found {
	PGresult	*res;
};
struct stored {
	struct slice	 id, replay_key;
	enum msg_status	 status;
	uint32_t	 number, hresult;
	struct slice	 text, account, ca, template_name, token_sha256;
	struct slice	 serial, certificate;	/* empty unless issued */
	struct slice	 decision_id;		/* empty unless it waited */
	int64_t		 expires;		/* unix seconds; 0 = never */
	struct slice	 token;			/* of store_query ... */
	struct slice	 submitted_sha256;	/* ... of store_pending only */
	struct slice	 evidence;
	enum auth_method method;
	int64_t		 received;		/* unix seconds */
};
size_t		 found_count(const struct found *);
int		 found_get(const struct found *, size_t, struct stored *,
		    struct err *);
void		 found_free(struct found *);

struct store_key {
	uint8_t	 id[MSG_ID];
	uint8_t	 replay_key[MSG_ID];
	bool	 by_replay_key;		/* also, unless denied */
};
/* Rows with one of these ids, or one of these replay keys, on the id's day. */
int		 store_find(struct store *, const struct store_key *, size_t,
		    struct found *, struct err *);
/* At most one row: this number, and whose it is. */
int		 store_query(struct store *, const struct job *,
		    struct found *, struct err *);

/* At most one row: that of the verdict's request, if it is of job's CA. */
int		 store_pending(struct store *, const struct job *,
		    struct found *, struct err *);
/* Rows of certificates that requests are signed with. */
struct issued_set *store_issued(struct store *, const struct slice *serials,
		    size_t n, struct err *);

/*
 * Begin the transaction of store_insert early and lock what the jobs use up:
 * one-time secrets and pending requests.  reserved tells which of them are
 * still to be had; an open transaction ends with store_insert or with
 * store_release.
 */
int		 store_reserve(struct store *, struct job *const *, size_t,
		    struct err *);
void		 store_release(struct store *);
/*
 * Insert the rows of these jobs, or update those that were pending.  On
 * failure nothing is there, unless
 * *in_doubt: then nobody knows until store_barrier and store_find say so.
 */
int		 store_insert(struct store *, struct job *const *, size_t,
		    bool *in_doubt, struct err *);
/*
 * Commit something that waits for the standby: what was committed before is
 * then durable too, also when its own COMMIT said that it might not be.
 */
int		 store_barrier(struct store *, struct err *);

/* Rows for serials that may have been signed and have no certificate. */
int		 store_void(struct store *, const struct intents *,
		    struct err *);

#endif
