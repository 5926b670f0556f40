/* The servers of a connection string, turned, and whose turn it is. */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db.h"
#include "db_hosts.h"
#include "pg.h"

static void
assert_hosts(const char *dsn, size_t first, const char *host,
    const char *port)
{
	struct db_hosts h;

	assert_int_equal(db_hosts_from(dsn, first, &h), 0);
	if (host == NULL)
		assert_null(h.host);
	else
		assert_string_equal(h.host, host);
	if (port == NULL)
		assert_null(h.port);
	else
		assert_string_equal(h.port, port);
	db_hosts_free(&h);
	assert_null(h.host);
}

static void
turned(void **state)
{
	struct db_hosts h;

	(void)state;
	assert_hosts("host=a,b,c port=1,2,3", 0, "a,b,c", "1,2,3");
	assert_hosts("host=a,b,c port=1,2,3", 1, "b,c,a", "2,3,1");
	assert_hosts("host=a,b,c port=1,2,3", 2, "c,a,b", "3,1,2");
	assert_hosts("host=a,b port=5432", 1, "b,a", "5432");
	assert_hosts("host=a,b port=,5433", 1, "b,a", "5433,");
	assert_hosts("postgresql://a:1,b:2/db", 1, "b,a", "2,1");
	assert_hosts("host='/run/a b,/run/c'", 1, "/run/c,/run/a b", NULL);
	assert_hosts("host=a", 0, "a", NULL);
	assert_hosts("dbname=x", 1, NULL, NULL);
	assert_int_equal(db_hosts_from("host=a hostaddr=1.1.1.1,2.2.2.2", 1,
	    &h), 0);
	assert_string_equal(h.hostaddr, "2.2.2.2,1.1.1.1");
	db_hosts_free(&h);
	assert_int_equal(db_hosts_from("nonsense", 0, &h), -1);
}

/* Connections to servers that are not there have an address, too. */
static size_t
after(const char *dsn, const char *connected)
{
	PGconn *c = PQconnectdb(connected);
	size_t n = db_hosts_of(dsn, c, 1);

	PQfinish(c);
	return n;
}

static void
next_in_turn(void **state)
{
	const char *dsn = "host=/none/a,/none/a,/none/b port=1,2,2";

	(void)state;
	assert_int_equal(after(dsn, "host=/none/a port=1"), 1);
	assert_int_equal(after(dsn, "host=/none/a port=2"), 2);
	assert_int_equal(after(dsn, "host=/none/b port=2"), 0);
	assert_int_equal(after(dsn, "host=/none/c port=2"), 0);
	assert_int_equal(after("host=/none/a,/none/b port=1",
	    "host=/none/a port=1"), 1);
	assert_int_equal(after("host=/none/a", "host=/none/a"), 0);
	assert_int_equal(after("dbname=x", "host=/none/a"), 0);
	assert_int_equal(after("hostaddr=127.0.0.1,127.0.0.2 port=1",
	    "hostaddr=127.0.0.1 port=1"), 1);
	assert_int_equal(db_hosts_of(dsn, NULL, 1), 0);
}

static const struct db_stmt stmts[] = {
	{ "one", "SELECT 1", 0 },
	{ "kill", "SELECT pg_terminate_backend(pg_backend_pid())", 0 },
	{ NULL, NULL, 0 }
};

static void
assert_answers(struct db *db)
{
	struct err err = ERR_INIT;
	PGresult *r = db_exec(db, "one", NULL, 0, &err);

	assert_string_equal(err.text, "");
	assert_non_null(r);
	PQclear(r);
}

/* The server that has gone is not the first to be asked again. */
static void
lost(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd mute = { socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0 };
	socklen_t len = sizeof(a);
	struct err err = ERR_INIT;
	char dsn[400], turn[400], one[160];
	struct pg pg;
	struct db *db, *follower;

	(void)state;
	if (!pg_installed("db_hosts_test"))
		skip();
	assert_int_equal(pg_new(&pg), 0);
	assert_int_equal(bind(mute.fd, (void *)&a, len), 0);
	assert_int_equal(listen(mute.fd, 4), 0);
	assert_int_equal(getsockname(mute.fd, (void *)&a, &len), 0);
	snprintf(dsn, sizeof(dsn), "%s host=%s,127.0.0.1 port=5432,%u "
	    "connect_timeout=2", pg_dsn(&pg, "owner", one, sizeof(one)),
	    pg.dir, ntohs(a.sin_port));
	snprintf(turn, sizeof(turn), "%s host=127.0.0.1,%s port=%u,5432 "
	    "connect_timeout=2", one, pg.dir, ntohs(a.sin_port));
	db = db_open(dsn, stmts, NULL);
	assert_answers(db);
	follower = db_open(turn, stmts, NULL);
	db_follow(follower, db);
	assert_answers(follower);
	assert_int_equal(poll(&mute, 1, 0), 0);
	db_close(follower);
	assert_null(db_exec(db, "kill", NULL, 0, &err));
	assert_answers(db);
	assert_int_equal(poll(&mute, 1, 0), 1);
	db_close(db);
	close(mute.fd);
	pg_free(&pg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turned),
		cmocka_unit_test(next_in_turn),
		cmocka_unit_test(lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
