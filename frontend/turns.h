/*
 * How many threads of a process run.  Few are enough while none of them waits
 * for long, and every further one is woken for nothing; so the others stand by
 * until one that runs says that it will wait: for a password's argon2id, the
 * database, a signer.
 */
#ifndef TURNS_H
#define TURNS_H

#include <stdbool.h>

struct turns;

/* running: how many may at a time. */
struct turns	*turns_new(unsigned running);
void		 turns_free(struct turns *);

/* Stand by until fewer run; false: no more, end. */
bool		 turns_take(struct turns *);
/* Let another run. */
void		 turns_give(struct turns *);
/*
 * Gives the turn if more run than should, since some are back from waiting: of
 * many that ask at once only those too many.  Once stopped, nobody's: those
 * that run finish what is left.
 */
bool		 turns_spare(struct turns *);
/* Around what can take long, by a thread that runs and goes on to run. */
void		 turns_away(struct turns *);
void		 turns_back(struct turns *);
/* Nobody stands by from now on. */
void		 turns_stop(struct turns *);

#endif
