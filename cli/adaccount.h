/*
 * Users and computers of Active Directory, out of what ldifde or ldapsearch
 * print of them ([MS-ADA1], [MS-ADA3]): what becomes an account, with names in
 * our forms.  Everything is hostile text.
 */
#ifndef ADACCOUNT_H
#define ADACCOUNT_H

#include "acctcheck.h"
#include "adgroup.h"

#define ADACCOUNT_FILE_MAX	(512 * 1024 * 1024)
#define ADACCOUNT_MAX		500000

struct adaccount {
	char		*name;		/* canonical, with the realm; or what
					   the directory says, if refused */
	char		*names[ACCT_NAMES];	/* in our forms, or NULL */
	char		*domain;	/* of its DN, or NULL */
	bool		 machine;
	bool		 off;		/* disabled, or expired */
	uint8_t		 in[ADGROUP_MAX / 8];	/* bit n: of adgroups.v[n] */
	bool		 deep;		/* in says nothing: adnest.h */
	char		*called;	/* in the directory, where name is its
					   SID; or NULL */
	char		*refused;	/* why it can be no account, or NULL */
	char		*notes;		/* what was left out: a line each */
	unsigned	 line;		/* where its entry begins */
};

struct adaccounts {
	struct adaccount *v;		/* sorted by name */
	size_t		 n;
	bool		 seen[ACCT_NAMES];	/* does any entry have one? */
	size_t		 others;	/* entries that are neither, nor groups */
	size_t		 untyped;	/* groups without groupType */
	struct strlist	 left;		/* groups not imported, sorted */
};

/* How a file is to be read; borrowed. */
struct adreading {
	struct adgroups	*groups;	/* what of them is seen is kept there */
	const char	*realm;		/* lower case, or NULL */
	struct strlist	 domains;	/* of computers, beside their own */
	int64_t		 now;		/* unix seconds: who has expired? */
};

/*
 * Every user and computer of the file, called name@realm, or just by its name
 * when there is no realm, or by its SID where no account can have that name; in
 * its groups, and in those above the groups
 * that stand in the file, too (adnest.h).  A name that is no text is left out,
 * or, of an account, has it refused.  Refuses (ERR_MALFORMED, with the
 * line) what is no LDIF, two values where one may be, an entry without
 * objectClass, or one of a user without sAMAccountName or userAccountControl,
 * two entries of one name; a file without users and computers; ERR_TOO_BIG
 * above the limits.
 * adaccounts_free also after a failure.
 */
int	 adaccounts_ldif(struct slice text, const struct adreading *,
	    struct adaccounts *, struct err *);
void	 adaccounts_free(struct adaccounts *);

bool	 adaccount_in(const struct adaccount *, size_t group);

#endif
