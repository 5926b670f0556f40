/* Policy and accounts as the database has them, and never older. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "pg.h"
#include "snapshot.h"

static struct pg pg;
static char worker[160], signer[160], file[96];

#define POLICY(version)							\
	"policy-name = \"test\"\n"					\
	"ca \"CA\" { uri \"password\" {"				\
	" uri = \"https://a.example/CES\" priority = 1 } }\n"		\
	"template \"User\" {\n"						\
	"oid = \"1.3.6.1.4.1.311.21.8.1.2.3.1.1\"\n"			\
	"version = \"" version "\"\n"					\
	"ca = {\"CA\"} type = user schema = 3\n"			\
	"validity = 1y renewal = 6w enroll = {\"users\"}\n"		\
	"names = account subject = {\"common-name\"}\n"			\
	"keys = {\"rsa:2048\"}\n"					\
	"providers = {\"Microsoft Software Key Storage Provider\"}\n"	\
	"hash = sha256 key-usage = {\"digital-signature\"}\n"		\
	"eku = {\"client-authentication\"}\n}\n"

static void
owner(const char *sql)
{
	assert_int_equal(pg_sql(&pg, "countersign", sql), 0);
	assert_true(pg_told(&pg));
}

static void
publish(const char *text)
{
	char sql[2048];

	snprintf(sql, sizeof(sql), "SELECT countersign.policy_publish("
	    "convert_to($policy$%s$policy$, 'UTF8'))", text);
	owner(sql);
}

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A CA certificate as hex, valid for some days. */
static void
make_ca(const char *name, long days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *dn = X509_get_subject_name(x);
	X509_EXTENSION *bc;
	struct buf sql = { NULL, 0, 0 };
	unsigned char *der = NULL;
	int n;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
	X509_NAME_add_entry_by_txt(dn, "CN", MBSTRING_UTF8,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, dn);
	X509_set_pubkey(x, key);
	bc = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
	    "critical,CA:TRUE");
	X509_add_ext(x, bc, -1);
	X509_EXTENSION_free(bc);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	n = i2d_X509(x, &der);
	buf_printf(&sql, "SELECT countersign.ca_register('%s', '\\x", name);
	buf_hex(&sql, der, (size_t)n);
	buf_puts(&sql, "', '{}')");
	owner(buf_str(&sql));
	buf_free(&sql);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
refused(struct snapshot *s, const char *why)
{
	struct err err = ERR_INIT;

	assert_null(snapshot_policy(s, false, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: not \"%s\"", err.text, why);
}

static const struct policy *
policy(struct snapshot *s, bool force)
{
	struct err err = ERR_INIT;
	const struct policy *p = snapshot_policy(s, force, &err);

	assert_string_equal(err.text, "");
	assert_non_null(p);
	return p;
}

/* In order: from an empty database to a policy in force. */
static void
test_policy(void **state)
{
	struct snapshot *s = snapshot_new(worker, NULL);
	const struct policy *one, *same, *two;
	time_t now = time(NULL);

	(void)state;
	refused(s, "no policy is published");
	publish("nonsense");
	refused(s, "line 1");
	publish(POLICY("100.1"));
	refused(s, "CA");
	make_ca("Other", 1000);
	refused(s, "CA");
	make_ca("CA", 1000);
	one = policy(s, false);
	assert_int_equal(one->version, 2);
	assert_int_equal(one->id[0], '{');
	assert_int_equal(strlen(one->id), 38);
	assert_in_range(one->published, now - 60, now + 60);
	assert_non_null(policy_template_by_name(one, "User"));
	same = policy(s, false);
	assert_ptr_equal(one, same);
	publish(POLICY("100.2"));
	two = policy(s, false);
	assert_ptr_not_equal(one, two);
	assert_int_equal(two->version, 3);
	/* The old one stays for who holds it. */
	assert_int_equal(one->version, 2);
	snapshot_put(s, one);
	snapshot_put(s, same);
	snapshot_put(s, two);
	same = policy(s, true);
	assert_int_equal(same->version, 3);
	snapshot_put(s, same);
	snapshot_put(s, NULL);
	/* A broken one is not replaced by the one before. */
	publish("nonsense again");
	refused(s, "line 1");
	publish(POLICY("100.3"));
	two = policy(s, false);
	assert_int_equal(two->version, 5);
	snapshot_put(s, two);
	/* Nor one that was changed past the trigger, or by a bad disk. */
	owner("SET session_replication_role = replica; UPDATE countersign"
	    ".policy SET body = body || '\\x0a' WHERE version = 5; "
	    "NOTIFY countersign");
	refused(s, "does not have its sha-256");
	owner("SET session_replication_role = replica; UPDATE countersign"
	    ".policy SET body = substr(body, 1, length(body) - 1) "
	    "WHERE version = 5; NOTIFY countersign");
	snapshot_put(s, policy(s, true));
	snapshot_free(s);
	snapshot_free(NULL);
}

static void
test_local_policy(void **state)
{
	struct snapshot *s = snapshot_new(signer, file);
	const struct policy *p;

	(void)state;
	(void)unlink(file);
	refused(s, "No such file");
	write_file(POLICY("100.2"));
	usleep(300000);		/* a failed load is not repeated at once */
	refused(s, "publish the file, or install that version");
	write_file(POLICY("100.3"));
	refused(s, "differs");
	usleep(300000);
	p = policy(s, false);
	snapshot_put(s, p);
	/* Published first, installed later. */
	publish(POLICY("100.4"));
	refused(s, "version 6");
	write_file(POLICY("100.4"));
	usleep(300000);
	p = policy(s, false);
	assert_int_equal(p->version, 6);
	snapshot_put(s, p);
	snapshot_free(s);
}

static const struct account *
account(struct snapshot *s, const char *name)
{
	const struct account *a = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(snapshot_account(s, name, &a, &err), 0);
	assert_string_equal(err.text, "");
	return a;
}

static void
test_accounts(void **state)
{
	struct snapshot *s = snapshot_new(worker, NULL);
	const struct account *a, *b, *c;
	const struct policy *p, *same;
	uint64_t epoch;

	(void)state;
	assert_null(account(s, "ann"));
	epoch = snapshot_epoch(s);
	owner("SELECT countersign.account_add('ann', false, 'Ann', NULL, NULL,"
	    " NULL, NULL, NULL, '$argon2id$v=19$x', ARRAY['users'])");
	a = account(s, "ann");
	assert_non_null(a);
	assert_int_equal(snapshot_epoch(s), epoch + 1);
	assert_string_equal(a->password, "$argon2id$v=19$x");
	b = account(s, "ann");
	assert_ptr_equal(a, b);
	snapshot_account_put(s, b);
	p = policy(s, false);
	owner("SELECT countersign.account_set_disabled('ann', true)");
	/* Hundreds of templates are not parsed anew for one account. */
	same = policy(s, false);
	assert_ptr_equal(p, same);
	snapshot_put(s, same);
	snapshot_put(s, p);
	c = account(s, "ann");
	assert_true(c->disabled);
	assert_false(a->disabled);
	assert_int_equal(snapshot_epoch(s), epoch + 2);
	snapshot_account_put(s, a);
	snapshot_account_put(s, c);
	owner("SELECT countersign.account_set_group('ann', 'web', true)");
	a = account(s, "ann");
	assert_int_equal(a->groups.n, 2);
	snapshot_account_put(s, a);
	/* Who is in thousands of groups logs on, too. */
	owner("INSERT INTO countersign.account_group"
	    " SELECT 'ann', 'g' || i FROM generate_series(1, 3000) i");
	a = account(s, "ann");
	assert_int_equal(a->groups.n, 3002);
	assert_true(strlist_find(&a->groups, "g2999"));
	assert_true(strlist_find(&a->groups, "users"));
	assert_false(strlist_find(&a->groups, "g3001"));
	snapshot_account_put(s, a);
	owner("DELETE FROM countersign.account_group;"
	    "DELETE FROM countersign.account");
	assert_null(account(s, "ann"));
	snapshot_account_put(s, NULL);
	snapshot_free(s);
}

/* More accounts than are kept, some of them held. */
static void
test_many_accounts(void **state)
{
	struct snapshot *s = snapshot_new(signer, file);
	const struct account *held[50], *a;
	char name[32];
	int i;

	(void)state;
	owner("INSERT INTO countersign.account (name, cn)"
	    " SELECT 'u' || n, 'U' FROM generate_series(0, 4999) n");
	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		a = account(s, name);
		assert_string_equal(a->name, name);
		if (i % 100 == 0)
			held[i / 100] = a;
		else
			snapshot_account_put(s, a);
	}
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "u%d", i * 100);
		assert_string_equal(held[i]->name, name);
		snapshot_account_put(s, held[i]);
	}
	snapshot_free(s);
}

struct user {
	struct snapshot	*s;
	pthread_t	 thread;
	int		 wrong;
};

static void *
use(void *arg)
{
	struct user *u = arg;
	const struct policy *p;
	const struct account *a;
	struct err err;
	char name[32];
	int i;

	for (i = 0; i < 1000; i++) {
		memset(&err, 0, sizeof(err));
		p = snapshot_policy(u->s, i % 100 == 0, &err);
		u->wrong += p == NULL || p->version != 6;
		snprintf(name, sizeof(name), "u%d", i % 37);
		a = NULL;
		u->wrong += snapshot_account(u->s, name, &a, &err) != 0 ||
		    a == NULL || strcmp(a->name, name) != 0;
		snapshot_put(u->s, p);
		snapshot_account_put(u->s, a);
		(void)snapshot_epoch(u->s);
	}
	return NULL;
}

/* Threads that ask while accounts change. */
static void
test_threads(void **state)
{
	struct user u[4];
	struct err err = { 0 };
	size_t i;

	(void)state;
	memset(u, 0, sizeof(u));
	u[0].s = snapshot_new(worker, NULL);
	for (i = 0; i < 4; i++) {
		u[i].s = u[0].s;
		assert_int_equal(pthread_create(&u[i].thread, NULL, use,
		    &u[i]), 0);
	}
	for (i = 0; i < 5; i++)
		owner("UPDATE countersign.account SET cn = 'V'"
		    " WHERE name = 'u1'");
	for (i = 0; i < 4; i++) {
		pthread_join(u[i].thread, NULL);
		assert_int_equal(u[i].wrong, 0);
	}
	/* The threads may have ended before the first word of a change. */
	for (i = 0; i < 6000 && snapshot_epoch(u[0].s) < 2; i++) {
		usleep(10000);
		snapshot_put(u[0].s, snapshot_policy(u[0].s, false, &err));
	}
	assert_true(snapshot_epoch(u[0].s) >= 2);
	snapshot_free(u[0].s);
}

/* Permissions that could not be asked for are not served from memory. */
static void
test_database_gone(void **state)
{
	struct snapshot *s = snapshot_new(worker, NULL);
	const struct policy *p = policy(s, false);
	const struct account *a = account(s, "u1"), *b = NULL;
	struct err err = ERR_INIT;

	(void)state;
	pg_stop(&pg, SIGQUIT);
	refused(s, "database");
	assert_int_equal(snapshot_account(s, "u1", &b, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_null(b);
	assert_int_equal(p->version, 6);
	assert_string_equal(a->name, "u1");
	assert_int_equal(pg_start(&pg), 0);
	usleep(300000);
	snapshot_put(s, p);
	snapshot_account_put(s, a);
	p = policy(s, false);
	a = account(s, "u1");
	snapshot_put(s, p);
	snapshot_account_put(s, a);
	snapshot_free(s);
}

static int
set_up(void **state)
{
	(void)state;
	if (pg_new(&pg) != 0)
		return -1;
	pg_dsn(&pg, "countersign_worker", worker, sizeof(worker));
	pg_dsn(&pg, "countersign_signer", signer, sizeof(signer));
	snprintf(file, sizeof(file), "%s/policy.conf", pg.dir);
	return 0;
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
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_local_policy),
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_many_accounts),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_database_gone),
	};

	if (!pg_installed("snapshot_test"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
