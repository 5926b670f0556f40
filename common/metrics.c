/* Prometheus text out of memory that processes share. */
#include <sys/mman.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "metrics.h"

#define SLOTS		512
#define BOUNDS		13
#define FOLDER_MAX	((size_t)1024 * 1024)	/* of its files together */

enum type { COUNTER, GAUGE, TIMES, SIZES };

struct known {
	const char	*name, *help;
	enum type	 type;
};

static const struct known known[METRICS] = {
	[M_DROPPED] = { "countersign_metrics_dropped_total",
	    "Additions for which there was no room", COUNTER },
	[M_REQUESTS] = { "countersign_requests_total",
	    "Requests answered by the workers of this host", COUNTER },
	[M_STAGE] = { "countersign_stage_seconds",
	    "Time of a request in each stage", TIMES },
	[M_POLICY_VERSION] = { "countersign_policy_version",
	    "Version of the policy in force here", GAUGE },
	[M_DECISIONS] = { "countersign_signer_decisions_total",
	    "Calls that the signer answered", COUNTER },
	[M_BATCH] = { "countersign_signer_batch_size",
	    "Calls taken from the queue at once", SIZES },
	[M_QUEUED] = { "countersign_signer_queue",
	    "Calls that wait for a batch", GAUGE },
	[M_WAIT] = { "countersign_signer_wait_seconds",
	    "In the signer's queue: from a worker's sending to the taking, "
	    "by both clocks",
	    TIMES },
	[M_SIGN] = { "countersign_signer_sign_seconds",
	    "Signing one certificate and checking that", TIMES },
	[M_COMMIT] = { "countersign_signer_commit_seconds",
	    "The transaction of a batch, its answers being signed meanwhile",
	    TIMES },
	[M_DATABASE_UP] = { "countersign_signer_database_up",
	    "1 if the database answers and is safe to write to", GAUGE },
	[M_LEDGER_ENTRIES] = { "countersign_signer_ledger_entries",
	    "Entries in the signer's ledger", GAUGE },
	[M_CRL_MADE] = { "countersign_crl_made_timestamp_seconds",
	    "When the last revocation list was made", GAUGE },
	[M_CRL_ENDS] = { "countersign_crl_ends_timestamp_seconds",
	    "Until when that list counts (nextUpdate)", GAUGE },
	[M_DELTA_MADE] = { "countersign_crl_delta_made_timestamp_seconds",
	    "When the last delta list was made", GAUGE },
	[M_DELTA_ENDS] = { "countersign_crl_delta_ends_timestamp_seconds",
	    "Until when that delta counts (nextUpdate)", GAUGE },
	[M_EXPIRING] = { "countersign_certificates_expiring",
	    "Certificates, not revoked, that end within so many days", GAUGE },
	[M_PUBLISHED] = { "countersign_publisher_updated_timestamp_seconds",
	    "When all lists were last found where they belong, or put there",
	    GAUGE },
	[M_UPDATED] = { "countersign_signer_updated_timestamp_seconds",
	    "When the signer wrote these numbers", GAUGE },
};

static const char *const type_names[] = {
	[COUNTER] = "counter", [GAUGE] = "gauge", [TIMES] = "histogram",
	[SIZES] = "histogram"
};

/* Upper bounds: microseconds, and how they are written. */
static const int64_t times[BOUNDS] = { 500, 1000, 2000, 5000, 10000, 20000,
	50000, 100000, 200000, 500000, 1000000, 2000000, 5000000 };
static const char *const time_names[BOUNDS] = { "0.0005", "0.001", "0.002",
	"0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5" };
static const int64_t sizes[BOUNDS] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48,
	64, 128 };
static const char *const size_names[BOUNDS] = { "1", "2", "3", "4", "6", "8",
	"12", "16", "24", "32", "48", "64", "128" };

struct slot {
	atomic_bool	 used;		/* the two below are final */
	enum metric	 metric;
	char		 labels[METRICS_LABELS];
	/* A value; or a histogram's counts, not yet cumulated, and sum. */
	_Atomic int64_t	 n[BOUNDS + 1], sum;
};

struct metrics {
	pthread_mutex_t	 lock;		/* of taking a slot */
	_Atomic int64_t	 dropped;
	struct slot	 slot[SLOTS];
};

struct metrics *
metrics_new(void)
{
	pthread_mutexattr_t	 attr;
	struct metrics		*m;

	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&m->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return m;
}

void
metrics_free(struct metrics *m)
{
	if (m != NULL)
		munmap(m, sizeof(*m));
}

static size_t
hash(enum metric metric, const char *labels)
{
	uint32_t	h = 2166136261u ^ (uint32_t)metric;

	for (; *labels != '\0'; labels++)
		h = (h ^ (uint8_t)*labels) * 16777619u;
	return h % SLOTS;
}

/* The slot of these labels from there on, or the first free one. */
static struct slot *
probe(struct metrics *m, enum metric metric, const char *labels)
{
	size_t		 i, at = hash(metric, labels);
	struct slot	*s;

	for (i = 0; i < SLOTS; i++) {
		s = &m->slot[(at + i) % SLOTS];
		if (!atomic_load_explicit(&s->used, memory_order_acquire) ||
		    (s->metric == metric && strcmp(s->labels, labels) == 0))
			return s;
	}
	return NULL;
}

/* A process that died here left at most a slot that nobody uses yet. */
static void
take(struct metrics *m, enum metric metric, const char *labels)
{
	struct slot	*s;

	if (pthread_mutex_lock(&m->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&m->lock);
	s = probe(m, metric, labels);
	if (s != NULL && !atomic_load(&s->used)) {
		s->metric = metric;
		memcpy(s->labels, labels, strlen(labels) + 1);
		atomic_store_explicit(&s->used, true, memory_order_release);
	}
	pthread_mutex_unlock(&m->lock);
}

static struct slot *
find(struct metrics *m, enum metric metric, const char *labels)
{
	struct slot	*s;

	if (m == NULL || strlen(labels) >= METRICS_LABELS)
		return NULL;
	s = probe(m, metric, labels);
	if (s != NULL && !atomic_load(&s->used)) {
		take(m, metric, labels);
		s = probe(m, metric, labels);
	}
	if (s == NULL)
		atomic_fetch_add(&m->dropped, 1);
	return s;
}

void
metrics_count(struct metrics *m, enum metric metric, const char *labels,
    uint64_t n)
{
	struct slot	*s = find(m, metric, labels);

	if (s != NULL)
		atomic_fetch_add_explicit(&s->n[0], (int64_t)n,
		    memory_order_relaxed);
}

void
metrics_set(struct metrics *m, enum metric metric, const char *labels,
    int64_t value)
{
	struct slot	*s = find(m, metric, labels);

	if (s != NULL)
		atomic_store_explicit(&s->n[0], value, memory_order_relaxed);
}

void
metrics_clear(struct metrics *m, enum metric metric)
{
	size_t	i;

	for (i = 0; i < SLOTS; i++)
		if (atomic_load(&m->slot[i].used) &&
		    m->slot[i].metric == metric)
			atomic_store(&m->slot[i].n[0], 0);
}

void
metrics_observe(struct metrics *m, enum metric metric, const char *labels,
    int64_t value)
{
	const int64_t	*bound = known[metric].type == SIZES ? sizes : times;
	struct slot	*s = find(m, metric, labels);
	size_t		 i;

	if (s == NULL)
		return;
	/* A sum that falls is no counter, and below 0 it is no number. */
	if (value < 0)
		value = 0;
	for (i = 0; i < BOUNDS && value > bound[i]; i++)
		;
	atomic_fetch_add_explicit(&s->n[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->sum, value, memory_order_relaxed);
}

void
metrics_label(char labels[METRICS_LABELS], const char *name,
    struct slice value)
{
	struct buf	b = { 0 };
	size_t		i, have = strlen(labels);

	if (have > 0)
		buf_addc(&b, ',');
	buf_printf(&b, "%s=\"", name);
	for (i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_addc(&b, '\\');
		buf_addc(&b, value.p[i] < 0x20 ? ' ' : value.p[i]);
	}
	buf_addc(&b, '"');
	if (have + b.n < METRICS_LABELS) {
		memcpy(labels + have, b.p, b.n);
		labels[have + b.n] = '\0';
	}
	buf_free(&b);
}

static void
put_name(struct buf *b, const char *name, const char *suffix,
    const char *labels)
{
	buf_printf(b, "%s%s", name, suffix);
	if (*labels != '\0')
		buf_printf(b, "{%s}", labels);
	buf_addc(b, ' ');
}

static void
put_sum(struct buf *b, const struct slot *s, enum type type)
{
	int64_t	sum = atomic_load(&s->sum);

	if (type == SIZES)
		buf_printf(b, "%" PRId64 "\n", sum);
	else
		buf_printf(b, "%" PRId64 ".%06d\n", sum / 1000000,
		    (int)(sum % 1000000));
}

static void
put_histogram(struct buf *b, const struct slot *s)
{
	enum type		 type = known[s->metric].type;
	const char *const	*names = type == SIZES ? size_names :
				    time_names;
	const char		*name = known[s->metric].name;
	int64_t			 n = 0;
	size_t			 i;

	for (i = 0; i <= BOUNDS; i++) {
		n += atomic_load(&s->n[i]);
		buf_printf(b, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", name,
		    s->labels, *s->labels != '\0' ? "," : "",
		    i < BOUNDS ? names[i] : "+Inf", n);
	}
	put_name(b, name, "_sum", s->labels);
	put_sum(b, s, type);
	put_name(b, name, "_count", s->labels);
	buf_printf(b, "%" PRId64 "\n", n);
}

static void
put_one(struct buf *b, const struct slot *s)
{
	if (known[s->metric].type == TIMES || known[s->metric].type == SIZES) {
		put_histogram(b, s);
		return;
	}
	put_name(b, known[s->metric].name, "", s->labels);
	buf_printf(b, "%" PRId64 "\n", atomic_load(&s->n[0]));
}

/* Is this line, from its name on, a sample of that kind? */
static bool
is_sample(struct slice line, enum metric metric)
{
	static const char *const	parts[] = { "_bucket", "_sum",
					    "_count" };
	const struct slice		name = slice_str(known[metric].name);
	size_t				i, n;

	if (line.n <= name.n || memcmp(line.p, name.p, name.n) != 0)
		return false;
	line = slice_of(line.p + name.n, line.n - name.n);
	for (i = 0; i < 3 && (known[metric].type == TIMES ||
	    known[metric].type == SIZES); i++) {
		n = strlen(parts[i]);
		if (line.n > n && memcmp(line.p, parts[i], n) == 0) {
			line.p += n;
			break;
		}
	}
	return line.p[0] == '{' || line.p[0] == ' ';
}

/* The samples of that kind that other programs have written. */
static void
put_others(struct buf *b, struct slice others, enum metric metric)
{
	const uint8_t	*end;
	struct slice	 line;

	while (others.n > 0 &&
	    (end = memchr(others.p, '\n', others.n)) != NULL) {
		line = slice_of(others.p, (size_t)(end + 1 - others.p));
		if (is_sample(line, metric))
			buf_add(b, line.p, line.n);
		others = slice_of(end + 1, others.n - line.n);
	}
}

/* Each program has one of these, without labels. */
static int64_t
dropped(const struct metrics *m, struct slice others)
{
	struct buf	 b = { 0 };
	int64_t		 n = atomic_load(&m->dropped);
	const char	*line;

	put_others(&b, others, M_DROPPED);
	for (line = buf_str(&b); (line = strchr(line, ' ')) != NULL; line++)
		n += strtoll(line, NULL, 10);
	buf_free(&b);
	return n;
}

static void
put_metric(struct buf *b, const struct metrics *m, struct slice others,
    enum metric metric)
{
	struct buf	lines = { 0 };
	size_t		i;

	for (i = 0; i < SLOTS; i++)
		if (atomic_load_explicit(&m->slot[i].used,
		    memory_order_acquire) && m->slot[i].metric == metric)
			put_one(&lines, &m->slot[i]);
	put_others(&lines, others, metric);
	if (lines.n > 0) {
		buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n",
		    known[metric].name, known[metric].help,
		    known[metric].name, type_names[known[metric].type]);
		buf_add(b, lines.p, lines.n);
	}
	buf_free(&lines);
}

void
metrics_write(const struct metrics *m, struct slice others, struct buf *b)
{
	enum metric	metric;

	buf_printf(b, "# HELP %s %s\n# TYPE %s counter\n%s %" PRId64 "\n",
	    known[M_DROPPED].name, known[M_DROPPED].help,
	    known[M_DROPPED].name, known[M_DROPPED].name,
	    dropped(m, others));
	for (metric = M_DROPPED + 1; metric < METRICS; metric++)
		put_metric(b, m, others, metric);
}

static int
is_saved(const struct dirent *e)
{
	size_t	n = strlen(e->d_name);

	return n > 5 && strcmp(e->d_name + n - 5, ".prom") == 0;
}

void
metrics_read(const char *folder, struct buf *out)
{
	struct err	  ignored;
	struct dirent	**file;
	char		 *path;
	int		  i, n = scandir(folder, &file, is_saved, alphasort);

	for (i = 0; i < n; i++) {
		memset(&ignored, 0, sizeof(ignored));
		path = file_path(folder, file[i]->d_name, "");
		if (out->n < FOLDER_MAX)
			(void)file_read(path, FOLDER_MAX - out->n, out,
			    &ignored);
		free(path);
		free(file[i]);
	}
	if (n >= 0)
		free(file);
}

int
metrics_save(const struct metrics *m, const char *path, struct err *err)
{
	struct buf	b = { 0 };
	int		rc;

	metrics_write(m, slice_of(NULL, 0), &b);
	rc = file_show(path, 0644, buf_slice(&b), err);
	buf_free(&b);
	return rc;
}
