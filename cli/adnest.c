/* Members of members, for adaccount.c. */
#include "adnest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sid.h"

int
adnest_add(struct adnest *all, const struct adnest_group *g, struct err *err)
{
	if (all->n == ADNEST_MAX)
		return err_set(err, ERR_TOO_BIG, "more than %d groups in the "
		    "file", ADNEST_MAX);
	all->v = xgrow(all->v, all->n, &all->cap, sizeof(*all->v));
	all->v[all->n++] = *g;
	return 0;
}

static int
by_dn(const void *a, const void *b)
{
	return strcasecmp(((const struct adnest_group *)a)->dn,
	    ((const struct adnest_group *)b)->dn);
}

static int
by_sid(const void *a, const void *b)
{
	return strcmp((*(struct adnest_group *const *)a)->sid,
	    (*(struct adnest_group *const *)b)->sid);
}

static int
twice(const struct adnest_group *a, const struct adnest_group *b,
    const char *what, struct err *err)
{
	return err_bad(err, 0, "lines %u and %u: both groups have the %s "
	    "%.120s", a->line < b->line ? a->line : b->line,
	    a->line < b->line ? b->line : a->line, what,
	    *what == 'D' ? a->dn : a->sid);
}

int
adnest_seal(struct adnest *all, struct err *err)
{
	size_t	i;

	if (all->n == 0)
		return 0;
	qsort(all->v, all->n, sizeof(*all->v), by_dn);
	for (i = 1; i < all->n; i++)
		if (by_dn(&all->v[i - 1], &all->v[i]) == 0)
			return twice(&all->v[i - 1], &all->v[i], "DN", err);
	all->sids = xcalloc(all->n, sizeof(struct adnest_group *));
	for (i = 0; i < all->n; i++)
		if (all->v[i].sid != NULL)
			all->sids[all->nsids++] = &all->v[i];
	qsort(all->sids, all->nsids, sizeof(*all->sids), by_sid);
	for (i = 1; i < all->nsids; i++)
		if (by_sid(&all->sids[i - 1], &all->sids[i]) == 0)
			return twice(all->sids[i - 1], all->sids[i], "SID",
			    err);
	return 0;
}

void
adnest_free(struct adnest *all)
{
	struct adnest_group	*g;

	while (all->n > 0) {
		g = &all->v[--all->n];
		free(g->dn);
		free(g->sid);
		strlist_free(&g->above);
	}
	free(all->v);
	free(all->sids);
	memset(all, 0, sizeof(*all));
}

static struct adnest_group *
find(struct adnest *all, const char *dn)
{
	struct adnest_group	key;

	if (all->n == 0)
		return NULL;
	key.dn = (char *)(uintptr_t)dn;
	return bsearch(&key, all->v, all->n, sizeof(*all->v), by_dn);
}

/* The first folder that a DN stands in. */
static bool
is_builtin(const char *dn)
{
	static const char	place[] = "CN=Builtin,DC=";
	const char		*at;

	for (at = dn; *at != '\0' && *at != ','; at++)
		if (*at == '\\' && at[1] != '\0')
			at++;
	return *at == ',' && strncasecmp(at + 1, place, strlen(place)) == 0;
}

void
adnest_show(const struct adnest *all, struct adgroups *groups)
{
	size_t	i;

	for (i = 0; i < all->n; i++)
		if (all->v[i].security && !is_builtin(all->v[i].dn))
			adgroups_seen(groups, all->v[i].dn);
}

/* Groups still to be looked at; each is put there once in a walk. */
struct walk {
	struct adnest_group	*to[ADNEST_ABOVE];
	size_t			 n, seen;
};

/* Those right above g, which are in the file or not. */
static void
climb(struct adnest *all, struct adgroups *groups, struct adnest_group *from,
    const struct adnest_group *g, struct walk *w, struct strlist *left)
{
	struct adnest_group	*up;
	size_t			 i;

	for (i = 0; i < g->above.n; i++) {
		if (is_builtin(g->above.v[i]))
			continue;
		if ((up = find(all, g->above.v[i])) == NULL) {
			adgroups_match(groups, g->above.v[i], from->in, left);
			continue;
		}
		if (up->walk == all->walks)
			continue;
		up->walk = all->walks;
		if (w->seen == ADNEST_ABOVE) {
			from->deep = true;
			return;
		}
		w->seen++;
		w->to[w->n++] = up;
	}
}

static void
expand(struct adnest *all, struct adgroups *groups, struct adnest_group *from,
    struct strlist *left)
{
	struct walk		 w = { .to = { from }, .n = 1, .seen = 1 };
	struct adnest_group	*g;

	from->walk = ++all->walks;
	while (w.n > 0 && !from->deep) {
		g = w.to[--w.n];
		/* "Not imported" is what it is. */
		adgroups_match(g->security ? groups :
		    &(struct adgroups){ 0 }, g->dn, from->in, left);
		if (g->security)
			climb(all, groups, from, g, &w, left);
	}
	from->known = true;
}

static void
match(struct adnest *all, struct adgroups *groups, struct adnest_group *g,
    uint8_t *bits, bool *deep, struct strlist *left)
{
	size_t	i;

	if (!g->known)
		expand(all, groups, g, left);
	for (i = 0; i < sizeof(g->in); i++)
		bits[i] |= g->in[i];
	*deep = *deep || g->deep;
}

void
adnest_match(struct adnest *all, struct adgroups *groups, const char *dn,
    uint8_t *bits, bool *deep, struct strlist *left)
{
	struct adnest_group	*g = find(all, dn);

	if (g == NULL)
		adgroups_match(groups, dn, bits, left);
	else
		match(all, groups, g, bits, deep, left);
}

void
adnest_match_primary(struct adnest *all, struct adgroups *groups,
    const char *sid, uint32_t rid, uint8_t *bits, bool *deep,
    struct strlist *left)
{
	struct adnest_group	 key, *at = &key, **found = NULL;
	char			 text[SID_TEXT];
	const char		*last = sid == NULL ? NULL : strrchr(sid, '-');

	adgroups_match_primary(groups, rid, bits, left);
	if (last != NULL && all->nsids > 0) {
		snprintf(text, sizeof(text), "%.*s-%u", (int)(last - sid), sid,
		    rid);
		key.sid = text;
		found = bsearch(&at, all->sids, all->nsids,
		    sizeof(*all->sids), by_sid);
	}
	if (found != NULL)
		match(all, groups, *found, bits, deep, left);
}
