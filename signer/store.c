/*
 * The signer's PostgreSQL: sessions and the lease, look-ups before a
 * decision, the transaction after the signatures.  Statements of its other
 * files stand in store_int.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "airgap.h"
#include "cmcresp.h"
#include "failpoint.h"
#include "rows.h"
#include "store_int.h"
#include "store_key.h"

#define LOCK_CLASS	"71200103"	/* cli/ledger_sql.h has it, too */
#define OID_BYTEA	17
#define CLOCKS_APART	60	/* seconds, as of messages: job_open.c */

/* Keys, the condition on a row r, and days: as in ISSUED_STMT. */
#define FIND(keys, condition)						\
	"SELECT r.* FROM unnest(" keys ") k(day, key) "			\
	"CROSS JOIN LATERAL (SELECT " STORED " FROM countersign.request r " \
	"WHERE r.day = k.day AND r.day BETWEEN $5::int4 AND $6::int4 "	\
	"AND " condition " LIMIT 1) r"

/* Every statement this program ever runs, COPY aside. */
static const struct db_stmt statements[] = {
	{ "session", "SELECT " DB_PLANS ", "
	    "set_config('lock_timeout', '2s', false), "
	    "set_config('default_transaction_isolation', 'read committed', "
	    "false), "
	    "set_config('countersign.one_account', 'on', false)", 0 },
	{ "lock", "SELECT pg_try_advisory_lock(" LOCK_CLASS ", hashtext($1))",
	    1 },
	{ "settings", "SELECT current_setting('fsync'), "
	    "current_setting('full_page_writes'), "
	    "current_setting('synchronous_commit'), "
	    "extract(epoch FROM clock_timestamp())::bigint", 0 },
	{ "lease", "SELECT prefix, epoch FROM "
	    "countersign.signer_lease($1, $2)", 2 },
	{ "partitions", "SELECT countersign.make_partitions()", 0 },
	{ "find", FIND("$1::int4[], $2::bytea[]", "r.id = k.key")
	    " UNION ALL " FIND("$3::int4[], $4::bytea[]",
	    "r.replay_key = k.key AND r.state <> 'denied'")
	    " UNION ALL SELECT " STORED_OWNER " FROM (SELECT u.key, "
	    "o.account FROM unnest($7::bytea[]) u(key) CROSS JOIN LATERAL "
	    "(SELECT o.account FROM countersign.key_owner o "
	    "WHERE o.spki_sha256 = u.key LIMIT 1) o) k", 7 },
	POLL_STATEMENTS,
	APPROVAL_STATEMENTS, KEY_STATEMENTS, AIRGAP_STATEMENTS,
	ISSUED_STMT, EARLIER_STMT,
	{ "void", "INSERT INTO countersign.void_serial "
	    "(serial, ca, request_id, signer) VALUES ($1, $2, $3, $4) "
	    "ON CONFLICT DO NOTHING", 4 },
	REVOCATION_STATEMENTS, LEDGER_STATEMENTS,
	{ NULL, NULL, 0 }
};

struct store *
store_open(const char *dsn, const char *signer)
{
	struct store *st = xcalloc(1, sizeof(*st));

	st->db = db_open(dsn, statements, NULL);
	st->signer = xstrdup(signer);
	return st;
}

struct store *
store_beside(const char *dsn, const char *signer)
{
	struct store *st = store_open(dsn, signer);

	st->beside = true;
	return st;
}

void
store_follow(struct store *st, const struct store *first)
{
	if (st->followed == first->sessions)
		return;
	db_follow(st->db, first->db);
	st->followed = first->sessions;
}

void
store_close(struct store *st)
{
	if (st == NULL)
		return;
	db_close(st->db);
	free(st->signer);
	free(st);
}

int
store_run(struct store *st, const char *stmt, const struct db_param *p, int n,
    struct err *err)
{
	PGresult *r = db_exec(st->db, stmt, p, n, err);

	PQclear(r);
	return r == NULL ? -1 : 0;
}

static int
need(const char *setting, const char *value, const char *good,
    const char *also, struct err *err)
{
	if (strcmp(value, good) == 0 || strcmp(value, also) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "database: %s is %s, must be %s",
	    setting, value, good);
}

/*
 * A signer whose clock alone is wrong would sign lists from the future, after
 * which no other can make one.
 */
static int
compare_clocks(const char *theirs, struct err *err)
{
	int64_t ahead = (int64_t)time(NULL) - strtoll(theirs, NULL, 10);

	if (ahead <= CLOCKS_APART && ahead >= -CLOCKS_APART)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "clock is %lld s %s the "
	    "database's: set it", (long long)(ahead < 0 ? -ahead : ahead),
	    ahead < 0 ? "behind" : "ahead of");
}

int
store_settings(struct store *st, struct err *err)
{
	PGresult *r = db_exec(st->db, "settings", NULL, 0, err);
	int rc = -1;

	if (r != NULL &&
	    need("fsync", PQgetvalue(r, 0, 0), "on", "on", err) == 0 &&
	    need("full_page_writes", PQgetvalue(r, 0, 1), "on", "on",
	    err) == 0 &&
	    need("synchronous_commit", PQgetvalue(r, 0, 2), "on",
	    "remote_apply", err) == 0 &&
	    compare_clocks(PQgetvalue(r, 0, 3), err) == 0)
		rc = 0;
	else
		st->session = false;
	PQclear(r);
	return rc;
}

static int
take_lock(struct store *st, struct err *err)
{
	struct db_param p[] = { DB_TEXT(st->signer) };
	PGresult *r = db_exec(st->db, "lock", p, 1, err);
	bool got;

	if (r == NULL)
		return -1;
	got = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
	PQclear(r);
	if (got)
		return 0;
	/*
	 * It may be ours: at a former primary it waits for ever for a standby
	 * that has left it.
	 */
	db_next_host(st->db);
	return err_set(err, ERR_UNAVAILABLE, "database: another session of "
	    "signer %s is open", st->signer);
}

static int
ask_lease(struct store *st, bool take, struct lease *out, struct err *err)
{
	char held[24];
	struct db_param p[] = { DB_TEXT(st->signer),
	    take ? DB_TEXT(held) : DB_TEXT(NULL) };
	PGresult *r;

	snprintf(held, sizeof(held), "%lld", (long long)st->lease.epoch);
	if ((r = db_exec(st->db, "lease", p, 2, err)) == NULL)
		return -1;
	out->prefix = (uint16_t)atoi(PQgetvalue(r, 0, 0));
	out->epoch = atoll(PQgetvalue(r, 0, 1));
	PQclear(r);
	return 0;
}

/* Durable before it is used: no epoch is given out twice. */
static int
take_lease(struct store *st, struct err *err)
{
	struct lease l;
	bool in_doubt;

	if (db_begin(st->db, err) == -1)
		return -1;
	if (ask_lease(st, true, &l, err) == -1) {
		db_rollback(st->db);
		return -1;
	}
	if (db_commit(st->db, &in_doubt, err) == -1)
		return -1;
	st->lease = l;
	return 0;
}

static int
check_lease(struct store *st, struct err *err)
{
	struct lease l;

	if (st->lease.epoch == 0)
		return take_lease(st, err);
	if (ask_lease(st, false, &l, err) == -1)
		return -1;
	if (l.epoch == st->lease.epoch)
		return 0;
	/* An older database: whether it may be used others say. */
	if (l.epoch < st->lease.epoch)
		return take_lease(st, err);
	st->fenced = true;
	return err_set(err, ERR_INTERNAL, "database: the lease of signer %s "
	    "has epoch %lld, this process holds %lld: another one took over",
	    st->signer, (long long)l.epoch, (long long)st->lease.epoch);
}

int
store_ready(struct store *st, struct err *err)
{
	int changed = db_changed(st->db, err);

	if (changed == 0 && st->session)
		return 0;
	st->session = false;
	if (changed == -1 ||
	    store_run(st, "session", NULL, 0, err) == -1 ||
	    (!st->beside && take_lock(st, err) == -1) ||
	    store_settings(st, err) == -1 ||
	    (!st->beside && check_lease(st, err) == -1))
		return -1;
	st->session = true;
	st->settled = 0;
	st->sessions++;
	return 0;
}

unsigned long
store_session(const struct store *st)
{
	return st->sessions;
}

const struct lease *
store_lease(const struct store *st)
{
	return &st->lease;
}

bool
store_fenced(const struct store *st)
{
	return st->fenced;
}

int
store_partitions(struct store *st, struct err *err)
{
	return store_run(st, "partitions", NULL, 0, err);
}

/* A one-dimensional array in PostgreSQL's binary form. */
void
store_array(struct buf *b, uint32_t element, size_t n)
{
	row_be32(b, n > 0 ? 1 : 0);	/* dimensions */
	row_be32(b, 0);			/* no NULLs */
	row_be32(b, element);
	if (n > 0) {
		row_be32(b, (uint32_t)n);
		row_be32(b, 1);		/* lower bound */
	}
}

/* How many days the key is looked for on. */
static size_t
days_of(const struct store_key *k, bool replay, uint32_t *first,
    uint32_t *last)
{
	uint32_t day = row_day(k->id);
	uint32_t beside = replay && k->next_days && day > 0 ? 1 : 0;

	*first = day - beside;
	*last = day + beside;
	return replay && !k->by_replay_key ? 0 : 1 + 2 * beside;
}

/* Days and ids (or replay keys) as two arrays.  The id tells the day. */
void
store_put_keys(const struct store_key *k, size_t n, bool replay,
    struct buf *days, struct buf *keys)
{
	uint32_t first, last, day;
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += days_of(&k[i], replay, &first, &last);
	store_array(days, OID_INT4, count);
	store_array(keys, OID_BYTEA, count);
	for (i = 0; i < n; i++) {
		if (days_of(&k[i], replay, &first, &last) == 0)
			continue;
		for (day = first; day <= last; day++) {
			row_be32(days, 4);
			row_be32(days, day);
			row_be32(keys, MSG_ID);
			buf_add(keys, replay ? k[i].replay_key : k[i].id,
			    MSG_ID);
		}
	}
}

PGresult *
store_run_bin(struct store *st, const char *stmt, struct buf *b, int n,
    struct err *err)
{
	struct db_param p[7] = { { NULL, 0 } };
	PGresult *r;
	int i;

	for (i = 0; i < n; i++)
		p[i] = DB_BIN(b[i].p, b[i].n);
	r = db_exec_bin(st->db, stmt, p, n, err);
	for (i = 0; i < n; i++)
		buf_free(&b[i]);
	return r;
}

static void
put_spkis(const struct store_key *k, size_t n, struct buf *b)
{
	size_t i, x, count = 0;

	for (i = 0; i < n; i++)
		count += k[i].nspki;
	store_array(b, OID_BYTEA, count);
	for (i = 0; i < n; i++)
		for (x = 0; x < k[i].nspki; x++) {
			row_be32(b, sizeof(k[i].spki[x]));
			buf_add(b, k[i].spki[x], sizeof(k[i].spki[x]));
		}
}

int
store_find(struct store *st, const struct store_key *k, size_t n,
    struct found *f, struct err *err)
{
	struct buf b[7] = { { 0 } };
	uint32_t d[2], first = UINT32_MAX, last = 0;
	size_t i;

	store_put_keys(k, n, false, &b[0], &b[1]);
	store_put_keys(k, n, true, &b[2], &b[3]);
	for (i = 0; i < n; i++) {
		(void)days_of(&k[i], true, &d[0], &d[1]);
		first = d[0] < first ? d[0] : first;
		last = d[1] > last ? d[1] : last;
	}
	row_be32(&b[4], first);
	row_be32(&b[5], last);
	put_spkis(k, n, &b[6]);
	return store_found(st, store_run_bin(st, "find", b, 7, err), f, err);
}

size_t
found_count(const struct found *f)
{
	return f->res == NULL ? 0 : (size_t)PQntuples(f->res);
}

void
found_free(struct found *f)
{
	PQclear(f->res);
	issued_free(f->certificates);
	memset(f, 0, sizeof(*f));
}

struct slice
found_column(const struct found *f, size_t row, int col)
{
	if (PQgetisnull(f->res, (int)row, col))
		return slice_of(NULL, 0);
	return db_field(f->res, (int)row, col);
}

bool
found_is_owner(const struct found *f, size_t i)
{
	return slice_is(found_column(f, i, STORED_STATE), "key");
}

static char *
owner_of(const struct found *f, struct slice spki)
{
	struct slice account;
	size_t i;

	for (i = 0; i < found_count(f); i++) {
		if (!found_is_owner(f, i) ||
		    !slice_eq(found_column(f, i, STORED_ID), spki))
			continue;
		account = found_column(f, i, STORED_ACCOUNT);
		return xstrndup((const char *)account.p, account.n);
	}
	return NULL;
}

char *
found_owner(const struct found *f, const struct store_key *k)
{
	char *owner = NULL;
	size_t x;

	for (x = 0; x < k->nspki && owner == NULL; x++)
		owner = owner_of(f, slice_of(k->spki[x], sizeof(k->spki[x])));
	return owner;
}

int64_t
found_int(const struct found *f, size_t row, int col)
{
	return db_int(f->res, (int)row, col);
}

int
store_found(struct store *st, PGresult *r, struct found *out, struct err *err)
{
	struct found f = { r, NULL };
	struct issued_ask *ask;
	struct slice leaf;
	size_t i, n = 0;

	if (r == NULL)
		return -1;
	ask = xcalloc(found_count(&f), sizeof(*ask));
	for (i = 0; i < found_count(&f); i++) {
		ask[n].serial = found_column(&f, i, STORED_SERIAL);
		n += ask[n].serial.n > 0 && cmcresp_leaf(found_column(&f, i,
		    STORED_RESPONSE), ask[n].serial, &leaf) == -1;
	}
	f.certificates = issued_load(st->db, ask, n, err);
	free(ask);
	if (f.certificates == NULL) {
		found_free(&f);
		return -1;
	}
	*out = f;
	return 0;
}

static struct slice
certificate_of(const struct found *f, size_t i)
{
	struct slice serial = found_column(f, i, STORED_SERIAL), leaf;
	const struct issued *c;

	if (serial.n == 0)
		return serial;
	if (cmcresp_leaf(found_column(f, i, STORED_RESPONSE), serial,
	    &leaf) == 0)
		return leaf;
	c = issued_find(f->certificates, serial);
	return c != NULL ? buf_slice(&c->der) : slice_of(NULL, 0);
}

/* By the columns of STORED_WITH, and the token behind them if it is there. */
int
found_get(const struct found *f, size_t i, struct stored *out,
    struct err *err)
{
	struct slice state = found_column(f, i, STORED_STATE);
	struct stored s = { .id = found_column(f, i, STORED_ID) };

	if (slice_is(state, "issued"))
		s.status = MSG_ISSUED;
	else if (slice_is(state, "pending"))
		s.status = MSG_PENDING;
	else if (slice_is(state, "denied"))
		s.status = MSG_DENIED;
	else
		return err_set(err, ERR_INTERNAL, "database: unknown state");
	s.replay_key = found_column(f, i, STORED_REPLAY_KEY);
	s.number = (uint32_t)found_int(f, i, STORED_NUMBER);
	s.hresult = (uint32_t)found_int(f, i, STORED_HRESULT);
	s.text = found_column(f, i, STORED_TEXT);
	s.account = found_column(f, i, STORED_ACCOUNT);
	s.ca = found_column(f, i, STORED_CA);
	s.template_name = found_column(f, i, STORED_TEMPLATE);
	s.token_sha256 = found_column(f, i, STORED_TOKEN_SHA256);
	s.serial = found_column(f, i, STORED_SERIAL);
	s.certificate = certificate_of(f, i);
	s.received = found_int(f, i, STORED_RECEIVED);
	s.decision_id = found_column(f, i, STORED_DECISION);
	s.expires = found_int(f, i, STORED_EXPIRES);
	s.response = found_column(f, i, STORED_RESPONSE);
	if (PQnfields(f->res) > STORED_TOKEN)
		s.token = found_column(f, i, STORED_TOKEN);
	if (s.status == MSG_ISSUED && s.certificate.n == 0)
		return err_set(err, ERR_INTERNAL,
		    "database: issued request without certificate");
	*out = s;
	return 0;
}

/* Does the transaction have more to do than to take rows? */
static bool
rows_only(struct job *const *jobs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (jobs[i]->pending != NULL || job_spends(jobs[i]) ||
		    jobs[i]->exchange != NULL || jobs[i]->archived.n != 0 ||
		    jobs[i]->ca->apart)
			return false;
	return true;
}

/* in_doubt not NULL: as a transaction of their own. */
static int
copy_rows(struct store *st, struct job *const *jobs, size_t n,
    bool *in_doubt, struct err *err)
{
	struct buf requests = { 0 }, certs = { 0 };
	struct db_copy c[2];
	size_t i, ncerts = 0, parts;
	int rc;

	rows_open(&requests);
	rows_open(&certs);
	for (i = 0; i < n; i++) {
		if (jobs[i]->pending == NULL)
			row_request(&requests, jobs[i], st->signer);
		if (jobs[i]->status == MSG_ISSUED) {
			row_certificate(&certs, jobs[i]);
			ncerts++;
		}
	}
	rows_close(&requests);
	rows_close(&certs);
	c[0] = (struct db_copy){ ROWS_REQUEST_SQL, buf_slice(&requests) };
	c[1] = (struct db_copy){ ROWS_CERTIFICATE_SQL, buf_slice(&certs) };
	parts = ncerts > 0 ? 2 : 1;
	rc = in_doubt != NULL ?
	    db_copy_durable(st->db, c, parts, in_doubt, err) :
	    db_copy(st->db, c, parts, err);
	buf_free(&requests);
	buf_free(&certs);
	return rc;
}

/* What comes with rows, in the same transaction. */
static int
put_rest(struct store *st, struct job *const *jobs, size_t n,
    struct err *err)
{
	size_t i;
	int rc;

	rc = store_airgap_put(st, jobs, n, err);
	for (i = 0; rc == 0 && i < n; i++)
		rc = store_use_up(st, jobs[i], err);
	for (i = 0; rc == 0 && i < n; i++)
		rc = store_job_keys(st, jobs[i], err);
	return rc;
}

struct issued_set *
store_issued(struct store *st, const struct issued_ask *ask, size_t n,
    struct err *err)
{
	return issued_load(st->db, ask, n, err);
}

int
store_same_session(struct store *st, struct err *err)
{
	if (db_changed(st->db, err) == 0)
		return 0;
	st->session = false;
	db_rollback(st->db);
	return err_set(err, ERR_UNAVAILABLE, "database: connection was lost");
}

/* A transaction in the session that was set up, and in no other. */
int
store_begin(struct store *st, struct err *err)
{
	if (store_ready(st, err) == -1 || db_begin(st->db, err) == -1)
		return -1;
	return store_same_session(st, err);
}

void
store_meanwhile(struct store *st, void (*meanwhile)(void *), void *arg)
{
	db_meanwhile(st->db, meanwhile, arg);
}

int
store_insert(struct store *st, struct job *const *jobs, size_t n,
    bool *in_doubt, struct err *err)
{
	*in_doubt = false;
	if (!st->reserved && rows_only(jobs, n))
		return store_ready(st, err) == -1 ? -1 :
		    copy_rows(st, jobs, n, in_doubt, err);
	if (!st->reserved && store_begin(st, err) == -1)
		return -1;
	st->reserved = false;
	if (copy_rows(st, jobs, n, NULL, err) == -1 ||
	    put_rest(st, jobs, n, err) == -1) {
		db_rollback(st->db);
		return -1;
	}
	fail_point("before-commit");
	return db_commit(st->db, in_doubt, err);
}

int
store_void(struct store *st, const struct intents *list, struct err *err)
{
	struct db_param p[4];
	bool in_doubt;
	size_t i;

	if (store_begin(st, err) == -1)
		return -1;
	for (i = 0; i < list->n; i++) {
		if (list->v[i].status != MSG_ISSUED)
			continue;	/* has no serial */
		p[0] = DB_BIN(list->v[i].serial, SERIAL_LEN);
		p[1] = DB_TEXT(list->v[i].ca);
		p[2] = DB_BIN(list->v[i].id, MSG_ID);
		p[3] = DB_TEXT(st->signer);
		if (store_run(st, "void", p, 4, err) == -1) {
			db_rollback(st->db);
			return -1;
		}
	}
	/* In doubt: the intents stay open, and all is said once more. */
	return db_commit(st->db, &in_doubt, err);
}
