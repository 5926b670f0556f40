/*
 * Whom a certificate of another CA names, for certauth.c, or a Kerberos
 * ticket: by snapshot.c.
 */
#include <stdlib.h>

#include "certdb.h"

static bool
is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s > 0x7f)
			return false;
	return true;
}

static const char *const stmts[] = {
	[MAP_SAN_UPN] = "by_upn", [MAP_SAN_DNS] = "by_dns",
	[MAP_SUBJECT_CN] = "by_name", [MAP_SID] = "by_sid"
};

int
certdb_account(struct db *db, enum cert_map map, const char *value,
    char **name, struct err *err)
{
	struct db_param p = DB_TEXT(value);
	PGresult *r;

	*name = NULL;
	/* Ours all are; lower() makes an i of U+0130, a k of U+212A. */
	if (!is_ascii(value))
		return 0;
	r = db_exec_bin(db, stmts[map], &p, 1, err);
	if (r == NULL)
		return -1;
	if (PQntuples(r) == 1)
		*name = xstrndup(PQgetvalue(r, 0, 0),
		    (size_t)PQgetlength(r, 0, 0));
	PQclear(r);
	return 0;
}
