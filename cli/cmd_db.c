/* db migrate: the files of sql/, each once and in their order. */
#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "file.h"

const struct opt opts_db_migrate[] = {
	{ "sql-dir", "DIR", "migrations (default: from the configuration)",
	    false },
	{ NULL, NULL, NULL, false }
};

/* No prepared statements here: the tables they name do not exist yet. */
static const struct db_stmt none[] = { { NULL, NULL, 0 } };

static const struct out_col cols[] = {
	{ "name", OUT_TEXT }, { "sha256", OUT_TEXT }, { "action", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

int
is_migration(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 8 && n < 100 && strspn(e->d_name, "0123456789") == 3 &&
	    e->d_name[3] == '_' && strcmp(e->d_name + n - 4, ".sql") == 0;
}

/* Always -1.  The first line of PostgreSQL's text; the others are details. */
static int
pq_error(PGconn *conn, const PGresult *res, const char *name, struct err *err)
{
	const char *text = PQresultErrorMessage(res);

	if (PQstatus(conn) != CONNECTION_OK)
		return err_set(err, ERR_UNAVAILABLE, "%s: connection lost",
		    name);
	return err_set(err, ERR_INTERNAL, "%.60s: %.*s", name,
	    (int)strcspn(text, "\n"), text);
}

static int
run(PGconn *conn, const char *sql, const char *name, struct err *err)
{
	PGresult *res = PQexec(conn, sql);
	ExecStatusType st = PQresultStatus(res);
	int rc = 0;

	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK)
		rc = pq_error(conn, res, name, err);
	PQclear(res);
	return rc;
}

static int
record(PGconn *conn, const char *name, const char *sha256, struct err *err)
{
	const char *v[] = { name, sha256 };
	PGresult *res = PQexecParams(conn, "INSERT INTO "
	    "public.countersign_migration (name, sha256) VALUES ($1, $2)", 2,
	    NULL, v, NULL, NULL, 0);
	int rc = 0;

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = pq_error(conn, res, name, err);
	PQclear(res);
	return rc;
}

/*
 * One file, one transaction.  A file that ends the transaction itself would
 * leave the record behind or half the work done: refused.
 */
static int
apply(PGconn *conn, const char *name, struct buf *sql, const char *sha256,
    struct err *err)
{
	if (run(conn, "BEGIN", name, err) != 0)
		return -1;
	if (run(conn, buf_str(sql), name, err) == 0) {
		if (PQtransactionStatus(conn) != PQTRANS_INTRANS)
			err_set(err, ERR_DENIED,
			    "%.60s ends the transaction itself", name);
		else if (record(conn, name, sha256, err) == 0 &&
		    run(conn, "COMMIT", name, err) == 0 &&
		    /* What it SET must not reach the next one. */
		    run(conn, "RESET ALL", name, err) == 0)
			return 0;
	}
	if (PQtransactionStatus(conn) != PQTRANS_IDLE)
		PQclear(PQexec(conn, "ROLLBACK"));
	return -1;
}

/* 1 = applied with this hash, 0 = not yet, -1 = error or another hash. */
static int
applied(PGconn *conn, const char *name, const char *sha256, struct err *err)
{
	PGresult *res = PQexecParams(conn, "SELECT sha256 FROM "
	    "public.countersign_migration WHERE name = $1", 1, NULL, &name,
	    NULL, NULL, 0);
	int rc;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		rc = pq_error(conn, res, name, err);
	else if (PQntuples(res) == 0)
		rc = 0;
	else if (strcmp(PQgetvalue(res, 0, 0), sha256) != 0)
		rc = err_set(err, ERR_DENIED, "%.60s was changed after it had "
		    "been applied: sha256 %.16s, applied %.16s", name, sha256,
		    PQgetvalue(res, 0, 0));
	else
		rc = 1;
	PQclear(res);
	return rc;
}

static int
migrate_one(PGconn *conn, const char *dir, const char *name, struct out *o,
    struct err *err)
{
	char *path = file_path(dir, name, "");
	struct buf sql = { 0 };
	uint8_t md[32];
	char hex[65];
	int rc = -1;

	if (file_read(path, MIGRATION_MAX, &sql, err) == 0) {
		digest_sha256(buf_slice(&sql), md);
		hex_encode(md, sizeof md, hex);
		rc = applied(conn, name, hex, err);
	}
	if (rc == 0 && (rc = apply(conn, name, &sql, hex, err)) == 0) {
		out_add(o, name);
		out_add(o, hex);
		out_add(o, "applied");
	} else if (rc == 1) {
		out_add(o, name);
		out_add(o, hex);
		out_add(o, "was applied");
		rc = 0;
	}
	buf_free(&sql);
	free(path);
	return rc;
}

/* Files that were applied and are gone: this is an older program. */
static int
refuse_newer(PGconn *conn, struct dirent **file, int n, struct err *err)
{
	PGresult *res = PQexec(conn, "SELECT max(name) FROM "
	    "public.countersign_migration");
	int rc = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		rc = pq_error(conn, res, "migrations", err);
	else if (n == 0 || strcmp(PQgetvalue(res, 0, 0),
	    file[n - 1]->d_name) > 0)
		rc = err_set(err, ERR_DENIED, n == 0 ? "no migrations found" :
		    "the database has %.60s, which is newer than these "
		    "migrations", PQgetvalue(res, 0, 0));
	PQclear(res);
	return rc;
}

static int
migrate(PGconn *conn, const char *dir, struct out *o, struct err *err)
{
	struct dirent **file;
	int i, n, rc;

	if ((n = scandir(dir, &file, is_migration, alphasort)) < 0)
		return err_set(err, ERR_DENIED, "%.120s: %s", dir,
		    strerror(errno));
	rc = refuse_newer(conn, file, n, err);
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = migrate_one(conn, dir, file[i]->d_name, o, err);
		free(file[i]);
	}
	free(file);
	return rc;
}

/*
 * The list of what was applied is in the schema public: the first migration
 * makes ours.  The lock goes with the session.
 */
static int
prepare(PGconn *conn, struct err *err)
{
	/* Two of us at once would both find nothing applied. */
	if (run(conn, "SELECT pg_advisory_lock(71200100)", "lock", err) != 0 ||
	    run(conn, "SET client_min_messages = warning", "set", err) != 0)
		return -1;
	return run(conn, "CREATE TABLE IF NOT EXISTS "
	    "public.countersign_migration (name text PRIMARY KEY, "
	    "sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
	    "countersign_migration", err);
}

int
cmd_db_migrate(struct cli *c, const struct args *a, struct err *err)
{
	const char *dir;
	struct out *o;
	struct db *db;
	int rc = -1;

	if (cli_conf(c, err) != 0)
		return -1;
	if (c->conf->admin_database == NULL)
		return err_set(err, ERR_DENIED,
		    "%.100s: admin-database is not set", c->conf->path);
	dir = args_has(a, "sql-dir") ? args_get(a, "sql-dir") :
	    c->conf->sql_dir;
	o = out_new(cols, OUT_TABLE);
	db = db_open(c->conf->admin_database, none, NULL);
	if (db_ready(db, err) == 0 && prepare(db_conn(db), err) == 0)
		rc = migrate(db_conn(db), dir, o, err);
	db_close(db);
	/* What was done before a failure is done: say so. */
	if (cli_print(c, o, err) != 0)
		return -1;
	return rc;
}
