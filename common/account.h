/*
 * A principal: who may ask, and the names a certificate may carry when a
 * template takes them from the account.  Kept in PostgreSQL; workers and
 * signers read the same rows, so a hijacked worker cannot invent names.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "db.h"
#include "err.h"
#include "policy.h"

/*
 * A process keeps 4,096 accounts in memory: 300 KiB for one that is in so many
 * groups.
 */
#define ACCOUNT_GROUPS_MAX	10000

struct account {
	char		*name;		/* canonical, lower case */
	bool		 machine;
	bool		 disabled;
	char		*cn;		/* common name; never NULL */
	char		*dns;		/* or NULL, as all below */
	char		*upn;
	char		*email;
	char		*dn;		/* RFC 4514 text */
	char		*sid;
	char		*password;	/* libsodium's argon2id string; NULL:
					   it has none, or not for us */
	struct strlist	 groups;	/* sorted */
	char		*one_time;	/* its secret's template, or NULL */
	int64_t		 one_time_expires;	/* unix seconds */
	bool		 one_time_used;
	int64_t		 replaced;	/* was another's until then: unix
					   seconds; 0 = never */
};

/*
 * What a client typed to the canonical name: ASCII lower case, at most 128
 * bytes of [a-z0-9._@$'-], no leading or trailing dot, at most one "@" and
 * something on both sides of it; "DOMAIN\user" becomes "user@domain".
 * -1 (ERR_UNAUTHENTICATED) for anything else.
 */
int	 account_canonical(const char *typed, char out[129], struct err *);

/*
 * The statement account_load runs: a program puts one of these two into its
 * list (struct db_stmt).  Only workers may read passwords.
 */
#define ACCOUNT_SQL(password)						\
	"SELECT a.name, a.machine, a.disabled, a.cn, a.dns, a.upn,"	\
	" a.email, a.dn, a.sid, " password ", (SELECT"			\
	" string_agg(g.name, chr(10) ORDER BY g.name COLLATE \"C\")"	\
	" FROM countersign.account_group g WHERE g.account = a.name),"	\
	" a.one_time_template, coalesce(floor(extract(epoch FROM"	\
	" a.one_time_expires)), 0)::bigint, a.one_time_used IS NOT NULL," \
	" coalesce(ceil(extract(epoch FROM a.replaced_at)), 0)::bigint"	\
	" FROM countersign.account a WHERE a.name = $1"
#define ACCOUNT_STMT							\
	{ "account", ACCOUNT_SQL("a.password"), 1 }
#define ACCOUNT_STMT_NO_PASSWORD					\
	{ "account", ACCOUNT_SQL("NULL::text"), 1 }

/*
 * Read one account; account_free by the caller.  *out is NULL and 0 is
 * returned when there is none.  ERR_UNAVAILABLE when the database cannot be
 * asked, ERR_INTERNAL for a row that cannot be.
 */
int	 account_load(struct db *, const char *canonical, struct account **out,
	    struct err *);
void	 account_free(struct account *);	/* wipes the password */
/*
 * Is a computer that a directory calls sam (its last "$" is no part of the
 * name) the one of this DNS name, by the first part?  Windows keeps 15
 * characters of it.  What any other "DC1$X$" is anybody can make.
 */
bool	 account_is_host(const char *sam, const char *dns);
/* Is it in one of these groups? */
bool	 account_in(const struct account *, const struct strlist *groups);
/*
 * Was it another principal's at that time (unix seconds)?  Who had read it
 * before that ended may have gone by it for some seconds more.
 */
bool	 account_was_others(const struct account *, int64_t when);

#endif
