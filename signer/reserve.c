/*
 * One-time secrets and pending requests, locked before the intents are
 * written: the transaction that is opened here is commit.c's.
 */
#include <stdlib.h>

#include "approval.h"
#include "hresult.h"
#include "reserve.h"

static bool
uses_up(const struct job *j)
{
	return j->state == JOB_RECORD &&
	    (job_spends(j) || j->pending != NULL);
}

static void
too_late(struct signer *s, struct job *j)
{
	if (j->pending != NULL) {
		approval_lost(s, j);
		return;
	}
	j->status = MSG_DENIED;
	j->hresult = CERTSRV_E_ENROLL_DENIED;
	snprintf(j->text, sizeof(j->text), "the one-time secret of account %s "
	    "was used or is no longer good", j->account);
}

void
reserve(struct signer *s, struct job *const *jobs, size_t n)
{
	struct job **v = xcalloc(n + 1, sizeof(*v));
	struct err err = ERR_INIT;
	size_t i, count = 0;
	int rc = 0;

	for (i = 0; i < n; i++)
		if (uses_up(jobs[i]))
			v[count++] = jobs[i];
	if (count > 0)
		rc = store_reserve(s->store, v, count, &err);
	for (i = 0; i < count; i++) {
		if (rc == -1)
			job_unavailable(v[i], err.text);
		else if (!v[i]->reserved)
			too_late(s, v[i]);
	}
	free(v);
}
