/*
 * Figures for Prometheus, in a file: counted at the end of each batch,
 * written between two.
 */
#include "log.h"
#include "measure.h"
#include "metrics.h"
#include "queue.h"
#include "signer.h"

#define WRITE_SECONDS	10
#define WAIT_MAX_MS	(60 * 1000)	/* older ones are refused: job_open.c */

static const char *
call_name(enum msg_call call)
{
	static const char *const names[] = {
		[CALL_ISSUE] = "issue", [CALL_QUERY] = "query",
		[CALL_PING] = "ping", [CALL_APPROVE] = "approve",
		[CALL_DENY] = "deny", [CALL_OCSP] = "ocsp",
		[CALL_KET] = "ket"
	};

	if ((size_t)call >= sizeof(names) / sizeof(names[0]) ||
	    names[call] == NULL)
		return "none";
	return names[call];
}

/* The figures of several signers are told apart. */
static void
begin(const struct signer *s, char labels[METRICS_LABELS])
{
	labels[0] = '\0';
	metrics_label(labels, "signer", slice_str(s->conf->name));
}

/* What was no message was decided by nobody, and has no status. */
static const char *
outcome(const struct job *from)
{
	return from->state == JOB_DROPPED ? "dropped" :
	    msg_status_name(from->status);
}

void
measure_job(const struct signer *s, const struct job *j)
{
	const struct job *from = j->state == JOB_COPY ? j->first : j;
	char labels[METRICS_LABELS], who[METRICS_LABELS];
	int64_t wait = j->received / 1000 - j->ask.sent_at;

	if (s->metrics == NULL)
		return;
	begin(s, who);
	begin(s, labels);
	metrics_label(labels, "call", slice_str(call_name(j->ask.call)));
	metrics_label(labels, "template", slice_str(
	    from->template_name != NULL ? from->template_name : ""));
	metrics_label(labels, "outcome", slice_str(outcome(from)));
	metrics_count(s->metrics, M_DECISIONS, labels, 1);
	if (wait <= WAIT_MAX_MS && wait >= -WAIT_MAX_MS)
		metrics_observe(s->metrics, M_WAIT, who, wait * 1000);
	if (j->us_sign > 0)
		metrics_observe(s->metrics, M_SIGN, who, j->us_sign);
}

void
measure_batch(const struct signer *s, struct job *const *jobs, size_t n)
{
	char labels[METRICS_LABELS];
	int64_t us = 0;
	size_t i;

	if (s->metrics == NULL || n == 0)
		return;
	begin(s, labels);
	metrics_observe(s->metrics, M_BATCH, labels, (int64_t)n);
	for (i = 0; i < n; i++) {
		if (jobs[i]->us_commit > us)
			us = jobs[i]->us_commit;
	}
	if (us > 0)
		metrics_observe(s->metrics, M_COMMIT, labels, us);
}

static void
set_gauges(struct signer *s, int64_t now, bool up)
{
	struct err ignored = ERR_INIT;
	const struct policy *policy;
	char labels[METRICS_LABELS];

	begin(s, labels);
	metrics_set(s->metrics, M_DATABASE_UP, labels, up);
	metrics_set(s->metrics, M_UPDATED, labels, now);
	metrics_set(s->metrics, M_LEDGER_ENTRIES, labels,
	    (int64_t)ledger_seq(s->ledger));
	metrics_set(s->metrics, M_QUEUED, labels,
	    (int64_t)queue_length(s->queue));
	policy = snapshot_policy(s->snapshot, false, &ignored);
	metrics_set(s->metrics, M_POLICY_VERSION, labels,
	    policy != NULL ? (int64_t)policy->version : 0);
	if (policy != NULL)
		snapshot_put(s->snapshot, policy);
}

void
measure_write(struct signer *s, int64_t now, bool up)
{
	struct err err = ERR_INIT;
	int64_t t = log_usec() / 1000000;

	if (s->metrics == NULL || t < s->next_metrics)
		return;
	s->next_metrics = t + WRITE_SECONDS;
	set_gauges(s, now, up);
	if (metrics_save(s->metrics, s->conf->metrics_file, &err) == -1)
		log_note("metrics", "%s", err.text);
}
