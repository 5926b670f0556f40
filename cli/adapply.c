/*
 * What an import of a directory has planned (adplan.c), done: accounts, names
 * and groups into the database, many in each statement.
 */
#include "adapply.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK	1000	/* accounts in one statement */

/* Array parameters: one element more; NULL is NULL. */
static void
put(struct buf *b, const char *s)
{
	buf_addc(b, b->n == 0 ? '{' : ',');
	if (s == NULL) {
		buf_puts(b, "NULL");
		return;
	}
	buf_addc(b, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(b, '\\');
		buf_addc(b, (uint8_t)*s);
	}
	buf_addc(b, '"');
}

/* One kind of change: its statement, and how a change becomes elements. */
struct kind {
	const char	*stmt;
	unsigned	 todo;
	size_t		 narrays;
	void		 (*put)(const struct adchange *, struct buf *);
	const char	*flags[2];	/* parameters behind them, or NULL */
};

static void
put_names(const struct adchange *c, struct buf *b)
{
	enum acct_name	n;

	for (n = 0; n < ACCT_NAMES; n++)
		put(&b[n], c->names[n]);
}

static void
put_new(const struct adchange *c, struct buf *b)
{
	struct buf	groups = { 0 };
	size_t		i;

	put(&b[0], c->name);
	put(&b[1], c->ad->machine ? "t" : "f");
	put_names(c, b + 2);
	for (i = 0; i < c->in.n; i++)
		buf_printf(&groups, "%s%s", i > 0 ? "," : "", c->in.v[i]);
	put(&b[2 + ACCT_NAMES], buf_str(&groups));
	buf_free(&groups);
}

static void
put_called(const struct adchange *c, struct buf *b)
{
	put(&b[0], c->name);
	put_names(c, b + 1);
}

static void
put_groups(const struct adchange *c, struct buf *b)
{
	size_t	i;

	for (i = 0; i < c->in.n + c->out.n; i++) {
		put(&b[0], c->name);
		put(&b[1], i < c->in.n ? c->in.v[i] : c->out.v[i - c->in.n]);
		put(&b[2], i < c->in.n ? "t" : "f");
	}
}

static void
put_name(const struct adchange *c, struct buf *b)
{
	put(&b[0], c->name);
}

/* In this order: names that change hands are free before anybody has them. */
static const struct kind kinds[] = {
	{ "import_names", DO_NAMES, 7, put_called, { "t", "f" } },
	{ "import_names", DO_NAMES, 7, put_called, { "f", "t" } },
	{ "import_add", DO_ADD, 9, put_new, { NULL, NULL } },
	{ "import_groups", DO_GROUPS, 3, put_groups, { NULL, NULL } },
	{ "import_disable", DO_DISABLE, 1, put_name, { NULL, NULL } },
	{ "import_enable", DO_ENABLE, 1, put_name, { NULL, NULL } },
};
#define ARRAYS_MAX	9

static int
send(struct adapply *a, const struct kind *k, struct buf *b, struct err *err)
{
	const char	*v[ARRAYS_MAX + 2];
	size_t		 i, n = k->narrays;
	PGresult	*res;

	if (b[0].n == 0)
		return 0;
	for (i = 0; i < n; i++) {
		buf_addc(&b[i], '}');
		v[i] = buf_str(&b[i]);
	}
	for (i = 0; i < 2 && k->flags[i] != NULL; i++)
		v[n++] = k->flags[i];
	res = cli_query(a->c, k->stmt, v, (int)n, err);
	PQclear(res);
	for (i = 0; i < k->narrays; i++)
		buf_reset(&b[i]);
	return res == NULL ? -1 : 0;
}

static int
apply_kind(struct adapply *a, const struct kind *k, size_t *done, size_t of,
    struct err *err)
{
	struct buf		 b[ARRAYS_MAX] = { { 0 } };
	const struct adchange	*c;
	size_t			 i, waiting = 0;
	int			 rc = 0;

	for (i = 0; i < a->plan->n && rc == 0; i++) {
		c = &a->plan->v[i];
		if ((c->todo & k->todo) == 0)
			continue;
		k->put(c, b);
		if (++waiting < CHUNK)
			continue;
		rc = send(a, k, b, err);
		progress_show(a->progress, "changes", *done += waiting, of);
		waiting = 0;
	}
	if (rc == 0)
		rc = send(a, k, b, err);
	*done += waiting;
	for (i = 0; i < ARRAYS_MAX; i++)
		buf_free(&b[i]);
	return rc;
}

/* What of theirs waits for approval is not the new ones' either. */
static int
tell_replaced(struct adapply *a, struct buf *names, struct err *err)
{
	PGresult	*res;

	if (names->n == 0)
		return 0;
	a->replaced = true;
	buf_addc(names, '}');
	res = cli_query(a->c, "import_replace",
	    (const char *[]){ buf_str(names) }, 1, err);
	PQclear(res);
	return res == NULL ? -1 : 0;
}

/*
 * Whoever holds a certificate of the old principal would renew it as the new
 * one.
 */
static int
revoke_replaced(struct adapply *a, struct buf *names, struct err *err)
{
	struct revocation	 r = { "superseded", NULL, "account import" };
	const struct adchange	*c, *end = a->plan->v + a->plan->n;
	PGresult		*res;
	int			 n;

	for (c = a->plan->v; c < end; c++) {
		if (!(c->todo & DO_REPLACE))
			continue;
		r.account = c->name;
		if ((n = revoke_account(a->c, &r, err)) < 0)
			return -1;
		a->revoked += n;
		res = cli_query(a->c, "account_passwd",
		    (const char *[]){ c->name, NULL }, 2, err);
		PQclear(res);
		if (res == NULL)
			return -1;
		put(names, c->name);
	}
	return 0;
}

static int
replace_all(struct adapply *a, struct err *err)
{
	struct buf	names = { 0 };
	int		rc = revoke_replaced(a, &names, err);

	if (rc == 0)
		rc = tell_replaced(a, &names, err);
	buf_free(&names);
	return rc;
}

int
adapply(struct adapply *a, struct err *err)
{
	size_t	done = 0, of = 0, i, k;
	int	rc = 0;

	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (i = 0; i < a->plan->n; i++)
			of += (a->plan->v[i].todo & kinds[k].todo) != 0;
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && rc == 0; k++)
		rc = apply_kind(a, &kinds[k], &done, of, err);
	progress_end(a->progress);
	return rc == 0 ? replace_all(a, err) : -1;
}

/* As revoke_again. */
int
adapply_stragglers(struct adapply *a, struct err *err)
{
	PGresult	*res;
	bool		 in_doubt;

	if ((a->replaced && revoke_settle(a->c, err) != 0) ||
	    db_begin(a->c->db, err) != 0)
		return -1;
	res = cli_query(a->c, "import_stragglers", NULL, 0, err);
	if (res == NULL) {
		db_rollback(a->c->db);
		return -1;
	}
	a->revoked += atoi(PQgetvalue(res, 0, 0));
	PQclear(res);
	return db_commit(a->c->db, &in_doubt, err);
}
