/*
 * Groups of a directory: which of them count here, and under which name.  A CN
 * is unique in its folder only: who may make a group in some folder could
 * call it like one that counts ([security] ESC10).  Hence two of one CN say
 * nothing, and a group can be named by its whole DN.
 */
#ifndef ADGROUP_H
#define ADGROUP_H

#include "buf.h"
#include "err.h"
#include "strlist.h"

#define ADGROUP_MAX		1024	/* groups that are imported */
#define ADGROUP_LEFT_MAX	1000	/* others that are told of */

struct adgroup {
	char		*theirs;	/* its CN, or its whole DN */
	char		*ours;
	char		*seen;		/* the DN that had the CN, or NULL */
	char		*torn;		/* a second one, or NULL: who is in
					   this group nobody can say */
};

struct adgroups {
	struct adgroup	*v;
	size_t		 n;
	size_t		*by_theirs;	/* once one is looked for: sorted */
};

/*
 * "NAME", "THEIR NAME=NAME" or "CN=...,DC=...=NAME" as one more of them; the
 * same again is nothing new.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 adgroups_add(struct adgroups *, const char *, struct err *);
void	 adgroups_free(struct adgroups *);

/*
 * Whoever is in the group of this DN: set the bits of those of ours that it
 * is; a group that is none of them is kept in left, sorted and each once, up
 * to ADGROUP_LEFT_MAX.
 */
void	 adgroups_match(struct adgroups *, const char *dn, uint8_t *bits,
	    struct strlist *left);
/* The same of a primary group, which memberOf never has: primaryGroupID. */
void	 adgroups_match_primary(struct adgroups *, uint32_t rid,
	    uint8_t *bits, struct strlist *left);
/* There is a group of this DN, and perhaps nobody in it. */
void	 adgroups_seen(struct adgroups *, const char *dn);

/*
 * "Sales, EMEA" of "CN=Sales\, EMEA,OU=...", appended; false when the first
 * part is no CN, is empty, badly escaped or no text.
 */
bool	 ad_first_cn(const char *dn, struct buf *);
/* "corp.test" of "CN=PC1,OU=Staff,DC=corp,DC=test", appended; or nothing. */
void	 ad_domain(const char *dn, struct buf *);

#endif
