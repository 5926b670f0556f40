/* Exchange keys and archived keys in PostgreSQL: sealed here, never opened. */
#include "exchange.h"
#include "store_int.h"
#include "store_key.h"

static int
one_value(struct store *st, const char *stmt, const struct db_param *p,
    int n, struct buf *out, struct err *err)
{
	PGresult *r = db_exec_bin(st->db, stmt, p, n, err);

	if (r == NULL)
		return -1;
	if (PQntuples(r) == 1 && !PQgetisnull(r, 0, 0))
		buf_add(out, PQgetvalue(r, 0, 0),
		    (size_t)PQgetlength(r, 0, 0));
	PQclear(r);
	return 0;
}

int
store_exchange_current(struct store *st, const char *ca, struct buf *der,
    struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca) };

	return one_value(st, "exchange_current", p, 1, der, err);
}

int
store_exchange_find(struct store *st, const char *ca, struct slice serial,
    struct buf *sealed, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca), DB_BIN(serial.p, serial.n) };

	return one_value(st, "exchange_find", p, 2, sealed, err);
}

int
store_exchange_wipe(struct store *st, struct err *err)
{
	return store_run(st, "exchange_wipe", NULL, 0, err);
}

static int
put_exchange(struct store *st, const struct job *j, struct err *err)
{
	struct db_param p[] = {
		DB_BIN(j->tbs.serial, SERIAL_LEN), DB_TEXT(j->ca->name),
		DB_BIN(j->exchange->sealed.p, j->exchange->sealed.n)
	};

	return store_run(st, "exchange_put", p, 3, err);
}

static int
put_archived(struct store *st, const struct job *j, struct err *err)
{
	struct db_param p[] = {
		DB_BIN(j->tbs.serial, SERIAL_LEN),
		DB_BIN(j->archived.p, j->archived.n)
	};

	return store_run(st, "archive_put", p, 2, err);
}

int
store_job_keys(struct store *st, const struct job *j, struct err *err)
{
	if (j->status != MSG_ISSUED)
		return 0;
	if (j->exchange != NULL)
		return put_exchange(st, j, err);
	return j->archived.n != 0 ? put_archived(st, j, err) : 0;
}
