/*
 * Accounts and keys of a restored database, when audit is whole again: the
 * stricter of what is true and what audit said last becomes both.  Nothing is
 * allowed that is not: who should be, operators say once more.
 */
#include "restore.h"

#include "lastword.h"

/* A fault without a statement is no old backup's: reconcile ends with it. */
static int
make_strict(struct db *db, const PGresult *res, int row, struct err *err)
{
	const struct lastword *w = lastword_of(res, row);
	PGresult *done;

	if (w == NULL || w->stmt == NULL)
		return err_set(err, ERR_DENIED, "%.200s: no backup explains "
		    "it; see ledger verify",
		    PQgetvalue(res, row, LASTWORD_OBJECT));
	done = db_exec(db, w->stmt, (struct db_param[]){
	    DB_TEXT(PQgetvalue(res, row, LASTWORD_OBJECT)),
	    DB_TEXT(PQgetvalue(res, row, LASTWORD_GROUP)),
	    DB_TEXT(PQgetvalue(res, row, LASTWORD_IMPORTED)) }, 3, err);
	PQclear(done);
	return done == NULL ? -1 : 0;
}

int
restore_accounts(struct db *db, struct restored *done, struct err *err)
{
	int row, n;

	/* No lost rows of audit beside the table: they are back in it. */
	done->words = db_exec(db, "words", (struct db_param[]){ DB_TEXT("{}"),
	    DB_TEXT("{}"), DB_TEXT("{}"), DB_TEXT("{}"), DB_TEXT(NULL) }, 5,
	    err);
	if (done->words == NULL)
		return -1;
	n = PQntuples(done->words);
	for (row = 0; row < n; row++)
		if (make_strict(db, done->words, row, err) != 0)
			return -1;
	return 0;
}
