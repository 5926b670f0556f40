/*
 * Requests that wait for the other side of an air gap: rows beside those of
 * store.c, in the same transaction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "airgap.h"
#include "approval.h"
#include "rows.h"
#include "store_int.h"

int
store_airgap_crosses(struct store *st, const uint8_t id[MSG_ID], bool *yes,
    struct err *err)
{
	struct db_param p[2];
	char day[16];
	PGresult *r;

	snprintf(day, sizeof(day), "%u", (unsigned)row_day(id));
	p[0] = DB_TEXT(day);
	p[1] = DB_BIN(id, MSG_ID);
	if ((r = db_exec(st->db, "airgap_crosses", p, 2, err)) == NULL)
		return -1;
	*yes = PQntuples(r) > 0;
	PQclear(r);
	return 0;
}

int
store_airgap_put(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	struct buf b = { 0 };
	size_t i, count = 0;
	int rc = 0;

	rows_open(&b);
	for (i = 0; i < n; i++) {
		if (jobs[i]->status != MSG_PENDING ||
		    jobs[i]->pending != NULL || !jobs[i]->ca->apart)
			continue;
		row_airgap(&b, jobs[i]);
		count++;
	}
	rows_close(&b);
	if (count > 0)
		rc = db_copy(st->db, &(struct db_copy){ ROWS_AIRGAP_SQL,
		    buf_slice(&b) }, 1, err);
	buf_free(&b);
	return rc;
}

int
store_airgap_approve(struct store *st, const struct job *j, struct err *err)
{
	const struct buf *record = &j->pending->record;
	const struct verdict *v = &j->ask.verdict;
	char day[16], *subject, *operator;
	struct db_param p[5];
	PGresult *r;
	int n;

	subject = xstrndup((const char *)v->subject.p, v->subject.n);
	operator = xstrndup((const char *)v->operator.p, v->operator.n);
	snprintf(day, sizeof(day), "%u", (unsigned)row_day(j->row_id));
	p[0] = DB_TEXT(day);
	p[1] = DB_BIN(j->row_id, MSG_ID);
	p[2] = DB_BIN(record->n > 0 ? (const void *)record->p : "",
	    record->n);
	p[3] = DB_TEXT(subject);
	p[4] = DB_TEXT(operator);
	r = db_exec(st->db, "airgap_approve", p, 5, err);
	free(subject);
	free(operator);
	if (r == NULL)
		return -1;
	n = PQntuples(r);
	PQclear(r);
	return n == 1 ? 0 : err_set(err, ERR_INTERNAL, "database: request %u "
	    "does not wait for an approval", (unsigned)j->number);
}
