/*
 * When a revocation list is made and which number it gets, on a real
 * PostgreSQL: not twice, never lower than the ledger knows, never backwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "ca_fixture.h"
#include "crlmake.h"
#include "pg.h"
#include "responder.h"
#include "store_crl.h"

#define DAY	86400
#define STEP	10		/* seconds between looks; more than a pause */

static const char policy_text[] =
    "policy-name = \"test\"\n"
    "ca \"Fixture\" { uri \"password\" {\n"
    " uri = \"https://a.example/CES\" } crl-validity = 4d"
    " crl-overlap = 1d }\n"
    "template \"User\" {\n"
    "oid = \"1.3.6.1.4.1.311.21.8.1.2.3.1.1\"\n"
    "version = \"100.1\"\n"
    "ca = {\"Fixture\"} type = user schema = 3\n"
    "validity = 1y renewal = 6w enroll = {\"users\"}\n"
    "names = account subject = {\"common-name\"}\n"
    "keys = {\"rsa:2048\"}\n"
    "providers = {\"Microsoft Software Key Storage Provider\"}\n"
    "hash = sha256 key-usage = {\"digital-signature\"}\n"
    "eku = {\"client-authentication\"}\n}\n";

static struct pg pg;
static struct ca_fixture fixture;
static char dsn[160], dir[] = "/tmp/crlmake_test.XXXXXX", policy_path[64];
static char signer_name[] = "signer-1";
static struct sconf conf;
static struct ca *cas[1];
static struct signer signer;
static int64_t now;

/* pg.h starts it with fsync off; a signer refuses that. */
static void
start_durable(void)
{
	char data[96];
	const char *const argv[] = {
		PG_BIN "postgres", "-D", data, "-k", pg.dir,
		"-c", "listen_addresses=", "-c", "shared_buffers=16MB", NULL
	};
	int i;

	snprintf(data, sizeof(data), "%s/data", pg.dir);
	pg_stop(&pg, SIGINT);
	pg.pid = pg_spawn(&pg, argv);
	for (i = 0; i < 200 && PQping(dsn) != PQPING_OK; i++)
		usleep(50000);
	assert_true(i < 200);
}

static void
sql(const char *text)
{
	assert_int_equal(pg_sql(&pg, "countersign", text), 0);
}

static void
publish(void)
{
	struct buf b = { 0 };

	buf_puts(&b, "SELECT countersign.ca_register('Fixture', '\\x");
	buf_hex(&b, cas[0]->cert.der.p, cas[0]->cert.der.n);
	buf_puts(&b, "', '{}')");
	sql(buf_str(&b));
	buf_reset(&b);
	buf_printf(&b, "SELECT countersign.policy_publish(convert_to("
	    "$policy$%s$policy$, 'UTF8'))", policy_text);
	sql(buf_str(&b));
	buf_free(&b);
}

/* What main.c does before the loop. */
static void
open_signer(void)
{
	struct err err = ERR_INIT;

	memset(&signer, 0, sizeof(signer));
	signer.conf = &conf;
	signer.cas = cas;
	signer.ncas = 1;
	signer.store = store_open(dsn, signer_name);
	assert_int_equal(store_ready(signer.store, &err), 0);
	signer.snapshot = snapshot_new(dsn, policy_path);
	signer.ledger = ledger_open(dir, &err);
	assert_non_null(signer.ledger);
	assert_int_equal(recover_start(&signer, &err), 0);
}

static void
close_signer(void)
{
	ledger_close(signer.ledger);
	snapshot_free(signer.snapshot);
	store_close(signer.store);
}

static int
set_up(void **state)
{
	FILE *f;

	(void)state;
	fixture_make(&fixture, "P-256");
	cas[0] = fixture_ca(&fixture);
	assert_non_null(mkdtemp(dir));
	snprintf(policy_path, sizeof(policy_path), "%s/policy", dir);
	f = fopen(policy_path, "w");
	fputs(policy_text, f);
	fclose(f);
	conf.name = signer_name;
	conf.ledger = dir;
	pg_dsn(&pg, "countersign_signer", dsn, sizeof(dsn));
	start_durable();
	publish();
	now = time(NULL);
	open_signer();
	return 0;
}

static int
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

static struct crl_state
state_of(void)
{
	struct crl_state s;
	struct err err = ERR_INIT;

	assert_int_equal(store_crl_state(signer.store, "Fixture", &s, &err),
	    0);
	return s;
}

/* Look after so many seconds; the number of the last list then. */
static uint64_t
look(int64_t seconds)
{
	now += seconds;
	crl_round(&signer, now);
	return state_of().number;
}

/* The last list as published. */
static X509_CRL *
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

static int
entries(void)
{
	X509_CRL *x = list();
	int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x));

	X509_CRL_free(x);
	return n == -1 ? 0 : n;
}

#define CHANGED "; SELECT countersign.revocation_changed('Fixture')"

static void
when(void **state)
{
	struct crl_state s;

	(void)state;
	assert_int_equal(look(0), 1);		/* there is none yet */
	assert_int_equal(entries(), 0);
	s = state_of();
	assert_int_equal(s.this_update, now);
	assert_int_equal(s.next_update, now + 4 * DAY);
	assert_int_equal(look(STEP), 1);	/* nothing to say */
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4301', "
	    "'Fixture', '', 'x')");
	assert_int_equal(look(STEP), 2);	/* may have been signed */
	assert_int_equal(entries(), 1);
	assert_int_equal(look(STEP), 2);
	assert_int_equal(look(3 * DAY - 2 * STEP), 2);
	assert_int_equal(look(2 * STEP), 3);	/* a day before its end */
	assert_int_equal(entries(), 1);
}

/* A crowd of revocations is one list, some seconds later. */
static void
crowd(void **state)
{
	uint64_t n = state_of().number;

	(void)state;
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4302', "
	    "'Fixture', '', 'x')");
	assert_int_equal(look(STEP), n + 1);
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4303', "
	    "'Fixture', '', 'x')");
	assert_int_equal(look(2), n + 1);
	assert_int_equal(look(2), n + 2);
	assert_int_equal(entries(), 3);
}

/* [RFC5280] 3.3: on one list after the certificate's end, then no more. */
static void
ended_certificates(void **state)
{
	char text[256];
	int before = entries();

	(void)state;
	snprintf(text, sizeof(text), "INSERT INTO countersign.revoked VALUES "
	    "('Fixture', '\\x44', now(), 1, to_timestamp(%lld))" CHANGED,
	    (long long)now + STEP + 1);
	sql(text);
	look(STEP);
	assert_int_equal(entries(), before + 1);	/* still valid */
	sql("SELECT countersign.revocation_changed('Fixture')");
	look(STEP);
	assert_int_equal(entries(), before + 1);	/* the first after */
	sql("SELECT countersign.revocation_changed('Fixture')");
	look(STEP);
	assert_int_equal(entries(), before);
}

/* A restored database is behind: numbers go on from the ledger's. */
static void
ledger_guards(void **state)
{
	uint64_t n = state_of().number;

	(void)state;
	sql("ALTER TABLE countersign.crl DISABLE TRIGGER keep; "
	    "DELETE FROM countersign.crl WHERE number > 1; "
	    "ALTER TABLE countersign.crl ENABLE TRIGGER keep; "
	    "SELECT countersign.revocation_changed('Fixture')");
	assert_int_equal(state_of().number, 1);
	/* After a restart, too. */
	close_signer();
	cas[0]->crl_number = 0;
	open_signer();
	assert_int_equal(cas[0]->crl_number, n);
	assert_int_equal(look(STEP), n + 1);
}

static void
clock_backwards(void **state)
{
	uint64_t n = state_of().number;

	(void)state;
	sql("SELECT countersign.revocation_changed('Fixture')");
	signer.next_crl = 0;
	crl_round(&signer, now - 10 * DAY);
	assert_int_equal(state_of().number, n);
	signer.next_crl = 0;
	assert_int_equal(look(STEP), n + 1);
}

/* One at a time: the lock of the CA is somebody else's. */
static void
another_signer(void **state)
{
	uint64_t n = state_of().number;
	struct store *other = store_open(dsn, "signer-2");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(store_crl_begin(other, "Fixture", &err), 1);
	sql("SELECT countersign.revocation_changed('Fixture')");
	assert_int_equal(look(STEP), n);
	store_crl_rollback(other);
	store_close(other);
	assert_int_equal(look(STEP), n + 1);
}

/* [RFC6960] 4.2.2.2: who may answer for the CA; renewed, and recorded. */
static void
responder(void **state)
{
	struct err err = ERR_INIT;
	struct responder *one, *two;
	struct slice der;
	const unsigned char *p;
	X509 *x, *issuer;
	char text[256];
	int64_t end;

	(void)state;
	now = time(NULL);
	one = responder_get(&signer, cas[0], now, &err);
	assert_non_null(one);
	assert_ptr_equal(one, responder_get(&signer, cas[0], now + DAY, &err));
	end = responder_not_after(one);
	assert_int_equal(end, now + 14 * DAY);
	der = responder_cert(one);
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.n);
	p = cas[0]->cert.der.p;
	issuer = d2i_X509(NULL, &p, (long)cas[0]->cert.der.n);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(issuer)), 1);
	assert_int_equal(X509_check_issued(issuer, x), X509_V_OK);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_OCSP_SIGN);
	assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_check_ca(x), 0);
	assert_true(X509_get_ext_by_NID(x, NID_id_pkix_OCSP_noCheck, -1) >= 0);
	snprintf(text, sizeof(text), "DO $$ BEGIN IF (SELECT count(*) FROM "
	    "countersign.responder WHERE not_after = to_timestamp(%lld)) <> 1 "
	    "THEN RAISE 'no row'; END IF; END $$", (long long)end);
	sql(text);
	two = responder_get(&signer, cas[0], now + 8 * DAY, &err);
	assert_non_null(two);
	assert_int_equal(responder_not_after(two), now + 22 * DAY);
	/* Never beyond the CA itself, and not for a CA that has ended. */
	two = responder_get(&signer, cas[0], cas[0]->not_after - DAY, &err);
	assert_int_equal(responder_not_after(two), cas[0]->not_after);
	assert_null(responder_get(&signer, cas[0], cas[0]->not_after + 9 * DAY,
	    &err));
	X509_free(x);
	X509_free(issuer);
}

/* The answer that is kept about serial 4343, and when it ends. */
static OCSP_BASICRESP *
kept(int64_t *next_update)
{
	char owner[160];
	PGconn *c = PQconnectdb(pg_dsn(&pg, "owner", owner, sizeof(owner)));
	PGresult *r = PQexec(c, "SELECT encode(der, 'hex'), "
	    "extract(epoch FROM next_update)::bigint FROM countersign.ocsp");
	uint8_t der[2048];
	const unsigned char *p = der;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	size_t n;

	assert_int_equal(PQntuples(r), 1);
	n = strlen(PQgetvalue(r, 0, 0)) / 2;
	assert_true(n < sizeof(der));
	assert_int_equal(hex_decode(PQgetvalue(r, 0, 0), der, n), 0);
	*next_update = atoll(PQgetvalue(r, 0, 1));
	PQclear(r);
	PQfinish(c);
	response = d2i_OCSP_RESPONSE(NULL, &p, (long)n);
	assert_non_null(response);
	basic = OCSP_response_get1_basic(response);
	OCSP_RESPONSE_free(response);
	return basic;
}

/* Past the half of its life an answer is made anew, as the status is now. */
static void
answers_ahead(void **state)
{
	OCSP_BASICRESP *basic;
	int64_t end;
	int reason;

	(void)state;
	sql("INSERT INTO countersign.certificate (serial, ca, request_id, "
	    "account, template, subject, san, not_before, not_after, "
	    "spki_sha256, der) VALUES ('\\x4343', 'Fixture', '', 'ann', "
	    "'User', '', '', now(), now() + interval '90 days', '', '')");
	sql("INSERT INTO countersign.ocsp VALUES ('Fixture', '\\x4343', 1, "
	    "now(), now() + interval '1 hour', '')");
	now = time(NULL);
	signer.next_crl = 0;
	look(0);
	basic = kept(&end);
	assert_int_equal(end, now + DAY / 2);
	assert_int_equal(OCSP_single_get0_status(OCSP_resp_get0(basic, 0),
	    NULL, NULL, NULL, NULL), V_OCSP_CERTSTATUS_GOOD);
	OCSP_BASICRESP_free(basic);
	look(DAY / 4 - STEP);
	OCSP_BASICRESP_free(kept(&end));
	assert_int_equal(end, now + DAY / 4 + STEP);	/* not yet */
	/* Revoked behind our back: cert_revoke would have deleted it. */
	sql("INSERT INTO countersign.revoked VALUES ('Fixture', '\\x4343', "
	    "now(), 4, 'infinity')");
	look(2 * STEP);
	basic = kept(&end);
	assert_int_equal(end, now + DAY / 2);
	assert_int_equal(OCSP_single_get0_status(OCSP_resp_get0(basic, 0),
	    &reason, NULL, NULL, NULL), V_OCSP_CERTSTATUS_REVOKED);
	assert_int_equal(reason, 4);
	OCSP_BASICRESP_free(basic);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(when), cmocka_unit_test(crowd),
		cmocka_unit_test(ended_certificates),
		cmocka_unit_test(ledger_guards),
		cmocka_unit_test(clock_backwards),
		cmocka_unit_test(another_signer),
		cmocka_unit_test(answers_ahead), cmocka_unit_test(responder),
	};
	int rc;

	if (!pg_installed("crlmake_test"))
		return 0;
	if (pg_new(&pg) == -1) {
		fprintf(stderr, "crlmake_test: no cluster\n");
		pg_free(&pg);
		return 1;
	}
	rc = cmocka_run_group_tests(tests, set_up, tear_down);
	pg_free(&pg);
	return rc;
}
