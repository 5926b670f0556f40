/*
 * How many requests of a template pass in a minute, and how many refusals of
 * an account leave a row: asked by job.c when a request has been judged.
 *
 * Of each template and account only the time is kept when its bucket is full
 * again ("due"; the ATM Forum's generic cell rate algorithm).  One whose time
 * has come is like one that was never there: its place is free for another.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pace.h"

#define MINUTE		(60 * INT64_C(1000000))
#define SAVED		(10 * INT64_C(1000000))
#define SOON_MAX	(7 * INT64_C(86400))
#define URGENT		3	/* renewals of one certificate: at once, and
				   one a minute */
#define CHAINS		1024	/* of a wave of 100,000 a hundred each */

struct bucket {
	char		*name;
	int64_t		 due;		/* monotonic us */
};

struct chain {
	struct bucket	*v;
	size_t		 n;
};

struct buckets {
	struct chain	 chain[CHAINS];
};

struct pace {
	struct buckets	 templates, refused, waiting, urgent, shares;
};

struct pace *
pace_new(void)
{
	return xcalloc(1, sizeof(struct pace));
}

static void
buckets_free(struct buckets *all)
{
	struct chain *c;
	size_t i;

	for (c = all->chain; c < all->chain + CHAINS; c++) {
		for (i = 0; i < c->n; i++)
			free(c->v[i].name);
		free(c->v);
	}
}

void
pace_free(struct pace *p)
{
	if (p == NULL)
		return;
	buckets_free(&p->templates);
	buckets_free(&p->refused);
	buckets_free(&p->waiting);
	buckets_free(&p->urgent);
	buckets_free(&p->shares);
	free(p);
}

/* FNV-1a: serial numbers and names of accounts, which nobody chooses here. */
static struct chain *
chain_of(struct buckets *all, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &all->chain[h % CHAINS];
}

/* The one of this name, or one that nobody needs any more, or a new one. */
static struct bucket *
find(struct buckets *all, const char *name, int64_t usec)
{
	struct chain *c = chain_of(all, name);
	struct bucket *b = NULL;
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (strcmp(c->v[i].name, name) == 0)
			return &c->v[i];
		if (c->v[i].due <= usec)
			b = &c->v[i];
	}
	if (b == NULL) {
		c->v = xreallocarray(c->v, c->n + 1, sizeof(*c->v));
		b = &c->v[c->n++];
		b->name = NULL;
	}
	free(b->name);
	b->name = xstrdup(name);
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

/* One more of this name, of so many at once?  Refused ones cost nothing. */
static bool
spare(struct buckets *all, const char *name, int64_t each, int64_t most,
    int64_t usec)
{
	struct bucket *b = find(all, name, usec);
	int64_t due = (b->due > usec ? b->due : usec) + each;

	if (due > usec + each * most)
		return false;
	b->due = due;
	return true;
}

/*
 * Who has hundreds that end soon: half of the rate, so that the other half is
 * left for others.  Alone, one account has all of it as for new requests.
 */
static bool
leaves_half(struct pace *p, const struct decision *d, int64_t usec)
{
	int64_t each = 2 * MINUTE / d->tmpl->rate, most;
	struct buf key = { 0 };
	bool yes;

	if (d->subject == NULL)
		return true;
	if (each > MINUTE)
		each = MINUTE;
	most = SAVED / each > URGENT ? SAVED / each : URGENT;
	buf_printf(&key, "%s\n%s", d->tmpl->cn, d->subject->name);
	yes = spare(&p->urgent, buf_str(&key), each, most, usec);
	buf_free(&key);
	return yes;
}

/*
 * Each renewal of a certificate that ends soon passes, and keeps others out:
 * who renews one again and again would keep them out for ever.
 */
static bool
is_urgent(struct pace *p, const struct decision *d, int64_t now, int64_t usec)
{
	struct buf hex = { 0 };
	bool yes;

	if (!ends_soon(d->renews, now))
		return false;
	buf_hex(&hex, d->renews->serial.p, d->renews->serial.n);
	yes = spare(&p->urgent, buf_str(&hex), MINUTE, URGENT, usec) &&
	    leaves_half(p, d, usec);
	buf_free(&hex);
	return yes;
}

/*
 * Who asks all the time would have each request that becomes free.  So the last
 * half of what is saved is for those who had none of it in this minute; alone,
 * one account has the whole rate by the other.
 */
static bool
has_share(struct pace *p, const struct decision *d, int64_t due, int64_t usec)
{
	struct buf key = { 0 };
	bool yes;

	if (d->subject == NULL || due <= usec + SAVED / 2)
		return true;
	buf_printf(&key, "%s\n%s", d->tmpl->cn, d->subject->name);
	yes = spare(&p->shares, buf_str(&key), MINUTE, 1, usec);
	buf_free(&key);
	return yes;
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
	b = find(&p->templates, t->cn, usec);
	due = (b->due > usec ? b->due : usec) + each;
	if (due > full && !is_urgent(p, d, now, usec))
		return err_set(err, ERR_UNAVAILABLE, "template %s: "
		    "rate-per-minute is %u, the next in %" PRId64 " ms",
		    t->cn, t->rate, (due - full) / 1000 + 1);
	/* Where less than two are saved there is no half of it. */
	if (due <= full && 2 * each <= SAVED &&
	    !has_share(p, d, due, usec) &&
	    !is_urgent(p, d, now, usec))
		return err_set(err, ERR_UNAVAILABLE, "template %s: "
		    "rate-per-minute is %u, and what is left is for others "
		    "than account %s", t->cn, t->rate, d->subject->name);
	/* A debt would keep others out for longer than the wave lasts. */
	b->due = due < full ? due : full;
	return 0;
}

bool
pace_refused(struct pace *p, const char *account, int64_t usec)
{
	return spare(&p->refused, account, MINUTE / PACE_REFUSED,
	    PACE_REFUSED_SAVED, usec);
}

bool
pace_waits(struct pace *p, const char *account, int64_t usec)
{
	return spare(&p->waiting, account, MINUTE / PACE_REFUSED,
	    PACE_REFUSED_SAVED, usec);
}
