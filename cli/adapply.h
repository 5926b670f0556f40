/* An import of a directory, done: the database becomes what was planned. */
#ifndef ADAPPLY_H
#define ADAPPLY_H

#include "adplan.h"
#include "commands.h"
#include "progress.h"

struct adapply {
	struct cli		*c;
	const struct adplan	*plan;
	struct progress		*progress;
	/* What came of it. */
	bool			 replaced;	/* any account */
	int			 revoked;	/* certificates */
};

/* In a transaction, behind import_begin; the caller commits.  As cli_query. */
int	 adapply(struct adapply *, struct err *);
/*
 * In one of its own, when that is committed: certificates that were issued to
 * the replaced ones meanwhile.
 */
int	 adapply_stragglers(struct adapply *, struct err *);

#endif
