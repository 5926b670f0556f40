/*
 * LDIF ([RFC2849]) as ldifde and ldapsearch write it: entries, no changes of
 * entries.  Everything is hostile text; a refusal names the line.
 */
#ifndef LDIF_H
#define LDIF_H

#include "buf.h"
#include "err.h"

#define LDIF_LINE_MAX	(1024 * 1024)	/* octets, unfolded */

enum ldif_kind {
	LDIF_DN,	/* an entry begins; value: its name */
	LDIF_ATTR,
	LDIF_END	/* of the text */
};

/* Begin with { .text = ... }, or with LDIF_INIT; ldif_free in any case. */
struct ldif {
	struct slice	 text;		/* what is left of it; borrowed */
	unsigned	 line;		/* where the logical line begins */
	unsigned	 next;		/* where the one behind it will */
	bool		 entry;		/* inside of one */
	struct buf	 raw, decoded;
	/* Of the last ldif_next; lent until the next one. */
	enum ldif_kind	 kind;
	const char	*name;		/* of the attribute, as spelled */
	struct slice	 value;
};

/*
 * The next name or attribute into l->kind, name, value.  Comments, "version: 1"
 * and "changetype: add" are passed over.  Refuses (ERR_MALFORMED) bad base64,
 * values that stand elsewhere (":<"), other changes, controls, lines without a
 * colon or an attribute's name, NUL, UTF-16, what stands before the first
 * entry, and (ERR_TOO_BIG) lines above LDIF_LINE_MAX.
 */
int	 ldif_next(struct ldif *, struct err *);
void	 ldif_free(struct ldif *);

/* What is wrong with the line at hand: "line N: ..."; always -1. */
int	 ldif_fault(const struct ldif *, const struct err *why, struct err *);

#endif
