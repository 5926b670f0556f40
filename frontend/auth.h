/*
 * Who is asking.  A UsernameToken is checked against the account's argon2id
 * string; what was verified is remembered for some minutes under an HMAC with
 * a key only this process has, so that a wave of requests pays once.
 *
 * One argon2id runs at a time in a process (19 MiB and 7 ms each).  Whatever
 * is wrong, the same work is done and the same time goes by, so that nobody
 * learns which names exist.  Nobody is locked out by failures: the KDF's pace
 * is the limit, and nginx's limit per address.
 */
#ifndef AUTH_H
#define AUTH_H

#include "snapshot.h"

#define AUTH_OPSLIMIT	2
#define AUTH_MEMLIMIT	((size_t)19 * 1024 * 1024)

struct auth;

/* sodium_init first.  The snapshot must outlive it.  Any thread may call. */
struct auth	*auth_new(struct snapshot *);
void		 auth_free(struct auth *);

/*
 * The account these credentials belong to; give it back with
 * snapshot_account_put.  ERR_UNAUTHENTICATED (the text is for the log only)
 * or ERR_UNAVAILABLE.
 */
int		 auth_password(struct auth *, struct slice user,
		    struct slice password, const struct account **,
		    struct err *);

#endif
