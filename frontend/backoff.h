/*
 * Guessing passwords is slow ([OWASP] credential stuffing; [NIST SP 800-63B]
 * 5.2.2): how many wrong ones a user name and a network (an IPv4 address, the
 * first 64 bits of an IPv6 address) have lately had, for all worker processes
 * of this host.
 *
 *	user name	100 at once, then one every 30 seconds
 *	network		200 at once, then two a second
 *
 * Nobody is locked out where he is known: a user who has logged on from a
 * network within seven days is there counted for himself alone, whatever
 * others try under his name or from that network, and with each logon from
 * there anew.  Names that do not exist are counted like those that do, so the
 * counts tell nothing about them.  Kept in memory: a restart forgets.
 */
#ifndef BACKOFF_H
#define BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct backoff;

/* Who tries, and from where; the texts are borrowed. */
struct attempt {
	const char	*user;		/* canonical; "" where it is no name */
	const char	*address;	/* as nginx writes it; "" = not known */
};

/*
 * A mapping that processes forked later share; sodium_init first.  NULL when
 * there is no memory.
 */
struct backoff	*backoff_new(void);
void		 backoff_free(struct backoff *);

/*
 * Must this attempt be refused without a look at its password?  The answer
 * is the name of what is over its limit, "user" or "network", or NULL.
 * Times are log_usec's.
 */
const char	*backoff_held(struct backoff *, const struct attempt *,
		    int64_t now);
/* How an attempt that was not held ended. */
void		 backoff_note(struct backoff *, const struct attempt *,
		    bool good, int64_t now);

#endif
