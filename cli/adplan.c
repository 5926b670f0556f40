/*
 * The plan of an import: between adaccount.c, which reads the directory, and
 * adapply.c, which does what is planned.
 */
#include "adplan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROUNDS_MAX	100

struct planner {
	struct adplan			*plan;
	const struct adaccounts		*ad;
	const struct adgroups		*groups;
	const struct adplan_rules	*rules;
};

static void
note(struct adchange *c, const char *fmt, const char *word)
{
	buf_puts(&c->notes, c->notes.n > 0 ? "\n" : "");
	buf_printf(&c->notes, fmt, word);
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The mark that a group has among those of an account; 0: none. */
static char
mark_of(const struct held *h, const char *group)
{
	const char	*line, *end;

	for (line = h->groups; *line != '\0';
	    line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		if ((size_t)(end - line) == strlen(group) + 1 &&
		    strncmp(line + 1, group, strlen(group)) == 0)
			return *line;
	}
	return '\0';
}

/* In this group of the directory, as far as anybody can say? */
static bool
is_in(const struct planner *p, const struct adaccount *a, size_t i)
{
	return !a->deep && p->groups->v[i].torn == NULL && adaccount_in(a, i);
}

/* Is it in this group of ours, by any of the directory's? */
static bool
wanted(const struct planner *p, const struct adaccount *a, const char *ours)
{
	size_t	i;

	for (i = 0; i < p->groups->n; i++)
		if (is_in(p, a, i) &&
		    strcmp(p->groups->v[i].ours, ours) == 0)
			return true;
	return false;
}

/* Can nobody say so? */
static bool
unclear(const struct planner *p, const struct adaccount *a, const char *ours)
{
	size_t	i;

	for (i = 0; i < p->groups->n; i++)
		if ((a->deep || p->groups->v[i].torn != NULL) &&
		    strcmp(p->groups->v[i].ours, ours) == 0)
			return true;
	return false;
}

static bool
managed(const struct planner *p, const char *ours)
{
	size_t	i;

	for (i = 0; i < p->groups->n; i++)
		if (strcmp(p->groups->v[i].ours, ours) == 0)
			return true;
	return false;
}

static void
plan_in(const struct planner *p, struct adchange *c)
{
	const char	*ours;
	char		 mark;
	size_t		 i;

	if (c->ad->deep)
		note(c, "%s", "groups stay as they are: it is in too many");
	for (i = 0; i < p->groups->n; i++) {
		ours = p->groups->v[i].ours;
		if (!is_in(p, c->ad, i) || strlist_has(&c->in, ours))
			continue;
		mark = c->held == NULL ? '\0' : mark_of(c->held, ours);
		if (mark == '\0' || (mark == '-' && p->rules->take_over))
			strlist_add(&c->in, ours);
		else if (mark == '-')
			note(c, "stays out of group %s: an operator took it "
			    "out", ours);
	}
}

/*
 * What an import put in, and neither the file nor the options say now; all,
 * when it is another principal.
 */
static void
plan_out(const struct planner *p, struct adchange *c)
{
	bool		 all = c->todo & DO_REPLACE;
	const char	*line, *end;
	char		*group;

	for (line = c->held->groups; *line != '\0';
	    line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		group = xstrndup(line + 1, (size_t)(end - line) - 1);
		if (*line != '-' && (c->ad == NULL ||
		    (!wanted(p, c->ad, group) && (all ||
		    !unclear(p, c->ad, group)))) && (*line == '*' || all ||
		    (p->rules->take_over && managed(p, group))))
			strlist_add(&c->out, group);
		free(group);
	}
}

/*
 * A name that no entry of the file has was not asked for, and stays; so does
 * a security identifier.
 */
static void
plan_names(const struct planner *p, struct adchange *c)
{
	const struct held	*h = c->held;
	const char		*v;
	enum acct_name		 n;
	bool			 ours = !h->names_by_import &&
				    !p->rules->take_over;

	for (n = 0; n < ACCT_NAMES; n++) {
		v = c->ad->names[n];
		c->names[n] = h->names[n];
		if (!p->ad->seen[n] || (n == ACCT_SID && v == NULL) ||
		    same(v, h->names[n]))
			continue;
		if (ours) {
			note(c, "%s is another in the directory: an operator "
			    "set it", acct_name_word(n));
			continue;
		}
		c->names[n] = v;
		c->todo |= DO_NAMES;
	}
}

static void
conflict(struct adchange *c, const char *fmt, const char *a, const char *b)
{
	struct buf	why = { 0 };
	enum acct_name	n;

	if (c->why != NULL)
		return;
	buf_printf(&why, fmt, a, b);
	c->why = xstrdup(buf_str(&why));
	buf_free(&why);
	/* What is stricter is done all the same. */
	c->todo &= c->held == NULL ? 0u : DO_GROUPS | DO_DISABLE;
	strlist_free(&c->in);
	if (c->out.n == 0)
		c->todo &= ~(unsigned)DO_GROUPS;
	for (n = 0; n < ACCT_NAMES; n++)
		c->names[n] = c->held == NULL ? NULL : c->held->names[n];
}

static bool
made_anew(const struct adaccount *a, const struct held *h)
{
	const char	*old = h->names[ACCT_SID], *new = a->names[ACCT_SID];

	return old != NULL && new != NULL && strcmp(old, new) != 0;
}

/* Why the entry is about another principal than the account. */
static const char *
another(const struct planner *p, const struct adaccount *a,
    const struct held *h)
{
	if (h->one_time)
		return "the account is for a one-time secret";
	if (a->machine != h->machine)
		return h->machine ? "the account is a computer" :
		    "the account is a person";
	if (made_anew(a, h) && !(p->rules->replace && h->imported))
		return "the account has another sid: the directory has made "
		    "it anew";
	return NULL;
}

static void
plan_state(struct adchange *c)
{
	if (c->ad->off && !c->held->disabled)
		c->todo |= DO_DISABLE;
	if (c->ad->off || !c->held->disabled)
		return;
	if (c->held->off_by_import)
		c->todo |= DO_ENABLE;
	else
		note(c, "%s", "stays disabled: an operator disabled it");
}

/* Whom the entry is not about is in no other: the name is his. */
static void
plan_gone(const struct planner *p, struct adchange *c)
{
	if (!p->rules->absent || !c->held->imported || c->held->disabled)
		return;
	c->todo = DO_DISABLE;
	p->plan->absent++;
	note(c, "%s", "is not in the file");
}

static void
plan_both(const struct planner *p, struct adchange *c)
{
	const char	*why = another(p, c->ad, c->held);

	if (why != NULL) {
		plan_gone(p, c);
		conflict(c, "%s%s", why, "");
		return;
	}
	if (made_anew(c->ad, c->held)) {
		memcpy(c->names, c->ad->names, sizeof(c->names));
		c->todo = DO_REPLACE | DO_NAMES;
		note(c, "%s", "the directory has made it anew");
	} else {
		plan_names(p, c);
	}
	if (c->todo & DO_NAMES && c->ad->notes != NULL)
		note(c, "%s", c->ad->notes);
	plan_state(c);
	plan_in(p, c);
	plan_out(p, c);
	if (c->in.n + c->out.n > 0)
		c->todo |= DO_GROUPS;
}

static void
plan_new(const struct planner *p, struct adchange *c)
{
	if (c->ad->off) {
		p->plan->off++;
		return;
	}
	memcpy(c->names, c->ad->names, sizeof(c->names));
	c->todo = DO_ADD;
	plan_in(p, c);
	if (c->ad->notes != NULL)
		note(c, "%s", c->ad->notes);
}

/* An account of the file. */
static void
plan_entry(const struct planner *p, struct adchange *c)
{
	if (c->ad->refused != NULL)
		conflict(c, "%s%s", c->ad->refused, "");
	else if (c->held != NULL)
		plan_both(p, c);
	else
		plan_new(p, c);
}

static bool
of_realm(const char *name, const char *realm)
{
	const char	*at = strchr(name, '@');

	return realm == NULL ? at == NULL :
	    at != NULL && strcmp(at + 1, realm) == 0;
}

/*
 * An account that is here only: it counts when an import has made it in this
 * realm, and the file has some of its kind.
 */
static void
plan_absent(const struct planner *p, struct adchange *c, const bool kinds[2])
{
	const struct held	*h = c->held;

	memcpy(c->names, h->names, sizeof(c->names));
	if (!h->imported || !of_realm(h->name, p->rules->realm) ||
	    !kinds[h->machine])
		return;
	p->plan->imported++;
	if (!p->rules->absent || h->disabled)
		return;
	c->todo = DO_DISABLE;
	p->plan->absent++;
	note(c, "%s", "is not in the file");
}

/* Both lists are sorted: one step for each name. */
static void
plan_all(const struct planner *p, const struct held *h, size_t nheld)
{
	const struct adaccount	*a = p->ad->v, *end = a + p->ad->n;
	const struct held	*hend = h + nheld;
	bool			 kinds[2] = { false, false };
	struct adchange		*c;
	int			 cmp;

	for (; a < end; a++)
		kinds[a->machine] = true;
	for (a = p->ad->v; a < end || h < hend; ) {
		c = &p->plan->v[p->plan->n++];
		cmp = a == end ? 1 : h == hend ? -1 : strcmp(a->name, h->name);
		c->ad = cmp <= 0 ? a++ : NULL;
		c->held = cmp >= 0 ? h++ : NULL;
		c->name = c->ad != NULL ? c->ad->name : c->held->name;
		if (c->ad == NULL)
			plan_absent(p, c, kinds);
		else
			plan_entry(p, c);
		if (c->ad != NULL && c->held != NULL &&
		    c->held->imported && c->ad->refused == NULL)
			p->plan->imported++;
	}
}

static int
by_sid(const void *a, const void *b)
{
	return strcmp((*(struct adchange *const *)a)->names[ACCT_SID],
	    (*(struct adchange *const *)b)->names[ACCT_SID]);
}

/* An import has made it; the directory calls it otherwise now. */
static void
give_way(const struct planner *p, struct adchange *c, const char *name)
{
	const char	*cn = c->names[ACCT_CN];

	if (c->todo & DO_DISABLE)
		p->plan->absent--;
	buf_reset(&c->notes);
	note(c, "is called %s in the directory", name);
	memset(c->names, 0, sizeof(c->names));
	c->names[ACCT_CN] = cn;
	c->todo = DO_REPLACE | DO_NAMES;
	if (!c->held->disabled)
		c->todo |= DO_DISABLE;
	plan_out(p, c);
	if (c->out.n > 0)
		c->todo |= DO_GROUPS;
}

/* New accounts whose security identifier one has that is not in the file. */
static void
plan_renamed(const struct planner *p)
{
	struct adplan	 *plan = p->plan;
	struct adchange	**gone = xcalloc(plan->n + 1, sizeof(*gone));
	struct adchange	 *c, *end = plan->v + plan->n, **hit;
	size_t		  n = 0;

	for (c = plan->v; c < end; c++)
		if (c->ad == NULL && c->held->imported &&
		    c->names[ACCT_SID] != NULL)
			gone[n++] = c;
	qsort(gone, n, sizeof(*gone), by_sid);
	for (c = plan->v; c < end; c++) {
		if (!(c->todo & DO_ADD) || c->names[ACCT_SID] == NULL)
			continue;
		hit = bsearch(&c, gone, n, sizeof(*gone), by_sid);
		/* Two new ones of one sid: both are conflicts then. */
		if (hit != NULL && (*hit)->names[ACCT_SID] != NULL)
			give_way(p, *hit, c->name);
	}
	free(gone);
}

/* Names that only one account may have, as they would be. */
struct claim {
	const char	*value;
	struct adchange	*c;
	enum acct_name	 n;
	bool		 old;		/* it has it already */
};

static int
by_value(const void *va, const void *vb)
{
	const struct claim	*a = va, *b = vb;
	int			 cmp;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	if ((cmp = strcasecmp(a->value, b->value)) != 0)
		return cmp;
	return a->old != b->old ? (a->old ? -1 : 1) :
	    strcmp(a->c->name, b->c->name);
}

static void
put_domain(const struct adchange *c, struct buf *b)
{
	const char	*dn = c->ad == NULL && c->held->imported ?
			    c->held->names[ACCT_DN] : NULL;

	if (c->ad != NULL && c->ad->domain != NULL)
		buf_puts(b, c->ad->domain);
	if (dn != NULL)
		ad_domain(dn, b);
}

/*
 * Whom the directory calls name has the UPN name@domain even where none is
 * written there, as its Administrator: another's would be taken for his.
 */
static void
put_upn(struct adchange *c)
{
	struct buf	 upn = { 0 }, domain = { 0 };
	const char	*name = c->name;

	if (c->ad != NULL && c->ad->called != NULL)
		name = c->ad->called;
	if (strchr(name, '@') != NULL) {
		c->upn = xstrdup(name);
		return;
	}
	put_domain(c, &domain);
	if (domain.n > 0) {
		buf_printf(&upn, "%s@%s", name, buf_str(&domain));
		c->upn = xstrdup(buf_str(&upn));
	}
	buf_free(&upn);
	buf_free(&domain);
}

static bool
claims_upn(const struct adchange *c)
{
	const char	*upn = c->names[ACCT_UPN];

	return c->upn != NULL &&
	    (upn == NULL || strcasecmp(upn, c->upn) != 0) &&
	    (c->ad != NULL || !(c->todo & DO_REPLACE));
}

static size_t
claims_make(struct adplan *plan, struct claim *v)
{
	static const enum acct_name	unique[] = { ACCT_DNS, ACCT_UPN,
					    ACCT_EMAIL, ACCT_SID };
	struct adchange			*c;
	struct claim			*at = v;
	size_t				 i;
	enum acct_name			 n;

	for (c = plan->v; c < plan->v + plan->n; c++) {
		if (claims_upn(c))
			*at++ = (struct claim){ c->upn, c, ACCT_UPN, true };
		for (i = 0; i < 4; i++) {
			n = unique[i];
			if (c->names[n] == NULL)
				continue;
			at->value = c->names[n];
			at->c = c;
			at->n = n;
			at->old = c->held != NULL && c->held->names[n] !=
			    NULL && strcasecmp(c->held->names[n],
			    c->names[n]) == 0;
			at++;
		}
	}
	qsort(v, (size_t)(at - v), sizeof(*v), by_value);
	return (size_t)(at - v);
}

/* Directories let several have one e-mail address: nobody new gets it here. */
static void
give_up(struct claim *lost, const struct claim *first)
{
	struct adchange	*c = lost->c;

	if (lost->n != ACCT_EMAIL) {
		conflict(c, "its %s is that of %s, too",
		    acct_name_word(lost->n), first->c->name);
		return;
	}
	note(c, "email is left out: it is another's, too: %s", lost->value);
	c->names[ACCT_EMAIL] = NULL;
	/* plan_names has left alone what is the same. */
	if (c->held != NULL && memcmp(c->names, c->held->names,
	    sizeof(c->names)) == 0)
		c->todo &= ~(unsigned)DO_NAMES;
}

/* How many had to give something up. */
static size_t
settle(struct claim *v, size_t n)
{
	struct claim	*first, *at;
	size_t		 lost = 0;

	for (first = v; first < v + n; first = at)
		for (at = first + 1; at < v + n && at->n == first->n &&
		    strcasecmp(at->value, first->value) == 0; at++) {
			if (!first->old && at == first + 1) {
				give_up(first, at);
				lost++;
			}
			if (!at->old) {
				give_up(at, first);
				lost++;
			}
		}
	return lost;
}

/* Who keeps an old name may take it from whom it was to go to. */
static int
settle_all(struct adplan *plan, struct err *err)
{
	struct claim	*v = xreallocarray(NULL, plan->n * 5 + 1, sizeof(*v));
	size_t		 i;
	int		 round;

	for (i = 0; i < plan->n; i++)
		put_upn(&plan->v[i]);
	for (round = 0; round < ROUNDS_MAX; round++)
		if (settle(v, claims_make(plan, v)) == 0)
			break;
	free(v);
	if (round == ROUNDS_MAX)
		return err_set(err, ERR_DENIED, "names go from account to "
		    "account in too long a chain");
	return 0;
}

int
adplan_make(struct adplan *plan, const struct adaccounts *ad,
    const struct adgroups *groups, const struct held *held, size_t nheld,
    const struct adplan_rules *rules, struct err *err)
{
	struct planner	p = { plan, ad, groups, rules };

	memset(plan, 0, sizeof(*plan));
	plan->v = xcalloc(ad->n + nheld + 1, sizeof(*plan->v));
	plan_all(&p, held, nheld);
	if (rules->replace)
		plan_renamed(&p);
	return settle_all(plan, err);
}

void
adplan_free(struct adplan *plan)
{
	size_t	i;

	for (i = 0; i < plan->n; i++) {
		strlist_free(&plan->v[i].in);
		strlist_free(&plan->v[i].out);
		free(plan->v[i].why);
		free(plan->v[i].upn);
		buf_free(&plan->v[i].notes);
	}
	free(plan->v);
	memset(plan, 0, sizeof(*plan));
}

bool
adchange_quiet(const struct adchange *c)
{
	return c->todo == 0 && c->why == NULL && c->notes.n == 0;
}

const char *
adchange_outcome(const struct adchange *c)
{
	if (c->why != NULL)
		return c->ad->refused != NULL ? "refused" : "conflict";
	if (c->todo & DO_ADD)
		return "added";
	if (c->todo & DO_REPLACE)
		return "replaced";
	if (c->todo & DO_DISABLE)
		return "disabled";
	if (c->todo & DO_ENABLE)
		return "enabled";
	return c->todo != 0 ? "changed" : "kept";
}

static void
line(struct buf *b, const char *fmt, const char *a, const char *x,
    const char *y)
{
	buf_puts(b, b->n > 0 ? "\n" : "");
	buf_printf(b, fmt, a, x, y);
}

void
adchange_text(const struct adchange *c, struct buf *b)
{
	const char	*old;
	enum acct_name	 n;
	size_t		 i;

	for (n = 0; n < ACCT_NAMES && c->todo & DO_NAMES; n++) {
		old = c->held->names[n];
		if (!same(old, c->names[n]))
			line(b, "%s: %s -> %s", acct_name_word(n),
			    old == NULL ? "-" : old,
			    c->names[n] == NULL ? "-" : c->names[n]);
	}
	for (i = 0; i < c->in.n; i++)
		line(b, "+%s%s%s", c->in.v[i], "", "");
	for (i = 0; i < c->out.n; i++)
		line(b, "-%s%s%s", c->out.v[i], "", "");
	if (c->todo & DO_DISABLE && (c->why != NULL || c->todo & DO_REPLACE))
		line(b, "%s%s%s", "disabled", "", "");
}
