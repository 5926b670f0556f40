/*
 * Pending requests and one-time secrets: what is used up by a decision,
 * locked for reserve.c and written with the rows of the batch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airgap.h"
#include "approval.h"
#include "rows.h"
#include "store_int.h"

int
store_pending(struct store *st, const struct job *j, struct found *f,
    struct err *err)
{
	const uint8_t *id = j->ask.verdict.request;
	struct buf day = { 0 };
	struct db_param p[3];
	PGresult *r;

	row_be32(&day, row_day(id));
	p[0] = DB_BIN(day.p, day.n);
	p[1] = DB_BIN(id, MSG_ID);
	p[2] = DB_TEXT(j->ca->of);
	r = db_exec_bin(st->db, "pending", p, 3, err);
	buf_free(&day);
	return store_found(st, r, f, err);
}

int
found_pending(const struct found *f, struct stored *out, struct err *err)
{
	if (found_get(f, 0, out, err) == -1)
		return -1;
	out->submitted_sha256 = found_column(f, 0, PENDING_SHA256);
	out->evidence = found_column(f, 0, PENDING_EVIDENCE);
	out->method = (enum auth_method)found_int(f, 0, PENDING_METHOD);
	out->subject = found_column(f, 0, PENDING_SUBJECT);
	out->san = found_column(f, 0, PENDING_SAN);
	return 0;
}

/* The row of a pending request gets its decision, once. */
static int
update_row(struct store *st, const struct job *j, struct err *err)
{
	bool issued = j->status == MSG_ISSUED;
	char day[16], at[24], hresult[16], major[16], minor[16];
	struct db_param p[17];
	PGresult *r;
	int n;

	snprintf(day, sizeof(day), "%u", (unsigned)row_day(j->row_id));
	snprintf(at, sizeof(at), "%lld", (long long)j->decided);
	snprintf(hresult, sizeof(hresult), "%u", (unsigned)j->hresult);
	p[0] = DB_TEXT(day);
	p[1] = DB_BIN(j->row_id, MSG_ID);
	p[2] = DB_TEXT(issued ? "issued" : j->status == MSG_PENDING ?
	    "pending" : "denied");
	p[3] = DB_TEXT(at);
	p[4] = DB_TEXT(st->signer);
	p[5] = DB_BIN(j->ask.policy_hash, sizeof(j->ask.policy_hash));
	p[6] = DB_TEXT(hresult);
	p[7] = DB_TEXT(j->text);
	p[8] = DB_TEXT(j->pending->approver);
	p[9] = DB_TEXT(j->pending->reason);
	p[10] = DB_BIN(j->ask.id, MSG_ID);
	for (n = 11; n < 16; n++)
		p[n] = DB_TEXT(NULL);
	p[16] = DB_BIN(j->response.p, j->response.n);
	if (issued) {
		snprintf(major, sizeof(major), "%u", j->tmpl->major);
		snprintf(minor, sizeof(minor), "%u", j->tmpl->minor);
		p[11] = DB_BIN(j->subject.p, j->subject.n);
		p[12] = DB_BIN(j->san.p, j->san.n);
		p[13] = DB_BIN(j->tbs.serial, SERIAL_LEN);
		p[14] = DB_TEXT(major);
		p[15] = DB_TEXT(minor);
	}
	if ((r = db_exec(st->db, "decide", p, 17, err)) == NULL)
		return -1;
	n = PQntuples(r);
	PQclear(r);
	return n == 1 ? 0 : err_set(err, ERR_INTERNAL,
	    "database: request %u is not pending", (unsigned)j->number);
}

int
store_use_up(struct store *st, const struct job *j, struct err *err)
{
	struct db_param p[] = { DB_TEXT(j->account),
	    DB_BIN(j->row_id, MSG_ID) };

	if (j->pending != NULL && (update_row(st, j, err) == -1 ||
	    (j->status == MSG_PENDING &&
	    store_airgap_approve(st, j, err) == -1)))
		return -1;
	return job_spends(j) ? store_run(st, "use_secret", p, 2, err) : 0;
}

void
store_release(struct store *st)
{
	if (st->reserved)
		db_rollback(st->db);
	st->reserved = false;
}

/* Was this key in the result?  Two jobs of a batch do not share one. */
static bool
take_key(PGresult *r, bool *taken, struct slice key)
{
	int i;

	for (i = 0; i < PQntuples(r); i++) {
		if (taken[i] || !slice_eq(key, db_field(r, i, 0)))
			continue;
		taken[i] = true;
		return true;
	}
	return false;
}

static int
lock_secrets(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	struct buf b = { 0 };
	struct db_param p;
	bool *taken;
	PGresult *r;
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += job_spends(jobs[i]);
	if (count == 0)
		return 0;
	store_array(&b, OID_TEXT, count);
	for (i = 0; i < n; i++) {
		if (!job_spends(jobs[i]))
			continue;
		row_be32(&b, (uint32_t)strlen(jobs[i]->account));
		buf_puts(&b, jobs[i]->account);
	}
	p = DB_BIN(b.p, b.n);
	r = db_exec_bin(st->db, "lock_secrets", &p, 1, err);
	buf_free(&b);
	if (r == NULL)
		return -1;
	taken = xcalloc((size_t)PQntuples(r) + 1, sizeof(*taken));
	for (i = 0; i < n; i++)
		if (job_spends(jobs[i]))
			jobs[i]->reserved = take_key(r, taken,
			    slice_str(jobs[i]->account));
	free(taken);
	PQclear(r);
	return 0;
}

static int
lock_pending(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	struct store_key *keys = xcalloc(n + 1, sizeof(*keys));
	struct buf b[2] = { { 0 } };
	struct db_param p[2];
	PGresult *r = NULL;
	bool *taken;
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (jobs[i]->pending != NULL)
			memcpy(keys[count++].id, jobs[i]->row_id, MSG_ID);
	if (count > 0) {
		store_put_keys(keys, count, false, &b[0], &b[1]);
		p[0] = DB_BIN(b[0].p, b[0].n);
		p[1] = DB_BIN(b[1].p, b[1].n);
		r = db_exec_bin(st->db, "lock_pending", p, 2, err);
		buf_free(&b[0]);
		buf_free(&b[1]);
	}
	free(keys);
	if (r == NULL)
		return count == 0 ? 0 : -1;
	taken = xcalloc((size_t)PQntuples(r) + 1, sizeof(*taken));
	for (i = 0; i < n; i++)
		if (jobs[i]->pending != NULL)
			jobs[i]->reserved = take_key(r, taken,
			    slice_of(jobs[i]->row_id, MSG_ID));
	free(taken);
	PQclear(r);
	return 0;
}

/* Always secrets first, each kind in order: no two signers can deadlock. */
int
store_reserve(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	if (store_begin(st, err) == -1)
		return -1;
	st->reserved = true;
	if (lock_secrets(st, jobs, n, err) == 0 &&
	    lock_pending(st, jobs, n, err) == 0)
		return 0;
	store_release(st);
	return -1;
}
