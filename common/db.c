/*
 * PostgreSQL through libpq: one connection and its statements, for the
 * signer's store.c, snapshot.c in both programs, and the command line.
 */
#include "db.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "db_hosts.h"
#include "db_wait.h"
#include "failpoint.h"
#include "log.h"

#define DB_RETRY_MS	250	/* between attempts to connect */
#define DB_PARAMS_MAX	32
#define DB_READS_MAX	16
#define DB_PATIENCE_MS	30000	/* for an answer */
#define DB_TEXT_MAX	160	/* of the server's own words in an error */

struct db {
	char			*dsn;
	const struct db_stmt	*stmts;
	const char		*listen;
	PGconn			*conn;		/* NULL = not connected */
	struct db_wait		 wait;
	int			 commit_ms;	/* 0 = as long as it takes */
	atomic_int		 fd;		/* its socket, or -1 */
	int64_t			 retry_at;	/* monotonic ms */
	size_t			 first;		/* host to begin with */
	bool			 changed;	/* the session is new */
	void			(*told)(void *, const char *);	/* or NULL */
	void			*told_arg;
	bool			 in_tx;		/* between begin and its end */
	bool			 lost_in_tx;
	void			(*meanwhile)(void *);	/* or NULL */
	void			*meanwhile_arg;
	unsigned		 notices;	/* since COMMIT began */
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
	db->wait.ms = db->commit_ms = DB_PATIENCE_MS;
	atomic_init(&db->fd, -1);
	return db;
}

/*
 * The others are asked before this one.  If its host is gone, each attempt
 * would begin with the seconds until it is given up; and one that kept silent
 * may be a former primary whose standby has left it, which takes connections
 * and writes, and no COMMIT comes back.
 */
static void
db_drop(struct db *db)
{
	atomic_store(&db->fd, -1);
	if (db->conn != NULL)
		db->first = db_hosts_of(db->dsn, db->conn, 1);
	PQfinish(db->conn);
	db->conn = NULL;
	db->wait.silent = false;
	if (db->in_tx)
		db->lost_in_tx = true;
}

void
db_next_host(struct db *db)
{
	db_drop(db);
}

void
db_follow(struct db *db, const struct db *other)
{
	db_drop(db);
	db->first = db_hosts_of(db->dsn, other->conn, 0);
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	db_drop(db);
	OPENSSL_cleanse(db->dsn, strlen(db->dsn));	/* has a password? */
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

/* What to do about a table, column or function that is not there. */
static const char *
other_schema(const char *s)
{
	return strcmp(s, "42P01") == 0 || strcmp(s, "42703") == 0 ||
	    strcmp(s, "42883") == 0 ? "run countersign db migrate: " : "";
}

/* The error of a result (or, r NULL, of the connection); -1.  r is cleared. */
static int
db_fail(struct db *db, PGresult *r, const char *what, struct err *err)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *own = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	char text[DB_TEXT_MAX];
	/* Without a state libpq itself speaks: the server, or our memory. */
	bool lost = PQstatus(db->conn) != CONNECTION_OK || state == NULL;

	(void)one_line(db->wait.silent ? "no answer: it may be done all the "
	    "same" : own != NULL ? own : PQerrorMessage(db->conn), text,
	    sizeof(text));
	if (lost || state_is_passing(state))
		err_set(err, ERR_UNAVAILABLE, "database: %s: %s", what, text);
	else
		err_set(err, ERR_INTERNAL, "database: %s%s: %s %s",
		    other_schema(state), what, state, text);
	/* Read only: this server was demoted; the next may be the primary. */
	if (lost || strcmp(state, "25006") == 0)
		db_drop(db);
	PQclear(r);
	return -1;
}

static int
db_simple(struct db *db, const char *sql, const char *what, struct err *err)
{
	PGresult *r = db_wait(&db->wait, PQsendQuery(db->conn, sql));

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
 * What every new connection gets, whatever server, role and DSN have: a COMMIT
 * that is not durable says so by a warning alone.  No lock is waited for for
 * ever: better an error now than all threads behind one.
 */
static int
db_set_up(struct db *db, struct err *err)
{
	const struct db_stmt *s;
	PGresult *r;

	if (db_simple(db, "SET synchronous_commit = on; "
	    "SET client_min_messages = warning; "
	    "SET lock_timeout = '5s'", "settings", err) == -1)
		return -1;
	if (db->listen != NULL && db_listen(db, err) == -1)
		return -1;
	for (s = db->stmts; s != NULL && s->name != NULL; s++) {
		r = db_wait(&db->wait, PQsendPrepare(db->conn, s->name,
		    s->sql, s->nparams, NULL));
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			return db_fail(db, r, s->name, err);
		PQclear(r);
	}
	return 0;
}

/*
 * The DSN overrides what stands before it (libpq: the last of two wins) and
 * cannot override what stands behind it; NULL overrides nothing.
 */
static PGconn *
db_dial(const char *dsn, const struct db_hosts *h)
{
	static const char *const key[] = {
		"fallback_application_name", "connect_timeout",
		"tcp_user_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "dbname", "client_encoding", "host",
		"hostaddr", "port", NULL
	};
	const char *value[] = {
		"countersign", "3", "10000", "10", "5", "3", dsn, "UTF8",
		h->host, h->hostaddr, h->port, NULL
	};

	return PQconnectdbParams(key, value, 1);
}

static int
db_connect(struct db *db, struct err *err)
{
	struct db_hosts hosts;
	int rc, ms = db->wait.ms;

	if (now_ms() < db->retry_at)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: not connected, next attempt within %d ms",
		    DB_RETRY_MS);
	/* libpq would repeat parts of a malformed string, password and all. */
	if (db_hosts_from(db->dsn, db->first, &hosts) == -1)
		return err_set(err, ERR_UNAVAILABLE,
		    "database: malformed connection string");
	db->conn = db_dial(db->dsn, &hosts);
	db_hosts_free(&hosts);
	if (PQstatus(db->conn) != CONNECTION_OK)
		(void)db_fail(db, NULL, "connect", err);
	else {
		(void)PQsetNoticeReceiver(db->conn, db_notice, db);
		db->wait.conn = db->conn;
		(void)PQsetnonblocking(db->conn, 1);
		db->wait.ms = DB_PATIENCE_MS;	/* there is nothing to do */
		rc = db_set_up(db, err);
		db->wait.ms = ms;
		if (rc == 0) {
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
	changed = db->changed;
	db->changed = false;
	if (changed && db->told != NULL)
		db->told(db->told_arg, NULL);
	while ((n = PQnotifies(db->conn)) != NULL) {
		changed = true;
		if (db->told != NULL)
			db->told(db->told_arg, n->extra);
		PQfreemem(n);
	}
	return changed;
}

void
db_on_told(struct db *db, void (*told)(void *, const char *), void *arg)
{
	db->told = told;
	db->told_arg = arg;
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
	r = db_wait(&db->wait, PQsendQueryPrepared(db->conn, stmt, n, value,
	    length, format, binary));
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

struct slice
db_field(const PGresult *r, int row, int col)
{
	return slice_of(PQgetvalue(r, row, col),
	    (size_t)PQgetlength(r, row, col));
}

int64_t
db_int(const PGresult *r, int row, int col)
{
	return slice_int(db_field(r, row, col));
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

/*
 * [security] P4: the wait for the standby was cancelled; the row is here and
 * may not be there.
 */
static int
not_durable(const struct db *db, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE,
	    "database: commit not durable: %s", db->notice);
}

/* what: the word that the server ends with when all went well. */
static int
commit_result(struct db *db, PGresult *r, const char *what, bool *in_doubt,
    struct err *err)
{
	bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;

	/* A COMMIT of a transaction with an error says ROLLBACK. */
	if (ok && strncasecmp(PQcmdStatus(r), what, strlen(what)) != 0) {
		*in_doubt = false;
		err_set(err, ERR_INTERNAL, "database: %s: rolled back", what);
	} else if (ok && db->notices == 0) {
		*in_doubt = false;
		PQclear(r);
		return 0;
	} else if (ok) {
		not_durable(db, err);
	} else {
		*in_doubt = !commit_failed(db, r);
		return db_fail(db, r, what, err);
	}
	PQclear(r);
	return -1;
}

int
db_commit(struct db *db, bool *in_doubt, struct err *err)
{
	int rc, ms = db->wait.ms;

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
	db->wait.ms = db->commit_ms;
	rc = commit_result(db, db_wait(&db->wait,
	    PQsendQuery(db->conn, "COMMIT")), "commit", in_doubt, err);
	db->wait.ms = ms;
	db->in_tx = db->lost_in_tx = false;
	return rc;
}

/* A simple query's last statement is over when its COMMIT is. */
PGresult *
db_durable(struct db *db, const char *stmt, struct err *err)
{
	const struct db_stmt *s = db_find(db, stmt);
	PGresult *r;

	if (s == NULL || db->in_tx) {
		err_set(err, ERR_INTERNAL,
		    "database: %s cannot be committed alone", stmt);
		return NULL;
	}
	if (db_ready(db, err) == -1)
		return NULL;
	db->notices = 0;
	r = db_wait(&db->wait, PQsendQuery(db->conn, s->sql));
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		(void)db_fail(db, r, stmt, err);
		return NULL;
	}
	if (db->notices == 0)
		return r;
	(void)not_durable(db, err);
	PQclear(r);
	return NULL;
}

void
db_rollback(struct db *db)
{
	PGresult *r;

	if (db->conn != NULL &&
	    PQtransactionStatus(db->conn) != PQTRANS_IDLE) {
		r = db_wait(&db->wait, PQsendQuery(db->conn, "ROLLBACK"));
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			db_drop(db);
		PQclear(r);
	}
	db->in_tx = db->lost_in_tx = false;
}

bool
db_in_transaction(const struct db *db)
{
	return db->in_tx;
}

/* The rows that were put last, and what the server says of them. */
static PGresult *
copy_end(struct db *db, bool commits)
{
	if (commits && db->meanwhile != NULL && db_wait_sent(&db->wait) == 0)
		db->meanwhile(db->meanwhile_arg);
	return db->wait.silent ? NULL : db_wait(&db->wait, 1);
}

/*
 * What the server says last.  The end of one and the beginning of the next
 * come as one result; after the last one's rows nothing keeps it from
 * committing what is no transaction yet.
 */
static PGresult *
copy_all(struct db *db, const struct db_copy *c, size_t n)
{
	struct buf sql = { NULL, 0, 0 };
	bool commits = false;
	PGresult *r;
	size_t i;

	for (i = 0; i < n; i++)
		buf_printf(&sql, "%s; ", c[i].sql);
	r = db_wait(&db->wait, PQsendQuery(db->conn, buf_str(&sql)));
	buf_free(&sql);
	for (i = 0; i < n && PQresultStatus(r) == PGRES_COPY_IN; i++) {
		PQclear(r);
		r = NULL;
		commits = i + 1 == n && !db->in_tx;
		if (commits)
			fail_point("before-commit");
		if (db_wait_copy(&db->wait, c[i].rows) == 0 ||
		    !db->wait.silent)
			r = copy_end(db, commits);
	}
	return r;
}

int
db_copy(struct db *db, const struct db_copy *c, size_t n, struct err *err)
{
	PGresult *r;

	if (db_ready(db, err) == -1)
		return -1;
	r = copy_all(db, c, n);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return db_fail(db, r, "copy", err);
	PQclear(r);
	return 0;
}

/* As in db_durable: the last COPY is over when the COMMIT is. */
int
db_copy_durable(struct db *db, const struct db_copy *c, size_t n,
    bool *in_doubt, struct err *err)
{
	*in_doubt = false;
	if (db->in_tx || db->conn == NULL)
		return err_set(err, db->in_tx ? ERR_INTERNAL :
		    ERR_UNAVAILABLE, "database: copy: %s", db->in_tx ?
		    "in a transaction" : "not connected");
	db->notices = 0;
	*in_doubt = true;
	return commit_result(db, copy_all(db, c, n), "copy", in_doubt, err);
}

void
db_meanwhile(struct db *db, void (*meanwhile)(void *), void *arg)
{
	db->meanwhile = meanwhile;
	db->meanwhile_arg = arg;
}

void
db_patience(struct db *db, int ms, int commit_ms)
{
	db->wait.ms = ms;
	db->commit_ms = commit_ms;
}

PGconn *
db_conn(struct db *db)
{
	return db->conn;
}
