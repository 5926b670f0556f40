/* Command lines: one table of options a command, parsed the same way. */
#ifndef ARGS_H
#define ARGS_H

#include "buf.h"
#include "err.h"
#include "strlist.h"

#define ARGS_MAX 64

struct opt {
	const char	*name;	/* without dashes; one letter: "-o" */
	const char	*arg;	/* what stands for the value; NULL = a flag */
	const char	*help;
	bool		 many;	/* may be given more than once */
};

const char	*opt_dash(const struct opt *);	/* before its name */

struct arg {
	const char	*name;
	const char	*value;
};

/* Everything borrows from argv and from the table. */
struct args {
	struct arg	 opt[ARGS_MAX];
	size_t		 nopt;
	const char	*pos[ARGS_MAX];
	size_t		 npos;
	bool		 help;		/* --help */
	bool		 json;		/* --json */
};

/*
 * opts ends with a NULL name; NULL = no options.  "--name value" and
 * "--name=value"; "--" ends the options.  Unknown and doubled options are
 * refused (ERR_MALFORMED).
 */
int		 args_parse(struct args *, const struct opt *opts, int argc,
		    char **argv, struct err *);
bool		 args_has(const struct args *, const char *);
const char	*args_get(const struct args *, const char *); /* or NULL */
/*
 * The value as a number in min..max (ERR_MALFORMED); *inout stays when it is
 * absent.
 */
int		 args_num(const struct args *, const char *, int64_t min,
		    int64_t max, int64_t *inout, struct err *);
/*
 * All values of an option that may be given more than once; copies,
 * strlist_free by the caller.
 */
void		 args_list(const struct args *, const char *,
		    struct strlist *);
/* A decimal number in min..max and nothing behind it.  ERR_MALFORMED. */
int		 number_parse(const char *, int64_t min, int64_t max,
		    int64_t *, struct err *);

#endif
