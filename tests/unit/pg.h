/*
 * A PostgreSQL cluster of the test's own: in a temporary folder, on a Unix
 * socket only, gone at the end.  As root it runs as the user postgres, since
 * PostgreSQL refuses root.
 */
#ifndef TEST_PG_H
#define TEST_PG_H

#include <sys/wait.h>

#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PG_BIN	"/usr/lib/postgresql/15/bin/"

struct pg {
	char	 dir[64];	/* data in dir/data, socket in dir */
	pid_t	 pid;		/* the postmaster; 0 = not running */
};

/* Start a program as PostgreSQL wants it, output to dir/log. */
static pid_t
pg_spawn(const struct pg *pg, const char *const *argv)
{
	const char *all[32] = {
		"setpriv", "--reuid=postgres", "--regid=postgres",
		"--init-groups"
	};
	size_t n = geteuid() == 0 ? 4 : 0;
	char log[96];
	pid_t pid;
	int fd;

	while (*argv != NULL && n < 31)
		all[n++] = *argv++;
	all[n] = NULL;
	pid = fork();
	if (pid != 0)
		return pid;
	/* A test that dies takes its cluster along. */
	(void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
	snprintf(log, sizeof(log), "%s/log", pg->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd != -1) {
		(void)dup2(fd, 1);
		(void)dup2(fd, 2);
	}
	execvp(all[0], (char *const *)(uintptr_t)all);
	_exit(127);
}

static int
pg_wait(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	    WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* A connection string for a role of database "countersign". */
static const char *
pg_dsn(const struct pg *pg, const char *role, char *out, size_t max)
{
	snprintf(out, max, "host=%s dbname=countersign user=%s", pg->dir, role);
	return out;
}

static int
pg_start(struct pg *pg)
{
	char data[96], dsn[160];
	const char *const argv[] = {
		PG_BIN "postgres", "-D", data, "-k", pg->dir,
		"-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=20", "-c", "shared_buffers=16MB", NULL
	};
	int i;

	snprintf(data, sizeof(data), "%s/data", pg->dir);
	snprintf(dsn, sizeof(dsn), "host=%s dbname=postgres user=owner",
	    pg->dir);
	pg->pid = pg_spawn(pg, argv);
	for (i = 0; i < 2400; i++) {
		if (PQping(dsn) == PQPING_OK)
			return 0;
		usleep(50000);
	}
	return -1;
}

static void
pg_stop(struct pg *pg, int sig)
{
	if (pg->pid > 0) {
		(void)kill(pg->pid, sig);
		(void)waitpid(pg->pid, NULL, 0);
	}
	pg->pid = 0;
}

/* Run SQL as the owner; prints what is wrong. */
static int
pg_sql(const struct pg *pg, const char *db, const char *sql)
{
	char dsn[160];
	PGconn *c;
	PGresult *r;
	int rc;

	snprintf(dsn, sizeof(dsn), "host=%s dbname=%s user=owner", pg->dir, db);
	c = PQconnectdb(dsn);
	r = PQexec(c, sql);
	rc = PQresultStatus(r) == PGRES_COMMAND_OK ||
	    PQresultStatus(r) == PGRES_TUPLES_OK ? 0 : -1;
	if (rc == -1)
		fprintf(stderr, "%s%s\n", sql, PQerrorMessage(c));
	PQclear(r);
	PQfinish(c);
	return rc;
}

static inline bool
pg_true(PGconn *c, const char *sql)
{
	PGresult *r = PQexec(c, sql);
	bool yes = PQntuples(r) == 1 && *PQgetvalue(r, 0, 0) == 't';

	PQclear(r);
	return yes;
}

/*
 * Waits until PostgreSQL has sent what was notified before, as each of its
 * processes does when it has its turn.  Two messages as long as a page of its
 * queue come behind, so that the queue is empty when all have been read; what
 * has been read is sent when its reader waits again.
 */
static inline bool
pg_told(const struct pg *pg)
{
	char dsn[160];
	PGconn *c = PQconnectdb(pg_dsn(pg, "owner", dsn, sizeof(dsn)));
	bool told = false;
	int i;

	PQclear(PQexec(c, "SELECT pg_notify('nobody', repeat('a', 7999))"));
	PQclear(PQexec(c, "SELECT pg_notify('nobody', repeat('b', 7999))"));
	for (i = 0; i < 18000 && !told; i++) {
		told = pg_true(c, "SELECT pg_notification_queue_usage() = 0") &&
		    pg_true(c, "SELECT NOT EXISTS (SELECT FROM "
		    "pg_stat_activity WHERE state = 'idle' AND wait_event IS "
		    "DISTINCT FROM 'ClientRead')");
		if (!told)
			usleep(10000);
	}
	PQfinish(c);
	return told;
}

static int
pg_file(const struct pg *pg, const char *path)
{
	static char text[256 * 1024];
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return pg_sql(pg, "countersign", text);
}

static int
pg_migrate(const struct pg *pg)
{
	glob_t g;
	size_t i;
	int rc = pg_sql(pg, "postgres", "CREATE DATABASE countersign");

	/* As "db migrate" does. */
	if (rc == 0)
		rc = pg_sql(pg, "countersign", "CREATE TABLE "
		    "public.countersign_migration (name text PRIMARY KEY, "
		    "sha256 text NOT NULL, "
		    "at timestamptz NOT NULL DEFAULT now())");

	if (glob("sql/[0-9]*.sql", 0, NULL, &g) != 0)
		return -1;
	for (i = 0; i < g.gl_pathc && rc == 0; i++)
		rc = pg_file(pg, g.gl_pathv[i]);
	globfree(&g);
	return rc;
}

/* Without PostgreSQL 15 a test says so and is skipped. */
static bool
pg_installed(const char *test)
{
	if (access(PG_BIN "postgres", X_OK) == 0)
		return true;
	fprintf(stderr, "SKIPPED %s: no PostgreSQL 15 in " PG_BIN "\n", test);
	return false;
}

static int
pg_new(struct pg *pg)
{
	char data[96];
	const struct passwd *owner;
	const char *const argv[] = {
		PG_BIN "initdb", "-D", data, "-U", "owner", "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync", NULL
	};

	memset(pg, 0, sizeof(*pg));
	snprintf(pg->dir, sizeof(pg->dir), "/tmp/pg_test.XXXXXX");
	if (mkdtemp(pg->dir) == NULL)
		return -1;
	if (geteuid() == 0 && (owner = getpwnam("postgres")) != NULL &&
	    chown(pg->dir, owner->pw_uid, owner->pw_gid) == -1)
		return -1;
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	return pg_wait(pg_spawn(pg, argv)) == 0 && pg_start(pg) == 0 &&
	    pg_migrate(pg) == 0 ? 0 : -1;
}

static void
pg_free(struct pg *pg)
{
	const char *const argv[] = { "rm", "-rf", pg->dir, NULL };

	pg_stop(pg, SIGQUIT);
	if (pg->dir[0] != '\0')
		(void)pg_wait(pg_spawn(pg, argv));
	pg->dir[0] = '\0';
}

/* It was started with fsync off; signers want it on. */
static inline void
pg_durable(struct pg *pg, const char *dsn)
{
	char data[96];
	const char *const argv[] = {
		PG_BIN "postgres", "-D", data, "-k", pg->dir,
		"-c", "listen_addresses=", "-c", "shared_buffers=16MB", NULL
	};
	int i;

	snprintf(data, sizeof(data), "%s/data", pg->dir);
	pg_stop(pg, SIGINT);
	pg->pid = pg_spawn(pg, argv);
	for (i = 0; i < 2400 && PQping(dsn) != PQPING_OK; i++)
		usleep(50000);
	assert_true(i < 2400);
}

#endif
