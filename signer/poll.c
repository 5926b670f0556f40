/*
 * Polls: what became of a request, for all that ask in a batch at once.
 * Nothing is decided or signed here.
 */
#include <stdlib.h>

#include "hresult.h"
#include "poll.h"
#include "signer.h"

#define DAY_USEC	(INT64_C(86400) * 1000000)
#define RECENT_DAYS	45

/* Those whose account may ask; the others are refused. */
static size_t
admit(struct signer *s, struct job *const *jobs, size_t n, struct job **v)
{
	struct err err;
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		if (jobs[i]->state != JOB_NEW ||
		    jobs[i]->ask.call != CALL_QUERY)
			continue;
		err = (struct err)ERR_INIT;
		if (job_account(s, jobs[i], &err) == 0)
			v[count++] = jobs[i];
		else
			job_refuse(jobs[i], &err);
	}
	return count;
}

/* [MS-WCCE] 3.2.1.4.2.1.3: a disposition of its own, without certificate. */
static void
make_revoked(struct stored *row)
{
	row->status = MSG_DENIED;
	row->hresult = CRYPT_E_REVOKED;
	row->text = slice_str("the certificate was revoked since");
	row->certificate = row->response = slice_of(NULL, 0);
}

static void
answer(const struct signer *s, const struct store_polls *q,
    const struct found *found)
{
	struct stored row;
	struct err err;
	size_t i, nth;

	for (i = 0; i < found_count(found); i++) {
		err = (struct err)ERR_INIT;
		if ((nth = found_nth(found, i)) >= q->n)
			continue;
		if (found_get(found, i, &row, &err) == 0) {
			if (found_revoked(found, i))
				make_revoked(&row);
			job_stored(q->v[nth], &row);
			q->v[nth]->durable = found_durable(s->store, found, i);
		} else
			job_refuse(q->v[nth], &err);
	}
}

/*
 * Ask, answer, and keep those that are not answered.  What a server says that
 * was come to just now, nobody has looked at.
 */
static int
look(struct signer *s, struct job **v, struct store_polls *q,
    struct err *err)
{
	struct found found = { NULL, NULL };
	size_t i, n = 0;
	int rc;

	if (q->n == 0)
		return 0;
	if (store_query(s->store, q, &found, err) == -1)
		return -1;
	rc = store_same_session(s->store, err);
	if (rc == 0)
		answer(s, q, &found);
	found_free(&found);
	for (i = 0; rc == 0 && i < q->n; i++)
		if (v[i]->state == JOB_NEW)
			v[n++] = v[i];
	q->n = n;
	return rc;
}

/*
 * Most is of the last weeks, whose partitions are few; there is no other look
 * but one at all the others.  Both are taken for what is not there and for
 * what is not the caller's, and they are one answer ([MS-WSTEP] has no rule).
 */
int
poll_all(struct signer *s, struct job *const *jobs, size_t n,
    struct err *err)
{
	struct job **v = xcalloc(n + 1, sizeof(*v));
	struct store_polls q = { .v = v, .n = admit(s, jobs, n, v) };
	struct err none = ERR_INIT;
	uint32_t day;
	size_t i;
	int rc = 0;

	if (q.n > 0) {
		day = (uint32_t)(v[0]->received / DAY_USEC);
		q.first = day - RECENT_DAYS;
		q.last = day + 1;
		rc = look(s, v, &q, err);
	}
	if (rc == 0 && q.n > 0) {
		q.last = q.first - 1;
		q.first = 0;
		rc = look(s, v, &q, err);
	}
	err_deny(&none, CERTSRV_E_PROPERTY_EMPTY, "no request with this id");
	for (i = 0; rc == 0 && i < q.n; i++)
		job_refuse(v[i], &none);
	free(v);
	return rc;
}
