/*
 * The signer's PostgreSQL: everything it reads and writes there.  Rows of one
 * batch go in with COPY, in one transaction.  One thread.
 *
 * -1 and NULL are db_exec's where nothing else is said: ERR_UNAVAILABLE, it is
 * away, or ERR_INTERNAL, it refuses; what was to be given back is as it was.
 * Only store_ready (the lease), store_insert, store_void, store_crl_commit and
 * store_barrier know that their COMMIT was waited for: what another function
 * writes outside of a transaction a failover may take back, and nothing rests
 * on it.
 */
#ifndef STORE_H
#define STORE_H

#include "db.h"
#include "job.h"
#include "recover.h"

struct store;

/* Connects lazily; signer is the name whose lock is held while connected. */
struct store	*store_open(const char *dsn, const char *signer);
/*
 * A second session of that process, for a transaction beside those of the
 * batches: the name's lock and lease are the first one's.  store_follow: after
 * each new session of that one begin anew, where it is.  A former primary may
 * take connections, and be waited for.
 */
struct store	*store_beside(const char *dsn, const char *signer);
void		 store_follow(struct store *beside, const struct store *first);
void		 store_close(struct store *);

/*
 * A signer's two octets in serial numbers, and how many processes have had
 * them: taken with the first session and looked at in each later one.
 */
struct lease {
	uint16_t	 prefix;
	int64_t		 epoch;
};

/*
 * Connected, durable by its settings, and the only signer of this name: the
 * lock is the session's, so a session that still has a COMMIT to finish keeps
 * its successor waiting.  Cheap when nothing happened since the last call.
 * ERR_UNAVAILABLE: not yet; ERR_INTERNAL and store_fenced: another process has
 * had the lock meanwhile; this one must end.
 */
int		 store_ready(struct store *, struct err *);
const struct lease *store_lease(const struct store *);
bool		 store_fenced(const struct store *);
/*
 * Ask for the settings again, and compare clocks: somebody may have changed
 * them.  ERR_UNAVAILABLE: which one makes a COMMIT a lie, or that they are a
 * minute apart; store_ready says the same then, until it is put right.
 */
int		 store_settings(struct store *, struct err *);
/* Which session of this process it is; a new one may see another database. */
unsigned long	 store_session(const struct store *);
/*
 * What was done since store_ready was done in the session that it set up.
 * ERR_UNAVAILABLE: not all of it; no transaction is open.
 */
int		 store_same_session(struct store *, struct err *);
/* Make the partitions of the months to come, before rows need them. */
int		 store_partitions(struct store *, struct err *);

/*
 * Rows found: zero it, filled on 0 alone.  found_free in any case; what
 * found_get lends lives until then.
 */
struct found {
	PGresult		*res;
	struct issued_set	*certificates;
};
struct stored {
	struct slice	 id, replay_key;
	enum msg_status	 status;
	uint32_t	 number, hresult;
	struct slice	 text, account, ca, template_name, token_sha256;
	struct slice	 serial, certificate;	/* empty unless issued */
	struct slice	 decision_id;		/* empty unless it waited */
	int64_t		 expires;		/* unix seconds; 0 = never */
	struct slice	 response;		/* CMC, of one that waits */
	struct slice	 token;		/* of store_query, store_pending only */
	struct slice	 submitted_sha256;	/* of found_pending only */
	struct slice	 evidence, subject, san;
	enum auth_method method;
	int64_t		 received;		/* unix seconds */
};
size_t		 found_count(const struct found *);
/* Row number i, lent; ERR_INTERNAL for one that no signer has written. */
int		 found_get(const struct found *, size_t i, struct stored *,
		    struct err *);
void		 found_free(struct found *);

struct store_key {
	uint8_t	 id[MSG_ID];
	uint8_t	 replay_key[MSG_ID];
	bool	 by_replay_key;		/* also, unless denied */
	bool	 next_days;		/* that on the days beside, too */
	size_t	 nspki;			/* also, whose key that is: */
	uint8_t	 spki[2][32];		/* pubkey_hashes */
};
/*
 * Rows with one of these ids, or one of these replay keys, on the id's day;
 * near midnight a message that is repeated may have come on another;
 * and whom keys are certified for: found_owner.
 */
int		 store_find(struct store *, const struct store_key *, size_t,
		    struct found *, struct err *);
/*
 * At most one row for each of the jobs: this number, and whose it is, received
 * on one of these days (since 1970); found_nth tells which job a row is for.
 */
struct store_polls {
	struct job	*const *v;
	size_t		 n;
	uint32_t	 first, last;
};
int		 store_query(struct store *, const struct store_polls *,
		    struct found *, struct err *);
size_t		 found_nth(const struct found *, size_t);
bool		 found_revoked(const struct found *, size_t);
/* Was the row there before a store_barrier of this session? */
bool		 found_durable(const struct store *, const struct found *,
		    size_t);

/* Such a row is no request's: not for found_get. */
bool		 found_is_owner(const struct found *, size_t);
/* The account that this key is certified for, or NULL; free(3). */
char		*found_owner(const struct found *, const struct store_key *);
/* The same, asked for one alone; untouched when it is nobody's. */
int		 store_key_owner(struct store *, const struct pubkey *,
		    char **, struct err *);

/* At most one row: that of the verdict's request, if it is of job's CA. */
int		 store_pending(struct store *, const struct job *,
		    struct found *, struct err *);
/* As found_get, of that row, with all that the decision needs. */
int		 found_pending(const struct found *, struct stored *,
		    struct err *);
/* Rows of certificates that requests are signed with. */
struct issued_set *store_issued(struct store *, const struct issued_ask *,
		    size_t n, struct err *);

/*
 * Begin the transaction of store_insert early and lock what the jobs use up:
 * one-time secrets and pending requests.  reserved tells which of them are
 * still to be had; an open transaction ends with store_insert or with
 * store_release.  -1: none is open.
 */
int		 store_reserve(struct store *, struct job *const *, size_t,
		    struct err *);
void		 store_release(struct store *);
/*
 * Insert the rows of these jobs, or update those that were pending, with all
 * that comes along: 0, they are durable.  On failure nothing is there, unless
 * *in_doubt: then nobody knows until store_barrier and store_find say so.
 */
int		 store_insert(struct store *, struct job *const *, size_t,
		    bool *in_doubt, struct err *);
/*
 * What to do in each store_insert while the database commits, unless the rows
 * come with something else; nothing is known of them yet.  NULL: only wait.
 */
void		 store_meanwhile(struct store *, void (*)(void *), void *arg);
/*
 * Commit something that waits for the standby: what was committed before is
 * then durable too, also when its own COMMIT said that it might not be.
 */
int		 store_barrier(struct store *, struct err *);

/* A ledger's last head as the database has it; seq 0: none. */
struct store_head {
	uint64_t	 seq;
	char		 hash[65];	/* hex */
};
int		 store_head(struct store *, struct store_head *,
		    struct err *);
/* line: as head_put writes it. */
int		 store_head_put(struct store *, const struct store_head *,
		    const char *line, struct err *);
/* How many reports reconcile has ended so far. */
int		 store_rollback_ended(struct store *, int64_t *, struct err *);
/*
 * Tell all signers that the database is too old.  ended: store_rollback_ended
 * before that was found; where reconcile has ended one since, nothing is told.
 */
int		 store_rollback_found(struct store *, const char *what,
		    int64_t ended, struct err *);
/* Was this told by this signer before, and has reconcile ended that? */
int		 store_rollback_settled(struct store *, const char *what,
		    bool *, struct err *);
/* Who told first; "" when nobody did, or "reconcile" has ended it. */
int		 store_rollback_open(struct store *, char who[64],
		    struct err *);
/* The key of a row of audit, as PostgreSQL sends it; zeros: before all. */
struct audit_row {
	uint8_t		 n[8], at[8];
};
/* A page of the rows behind it, as ledgers have them; binary; PQclear. */
PGresult	*store_audit_after(struct store *, const struct audit_row *,
		    struct err *);
/* Is it there? */
int		 store_audit_there(struct store *, const struct audit_row *,
		    bool *, struct err *);
/* The number of the last change of the list of blocked keys. */
int		 store_blocked_change(struct store *, int64_t *,
		    struct err *);
/* A page of what came after one: hash, on the list?, number; PQclear. */
PGresult	*store_blocked(struct store *, int64_t after, struct err *);
/* The number in a row of it. */
int64_t		 store_blocked_number(const PGresult *, int row);
/* A certificate, and its row as ledgers keep it (a tuple); both appended. */
int		 store_kept(struct store *, const uint8_t serial[SERIAL_LEN],
		    struct buf *der, struct buf *row, struct err *);

/*
 * Rows for serials that may have been signed and have no certificate; once
 * more does no harm.
 */
int		 store_void(struct store *, const struct intents *,
		    struct err *);

#endif
