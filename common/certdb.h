/* The account that a certificate of another CA, or a ticket, names. */
#ifndef CERTDB_H
#define CERTDB_H

#include "db.h"
#include "policy.h"

/* Its statements, for a program's list. */
#define CERTDB_STMTS							\
	{ "by_upn", "SELECT name FROM countersign.account"		\
	  " WHERE lower(upn) = lower($1)", 1 },				\
	{ "by_dns", "SELECT name FROM countersign.account"		\
	  " WHERE lower(dns) = lower($1)", 1 },				\
	{ "by_name", "SELECT name FROM countersign.account"		\
	  " WHERE name = lower($1)", 1 },				\
	{ "by_sid", "SELECT name FROM countersign.account"		\
	  " WHERE sid = $1", 1 }

/*
 * The one account with this value, or *name is NULL; caller frees.  Letters
 * count without their case.  -1: as db_exec.
 */
int	 certdb_account(struct db *, enum cert_map, const char *value,
	    char **name, struct err *);

#endif
