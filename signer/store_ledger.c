/*
 * What the database knows of ledgers, and ledgers of it: heads, rollbacks,
 * blocked keys, revocations not told yet.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store_crl.h"
#include "store_int.h"

int
store_head(struct store *st, struct store_head *out, struct err *err)
{
	struct db_param p[] = { DB_TEXT(st->signer) };
	PGresult *r = db_exec(st->db, "head_get", p, 1, err);

	if (r == NULL)
		return -1;
	out->seq = 0;
	if (PQntuples(r) > 0) {
		out->seq = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
		snprintf(out->hash, sizeof(out->hash), "%s",
		    PQgetvalue(r, 0, 1));
	}
	PQclear(r);
	return 0;
}

int
store_head_put(struct store *st, const struct store_head *h, const char *line,
    struct err *err)
{
	char seq[24];
	struct db_param p[] = { DB_TEXT(st->signer), DB_TEXT(seq),
	    DB_TEXT(h->hash), DB_TEXT(line) };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)h->seq);
	return store_run(st, "head_put", p, 4, err);
}

int
store_rollback_ended(struct store *st, int64_t *n, struct err *err)
{
	PGresult *r = db_exec(st->db, "rollback_ended", NULL, 0, err);

	if (r == NULL)
		return -1;
	*n = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return 0;
}

int
store_rollback_found(struct store *st, const char *what, int64_t ended,
    struct err *err)
{
	char n[24];
	struct db_param p[] = { DB_TEXT(st->signer), DB_TEXT(what),
	    DB_TEXT(n) };

	snprintf(n, sizeof(n), "%lld", (long long)ended);
	return store_run(st, "rollback_found", p, 3, err);
}

int
store_rollback_settled(struct store *st, const char *what, bool *yes,
    struct err *err)
{
	struct db_param p[] = { DB_TEXT(st->signer), DB_TEXT(what) };
	PGresult *r = db_exec(st->db, "rollback_settled", p, 2, err);

	if (r == NULL)
		return -1;
	*yes = PQntuples(r) > 0;
	PQclear(r);
	return 0;
}

int
store_rollback_open(struct store *st, char who[64], struct err *err)
{
	PGresult *r = db_exec(st->db, "rollback_open", NULL, 0, err);

	if (r == NULL)
		return -1;
	snprintf(who, 64, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
	PQclear(r);
	return 0;
}

PGresult *
store_audit_after(struct store *st, const struct audit_row *last,
    struct err *err)
{
	struct db_param p[] = { DB_BIN(last->n, 8), DB_BIN(last->at, 8) };

	return db_exec_bin(st->db, "audit_after", p, 2, err);
}

int
store_audit_there(struct store *st, const struct audit_row *row, bool *yes,
    struct err *err)
{
	struct db_param p[] = { DB_BIN(row->n, 8), DB_BIN(row->at, 8) };
	PGresult *r = db_exec(st->db, "audit_there", p, 2, err);

	if (r == NULL)
		return -1;
	*yes = *PQgetvalue(r, 0, 0) == 't';
	PQclear(r);
	return 0;
}

int
store_blocked_change(struct store *st, int64_t *out, struct err *err)
{
	PGresult *r = db_exec(st->db, "blocked_change", NULL, 0, err);

	if (r == NULL)
		return -1;
	*out = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return 0;
}

PGresult *
store_blocked(struct store *st, int64_t after, struct err *err)
{
	char number[24];
	struct db_param p[] = { DB_TEXT(number) };

	snprintf(number, sizeof(number), "%lld", (long long)after);
	return db_exec_bin(st->db, "blocked", p, 1, err);
}

int64_t
store_blocked_number(const PGresult *r, int row)
{
	return db_int(r, row, 2);
}

/* By the key, and by the other that has the same secret: see pubkey_hashes. */
int
store_key_owner(struct store *st, const struct pubkey *key, char **out,
    struct err *err)
{
	uint8_t spki[2][32];
	size_t last = pubkey_hashes(key, spki) - 1;
	struct db_param p[] = { DB_BIN(spki[0], sizeof(spki[0])),
	    DB_BIN(spki[last], sizeof(spki[last])) };
	PGresult *r = db_exec(st->db, "key_owner", p, 2, err);

	if (r == NULL)
		return -1;
	if (PQntuples(r) > 0)
		*out = xstrdup(PQgetvalue(r, 0, 0));
	PQclear(r);
	return 0;
}

int
store_kept(struct store *st, const uint8_t serial[SERIAL_LEN],
    struct buf *der, struct buf *row, struct err *err)
{
	struct db_param p[] = { DB_BIN(serial, SERIAL_LEN) };
	PGresult *r = db_exec_bin(st->db, "kept", p, 1, err);
	struct tuple t;
	int rc = 0;

	if (r == NULL)
		return -1;
	if (PQntuples(r) == 1) {
		buf_add(der, PQgetvalue(r, 0, 0),
		    (size_t)PQgetlength(r, 0, 0));
		tuple_of(r, 0, 1, CERT_N, &t);
		tuple_put(row, &t);
	} else
		rc = err_set(err, ERR_UNAVAILABLE,
		    "database: a certificate's row is gone");
	PQclear(r);
	return rc;
}

int
store_crl_row(struct store *st, const struct crl_made *m, struct buf *row,
    struct err *err)
{
	char number[24];
	struct db_param p[] = { DB_TEXT(m->ca), DB_TEXT(number) };
	struct tuple t;
	PGresult *r;

	snprintf(number, sizeof(number), "%llu",
	    (unsigned long long)m->number);
	if ((r = db_exec_bin(st->db, "crl_row", p, 2, err)) == NULL)
		return -1;
	tuple_of(r, 0, 0, LIST_N - 1, &t);
	/* As ledgers from before there were deltas have it. */
	if (t.field[LIST_BASE].p == NULL)
		t.n = LIST_LEAST;
	tuple_put(row, &t);
	PQclear(r);
	return 0;
}

PGresult *
store_revocations(struct store *st, const char *ca, const char *change,
    struct slice serial, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca), DB_TEXT(change),
	    DB_BIN(serial.p, serial.n) };

	return db_exec(st->db, "revocations", p, 3, err);
}

PGresult *
store_revocation_of(struct store *st, const char *ca, struct slice serial,
    struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca), DB_BIN(serial.p, serial.n) };

	return db_exec(st->db, "revocation_of", p, 2, err);
}

/* Both arrays as text: number and serial came so, for the ledger's line. */
int
store_revocations_told(struct store *st, const char *ca, const PGresult *r,
    struct err *err)
{
	struct buf changes = { 0 }, serials = { 0 };
	struct db_param p[] = { DB_TEXT(ca), { 0 }, { 0 } };
	int i, rc, n = PQntuples(r);

	for (i = 0; i < n; i++) {
		buf_printf(&changes, "%s%s", i == 0 ? "{" : ",",
		    PQgetvalue(r, i, REV_CHANGE));
		buf_printf(&serials, "%s\"\\\\x%s\"", i == 0 ? "{" : ",",
		    PQgetvalue(r, i, REV_SERIAL));
	}
	buf_addc(&changes, '}');
	buf_addc(&serials, '}');
	p[1] = DB_TEXT(buf_str(&changes));
	p[2] = DB_TEXT(buf_str(&serials));
	rc = store_run(st, "revocations_told", p, 3, err);
	buf_free(&changes);
	buf_free(&serials);
	return rc;
}

int
store_revocations_untold(struct store *st, const char *ca, struct err *err)
{
	struct db_param p[] = { DB_TEXT(ca) };
	PGresult *r = db_exec(st->db, "revocations_untold", p, 1, err);
	int rc = r == NULL ? -1 : *PQgetvalue(r, 0, 0) == 't';

	PQclear(r);
	return rc;
}
