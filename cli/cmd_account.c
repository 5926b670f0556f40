/*
 * account add, passwd, disable, enable, show, list, group, change: the
 * principals that clients log on as.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "acctcheck.h"
#include "password.h"

#define NAME_OPTS \
	{ "dns", "NAME", "DNS host name", false }, \
	{ "upn", "USER@DOMAIN", "user principal name", false }, \
	{ "email", "ADDRESS", "e-mail address", false }, \
	{ "dn", "DN", "directory path, most specific part first", false }, \
	{ "sid", "S-1-5-21-...", "security identifier in Active Directory", \
	    false }

const struct opt opts_account_add[] = {
	{ "machine", NULL, "a computer, not a person", false },
	{ "cn", "TEXT", "common name (default: the account's name, or the "
	    "DNS name of a machine)", false },
	NAME_OPTS,
	{ "group", "NAME", "member of this group; may be repeated", true },
	PASSWORD_OPTS,
	{ "no-password", NULL, "cannot log in with a password", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_account_change[] = {
	{ "cn", "TEXT", "common name; \"\" takes another one away", false },
	NAME_OPTS,
	{ NULL, NULL, NULL, false }
};

const struct opt opts_account_passwd[] = {
	PASSWORD_OPTS,
	{ NULL, NULL, NULL, false }
};

const struct opt opts_account_disable[] = {
	{ "revoke", "REASON", "and revoke what it holds", false },
	{ "note", "TEXT", "with --revoke: why, for the record", false },
	{ NULL, NULL, NULL, false }
};

const struct opt opts_account_list[] = {
	{ "group", "NAME", "only members of this group", false },
	{ "name", "TEXT", "a piece of any of its names", false },
	{ "limit", "N", "at most so many (default: all)", false },
	{ "after", "NAME", "behind this account: the next page", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "name", OUT_TEXT }, { "machine", OUT_BOOL },
	{ "disabled", OUT_BOOL }, { "cn", OUT_TEXT }, { "dns", OUT_TEXT },
	{ "upn", OUT_TEXT }, { "email", OUT_TEXT }, { "dn", OUT_JSON_ONLY },
	{ "sid", OUT_JSON_ONLY }, { "groups", OUT_LIST },
	{ "created_at", OUT_JSON_ONLY }, { NULL, OUT_TEXT }
};

static const struct out_col disabled_cols[] = {
	{ "name", OUT_TEXT }, { "outcome", OUT_TEXT },
	{ "revoked", OUT_NUMBER }, { NULL, OUT_TEXT }
};

static const struct out_col show_cols[] = {
	{ "name", OUT_TEXT }, { "machine", OUT_BOOL },
	{ "disabled", OUT_BOOL }, { "cn", OUT_TEXT }, { "dns", OUT_TEXT },
	{ "upn", OUT_TEXT }, { "email", OUT_TEXT }, { "dn", OUT_TEXT },
	{ "sid", OUT_TEXT }, { "groups", OUT_LIST },
	{ "created_at", OUT_TEXT }, { NULL, OUT_TEXT }
};

/* Parameters of account_list; NULL selects nothing. */
enum { L_GROUP, L_ACCOUNT, L_AFTER, L_PIECE, L_LIMIT, L_COUNT };
#define LIST_MAX	1000000

static int
check_group(struct cli *c, const char *g, struct err *err)
{
	if (!acct_group_ok(g))
		return cli_usage(c, err, "a group is " ACCT_GROUP_FORM
		    ": %.64s", g);
	return 0;
}

/* With empty, "" says that it shall have none; a common name each has. */
static int
check_names(struct cli *c, const struct args *a, bool empty, struct err *err)
{
	enum acct_name i;
	const char *v;

	for (i = 0; i < ACCT_NAMES; i++)
		if ((v = args_get(a, acct_name_word(i))) != NULL &&
		    !(empty && i != ACCT_CN && *v == '\0') &&
		    !acct_name_ok(i, v))
			return cli_usage(c, err, "--%s is %s, not %.80s",
			    acct_name_word(i), acct_name_form(i), v);
	return 0;
}

/*
 * The database refuses a clash too; this says which it is.  v: the account's
 * name if it is a new one, dns, upn, email, sid, and its name if it is not.
 */
static int
refuse_clash(struct cli *c, const char *const v[6], struct err *err)
{
	PGresult *res = cli_query(c, "account_clash", v, 6, err);
	int rc = 0;

	if (res == NULL)
		return -1;
	if (PQntuples(res) > 0)
		rc = err_set(err, ERR_DENIED, "account %.80s has this %s "
		    "already", PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 0));
	PQclear(res);
	return rc;
}

/* The password is asked for last: no mistake above costs typing it twice. */
static int
insert(struct cli *c, const char *name, const struct args *a,
    const struct strlist *groups, struct err *err)
{
	const char *cn = args_get(a, "cn"), *dns = args_get(a, "dns");
	bool machine = args_has(a, "machine");
	struct buf array = { 0 };
	char *hash = NULL;
	PGresult *res;

	if (cn == NULL)
		cn = machine && dns != NULL ? dns : name;
	if (password_hash(a, &hash, err) != 0)
		return -1;
	cli_array(groups, &array);
	res = cli_query(c, "account_add", (const char *[]){ name,
	    machine ? "t" : "f", cn, dns, args_get(a, "upn"),
	    args_get(a, "email"), args_get(a, "dn"), args_get(a, "sid"), hash,
	    buf_str(&array) }, 10, err);
	PQclear(res);
	buf_free(&array);
	free(hash);
	return res == NULL ? -1 : 0;
}

int
cmd_account_add(struct cli *c, const struct args *a, struct err *err)
{
	struct strlist groups = { 0 };
	char name[129];
	size_t i;
	int rc = -1;

	args_list(a, "group", &groups);
	for (i = 0; i < groups.n; i++)
		if (check_group(c, groups.v[i], err) != 0)
			goto out;
	if (cli_account(c, a->pos[0], name, err) == 0 &&
	    check_names(c, a, false, err) == 0 &&
	    refuse_clash(c, (const char *[]){ name, args_get(a, "dns"),
	    args_get(a, "upn"), args_get(a, "email"), args_get(a, "sid"),
	    NULL }, err) == 0)
		rc = insert(c, name, a, &groups, err);
	if (rc == 0)
		rc = cli_outcome(c, name, "added", err);
out:
	strlist_free(&groups);
	return rc;
}

/*
 * A statement that changes one account and says whether it was there; v[0]
 * is the account as typed.
 */
static int
change(struct cli *c, const char *stmt, const char **v, int n,
    struct err *err)
{
	char name[129];
	PGresult *res;
	int rc = 0;

	if (cli_account(c, v[0], name, err) != 0)
		return -1;
	v[0] = name;
	if ((res = cli_query(c, stmt, v, n, err)) == NULL)
		return -1;
	if (*PQgetvalue(res, 0, 0) != 't')
		rc = err_set(err, ERR_DENIED, "no account %s", name);
	PQclear(res);
	return rc;
}

static int
check_there(struct cli *c, const char *name, struct err *err)
{
	struct account *account;

	if (cli_db(c, err) != 0 ||
	    account_load(c->db, name, &account, err) != 0)
		return -1;
	if (account == NULL)
		return err_set(err, ERR_DENIED, "no account %s", name);
	account_free(account);
	return 0;
}

int
cmd_account_passwd(struct cli *c, const struct args *a, struct err *err)
{
	char name[129], *hash = NULL;
	int rc;

	/* Before a password is asked for. */
	if (cli_account(c, a->pos[0], name, err) != 0 ||
	    check_there(c, name, err) != 0 ||
	    password_hash(a, &hash, err) != 0)
		return -1;
	rc = change(c, "account_passwd", (const char *[]){ name, hash }, 2,
	    err);
	free(hash);
	return rc != 0 ? -1 : cli_outcome(c, name, "changed", err);
}

/* For programs, as cli_outcome, and with --revoke how many certificates. */
static int
print_disabled(struct cli *c, const char *name, bool revoked, int n,
    struct err *err)
{
	struct out *o;

	if (revoked)
		revoke_tell(c, n);
	if (!c->json)
		return 0;
	o = out_new(disabled_cols, OUT_TABLE);
	out_add(o, name);
	out_add(o, "disabled");
	if (revoked)
		out_num(o, n);
	else
		out_add(o, NULL);
	return cli_print_done(c, o, "it is disabled", err);
}

/* Both or neither: a disabled account with good certificates looks done. */
int
cmd_account_disable(struct cli *c, const struct args *a, struct err *err)
{
	struct revocation r = { args_get(a, "revoke"), NULL,
	    args_get(a, "note") };
	char name[129];
	bool in_doubt;
	int n = 0, more = 0;

	if (r.note != NULL && r.reason == NULL)
		return cli_usage(c, err, "--note needs --revoke: it is kept "
		    "with the certificates");
	if (cli_account(c, a->pos[0], name, err) != 0 ||
	    cli_db(c, err) != 0 || db_begin(c->db, err) != 0)
		return -1;
	r.account = name;
	if (change(c, "account_disabled", (const char *[]){ name, "t" }, 2,
	    err) != 0 ||
	    (r.reason != NULL && (n = revoke_account(c, &r, err)) < 0)) {
		db_rollback(c->db);
		return -1;
	}
	if (db_commit(c->db, &in_doubt, err) != 0 || (r.reason != NULL &&
	    (more = revoke_again(c, &r, err)) < 0))
		return -1;
	return print_disabled(c, name, r.reason != NULL, n + more, err);
}

int
cmd_account_enable(struct cli *c, const struct args *a, struct err *err)
{
	if (change(c, "account_disabled", (const char *[]){ a->pos[0], "f" },
	    2, err) != 0)
		return -1;
	return cli_outcome(c, a->pos[0], "enabled", err);
}

/* Into all of them, or into none. */
int
cmd_account_group(struct cli *c, const struct args *a, struct err *err)
{
	bool add = strcmp(a->pos[1], "add") == 0, in_doubt;
	size_t i;

	if (!add && strcmp(a->pos[1], "remove") != 0)
		return cli_usage(c, err, "add or remove, not %.40s",
		    a->pos[1]);
	for (i = 2; i < a->npos; i++)
		if (check_group(c, a->pos[i], err) != 0)
			return -1;
	if (cli_db(c, err) != 0 || db_begin(c->db, err) != 0)
		return -1;
	for (i = 2; i < a->npos; i++)
		if (change(c, "account_group", (const char *[]){ a->pos[0],
		    a->pos[i], add ? "t" : "f" }, 3, err) != 0) {
			db_rollback(c->db);
			return -1;
		}
	if (db_commit(c->db, &in_doubt, err) != 0)
		return -1;
	return cli_outcome(c, a->pos[0], "changed", err);
}

/* What is not given stays; "" is none. */
int
cmd_account_change(struct cli *c, const struct args *a, struct err *err)
{
	const char *v[1 + ACCT_NAMES], **n = v + 1;
	enum acct_name i;
	char name[129];
	bool any = false;

	for (i = 0; i < ACCT_NAMES; i++) {
		n[i] = args_get(a, acct_name_word(i));
		any = any || n[i] != NULL;
	}
	if (!any)
		return cli_usage(c, err, "which name? --cn, --dns, --upn, "
		    "--email, --dn or --sid");
	if (cli_account(c, a->pos[0], name, err) != 0 ||
	    check_names(c, a, true, err) != 0 ||
	    refuse_clash(c, (const char *[]){ NULL, n[ACCT_DNS], n[ACCT_UPN],
	    n[ACCT_EMAIL], n[ACCT_SID], name }, err) != 0)
		return -1;
	v[0] = name;
	if (change(c, "account_names", v, 1 + ACCT_NAMES, err) != 0)
		return -1;
	return cli_outcome(c, name, "changed", err);
}

int
cmd_account_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *v[L_COUNT] = { NULL };
	char name[129];
	PGresult *res;

	if (cli_account(c, a->pos[0], name, err) != 0)
		return -1;
	v[L_ACCOUNT] = name;
	if ((res = cli_query(c, "account_list", v, L_COUNT, err)) == NULL)
		return -1;
	if (PQntuples(res) == 0) {
		PQclear(res);
		return err_set(err, ERR_DENIED, "no account %s", name);
	}
	return cli_rows(c, res, show_cols, OUT_RECORD, err);
}

int
cmd_account_list(struct cli *c, const struct args *a, struct err *err)
{
	const char *v[L_COUNT] = { [L_GROUP] = args_get(a, "group"),
	    [L_PIECE] = args_get(a, "name") };
	char after[129], last[129] = "", limit[24];
	int64_t n = 0;
	PGresult *res;

	if (args_num(a, "limit", 1, LIST_MAX, &n, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	snprintf(limit, sizeof limit, "%" PRId64, n);
	if (n > 0)
		v[L_LIMIT] = limit;
	if (args_has(a, "after")) {
		v[L_AFTER] = after;
		if (cli_account(c, args_get(a, "after"), after, err) != 0)
			return -1;
	}
	if ((res = cli_query(c, "account_list", v, L_COUNT, err)) == NULL)
		return -1;
	if (n > 0 && PQntuples(res) == n)
		snprintf(last, sizeof last, "%s",
		    PQgetvalue(res, (int)n - 1, 0));
	if (cli_rows(c, res, cols, OUT_TABLE, err) != 0)
		return -1;
	if (last[0] != '\0' && !c->json)
		fprintf(stderr, "more: --after %s\n", last);
	return 0;
}
