/* A list of strings: groups, names, addresses. */
#ifndef STRLIST_H
#define STRLIST_H

#include <stdbool.h>
#include <stddef.h>

struct strlist {			/* zero it; owns its strings */
	char	**v;
	size_t	  n;
};
void	 strlist_add(struct strlist *, const char *);	/* a copy of it */
bool	 strlist_has(const struct strlist *, const char *);	/* as spelled */
void	 strlist_sort(struct strlist *);		/* by their bytes */
/* strlist_has of a list that is sorted. */
bool	 strlist_find(const struct strlist *, const char *);
void	 strlist_free(struct strlist *);	/* the contents; zeroes */

#endif
