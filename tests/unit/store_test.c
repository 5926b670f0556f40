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
#include "commit.h"
#include "pg.h"
#include "store.h"

static struct pg pg;
static char dsn[160];
static struct store *store;

static char ca_name[] = "CA", account[] = "alice", other[] = "bob",
    tmpl_name[] = "User";
static struct ca ca = { .name = ca_name, .of = ca_name };
static struct template tmpl = {
	.cn = tmpl_name, .major = 100, .minor = 3, .pending_expires = 86400
};
static struct request request;
static struct buf spki;

static struct pubkey *
make_key(struct buf *der)
{
	EVP_PKEY *key = fixture_key("P-256");
	unsigned char *p = NULL;
	struct err err = ERR_INIT;
	int n = i2d_PUBKEY(key, &p);
	struct pubkey *k;

	buf_add(der, p, (size_t)n);
	k = pubkey_parse(buf_slice(der), &err);
	assert_non_null(k);
	OPENSSL_free(p);
	EVP_PKEY_free(key);
	return k;
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
	pg_durable(&pg, dsn);
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
	int a, b;

	(void)state;
	assert_int_equal(store_ready(second, &err), -1);
	assert_non_null(strstr(err.text, "another session of signer"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_ready(third, &err), 0);
	a = store_lease(store)->prefix;
	b = store_lease(third)->prefix;
	assert_int_not_equal(a, b);
	assert_int_equal(store_partitions(store, &err), 0);
	store_close(second);
	store_close(third);
}

static void
end_sessions(const char *signer)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(pid, 180000) "
	    "FROM pg_locks WHERE locktype = 'advisory' AND "
	    "objid::bigint & 4294967295 = hashtext('%s')::bigint & 4294967295",
	    signer);
	assert_int_equal(pg_sql(&pg, "countersign", sql), 0);
}

static void
ready_again(struct store *st)
{
	struct err err = ERR_INIT;
	int i;

	for (i = 0; i < 3600 && store_ready(st, &err) == -1; i++) {
		memset(&err, 0, sizeof(err));
		usleep(50000);
	}
	assert_true(i < 3600);
}

/* A process that was away while another had its name. */
static void
taken_over(void **state)
{
	struct store *zombie = store_open(dsn, "signer-3"), *next;
	struct err err = ERR_INIT;
	struct lease l;
	int i;

	(void)state;
	assert_int_equal(store_ready(zombie, &err), 0);
	l = *store_lease(zombie);
	assert_int_equal(l.epoch, 1);
	end_sessions("signer-3");
	ready_again(zombie);
	assert_int_equal(store_lease(zombie)->epoch, 1);
	end_sessions("signer-3");
	next = store_open(dsn, "signer-3");
	ready_again(next);
	assert_int_equal(store_lease(next)->epoch, 2);
	assert_int_equal(store_lease(next)->prefix, l.prefix);
	store_close(next);
	for (i = 0; i < 1200 && !store_fenced(zombie); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(store_ready(zombie, &err), -1);
		usleep(50000);
	}
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_non_null(strstr(err.text, "another one took over"));
	store_close(zombie);
}

static void
rows(void **state)
{
	struct err err = ERR_INIT;
	struct job j[3], *v[] = { &j[0], &j[1], &j[2] };
	struct found f = { NULL, NULL };
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
	struct found f = { NULL, NULL };
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

/* The same message on both sides of midnight; behind the hour it is another. */
static void
one_over_midnight(void **state)
{
	int64_t midnight = ((int64_t)time(NULL) / 86400 + 1) * 86400;
	struct store_key k = { .by_replay_key = true };
	struct job a, b, *v[] = { &a }, *w[] = { &b };
	struct err err = ERR_INIT;
	struct found f = { NULL, NULL };
	bool in_doubt = true;

	(void)state;
	make_job(&a, MSG_ISSUED);
	make_job(&b, MSG_ISSUED);
	memcpy(b.ask.replay_key, a.ask.replay_key, MSG_ID);
	msg_new_id(midnight - 5, a.ask.id);
	msg_new_id(midnight + 5, b.ask.id);
	a.received = (midnight - 5) * 1000000;
	b.received = (midnight + 5) * 1000000;
	assert_int_equal(store_insert(store, v, 1, &in_doubt, &err), 0);
	assert_int_equal(store_insert(store, w, 1, &in_doubt, &err), -1);
	assert_int_equal(err.kind, ERR_INTERNAL);
	commit_put_key(&k, &b);
	memcpy(k.id, b.ask.id, MSG_ID);
	assert_true(k.next_days);
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_find(store, &k, 1, &f, &err), 0);
	assert_int_equal(found_count(&f), 1);
	found_free(&f);
	b.received += 3600 * INT64_C(1000000);
	commit_put_key(&k, &b);
	assert_false(k.next_days);
	assert_int_equal(store_insert(store, w, 1, &in_doubt, &err), 0);
	drop_job(&a);
	drop_job(&b);
}

static size_t
look(struct job *j, char *who, enum auth_method method, uint32_t number)
{
	struct err err = ERR_INIT;
	struct found f = { NULL, NULL };
	struct job q = *j, *v[] = { &q };
	size_t n;

	q.account = who;
	q.ask.method = method;
	q.ask.number = number;
	assert_int_equal(store_query(store, &(struct store_polls){
	    v, 1, 0, UINT16_MAX }, &f, &err), 0);
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

/* One question for many: each row goes to the job that may see it. */
static void
many_polls(void **state)
{
	enum { N = 5 };
	struct err err = ERR_INIT;
	struct found f = { NULL, NULL };
	struct stored s;
	struct job j[2], q[N], *v[] = { &j[0], &j[1] }, *polls[N];
	bool in_doubt, seen[N] = { false };
	size_t i;

	(void)state;
	make_job(&j[0], MSG_PENDING);
	buf_puts(&j[0].response, "signed");
	make_job(&j[1], MSG_ISSUED);
	assert_int_equal(store_insert(store, v, 2, &in_doubt, &err), 0);
	for (i = 0; i < N; i++) {
		q[i] = j[i % 2];
		q[i].ask.number = j[i % 2].number;
		polls[i] = &q[i];
	}
	q[0].account = other;
	q[1].ask.number = 0x80000000u + j[1].number;
	q[4].ask.method = AUTH_ANONYMOUS;
	assert_int_equal(store_query(store, &(struct store_polls){
	    polls, N, 0, UINT16_MAX }, &f, &err), 0);
	assert_int_equal(found_count(&f), 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(found_get(&f, i, &s, &err), 0);
		assert_in_range(found_nth(&f, i), 2, 3);
		assert_false(seen[found_nth(&f, i)]);
		seen[found_nth(&f, i)] = true;
		assert_int_equal(s.number, j[found_nth(&f, i) % 2].number);
		assert_true(slice_is(s.token, "token"));
		assert_true(slice_is(s.response,
		    found_nth(&f, i) == 2 ? "signed" : ""));
		assert_true(slice_is(s.certificate,
		    found_nth(&f, i) == 2 ? "" : "certificate"));
	}
	found_free(&f);
	buf_free(&j[0].response);
	drop_job(&j[0]);
	drop_job(&j[1]);
}

static void
void_serials(void **state)
{
	struct err err = ERR_INIT;
	struct intents l = { 0 };
	struct intent in = { .ca = "CA", .status = MSG_ISSUED };
	struct job j;

	(void)state;
	make_job(&j, MSG_ISSUED);
	memcpy(in.id, j.ask.id, MSG_ID);
	memcpy(in.serial, j.tbs.serial, SERIAL_LEN);
	intents_add(&l, &in);
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
	struct found f = { NULL, NULL };
	struct stored s;
	bool in_doubt;

	(void)state;
	make_job(&j, MSG_PENDING);
	assert_int_equal(store_insert(store, v, 1, &in_doubt, &err), 0);
	make_decision(&d, &j, &p, MSG_ISSUED);
	make_decision(&e, &j, &q, MSG_DENIED);
	assert_int_equal(store_pending(store, &d, &f, &err), 0);
	assert_int_equal(found_count(&f), 1);
	assert_int_equal(found_pending(&f, &s, &err), 0);
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
	struct found f = { NULL, NULL };
	struct stored s;
	struct buf der = { 0 };
	struct pubkey *key = make_key(&der);
	bool in_doubt;

	(void)state;
	assert_int_equal(pg_sql(&pg, "countersign", "SELECT "
	    "countersign.secret_create('{pc.x.example}', '{User}', "
	    "'{4000000000}', '{$argon2id$x}')"), 0);
	make_job(&a, MSG_ISSUED);
	make_job(&b, MSG_ISSUED);
	a.account = b.account = host;
	a.acct = b.acct = &owner;
	a.tbs.key = b.tbs.key = key;
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
	pubkey_free(key);
	buf_free(&der);
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
	    "SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity "
	    "WHERE usename = 'countersign_signer'"), 0);
	if (store_insert(store, v, 1, &in_doubt, &err) == -1) {
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		assert_false(in_doubt);
		ready_again(store);
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
		cmocka_unit_test(taken_over),
		cmocka_unit_test(rows),
		cmocka_unit_test(twice),
		cmocka_unit_test(one_over_midnight),
		cmocka_unit_test(owner_only),
		cmocka_unit_test(many_polls),
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
	request.key = make_key(&spki);
	store = store_open(pg_dsn(&pg, "countersign_signer", dsn,
	    sizeof(dsn)), "signer-1");
	ca.sha256 = digest_new("SHA256");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	digest_free(ca.sha256);
	store_close(store);
	pubkey_free(request.key);
	buf_free(&spki);
	pg_free(&pg);
	return rc;
}
