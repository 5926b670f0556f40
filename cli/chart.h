/* Pictures in SVG, within a page that is being written. */
#ifndef CHART_H
#define CHART_H

#include "xmlw.h"

#define CHART_PARTS	3

struct chart_column {
	const char	*name;			/* below it, and pointed at */
	int64_t		 part[CHART_PARTS];	/* from below; not negative */
};

/*
 * Columns of parts that stand on each other, the highest as high as the
 * picture; below it a line with the names of the first and last.  parts: what
 * each part is called, which is also its class in CSS; NULL for those that are
 * not used.
 */
void	 chart_columns(struct xmlw *, const struct chart_column *, size_t n,
	    const char *const parts[CHART_PARTS]);

/* One of a list: as long as value is of most. */
void	 chart_bar(struct xmlw *, int64_t value, int64_t most);

/* From begin to end on an axis from first to last, and where now is. */
void	 chart_span(struct xmlw *, int64_t begin, int64_t end, int64_t first,
	    int64_t last, int64_t now);

#endif
