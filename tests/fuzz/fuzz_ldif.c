/*
 * What a directory prints: templates and accounts out of the same text, and a
 * plan for the accounts against a few that are here.  Whatever is accepted
 * must be in our forms, and nothing may be planned for it a second time.
 */
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "adplan.h"
#include "adtemplate.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_err(const struct err *err)
{
	if (err->kind != ERR_MALFORMED && err->kind != ERR_TOO_BIG)
		abort();
}

static void
try_templates(struct slice s)
{
	struct adtemplates	t = { NULL, 0 };
	struct err		err = ERR_INIT;

	if (adtemplates_parse(s, &t, &err) != 0)
		check_err(&err);
	adtemplates_free(&t);
}

static void
check_account(const struct adaccount *a)
{
	struct err	err = ERR_INIT;
	char		name[129];
	enum acct_name	n;

	if (a->refused == NULL && (account_canonical(a->name, name,
	    &err) != 0 || strcmp(a->name, name) != 0))
		abort();
	for (n = 0; n < ACCT_NAMES; n++)
		if (a->refused == NULL && (a->names[n] != NULL ?
		    !acct_name_ok(n, a->names[n]) : n == ACCT_CN))
			abort();
}

/* As accounts would be when the plan is done. */
static size_t
follow(const struct adplan *p, struct held *held)
{
	size_t	i, n = 0;

	for (i = 0; i < p->n; i++) {
		const struct adchange *c = &p->v[i];

		if (c->held == NULL && !(c->todo & DO_ADD))
			continue;
		held[n].name = c->name;
		held[n].groups = "";
		held[n].machine = c->ad != NULL ? c->ad->machine :
		    c->held->machine;
		held[n].imported = true;
		held[n].names_by_import = c->held == NULL ||
		    c->held->names_by_import;
		held[n].disabled = held[n].off_by_import =
		    ((c->held != NULL && c->held->disabled) ||
		    c->todo & DO_DISABLE) && !(c->todo & DO_ENABLE);
		memcpy(held[n++].names, c->names, sizeof(c->names));
	}
	return n;
}

static void
plan(const struct adaccounts *all)
{
	const struct adplan_rules		rules = { .realm = "r.test",
						    .replace = all->n % 2 == 0,
						    .absent = true };
	static const struct held		here = { .name = "a@r.test",
						    .groups = "*g\n-h",
						    .imported = true };
	const struct adgroups			none = { NULL, 0 };
	struct held				*held;
	struct adplan				 p, again;
	struct err				 err = ERR_INIT;
	size_t					 i, n;

	held = xcalloc(all->n + 1, sizeof(*held));
	if (adplan_make(&p, all, &none, &here, 1, &rules, &err) == 0) {
		n = follow(&p, held);
		if (adplan_make(&again, all, &none, held, n, &rules,
		    &err) != 0)
			abort();
		for (i = 0; i < again.n; i++)
			if (again.v[i].todo != 0)
				abort();
		adplan_free(&again);
	} else if (err.kind != ERR_DENIED) {
		abort();
	}
	adplan_free(&p);
	free(held);
}

static void
try_accounts(struct slice s)
{
	struct adgroups		groups = { NULL, 0 };
	const struct adreading	how = { .groups = &groups, .realm = "r.test" };
	struct adaccounts	all;
	struct err		err = ERR_INIT;
	size_t			i;

	if (adgroups_add(&groups, "g", &err) != 0 ||
	    adgroups_add(&groups, "CN=h,DC=x=h", &err) != 0)
		abort();
	if (adaccounts_ldif(s, &how, &all, &err) == 0) {
		for (i = 0; i < all.n; i++)
			check_account(&all.v[i]);
		plan(&all);
	} else {
		check_err(&err);
	}
	adaccounts_free(&all);
	adgroups_free(&groups);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	try_templates(slice_of(data, n));
	try_accounts(slice_of(data, n));
	return 0;
}
