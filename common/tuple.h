/*
 * One row in PostgreSQL's binary form, as COPY takes it and as ledgers keep
 * it: the number of fields (2 octets), then for each its length (4 octets,
 * -1 for NULL) and its bytes.
 */
#ifndef TUPLE_H
#define TUPLE_H

#include <libpq-fe.h>

#include "buf.h"

#define TUPLE_MAX	64		/* fields */

struct tuple {
	struct slice	 field[TUPLE_MAX];	/* p NULL: NULL */
	size_t		 n;
};

/* Borrowed from the bytes; -1 when they are no tuple. */
int	 tuple_parse(struct slice, struct tuple *);
void	 tuple_put(struct buf *, const struct tuple *);	/* appends */
/* Columns first to last of a row of a result in binary form; borrowed. */
void	 tuple_of(const PGresult *, int row, int first, int last,
	    struct tuple *);

#endif
