/* Serial numbers that ledgers say were signed, and what became of them. */
#ifndef SERIALS_H
#define SERIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_OCTETS	16	/* 3 of time, 2 of the signer, 11 random */

enum serial_state {
	SERIAL_INTENT,		/* no end in the ledger */
	SERIAL_ISSUED,
	SERIAL_VOID,
	SERIAL_ROW		/* no end in the ledger, but a row */
};

struct serial {
	uint8_t	 octets[SERIAL_OCTETS];
	uint8_t	 id[16];		/* of the request */
	uint8_t	 state;
	bool	 done;			/* committed, says the ledger */
};

struct serials {
	struct serial	*v;
	size_t		 n, cap;
	bool		 sorted;
};

/* The id may be NULL. */
void		 serials_add(struct serials *, const uint8_t *octets,
		    const uint8_t *id);
/*
 * By octets.  Before serials_sort only what was added lately is found: an
 * intent and its end stand close together.
 */
struct serial	*serials_find(const struct serials *, const uint8_t *);
/* By id, before serials_sort, among what was added lately. */
struct serial	*serials_by_id(const struct serials *, const uint8_t *id);
void		 serials_sort(struct serials *);
void		 serials_free(struct serials *);

#endif
