/*
 * Groups of a directory that are members of groups: who is in one is in those
 * above it, too, as tokenGroups says ([MS-ADTS] 3.1.1.4.5.19).  Distribution
 * groups give nobody a right, and those of CN=Builtin count on domain controllers
 * alone ("Users" has everybody in it): nothing is passed on through the former,
 * or to the latter.
 */
#ifndef ADNEST_H
#define ADNEST_H

#include "adgroup.h"

#define ADNEST_MAX	200000	/* groups of a directory */
#define ADNEST_ABOVE	1024	/* above one: more do not fit in a token */

struct adnest_group {
	char		*dn;
	char		*sid;		/* as text, or NULL */
	bool		 security;	/* no distribution group */
	struct strlist	 above;		/* DNs of those it is a member of */
	unsigned	 line;
	unsigned	 walk;		/* the last one that came here */
	bool		 known;		/* in and deep are */
	bool		 deep;		/* too many are above it: in says
					   nothing */
	uint8_t		 in[ADGROUP_MAX / 8];	/* bit n: of adgroups.v[n] */
};

/* Begin with { 0 }; adnest_free in any case. */
struct adnest {
	struct adnest_group	 *v;	/* sorted by DN, once sealed */
	size_t			  n, cap;
	struct adnest_group	**sids;	/* those with a SID, sorted by it */
	size_t			  nsids;
	unsigned		  walks;
};

/*
 * One more, which takes over what it points to (not on failure: ERR_TOO_BIG).
 * When all are there they are sealed: ERR_MALFORMED for two with one DN or one
 * SID.
 */
int	 adnest_add(struct adnest *, const struct adnest_group *, struct err *);
int	 adnest_seal(struct adnest *, struct err *);
void	 adnest_free(struct adnest *);
/* One that counts is there, whoever is in it: two of one CN say nothing. */
void	 adnest_show(const struct adnest *, struct adgroups *);

/*
 * adgroups_match of the group with this DN and of all above it; *deep becomes
 * true above ADNEST_ABOVE of them, when the bits say nothing.
 */
void	 adnest_match(struct adnest *, struct adgroups *, const char *dn,
	    uint8_t *bits, bool *deep, struct strlist *left);
/*
 * The same of a primary group, which is of the domain of the account with this
 * SID (or NULL), and adgroups_match_primary.
 */
void	 adnest_match_primary(struct adnest *, struct adgroups *,
	    const char *sid, uint32_t rid, uint8_t *bits, bool *deep,
	    struct strlist *left);

#endif
