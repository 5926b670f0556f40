/* Groups of a directory by CN or DN, and its domain, for adaccount.c. */
#include "adgroup.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "acctcheck.h"

static bool
is_dn(const char *s)
{
	return strncasecmp(s, "CN=", 3) == 0;
}

/* [RFC4514] 3: "\2C" is an octet, "\," the character itself. */
static const char *
unescape(const char *s, struct buf *out)
{
	uint8_t	octet;
	char	pair[3] = "";

	if (s[1] == '\0')
		return NULL;
	memcpy(pair, s + 1, strnlen(s + 1, 2));
	if (hex_decode(pair, &octet, 1) == 0 && pair[1] != '\0') {
		buf_addc(out, octet);
		return s + 3;
	}
	buf_addc(out, (uint8_t)s[1]);
	return s + 2;
}

bool
ad_first_cn(const char *dn, struct buf *out)
{
	size_t	began = out->n;

	if (!is_dn(dn))
		return false;
	for (dn += 3; *dn != '\0' && *dn != ',' && *dn != '+';) {
		if (*dn != '\\')
			buf_addc(out, (uint8_t)*dn++);
		else if ((dn = unescape(dn, out)) == NULL)
			return false;
	}
	return *dn != '+' && out->n > began &&
	    slice_is_text(slice_of(out->p + began, out->n - began));
}

/* Where the last part of a DN that ends at end begins; a "\," is in a part. */
static const char *
last_part(const char *dn, const char *end)
{
	const char	*at = end, *s;

	while ((at = memrchr(dn, ',', (size_t)(at - dn))) != NULL) {
		for (s = at; s > dn && s[-1] == '\\'; s--)
			;
		if ((at - s) % 2 == 0)
			return at + 1;
	}
	return dn;
}

void
ad_domain(const char *dn, struct buf *out)
{
	const char	*part, *from = dn + strlen(dn), *end = from;

	while (from > dn) {
		part = last_part(dn, from == end ? end : from - 1);
		if (strncasecmp(part, "DC=", 3) != 0 ||
		    memchr(part, '\\', (size_t)(from - part)) != NULL)
			break;
		from = part;
	}
	for (; from < end; from += strcspn(from, ",") + 1) {
		from += strlen("DC=");
		buf_puts(out, out->n > 0 ? "." : "");
		buf_add(out, from, strcspn(from, ","));
	}
}

/* Of "theirs=ours" the equals sign; a DN must be whole before it. */
static int
split(const char *spec, const char **equals, struct err *err)
{
	const char	*eq = strrchr(spec, '='), *comma;

	*equals = eq;
	if (eq == NULL || !is_dn(spec))
		return 0;
	comma = memrchr(spec, ',', (size_t)(eq - spec));
	if (comma == NULL || memchr(comma, '=', (size_t)(eq - comma)) == NULL)
		return err_set(err, ERR_MALFORMED, "%.120s: behind a DN "
		    "stands =NAME", spec);
	return 0;
}

int
adgroups_add(struct adgroups *all, const char *spec, struct err *err)
{
	const char	*eq, *ours;
	struct adgroup	 g;
	size_t		 i;

	if (split(spec, &eq, err) != 0)
		return -1;
	ours = eq == NULL ? spec : eq + 1;
	if (!acct_group_ok(ours) || eq == spec)
		return err_set(err, ERR_MALFORMED, "a group is "
		    ACCT_GROUP_FORM ": %.64s", ours);
	g.theirs = xstrndup(spec, eq == NULL ? strlen(spec) :
	    (size_t)(eq - spec));
	for (i = 0; i < all->n; i++)
		if (strcasecmp(all->v[i].theirs, g.theirs) == 0 &&
		    strcmp(all->v[i].ours, ours) == 0) {
			free(g.theirs);
			return 0;
		}
	if (all->n == ADGROUP_MAX) {
		free(g.theirs);
		return err_set(err, ERR_TOO_BIG, "more than %d groups",
		    ADGROUP_MAX);
	}
	free(all->by_theirs);
	all->by_theirs = NULL;
	g.ours = xstrdup(ours);
	g.seen = g.torn = NULL;
	all->v = xreallocarray(all->v, all->n + 1, sizeof(*all->v));
	all->v[all->n++] = g;
	return 0;
}

void
adgroups_free(struct adgroups *all)
{
	size_t	i;

	for (i = 0; i < all->n; i++) {
		free(all->v[i].theirs);
		free(all->v[i].ours);
		free(all->v[i].seen);
		free(all->v[i].torn);
	}
	free(all->v);
	free(all->by_theirs);
	memset(all, 0, sizeof(*all));
}

/* Sorted, each once. */
static void
leave(struct strlist *left, const char *name)
{
	size_t	low = 0, high = left->n, mid;
	int	cmp;

	while (low < high) {
		mid = (low + high) / 2;
		if ((cmp = strcasecmp(left->v[mid], name)) == 0)
			return;
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (left->n == ADGROUP_LEFT_MAX)
		return;
	left->v = xreallocarray(left->v, left->n + 1, sizeof(*left->v));
	memmove(left->v + low + 1, left->v + low,
	    (left->n++ - low) * sizeof(*left->v));
	left->v[low] = xstrdup(name);
}

/* Groups that a domain comes with: [MS-DTYP] 2.4.2.4, in English. */
static const struct {
	uint32_t	 rid;
	const char	*name;
} builtin[] = {
	{ 512, "Domain Admins" }, { 513, "Domain Users" },
	{ 514, "Domain Guests" }, { 515, "Domain Computers" },
	{ 516, "Domain Controllers" },
	{ 521, "Read-only Domain Controllers" },
};

/* One of them stands in CN=Users; what is called so elsewhere is another. */
static bool
poses(const char *cn, const char *dn)
{
	static const char	place[] = ",CN=Users,DC=";
	size_t			i, n = strlen("CN=") + strlen(cn);

	for (i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++)
		if (strcasecmp(builtin[i].name, cn) == 0)
			return strncasecmp(dn + n, place, strlen(place)) != 0;
	return false;
}

static int
by_theirs(const void *a, const void *b, void *arg)
{
	const struct adgroup	*v = arg;

	return strcasecmp(v[*(const size_t *)a].theirs,
	    v[*(const size_t *)b].theirs);
}

static void
sort(struct adgroups *all)
{
	size_t	i;

	all->by_theirs = xreallocarray(NULL, all->n + 1, sizeof(size_t));
	for (i = 0; i < all->n; i++)
		all->by_theirs[i] = i;
	qsort_r(all->by_theirs, all->n, sizeof(size_t), by_theirs, all->v);
}

/* Of those in their order the first that is called so, or none is. */
static size_t
first_called(struct adgroups *all, const char *cn)
{
	size_t	low = 0, high = all->n, mid;

	if (all->by_theirs == NULL)
		sort(all);
	while (low < high) {
		mid = (low + high) / 2;
		if (strcasecmp(all->v[all->by_theirs[mid]].theirs, cn) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* By CN, of a group with this DN if it is not NULL: how many of ours it is. */
static int
match_cn(struct adgroups *all, const char *cn, const char *dn, uint8_t *bits)
{
	struct adgroup	*g;
	int		 n = 0;
	size_t		 at, i;

	if (all->n == 0)
		return 0;
	for (at = first_called(all, cn); at < all->n; at++) {
		i = all->by_theirs[at];
		g = &all->v[i];
		if (strcasecmp(g->theirs, cn) != 0)
			break;
		/* Whoever may name a group could call it like the DN of another. */
		if (dn != NULL && is_dn(g->theirs))
			continue;
		if (dn != NULL && g->seen == NULL)
			g->seen = xstrdup(dn);
		if (dn != NULL && g->torn == NULL &&
		    strcasecmp(g->seen, dn) != 0)
			g->torn = xstrdup(dn);
		bits[i / 8] |= (uint8_t)(1u << i % 8);
		n++;
	}
	return n;
}

void
adgroups_match(struct adgroups *all, const char *dn, uint8_t *bits,
    struct strlist *left)
{
	struct buf	cn = { 0 };
	bool		good = ad_first_cn(dn, &cn);
	int		n;

	n = match_cn(all, dn, NULL, bits);
	if (good && poses(buf_str(&cn), dn))
		good = false;
	if (good && n == 0)
		n = match_cn(all, buf_str(&cn), dn, bits);
	if (n == 0)
		leave(left, good ? buf_str(&cn) : dn);
	buf_free(&cn);
}

void
adgroups_match_primary(struct adgroups *all, uint32_t rid, uint8_t *bits,
    struct strlist *left)
{
	size_t	i;

	for (i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++)
		if (builtin[i].rid == rid && match_cn(all, builtin[i].name,
		    NULL, bits) == 0)
			leave(left, builtin[i].name);
}

void
adgroups_seen(struct adgroups *all, const char *dn)
{
	uint8_t		ignored[ADGROUP_MAX / 8] = { 0 };
	struct buf	cn = { 0 };

	if (ad_first_cn(dn, &cn) && !poses(buf_str(&cn), dn))
		(void)match_cn(all, buf_str(&cn), dn, ignored);
	buf_free(&cn);
}
