/*
 * Who is asking with a UsernameToken.  It is checked against the account's
 * argon2id string; what was verified is remembered for some minutes under an
 * HMAC with a key only this process has, so that a wave of requests pays once.
 *
 * One argon2id runs at a time in a process (19 MiB and 7 ms each).  Whatever
 * is wrong, the same work is done and the same time goes by, so that nobody
 * learns which names exist.  Who guesses is slowed down (backoff.h): an
 * attempt that is held back gets the answer of a wrong password.
 */
#ifndef AUTH_H
#define AUTH_H

#include "backoff.h"
#include "snapshot.h"
#include "turns.h"

#define AUTH_OPSLIMIT	2
#define AUTH_MEMLIMIT	((size_t)19 * 1024 * 1024)

struct auth;

/* What a UsernameToken says, and where it came from; borrowed. */
struct credentials {
	struct slice	 user, password;
	const char	*address;
};

/*
 * sodium_init first.  What it is given must outlive it; without a back-off
 * (NULL) nobody is slowed down.  Any thread that runs (turns.h) may call.
 */
struct auth	*auth_new(struct snapshot *, struct backoff *,
		    struct turns *);
void		 auth_free(struct auth *);

/*
 * The account these credentials belong to ([WSS-UNT] 3.1); give it back with
 * snapshot_account_put.  ERR_UNAUTHENTICATED (the text is for the log only),
 * ERR_TOO_BIG, or as snapshot_account.  A refusal takes its time: see above.
 */
int		 auth_password(struct auth *, const struct credentials *,
		    const struct account **, struct err *);

#endif
