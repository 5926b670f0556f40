/*
 * How many requests of a template pass in a minute: rate-per-minute of the
 * policy, a bucket that saves up ten seconds of it (but one request at least).
 * And how many refusals of one account are kept for ever: an hour's are saved
 * up.  Both in memory, of this signer alone.
 */
#ifndef PACE_H
#define PACE_H

#include "decide.h"

struct pace;

struct pace	*pace_new(void);
void		 pace_free(struct pace *);	/* or NULL */

/*
 * Does a certificate end soon?  Within a tenth of its life, seven days at
 * most.  The shortest life with autoenrollment is five days, of which a tenth
 * is longer than the eight hours after which clients ask again.  Seconds.
 */
bool		 pace_is_soon(int64_t life, int64_t left);

/*
 * May what was decided be done now?  ERR_UNAVAILABLE: not yet.  The renewal
 * of a certificate that ends soon passes always, three of one certificate at
 * once and one a minute, of one account half of the rate, and what it takes is
 * what others wait for.
 * The last half of what is saved is for accounts that had none of it in this
 * minute.
 *
 * now: unix seconds; usec: log_usec's.
 */
int		 pace_take(struct pace *, const struct decision *,
		    int64_t now, int64_t usec, struct err *);

/* Refusals of an account that are recorded: a minute, and at once. */
#define PACE_REFUSED		10
#define PACE_REFUSED_SAVED	600
/* May it have one more wait for approval?  As many as of refusals. */
bool		 pace_waits(struct pace *, const char *account, int64_t usec);
/* May one more be?  Of accounts that do not exist: account is "". */
bool		 pace_refused(struct pace *, const char *account,
		    int64_t usec);

#endif
