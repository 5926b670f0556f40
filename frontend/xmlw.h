/*
 * Writes XML.  Element and attribute names are the program's own words;
 * everything else goes through a function that escapes it, and elements are
 * closed by the writer, so what comes out is well formed whatever is said.
 * Bytes that are no XML character become U+FFFD.
 */
#ifndef XMLW_H
#define XMLW_H

#include "buf.h"

#define XMLW_DEPTH	16	/* deeper, it is our mistake: abort */

struct xmlw {
	struct buf	 b;			/* what is written so far */
	const char	*open[XMLW_DEPTH];	/* names not closed yet */
	unsigned	 depth;
	bool		 in_tag;		/* attributes may still come */
};

/* name is lent until it is closed; attributes come before any content. */
void	 xmlw_open(struct xmlw *, const char *name);
/* The same, with that class: of HTML. */
void	 xmlw_open_class(struct xmlw *, const char *name, const char *class);
void	 xmlw_attr(struct xmlw *, const char *name, struct slice);
void	 xmlw_attr_str(struct xmlw *, const char *name, const char *);
void	 xmlw_text(struct xmlw *, struct slice);
void	 xmlw_number(struct xmlw *, int64_t);
void	 xmlw_base64(struct xmlw *, struct slice);	/* unbroken */
void	 xmlw_close(struct xmlw *);	/* the innermost that is open */

/* Whole elements. */
void	 xmlw_leaf(struct xmlw *, const char *name, struct slice);
void	 xmlw_leaf_str(struct xmlw *, const char *name, const char *);
void	 xmlw_leaf_num(struct xmlw *, const char *name, int64_t);
void	 xmlw_leaf_bool(struct xmlw *, const char *name, bool);
void	 xmlw_nil(struct xmlw *, const char *name);	/* xsi:nil="true" */

/* Elements that another writer wrote and closed. */
void	 xmlw_add(struct xmlw *, const struct xmlw *);
void	 xmlw_free(struct xmlw *);

#endif
