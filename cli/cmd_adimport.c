/*
 * account import: the users and computers of a directory become accounts, in
 * one transaction; what is done about each adplan.c plans and adapply.c does.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "adapply.h"
#include "file.h"

#define FEW	10	/* so many absent ones are always believed */

const struct opt opts_account_import[] = {
	{ "realm", "REALM", "Kerberos realm: accounts are called name@realm",
	    false },
	{ "domain", "DOMAIN", "of computers' DNS names, beside the one that "
	    "they are in", true },
	{ "group", "[THEIRS=]GROUP", "only these groups; theirs by name or DN "
	    "(default: those that templates let enroll)", true },
	{ "take-over", NULL, "names and groups also where an operator had "
	    "the last word", false },
	{ "replace", NULL, "imported accounts that the directory made anew or "
	    "calls otherwise now, and revoke what they hold", false },
	{ "disable-absent", NULL, "disable imported accounts that are not in "
	    "the file", false },
	{ "at-most", "N", "with --disable-absent: how many (default: a tenth)",
	    false },
	{ "dry-run", NULL, "only tell what would be done", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "account", OUT_TEXT }, { "outcome", OUT_TEXT },
	{ "changes", OUT_LIST }, { "notes", OUT_LIST }, { NULL, OUT_TEXT }
};

/* Everything of one run; what stands lower borrows from what is above. */
struct import {
	struct cli		*c;
	char			 realm[129];	/* "" = none */
	struct adgroups		 groups;
	struct adreading	 how;
	struct buf		 file;
	struct adaccounts	 ad;
	PGresult		*state;
	struct held		*held;
	struct adplan		 plan;
	struct adapply		 apply;
	bool			 named;		/* the groups, by options */
};

static void
import_free(struct import *im)
{
	adplan_free(&im->plan);
	free(im->held);
	PQclear(im->state);
	adaccounts_free(&im->ad);
	buf_free(&im->file);
	strlist_free(&im->how.domains);
	adgroups_free(&im->groups);
}

/* What --realm says, as it stands behind the "@" of an account. */
static int
read_realm(struct import *im, const struct args *a, struct err *err)
{
	const char	*realm = args_get(a, "realm");
	struct err	 why = ERR_INIT;

	if (realm != NULL && (strpbrk(realm, "@\\$") != NULL ||
	    account_canonical(realm, im->realm, &why) != 0))
		return cli_usage(im->c, err, "--realm is of the form "
		    "CORP.EXAMPLE.ORG, not %.80s", realm);
	return 0;
}

/* As behind the first dot of a DNS name. */
static int
read_domains(struct import *im, const struct args *a, struct err *err)
{
	size_t	i;

	im->how.groups = &im->groups;
	im->how.now = time(NULL);
	im->how.realm = im->realm[0] == '\0' ? NULL : im->realm;
	args_list(a, "domain", &im->how.domains);
	for (i = 0; i < im->how.domains.n; i++)
		if (!acct_name_ok(ACCT_DNS, im->how.domains.v[i]))
			return cli_usage(im->c, err, "--domain is of the form "
			    "corp.example.org, not %.80s",
			    im->how.domains.v[i]);
	return 0;
}

/* A name of the policy may be that of an account, which is no group's. */
static int
add_names(struct import *im, const struct strlist *l, struct err *err)
{
	size_t	i;

	for (i = 0; i < l->n; i++)
		if (acct_group_ok(l->v[i]) &&
		    adgroups_add(&im->groups, l->v[i], err) != 0)
			return -1;
	return 0;
}

static int
add_lists(struct import *im, const struct strlist *const *l, size_t n,
    struct err *err)
{
	size_t	i;

	for (i = 0; i < n; i++)
		if (add_names(im, l[i], err) != 0)
			return -1;
	return 0;
}

/*
 * Groups that let enroll and those that only restrict, but none that rules over
 * others or over names: these are to be named.
 */
static int
policy_groups(struct import *im, const struct policy *p, struct err *err)
{
	size_t	i;
	int	rc = 0;

	for (i = 0; i < p->ntemplates && rc == 0; i++) {
		const struct template *t = &p->templates[i];

		rc = add_lists(im, (const struct strlist *[]){ &t->enroll,
		    &t->autoenroll, &t->approval_groups }, 3, err);
	}
	for (i = 0; i < p->nagents && rc == 0; i++)
		rc = add_names(im, &p->agents[i].deny_targets, err);
	return rc;
}

static int
read_groups(struct import *im, const struct args *a, struct err *err)
{
	struct strlist	 l = { 0 };
	struct policy	*p;
	size_t		 i;
	int		 rc = 0;

	args_list(a, "group", &l);
	for (i = 0; i < l.n && rc == 0; i++)
		if ((rc = adgroups_add(&im->groups, l.v[i], err)) != 0)
			im->c->code = EXIT_USAGE;
	strlist_free(&l);
	im->named = i > 0;
	if (rc != 0 || im->named)
		return rc;
	if ((p = cli_policy(im->c, err)) == NULL)
		return -1;
	rc = policy_groups(im, p, err);
	policy_free(p);
	return rc;
}

/* Columns of LASTWORD_STATE, in its order. */
static int
read_state(struct import *im, struct err *err)
{
	struct held	*h;
	enum acct_name	 n;
	int		 row, rows;

	im->state = cli_query(im->c, "import_state", NULL, 0, err);
	if (im->state == NULL)
		return -1;
	rows = PQntuples(im->state);
	im->held = xcalloc((size_t)rows + 1, sizeof(*im->held));
	for (row = 0; row < rows; row++) {
		h = &im->held[row];
		h->name = PQgetvalue(im->state, row, 0);
		h->machine = *PQgetvalue(im->state, row, 1) == 't';
		h->disabled = *PQgetvalue(im->state, row, 2) == 't';
		for (n = 0; n < ACCT_NAMES; n++)
			if (!PQgetisnull(im->state, row, 3 + (int)n))
				h->names[n] = PQgetvalue(im->state, row,
				    3 + (int)n);
		h->one_time = *PQgetvalue(im->state, row, 9) == 't';
		h->imported = *PQgetvalue(im->state, row, 10) == 't';
		h->off_by_import = *PQgetvalue(im->state, row, 11) == 't';
		h->names_by_import = *PQgetvalue(im->state, row, 12) == 't';
		h->groups = PQgetvalue(im->state, row, 13);
	}
	return 0;
}

/* A file that was cut off would disable everybody. */
static int
check_absent(const struct import *im, const struct args *a, struct err *err)
{
	int64_t	most = (int64_t)im->plan.imported / 10;

	if (most < FEW)
		most = FEW;
	if (args_num(a, "at-most", 0, ADACCOUNT_MAX, &most, err) != 0) {
		im->c->code = EXIT_USAGE;
		return -1;
	}
	if ((int64_t)im->plan.absent <= most)
		return 0;
	return err_set(err, ERR_DENIED, "%zu of %zu accounts are not in the "
	    "file, and would be disabled: is it whole? (--at-most)",
	    im->plan.absent, im->plan.imported);
}

/* How many have this outcome. */
static size_t
count(const struct import *im, const char *outcome)
{
	size_t	i, n = 0;

	for (i = 0; i < im->plan.n; i++)
		if (!adchange_quiet(&im->plan.v[i]) &&
		    strcmp(adchange_outcome(&im->plan.v[i]), outcome) == 0)
			n++;
	return n;
}

/* For people, beside the table. */
static void
sum_up(const struct import *im)
{
	static const char *const words[] = { "added", "changed", "replaced",
	    "disabled", "enabled", "kept", "conflict", "refused" };
	size_t	i, n;

	fprintf(stderr, "%zu users and computers", im->ad.n);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((n = count(im, words[i])) > 0)
			fprintf(stderr, ", %zu %s", n, words[i]);
	if (im->plan.off > 0)
		fprintf(stderr, ", %zu not added (disabled or expired in the "
		    "directory)", im->plan.off);
	if (im->ad.others > 0)
		fprintf(stderr, ", %zu other entries", im->ad.others);
	fputc('\n', stderr);
	if (im->ad.untyped > 0)
		fprintf(stderr, "%zu groups have no groupType: ask for it, too, "
		    "or members of their members do not count\n",
		    im->ad.untyped);
	if (im->apply.revoked > 0)
		revoke_tell(im->c, im->apply.revoked);
}

/* One that was mistyped would be emptied by the next import. */
static void
tell_empty(const struct import *im)
{
	size_t	i, k;

	for (i = 0; im->named && i < im->groups.n; i++) {
		for (k = 0; k < im->ad.n && !adaccount_in(&im->ad.v[k], i);
		    k++)
			;
		if (k == im->ad.n && im->groups.v[i].torn == NULL)
			fprintf(stderr, "nobody in the file is in %s: is "
			    "that its name?\n", im->groups.v[i].theirs);
	}
}

/*
 * Whoever may make a group can make a second one of a CN that counts: it must
 * not keep the rest of the file from being done.
 */
static void
tell_torn(struct import *im)
{
	const struct adgroup	*g;
	struct buf		 b = { 0 };

	for (g = im->groups.v; g < im->groups.v + im->groups.n; g++) {
		if (g->torn == NULL)
			continue;
		buf_puts(&b, "two groups are called ");
		out_plain(&b, g->theirs);
		buf_puts(&b, ": ");
		out_plain(&b, g->seen);
		buf_puts(&b, " and ");
		out_plain(&b, g->torn);
		buf_printf(&b, "; nobody is put into %s, or taken out: name "
		    "one with --group DN=%s\n", g->ours, g->ours);
		im->c->code = EXIT_REFUSED;
	}
	fputs(buf_str(&b), stderr);
	buf_free(&b);
}

/* Names out of the file, but no more than people read. */
static void
tell_groups(const struct import *im)
{
	struct buf	b = { 0 };
	size_t		i;

	for (i = 0; i < im->ad.left.n && i < 12; i++) {
		buf_puts(&b, i > 0 ? ", " : "");
		out_plain(&b, im->ad.left.v[i]);
	}
	if (im->ad.left.n > 0)
		fprintf(stderr, "groups that are not imported: %s%s\n",
		    buf_str(&b), i < im->ad.left.n ? ", ..." : "");
	buf_free(&b);
}

static bool
any_deep(const struct import *im)
{
	size_t	i;

	for (i = 0; i < im->ad.n && !im->ad.v[i].deep; i++)
		;
	return i < im->ad.n;
}

static int
print(struct import *im, struct err *err)
{
	struct out		*o = out_new(cols, OUT_TABLE);
	struct adchange		*c;
	struct buf		 text = { 0 };
	size_t			 i;

	for (i = 0; i < im->plan.n; i++) {
		c = &im->plan.v[i];
		if (adchange_quiet(c))
			continue;
		if (c->why != NULL) {
			buf_puts(&c->notes, c->notes.n > 0 ? "\n" : "");
			buf_puts(&c->notes, c->why);
		}
		buf_reset(&text);
		adchange_text(c, &text);
		out_add(o, c->name);
		out_add(o, adchange_outcome(c));
		out_add(o, buf_str(&text));
		out_add(o, buf_str(&c->notes));
	}
	buf_free(&text);
	if (count(im, "conflict") + count(im, "refused") > 0 ||
	    any_deep(im))
		im->c->code = EXIT_REFUSED;
	tell_torn(im);
	if (cli_print(im->c, o, err) != 0)
		return -1;
	if (!im->c->json) {
		sum_up(im);
		tell_empty(im);
		tell_groups(im);
	}
	return 0;
}

static int
make_plan(struct import *im, const struct args *a, struct err *err)
{
	const struct adplan_rules rules = {
	    .realm = im->realm[0] == '\0' ? NULL : im->realm,
	    .take_over = args_has(a, "take-over"),
	    .replace = args_has(a, "replace"),
	    .absent = args_has(a, "disable-absent") };

	if (read_state(im, err) != 0)
		return -1;
	return adplan_make(&im->plan, &im->ad, &im->groups, im->held,
	    (size_t)PQntuples(im->state), &rules, err);
}

/* All of it or nothing, and no other import meanwhile. */
static int
import(struct import *im, const struct args *a, struct err *err)
{
	PGresult	*res;
	bool		 in_doubt;
	int		 rc;

	if (cli_db(im->c, err) != 0 || db_begin(im->c->db, err) != 0)
		return -1;
	res = cli_query(im->c, "import_begin", NULL, 0, err);
	rc = res == NULL ? -1 : 0;
	PQclear(res);
	if (rc == 0)
		rc = make_plan(im, a, err);
	if (rc == 0)
		rc = check_absent(im, a, err);
	if (rc == 0)
		rc = adapply(&im->apply, err);
	if (rc != 0) {
		db_rollback(im->c->db);
		return -1;
	}
	if (db_commit(im->c->db, &in_doubt, err) != 0 || (args_has(a,
	    "replace") && adapply_stragglers(&im->apply, err) != 0))
		return -1;
	return print(im, err);
}

/* Whom too many absent ones are is to be seen. */
static int
rehearse(struct import *im, const struct args *a, struct err *err)
{
	if (make_plan(im, a, err) != 0 || print(im, err) != 0)
		return -1;
	return check_absent(im, a, err);
}

int
cmd_account_import(struct cli *c, const struct args *a, struct err *err)
{
	struct progress	progress;
	struct import	im = { .c = c, .apply = { .c = c, .plan = &im.plan,
			    .progress = &progress } };
	int		rc = -1;

	progress_begin(&progress, c->json);
	if (args_has(a, "at-most") && !args_has(a, "disable-absent"))
		return cli_usage(c, err, "--at-most needs --disable-absent");
	if (read_realm(&im, a, err) == 0 && read_groups(&im, a, err) == 0 &&
	    read_domains(&im, a, err) == 0 &&
	    file_read(a->pos[0], ADACCOUNT_FILE_MAX, &im.file, err) == 0 &&
	    adaccounts_ldif(buf_slice(&im.file), &im.how, &im.ad, err) == 0)
		rc = args_has(a, "dry-run") ? rehearse(&im, a, err) :
		    import(&im, a, err);
	import_free(&im);
	return rc;
}
