/*
 * Rows of a batch, and what to believe when the database breaks off.  Behind
 * the signatures and in front of the answers: only what is committed here
 * leaves the signer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "approval.h"
#include "badkey.h"
#include "commit.h"
#include "log.h"
#include "queue.h"
#include "rollback.h"
#include "signer.h"
#include "store.h"

#define RETRY_NSEC	(250 * 1000 * 1000L)
#define HOUR_S		3600
#define DAY_S		86400

int
commit_find_row(const struct found *f, const struct job *j, struct stored *out,
    struct err *err)
{
	struct stored row;
	size_t i;

	for (i = 0; i < found_count(f); i++) {
		if (found_is_owner(f, i))
			continue;
		if (found_get(f, i, &row, err) == -1)
			return -1;
		/* To be decided still: that is no outcome. */
		if (j->pending != NULL && row.status == MSG_PENDING &&
		    !slice_eq(row.decision_id, slice_of(j->ask.id, MSG_ID)))
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

/* As in sql/198_midnight.sql. */
static bool
is_near_midnight(int64_t t)
{
	return (t + HOUR_S) % DAY_S < 2 * HOUR_S;
}

void
commit_put_key(struct store_key *k, const struct job *j)
{
	memcpy(k->id, j->row_id, MSG_ID);
	memcpy(k->replay_key, j->ask.replay_key, MSG_ID);
	k->by_replay_key = j->pending == NULL;
	k->next_days = is_near_midnight(j->received / 1000000);
	k->nspki = 0;
}

void
commit_note(struct intents *l, const struct job *j)
{
	struct intent in = { .status = j->status,
	    .signed_too = j->cert.n > 0 };

	if (j->status != MSG_ISSUED && j->pending == NULL)
		in.number = j->number;
	memcpy(in.id, j->row_id, MSG_ID);
	memcpy(in.serial, j->tbs.serial, SERIAL_LEN);
	snprintf(in.ca, sizeof(in.ca), "%s", j->ca->name);
	intents_add(l, &in);
}

void
commit_leave(struct signer *s, struct job *j, const char *text)
{
	if (j->intent)
		commit_note(&s->unresolved, j);
	j->intent = false;
	job_unavailable(j, text);
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
		commit_note(&s->unresolved, j);
	j->intent = false;
	if (j->pending != NULL)
		approval_lost(s, j);
	else
		job_stored(j, row);
	j->durable = true;	/* see look_up */
}

/*
 * After a transaction that failed or whose end is not known: take out of v
 * what has a row.  The lock of the session makes the answer final.
 */
static int
look_up(struct signer *s, struct job **v, size_t *n, struct err *err)
{
	struct store_key keys[BATCH_MAX];
	struct found found = { NULL, NULL };
	struct stored row;
	size_t i, left = 0;
	int rc;

	if (signer_ready(s, err) == -1 ||
	    store_barrier(s->store, err) == -1)
		return -1;
	for (i = 0; i < *n; i++)
		commit_put_key(&keys[i], v[i]);
	if (store_find(s->store, keys, *n, &found, err) == -1)
		return -1;
	/* What was made durable is what was read. */
	rc = store_same_session(s->store, err);
	for (i = 0; i < *n; i++) {
		/* An unreadable row stays in doubt. */
		if (rc != -1)
			rc = commit_find_row(&found, v[i], &row, err);
		if (rc == 1)
			take_row(s, v[i], &row);
		else
			v[left++] = v[i];
	}
	found_free(&found);
	*n = left;
	return rc == -1 ? -1 : 0;
}

/*
 * Somebody else's certificate of this key was committed in between (key_taken
 * in sql/168_key_race.sql).  Whoever is asked next sees that, and the refusal
 * gets a row: the worker asks on.
 */
static void
ask_on(struct signer *s, struct job *j)
{
	struct err err = ERR_INIT;
	char *owner = NULL;

	if (j->req != NULL && j->status == MSG_UNAVAILABLE &&
	    store_key_owner(s->store, j->req->key, &owner, &err) == 0 &&
	    badkey_owned(j->req->key, owner, job_owner(j), &err) == -1)
		j->status = MSG_ELSEWHERE;
	free(owner);
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

/* They were judged before the database was waited for. */
static size_t
leave_disabled(struct signer *s, struct job **v, size_t n)
{
	struct err why;
	size_t i, left = 0;

	for (i = 0; i < n; i++) {
		memset(&why, 0, sizeof(why));
		if (v[i]->status == MSG_ISSUED && v[i]->exchange == NULL &&
		    job_disabled(s, v[i], &why))
			commit_leave(s, v[i], why.text);
		else
			v[left++] = v[i];
	}
	return left;
}

struct ahead {
	struct signer	*s;
	struct job	**v;
	size_t		 n;
};

/* A token that fails once is not asked for each of the others. */
static void
work_ahead(void *arg)
{
	const struct ahead *a = arg;
	size_t i;

	for (i = 0; i < a->n && job_answer_ahead(a->s, a->v[i]) == 0; i++)
		;
	if (a->s->queue != NULL)
		queue_ahead(a->s, a->s->queue);
}

/*
 * While the database commits, the answers are signed, which leave later, and
 * the next requests are parsed.
 */
static int
insert(struct signer *s, struct job **v, size_t n, bool *in_doubt,
    struct err *err)
{
	struct ahead a = { s, v, n };
	int rc;

	store_meanwhile(s->store, work_ahead, &a);
	rc = store_insert(s->store, v, n, in_doubt, err);
	store_meanwhile(s->store, NULL, NULL);
	return rc;
}

void
commit(struct signer *s, struct job **v, size_t n, int64_t deadline)
{
	struct err err = ERR_INIT;
	bool in_doubt, alone = false;
	size_t i;

	while (n > 0) {
		memset(&err, 0, sizeof(err));
		if (insert(s, v, n, &in_doubt, &err) == 0) {
			for (i = 0; i < n; i++)
				v[i]->committed = true;
			return;
		}
		log_note("commit", "%zu rows: %s", n, err.text);
		/* sql/183_rollback_fence.sql: what has another one found? */
		s->checked = 0;
		if (err.kind == ERR_UNAVAILABLE || in_doubt) {
			if (log_usec() > deadline ||
			    look_up_patiently(s, v, &n, deadline) == -1)
				break;
			n = leave_disabled(s, v, n);
		} else if (n > 1) {	/* who sends bad ones pays for few */
			commit(s, v, n / 2, deadline);
			commit(s, v + n / 2, n - n / 2, deadline);
			return;
		} else {
			(void)look_up(s, v, &n, &err);
			alone = true;
			break;
		}
	}
	for (i = 0; i < n; i++)
		commit_leave(s, v[i], err.text);
	if (alone && n == 1)
		ask_on(s, v[0]);
}
