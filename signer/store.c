#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "rows.h"
#include "store_int.h"
#include "store_key.h"

#define LOCK_CLASS	"71200103"
#define OID_INT4	23
#define OID_BYTEA	17

/* Every statement this program ever runs, COPY aside. */
static const struct db_stmt statements[] = {
	/*
	 * Generic plans are made while the tables are small: nested loops
	 * over indexes are right for every size.
	 */
	{ "session", "SELECT set_config('enable_seqscan', 'off', false), "
	    "set_config('enable_hashjoin', 'off', false), "
	    "set_config('enable_mergejoin', 'off', false), "
	    "set_config('jit', 'off', false), "
	    "set_config('plan_cache_mode', 'force_generic_plan', false), "
	    "set_config('lock_timeout', '2s', false)", 0 },
	{ "lock", "SELECT pg_try_advisory_lock(" LOCK_CLASS ", hashtext($1))",
	    1 },
	{ "settings", "SELECT current_setting('fsync'), "
	    "current_setting('full_page_writes'), "
	    "current_setting('synchronous_commit')", 0 },
	{ "register", "SELECT countersign.signer_register($1)", 1 },
	{ "partitions", "SELECT countersign.make_partitions()", 0 },
	{ "find", "SELECT " STORED " FROM unnest($1::int4[], $2::bytea[]) "
	    "k(day, id) JOIN countersign.request r "
	    "ON r.day = k.day AND r.id = k.id" WITH_CERTIFICATE
	    "UNION ALL SELECT " STORED " FROM unnest($3::int4[], $4::bytea[]) "
	    "k(day, key) JOIN countersign.request r "
	    "ON r.day = k.day AND r.replay_key = k.key "
	    "AND r.state <> 'denied'" WITH_CERTIFICATE, 4 },
	{ "query", "SELECT " STORED ", r.token FROM countersign.request r"
	    WITH_CERTIFICATE "WHERE r.number = $1 "
	    "AND coalesce(r.agent, r.account) = $2 "
	    "AND r.ca = $3 AND (r.method & $4::int4) <> 0 "
	    "ORDER BY r.received_at DESC LIMIT 1", 4 },
	APPROVAL_STATEMENTS, KEY_STATEMENTS,
	ISSUED_STMT,
	{ "barrier", "SELECT pg_logical_emit_message(true, 'countersign', "
	    "'barrier')", 0 },
	{ "void", "INSERT INTO countersign.void_serial "
	    "(serial, ca, request_id, signer) VALUES ($1, $2, $3, $4) "
	    "ON CONFLICT DO NOTHING", 4 },
	REVOCATION_STATEMENTS,
	{ NULL, NULL, 0 }
};

struct store *
store_open(const char *dsn, const char *signer)
{
	struct store *st = xcalloc(1, sizeof(*st));

	st->db = db_open(dsn, statements, NULL);
	st->signer = xstrdup(signer);
	return st;
}

void
store_close(struct store *st)
{
	if (st == NULL)
		return;
	db_close(st->db);
	free(st->signer);
	free(st);
}

int
store_run(struct store *st, const char *stmt, const struct db_param *p, int n,
    struct err *err)
{
	PGresult *r = db_exec(st->db, stmt, p, n, err);

	PQclear(r);
	return r == NULL ? -1 : 0;
}

static int
need(const char *setting, const char *value, const char *good,
    const char *also, struct err *err)
{
	if (strcmp(value, good) == 0 || strcmp(value, also) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "database: %s is %s, must be %s",
	    setting, value, good);
}

int
store_settings(struct store *st, struct err *err)
{
	PGresult *r = db_exec(st->db, "settings", NULL, 0, err);
	int rc = -1;

	if (r != NULL &&
	    need("fsync", PQgetvalue(r, 0, 0), "on", "on", err) == 0 &&
	    need("full_page_writes", PQgetvalue(r, 0, 1), "on", "on",
	    err) == 0 &&
	    need("synchronous_commit", PQgetvalue(r, 0, 2), "on",
	    "remote_apply", err) == 0)
		rc = 0;
	PQclear(r);
	return rc;
}

static int
take_lock(struct store *st, struct err *err)
{
	struct db_param p[] = { DB_TEXT(st->signer) };
	PGresult *r = db_exec(st->db, "lock", p, 1, err);
	bool got;

	if (r == NULL)
		return -1;
	got = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
	PQclear(r);
	if (!got)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: another session of signer %s is open",
		    st->signer);
	return 0;
}

int
store_ready(struct store *st, struct err *err)
{
	int changed = db_changed(st->db, err);

	if (changed == 0 && st->session)
		return 0;
	st->session = false;
	if (changed == -1 ||
	    store_run(st, "session", NULL, 0, err) == -1 ||
	    take_lock(st, err) == -1 || store_settings(st, err) == -1)
		return -1;
	st->session = true;
	return 0;
}

int
store_register(struct store *st, uint16_t *prefix, struct err *err)
{
	struct db_param p[] = { DB_TEXT(st->signer) };
	PGresult *r = db_exec(st->db, "register", p, 1, err);

	if (r == NULL)
		return -1;
	*prefix = (uint16_t)atoi(PQgetvalue(r, 0, 0));
	PQclear(r);
	return 0;
}

int
store_partitions(struct store *st, struct err *err)
{
	return store_run(st, "partitions", NULL, 0, err);
}

/* A one-dimensional array in PostgreSQL's binary form. */
void
store_array(struct buf *b, uint32_t element, size_t n)
{
	row_be32(b, n > 0 ? 1 : 0);	/* dimensions */
	row_be32(b, 0);			/* no NULLs */
	row_be32(b, element);
	if (n > 0) {
		row_be32(b, (uint32_t)n);
		row_be32(b, 1);		/* lower bound */
	}
}

/* Days and ids (or replay keys) as two arrays.  The id tells the day. */
void
store_put_keys(const struct store_key *k, size_t n, bool replay,
    struct buf *days, struct buf *keys)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += !replay || k[i].by_replay_key;
	store_array(days, OID_INT4, count);
	store_array(keys, OID_BYTEA, count);
	for (i = 0; i < n; i++) {
		if (replay && !k[i].by_replay_key)
			continue;
		row_be32(days, 4);
		row_be32(days, row_day(k[i].id));
		row_be32(keys, MSG_ID);
		buf_add(keys, replay ? k[i].replay_key : k[i].id, MSG_ID);
	}
}

int
store_find(struct store *st, const struct store_key *k, size_t n,
    struct found *f, struct err *err)
{
	struct buf b[4] = { { 0 } };
	struct db_param p[4];
	PGresult *r;
	size_t i;

	store_put_keys(k, n, false, &b[0], &b[1]);
	store_put_keys(k, n, true, &b[2], &b[3]);
	for (i = 0; i < 4; i++)
		p[i] = DB_BIN(b[i].p, b[i].n);
	r = db_exec_bin(st->db, "find", p, 4, err);
	for (i = 0; i < 4; i++)
		buf_free(&b[i]);
	if (r == NULL)
		return -1;
	f->res = r;
	return 0;
}

/*
 * Kerberos, passwords and certificates prove the same account; nobody proves
 * one anonymously, and operators are a class of their own.
 */
static int
method_class(enum auth_method m)
{
	const int proven = AUTH_KERBEROS | AUTH_PASSWORD | AUTH_CERTIFICATE;

	return (m & proven) != 0 ? proven : (int)m;
}

int
store_query(struct store *st, const struct job *j, struct found *f,
    struct err *err)
{
	char number[16], method[16];
	struct db_param p[4];
	PGresult *r;

	snprintf(number, sizeof(number), "%u", (unsigned)j->ask.number);
	snprintf(method, sizeof(method), "%d", method_class(j->ask.method));
	p[0] = DB_TEXT(number);
	p[1] = DB_TEXT(j->account);
	p[2] = DB_TEXT(j->ca->name);
	p[3] = DB_TEXT(method);
	if ((r = db_exec_bin(st->db, "query", p, 4, err)) == NULL)
		return -1;
	f->res = r;
	return 0;
}

size_t
found_count(const struct found *f)
{
	return f->res == NULL ? 0 : (size_t)PQntuples(f->res);
}

void
found_free(struct found *f)
{
	PQclear(f->res);
	f->res = NULL;
}

static struct slice
column(const struct found *f, size_t row, int col)
{
	if (PQgetisnull(f->res, (int)row, col))
		return slice_of(NULL, 0);
	return slice_of(PQgetvalue(f->res, (int)row, col),
	    (size_t)PQgetlength(f->res, (int)row, col));
}

static int64_t
column_int(const struct found *f, size_t row, int col)
{
	struct slice s = column(f, row, col);
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.n && i < 8; i++)
		v = v << 8 | s.p[i];
	return (int64_t)v;
}

int
found_get(const struct found *f, size_t i, struct stored *out,
    struct err *err)
{
	struct slice state = column(f, i, 2);
	struct stored s = { .id = column(f, i, 0) };

	if (slice_is(state, "issued"))
		s.status = MSG_ISSUED;
	else if (slice_is(state, "pending"))
		s.status = MSG_PENDING;
	else if (slice_is(state, "denied"))
		s.status = MSG_DENIED;
	else
		return err_set(err, ERR_INTERNAL, "database: unknown state");
	s.replay_key = column(f, i, 1);
	s.number = (uint32_t)column_int(f, i, 3);
	s.hresult = (uint32_t)column_int(f, i, 4);
	s.text = column(f, i, 5);
	s.account = column(f, i, 6);
	s.ca = column(f, i, 7);
	s.template_name = column(f, i, 8);
	s.token_sha256 = column(f, i, 9);
	s.serial = column(f, i, 10);
	s.certificate = column(f, i, 11);
	s.received = column_int(f, i, 12);
	s.decision_id = column(f, i, 13);
	s.expires = column_int(f, i, 14);
	if (PQnfields(f->res) > 15)
		s.token = column(f, i, 15);
	if (PQnfields(f->res) > 16) {
		s.submitted_sha256 = column(f, i, 16);
		s.evidence = column(f, i, 17);
		s.method = (enum auth_method)column_int(f, i, 18);
	}
	if (s.status == MSG_ISSUED && s.certificate.n == 0)
		return err_set(err, ERR_INTERNAL,
		    "database: issued request without certificate");
	*out = s;
	return 0;
}

static int
copy_rows(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	struct buf requests = { 0 }, certs = { 0 };
	size_t i, ncerts = 0;
	int rc;

	rows_open(&requests);
	rows_open(&certs);
	for (i = 0; i < n; i++) {
		if (jobs[i]->pending == NULL)
			row_request(&requests, jobs[i], st->signer);
		if (jobs[i]->status == MSG_ISSUED) {
			row_certificate(&certs, jobs[i]);
			ncerts++;
		}
	}
	rows_close(&requests);
	rows_close(&certs);
	rc = db_copy(st->db, ROWS_REQUEST_SQL, buf_slice(&requests), err);
	if (rc == 0 && ncerts > 0)
		rc = db_copy(st->db, ROWS_CERTIFICATE_SQL, buf_slice(&certs),
		    err);
	buf_free(&requests);
	buf_free(&certs);
	for (i = 0; rc == 0 && i < n; i++)
		rc = store_use_up(st, jobs[i], err);
	for (i = 0; rc == 0 && i < n; i++)
		rc = store_job_keys(st, jobs[i], err);
	return rc;
}

struct issued_set *
store_issued(struct store *st, const struct slice *serials, size_t n,
    struct err *err)
{
	return issued_load(st->db, serials, n, err);
}

/* A transaction in the session that was set up, and in no other. */
int
store_begin(struct store *st, struct err *err)
{
	if (store_ready(st, err) == -1 || db_begin(st->db, err) == -1)
		return -1;
	if (db_changed(st->db, err) == 0)
		return 0;
	st->session = false;
	db_rollback(st->db);
	return err_set(err, ERR_UNAVAILABLE, "database: connection was lost");
}

int
store_insert(struct store *st, struct job *const *jobs, size_t n,
    bool *in_doubt, struct err *err)
{
	*in_doubt = false;
	if (!st->reserved && store_begin(st, err) == -1)
		return -1;
	st->reserved = false;
	if (copy_rows(st, jobs, n, err) == -1) {
		db_rollback(st->db);
		return -1;
	}
	return db_commit(st->db, in_doubt, err);
}

int
store_barrier(struct store *st, struct err *err)
{
	bool in_doubt;

	if (store_begin(st, err) == -1)
		return -1;
	if (store_run(st, "barrier", NULL, 0, err) == -1) {
		db_rollback(st->db);
		return -1;
	}
	return db_commit(st->db, &in_doubt, err);
}

int
store_void(struct store *st, const struct intents *list, struct err *err)
{
	struct db_param p[4];
	bool in_doubt;
	size_t i;

	if (store_begin(st, err) == -1)
		return -1;
	for (i = 0; i < list->n; i++) {
		p[0] = DB_BIN(list->v[i].serial, SERIAL_LEN);
		p[1] = DB_TEXT(list->v[i].ca);
		p[2] = DB_BIN(list->v[i].id, MSG_ID);
		p[3] = DB_TEXT(st->signer);
		if (store_run(st, "void", p, 4, err) == -1) {
			db_rollback(st->db);
			return -1;
		}
	}
	return db_commit(st->db, &in_doubt, err);
}
