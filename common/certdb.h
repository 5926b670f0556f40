/*
 * What the database knows of client certificates: the row of one that was
 * issued here, and the account another CA's certificate names.
 */
#ifndef CERTDB_H
#define CERTDB_H

#include "db.h"
#include "policy.h"

struct cert_row {
	char		*account, *ca, *template;
	struct buf	 der;
	int64_t		 not_before, not_after;	/* unix seconds */
	bool		 revoked;
};

/* The statements of both functions, for a program's list. */
#define CERTDB_STMTS							\
	{ "cert_row", "SELECT account, ca, template, der,"		\
	  " floor(extract(epoch FROM not_before))::bigint,"		\
	  " floor(extract(epoch FROM not_after))::bigint,"		\
	  " revoked_at IS NOT NULL FROM countersign.certificate"	\
	  " WHERE serial = $1", 1 },					\
	{ "by_upn", "SELECT name FROM countersign.account"		\
	  " WHERE lower(upn) = lower($1)", 1 },				\
	{ "by_dns", "SELECT name FROM countersign.account"		\
	  " WHERE lower(dns) = lower($1)", 1 },				\
	{ "by_name", "SELECT name FROM countersign.account"		\
	  " WHERE name = lower($1)", 1 }

/*
 * serial: the INTEGER's content.  *out is NULL and 0 is returned when there
 * is none.  ERR_UNAVAILABLE when the database cannot be asked.
 */
int	 certdb_row(struct db *, struct slice serial, struct cert_row **out,
	    struct err *);
void	 cert_row_free(struct cert_row *);

/* The one account with this value, or *name is NULL; caller frees. */
int	 certdb_account(struct db *, enum cert_map, const char *value,
	    char **name, struct err *);

#endif
