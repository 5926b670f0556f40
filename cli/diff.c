/* Unified differences, for policy diff. */
#include "diff.h"

#include <stdlib.h>
#include <string.h>

#define CONTEXT	3
#define CELLS	(64u * 1024 * 1024 / sizeof(uint32_t))	/* 64 MiB */

struct lines {
	struct slice	*v;
	size_t		 n;
};

/* An edit: both, only the old, only the new text has the line. */
struct edit {
	char		 op;		/* ' ', '-', '+' */
	struct slice	 line;
};

struct script {
	struct edit	*v;
	size_t		 n;
};

static struct lines
split(struct slice s)
{
	struct lines l = { NULL, 0 };
	const uint8_t *nl;
	size_t n;

	while (s.n > 0) {
		nl = memchr(s.p, '\n', s.n);
		n = nl == NULL ? s.n : (size_t)(nl - s.p);
		l.v = xreallocarray(l.v, l.n + 1, sizeof *l.v);
		l.v[l.n++] = slice_of(s.p, n);
		n += nl != NULL;
		s.p += n;
		s.n -= n;
	}
	return l;
}

static void
emit(struct script *s, char op, struct slice line)
{
	s->v[s->n].op = op;
	s->v[s->n++].line = line;
}

/*
 * Longest common subsequence of the parts that differ: len[i][j] is its
 * length from line i of a and line j of b on.
 */
static void
lengths(const struct lines *a, const struct lines *b, uint32_t *len)
{
	size_t i, j, w = b->n + 1;
	uint32_t down, right;

	for (i = a->n; i-- > 0;)
		for (j = b->n; j-- > 0;) {
			down = len[(i + 1) * w + j];
			right = len[i * w + j + 1];
			len[i * w + j] = slice_eq(a->v[i], b->v[j]) ?
			    len[(i + 1) * w + j + 1] + 1 :
			    down > right ? down : right;
		}
}

/* Deletions before additions, as people are used to. */
static int
middle(const struct lines *a, const struct lines *b, struct script *s,
    struct err *err)
{
	size_t i = 0, j = 0, w = b->n + 1;
	uint32_t *len;

	if (w > CELLS / (a->n + 1))
		return err_set(err, ERR_TOO_BIG,
		    "the texts differ in too many lines: %zu and %zu", a->n,
		    b->n);
	len = xcalloc((a->n + 1) * w, sizeof *len);
	lengths(a, b, len);
	while (i < a->n || j < b->n) {
		if (i < a->n && j < b->n && slice_eq(a->v[i], b->v[j])) {
			emit(s, ' ', a->v[i++]);
			j++;
		} else if (i < a->n && (j == b->n ||
		    len[(i + 1) * w + j] >= len[i * w + j + 1]))
			emit(s, '-', a->v[i++]);
		else
			emit(s, '+', b->v[j++]);
	}
	free(len);
	return 0;
}

/* What both begin and end with is no part of the table: edits are small. */
static int
compare(const struct lines *a, const struct lines *b, struct script *s,
    struct err *err)
{
	size_t head = 0, tail = 0, i;
	struct lines ma, mb;

	while (head < a->n && head < b->n &&
	    slice_eq(a->v[head], b->v[head]))
		emit(s, ' ', a->v[head++]);
	while (tail < a->n - head && tail < b->n - head &&
	    slice_eq(a->v[a->n - 1 - tail], b->v[b->n - 1 - tail]))
		tail++;
	ma.v = a->v == NULL ? NULL : a->v + head;
	ma.n = a->n - head - tail;
	mb.v = b->v == NULL ? NULL : b->v + head;
	mb.n = b->n - head - tail;
	if (middle(&ma, &mb, s, err) != 0)
		return -1;
	for (i = a->n - tail; i < a->n; i++)
		emit(s, ' ', a->v[i]);
	return 0;
}

/* The end of the hunk that begins at edit i: changes further away start one. */
static size_t
hunk_end(const struct script *s, size_t i)
{
	size_t last = i;

	for (; i < s->n && i - last <= 2 * CONTEXT + 1; i++)
		if (s->v[i].op != ' ')
			last = i;
	return last + 1 + CONTEXT < s->n ? last + 1 + CONTEXT : s->n;
}

/* Edits from..to, with the old and new line number before them. */
static void
hunk(const struct script *s, size_t from, size_t to, struct buf *out)
{
	size_t i, at[2] = { 1, 1 }, n[2] = { 0, 0 };

	for (i = 0; i < to; i++) {
		size_t *count = i < from ? at : n;

		count[0] += s->v[i].op != '+';
		count[1] += s->v[i].op != '-';
	}
	/* An empty side counts from the line before it. */
	buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", at[0] - (n[0] == 0),
	    n[0], at[1] - (n[1] == 0), n[1]);
	for (i = from; i < to; i++) {
		buf_addc(out, (uint8_t)s->v[i].op);
		buf_add(out, s->v[i].line.p, s->v[i].line.n);
		buf_addc(out, '\n');
	}
}

static void
hunks(const struct script *s, struct buf *out)
{
	size_t i, from, done = 0;

	for (i = 0; i < s->n; i++) {
		if (i < done || s->v[i].op == ' ')
			continue;
		from = i > CONTEXT ? i - CONTEXT : 0;
		if (from < done)
			from = done;
		done = hunk_end(s, i);
		hunk(s, from, done, out);
	}
}

int
diff_unified(struct slice a, struct slice b, const char *a_name,
    const char *b_name, struct buf *out, struct err *err)
{
	struct lines la = split(a), lb = split(b);
	struct script s = { NULL, 0 };
	int rc;

	s.v = xcalloc(la.n + lb.n + 1, sizeof *s.v);
	rc = compare(&la, &lb, &s, err);
	if (rc == 0 && !slice_eq(a, b)) {
		buf_printf(out, "--- %s\n+++ %s\n", a_name, b_name);
		hunks(&s, out);
	}
	free(la.v);
	free(lb.v);
	free(s.v);
	return rc;
}
