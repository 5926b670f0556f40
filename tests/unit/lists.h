/*
 * A signer that makes revocation lists on a real PostgreSQL, at moments that
 * the test chooses.
 */
#ifndef TEST_LISTS_H
#define TEST_LISTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "blocked.h"
#include "ca_fixture.h"
#include "crlmake.h"
#include "pg.h"
#include "responder.h"
#include "rollback.h"
#include "store_crl.h"

#define DAY	86400
#define STEP	10		/* seconds between looks; more than a pause */

#define POLICY(deltas) \
    "policy-name = \"test\"\n" \
    "ca \"Fixture\" { uri \"password\" {\n" \
    " uri = \"https://a.example/CES\" } crl-validity = 4d" \
    " crl-overlap = 1d " deltas " }\n" \
    "template \"User\" {\n" \
    "oid = \"1.3.6.1.4.1.311.21.8.1.2.3.1.1\"\n" \
    "version = \"100.1\"\n" \
    "ca = {\"Fixture\"} type = user schema = 3\n" \
    "validity = 1y renewal = 6w enroll = {\"users\"}\n" \
    "names = account subject = {\"common-name\"}\n" \
    "keys = {\"rsa:2048\"}\n" \
    "providers = {\"Microsoft Software Key Storage Provider\"}\n" \
    "hash = sha256 key-usage = {\"digital-signature\"}\n" \
    "eku = {\"client-authentication\"}\n}\n"

static const char policy_text[] = POLICY("");
static struct pg pg;
static struct ca_fixture fixture;
static char dsn[160], dir[] = "/tmp/crl_test.XXXXXX", policy_path[64];
static char signer_name[] = "signer-1";
static struct sconf conf;
static struct ca *cas[1];
static struct signer signer;
static int64_t now;

static inline void
sql(const char *text)
{
	assert_int_equal(pg_sql(&pg, "countersign", text), 0);
}

static inline void
use_policy(const char *text)
{
	struct buf b = { 0 };
	FILE *f = fopen(policy_path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	buf_printf(&b, "SELECT countersign.policy_publish(convert_to("
	    "$policy$%s$policy$, 'UTF8'))", text);
	sql(buf_str(&b));
	buf_free(&b);
}

static inline void
publish(void)
{
	struct buf b = { 0 };

	buf_puts(&b, "SELECT countersign.ca_register('Fixture', '\\x");
	buf_hex(&b, cas[0]->cert.der.p, cas[0]->cert.der.n);
	buf_puts(&b, "', '{}')");
	sql(buf_str(&b));
	buf_free(&b);
	use_policy(policy_text);
}

/* What main.c does before the loop. */
static inline int
start_signer(struct err *err)
{
	memset(&signer, 0, sizeof(signer));
	signer.conf = &conf;
	signer.cas = cas;
	signer.ncas = 1;
	signer.store = store_open(dsn, signer_name);
	signer.lists = store_beside(dsn, signer_name);
	assert_int_equal(store_ready(signer.store, err), 0);
	signer.snapshot = snapshot_new(dsn, policy_path);
	signer.ledger = ledger_open(dir, err);
	assert_non_null(signer.ledger);
	return recover_start(&signer, err);
}

static inline void
open_signer(void)
{
	struct err err = ERR_INIT;

	assert_int_equal(start_signer(&err), 0);
}

static inline void
close_signer(void)
{
	crl_leave(&signer);
	blocked_free(signer.blocked);
	signer.blocked = NULL;
	ledger_close(signer.ledger);
	intents_free(&signer.unresolved);
	intents_free(&signer.marks);
	snapshot_free(signer.snapshot);
	store_close(signer.lists);
	store_close(signer.store);
}

static inline int
set_up(void **state)
{
	(void)state;
	fixture_make(&fixture, "P-256");
	cas[0] = fixture_ca(&fixture);
	assert_non_null(mkdtemp(dir));
	snprintf(policy_path, sizeof(policy_path), "%s/policy", dir);
	conf.name = signer_name;
	conf.ledger = dir;
	pg_dsn(&pg, "countersign_signer", dsn, sizeof(dsn));
	pg_durable(&pg, dsn);
	publish();
	now = time(NULL);
	open_signer();
	return 0;
}

static inline int
tear_down(void **state)
{
	char path[64];

	(void)state;
	close_signer();
	ca_free(cas[0]);
	fixture_remove(&fixture);
	snprintf(path, sizeof(path), "%s/ledger", dir);
	unlink(path);
	unlink(policy_path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static inline struct crl_state
state_of(void)
{
	struct crl_state s;
	struct err err = ERR_INIT;

	assert_int_equal(store_crl_state(signer.store, "Fixture", &s, &err),
	    0);
	return s;
}

/* Look after so many seconds; the number of the last list then. */
static inline uint64_t
look(int64_t seconds)
{
	now += seconds;
	crl_round(&signer, now);
	return state_of().last.number;
}

/* The rest of a long list; how many batches had their turn. */
static inline int
to_the_end(void)
{
	int turns = 0;

	while (signer.lists_wait) {
		assert_true(turns++ < 100);
		look(1);
	}
	return turns;
}

/* The last list as published. */
static inline X509_CRL *
list(void)
{
	char owner[160];
	struct buf b = { 0 };
	const unsigned char *p;
	X509_CRL *x;
	PGresult *r;
	PGconn *c = PQconnectdb(pg_dsn(&pg, "owner", owner, sizeof(owner)));
	int i;

	r = PQexecParams(c, "SELECT body FROM countersign.crl_part WHERE "
	    "number = (SELECT max(number) FROM countersign.crl) ORDER BY part",
	    0, NULL, NULL, NULL, NULL, 1);
	for (i = 0; i < PQntuples(r); i++)
		buf_add(&b, PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0));
	p = b.p;
	x = d2i_X509_CRL(NULL, &p, (long)b.n);
	assert_non_null(x);
	assert_ptr_equal(p, b.p + b.n);
	PQclear(r);
	PQfinish(c);
	buf_free(&b);
	return x;
}

static inline int
entries(void)
{
	X509_CRL *x = list();
	int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x));

	X509_CRL_free(x);
	return n == -1 ? 0 : n;
}

#define NEXT "countersign.revocation_next('Fixture')"

/* Set up, run, take down; for main to return. */
#define RUN_LISTS(name, tests)						\
	(!pg_installed(name) ? 0 : pg_new(&pg) == -1 ? no_cluster(name) : \
	    done(cmocka_run_group_tests(tests, set_up, tear_down)))

static inline int
no_cluster(const char *name)
{
	fprintf(stderr, "%s: no cluster\n", name);
	pg_free(&pg);
	return 1;
}

static inline int
done(int rc)
{
	pg_free(&pg);
	return rc;
}

#endif
