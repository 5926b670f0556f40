/*
 * Configuration files of the programs, read with libconfuse.  Unknown and
 * doubled options are errors with file and line.
 */
#ifndef CONF_H
#define CONF_H

#include <confuse.h>

#include "buf.h"
#include "err.h"
#include "strlist.h"

/*
 * Parse a file / a text with these options; cfg_free by the caller.  The
 * line of a section (cfg->line) is where it begins.  Strings are '...' or
 * "..." on one line with no escapes but of the quote and the backslash;
 * unquoted are only letters, digits and _.:@-; no "+=", no ${variables}.
 * NULL: ERR_MALFORMED with file and line; for a file that cannot be read or is
 * too big ERR_INTERNAL, for such a text ERR_TOO_BIG.
 */
cfg_t	*conf_file(const char *path, cfg_opt_t *, struct err *);
cfg_t	*conf_text(struct slice, const char *name, cfg_opt_t *, struct err *);

/* What is wrong with a file that parsed, with its name in front; always -1. */
int	 conf_fault(const char *path, const struct err *why, struct err *);

/* A string option that must be there (ERR_MALFORMED); a copy, caller frees. */
int	 conf_need(cfg_t *, const char *opt, char **out, struct err *);
/* One that may be absent: a copy, or NULL. */
char	*conf_optional(cfg_t *, const char *opt);
/* All values, copied; strlist_free by the caller. */
void	 conf_list(cfg_t *, const char *opt, struct strlist *out);
/*
 * "90s", "15m", "8h", "30d", "6w", "1y" (365 d) to seconds; at most a hundred
 * years.  ERR_MALFORMED.
 */
int	 conf_duration(const char *, int64_t *, struct err *);

#endif
