/*
 * Off the link as they come, into batches in order of what cannot wait.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>

#include "der.h"
#include "log.h"
#include "pace.h"
#include "queue.h"
#include "signer.h"

#define QUEUE_MAX	4096
#define QUEUE_BYTES	(16 * 1024 * 1024)
#define BATCH_BYTES	(2 * 1024 * 1024)
#define AHEAD_USEC	5000	/* a COMMIT may be over before that */
#define FOURTH		4

enum rank { RANK_FIRST, RANK_SOON, RANK_NEW };

struct waiting {
	struct job	*job;
	size_t		 turn;
	enum rank	 rank;
};

struct queue {
	struct waiting	 v[QUEUE_MAX];		/* by turn, then arrival */
	size_t		 n, bytes;
	size_t		 places;		/* given so far */
};

/* A batch that is being filled. */
struct taken {
	struct job	**v;
	size_t		 n, bytes;
};

struct queue *
queue_new(void)
{
	return xcalloc(1, sizeof(struct queue));
}

void
queue_free(struct signer *s, struct queue *q)
{
	size_t i;

	if (q == NULL)
		return;
	for (i = 0; i < q->n; i++)
		job_free(s, q->v[i].job);
	free(q);
}

static bool
is_full(const struct queue *q)
{
	return q->n == QUEUE_MAX || q->bytes >= QUEUE_BYTES;
}

size_t
queue_length(const struct queue *q)
{
	return q->n;
}

/*
 * Behind all of the same worker; of others the first of each come together,
 * then the second.  So does ZeroMQ, but only with what is not yet here.
 */
static size_t
turn_of(const struct queue *q, const char *worker)
{
	size_t i;

	for (i = q->n; i > 0; i--)
		if (strcmp(q->v[i - 1].job->link.worker, worker) == 0)
			return q->v[i - 1].turn + 1;
	return q->n > 0 ? q->v[0].turn : 0;
}

void
queue_add(struct queue *q, struct job *j)
{
	struct waiting w = { .job = j, .turn = turn_of(q, j->link.worker),
	    .rank = job_is_issue(j) ? RANK_NEW : RANK_FIRST };
	size_t i;

	for (i = q->n++; i > 0 && q->v[i - 1].turn > w.turn; i--)
		q->v[i] = q->v[i - 1];
	q->v[i] = w;
	q->bytes += j->link.msg.n;
}

int
queue_fill(struct signer *s, struct queue *q, int timeout_ms, struct err *err)
{
	struct job *j;
	int rc;

	while (!is_full(q)) {
		j = job_new();
		rc = link_recv(s->link, &j->link, q->n > 0 ? 0 : timeout_ms,
		    err);
		if (rc != 1) {
			job_free(s, j);
			return rc;
		}
		job_read(j);
		queue_add(q, j);
	}
	return 0;
}

/* Does this Certificate say so?  Whether it is ours is asked later. */
static bool
ends_soon(struct slice cert)
{
	struct err ignored = ERR_INIT;
	struct der c, tbs, validity;
	struct slice time[2];
	const unsigned char *p;
	ASN1_TIME *t[2] = { NULL, NULL };
	int i, rc, life[2], left[2];

	if (der_only(cert, DER_SEQ, &c, "certificate", &ignored) == -1 ||
	    der_enter(&c, DER_SEQ, &tbs, "certificate", &ignored) == -1)
		return false;
	/* version, serialNumber, signature, issuer: [RFC5280] 4.1 */
	for (i = der_peek(&tbs) == DER_CTXC(0) ? 0 : 1; i < 4; i++)
		if (der_any(&tbs, NULL, NULL, NULL, "certificate",
		    &ignored) == -1)
			return false;
	if (der_enter(&tbs, DER_SEQ, &validity, "validity", &ignored) == -1)
		return false;
	for (i = 0; i < 2; i++) {
		if (der_any(&validity, NULL, &time[i], NULL, "validity",
		    &ignored) == -1)
			time[i] = slice_of(NULL, 0);
		p = time[i].p;
		t[i] = d2i_ASN1_TIME(NULL, &p, (long)time[i].n);
	}
	/* Days, and the seconds above; NULL is now. */
	rc = t[0] != NULL && t[1] != NULL &&
	    ASN1_TIME_diff(&life[0], &life[1], t[0], t[1]) == 1 &&
	    ASN1_TIME_diff(&left[0], &left[1], NULL, t[1]) == 1;
	ASN1_TIME_free(t[0]);
	ASN1_TIME_free(t[1]);
	return rc == 1 && pace_is_soon(life[0] * INT64_C(86400) + life[1],
	    left[0] * INT64_C(86400) + left[1]);
}

void
queue_parse(struct queue *q)
{
	int64_t end = log_usec() + AHEAD_USEC;
	struct waiting *w;
	size_t i;

	for (i = 0; i < q->n && log_usec() < end; i++) {
		w = &q->v[i];
		if (w->rank != RANK_NEW || w->job->parsed)
			continue;
		job_parse(w->job);
		if (w->job->req != NULL && ends_soon(w->job->req->old_cert))
			w->rank = RANK_SOON;
	}
}

void
queue_ahead(struct signer *s, struct queue *q)
{
	struct err ignored = ERR_INIT;

	(void)queue_fill(s, q, 0, &ignored);
	queue_parse(q);
}

/* Those of a rank up to worst, in their order, until there are max. */
static void
take(struct queue *q, struct taken *t, enum rank worst, size_t max)
{
	struct waiting *w;
	size_t i;

	for (i = 0; i < q->n && t->n < max && t->bytes < BATCH_BYTES; i++) {
		w = &q->v[i];
		if (w->job == NULL || w->rank > worst)
			continue;
		t->v[t->n++] = w->job;
		t->bytes += w->job->link.msg.n;
		w->job = NULL;
	}
}

static void
close_up(struct queue *q)
{
	size_t i, n = 0;

	for (i = 0; i < q->n; i++)
		if (q->v[i].job != NULL)
			q->v[n++] = q->v[i];
	q->n = n;
}

size_t
queue_take(struct queue *q, struct job **v, size_t max)
{
	struct taken t = { .v = v };

	if (q->n > max) {
		take(q, &t, RANK_NEW, (q->places % FOURTH + max) / FOURTH);
		take(q, &t, RANK_FIRST, max);
		take(q, &t, RANK_SOON, max);
	}
	take(q, &t, RANK_NEW, max);
	q->places += t.n;
	q->bytes -= t.bytes;
	close_up(q);
	return t.n;
}
