/*
 * Where the sections of a policy text stand, for messages.  The text may be
 * broken: this finds what it can and judges nothing; conf_text does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_int.h"

#define MARKS_MAX	2048

struct walk {
	const uint8_t	*p, *end;
	unsigned	 line, depth, from;
	char		 word[2][64];	/* the last two at depth 0 */
	unsigned	 nword;
	bool		 value;		/* behind "=": no section begins */
};

static void
step(struct walk *w)
{
	if (*w->p++ == '\n')
		w->line++;
}

static bool
at(const struct walk *w, const char *two)
{
	return w->end - w->p >= 2 && memcmp(w->p, two, 2) == 0;
}

/* Past a comment; false when there is none. */
static bool
comment(struct walk *w)
{
	if (*w->p == '#' || at(w, "//")) {
		while (w->p < w->end && *w->p != '\n')
			step(w);
		return true;
	}
	if (!at(w, "/*"))
		return false;
	w->p += 2;
	while (w->p < w->end && !at(w, "*/"))
		step(w);
	w->p += at(w, "*/") ? 2 : 0;
	return true;
}

static void
keep(struct walk *w, const uint8_t *from)
{
	size_t	n = (size_t)(w->p - from);

	if (w->depth != 0)
		return;
	if (w->value || w->nword == 2) {
		w->value = false;
		w->nword = 0;
		return;
	}
	if (w->nword == 0)
		w->from = w->line;
	if (n >= sizeof(w->word[0]))
		n = sizeof(w->word[0]) - 1;
	memcpy(w->word[w->nword], from, n);
	w->word[w->nword++][n] = '\0';
}

static void
string(struct walk *w)
{
	const uint8_t	*from = w->p + 1;
	uint8_t		 quote = *w->p;

	for (step(w); w->p < w->end && *w->p != quote; step(w))
		if (*w->p == '\\' && w->end - w->p > 1)
			step(w);
	keep(w, from);
	if (w->p < w->end)
		step(w);
}

static void
word(struct walk *w)
{
	const uint8_t	*from = w->p;

	while (w->p < w->end && *w->p > ' ' &&
	    strchr("{}=,\"'#/", *w->p) == NULL)
		step(w);
	if (w->p == from)
		step(w);
	else
		keep(w, from);
}

static void
opened(struct walk *w, struct marks *m)
{
	struct mark	*k;

	if (w->depth++ != 0 || w->value || w->nword == 0 ||
	    m->n == MARKS_MAX)
		return;
	m->v = xreallocarray(m->v, m->n + 1, sizeof(*m->v));
	k = &m->v[m->n++];
	memset(k, 0, sizeof(*k));
	snprintf(k->kind, sizeof(k->kind), "%.15s", w->word[0]);
	snprintf(k->title, sizeof(k->title), "%s",
	    w->nword == 2 ? w->word[1] : "");
	k->first = w->from;
	k->last = UINT32_MAX;		/* until closed */
	w->nword = 0;
}

static void
closed(struct walk *w, struct marks *m)
{
	if (w->depth == 0 || --w->depth != 0)
		return;
	w->nword = 0;
	w->value = false;
	if (m->n != 0 && m->v[m->n - 1].last == UINT32_MAX)
		m->v[m->n - 1].last = w->line;
}

void
marks_read(struct marks *m, struct slice text)
{
	struct walk	w;

	memset(&w, 0, sizeof(w));
	w.p = text.p;
	w.end = text.p + text.n;
	w.line = 1;
	m->v = NULL;
	m->n = 0;
	while (w.p < w.end) {
		if (*w.p <= ' ') {
			step(&w);
		} else if (comment(&w)) {
			continue;
		} else if (*w.p == '"' || *w.p == '\'') {
			string(&w);
		} else if (*w.p == '{') {
			opened(&w, m);
			step(&w);
		} else if (*w.p == '}') {
			closed(&w, m);
			step(&w);
		} else if (*w.p == '=') {
			if (w.depth == 0)
				w.value = true;
			step(&w);
		} else {
			word(&w);
		}
	}
}

void
marks_free(struct marks *m)
{
	free(m->v);
	m->v = NULL;
	m->n = 0;
}

unsigned
marks_line(const struct marks *m, const char *kind, size_t nth)
{
	size_t	i;

	for (i = 0; i < m->n; i++)
		if (strcmp(m->v[i].kind, kind) == 0 && nth-- == 0)
			return m->v[i].first;
	return 1;
}

const struct mark *
marks_around(const struct marks *m, unsigned line)
{
	size_t	i;

	for (i = 0; i < m->n; i++)
		if (m->v[i].first <= line && line <= m->v[i].last)
			return &m->v[i];
	return NULL;
}
