/*
 * How many requests of a template pass in a minute: asked by job.c when what
 * is asked for has been judged.
 *
 * Of each template only the time is kept when its bucket is full again
 * ("due"; the ATM Forum's generic cell rate algorithm).  One whose time has
 * come is like one that was never there: its place is free for another.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pace.h"

#define MINUTE		(60 * INT64_C(1000000))
#define SAVED		(10 * INT64_C(1000000))
#define SOON_MAX	(7 * INT64_C(86400))

struct bucket {
	char		*template;
	int64_t		 due;		/* monotonic us */
};

struct pace {
	struct bucket	*v;
	size_t		 n;
};

struct pace *
pace_new(void)
{
	return xcalloc(1, sizeof(struct pace));
}

void
pace_free(struct pace *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++)
		free(p->v[i].template);
	free(p->v);
	free(p);
}

/* The template's own, or one that nobody needs any more, or a new one. */
static struct bucket *
find(struct pace *p, const char *template, int64_t usec)
{
	struct bucket *b = NULL;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].template, template) == 0)
			return &p->v[i];
		if (p->v[i].due <= usec)
			b = &p->v[i];
	}
	if (b == NULL) {
		p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
		b = &p->v[p->n++];
		b->template = NULL;
	}
	free(b->template);
	b->template = xstrdup(template);
	b->due = usec;
	return b;
}

bool
pace_is_soon(int64_t life, int64_t left)
{
	return left <= (life / 10 < SOON_MAX ? life / 10 : SOON_MAX);
}

static bool
ends_soon(const struct issued *old, int64_t now)
{
	return old != NULL && pace_is_soon(old->not_after - old->not_before,
	    old->not_after - now);
}

int
pace_take(struct pace *p, const struct decision *d, int64_t now, int64_t usec,
    struct err *err)
{
	const struct template *t = d->tmpl;
	int64_t each, full, due;
	struct bucket *b;

	if (t->rate == 0)
		return 0;
	each = MINUTE / t->rate;
	full = usec + (each > SAVED ? each : SAVED);
	b = find(p, t->cn, usec);
	due = (b->due > usec ? b->due : usec) + each;
	if (due > full && !ends_soon(d->renews, now))
		return err_set(err, ERR_UNAVAILABLE, "template %s: "
		    "rate-per-minute is %u, the next in %" PRId64 " ms",
		    t->cn, t->rate, (due - full) / 1000 + 1);
	/* A debt would keep others out for longer than the wave lasts. */
	b->due = due < full ? due : full;
	return 0;
}
