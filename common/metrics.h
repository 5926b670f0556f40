/*
 * Counts and times for Prometheus, in memory that processes forked later
 * share: each adds to the same numbers.  Adding takes no lock; the first of a
 * new set of labels does.  There is room for 512 sets; what is beyond is
 * counted in countersign_metrics_dropped_total alone.
 */
#ifndef METRICS_H
#define METRICS_H

#include "buf.h"
#include "err.h"

/* What is measured; names, types and help texts are in metrics.c. */
enum metric {
	M_DROPPED,
	M_REQUESTS,		/* worker: service, call, method, template, */
	M_STAGE,		/* ... outcome; stage */
	M_POLICY_VERSION,
	M_DECISIONS,		/* signer: call, template, outcome */
	M_BATCH,		/* requests in one batch */
	M_QUEUED,		/* requests that wait for one */
	M_WAIT,			/* from the worker's sending to the batch */
	M_SIGN,
	M_COMMIT,
	M_DATABASE_UP,
	M_LEDGER_ENTRIES,
	M_CRL_MADE,		/* ca */
	M_CRL_ENDS,
	M_DELTA_MADE,		/* ca */
	M_DELTA_ENDS,
	M_EXPIRING,		/* template, days */
	M_PUBLISHED,		/* to */
	M_UPDATED,
	METRICS
};

struct metrics;

/* NULL when there is no memory.  Free in the process that made it. */
struct metrics	*metrics_new(void);
void		 metrics_free(struct metrics *);

/*
 * Labels as Prometheus writes them, made by metrics_label: 'a="b",c="d"', or
 * "".  metrics_count adds to a counter, metrics_set sets a gauge,
 * metrics_observe adds one value to a histogram: microseconds, or for M_BATCH
 * a number.  A negative one, as between two hosts' clocks, counts as 0.  On
 * NULL these three do nothing; the functions below want metrics.
 */
void	 metrics_count(struct metrics *, enum metric, const char *labels,
	    uint64_t n);
void	 metrics_set(struct metrics *, enum metric, const char *labels,
	    int64_t value);
void	 metrics_observe(struct metrics *, enum metric, const char *labels,
	    int64_t value);

/* 0 for each set of labels a gauge had so far. */
void	 metrics_clear(struct metrics *, enum metric);

/* Append name="value" to labels, escaped, cut where there is no room. */
#define METRICS_LABELS	192
void	 metrics_label(char labels[METRICS_LABELS], const char *name,
	    struct slice value);

/*
 * What other programs of this host have saved: every file of the folder that
 * ends in ".prom", appended.  What cannot be read is left out.
 */
void	 metrics_read(const char *folder, struct buf *);
/*
 * The text format 0.0.4, appended, with the samples that others have saved
 * where they belong: each name may have its heading once.
 */
void	 metrics_write(const struct metrics *, struct slice others,
	    struct buf *);
/*
 * Ours alone into a file, in one piece (file_show): what it said before is
 * gone.
 */
int	 metrics_save(const struct metrics *, const char *path, struct err *);

#endif
