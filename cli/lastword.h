/*
 * Accounts, their groups and blocked keys are in no ledger, but what operators
 * did to them is: the last word that the table audit has of each must be what
 * is true of it.
 */
#ifndef LASTWORD_H
#define LASTWORD_H

#include <libpq-fe.h>

#include "err.h"

struct db;

/* How it can be otherwise. */
struct lastword {
	const char	*fault;		/* as LASTWORD_SQL names it */
	const char	*check;		/* of the finding */
	const char	*what;		/* the object's kind */
	const char	*text;		/* may have a %s for the group */
	/*
	 * The statement of restore_sql ($1: the object, $2: its group, $3:
	 * was the last word an import's?) with which the stricter of the two
	 * becomes true and the last word, and what is told then; NULL: no
	 * backup explains it.
	 */
	const char	*stmt, *done;
};

enum lastword_column {
	LASTWORD_OBJECT, LASTWORD_FAULT, LASTWORD_GROUP, LASTWORD_IMPORTED
};

/* The fault of a row, or NULL; lent. */
const struct lastword *lastword_of(const PGresult *, int row);
/* The text, or what is told when it was done, with the row's group. */
void	 lastword_text(const PGresult *, int row, const char *format,
	    char *out, size_t n);

#endif
