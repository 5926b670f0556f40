#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "approval.h"
#include "batch.h"
#include "crlmake.h"
#include "journal.h"
#include "log.h"
#include "store_key.h"
#include "ocspresp.h"
#include "store_crl.h"
#include "reserve.h"

#define BATCH_MAX	256
#define BATCH_BYTES	(2 * 1024 * 1024)	/* of messages, in memory */
#define BATCH_USEC	5000			/* of signing */
#define IDLE_MS		1000
#define CLOCK_SLACK	5			/* seconds */
#define COMMIT_WAIT	(5 * INT64_C(1000000))	/* us, database away */
#define READY_WAIT	(INT64_C(1500) * 1000)	/* less than a worker's try */
#define YOUNG_OUTAGE	(INT64_C(10) * 1000000)
#define RETRY_NSEC	(250 * 1000 * 1000L)

struct batch {
	struct job	*job[BATCH_MAX];
	size_t		 n;
};

static int64_t
now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static bool
stop_pending(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigpending(&set);
	return sigismember(&set, SIGTERM) == 1 ||
	    sigismember(&set, SIGINT) == 1;
}

static void
batch_free(struct signer *s, struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		job_free(s, b->job[i]);
	b->n = 0;
	issued_free(s->issued);
	s->issued = NULL;
	if (s->policy != NULL)
		snapshot_put(s->snapshot, s->policy);
	s->policy = NULL;
}

/* One message into the batch: 1, or 0 when there is none. */
static int
receive(struct signer *s, struct batch *b, int timeout_ms, struct err *err)
{
	struct job *j = job_new();
	int rc;

	if ((rc = link_recv(s->link, &j->link, timeout_ms, err)) != 1) {
		job_free(s, j);
		return rc;
	}
	j->t0 = log_usec();
	j->received = now_usec();
	b->job[b->n++] = j;
	return 1;
}

/*
 * What is queued, but not more than some milliseconds' work: another signer
 * may be waiting for some.  Never waits to fill a batch.
 */
static int
gather(struct signer *s, struct batch *b, struct err *err)
{
	size_t bytes = 0, max;
	int rc;

	max = (size_t)((BATCH_USEC + s->cost - 1) / s->cost);
	if (max > BATCH_MAX)
		max = BATCH_MAX;
	rc = receive(s, b, IDLE_MS, err);
	while (rc == 1 && b->n < max && bytes < BATCH_BYTES) {
		bytes += b->job[b->n - 1]->link.msg.n;
		rc = receive(s, b, 0, err);
	}
	return rc == -1 ? -1 : 0;
}

static bool
is_new_issue(const struct job *j)
{
	return j->state == JOB_NEW && j->ask.call == CALL_ISSUE;
}

/* What is judged by the policy that its sender knows. */
static bool
needs_policy(const struct job *j)
{
	return is_new_issue(j) || (j->state == JOB_NEW &&
	    (j->ask.call == CALL_APPROVE || j->ask.call == CALL_KET));
}

/*
 * Everything not yet decided gets the answer "try again"; the line of each
 * says why.
 */
static void
give_up(struct batch *b, const struct err *err)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state == JOB_NEW)
			job_unavailable(b->job[i], err->text);
	}
}

static bool
has_new(const struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state == JOB_NEW)
			return true;
	}
	return false;
}

/*
 * A serial's time and a certificate's validity come from this clock; the
 * ledger's last entry says what it showed before.
 */
static int
check_clock(const struct signer *s, struct err *err)
{
	int64_t now = now_usec() / 1000000, last;

	last = ledger_last_time(s->ledger);
	if (now + CLOCK_SLACK < last)
		return err_set(err, ERR_UNAVAILABLE,
		    "clock is %lld s before the ledger's last entry",
		    (long long)(last - now));
	return 0;
}

/*
 * The policy in force; once a second at most it is read again because a
 * worker has another: the notification may be on its way.
 */
static int
take_policy(struct signer *s, const struct batch *b, struct err *err)
{
	const struct policy *newer;
	int64_t now = now_usec() / 1000000;
	size_t i;

	if (s->policy != NULL)		/* of an attempt before */
		snapshot_put(s->snapshot, s->policy);
	s->policy = snapshot_policy(s->snapshot, false, err);
	if (s->policy == NULL)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (!needs_policy(b->job[i]) || memcmp(
		    b->job[i]->ask.policy_hash, s->policy->sha256, 32) == 0)
			continue;
		if (now < s->next_force)
			return 0;
		s->next_force = now + 1;
		newer = snapshot_policy(s->snapshot, true, err);
		snapshot_put(s->snapshot, s->policy);
		s->policy = newer;
		return newer == NULL ? -1 : 0;
	}
	return 0;
}

static int
make_ready_once(struct signer *s, const struct batch *b, struct err *err)
{
	if (take_policy(s, b, err) == -1 || check_clock(s, err) == -1 ||
	    store_ready(s->store, err) == -1)
		return -1;
	return recover_resolve(s, err);
}

/*
 * A database that restarts is back within seconds, and a worker waits that
 * long: while an outage is young, wait too before saying "try again".
 */
static int
make_ready(struct signer *s, const struct batch *b, struct err *err)
{
	const struct timespec pause = { 0, RETRY_NSEC };
	int64_t now = log_usec(), end = now + READY_WAIT;
	struct err e = ERR_INIT;

	while (make_ready_once(s, b, &e) == -1) {
		if (s->away_since == 0)
			s->away_since = now;
		now = log_usec();
		if (e.kind != ERR_UNAVAILABLE || s->ledger_failed ||
		    now > end || now - s->away_since > YOUNG_OUTAGE)
			return err_set(err, e.kind, "%s", e.text);
		nanosleep(&pause, NULL);
		memset(&e, 0, sizeof(e));
	}
	s->away_since = 0;
	return 0;
}

/* A later coming, in this batch, of the same id or the same message. */
static void
find_copies(struct batch *b, size_t i)
{
	struct job *j = b->job[i], *k;
	size_t x;

	for (x = 0; x < i && j->state == JOB_NEW; x++) {
		k = b->job[x];
		if (!is_new_issue(k))
			continue;
		if (memcmp(j->ask.id, k->ask.id, MSG_ID) != 0 &&
		    memcmp(j->ask.replay_key, k->ask.replay_key, MSG_ID) != 0)
			continue;
		if (strcmp(j->account, k->account) != 0 || j->ca != k->ca ||
		    !slice_eq(j->ask.token, k->ask.token)) {
			job_unavailable(j, "request id is in use");
			return;
		}
		j->state = JOB_COPY;
		j->first = k;
	}
}

/* The row of this request, by its id or its message: 1, 0 for none. */
static int
find_row(const struct found *f, const struct job *j, struct stored *out,
    struct err *err)
{
	struct stored row;
	size_t i;

	for (i = 0; i < found_count(f); i++) {
		if (found_get(f, i, &row, err) == -1)
			return -1;
		/* To be decided still: that is no outcome. */
		if (j->pending != NULL && row.status == MSG_PENDING)
			continue;
		if (!slice_eq(row.id, slice_of(j->row_id, MSG_ID)) &&
		    (j->pending != NULL || row.status == MSG_DENIED ||
		    !slice_eq(row.replay_key,
		    slice_of(j->ask.replay_key, MSG_ID))))
			continue;
		*out = row;
		return 1;
	}
	return 0;
}

static void
put_key(struct store_key *k, const struct job *j)
{
	memcpy(k->id, j->row_id, MSG_ID);
	memcpy(k->replay_key, j->ask.replay_key, MSG_ID);
	k->by_replay_key = j->pending == NULL;
}

/* Parse all, and look up what certificates they are signed with, if any. */
static int
parse_all(struct signer *s, struct batch *b, struct err *err)
{
	struct slice serials[BATCH_MAX * 2];
	size_t i, n = 0;

	for (i = 0; i < b->n; i++) {
		if (!is_new_issue(b->job[i]))
			continue;
		job_parse(b->job[i]);
		n += job_signers(b->job[i], serials + n);
	}
	if (n == 0)
		return 0;
	s->issued = store_issued(s->store, serials, n, err);
	if (s->issued == NULL)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (is_new_issue(b->job[i]))
			job_identify(s, b->job[i]);
	}
	return 0;
}

/* A repeated request gets the stored answer, never a second certificate. */
static int
find_repeated(struct signer *s, struct batch *b, struct err *err)
{
	struct store_key keys[BATCH_MAX];
	struct found found = { NULL };
	struct stored row;
	size_t i, n = 0;
	int rc;

	for (i = 0; i < b->n; i++) {
		if (is_new_issue(b->job[i]))
			put_key(&keys[n++], b->job[i]);
	}
	if (n == 0)
		return 0;
	rc = store_find(s->store, keys, n, &found, err);
	for (i = 0; rc != -1 && i < b->n; i++) {
		if (!is_new_issue(b->job[i]))
			continue;
		rc = find_row(&found, b->job[i], &row, err);
		if (rc == 1)
			job_stored(b->job[i], &row);
	}
	found_free(&found);
	return rc == -1 ? -1 : 0;
}

/* One fdatasync for all intents; no signature before it. */
static int
write_intents(struct signer *s, struct batch *b, struct err *err)
{
	bool any = false;
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state != JOB_RECORD)
			continue;
		journal_decision(s, b->job[i]);
		any = true;
	}
	return any ? signer_sync(s, err) : 0;
}

static void
leave_unresolved(struct signer *s, struct job *j, const char *text)
{
	if (j->intent)
		intents_add(&s->unresolved, j->row_id, j->tbs.serial,
		    j->ca->name);
	j->intent = false;
	job_unavailable(j, text);
}

static void
sign_all(struct signer *s, struct batch *b)
{
	struct err err;
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state != JOB_RECORD ||
		    b->job[i]->status != MSG_ISSUED)
			continue;
		memset(&err, 0, sizeof(err));
		if (job_sign(b->job[i], &err) == 0) {
			journal_issued(s, b->job[i]);
			continue;
		}
		log_note("sign", "%s", err.text);
		leave_unresolved(s, b->job[i], err.text);
	}
}

/* The row found for this request: ours, or another signer's. */
static void
take_row(struct signer *s, struct job *j, const struct stored *row)
{
	bool ours;

	if (j->status == MSG_ISSUED)
		ours = slice_eq(row->serial,
		    slice_of(j->tbs.serial, SERIAL_LEN));
	else if (j->pending != NULL)
		ours = slice_eq(row->decision_id, slice_of(j->ask.id, MSG_ID));
	else
		ours = row->number == j->number;

	if (ours) {
		j->committed = true;
		return;
	}
	if (j->intent)
		intents_add(&s->unresolved, j->row_id, j->tbs.serial,
		    j->ca->name);
	j->intent = false;
	if (j->pending != NULL)
		approval_lost(j);
	else
		job_stored(j, row);
}

/*
 * After a transaction that failed or whose end is not known: take out of v
 * what has a row.  The lock of the session makes the answer final.
 */
static int
look_up(struct signer *s, struct job **v, size_t *n, struct err *err)
{
	struct store_key keys[BATCH_MAX];
	struct found found = { NULL };
	struct stored row;
	size_t i, left = 0;
	int rc;

	if (store_ready(s->store, err) == -1 ||
	    store_barrier(s->store, err) == -1)
		return -1;
	for (i = 0; i < *n; i++)
		put_key(&keys[i], v[i]);
	if (store_find(s->store, keys, *n, &found, err) == -1)
		return -1;
	for (i = 0, rc = 0; i < *n; i++) {
		/* An unreadable row stays in doubt. */
		if (rc != -1)
			rc = find_row(&found, v[i], &row, err);
		if (rc == 1)
			take_row(s, v[i], &row);
		else
			v[left++] = v[i];
	}
	found_free(&found);
	*n = left;
	return rc == -1 ? -1 : 0;
}

/* Ask until the database answers, but not for ever. */
static int
look_up_patiently(struct signer *s, struct job **v, size_t *n,
    int64_t deadline)
{
	const struct timespec pause = { 0, RETRY_NSEC };
	struct err err;

	do {
		nanosleep(&pause, NULL);
		memset(&err, 0, sizeof(err));
		if (look_up(s, v, n, &err) == 0)
			return 0;
	} while (log_usec() < deadline);
	log_note("commit", "still in doubt: %s", err.text);
	return -1;
}

/*
 * Insert the rows of v.  A database that is away is waited for, and what it
 * then lacks is inserted again: the certificates are the same, no serial is
 * used twice.  A database that refuses is asked for each row alone, so that
 * one bad row does not take the others with it.
 */
static void
commit(struct signer *s, struct job **v, size_t n, int64_t deadline)
{
	struct err err = ERR_INIT;
	bool in_doubt;
	size_t i;

	while (n > 0) {
		memset(&err, 0, sizeof(err));
		if (store_insert(s->store, v, n, &in_doubt, &err) == 0) {
			for (i = 0; i < n; i++)
				v[i]->committed = true;
			return;
		}
		log_note("commit", "%zu rows: %s", n, err.text);
		if (err.kind == ERR_UNAVAILABLE || in_doubt) {
			if (log_usec() > deadline ||
			    look_up_patiently(s, v, &n, deadline) == -1)
				break;
		} else if (n > 1) {
			for (i = 0; i < n; i++)
				commit(s, &v[i], 1, deadline);
			return;
		} else {
			(void)look_up(s, v, &n, &err);
			break;
		}
	}
	for (i = 0; i < n; i++)
		leave_unresolved(s, v[i], err.text);
}

static void
commit_all(struct signer *s, struct batch *b)
{
	struct job *v[BATCH_MAX];
	int64_t t = log_usec();
	size_t i, n = 0;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state == JOB_RECORD)
			v[n++] = b->job[i];
	}
	if (n == 0) {
		store_release(s->store);
		return;
	}
	commit(s, v, n, t + COMMIT_WAIT);
	t = log_usec() - t;
	for (i = 0; i < b->n; i++)
		b->job[i]->us_commit = t;
}

/* Goes to the disk with the next batch, or when there is nothing to do. */
static void
ledger_done(struct signer *s, const struct batch *b)
{
	struct buf ids = { 0 }, f = { 0 };
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (!b->job[i]->committed || !b->job[i]->intent)
			continue;
		if (ids.n > 0)
			buf_addc(&ids, ',');
		buf_hex(&ids, b->job[i]->row_id, MSG_ID);
	}
	if (ids.n > 0) {
		ledger_field(&f, "ids", buf_slice(&ids));
		ledger_add(s->ledger, "done", buf_slice(&f));
		s->unsynced = true;
	}
	buf_free(&ids);
	buf_free(&f);
}

/* Look up, check and decide: after this nothing is JOB_NEW. */
static int
decide_all(struct signer *s, struct batch *b, struct err *err)
{
	struct job *j;
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (needs_policy(b->job[i]))
			job_policy(s, b->job[i]);
	}
	if (parse_all(s, b, err) == -1 || find_repeated(s, b, err) == -1)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (is_new_issue(b->job[i]))
			find_copies(b, i);
	}
	for (i = 0; i < b->n; i++) {
		j = b->job[i];
		if (j->state == JOB_NEW && j->ask.call == CALL_QUERY)
			job_query(s, j);
		else if (j->state == JOB_NEW && j->ask.call == CALL_KET)
			job_ket(s, j, b->job, i);
		else if (j->state == JOB_NEW && j->ask.call == CALL_OCSP)
			job_ocsp(s, j);
		else if (j->state == JOB_NEW && ask_decides(&j->ask))
			approval_check(s, j);
		else if (j->state == JOB_NEW)
			job_check(s, j);
	}
	return 0;
}

/* -1 only when this process must end. */
static int
handle(struct signer *s, struct batch *b, struct err *err)
{
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < b->n; i++)
		job_open(s, b->job[i]);
	if (has_new(b) && (make_ready(s, b, &e) == -1 ||
	    decide_all(s, b, &e) == -1))
		give_up(b, &e);
	if (s->ledger_failed)
		return err_set(err, ERR_INTERNAL, "%s", e.text);
	reserve(s, b->job, b->n);
	if (write_intents(s, b, err) == -1)
		return -1;
	sign_all(s, b);
	commit_all(s, b);
	ledger_done(s, b);
	for (i = 0; i < b->n; i++)
		job_answer(s, b->job[i]);
	return 0;
}

/* What nobody waits for; its failures are the next batch's, too. */
static void
housekeeping(struct signer *s)
{
	struct err err = ERR_INIT;
	int64_t now = now_usec() / 1000000;

	crl_round(s, now);
	if (now < s->next_check)
		return;
	s->next_check = now + 30;
	if (store_ready(s->store, &err) == -1 ||
	    store_settings(s->store, &err) == -1 ||
	    recover_resolve(s, &err) == -1) {
		log_note("housekeeping", "%s", err.text);
		return;
	}
	if (now < s->next_partitions)
		return;
	if (store_partitions(s->store, &err) == -1 ||
	    store_exchange_wipe(s->store, &err) == -1 ||
	    store_ocsp_forget(s->store, &err) == -1)
		log_note("housekeeping", "%s", err.text);
	else
		s->next_partitions = now + 3600;
}

int
batch_loop(struct signer *s, struct err *err)
{
	struct batch b = { .n = 0 };
	int rc = 0;

	while (rc == 0 && !stop_pending()) {
		if ((rc = gather(s, &b, err)) == -1)
			break;
		if (b.n > 0)
			rc = handle(s, &b, err);
		else if (s->unsynced)
			rc = signer_sync(s, err);
		batch_free(s, &b);
		if (rc == 0)
			housekeeping(s);
		if (s->ledger_failed)
			rc = err_set(err, ERR_INTERNAL, "ledger: failed");
	}
	batch_free(s, &b);
	if (rc == 0 && s->unsynced)
		rc = signer_sync(s, err);
	return rc;
}
