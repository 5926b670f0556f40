/* doctor: the database as the operator sees it. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "digest.h"
#include "doctor.h"
#include "file.h"
#include "log.h"

static const struct db_stmt stmts[] = {
	{ "settings", "SELECT name, setting FROM pg_settings "
	    "WHERE name IN ('fsync', 'full_page_writes', "
	    "'synchronous_commit', 'data_checksums', 'server_version_num', "
	    "'in_hot_standby', 'default_transaction_read_only') "
	    "ORDER BY name", 0 },
	/*
	 * What a role or the database sets for itself goes before those.  Any
	 * role sets what it likes, for all who log on as it, and for ever.
	 */
	{ "overrides", "SELECT who, c, bad FROM (SELECT coalesce(r.rolname, "
	    "'database ' || coalesce(d.datname, 'any')) AS who, c, "
	    "r.rolname LIKE 'countersign\\_%' AND NOT EXISTS (SELECT FROM "
	    "pg_settings g WHERE g.name = split_part(c, '=', 1) "
	    "AND g.context <> 'user') AS own, "
	    "c ~* '^(synchronous_commit=(off|0|no|f)"
	    "|default_transaction_read_only=(on?|1|ye?s?|tr?u?e?)$"
	    "|session_replication_role=)' AS bad "
	    "FROM pg_db_role_setting s "
	    "LEFT JOIN pg_roles r ON r.oid = s.setrole "
	    "LEFT JOIN pg_database d ON d.oid = s.setdatabase, "
	    "unnest(setconfig) c WHERE s.setdatabase = 0 "
	    "OR d.datname = current_database()) o WHERE bad OR own", 0 },
	{ "roles", "SELECT n, r.oid IS NOT NULL, rolcanlogin, "
	    "rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls "
	    "OR rolreplication, coalesce(rolvaliduntil < now(), false), "
	    "(SELECT string_agg(g.rolname, ', ') FROM pg_auth_members m "
	    "JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) "
	    "FROM unnest(ARRAY['countersign_worker', 'countersign_signer', "
	    "'countersign_operator', 'countersign_auditor', "
	    "'countersign_publisher']) n "
	    "LEFT JOIN pg_roles r ON r.rolname = n ORDER BY n", 0 },
	/* A few that matter; wanted or not, had or not. */
	{ "rights", "SELECT r, t, p, want, coalesce(has_table_privilege("
	    "(SELECT oid FROM pg_roles WHERE rolname = 'countersign_' || r), "
	    "'countersign.' || t, p), false) FROM (VALUES "
	    "('worker', 'account', 'SELECT', true), "
	    "('worker', 'policy', 'SELECT', true), "
	    "('worker', 'account', 'UPDATE', false), "
	    "('worker', 'certificate', 'INSERT', false), "
	    "('worker', 'request', 'INSERT', false), "
	    "('signer', 'request', 'INSERT', true), "
	    "('signer', 'certificate', 'INSERT', true), "
	    "('signer', 'certificate', 'DELETE', false), "
	    "('signer', 'policy', 'INSERT', false), "
	    "('signer', 'account', 'UPDATE', false), "
	    "('operator', 'account', 'UPDATE', false), "
	    "('operator', 'certificate', 'INSERT', false), "
	    "('auditor', 'request', 'SELECT', true), "
	    "('auditor', 'account', 'UPDATE', false), "
	    "('publisher', 'crl_part', 'SELECT', true), "
	    "('publisher', 'request', 'SELECT', false)) v(r, t, p, want) "
	    "WHERE EXISTS (SELECT FROM pg_roles "
	    "WHERE rolname = 'countersign_' || r)", 0 },
	/* Whatever gives it: without 070_no_gifts.sql everybody may. */
	{ "gifts", "SELECT has_function_privilege(oid, "
	    "'pg_advisory_lock(bigint)', 'EXECUTE') "
	    "OR has_function_privilege(oid, 'lo_create(oid)', 'EXECUTE') "
	    "FROM pg_roles WHERE rolname = 'countersign_worker'", 0 },
	/* Any that is off, and a few that matter. */
	{ "triggers", "SELECT c.relname, t.tgname, true FROM pg_trigger t "
	    "JOIN pg_class c ON c.oid = t.tgrelid "
	    "JOIN pg_namespace n ON n.oid = c.relnamespace "
	    "WHERE n.nspname = 'countersign' AND t.tgenabled IN ('D', 'R') "
	    "UNION ALL SELECT v.t, v.g, false FROM (VALUES "
	    "('account', 'tell'), ('account_group', 'tell'), "
	    "('policy', 'tell'), ('policy', 'keep'), "
	    "('audit', 'keep'), ('audit', 'keep_all'), "
	    "('request', 'keep'), ('request', 'keep_all'), "
	    "('request', 'keep_decided'), ('request', 'decide_pending'), "
	    "('request', 'note_decision'), ('request', 'rollback_fence'), "
	    "('certificate', 'keep'), ('certificate', 'keep_all'), "
	    "('certificate', 'keep_issued'), "
	    "('certificate', 'keep_renewals'), "
	    "('certificate', 'keep_revoked'), ('certificate', 'key_taken'), "
	    "('void_serial', 'keep'), ('void_serial', 'revoke_void'), "
	    "('crl', 'keep'), ('crl', 'crl_check'), ('crl_before', 'keep'), "
	    "('responder', 'keep'), "
	    "('key_owner', 'keep'), ('airgap_round', 'keep_round')) v(t, g) "
	    "WHERE NOT EXISTS (SELECT FROM pg_trigger x "
	    "WHERE x.tgrelid = to_regclass('countersign.' || v.t) "
	    "AND x.tgname = v.g) ORDER BY 1, 2", 0 },
	{ "clock", "SELECT (extract(epoch FROM clock_timestamp()) * 1000)"
	    "::bigint", 0 },
	/* Rows that came before their month's partition; months made ahead. */
	{ "partitions", "SELECT to_regclass('countersign.request_' || "
	    "to_char(now() AT TIME ZONE 'UTC' + interval '1 month', "
	    "'YYYYMM')) IS NOT NULL, "
	    "EXISTS (SELECT FROM countersign.request WHERE tableoid = "
	    "'countersign.request_other'::regclass)", 0 },
	{ "queue", "SELECT floor(100 * pg_notification_queue_usage())", 0 },
	/* What a signer found; see signer/rollback.h. */
	{ "rollback", "SELECT signer, found FROM countersign.rollback "
	    "WHERE ended_at IS NULL ORDER BY n", 0 },
	{ NULL, NULL, 0 }
};

/* A connection of their own: without the function none of them prepares. */
static const struct db_stmt migration_stmts[] = {
	{ "migration", "SELECT sha256 FROM countersign.migrations() "
	    "WHERE name = $1", 1 },
	{ "newest", "SELECT coalesce(max(name), '') "
	    "FROM countersign.migrations()", 0 },
	{ NULL, NULL, 0 }
};

static const char *
cell(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col);
}

static bool
is_true(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

/* NULL after a finding about what could not be asked. */
static PGresult *
ask_db(struct doctor *d, struct db *db, const char *stmt)
{
	struct err err = ERR_INIT;
	PGresult *res = db_exec(db, stmt, NULL, 0, &err);

	if (res == NULL)
		check_add(d->checks, CHECK_FAIL, "database", stmt,
		    "countersign db migrate, as the owner", "%s", err.text);
	return res;
}

/* These must be off, or nothing can be written. */
static void
read_only(struct doctor *d, const char *name, bool off, const char *advice)
{
	if (off)
		check_add(d->checks, CHECK_OK, "setting", name, NULL, "off");
	else
		check_add(d->checks, CHECK_FAIL, "setting", name, advice,
		    "on: nothing can be written, and signers sign nothing");
}

/* What db_commit promises rests on the others: off, it is no promise. */
static void
setting(struct doctor *d, const char *name, const char *value)
{
	bool off = strcmp(value, "off") == 0;

	if (strcmp(name, "in_hot_standby") == 0)
		read_only(d, name, off, "this is a standby: name both servers "
		    "and target_session_attrs=read-write in the database lines; "
		    "if it is the only one, promote it");
	else if (strcmp(name, "default_transaction_read_only") == 0)
		read_only(d, name, off, "find out who turned it on, and why; "
		    "then ALTER SYSTEM or ALTER DATABASE ... RESET it");
	else if (strcmp(name, "server_version_num") == 0) {
		off = atoi(value) < 150000;
		check_add(d->checks, off ? CHECK_FAIL : CHECK_OK, "setting",
		    name, off ? "PostgreSQL 15 or newer is needed" : NULL,
		    "%s", value);
	} else if (!off)
		check_add(d->checks, CHECK_OK, "setting", name, NULL, "%s",
		    value);
	else if (strcmp(name, "data_checksums") == 0)
		check_add(d->checks, CHECK_WARN, "setting", name,
		    "pg_checksums --enable, with the server stopped",
		    "off: a damaged page is not noticed");
	else
		check_add(d->checks, CHECK_FAIL, "setting", name,
		    "turn it on in postgresql.conf and reload",
		    "off: certificates can leave and their rows be lost");
}

/* The server's, then what a role or the database sets instead. */
static void
settings(struct doctor *d, struct db *db)
{
	PGresult *res = ask_db(d, db, "settings");
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++)
		setting(d, cell(res, i, 0), cell(res, i, 1));
	PQclear(res);
	res = ask_db(d, db, "overrides");
	for (i = 0; res != NULL && i < PQntuples(res); i++)
		if (*cell(res, i, 2) == 't')
			check_add(d->checks, CHECK_FAIL, "setting",
			    cell(res, i, 0),
			    "ALTER ROLE or ALTER DATABASE ... RESET it",
			    "has %s", cell(res, i, 1));
		else
			check_add(d->checks, CHECK_WARN, "setting",
			    cell(res, i, 0), "if you have not set it, somebody "
			    "logs on as this role: ALTER ROLE ... RESET ALL, "
			    "and another password", "has %s, as all who log on "
			    "as it", cell(res, i, 1));
	PQclear(res);
}

/* Columns: name, there?, login?, more than that?, expired?, member of. */
static void
role(struct doctor *d, const PGresult *res, int i)
{
	const char *name = cell(res, i, 0);

	if (!is_true(res, i, 1))
		check_add(d->checks, CHECK_FAIL, "role", name,
		    "countersign db migrate makes it", "does not exist");
	else if (!is_true(res, i, 2))
		check_add(d->checks, CHECK_FAIL, "role", name,
		    "ALTER ROLE ... LOGIN", "may not log in");
	else if (is_true(res, i, 4))
		check_add(d->checks, CHECK_FAIL, "role", name,
		    "ALTER ROLE ... VALID UNTIL 'infinity'",
		    "its password has expired");
	else if (is_true(res, i, 3))
		check_add(d->checks, CHECK_FAIL, "role", name,
		    "ALTER ROLE ... NOSUPERUSER NOCREATEROLE NOCREATEDB "
		    "NOBYPASSRLS NOREPLICATION", "may do more than its work");
	else if (!PQgetisnull(res, i, 5))
		check_add(d->checks, CHECK_FAIL, "role", name,
		    "REVOKE the other role from it", "is a member of %.80s",
		    cell(res, i, 5));
	else
		check_add(d->checks, CHECK_OK, "role", name, NULL, "%s", "");
}

/* Columns of rights: role, table, privilege, wanted?, had? */
static void
right(struct doctor *d, const PGresult *res, int i)
{
	char object[128];
	bool want = is_true(res, i, 3);

	if (want == is_true(res, i, 4))
		return;
	snprintf(object, sizeof object, "countersign_%s on %s",
	    cell(res, i, 0), cell(res, i, 1));
	check_add(d->checks, CHECK_FAIL, "right", object, want ?
	    "GRANT it again, as the owner" : "REVOKE it, as the owner",
	    "%s %s", want ? "lacks" : "must not have", cell(res, i, 2));
}

/* Of rights only what is wrong is told: one line when nothing is. */
static void
roles(struct doctor *d, struct db *db)
{
	size_t before = checks_count(d->checks, CHECK_FAIL);
	PGresult *res = ask_db(d, db, "roles");
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++)
		role(d, res, i);
	PQclear(res);
	res = ask_db(d, db, "rights");
	for (i = 0; res != NULL && i < PQntuples(res); i++)
		right(d, res, i);
	PQclear(res);
	res = ask_db(d, db, "gifts");
	if (res != NULL && PQntuples(res) == 1 && is_true(res, 0, 0))
		check_add(d->checks, CHECK_WARN, "right", "countersign_worker",
		    "have a superuser run sql/070_no_gifts.sql in this "
		    "database", "may take advisory locks and keep large "
		    "objects, as PostgreSQL lets everybody");
	PQclear(res);
	if (before == checks_count(d->checks, CHECK_FAIL))
		check_add(d->checks, CHECK_OK, "right", "tables", NULL,
		    "each role has what it needs and no more");
}

/* What keeps rows as they are, whoever writes. */
static void
triggers(struct doctor *d, struct db *db)
{
	PGresult *res = ask_db(d, db, "triggers");
	char object[160];
	bool off;
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++) {
		off = is_true(res, i, 2);
		snprintf(object, sizeof object, "%s on %s", cell(res, i, 1),
		    cell(res, i, 0));
		check_add(d->checks, CHECK_FAIL, "trigger", object, off ?
		    "ALTER TABLE ... ENABLE TRIGGER, as the owner" :
		    "make it again as the files in sql-dir do, as the owner",
		    "%s: rows that it keeps as they are can be altered; see "
		    "countersign ledger verify", off ? "is off" : "is gone");
	}
	if (res != NULL && i == 0)
		check_add(d->checks, CHECK_OK, "trigger", "tables", NULL,
		    "those that keep rows are on");
	PQclear(res);
}

/* The answer's way back and forth is taken to be equal. */
static void
clock_and_months(struct doctor *d, struct db *db)
{
	int64_t before = unix_usec();
	PGresult *res = ask_db(d, db, "clock");

	if (res != NULL)
		doctor_clock(d, "database", strtoll(cell(res, 0, 0), NULL, 10)
		    - (before + unix_usec()) / 2000);
	PQclear(res);
	if ((res = ask_db(d, db, "partitions")) == NULL)
		return;
	if (!is_true(res, 0, 0))
		check_add(d->checks, CHECK_WARN, "partition", "next month",
		    "signers make them each hour: look into their logs",
		    "does not exist yet");
	else if (is_true(res, 0, 1))
		check_add(d->checks, CHECK_WARN, "partition", "request_other",
		    "a clock was wrong; nothing is lost, but look at it",
		    "has rows of months without a partition");
	else
		check_add(d->checks, CHECK_OK, "partition", "next month",
		    NULL, "%s", "");
	PQclear(res);
}

/*
 * Notifications go to all who listen, and wait for the slowest: with a session
 * that listens in a transaction without end, and notifies, any role can fill
 * the queue.  In a full one no COMMIT is possible that tells of something, as
 * of a revocation.
 */
static void
notifications(struct doctor *d, struct db *db)
{
	PGresult *res = ask_db(d, db, "queue");
	long full = res == NULL ? 0 : strtol(cell(res, 0, 0), NULL, 10);

	if (full > 0)
		check_add(d->checks, full >= 50 ? CHECK_FAIL : CHECK_WARN,
		    "queue", "notifications", "a session keeps it from being "
		    "read: end the one in pg_stat_activity that is idle in "
		    "transaction for longest; whose role is it?", "is full to "
		    "%ld %%; when it is, nothing can be revoked or disabled",
		    full);
	else if (res != NULL)
		check_add(d->checks, CHECK_OK, "queue", "notifications", NULL,
		    "%s", "");
	PQclear(res);
}

/* While a row of it is open no signer signs: signer/rollback.h. */
static void
rollbacks(struct doctor *d, struct db *db)
{
	PGresult *res = ask_db(d, db, "rollback");
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++)
		check_add(d->checks, CHECK_FAIL, "rollback", cell(res, i, 0),
		    "countersign reconcile, then with --apply; until then no "
		    "signer signs", "the database is older than the ledger: "
		    "%.100s", cell(res, i, 1));
	if (res != NULL && i == 0)
		check_add(d->checks, CHECK_OK, "rollback", "ledgers", NULL,
		    "nobody found the database to be old");
	PQclear(res);
}

/* The file against the hash under which it was applied: is it that? */
static bool
migration(struct doctor *d, struct db *db, const char *name)
{
	char *path = file_path(d->cli->conf->sql_dir, name, ""), hex[65];
	struct err err = ERR_INIT;
	struct buf sql = { 0 };
	PGresult *res = NULL;
	bool good = false;
	uint8_t md[32];

	if (file_read(path, MIGRATION_MAX, &sql, &err) == 0) {
		digest_sha256(buf_slice(&sql), md);
		hex_encode(md, sizeof md, hex);
		res = db_exec(db, "migration", &DB_TEXT(name), 1, &err);
	}
	if (res == NULL)
		check_add(d->checks, CHECK_FAIL, "migration", name,
		    "countersign db migrate", "%s", err.text);
	else if (PQntuples(res) == 0)
		check_add(d->checks, CHECK_FAIL, "migration", name,
		    "countersign db migrate, as the owner", "not applied");
	else if (strcmp(cell(res, 0, 0), hex) != 0)
		check_add(d->checks, CHECK_FAIL, "migration", name,
		    "put the file back that belongs to this version",
		    "the file was changed after it had been applied");
	else
		good = true;
	PQclear(res);
	buf_free(&sql);
	free(path);
	return good;
}

/* One line when all are as they were: there are many. */
static void
compare_files(struct doctor *d, struct db *db)
{
	struct dirent **e = NULL;
	char last[256] = "";
	PGresult *res;
	int i, n, good = 0;

	n = scandir(d->cli->conf->sql_dir, &e, is_migration, alphasort);
	if (n <= 0)
		check_add(d->checks, CHECK_SKIP, "migration",
		    d->cli->conf->sql_dir, NULL, "no files to compare with");
	for (i = 0; i < n; i++) {
		good += migration(d, db, e[i]->d_name);
		snprintf(last, sizeof last, "%s", e[i]->d_name);
		free(e[i]);
	}
	free(e);
	if (n > 0 && good == n)
		check_add(d->checks, CHECK_OK, "migration",
		    d->cli->conf->sql_dir, NULL, "%d applied, the last is %s",
		    n, last);
	res = ask_db(d, db, "newest");
	if (n > 0 && res != NULL && strcmp(cell(res, 0, 0), last) > 0)
		check_add(d->checks, CHECK_WARN, "migration",
		    cell(res, 0, 0), "install the version that it belongs to "
		    "here too", "applied, but newer than these files");
	PQclear(res);
}

static void
migrations(struct doctor *d)
{
	struct db *db = db_open(d->cli->conf->database, migration_stmts,
	    NULL);
	struct err err = ERR_INIT;

	if (db_ready(db, &err) != 0)
		check_add(d->checks, CHECK_FAIL, "migration", "all",
		    "countersign db migrate, as the owner", "%s", err.text);
	else
		compare_files(d, db);
	db_close(db);
}

void
doctor_database(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct db *db = db_open(d->cli->conf->database, stmts, NULL);

	d->no_database = db_ready(db, &err) != 0;
	if (d->no_database)
		check_add(d->checks, CHECK_FAIL, "database", "connection",
		    "is PostgreSQL up, do pg_hba.conf (and pg_ident.conf) let "
		    "this user in, has db migrate been run?", "%s", err.text);
	else {
		check_add(d->checks, CHECK_OK, "database", "connection", NULL,
		    "%s", "");
		settings(d, db);
		roles(d, db);
		migrations(d);
		triggers(d, db);
		clock_and_months(d, db);
		notifications(d, db);
		rollbacks(d, db);
	}
	db_close(db);
}
