/*
 * When a revocation list is made and which number it gets, on a real
 * PostgreSQL: not twice, never lower than the ledger knows, never backwards.
 */
#include "lists.h"

#include "cakey_int.h"
#include "journal.h"

static void
slurp(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "r");
	char chunk[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(b, chunk, n);
	fclose(f);
}

static void
when(void **state)
{
	struct crl_state s;

	(void)state;
	assert_int_equal(look(0), 1);		/* there is none yet */
	assert_int_equal(entries(), 0);
	s = state_of();
	assert_int_equal(s.last.this_update, now);
	assert_int_equal(s.last.next_update, now + 4 * DAY);
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
	uint64_t n = state_of().last.number;

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

static int
untold(void)
{
	PGconn *c = PQconnectdb(dsn);
	PGresult *r = PQexec(c, "SELECT count(*) FROM "
	    "countersign.revocation_event WHERE ca = 'Fixture'");
	int n = atoi(PQgetvalue(r, 0, 0));

	PQclear(r);
	PQfinish(c);
	return n;
}

/* So many that requests have their turn between pages of the ledger. */
static void
crowd_in_pages(void **state)
{
	uint64_t n = state_of().last.number;
	int before = entries();

	(void)state;
	sql("INSERT INTO countersign.void_serial SELECT '\\x45'::bytea || "
	    "int4send(i), 'Fixture', '', 'x' FROM generate_series(1, 2500) i");
	assert_int_equal(look(STEP), n);
	assert_int_equal(untold(), 1500);
	assert_true(signer.lists_wait);
	assert_int_equal(signer.next_crl, 0);
	assert_int_equal(look(0), n);
	assert_int_equal(untold(), 500);
	assert_int_equal(look(0), n + 1);
	assert_int_equal(untold(), 0);
	assert_false(signer.lists_wait);
	assert_true(signer.next_crl > 0);
	assert_int_equal(entries(), before + 2500);
	/* Where a list takes three seconds the next has to wait. */
	cas[0]->crl_took = 3;
	sql("SELECT countersign.revocation_next('Fixture')");
	assert_int_equal(look(30), n + 1);
	assert_int_equal(look(1), n + 2);
	cas[0]->crl_took = 600;
	sql("SELECT countersign.revocation_next('Fixture')");
	assert_int_equal(look(59), n + 2);
	assert_int_equal(look(1), n + 3);
	cas[0]->crl_took = 0;
}

/*
 * [RFC5280] 3.3: on one list after the certificate's end, then no more: by the
 * time that the list itself tells.
 */
static void
ended_certificates(void **state)
{
	char text[256];
	int before = entries();

	(void)state;
	snprintf(text, sizeof(text), "INSERT INTO countersign.revoked VALUES "
	    "('Fixture', '\\x44', now(), 1, to_timestamp(%lld), " NEXT ")",
	    (long long)now + STEP + 1 - ISSUED_EARLY);
	sql(text);
	look(STEP);
	assert_int_equal(entries(), before + 1);	/* still valid */
	sql("SELECT countersign.revocation_next('Fixture')");
	look(STEP);
	assert_int_equal(entries(), before + 1);	/* the first after */
	sql("SELECT countersign.revocation_next('Fixture')");
	look(STEP);
	assert_int_equal(entries(), before);
}

/* [RFC5280] 5.2.3: reconcile has found it in a ledger, but no row of it. */
static void
number_was_told(void **state)
{
	uint64_t n = state_of().last.number + 5;
	char text[128];

	(void)state;
	snprintf(text, sizeof(text), "UPDATE countersign.revocation_change "
	    "SET told = %llu WHERE ca = 'Fixture'", (unsigned long long)n);
	sql(text);
	sql("SELECT countersign.revocation_next('Fixture')");
	look(STEP);
	assert_int_equal(state_of().last.number, n + 1);
	sql("SELECT countersign.revocation_next('Fixture')");
	look(STEP);
	assert_int_equal(state_of().last.number, n + 2);
}

#define NO_KEEP(x) "ALTER TABLE countersign.crl DISABLE TRIGGER keep; " \
	"ALTER TABLE countersign.crl DISABLE TRIGGER crl_check; " x \
	"; ALTER TABLE countersign.crl ENABLE TRIGGER keep; " \
	"ALTER TABLE countersign.crl ENABLE TRIGGER crl_check"

/* A restored database is behind: no list until everything is back. */
static void
ledger_guards(void **state)
{
	uint64_t n = state_of().last.number;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(journal_sync(&signer, &err), 0);
	sql("CREATE TABLE countersign.saved AS SELECT * FROM countersign.crl "
	    "WHERE number > 1");
	sql(NO_KEEP("DELETE FROM countersign.crl WHERE number > 1; "
	    "SELECT countersign.revocation_next('Fixture')"));
	assert_int_equal(rollback_check(&signer, &err), -1);
	assert_non_null(strstr(err.text, "run countersign reconcile"));
	assert_int_equal(look(STEP), 1);
	/* After a restart, too: the ledger has the number. */
	close_signer();
	cas[0]->crl_number = cas[0]->crl_listed = 0;
	memset(&err, 0, sizeof(err));
	assert_int_equal(start_signer(&err), 0);
	assert_true(signer.rolled_back);
	assert_int_equal(cas[0]->crl_number, n);
	assert_int_equal(cas[0]->crl_listed, n);
	assert_int_equal(look(STEP), 1);
	/* The row alone is not enough: somebody must say that it is all. */
	sql(NO_KEEP("INSERT INTO countersign.crl SELECT * FROM "
	    "countersign.saved; DROP TABLE countersign.saved"));
	assert_int_equal(look(STEP), n);
	sql("UPDATE countersign.rollback SET ended_at = now()");
	assert_int_equal(look(STEP), n + 1);
	assert_false(signer.rolled_back);
	/* Signed, and lost in a crash before it was committed. */
	cas[0]->crl_number = n + 5;
	sql("SELECT countersign.revocation_next('Fixture')");
	assert_int_equal(look(STEP), n + 6);
}

/* A revocation is in the ledger before the list that tells it. */
static void
revocations_are_told(void **state)
{
	struct buf path = { 0 }, text = { 0 };
	struct err err = ERR_INIT;
	char *event, *list;

	(void)state;
	sql("INSERT INTO countersign.void_serial (serial, ca, request_id, "
	    "signer) VALUES ('\\x4455', 'Fixture', '\\x00', 'signer-9')");
	look(STEP);
	assert_int_equal(journal_sync(&signer, &err), 0);
	buf_printf(&path, "%s/ledger", dir);
	slurp(buf_str(&path), &text);
	event = strstr(buf_str(&text), "\"serial\":\"4455\"");
	assert_non_null(event);
	assert_non_null(list = strstr(event, "\"type\":\"crl\""));
	assert_non_null(strstr(list, "\"type\":\"listed\""));
	sql("DO $$ BEGIN IF EXISTS (SELECT FROM countersign.revocation_event) "
	    "THEN RAISE 'still there'; END IF; END $$");
	buf_free(&path);
	buf_free(&text);
}

static unsigned
lines_of_ledger(const char *with)
{
	struct buf path = { 0 }, text = { 0 };
	const char *at;
	unsigned n = 0;

	buf_printf(&path, "%s/ledger", dir);
	slurp(buf_str(&path), &text);
	for (at = buf_str(&text); (at = strstr(at, with)) != NULL; at++)
		n++;
	buf_free(&path);
	buf_free(&text);
	return n;
}

/* Everybody may ask OCSP as often as he likes: the ledger grows once. */
static void
revocation_is_told_once(void **state)
{
	struct slice serial = slice_of("\x44\x56", 2);
	struct err err = ERR_INIT;
	int i;

	(void)state;
	sql("INSERT INTO countersign.void_serial (serial, ca, request_id, "
	    "signer) VALUES ('\\x4456', 'Fixture', '\\x00', 'signer-9')");
	for (i = 0; i < 3; i++)
		assert_int_equal(journal_revocation_of(&signer, cas[0],
		    serial, &err), 0);
	assert_int_equal(lines_of_ledger("\"serial\":\"4456\""), 1);
	look(STEP);
	assert_int_equal(lines_of_ledger("\"serial\":\"4456\""), 1);
}

static void
clock_backwards(void **state)
{
	uint64_t n = state_of().last.number;

	(void)state;
	sql("SELECT countersign.revocation_next('Fixture')");
	signer.next_crl = 0;
	crl_round(&signer, now - 10 * DAY);
	assert_int_equal(state_of().last.number, n);
	signer.next_crl = 0;
	assert_int_equal(look(STEP), n + 1);
}

/* One at a time: the lock of the CA is somebody else's. */
static void
another_signer(void **state)
{
	uint64_t n = state_of().last.number;
	struct store *other = store_open(dsn, "signer-2");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(store_crl_begin(other, "Fixture", &err), 1);
	sql("INSERT INTO countersign.void_serial (serial, ca, request_id, "
	    "signer) VALUES ('\\x4457', 'Fixture', '\\x00', 'signer-9')");
	assert_int_equal(look(STEP), n);
	store_crl_rollback(other);
	/* Nor do both copy what was revoked, with nobody left to issue. */
	assert_int_equal(store_crl_claim(other, "Fixture", &err), 1);
	assert_int_equal(look(STEP), n);
	assert_int_equal(lines_of_ledger("\"serial\":\"4457\""), 0);
	store_crl_yield(other, "Fixture");
	assert_int_equal(look(STEP), n + 1);
	assert_int_equal(lines_of_ledger("\"serial\":\"4457\""), 1);
	/* It was given back. */
	assert_int_equal(store_crl_claim(other, "Fixture", &err), 1);
	store_close(other);
}

#define FILLED 20000		/* rows; a page has fewer than half of them */

/* A list as long as that; the first page of it is read. */
static uint64_t
begin_long(void)
{
	uint64_t n = state_of().last.number;

	sql("INSERT INTO countersign.revoked SELECT 'Fixture', "
	    "'\\x46'::bytea || int4send(i), now(), 1, 'infinity', 1 "
	    "FROM generate_series(1, 20000) i ON CONFLICT DO NOTHING");
	sql("SELECT countersign.revocation_next('Fixture')");
	assert_int_equal(look(60 + STEP), n);
	assert_true(signer.lists_wait);
	assert_int_equal(signer.next_crl, 0);
	return n;
}

/* Parts that belong to no list. */
static void
nothing_half_done(void)
{
	sql("DO $$ BEGIN IF EXISTS (SELECT FROM countersign.crl_part p "
	    "WHERE NOT EXISTS (SELECT FROM countersign.crl c "
	    "WHERE c.ca = p.ca AND c.number = p.number)) "
	    "THEN RAISE 'a part'; END IF; END $$");
}

/* Batches come between its pages; what they commit is for the next one. */
static void
long_list(void **state)
{
	struct store *other = store_open(dsn, "signer-2");
	struct err err = ERR_INIT;
	int before = entries();
	uint64_t n = begin_long();
	int64_t begun = now;

	(void)state;
	look(1);
	assert_int_equal(store_barrier(signer.store, &err), 0);
	sql("INSERT INTO countersign.void_serial VALUES ('\\x4601', "
	    "'Fixture', '', 'x')");
	assert_int_equal(store_crl_claim(other, "Fixture", &err), 0);
	assert_true(to_the_end() >= 3);
	assert_int_equal(state_of().last.number, n + 1);
	assert_int_equal(state_of().last.this_update, begun);
	assert_int_equal(entries(), before + FILLED);
	assert_true(signer.next_crl > 0);
	assert_int_equal(store_crl_claim(other, "Fixture", &err), 1);
	store_crl_yield(other, "Fixture");
	look(60 + STEP);
	to_the_end();
	assert_int_equal(state_of().last.number, n + 2);
	assert_int_equal(entries(), before + FILLED + 1);
	nothing_half_done();
	store_close(other);
}

/* The process ends between two pages. */
static void
long_list_left(void **state)
{
	uint64_t n = begin_long();

	(void)state;
	look(1);
	look(1);
	look(1);		/* entries have been stored by now */
	assert_true(signer.lists_wait);
	assert_int_equal(state_of().last.number, n);
	close_signer();
	open_signer();
	nothing_half_done();
	look(1);
	to_the_end();
	assert_int_equal(state_of().last.number, n + 1);
	nothing_half_done();
}

static void
as_root(const char *text)
{
	assert_int_equal(pg_sql(&pg, "postgres", text), 0);
}

static void
end_sessions(const char *which)
{
	char text[256];

	snprintf(text, sizeof(text), "SELECT pg_terminate_backend(pid, "
	    "180000) FROM pg_stat_activity WHERE usename = "
	    "'countersign_signer' AND state %s 'idle in transaction'", which);
	as_root(text);
}

/* Its session, or the one that knows of the batches, ends. */
static void
long_list_lost(void **state)
{
	const char *which[] = { "=", "<>" };
	uint64_t n;
	int i, tries;

	(void)state;
	for (i = 0; i < 2; i++) {
		n = begin_long();
		as_root("DROP TABLE IF EXISTS old; CREATE TABLE old AS "
		    "SELECT pid FROM pg_stat_activity "
		    "WHERE usename = 'countersign_signer'");
		end_sessions(which[i]);
		for (tries = 0; signer.turn != NULL; tries++) {
			assert_true(tries < 100);
			look(1);
			assert_int_equal(state_of().last.number, n);
		}
		nothing_half_done();
		do {
			assert_true(tries++ < 200);
			look(1);
			to_the_end();
		} while (state_of().last.number == n);
		assert_int_equal(state_of().last.number, n + 1);
	}
	/* One follows the other to another server. */
	as_root("DO $$ BEGIN IF EXISTS (SELECT FROM old "
	    "JOIN pg_stat_activity USING (pid)) THEN RAISE 'it stayed'; "
	    "END IF; END $$");
}

/* A database that is busy is asked again, as by whoever needs an answer. */
static struct responder *
get(int64_t at)
{
	struct responder *r = NULL;
	struct err err;
	int i;

	for (i = 0; r == NULL && i < 600; i++) {
		memset(&err, 0, sizeof(err));
		r = responder_get(&signer, cas[0], at, &err);
		if (r != NULL || err.kind != ERR_UNAVAILABLE)
			break;
		usleep(100000);
	}
	if (r == NULL)
		fail_msg("%s", err.text);
	return r;
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
	/* A list has made one already: later, so that the times differ. */
	responder_free(cas[0]->responder);
	cas[0]->responder = NULL;
	now = time(NULL) + 60;
	one = get(now);
	assert_ptr_equal(one, get(now + DAY));
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
	two = get(now + 8 * DAY);
	assert_int_equal(responder_not_after(two), now + 22 * DAY);
	/* Never beyond the CA itself, and not for a CA that has ended. */
	two = get(cas[0]->not_after - DAY);
	assert_int_equal(responder_not_after(two), cas[0]->not_after);
	assert_null(responder_get(&signer, cas[0], cas[0]->not_after + 9 * DAY,
	    &err));
	X509_free(x);
	X509_free(issuer);
}

/* A token that is away: what there is lasts; what there is not costs nothing. */
static void
responder_without_key(void **state)
{
	static void *token[128];
	struct cakey *key = cas[0]->key, away = *key;
	struct err err = ERR_INIT;
	struct responder *one;
	unsigned n;
	int i;

	(void)state;
	one = get(now);
	n = lines_of_ledger("\"type\":\"responder\"");
	away.token = (struct tokenkey *)token;
	away.next_try = INT64_MAX;
	strcpy(away.why, "token: is away");
	cas[0]->key = &away;
	assert_ptr_equal(get(now + 13 * DAY), one);
	assert_null(responder_get(&signer, cas[0], now + 14 * DAY, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_string_equal(err.text, "token: is away");
	responder_free(one);
	cas[0]->responder = NULL;
	for (i = 0; i < 3; i++)
		assert_null(responder_get(&signer, cas[0], now, &err));
	assert_int_equal(lines_of_ledger("\"type\":\"responder\""), n);
	cas[0]->key = key;
	(void)get(now);
	assert_int_equal(lines_of_ledger("\"type\":\"responder\""), n + 1);
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
	    "now(), 4, 'infinity', 1)");
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
		cmocka_unit_test(number_was_told),
		cmocka_unit_test(ledger_guards),
		cmocka_unit_test(revocations_are_told),
		cmocka_unit_test(revocation_is_told_once),
		cmocka_unit_test(clock_backwards),
		cmocka_unit_test(another_signer),
		cmocka_unit_test(crowd_in_pages),
		cmocka_unit_test(long_list), cmocka_unit_test(long_list_left),
		cmocka_unit_test(long_list_lost),
		cmocka_unit_test(answers_ahead), cmocka_unit_test(responder),
		cmocka_unit_test(responder_without_key),
	};

	return RUN_LISTS("crlmake_test", tests);
}
