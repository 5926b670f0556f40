/*
 * PostgreSQL through libpq.
 */
#include "db.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define DB_RETRY_MS	250	/* between attempts to connect */
#define DB_PARAMS_MAX	32
#define DB_READS_MAX	16
#define DB_COPY_CHUNK	(1024 * 1024)
#define DB_TEXT_MAX	160	/* of the server's own words in an error */

struct db {
	char			*dsn;
	const struct db_stmt	*stmts;
	const char		*listen;
	PGconn			*conn;		/* NULL = not connected */
	atomic_int		 fd;		/* its socket, or -1 */
	int64_t			 retry_at;	/* monotonic ms */
	bool			 changed;
	bool			 in_tx;		/* between begin and its end */
	bool			 lost_in_tx;
	unsigned		 notices;	/* since the last COMMIT began */
	char			 notice[DB_TEXT_MAX];
};

static int64_t
now_ms(void)
{
	return log_usec() / 1000;
}

/* libpq's texts have several lines; ours have one. */
static const char *
one_line(const char *s, char *out, size_t max)
{
	size_t n = 0;

	for (; s != NULL && *s != '\0' && n + 1 < max; s++) {
		if ((unsigned char)*s >= ' ' && *s != 0x7f)
			out[n++] = *s;
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return out;
}

struct db *
db_open(const char *dsn, const struct db_stmt *stmts, const char *listen)
{
	struct db *db = xcalloc(1, sizeof(*db));

	db->dsn = xstrdup(dsn);
	db->stmts = stmts;
	db->listen = listen;
	atomic_init(&db->fd, -1);
	return db;
}

static void
db_drop(struct db *db)
{
	atomic_store(&db->fd, -1);
	PQfinish(db->conn);
	db->conn = NULL;
	if (db->in_tx)
		db->lost_in_tx = true;
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	db_drop(db);
	OPENSSL_cleanse(db->dsn, strlen(db->dsn));	/* may hold a password */
	free(db->dsn);
	free(db);
}

static void
db_notice(void *arg, const PGresult *r)
{
	struct db *db = arg;

	db->notices++;
	(void)one_line(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY),
	    db->notice, sizeof(db->notice));
}

/* Is it the server's state, and not our statement, that is wrong? */
static bool
state_is_passing(const char *s)
{
	static const char *const prefix[] = {
		"08",		/* connection */
		"53",		/* disk full, memory, connections */
		"57",		/* shutdown, cancel */
		"25006",	/* read only: a standby */
		"40001", "40P01",	/* serialization, deadlock */
		"55P03",	/* lock not available in time */
	};
	size_t i;

	for (i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++)
		if (strncmp(s, prefix[i], strlen(prefix[i])) == 0)
			return true;
	return false;
}

/* The error of a result (or, r NULL, of the connection); -1.  r is cleared. */
static int
db_fail(struct db *db, PGresult *r, const char *what, struct err *err)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *own = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	char text[DB_TEXT_MAX];
	bool lost = PQstatus(db->conn) != CONNECTION_OK;

	(void)one_line(own != NULL ? own : PQerrorMessage(db->conn), text,
	    sizeof(text));
	if (lost || (state != NULL && state_is_passing(state)))
		err_set(err, ERR_UNAVAILABLE, "database: %s: %s", what, text);
	else
		err_set(err, ERR_INTERNAL, "database: %s: %s %s", what,
		    state != NULL ? state : "no sqlstate", text);
	/* Read only: this server was demoted; the next may be the primary. */
	if (lost || (state != NULL && strcmp(state, "25006") == 0))
		db_drop(db);
	PQclear(r);
	return -1;
}

static int
db_simple(struct db *db, const char *sql, const char *what, struct err *err)
{
	PGresult *r = PQexec(db->conn, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return db_fail(db, r, what, err);
	PQclear(r);
	return 0;
}

static int
db_listen(struct db *db, struct err *err)
{
	struct buf sql = { NULL, 0, 0 };
	char *name;
	int rc;

	name = PQescapeIdentifier(db->conn, db->listen, strlen(db->listen));
	if (name == NULL)
		return db_fail(db, NULL, "listen", err);
	buf_printf(&sql, "LISTEN %s", name);
	PQfreemem(name);
	rc = db_simple(db, buf_str(&sql), "listen", err);
	buf_free(&sql);
	return rc;
}

/*
 * What every new connection gets.  No lock is waited for for ever: better an
 * error now than all threads behind one.
 */
static int
db_set_up(struct db *db, struct err *err)
{
	const struct db_stmt *s;
	PGresult *r;

	if (db_simple(db, "SET synchronous_commit = on; "
	    "SET lock_timeout = '5s'", "settings", err) == -1)
		return -1;
	if (db->listen != NULL && db_listen(db, err) == -1)
		return -1;
	for (s = db->stmts; s != NULL && s->name != NULL; s++) {
		r = PQprepare(db->conn, s->name, s->sql, s->nparams, NULL);
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			return db_fail(db, r, s->name, err);
		PQclear(r);
	}
	return 0;
}

/*
 * The DSN overrides what stands before it (libpq: the last of two wins) and
 * cannot override what stands behind it.
 */
static PGconn *
db_dial(const char *dsn)
{
	static const char *const key[] = {
		"fallback_application_name", "connect_timeout",
		"tcp_user_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "dbname", "client_encoding", NULL
	};
	const char *value[] = {
		"countersign", "3", "10000", "10", "5", "3", dsn, "UTF8", NULL
	};

	return PQconnectdbParams(key, value, 1);
}

static int
db_connect(struct db *db, struct err *err)
{
	PQconninfoOption *o;

	if (now_ms() < db->retry_at)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: not connected, next attempt within %d ms",
		    DB_RETRY_MS);
	/* libpq would repeat parts of a malformed string, password and all. */
	o = PQconninfoParse(db->dsn, NULL);
	if (o == NULL)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: malformed connection string");
	PQconninfoFree(o);
	db->conn = db_dial(db->dsn);
	if (PQstatus(db->conn) != CONNECTION_OK)
		(void)db_fail(db, NULL, "connect", err);
	else {
		(void)PQsetNoticeReceiver(db->conn, db_notice, db);
		if (db_set_up(db, err) == 0) {
			db->changed = true;
			atomic_store(&db->fd, PQsocket(db->conn));
			return 0;
		}
	}
	db_drop(db);
	db->retry_at = now_ms() + DB_RETRY_MS;
	return -1;
}

/*
 * Has the server closed an idle connection?  Reads what is there: the last
 * words of a server and the end of file take two rounds.
 */
static bool
db_is_open(struct db *db)
{
	struct pollfd p;
	int i;

	if (db->conn == NULL)
		return false;
	p.fd = PQsocket(db->conn);
	p.events = POLLIN;
	for (i = 0; i < DB_READS_MAX && poll(&p, 1, 0) > 0; i++)
		if (PQconsumeInput(db->conn) == 0)
			return false;
	return PQstatus(db->conn) == CONNECTION_OK;
}

int
db_ready(struct db *db, struct err *err)
{
	if (db_is_open(db))
		return 0;
	db_drop(db);
	/* Half a transaction must not go on in another session. */
	if (db->lost_in_tx)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: connection lost in a transaction");
	return db_connect(db, err);
}

bool
db_quiet(struct db *db)
{
	struct pollfd p = { atomic_load(&db->fd), POLLIN, 0 };

	return p.fd != -1 && poll(&p, 1, 0) == 0;
}

int
db_changed_unless(struct db *db, bool quiet, struct err *err)
{
	PGnotify *n;
	bool changed;

	if ((!quiet || db->conn == NULL ||
	    PQstatus(db->conn) != CONNECTION_OK) && db_ready(db, err) == -1)
		return -1;
	while ((n = PQnotifies(db->conn)) != NULL) {
		db->changed = true;
		PQfreemem(n);
	}
	changed = db->changed;
	db->changed = false;
	return changed;
}

int
db_changed(struct db *db, struct err *err)
{
	return db_changed_unless(db, false, err);
}

static const struct db_stmt *
db_find(const struct db *db, const char *name)
{
	const struct db_stmt *s;

	for (s = db->stmts; s != NULL && s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static PGresult *
db_run(struct db *db, const char *stmt, const struct db_param *param, int n,
    int binary, struct err *err)
{
	const char *value[DB_PARAMS_MAX];
	int length[DB_PARAMS_MAX], format[DB_PARAMS_MAX], i;
	const struct db_stmt *s = db_find(db, stmt);
	PGresult *r;

	if (s == NULL || n != s->nparams || n > DB_PARAMS_MAX) {
		err_set(err, ERR_INTERNAL,
		    "database: no statement %s with %d parameters", stmt, n);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		value[i] = param[i].p;
		length[i] = param[i].n;		/* not looked at for text */
		format[i] = param[i].n >= 0;
	}
	if (db_ready(db, err) == -1)
		return NULL;
	r = PQexecPrepared(db->conn, stmt, n, value, length, format, binary);
	if (PQresultStatus(r) == PGRES_TUPLES_OK ||
	    PQresultStatus(r) == PGRES_COMMAND_OK)
		return r;
	(void)db_fail(db, r, stmt, err);
	return NULL;
}

PGresult *
db_exec(struct db *db, const char *stmt, const struct db_param *param, int n,
    struct err *err)
{
	return db_run(db, stmt, param, n, 0, err);
}

PGresult *
db_exec_bin(struct db *db, const char *stmt, const struct db_param *param,
    int n, struct err *err)
{
	return db_run(db, stmt, param, n, 1, err);
}

int
db_begin(struct db *db, struct err *err)
{
	if (db->in_tx)
		return err_set(err, ERR_INTERNAL,
		    "database: a transaction is already open");
	if (db_ready(db, err) == -1 ||
	    db_simple(db, "BEGIN", "begin", err) == -1)
		return -1;
	db->in_tx = true;
	return 0;
}

/* After COMMIT was sent: is it known to have failed? */
static bool
commit_failed(const struct db *db, const PGresult *r)
{
	const char *severity = PQresultErrorField(r,
	    PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	/* An ERROR aborts; FATAL may come after the commit record. */
	return PQstatus(db->conn) == CONNECTION_OK && db->notices == 0 &&
	    PQresultStatus(r) == PGRES_FATAL_ERROR && severity != NULL &&
	    strcmp(severity, "ERROR") == 0 && state != NULL &&
	    strcmp(state, "08007") != 0;
}

static int
commit_result(struct db *db, PGresult *r, bool *in_doubt, struct err *err)
{
	bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;

	/* A COMMIT of a transaction with an error says ROLLBACK. */
	if (ok && strcmp(PQcmdStatus(r), "COMMIT") != 0) {
		*in_doubt = false;
		err_set(err, ERR_INTERNAL, "database: commit: rolled back");
	} else if (ok && db->notices == 0) {
		PQclear(r);
		return 0;
	} else if (ok) {
		/*
		 * [security] P4: the wait for the standby was cancelled; the
		 * row is here and may not be there.
		 */
		err_set(err, ERR_UNAVAILABLE,
		    "database: commit not durable: %s", db->notice);
	} else {
		*in_doubt = !commit_failed(db, r);
		return db_fail(db, r, "commit", err);
	}
	PQclear(r);
	return -1;
}

int
db_commit(struct db *db, bool *in_doubt, struct err *err)
{
	int rc;

	/* Lost before COMMIT was sent: nothing was committed. */
	*in_doubt = false;
	if (!db->in_tx)
		return err_set(err, ERR_INTERNAL,
		    "database: no transaction to commit");
	if (db->conn == NULL) {
		db_rollback(db);
		return err_set(err, ERR_UNAVAILABLE,
		    "database: connection lost in a transaction");
	}
	db->notices = 0;
	*in_doubt = true;
	rc = commit_result(db, PQexec(db->conn, "COMMIT"), in_doubt, err);
	db->in_tx = db->lost_in_tx = false;
	return rc;
}

void
db_rollback(struct db *db)
{
	PGresult *r;

	if (db->conn != NULL &&
	    PQtransactionStatus(db->conn) != PQTRANS_IDLE) {
		r = PQexec(db->conn, "ROLLBACK");
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			db_drop(db);
		PQclear(r);
	}
	db->in_tx = db->lost_in_tx = false;
}

static int
copy_rows(struct db *db, struct slice rows)
{
	size_t n;

	while (rows.n > 0) {
		n = rows.n < DB_COPY_CHUNK ? rows.n : DB_COPY_CHUNK;
		if (PQputCopyData(db->conn, (const char *)rows.p,
		    (int)n) != 1)
			return -1;
		rows.p += n;
		rows.n -= n;
	}
	return PQputCopyEnd(db->conn, NULL) == 1 ? 0 : -1;
}

int
db_copy(struct db *db, const char *sql, struct slice rows, struct err *err)
{
	PGresult *r, *more;

	if (db_ready(db, err) == -1)
		return -1;
	r = PQexec(db->conn, sql);
	if (PQresultStatus(r) != PGRES_COPY_IN)
		return db_fail(db, r, "copy", err);
	PQclear(r);
	if (copy_rows(db, rows) == -1)
		return db_fail(db, PQgetResult(db->conn), "copy", err);
	r = PQgetResult(db->conn);
	while ((more = PQgetResult(db->conn)) != NULL)
		PQclear(more);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return db_fail(db, r, "copy", err);
	PQclear(r);
	return 0;
}

PGconn *
db_conn(struct db *db)
{
	return db->conn;
}
