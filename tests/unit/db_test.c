/* Database connections against a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "db.h"
#include "db_wait.h"
#include "pg.h"

static struct pg pg;

static const struct db_stmt stmts[] = {
	{ "one", "SELECT 1", 0 },
	{ "echo", "SELECT $1::text, $2::bytea, $3::text IS NULL", 3 },
	{ "zero", "SELECT 1 / $1::integer", 1 },
	{ "state", "SELECT x.raise($1)", 1 },
	{ "put", "INSERT INTO x.t VALUES ($1::integer)", 1 },
	{ "count", "SELECT count(*) FROM x.t", 0 },
	{ "settings", "SELECT current_setting('synchronous_commit'),"
	  " current_setting('client_encoding')", 0 },
	{ "kill", "SELECT pg_terminate_backend(pg_backend_pid())", 0 },
	{ "doze", "SELECT pg_sleep(0.8)", 0 },
	{ "readonly", "SET default_transaction_read_only = on", 0 },
	{ NULL, NULL, 0 }
};

static struct db *
open_db(const char *role, const struct db_stmt *list)
{
	char dsn[160];

	return db_open(pg_dsn(&pg, role, dsn, sizeof(dsn)), list,
	    "countersign");
}

static void
owner(const char *sql)
{
	assert_int_equal(pg_sql(&pg, "countersign", sql), 0);
}

static const char *
value(struct db *db, const char *stmt, char *out, size_t max)
{
	struct err err = ERR_INIT;
	PGresult *r = db_exec(db, stmt, NULL, 0, &err);

	assert_string_equal(err.text, "");
	assert_non_null(r);
	snprintf(out, max, "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	return out;
}

static int64_t
ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
test_exec(void **state)
{
	const struct db_param p[3] = {
		DB_TEXT("caf\xc3\xa9"), DB_BIN("\0\x01", 2), DB_TEXT(NULL)
	};
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	char v[64];
	PGresult *r;

	(void)state;
	r = db_exec(db, "echo", p, 3, &err);
	assert_non_null(r);
	assert_string_equal(PQgetvalue(r, 0, 0), "caf\xc3\xa9");
	assert_string_equal(PQgetvalue(r, 0, 1), "\\x0001");
	assert_string_equal(PQgetvalue(r, 0, 2), "t");
	PQclear(r);
	r = db_exec_bin(db, "echo", p, 3, &err);
	assert_int_equal(PQgetlength(r, 0, 1), 2);
	PQclear(r);
	assert_string_equal(value(db, "settings", v, sizeof(v)), "on");
	assert_null(db_exec(db, "echo", p, 2, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	memset(&err, 0, sizeof(err));
	assert_null(db_exec(db, "absent", NULL, 0, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	db_close(db);
	db_close(NULL);
}

static void
assert_state(struct db *db, const char *sqlstate, enum err_kind kind)
{
	const struct db_param p = DB_TEXT(sqlstate);
	struct err err = ERR_INIT;

	assert_null(db_exec(db, "state", &p, 1, &err));
	if (err.kind != kind)
		fail_msg("%s: %s", sqlstate, err.text);
	if (kind == ERR_INTERNAL)
		assert_non_null(strstr(err.text, sqlstate));
	assert_null(strchr(err.text, '\n'));
}

static void
test_sqlstates(void **state)
{
	static const char *const passing[] = {
		"08006", "53100", "53200", "53300", "57014", "57P01", "25006",
		"40001", "40P01", "55P03"
	};
	static const char *const ours[] = {
		"22012", "23505", "42501", "40002", "XX000", "P0001"
	};
	struct db *db = open_db("owner", stmts);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		assert_state(db, passing[i], ERR_UNAVAILABLE);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_state(db, ours[i], ERR_INTERNAL);
	db_close(db);
}

static void
test_notifications(void **state)
{
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	char v[16];
	int i, changed = 0;

	(void)state;
	assert_int_equal(db_changed(db, &err), 1);	/* new connection */
	assert_int_equal(db_changed(db, &err), 0);
	owner("NOTIFY countersign");
	owner("NOTIFY other");
	assert_true(pg_told(&pg));
	assert_int_equal(db_changed(db, &err), 1);
	assert_int_equal(db_changed(db, &err), 0);
	/* One that came with the answer of a statement. */
	owner("NOTIFY countersign");
	assert_true(pg_told(&pg));
	value(db, "one", v, sizeof(v));
	assert_int_equal(db_changed(db, &err), 1);
	/* In two steps: what a statement's answer brought is not lost. */
	assert_true(db_quiet(db));
	assert_int_equal(db_changed_unless(db, true, &err), 0);
	owner("NOTIFY countersign");
	assert_true(pg_told(&pg));
	assert_false(db_quiet(db));
	value(db, "one", v, sizeof(v));
	assert_true(db_quiet(db));
	assert_int_equal(db_changed_unless(db, true, &err), 1);
	assert_int_equal(db_changed_unless(db, true, &err), 0);
	/* The server ends our session: reconnected, and so changed. */
	owner("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE application_name = 'countersign'");
	for (i = 0; i < 18000 && db_quiet(db); i++)
		usleep(10000);
	assert_false(db_quiet(db));
	/* Its last words may come before its end does. */
	for (; i < 18000 && (changed = db_changed(db, &err)) == 0; i++)
		usleep(10000);
	assert_int_equal(changed, 1);
	assert_int_equal(db_changed(db, &err), 0);
	db_close(db);
}

static void
test_transactions(void **state)
{
	const struct db_param p = DB_TEXT("7"), bad = DB_TEXT("x");
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	bool in_doubt;
	char v[16];

	(void)state;
	owner("TRUNCATE x.t");
	assert_int_equal(db_begin(db, &err), 0);
	PQclear(db_exec(db, "put", &p, 1, &err));
	assert_int_equal(db_commit(db, &in_doubt, &err), 0);
	assert_string_equal(value(db, "count", v, sizeof(v)), "1");

	assert_int_equal(db_begin(db, &err), 0);
	PQclear(db_exec(db, "put", &p, 1, &err));
	db_rollback(db);
	assert_string_equal(value(db, "count", v, sizeof(v)), "1");

	/* COMMIT after an error is a rollback, known as such. */
	assert_int_equal(db_begin(db, &err), 0);
	assert_null(db_exec(db, "put", &bad, 1, &err));
	memset(&err, 0, sizeof(err));
	in_doubt = true;
	assert_int_equal(db_commit(db, &in_doubt, &err), -1);
	assert_false(in_doubt);
	memset(&err, 0, sizeof(err));
	assert_int_equal(db_commit(db, &in_doubt, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_string_equal(value(db, "count", v, sizeof(v)), "1");
	db_close(db);
}

static const uint8_t copied[] =
    "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
    "\0\1\0\0\0\4\0\0\0\1"
    "\0\1\0\0\0\4\0\0\0\2"
    "\377\377";
#define COPIED	{ "COPY x.t FROM STDIN (FORMAT binary)", \
	{ copied, sizeof(copied) - 1 } }

static int
put_and_commit(struct db *db, bool *in_doubt, struct err *err)
{
	const struct db_param p = DB_TEXT("8");
	struct err none = ERR_INIT;

	assert_int_equal(db_begin(db, &none), 0);
	PQclear(db_exec(db, "put", &p, 1, &none));
	return db_commit(db, in_doubt, err);
}

static int
copy_durably(struct db *db, bool *in_doubt, struct err *err)
{
	const struct db_copy c[] = { COPIED, COPIED };
	struct err none = ERR_INIT;

	assert_int_equal(db_ready(db, &none), 0);
	return db_copy_durable(db, c, 2, in_doubt, err);
}

typedef int write_rows(struct db *, bool *, struct err *);

/* What a deferred trigger does happens at COMMIT. */
static int
commit_with(const char *how, write_rows *write, bool *in_doubt,
    struct err *err)
{
	struct db *db = open_db("owner", stmts);
	char sql[256];
	int rc;

	snprintf(sql, sizeof(sql), "TRUNCATE x.t; UPDATE x.how SET how = '%s'",
	    how);
	owner(sql);
	memset(err, 0, sizeof(*err));
	*in_doubt = false;
	rc = write(db, in_doubt, err);
	owner("UPDATE x.how SET how = 'ok'");
	db_close(db);
	return rc;
}

static void
test_commit_lies(void **state)
{
	static write_rows *const ways[] = { put_and_commit, copy_durably };
	struct err err;
	bool in_doubt;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(commit_with("ok", ways[i], &in_doubt, &err),
		    0);
		/* [security] P4: the row may not be on the standby. */
		assert_int_equal(commit_with("warning", ways[i], &in_doubt,
		    &err), -1);
		assert_true(in_doubt);
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		/* P5: gone in the middle of COMMIT. */
		assert_int_equal(commit_with("kill", ways[i], &in_doubt, &err),
		    -1);
		assert_true(in_doubt);
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		/* An ERROR at COMMIT is an abort. */
		assert_int_equal(commit_with("error", ways[i], &in_doubt,
		    &err), -1);
		assert_false(in_doubt);
		assert_int_equal(err.kind, ERR_INTERNAL);
	}
}

/* Some have warnings switched off, or a role has it done for all of its name. */
static void
test_commit_lies_quietly(void **state)
{
	struct err err;
	bool in_doubt;
	int rc;

	(void)state;
	owner("ALTER DATABASE countersign SET client_min_messages = error");
	rc = commit_with("warning", put_and_commit, &in_doubt, &err);
	owner("ALTER DATABASE countersign RESET client_min_messages");
	assert_int_equal(rc, -1);
	assert_true(in_doubt);
}

/* A connection lost in a transaction is not taken up by another session. */
static void
test_lost_transaction(void **state)
{
	const struct db_param p = DB_TEXT("9");
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	bool in_doubt = true;
	char v[16];

	(void)state;
	owner("TRUNCATE x.t");
	assert_int_equal(db_begin(db, &err), 0);
	assert_null(db_exec(db, "kill", NULL, 0, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	memset(&err, 0, sizeof(err));
	assert_null(db_exec(db, "put", &p, 1, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	memset(&err, 0, sizeof(err));
	assert_int_equal(db_commit(db, &in_doubt, &err), -1);
	assert_false(in_doubt);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(value(db, "count", v, sizeof(v)), "0");
	db_close(db);
}

static void
test_copy(void **state)
{
	struct db_copy c[] = { COPIED, COPIED };
	const struct slice all = c[0].rows;
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	char v[16];
	size_t i;

	(void)state;
	owner("TRUNCATE x.t");
	assert_int_equal(db_copy(db, c, 1, &err), 0);
	assert_string_equal(value(db, "count", v, sizeof(v)), "2");
	assert_int_equal(db_copy(db, c, 2, &err), 0);
	assert_string_equal(value(db, "count", v, sizeof(v)), "6");
	/* A torn stream stores nothing, and the connection goes on. */
	for (i = 0; i < 2; i++) {
		c[i].rows.n -= 4;
		assert_int_equal(db_copy(db, c, 2, &err), -1);
		assert_int_equal(err.kind, ERR_INTERNAL);
		memset(&err, 0, sizeof(err));
		assert_string_equal(value(db, "count", v, sizeof(v)), "6");
		c[i].rows = all;
	}
	c[1] = (struct db_copy){ "COPY absent FROM STDIN",
	    slice_of(copied, 3) };
	assert_int_equal(db_copy(db, c, 2, &err), -1);
	assert_non_null(strstr(err.text, "db migrate: copy: 42P01"));
	assert_string_equal(value(db, "count", v, sizeof(v)), "6");
	db_close(db);
}

/* Stored whole or not at all, and only where the session is already. */
static void
test_copy_durable(void **state)
{
	struct db_copy c[] = { COPIED, COPIED };
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	bool in_doubt = true;
	char v[16];

	(void)state;
	owner("TRUNCATE x.t");
	assert_int_equal(db_copy_durable(db, c, 2, &in_doubt, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_false(in_doubt);
	memset(&err, 0, sizeof(err));
	assert_int_equal(copy_durably(db, &in_doubt, &err), 0);
	assert_false(in_doubt);
	assert_false(db_in_transaction(db));
	assert_string_equal(value(db, "count", v, sizeof(v)), "4");
	c[1].rows.n -= 4;
	assert_int_equal(db_copy_durable(db, c, 2, &in_doubt, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_false(in_doubt);
	assert_string_equal(value(db, "count", v, sizeof(v)), "4");
	memset(&err, 0, sizeof(err));
	assert_int_equal(db_begin(db, &err), 0);
	assert_int_equal(db_copy_durable(db, c, 1, &in_doubt, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_false(in_doubt);
	db_rollback(db);
	assert_string_equal(value(db, "count", v, sizeof(v)), "4");
	db_close(db);
}

struct other {
	struct db	*db;
	int		 times;
	bool		 saw;		/* the rows, committed */
};

static void
look(void *arg)
{
	const struct timespec pause = { 0, 10 * 1000 * 1000L };
	struct other *o = arg;
	char v[16];
	int i;

	o->times++;
	for (i = 0; i < 500 && !o->saw; i++) {
		o->saw = strcmp(value(o->db, "count", v, sizeof(v)), "4") == 0;
		if (!o->saw)
			nanosleep(&pause, NULL);
	}
}

/* The server needs nothing more of us to commit while we do something else. */
static void
test_meanwhile(void **state)
{
	const struct db_copy c[] = { COPIED, COPIED };
	struct db *db = open_db("owner", stmts);
	struct other other = { .db = open_db("owner", stmts) };
	struct err err = ERR_INIT;
	bool in_doubt = true;

	(void)state;
	owner("TRUNCATE x.t");
	db_meanwhile(db, look, &other);
	assert_int_equal(copy_durably(db, &in_doubt, &err), 0);
	assert_int_equal(other.times, 1);
	assert_true(other.saw);

	/* Within a transaction nothing is committed yet. */
	assert_int_equal(db_begin(db, &err), 0);
	assert_int_equal(db_copy(db, c, 2, &err), 0);
	assert_int_equal(db_commit(db, &in_doubt, &err), 0);
	db_meanwhile(db, NULL, NULL);
	assert_int_equal(copy_durably(db, &in_doubt, &err), 0);
	assert_int_equal(other.times, 1);
	db_close(other.db);
	db_close(db);
}

/* A server that says nothing at all is not waited for without end. */
static void
test_silent_server(void **state)
{
	char dsn[160];
	struct db_wait w = { PQconnectdb(pg_dsn(&pg, "owner", dsn,
	    sizeof(dsn))), 2000, false };
	PGresult *r;
	int64_t start = ms();

	(void)state;
	assert_int_equal(PQstatus(w.conn), CONNECTION_OK);
	(void)PQsetnonblocking(w.conn, 1);
	r = db_wait(&w, PQsendQuery(w.conn, "SELECT 1; SELECT 2"));
	assert_string_equal(PQgetvalue(r, 0, 0), "2");
	PQclear(r);
	assert_false(w.silent);
	assert_null(db_wait(&w, PQsendQuery(w.conn, "SELECT pg_sleep(20)")));
	assert_true(w.silent);
	assert_true(ms() - start < 15000);
	PQfinish(w.conn);
}

/* Who waits for what takes long does not wait for a standby that has left. */
static void
test_patience(void **state)
{
	struct db *db = open_db("owner", stmts);
	struct db_param p = DB_TEXT("1");
	struct err err = ERR_INIT;
	int64_t start = ms();
	bool in_doubt = false;

	(void)state;
	owner("UPDATE x.how SET how = 'slow'");
	db_patience(db, 0, 500);
	assert_int_equal(db_begin(db, &err), 0);
	PQclear(db_exec(db, "doze", NULL, 0, &err));
	assert_string_equal(err.text, "");
	PQclear(db_exec(db, "put", &p, 1, &err));
	assert_int_equal(db_commit(db, &in_doubt, &err), -1);
	assert_true(in_doubt);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "it may be done"));
	assert_null(db_conn(db));
	assert_true(ms() - start < 15000);
	db_close(db);
	owner("UPDATE x.how SET how = 'ok'");
}

static void
test_absent_server(void **state)
{
	struct db *db = db_open("host=/nonexistent dbname=x", stmts, NULL);
	struct err err = ERR_INIT;
	int64_t start;
	int i;

	(void)state;
	assert_int_equal(db_ready(db, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_null(strchr(err.text, '\n'));
	start = ms();
	for (i = 0; i < 1000; i++) {
		memset(&err, 0, sizeof(err));
		assert_null(db_exec(db, "one", NULL, 0, &err));
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
	}
	assert_true(ms() - start < 2000);
	db_close(db);

	db = db_open("host=x pass word = 'secret", stmts, NULL);
	memset(&err, 0, sizeof(err));
	assert_int_equal(db_changed(db, &err), -1);
	assert_string_equal(err.text, "database: malformed connection string");
	db_close(db);
}

static void
test_restarted_server(void **state)
{
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;
	char v[16];

	(void)state;
	assert_string_equal(value(db, "one", v, sizeof(v)), "1");
	pg_stop(&pg, SIGQUIT);
	assert_null(db_exec(db, "one", NULL, 0, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_int_equal(pg_start(&pg), 0);
	usleep(300000);
	assert_string_equal(value(db, "one", v, sizeof(v)), "1");
	memset(&err, 0, sizeof(err));
	assert_int_equal(db_changed(db, &err), 1);
	db_close(db);
}

/* A statement the server does not know fails at connect, by name. */
static void
test_bad_statement(void **state)
{
	static const struct db_stmt bad[] = {
		{ "wrong", "SELECT absent FROM x.t", 0 }, { NULL, NULL, 0 }
	};
	struct db *db = open_db("owner", bad);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(db_ready(db, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_non_null(strstr(err.text, "wrong: 42703"));
	db_close(db);
}

/* A server that became read only is left. */
static void
test_read_only(void **state)
{
	const struct db_param p = DB_TEXT("1");
	struct db *db = open_db("owner", stmts);
	struct err err = ERR_INIT;

	(void)state;
	PQclear(db_exec(db, "readonly", NULL, 0, &err));
	assert_null(db_exec(db, "put", &p, 1, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	memset(&err, 0, sizeof(err));
	PQclear(db_exec(db, "put", &p, 1, &err));
	assert_string_equal(err.text, "");
	db_close(db);
}

static int
set_up(void **state)
{
	(void)state;
	if (pg_new(&pg) != 0)
		return -1;
	return pg_sql(&pg, "countersign", "CREATE SCHEMA x;"
	    "CREATE TABLE x.t (n integer);"
	    "CREATE TABLE x.how (how text); INSERT INTO x.how VALUES ('ok');"
	    "CREATE FUNCTION x.raise(s text) RETURNS integer LANGUAGE plpgsql"
	    " AS $$ BEGIN RAISE EXCEPTION 'a text' USING ERRCODE = s; END $$;"
	    "CREATE FUNCTION x.at_commit() RETURNS trigger LANGUAGE plpgsql"
	    " AS $$ DECLARE h text; BEGIN SELECT how INTO h FROM x.how;"
	    " IF h = 'warning' THEN RAISE WARNING 'canceling wait';"
	    " ELSIF h = 'error' THEN RAISE EXCEPTION 'deferred';"
	    " ELSIF h = 'slow' THEN PERFORM pg_sleep(20);"
	    " ELSIF h = 'kill' THEN"
	    " PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
	    " RETURN NULL; END $$;"
	    "CREATE CONSTRAINT TRIGGER c AFTER INSERT ON x.t"
	    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
	    " EXECUTE FUNCTION x.at_commit()");
}

static int
tear_down(void **state)
{
	(void)state;
	pg_free(&pg);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_sqlstates),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_commit_lies),
		cmocka_unit_test(test_commit_lies_quietly),
		cmocka_unit_test(test_lost_transaction),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_durable),
		cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_absent_server),
		cmocka_unit_test(test_bad_statement),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_restarted_server),
	};

	if (!pg_installed("db_test"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
