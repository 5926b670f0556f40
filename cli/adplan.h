/*
 * What an import of a directory would do: its accounts against those that are
 * here.  Nothing here asks the database or changes it.
 *
 * What an operator said last of an account stands, unless the directory is
 * stricter: it is never enabled, put into a group that it was taken out of, or
 * taken out of one that it was put into.
 */
#ifndef ADPLAN_H
#define ADPLAN_H

#include "adaccount.h"

/* An account that is here; lent, sorted by name. */
struct held {
	const char	*name;
	const char	*names[ACCT_NAMES];	/* or NULL */
	const char	*groups;	/* lines, as LASTWORD_STATE says */
	bool		 machine, disabled, one_time;
	bool		 imported;	/* an import has made it, */
	bool		 off_by_import;	/* disabled it, */
	bool		 names_by_import;	/* or told its names last */
};

struct adplan_rules {
	const char	*realm;		/* lower case, or NULL */
	bool		 take_over;	/* names and groups also where an
					   operator had the last word */
	bool		 replace;	/* accounts that the directory made
					   anew or calls otherwise now */
	bool		 absent;	/* disable who is not in the file */
};

enum adplan_todo {
	DO_ADD = 1, DO_NAMES = 2, DO_GROUPS = 4, DO_DISABLE = 8,
	DO_ENABLE = 16,
	DO_REPLACE = 32		/* revoke what it holds; no password */
};

/* One account of which something is to be done, or to be told. */
struct adchange {
	const char		*name;		/* lent, as all below */
	const struct adaccount	*ad;		/* or NULL: absent there */
	const struct held	*held;		/* or NULL: absent here */
	const char		*names[ACCT_NAMES];	/* as they will be */
	unsigned		 todo;
	char			*upn;	/* without one in names; or NULL; owned */
	struct strlist		 in, out;	/* groups; owned */
	char			*why;	/* conflict: why not; or NULL; owned */
	struct buf		 notes;	/* a line each */
};

struct adplan {
	struct adchange	*v;		/* sorted by name */
	size_t		 n;
	size_t		 off;		/* not added: disabled there */
	size_t		 absent;	/* to be disabled as not there */
	size_t		 imported;	/* of whom so many could be */
};

/*
 * ERR_DENIED when names change hands in too long a chain.  Everything given
 * must outlive the plan; adplan_free also after a failure.
 */
int	 adplan_make(struct adplan *, const struct adaccounts *,
	    const struct adgroups *, const struct held *, size_t nheld,
	    const struct adplan_rules *, struct err *);
void	 adplan_free(struct adplan *);

/* Nothing to do and nothing to tell? */
bool	 adchange_quiet(const struct adchange *);
/* "added", "changed", "replaced", "disabled", "enabled", "conflict", "refused",
 * "kept". */
const char	*adchange_outcome(const struct adchange *);
/* "upn: a@x -> b@x", "+staff": a line each, appended. */
void	 adchange_text(const struct adchange *, struct buf *);

#endif
