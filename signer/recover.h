/*
 * Intents whose end is not known: after a crash, or when the database went
 * away in the middle.  A row there means done; none means that the serial is
 * void, for it may have been signed.  Denials and pending requests are
 * intents without a serial: their rows are missed if they ever go.
 */
#ifndef RECOVER_H
#define RECOVER_H

#include "err.h"
#include "msg.h"
#include "serial.h"

struct signer;

struct intent {
	uint8_t	 id[MSG_ID];
	uint8_t	 serial[SERIAL_LEN];	/* of MSG_ISSUED */
	char	 ca[64];
	uint32_t number;	/* of the row, without a serial; 0: any */
	enum msg_status status;		/* what was decided */
	bool	 signed_too;		/* its certificate is in the ledger */
};
struct intents {
	struct intent	*v;
	size_t		 n, cap;
};

void	 intents_add(struct intents *, const struct intent *);	/* a copy */
/* Without the one at this place. */
void	 intents_drop(struct intents *, size_t);
void	 intents_free(struct intents *);	/* leaves it empty */

/*
 * Before the ledger is opened, which makes a new one where there is none: an
 * empty file under this name is a damage that keeps reconcile from all work.
 * ERR_INTERNAL: the database knows of a ledger, and it is not there.
 */
int	 recover_look(struct signer *, struct err *);
/*
 * At start, with the ledger open: read it for open intents into s->unresolved,
 * for what was committed last into s->marks, and for the numbers of lists;
 * then settle the intents.  ERR_INTERNAL: a ledger that is damaged, another
 * signer's, or lacks what the database knows of it.  A database that is older
 * than the ledger is no error: nothing is signed until it is put right
 * (rollback.h), and the intents stay open.
 */
int	 recover_start(struct signer *, struct err *);
/*
 * What recover_look, ledger_open and recover_start would find wrong with the
 * ledger, for -t: nothing is changed, locked or told anybody, and a signer may
 * be at work.  Notes to the log what is no failure: that one is at work, and
 * that the database could not be asked.
 */
int	 recover_test(struct signer *, struct err *);
/*
 * Settle s->unresolved; empty on success, and then what was found is in the
 * ledger, synced.  On failure those that are left stay in it: ERR_UNAVAILABLE,
 * the database cannot tell now, ask again.
 */
int	 recover_resolve(struct signer *, struct err *);

/*
 * Does the database have the rows of all these intents?  If not, *lacking is
 * the place of the first that it lacks.  -1: it cannot be asked.
 */
int	 recover_has_rows(struct signer *, const struct intents *,
	    bool *all, size_t *lacking, struct err *);

#endif
