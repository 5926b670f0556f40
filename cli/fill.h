/* Files that come with the program, in which "@WORD@" stands for a value. */
#ifndef FILL_H
#define FILL_H

#include "buf.h"

/*
 * "sub/name" beside the program: in the checkout it was built in, or under
 * the prefix it was installed to.  Freed by the caller; NULL: there is none.
 */
char	*fill_file(const char *checkout, const char *installed);
/*
 * "@NAME@" to its value, in one pass; a pair of NULLs ends the table.  What
 * stands between other @ is left.  Appended.
 */
void	 fill_words(const char *text, const char *const (*word)[2],
	    struct buf *);

#endif
