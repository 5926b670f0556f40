/*
 * The signer's loop, and the order of things in it: gather, check, intents to
 * the ledger, sign, commit, answer.  At handle() stands what a crash leaves
 * behind each of them; each step is another file.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "approval.h"
#include "audittable.h"
#include "batch.h"
#include "caset.h"
#include "clock.h"
#include "commit.h"
#include "crlmake.h"
#include "exchange.h"
#include "failpoint.h"
#include "heads.h"
#include "journal.h"
#include "log.h"
#include "measure.h"
#include "ocspresp.h"
#include "poll.h"
#include "queue.h"
#include "reserve.h"
#include "rollback.h"
#include "segment.h"
#include "store_crl.h"
#include "store_key.h"

#define BATCH_USEC	5000			/* of signing */
#define FEW		16	/* certificates, where that is less ... */
#define FEW_USEC	64000			/* ... and this enough */
#define IDLE_MS		1000
#define SIGN_WAIT	(2 * INT64_C(1000000))	/* us, a slow token */
#define SLOW_BATCH	(INT64_C(500) * 1000)	/* us */
#define COMMIT_WAIT	(5 * INT64_C(1000000))	/* us, database away: what is
						   given up then becomes void */
#define READY_WAIT	(INT64_C(1500) * 1000)	/* less than a worker's try */
#define YOUNG_OUTAGE	(INT64_C(10) * 1000000)
#define RETRY_NSEC	(250 * 1000 * 1000L)

struct batch {
	struct job	*job[BATCH_MAX];
	size_t		 n;
};

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

/*
 * How many certificates a batch may have: some milliseconds' work, since who
 * is first waits for the last.  With a slow key a few share the disks' time.
 */
static size_t
most(int64_t cost)
{
	int64_t n = (BATCH_USEC + cost - 1) / cost, few = FEW_USEC / cost;

	if (few > FEW)
		few = FEW;
	if (n < few)
		n = few;
	return n > BATCH_MAX ? BATCH_MAX : (size_t)n;
}

/* What is queued; never waits to fill a batch. */
static int
gather(struct signer *s, struct batch *b, struct err *err)
{
	int wait = s->lists_wait ? 0 : audittable_wait(s, IDLE_MS);

	s->lists_wait = false;	/* once: no loop that burns */
	s->cost = ca_cost(s->cas, s->ncas);
	if (queue_fill(s, s->queue, wait, err) == -1)
		return -1;
	b->n = queue_take(s->queue, b->job, most(s->cost));
	return 0;
}

/* What is judged by the policy that its sender knows. */
static bool
needs_policy(const struct job *j)
{
	return job_is_issue(j) || (j->state == JOB_NEW &&
	    (j->ask.call == CALL_APPROVE || j->ask.call == CALL_KET));
}

/*
 * Everything not yet decided gets the answer "try again", or "ask another"; the
 * line of each says why.
 */
static void
give_up(struct batch *b, void (*how)(struct job *, const char *),
    const struct err *err)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state == JOB_NEW)
			how(b->job[i], err->text);
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

/* Heads and the end of a file bar the way back like any other entry. */
static bool
clock_is_right(struct signer *s)
{
	struct err ignored = ERR_INIT;

	return clock_check(s, &ignored) == 0;
}

/*
 * The policy in force; once a second at most it is read again because a
 * worker has another: the notification may be on its way.
 */
static int
take_policy(struct signer *s, const struct batch *b, struct err *err)
{
	const struct policy *newer;
	int64_t now = log_usec() / 1000000;
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
	if (take_policy(s, b, err) == -1 || signer_ready(s, err) == -1 ||
	    clock_check(s, err) == -1)
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
		s->unready = e;
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
	memset(&s->unready, 0, sizeof(s->unready));
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
		if (!job_is_issue(k))
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

/*
 * Parse all, and look up the certificates that they are signed with or that
 * their senders logged on with, if any.
 */
static int
parse_all(struct signer *s, struct batch *b, struct err *err)
{
	struct issued_ask ask[BATCH_MAX * JOB_SERIALS];
	size_t i, n = 0;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state != JOB_NEW)
			continue;
		if (job_is_issue(b->job[i]) && !b->job[i]->parsed)
			job_parse(b->job[i]);
		n += job_serials(b->job[i], ask + n);
	}
	if (n == 0)
		return 0;
	s->issued = store_issued(s->store, ask, n, err);
	if (s->issued == NULL)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (job_is_issue(b->job[i]))
			job_identify(s, b->job[i]);
	}
	return 0;
}

/* What is looked up of a new request: earlier comings, and its key's owner. */
static void
put_keys(struct store_key *k, const struct job *j)
{
	commit_put_key(k, j);
	if (j->req != NULL)
		k->nspki = pubkey_hashes(j->req->key, k->spki);
}

/* A repeated request gets the stored answer, never a second certificate. */
static int
find_repeated(struct signer *s, struct batch *b, struct err *err)
{
	struct store_key keys[BATCH_MAX];
	struct found found = { NULL, NULL };
	struct stored row;
	size_t i, n = 0;
	int rc;

	for (i = 0; i < b->n; i++) {
		if (job_is_issue(b->job[i]))
			put_keys(&keys[n++], b->job[i]);
	}
	if (n == 0)
		return 0;
	rc = store_find(s->store, keys, n, &found, err);
	for (i = n = 0; rc != -1 && i < b->n; i++) {
		if (!job_is_issue(b->job[i]))
			continue;
		rc = commit_find_row(&found, b->job[i], &row, err);
		if (rc == 1)
			job_stored(b->job[i], &row);
		else
			b->job[i]->key_owner = found_owner(&found, &keys[n]);
		n++;
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
	return any ? journal_sync(s, err) : 0;
}

/*
 * The intent becomes void.  Where the token is away now, another signer, whose
 * token is not, may sign for the same id.
 */
static void
leave(struct signer *s, struct job *j, const struct err *why)
{
	struct err err = ERR_INIT;

	log_note("sign", "%s", why->text);
	commit_leave(s, j, why->text);
	if (cakey_ready(j->ca->key, &err) == -1)
		j->status = MSG_ELSEWHERE;
}

/*
 * A token that has become slow makes the rest of the batch wait for longer
 * than their clients do: they are told to try again.
 */
static void
sign_all(struct signer *s, struct batch *b)
{
	int64_t end = log_usec() + SIGN_WAIT;
	struct err err;
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state != JOB_RECORD)
			continue;
		memset(&err, 0, sizeof(err));
		if (log_usec() > end && b->job[i]->status != MSG_DENIED)
			err_set(&err, ERR_UNAVAILABLE, "ca %s: its key has "
			    "become slow", b->job[i]->ca->name);
		else if (job_sign(s, b->job[i], &err) == 0)
			continue;
		leave(s, b->job[i], &err);
	}
}

/*
 * "account disable --revoke" looks for what was at hand a second later: what a
 * slow token has signed would come behind that.
 */
static void
judge_again(struct signer *s, struct batch *b)
{
	struct err err;
	struct job *j;
	size_t i;

	for (i = 0; i < b->n; i++) {
		j = b->job[i];
		if (j->state != JOB_RECORD || j->status != MSG_ISSUED ||
		    j->exchange != NULL || log_usec() - j->t0 < SLOW_BATCH)
			continue;
		memset(&err, 0, sizeof(err));
		if (job_disabled(s, j, &err))
			leave(s, j, &err);
	}
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

/*
 * Written before anybody is told, so that a process that is killed knows what
 * to look for in a database that was restored; to the disk it goes with the
 * next batch, or when there is nothing to do.  What is committed now says
 * something about the database only if it is the one of before: a session that
 * began meanwhile is looked at first.
 */
static int
ledger_done(struct signer *s, const struct batch *b, struct err *err)
{
	struct buf ids = { 0 }, f = { 0 };
	struct err e = ERR_INIT;
	bool same = s->checked == store_session(s->store) ||
	    signer_ready(s, &e) == 0;
	size_t i;
	int rc = 0;

	for (i = 0; i < b->n; i++) {
		if (!b->job[i]->committed || !b->job[i]->intent)
			continue;
		if (same && ids.n == 0)
			s->marks.n = 0;
		if (same)
			commit_note(&s->marks, b->job[i]);
		if (ids.n > 0)
			buf_addc(&ids, ',');
		buf_hex(&ids, b->job[i]->row_id, MSG_ID);
	}
	if (ids.n > 0) {
		ledger_field(&f, "ids", buf_slice(&ids));
		ledger_add(s->ledger, "done", buf_slice(&f));
		if ((rc = ledger_write(s->ledger, err)) == -1)
			s->ledger_failed = true;
	}
	buf_free(&ids);
	buf_free(&f);
	return rc;
}

static void
check(struct signer *s, struct batch *b, size_t i)
{
	size_t x;

	for (x = 0; x < i; x++)
		job_same_key(b->job[i], b->job[x]);
	job_check(s, b->job[i]);
}

/* Look up, check and decide: after this nothing is JOB_NEW. */
static int
decide_all(struct signer *s, struct batch *b, struct err *err)
{
	struct job *j;
	size_t i;

	caset_look(s, s->policy);
	for (i = 0; i < b->n; i++) {
		if (b->job[i]->state == JOB_NEW)
			job_key(s, b->job[i]);
		if (needs_policy(b->job[i]))
			job_policy(s, b->job[i]);
	}
	if (parse_all(s, b, err) == -1 || find_repeated(s, b, err) == -1 ||
	    poll_all(s, b->job, b->n, err) == -1)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (job_is_issue(b->job[i]))
			find_copies(b, i);
	}
	for (i = 0; i < b->n; i++) {
		j = b->job[i];
		if (j->state == JOB_NEW && j->ask.call == CALL_KET)
			job_ket(s, j, b->job, i);
		else if (j->state == JOB_NEW && j->ask.call == CALL_OCSP)
			job_ocsp(s, j);
		else if (j->state == JOB_NEW && ask_decides(&j->ask))
			approval_check(s, j);
		else if (j->state == JOB_NEW)
			check(s, b, i);
	}
	return 0;
}

/* A number that waits is news, too, but to who asks with it. */
static bool
tells_news(const struct job *j)
{
	return j->stored && !j->durable && j->state == JOB_ANSWERED &&
	    (j->status != MSG_PENDING || j->ask.call != CALL_QUERY);
}

/*
 * [security] P4: a row can be read whose own COMMIT was not waited for, and a
 * failover may take it back.  What is told from rows is made durable before,
 * in the session that read them.
 */
static void
confirm_stored(struct signer *s, struct batch *b, unsigned long session)
{
	struct err err = ERR_INIT;
	bool any = false, settled;
	size_t i;

	for (i = 0; i < b->n; i++)
		any = any || tells_news(b->job[i]);
	if (!any)
		return;
	settled = store_barrier(s->store, &err) == 0 &&
	    store_session(s->store) == session;
	for (i = 0; i < b->n; i++) {
		if (!tells_news(b->job[i]))
			continue;
		b->job[i]->durable = settled;
		if (settled)
			continue;
		b->job[i]->stored = false;
		job_unavailable(b->job[i], err.kind != ERR_NONE ? err.text :
		    "database: another session");
	}
}

/* Everything up to the intents. */
static void
prepare(struct signer *s, struct batch *b, struct err *err)
{
	unsigned long session;

	/* Who asks again with the same key comes here again: pubkey_lot. */
	if (make_ready(s, b, err) == -1) {
		give_up(b, job_elsewhere, err);
		return;
	}
	session = store_session(s->store);
	if (decide_all(s, b, err) == -1)
		give_up(b, job_unavailable, err);
	confirm_stored(s, b, session);
}

/*
 * Where this process dies,
 *	before the intents: nothing is left; locks end with the session, and
 *		the worker asks another signer.
 *	behind them, before COMMIT: intents without a row.  recover.c makes
 *		them void: their serials stand on every list, whether they were
 *		signed or not.  Who asks again gets another certificate.
 *	within COMMIT: the rows or none of them.  No other session of this name
 *		begins before that is over (store_ready), then recover.c looks.
 *	behind it, before the answer: rows, which answer who asks again
 *		(find_repeated).
 * -1 only when it must end.
 */
static int
handle(struct signer *s, struct batch *b, struct err *err)
{
	struct log_line log = { 0 };
	struct err e = ERR_INIT;
	unsigned long session;
	size_t i;

	for (i = 0; i < b->n; i++) {
		b->job[i]->t0 = log_usec();
		b->job[i]->received = unix_usec();
		job_open(s, b->job[i]);
	}
	if (has_new(b))
		prepare(s, b, &e);
	if (s->ledger_failed)
		return err_set(err, ERR_INTERNAL, "%s", e.text);
	reserve(s, b->job, b->n);
	session = store_session(s->store);
	fail_point("before-intent");
	if (write_intents(s, b, err) == -1)
		return -1;
	fail_point("after-intent");
	sign_all(s, b);
	fail_point("signed");
	judge_again(s, b);
	commit_all(s, b);
	confirm_stored(s, b, session);	/* what reserve found decided */
	fail_point("after-commit");
	if (ledger_done(s, b, err) == -1)
		return -1;
	fail_point("before-answer");
	measure_batch(s, b->job, b->n);
	for (i = 0; i < b->n; i++)
		job_answer(s, b->job[i]);
	for (i = 0; i < b->n; i++) {
		job_send(s, b->job[i], &log);
		measure_job(s, b->job[i]);
	}
	log_end(&log);
	journal_signatures(s);
	return 0;
}

/* What nobody waits for; its failures are the next batch's, too. */
static void
housekeeping(struct signer *s)
{
	struct err err = ERR_INIT, untold = ERR_INIT;
	int64_t now = log_usec() / 1000000;

	if (now >= s->next_crl && store_ready(s->store, &err) == 0 &&
	    clock_check(s, &err) == 0)
		crl_round(s, unix_usec() / 1000000);
	journal_signatures(s);
	measure_write(s, unix_usec() / 1000000,
	    s->unready.kind == ERR_NONE && !s->rolled_back);
	if (now < s->next_check)
		return;
	memset(&err, 0, sizeof(err));
	s->next_check = now + 30;	/* docs/ledger.md counts on it */
	if (signer_ready(s, &err) == -1 || rollback_check(s, &err) == -1 ||
	    store_settings(s->store, &err) == -1 ||
	    clock_check(s, &err) == -1 || recover_resolve(s, &err) == -1) {
		log_note("housekeeping", "%s", err.text);
		s->unready = err;
		return;
	}
	memset(&s->unready, 0, sizeof(s->unready));
	if (audittable_tell(s, &untold) == -1)
		log_note("audit", "%s", untold.text);
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
	struct err ignored = ERR_INIT;
	bool asked;
	int rc = 0;

	s->queue = queue_new();
	while (rc == 0 && !stop_pending()) {
		if ((rc = gather(s, &b, err)) == -1)
			break;
		asked = b.n > 0;
		if (asked)
			rc = handle(s, &b, err);
		else if (ledger_unsynced(s->ledger))
			rc = journal_sync(s, err);
		batch_free(s, &b);
		/* The head behind what it vouches for, a file's end last. */
		if (rc == 0 && clock_is_right(s)) {
			audittable_round(s, asked);
			rc = heads_round(s, unix_usec() / 1000000, err);
			if (rc == 0)
				rc = segment_round(s, err);
		} else		/* no page, and no loop that burns */
			s->audit.behind = false;
		if (rc == 0)
			housekeeping(s);
		if (s->ledger_failed)
			rc = err_set(err, ERR_INTERNAL, "ledger: failed");
		if (store_fenced(s->store))
			rc = err_set(err, ERR_INTERNAL, "lease of signer %s: "
			    "another process took it over", s->conf->name);
	}
	batch_free(s, &b);
	queue_free(s, s->queue);
	s->queue = NULL;
	if (rc == 0 && clock_is_right(s))
		audittable_tell(s, &ignored);
	if (rc == 0 && ledger_unsynced(s->ledger))
		rc = journal_sync(s, err);
	if (rc == 0 && clock_is_right(s))
		rc = heads_now(s, err);
	return rc;
}
