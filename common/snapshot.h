/*
 * The policy in force and the accounts, read from PostgreSQL and kept until
 * the database says that something changed (NOTIFY "countersign").  Shared by
 * the threads of one process; what is handed out is immutable and counted.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "account.h"
#include "certdb.h"
#include "issued.h"
#include "policy.h"

struct snapshot;

/*
 * local_policy: the signer's own policy file, which must be the published text
 * byte for byte (the signer trusts no policy out of the database); NULL in
 * workers.  Without a local policy (workers) accounts carry their
 * password, with one (signers) they do not.  Connects lazily; any thread may
 * call, but make it after fork: the connection belongs to one process.
 */
struct snapshot	*snapshot_new(const char *dsn, const char *local_policy);
/*
 * Without a database: a policy that the caller keeps, and whatever else there
 * is to be known by asking these (docs/airgap.md).  As the functions below;
 * accounts are lent until the next of them may be asked for.
 */
struct snapshot_source {
	void	*arg;
	const struct policy *policy;
	int	(*account)(void *, const char *canonical,
		    const struct account **, struct err *);
	struct issued_set *(*certificate)(void *, struct slice serial,
		    struct err *);
	int	(*account_by)(void *, enum cert_map, const char *value,
		    char **name, struct err *);
};
struct snapshot	*snapshot_of(const struct snapshot_source *);
void		 snapshot_free(struct snapshot *);

/*
 * Current policy; reloaded first when the database notified a change or
 * force is set.  ERR_UNAVAILABLE when there is none, the database is gone or
 * local_policy differs.  Release with snapshot_put.
 */
const struct policy	*snapshot_policy(struct snapshot *, bool force,
			    struct err *);
void			 snapshot_put(struct snapshot *, const struct policy *);

/*
 * One account, from memory when nothing changed since it was read.  *out is
 * NULL when there is none.  Release with snapshot_account_put.  -1: as
 * account_load.
 */
int	 snapshot_account(struct snapshot *, const char *canonical,
	    const struct account **out, struct err *);
void	 snapshot_account_put(struct snapshot *, const struct account *);
/*
 * The questions of issued.h and certdb.h, asked of the database each time: a
 * revocation counts with the next request.
 */
struct issued_set *snapshot_certificate(struct snapshot *,
	    struct slice serial, struct err *);
int	 snapshot_account_by(struct snapshot *, enum cert_map,
	    const char *value, char **name, struct err *);

/*
 * Grows by one with every change that was notified: what was derived from
 * accounts (verified credentials) under an older epoch is stale.  Ask before
 * snapshot_account when something is to be kept under the epoch: what changes
 * in between then makes it stale, not wrong.
 */
uint64_t snapshot_epoch(struct snapshot *);

#endif
