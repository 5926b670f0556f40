/* Accounts, read from a real PostgreSQL by the roles that may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account.h"
#include "db.h"
#include "pg.h"

static struct pg pg;

static void
add(const char *sql)
{
	assert_int_equal(pg_sql(&pg, "countersign", sql), 0);
}

static struct db *
open_db(const char *role, const struct db_stmt *list)
{
	char dsn[160];

	return db_open(pg_dsn(&pg, role, dsn, sizeof(dsn)), list,
	    "countersign");
}

static struct account *
load(struct db *db, const char *name)
{
	struct account *a = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(account_load(db, name, &a, &err), 0);
	return a;
}

static void
test_account(void **state)
{
	static const struct db_stmt worker[] = {
		ACCOUNT_STMT, { NULL, NULL, 0 }
	};
	static const struct db_stmt signer[] = {
		ACCOUNT_STMT_NO_PASSWORD, { NULL, NULL, 0 }
	};
	char b[] = "b group", z[] = "z", *v1[] = { z }, *v2[] = { z, b };
	const struct strlist none = { v1, 1 }, some = { v2, 2 };
	struct db *db = open_db("countersign_worker", worker);
	struct account *a;
	struct err err = ERR_INIT;

	(void)state;
	add("SELECT countersign.account_add('ann', false, 'Ann', NULL,"
	    " 'ann@x.example', NULL, NULL, 'S-1-5-21-1', '$argon2id$v=19$x',"
	    " ARRAY['c', 'B', 'b group'])");
	add("SELECT countersign.account_add('pc$', true, 'PC',"
	    " 'pc.x.example', NULL, NULL, 'CN=pc', NULL, NULL, '{}');"
	    "SELECT countersign.account_set_disabled('pc$', true)");
	assert_null(load(db, "nobody"));
	assert_null(load(db, "ann' OR '1'='1"));
	a = load(db, "ann");
	assert_string_equal(a->name, "ann");
	assert_false(a->machine || a->disabled);
	assert_string_equal(a->upn, "ann@x.example");
	assert_null(a->dns);
	assert_string_equal(a->password, "$argon2id$v=19$x");
	assert_int_equal(a->groups.n, 3);
	assert_string_equal(a->groups.v[0], "B");
	assert_string_equal(a->groups.v[1], "b group");
	assert_true(account_in(a, &some));
	assert_false(account_in(a, &none));
	account_free(a);
	a = load(db, "pc$");
	assert_true(a->machine && a->disabled);
	assert_string_equal(a->dn, "CN=pc");
	assert_null(a->password);
	assert_int_equal(a->groups.n, 0);
	assert_false(account_in(a, &some));
	account_free(a);
	db_close(db);

	db = open_db("countersign_signer", signer);
	a = load(db, "ann");
	assert_null(a->password);
	account_free(a);
	db_close(db);
	db = open_db("countersign_signer", worker);
	assert_int_equal(account_load(db, "ann", &a, &err), -1);
	assert_non_null(strstr(err.text, "42501"));
	db_close(db);
	account_free(NULL);
}

static int
set_up(void **state)
{
	(void)state;
	return pg_new(&pg);
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
		cmocka_unit_test(test_account),
	};

	if (!pg_installed("db_account_test"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
