/* Rounds over an air gap, put back behind everything else. */
#include "restore.h"

#include <inttypes.h>

/*
 * Else the next bundle would follow on an answer that is not the vault's last,
 * and the vault would refuse it and every one after it.
 */
int
restore_rounds(struct db *db, const struct chronicle *c,
    struct restored *done, struct err *err)
{
	const struct chr_round *r;
	PGresult *res;
	char n[24];
	size_t i;

	for (i = 0; i < c->nround; i++) {
		r = &c->round[i];
		if (r->seen)
			continue;
		snprintf(n, sizeof n, "%" PRIu64, r->n);
		res = db_exec(db, "round", (struct db_param[]){ DB_TEXT(n),
		    DB_BIN(r->bundle, 32), DB_BIN(r->response, 32) }, 3, err);
		if (res == NULL)
			return -1;
		PQclear(res);
		done->rounds++;
	}
	return 0;
}
