/* Attribute types that names may carry by a short name ([RFC4519], [X.520]). */
#ifndef NAMETYPE_H
#define NAMETYPE_H

#include "buf.h"

struct name_type {
	const char	*name;		/* as struct rdn has it */
	const char	*alias;		/* also understood in text, or NULL */
	struct slice	 oid;		/* content octets */
	int		 tag;		/* string type when encoded */
	size_t		 max;		/* characters, [RFC5280] appendix A */
};

/* Of the table, or NULL when unknown; names compare without case. */
const struct name_type	*name_type_by_name(const char *, size_t);

/* Characters of a string of good UTF-8. */
size_t	 name_length(const char *);
/* Is every character one that names may carry?  See name.c. */
bool	 name_is_clean(struct slice);

bool	 name_is_printable(struct slice);	/* and "*", "&": see name.c */
bool	 name_is_ia5(struct slice);		/* without controls */
/* One label of a host name: 1..63 letters, digits, "_", inner hyphens. */
bool	 name_is_label(const char *, size_t);

/* 1.3.6.1.4.1.311.25.1: a directory object's GUID as an otherName. */
extern const struct slice	OID_GUID_NAME;

#endif
