/* What the publisher tells Prometheus: lists, and what ends soon. */
#include <stdlib.h>
#include <time.h>

#include "crlmetrics.h"
#include "log.h"
#include "metrics.h"

#define WRITE_SECONDS	60
#define COUNT_SECONDS	600

struct crlmetrics {
	struct metrics	*m;
	const char	*path, *to;
	int64_t		 next, next_count;	/* monotonic seconds */
};

struct crlmetrics *
crlmetrics_new(const char *path, const char *to)
{
	struct crlmetrics	*p = xcalloc(1, sizeof(*p));

	p->path = path;
	p->to = to;
	p->m = metrics_new();
	return p;
}

void
crlmetrics_free(struct crlmetrics *p)
{
	if (p == NULL)
		return;
	metrics_free(p->m);
	free(p);
}

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

/* ca, when made, until when, is it a delta, the certificate of the key. */
static int
set_lists(struct crlmetrics *p, struct cli *c, struct err *err)
{
	PGresult	*res = cli_query(c, "metrics_crl", NULL, 0, err);
	char		 labels[METRICS_LABELS];
	bool		 delta;
	int		 i;

	if (res == NULL)
		return -1;
	/* Deltas that the policy has no longer; keys that are over. */
	metrics_clear(p->m, M_DELTA_MADE);
	metrics_clear(p->m, M_DELTA_ENDS);
	metrics_clear(p->m, M_CRL_MADE);
	metrics_clear(p->m, M_CRL_ENDS);
	for (i = 0; i < PQntuples(res); i++) {
		/* Nobody makes another list of it, nor needs it. */
		if (cli_has_ended(PQgetvalue(res, i, 4)))
			continue;
		labels[0] = '\0';
		metrics_label(labels, "ca", slice_str(PQgetvalue(res, i, 0)));
		delta = *PQgetvalue(res, i, 3) == 't';
		metrics_set(p->m, delta ? M_DELTA_MADE : M_CRL_MADE, labels,
		    number(res, i, 1));
		metrics_set(p->m, delta ? M_DELTA_ENDS : M_CRL_ENDS, labels,
		    number(res, i, 2));
	}
	PQclear(res);
	return 0;
}

static void
set_template(struct crlmetrics *p, const char *name, const char *days,
    int64_t n)
{
	char	labels[METRICS_LABELS] = "";

	metrics_label(labels, "template", slice_str(name));
	metrics_label(labels, "days", slice_str(days));
	metrics_set(p->m, M_EXPIRING, labels, n);
}

/* None of them: a 0 says more than silence. */
static void
set_none(struct crlmetrics *p, struct cli *c)
{
	struct err	 ignored = ERR_INIT;
	struct policy	*policy = cli_policy(c, &ignored);
	size_t		 i;

	for (i = 0; policy != NULL && i < policy->ntemplates; i++) {
		set_template(p, policy->templates[i].cn, "7", 0);
		set_template(p, policy->templates[i].cn, "30", 0);
	}
	policy_free(policy);
}

/* template, days, how many. */
static int
set_expiring(struct crlmetrics *p, struct cli *c, struct err *err)
{
	PGresult	*res = cli_query(c, "metrics_expiring", NULL, 0, err);
	int		 i;

	if (res == NULL)
		return -1;
	metrics_clear(p->m, M_EXPIRING);	/* templates with none */
	set_none(p, c);
	for (i = 0; i < PQntuples(res); i++)
		set_template(p, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
		    number(res, i, 2));
	PQclear(res);
	return 0;
}

/* Whoever reads of no failure for days must be able to believe it. */
static void
set_published(struct crlmetrics *p)
{
	char	labels[METRICS_LABELS] = "";

	metrics_label(labels, "to", slice_str(p->to));
	metrics_set(p->m, M_PUBLISHED, labels, time(NULL));
}

/* Counting certificates reads an index of all of them: less often. */
int
crlmetrics_write(struct crlmetrics *p, struct cli *c, struct err *err)
{
	int64_t	now = log_usec() / 1000000;

	if (p == NULL || now < p->next)
		return 0;
	p->next = now + WRITE_SECONDS;
	if (now >= p->next_count) {
		if (set_expiring(p, c, err) == -1)
			return -1;
		p->next_count = now + COUNT_SECONDS;
	}
	if (set_lists(p, c, err) == -1)
		return -1;
	set_published(p);
	return metrics_save(p->m, p->path, err);
}
