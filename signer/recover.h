/*
 * Intents whose end is not known: after a crash, or when the database went
 * away in the middle.  A row there means done; none means that the serial is
 * void, for it may have been signed.
 */
#ifndef RECOVER_H
#define RECOVER_H

#include "err.h"
#include "msg.h"
#include "serial.h"

struct signer;

struct intent {
	uint8_t	 id[MSG_ID];
	uint8_t	 serial[SERIAL_LEN];
	char	 ca[64];
};
struct intents {
	struct intent	*v;
	size_t		 n, cap;
};

void	 intents_add(struct intents *, const uint8_t id[MSG_ID],
	    const uint8_t serial[SERIAL_LEN], const char *ca);
void	 intents_free(struct intents *);

/*
 * At start: read the ledger for open intents into s->unresolved, and refuse a
 * database that lacks what the ledger knows to be committed (restored from an
 * old backup).
 */
int	 recover_start(struct signer *, struct err *);
/*
 * Settle s->unresolved; empty on success.  ERR_UNAVAILABLE: the database
 * cannot tell now, ask again.
 */
int	 recover_resolve(struct signer *, struct err *);

/* ledger_sync; a failure is noted in s: it is the end of this process. */
int	 signer_sync(struct signer *, struct err *);

#endif
