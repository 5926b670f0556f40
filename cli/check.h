/*
 * Findings of "countersign doctor": what was looked at, how it is, and what
 * to do about it.
 */
#ifndef CHECK_H
#define CHECK_H

#include "cli.h"

enum check_result {
	CHECK_OK,
	CHECK_SKIP,	/* cannot be seen from here */
	CHECK_WARN,	/* works, but not for long or not as it should */
	CHECK_FAIL
};

struct checks;

struct checks	*checks_new(void);
void		 checks_free(struct checks *);

/*
 * name is the kind of check (stable, documented), object what it looked at;
 * advice is what to do, NULL with CHECK_OK.  Copied.
 */
void	 check_add(struct checks *, enum check_result, const char *name,
	    const char *object, const char *advice, const char *fmt, ...)
	    __attribute__((format(printf, 6, 7)));
/* How many findings are of this kind. */
size_t	 checks_count(const struct checks *, enum check_result);
/*
 * All of them; two lines where there is something to do.  -1 only when they
 * cannot be printed.
 */
int	 checks_print(const struct checks *, struct cli *, struct err *);

#endif
