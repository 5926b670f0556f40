/*
 * The signer's rows in a real PostgreSQL: settings, fencing, one transaction,
 * what a repeated request finds, and who may look a number up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "approval.h"
#include "ca_fixture.h"
#include "pg.h"
#include "store.h"

static struct pg pg;
static char dsn[160];
static struct store *store;

static char ca_name[] = "CA", account[] = "alice", other[] = "bob",
    tmpl_name[] = "User";
static struct ca ca = { .name = ca_name };
static struct template tmpl = {
	.cn = tmpl_name, .major = 100, .minor = 3, .pending_expires = 86400
};
static struct request request;
static struct buf spki;

/* pg.h starts it with fsync off; the signer must see it on. */
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
make_key(void)
{
	EVP_PKEY *key = fixture_key("P-256");
	unsigned char *der = NULL;
	struct err err = ERR_INIT;
	int n = i2d_PUBKEY(key, &der);

	buf_add(&spki, der, (size_t)n);
	request.key = pubkey_parse(buf_slice(&spki), &err);
	assert_non_null(request.key);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

/* A job as it is when its row is to be written. */
static void
make_job(struct job *j, enum msg_status status)
{
	static uint32_t number = 1000;
	struct err err = ERR_INIT;
	int64_t now = (int64_t)time(NULL);

	memset(j, 0, sizeof(*j));
	j->state = JOB_RECORD;
	j->status = status;
	msg_new_id(now, j->ask.id);
	memcpy(j->row_id, j->ask.id, MSG_ID);
	msg_new_id(now, j->ask.replay_key);
	j->ask.call = CALL_ISSUE;
	j->ask.method = AUTH_PASSWORD;
	j->ask.token = slice_str("token");
	j->ask.address = slice_str("192.0.2.1");
	strcpy(j->link.worker, "web-1");
	j->received = j->decided = now * 1000000;
	j->account = account;
	j->ca = &ca;
	j->req = &request;
	j->tbs.key = request.key;
	j->tmpl = status == MSG_DENIED ? NULL : &tmpl;
	j->number = number++;
	j->hresult = status == MSG_DENIED ? 0x80094012u : 0;
	strcpy(j->text, status == MSG_DENIED ? "no \xc3\xa9" : "Issued");
	buf_puts(&j->subject, "CN=Alice");
	j->tbs.not_before = now - 600;
	j->tbs.not_after = now + 86400;
	assert_int_equal(serial_new(now, 1, j->tbs.serial, &err), 0);
	buf_puts(&j->cert, "certificate");
}

static void
drop_job(struct job *j)
{
	buf_free(&j->subject);
	buf_free(&j->cert);
}

static size_t
count_found(const struct job *j, bool by_replay_key, struct stored *out,
    struct found *f)
{
	struct store_key k = { .by_replay_key = by_replay_key };
	struct err err = ERR_INIT;

	/* With a replay key: another id, as of a new attempt. */
	memcpy(k.id, j->ask.id, MSG_ID);
	if (by_replay_key)
		msg_new_id((int64_t)time(NULL), k.id);
	memcpy(k.replay_key, j->ask.replay_key, MSG_ID);
	assert_int_equal(store_find(store, &k, 1, f, &err), 0);
	if (found_count(f) > 0)
		assert_int_equal(found_get(f, 0, out, &err), 0);
	return found_count(f);
}

static void
needs_fsync(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(store_ready(store, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(err.text, "database: fsync is off, must be on");
	start_durable();
	usleep(300000);		/* db.h waits between attempts */
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_ready(store, &err), 0);
}

static void
one_of_a_name(void **state)
{
	struct store *second = store_open(dsn, "signer-1");
	struct store *third = store_open(dsn, "signer-2");
	struct err err = ERR_INIT;
	uint16_t a, b, c;

	(void)state;
	assert_int_equal(store_ready(second, &err), -1);
	assert_non_null(strstr(err.text, "another session of signer"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_ready(third, &err), 0);
	assert_int_equal(store_register(store, &a, &err), 0);
	assert_int_equal(store_register(third, &b, &err), 0);
	assert_int_equal(store_register(store, &c, &err), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(a, c);
	assert_int_equal(store_partitions(store, &err), 0);
	store_close(second);
	store_close(third);
}

static void
rows(void **state)
{
	struct err err = ERR_INIT;
	struct job j[3], *v[] = { &j[0], &j[1], &j[2] };
	struct found f = { NULL };
	struct stored s;
	uint8_t md[32];
	bool in_doubt;
	int i;

	(void)state;
	make_job(&j[0], MSG_ISSUED);
	make_job(&j[1], MSG_PENDING);
	make_job(&j[2], MSG_DENIED);
	assert_int_equal(store_insert(store, v, 3, &in_doubt, &err), 0);
	assert_int_equal(count_found(&j[0], false, &s, &f), 1);
	assert_int_equal(s.status, MSG_ISSUED);
	assert_int_equal(s.number, j[0].number);
	assert_true(slice_is(s.account, "alice"));
	assert_true(slice_is(s.ca, "CA"));
	assert_true(slice_is(s.template_name, "User"));
	assert_true(slice_is(s.certificate, "certificate"));
	assert_true(slice_eq(s.serial, slice_of(j[0].tbs.serial,
	    SERIAL_LEN)));
	EVP_Digest("token", 5, md, NULL, EVP_sha256(), NULL);
	assert_true(slice_eq(s.token_sha256, slice_of(md, 32)));
	assert_int_equal(s.received, j[0].received / 1000000);
	found_free(&f);
	assert_int_equal(count_found(&j[0], true, &s, &f), 1);
	found_free(&f);
	assert_int_equal(count_found(&j[1], true, &s, &f), 1);
	assert_int_equal(s.status, MSG_PENDING);
	assert_int_equal(s.certificate.n, 0);
	found_free(&f);
	/* A refusal is found by its id, not by its message: ask again. */
	assert_int_equal(count_found(&j[2], true, &s, &f), 0);
	found_free(&f);
	assert_int_equal(count_found(&j[2], false, &s, &f), 1);
	assert_int_equal(s.hresult, 0x80094012u);
	assert_true(slice_is(s.text, "no \xc3\xa9"));
	found_free(&f);
	for (i = 0; i < 3; i++)
		drop_job(&j[i]);
}

/* All or nothing, and the failure is known to be one. */
static void
twice(void **state)
{
	struct err err = ERR_INIT;
	struct job a, b, *first[] = { &a }, *v[] = { &b, &a };
	struct found f = { NULL };
	struct stored s;
	bool in_doubt = true;

	(void)state;
	make_job(&a, MSG_ISSUED);
	make_job(&b, MSG_ISSUED);
	assert_int_equal(store_insert(store, first, 1, &in_doubt, &err), 0);
	assert_int_equal(store_insert(store, v, 2, &in_doubt, &err), -1);
	assert_false(in_doubt);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_int_equal(count_found(&b, false, &s, &f), 0);
	found_free(&f);
	/* Another id with the replay key of what was issued: refused too. */
	memset(&err, 0, sizeof(err));
	memcpy(b.ask.replay_key, a.ask.replay_key, MSG_ID);
	assert_int_equal(store_insert(store, v, 1, &in_doubt, &err), -1);
	drop_job(&a);
	drop_job(&b);
}

static size_t
look(struct job *j, char *who, enum auth_method method, uint32_t number)
{
	struct err err = ERR_INIT;
	struct found f = { NULL };
	struct job q = *j;
	size_t n;

	q.account = who;
	q.ask.method = method;
	q.ask.number = number;
	assert_int_equal(store_query(store, &q, &f, &err), 0);
	n = found_count(&f);
	found_free(&f);
	return n;
}

static void
owner_only(void **state)
{
	struct err err = ERR_INIT;
	struct job j, *v[] = { &j };
	bool in_doubt;

	(void)state;
	make_job(&j, MSG_PENDING);
	assert_int_equal(store_insert(store, v, 1, &in_doubt, &err), 0);
	assert_int_equal(look(&j, account, AUTH_PASSWORD, j.number), 1);
	assert_int_equal(look(&j, account, AUTH_CERTIFICATE, j.number), 1);
	assert_int_equal(look(&j, account, AUTH_ANONYMOUS, j.number), 0);
	assert_int_equal(look(&j, account, AUTH_OPERATOR, j.number), 0);
	assert_int_equal(look(&j, other, AUTH_PASSWORD, j.number), 0);
	assert_int_equal(look(&j, account, AUTH_PASSWORD, j.number + 1), 0);
	drop_job(&j);
}

static void
void_serials(void **state)
{
	struct err err = ERR_INIT;
	struct intents l = { 0 };
	struct job j;

	(void)state;
	make_job(&j, MSG_ISSUED);
	intents_add(&l, j.ask.id, j.tbs.serial, "CA");
	assert_int_equal(store_void(store, &l, &err), 0);
	assert_int_equal(store_void(store, &l, &err), 0);	/* a crash */
	assert_int_equal(pg_sql(&pg, "countersign", "DO $$ BEGIN "
	    "IF (SELECT count(*) FROM countersign.void_serial) <> 1 THEN "
	    "RAISE 'not one'; END IF; END $$"), 0);
	assert_int_equal(store_barrier(store, &err), 0);
	intents_free(&l);
	drop_job(&j);
}

/* The job that decides a pending one. */
static void
make_decision(struct job *d, const struct job *j, struct pending *p,
    enum msg_status status)
{
	static char approver[] = "operator:root", none[] = "";

	make_job(d, status);
	memcpy(d->row_id, j->row_id, MSG_ID);
	d->ask.call = status == MSG_ISSUED ? CALL_APPROVE : CALL_DENY;
	memcpy(d->ask.verdict.request, j->row_id, MSG_ID);
	d->number = j->number;
	d->tmpl = &tmpl;
	memset(p, 0, sizeof(*p));
	p->approver = approver;
	p->reason = none;
	d->pending = p;
}

static void
decided_once(void **state)
{
	struct store *second = store_open(dsn, "signer-2");
	struct err err = ERR_INIT;
	struct job j, d, e, *v[] = { &j }, *vd[] = { &d }, *ve[] = { &e };
	struct pending p, q;
	struct found f = { NULL };
	struct stored s;
	bool in_doubt;

	(void)state;
	make_job(&j, MSG_PENDING);
	assert_int_equal(store_insert(store, v, 1, &in_doubt, &err), 0);
	make_decision(&d, &j, &p, MSG_ISSUED);
	make_decision(&e, &j, &q, MSG_DENIED);
	assert_int_equal(store_pending(store, &d, &f, &err), 0);
	assert_int_equal(found_count(&f), 1);
	assert_int_equal(found_get(&f, 0, &s, &err), 0);
	assert_true(slice_is(s.token, "token"));
	assert_true(slice_eq(s.submitted_sha256, s.token_sha256));
	assert_int_equal(s.method, AUTH_PASSWORD);
	assert_int_equal(s.expires, s.received + tmpl.pending_expires);
	found_free(&f);
	assert_int_equal(store_reserve(store, vd, 1, &err), 0);
	assert_true(d.reserved);
	/* Another signer waits, but not for ever. */
	assert_int_equal(store_reserve(second, ve, 1, &err), -1);
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_insert(store, vd, 1, &in_doubt, &err), 0);
	assert_int_equal(store_reserve(second, ve, 1, &err), 0);
	assert_false(e.reserved);
	store_release(second);
	assert_int_equal(store_insert(second, ve, 1, &in_doubt, &err), -1);
	assert_false(in_doubt);
	assert_int_equal(count_found(&j, false, &s, &f), 1);
	assert_int_equal(s.status, MSG_ISSUED);
	assert_true(slice_eq(s.decision_id, slice_of(d.ask.id, MSG_ID)));
	assert_true(slice_is(s.certificate, "certificate"));
	found_free(&f);
	drop_job(&j);
	drop_job(&d);
	drop_job(&e);
	store_close(second);
}

/* A secret is spent with the row: both or neither. */
static void
spent_once(void **state)
{
	static char host[] = "pc.x.example";
	struct account owner = { .name = host, .one_time = tmpl_name };
	struct err err = ERR_INIT;
	struct job a, b, *both[] = { &a, &b }, *va[] = { &a }, *vb[] = { &b };
	struct found f = { NULL };
	struct stored s;
	bool in_doubt;

	(void)state;
	assert_int_equal(pg_sql(&pg, "countersign", "SELECT "
	    "countersign.secret_create('{pc.x.example}', '{User}', "
	    "'{4000000000}', '{$argon2id$x}')"), 0);
	make_job(&a, MSG_ISSUED);
	make_job(&b, MSG_ISSUED);
	a.account = b.account = host;
	a.acct = b.acct = &owner;
	/* Of two in one batch the first. */
	assert_int_equal(store_reserve(store, both, 2, &err), 0);
	assert_true(a.reserved);
	assert_false(b.reserved);
	store_release(store);
	assert_int_equal(store_reserve(store, vb, 1, &err), 0);
	assert_true(b.reserved);
	assert_int_equal(store_insert(store, vb, 1, &in_doubt, &err), 0);
	assert_int_equal(store_reserve(store, va, 1, &err), 0);
	assert_false(a.reserved);
	store_release(store);
	assert_int_equal(store_insert(store, va, 1, &in_doubt, &err), -1);
	assert_int_equal(count_found(&a, false, &s, &f), 0);
	found_free(&f);
	drop_job(&a);
	drop_job(&b);
}

/* A new session is set up again; half a batch never goes into it. */
static void
lost_session(void **state)
{
	struct err err = ERR_INIT;
	struct job j, *v[] = { &j };
	bool in_doubt = true;

	(void)state;
	make_job(&j, MSG_ISSUED);
	assert_int_equal(pg_sql(&pg, "postgres",
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	    "WHERE usename = 'countersign_signer'"), 0);
	usleep(100000);
	if (store_insert(store, v, 1, &in_doubt, &err) == -1) {
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		assert_false(in_doubt);
		usleep(300000);
		memset(&err, 0, sizeof(err));
		assert_int_equal(store_insert(store, v, 1, &in_doubt, &err),
		    0);
	}
	assert_int_equal(store_settings(store, &err), 0);
	drop_job(&j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(needs_fsync),
		cmocka_unit_test(one_of_a_name),
		cmocka_unit_test(rows),
		cmocka_unit_test(twice),
		cmocka_unit_test(owner_only),
		cmocka_unit_test(decided_once),
		cmocka_unit_test(spent_once),
		cmocka_unit_test(void_serials),
		cmocka_unit_test(lost_session),
	};
	int rc;

	if (!pg_installed("store_test"))
		return 0;
	if (pg_new(&pg) == -1) {
		fprintf(stderr, "store_test: no cluster\n");
		pg_free(&pg);
		return 1;
	}
	make_key();
	store = store_open(pg_dsn(&pg, "countersign_signer", dsn,
	    sizeof(dsn)), "signer-1");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	store_close(store);
	pubkey_free(request.key);
	buf_free(&spki);
	pg_free(&pg);
	return rc;
}
