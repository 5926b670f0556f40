/*
 * secret create, list, revoke: accounts with a password that gets one
 * certificate from one template.
 */
#include "commands.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "account.h"
#include "decide.h"
#include "file.h"
#include "name.h"
#include "onetime.h"
#include "password.h"
#include "progress.h"

#define SECRETS_MAX	50000		/* each costs an argon2id */
#define CSV_MAX		(8 * 1024 * 1024)
#define SECRET_CHARS	26		/* of 5 bits: 130 */
#define SECRET_GROUP	5

const struct opt opts_secret_create[] = {
	{ "dns", "NAME", "DNS name of the machine, also its user name",
	    false },
	{ "template", "NAME", "the one template it is for", false },
	{ "expires", "DURATION", "how long it is good: 2d, 12h (default 1d)",
	    false },
	{ "csv", "FILE", "many: lines of dns[,template[,expires]]; all or "
	    "none; - is standard input", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col create_cols[] = {
	{ "name", OUT_TEXT }, { "secret", OUT_TEXT },
	{ "template", OUT_TEXT }, { "expires_at", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

static const struct out_col list_cols[] = {
	{ "name", OUT_TEXT }, { "dns", OUT_JSON_ONLY },
	{ "template", OUT_TEXT }, { "state", OUT_TEXT },
	{ "expires_at", OUT_TEXT }, { "request", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

struct secret {
	char	 name[129];	/* DNS and user name */
	char	*template_name;	/* as the policy spells it */
	int64_t	 expires;
	char	 secret[SECRET_CHARS + SECRET_CHARS / SECRET_GROUP + 1];
};

struct secrets {
	struct secret	*v;
	size_t		 n, cap;
	void		*names;		/* of tsearch(3) */
	unsigned	 line;		/* of the CSV file; 0 = none */
};

static void
entries_free(struct secrets *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		free(e->v[i].template_name);
	if (e->v != NULL)
		OPENSSL_cleanse(e->v, e->n * sizeof *e->v);
	free(e->v);
	tdestroy(e->names, free);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* true: it stood there already. */
static bool
stands_twice(struct secrets *e, const char *name)
{
	char *copy = xstrdup(name), **at = tsearch(copy, &e->names, by_name);

	if (at == NULL)
		out_of_memory();
	if (*at == copy)
		return false;
	free(copy);
	return true;
}

/* The array moves: what it leaves behind are secrets. */
static struct secret *
one_more(struct secrets *e)
{
	struct secret *v;

	if (e->n == e->cap) {
		e->cap = e->cap == 0 ? 16 : 2 * e->cap;
		v = xcalloc(e->cap, sizeof *v);
		if (e->n > 0) {
			memcpy(v, e->v, e->n * sizeof *v);
			OPENSSL_cleanse(e->v, e->n * sizeof *v);
		}
		free(e->v);
		e->v = v;
	}
	return &e->v[e->n++];
}

/*
 * Without characters that look alike (0 and o, 1 and l), in groups that can
 * be read out and typed.
 */
static void
make_secret(char *out)
{
	static const char alphabet[] = "23456789abcdefghijkmnpqrstuvwxyz";
	uint8_t random[SECRET_CHARS];
	size_t i;

	if (RAND_bytes(random, sizeof random) != 1)
		abort();	/* a secret that can be guessed is none */
	for (i = 0; i < sizeof random; i++) {
		if (i > 0 && i % SECRET_GROUP == 0 && i < SECRET_CHARS - 1)
			*out++ = '-';
		*out++ = alphabet[random[i] % (sizeof alphabet - 1)];
	}
	*out = '\0';
	OPENSSL_cleanse(random, sizeof random);
}

/*
 * The account is in no group, cannot wait, and has no name but this one: what
 * needs more would be found out only on the machine that has the secret.
 */
static int
check_template(const struct policy *p, const struct template *t, char *name,
    struct err *err)
{
	const struct account fresh = { .name = name, .machine = true,
	    .cn = name, .dns = name, .one_time = t->cn,
	    .one_time_expires = INT64_MAX };
	const char *why = NULL;

	if (!t->machine)
		why = "is for users";
	else if (t->names_from_request)
		why = "takes names from the request";
	else if (t->approval && t->approval_groups.n == 0)
		why = "needs approval";
	else if (t->ra_signatures != 0)
		why = "needs signatures of registration authorities";
	if (why == NULL)
		return decide_offer(p, t, &fresh, time(NULL), err);
	return err_set(err, ERR_DENIED,
	    "template %.80s %s: no one-time secret gets that", t->cn, why);
}

static int
parse_name(const char *dns, char out[129], struct err *err)
{
	struct err why = ERR_INIT;

	if (!name_is_dns(dns, false))
		return err_set(err, ERR_MALFORMED, "not a dns name: %.80s",
		    dns);
	if (account_canonical(dns, out, &why) != 0)
		return err_set(err, ERR_MALFORMED, "%.80s: %s", dns, why.text);
	return 0;
}

/* field: dns, template (or NULL), expires. */
static int
add(const struct policy *p, struct secrets *e, char *const field[3],
    struct err *err)
{
	const struct template *t;
	struct secret one = { .template_name = NULL };
	int64_t duration;

	if (field[1] == NULL)
		return err_set(err, ERR_MALFORMED, "no template is named");
	if ((t = policy_template_by_name(p, field[1])) == NULL)
		return err_set(err, ERR_DENIED, "no template %.80s", field[1]);
	if (e->n == SECRETS_MAX)
		return err_set(err, ERR_TOO_BIG, "more than %d secrets",
		    SECRETS_MAX);
	if (parse_name(field[0], one.name, err) != 0 ||
	    check_template(p, t, one.name, err) != 0 ||
	    conf_duration(field[2], &duration, err) != 0)
		return -1;
	if (duration <= 0)
		return err_set(err, ERR_MALFORMED, "expires before it is good");
	if (stands_twice(e, one.name))
		return err_set(err, ERR_MALFORMED, "%.80s stands twice",
		    one.name);
	one.template_name = xstrdup(t->cn);
	one.expires = time(NULL) + duration;
	make_secret(one.secret);
	*one_more(e) = one;
	OPENSSL_cleanse(one.secret, sizeof one.secret);
	return 0;
}

static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r", s[n - 1]) != NULL)
		s[--n] = '\0';
	return s;
}

/* As spreadsheets and PowerShell write a field; none of ours has one inside. */
static char *
unquote(char *s)
{
	size_t n;

	s = trim(s);
	n = strlen(s);
	if (n < 2 || s[0] != '"' || s[n - 1] != '"')
		return s;
	s[n - 1] = '\0';
	return trim(s + 1);
}

/* dns[,template[,expires]]; what is missing is as the options say. */
static int
add_line(const struct policy *p, struct secrets *e, char *line,
    char *const option[3], struct err *err)
{
	char *field[3] = { NULL, option[1], option[2] }, *s;
	struct err why = ERR_INIT;
	size_t i;

	e->line++;
	line = trim(line);
	if (*line == '\0' || *line == '#')
		return 0;
	for (i = 0; (s = strsep(&line, ",")) != NULL; i++) {
		if (i == 3)
			return err_set(err, ERR_MALFORMED,
			    "line %u: more than dns,template,expires",
			    e->line);
		s = unquote(s);
		if (*s != '\0')
			field[i] = s;
	}
	if (field[0] == NULL)
		return err_set(err, ERR_MALFORMED, "line %u: no dns name",
		    e->line);
	if (add(p, e, field, &why) != 0)
		return err_set(err, why.kind, "line %u: %s", e->line,
		    why.text);
	return 0;
}

/* All lines or none: nobody would know which secrets were made. */
static int
add_csv(const struct policy *p, struct secrets *e, const char *path,
    char *const option[3], struct err *err)
{
	struct buf text = { 0 };
	char *s, *line;
	int rc;

	rc = file_read(path, CSV_MAX, &text, err);
	if (rc == 0 && memchr(text.p, '\0', text.n) != NULL)
		rc = err_set(err, ERR_MALFORMED, "%.80s: has a NUL, is no "
		    "text in UTF-8", path);
	s = rc == 0 ? buf_str(&text) : NULL;
	if (s != NULL && strncmp(s, "\xef\xbb\xbf", 3) == 0)
		s += 3;		/* Windows puts it before UTF-8 */
	while (rc == 0 && (line = strsep(&s, "\n")) != NULL)
		rc = add_line(p, e, line, option, err);
	if (rc == 0 && e->n == 0)
		rc = err_set(err, ERR_MALFORMED, "%.80s: no lines", path);
	buf_free(&text);
	return rc;
}

/* --template and --expires are what a line of the file leaves out, too. */
static int
read_entries(struct cli *c, const struct args *a, struct secrets *e,
    struct err *err)
{
	static char day[] = "1d";
	char *option[3] = { NULL, NULL, day };
	struct policy *p;
	struct strlist one[3] = { { 0 } };
	static const char *const names[3] = { "dns", "template", "expires" };
	int64_t life;
	size_t i;
	int rc;

	if (args_has(a, "csv") == args_has(a, "dns"))
		return cli_usage(c, err, "either --dns or --csv");
	if (args_has(a, "expires") &&
	    conf_duration(args_get(a, "expires"), &life, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if ((p = cli_policy(c, err)) == NULL)
		return -1;
	for (i = 0; i < 3; i++) {
		args_list(a, names[i], &one[i]);
		if (one[i].n > 0)
			option[i] = one[i].v[0];
	}
	if (args_has(a, "csv"))
		rc = add_csv(p, e, args_get(a, "csv"), option, err);
	else if ((rc = add(p, e, option, err)) != 0 &&
	    err->kind == ERR_MALFORMED)
		c->code = EXIT_USAGE;
	for (i = 0; i < 3; i++)
		strlist_free(&one[i]);
	policy_free(p);
	return rc;
}

static void
push(struct strlist *l, char *s)
{
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = s;
}

/* The four columns of all entries: a hash takes its time. */
static int
columns(struct progress *p, const struct secrets *e, struct strlist col[4],
    struct err *err)
{
	char number[24], *hash;
	size_t i;

	for (i = 0; i < e->n; i++) {
		if (e->n > 1)
			progress_show(p, "secrets", i, e->n);
		if (password_encode(slice_str(e->v[i].secret), &hash,
		    err) != 0)
			return -1;
		snprintf(number, sizeof number, "%" PRId64, e->v[i].expires);
		push(&col[0], xstrdup(e->v[i].name));
		push(&col[1], xstrdup(e->v[i].template_name));
		push(&col[2], xstrdup(number));
		push(&col[3], hash);
	}
	return 0;
}

/* The database refuses too; this says whom. */
static int
refuse_clash(struct cli *c, const char *names, struct err *err)
{
	PGresult *res = cli_query(c, "secret_clash", &names, 1, err);
	int rc = 0;

	if (res == NULL)
		return -1;
	if (PQntuples(res) > 0)
		rc = err_set(err, ERR_DENIED, "account %.80s %s",
		    PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
	PQclear(res);
	return rc;
}

/* All in one statement: all or none. */
static int
insert(struct cli *c, const struct secrets *e, struct err *err)
{
	struct strlist col[4] = { { 0 } };
	struct buf array[4] = { { 0 } };
	const char *v[4];
	struct progress progress;
	PGresult *res = NULL;
	size_t i;
	int rc;

	progress_begin(&progress, c->json);
	rc = columns(&progress, e, col, err);
	progress_end(&progress);
	for (i = 0; i < 4; i++) {
		cli_array(&col[i], &array[i]);
		v[i] = buf_str(&array[i]);
	}
	if (rc == 0)
		rc = refuse_clash(c, v[0], err);
	if (rc == 0 && (res = cli_query(c, "secret_create", v, 4, err)) == NULL)
		rc = -1;
	PQclear(res);
	for (i = 0; i < 4; i++) {
		strlist_free(&col[i]);
		buf_free(&array[i]);
	}
	return rc;
}

/* For doctor: the same way, and the secret is printed nowhere. */
int
onetime_probe(struct cli *c, const struct policy *p, struct buf *secret,
    struct err *err)
{
	static char machine[] = PROBE_MACHINE, tmpl[] = PROBE_TEMPLATE,
	    life[] = "5m";
	char *const field[3] = { machine, tmpl, life };
	struct secrets e = { 0 };
	int rc;

	rc = add(p, &e, field, err);
	if (rc == 0 && (rc = insert(c, &e, err)) == 0)
		buf_puts(secret, e.v[0].secret);
	entries_free(&e);
	return rc;
}

static void
print_entry(struct out *o, const struct secret *e)
{
	char when[32];

	out_add(o, e->name);
	out_add(o, e->secret);
	out_add(o, e->template_name);
	utc_text(e->expires, when);
	out_add(o, when);
}

int
cmd_secret_create(struct cli *c, const struct args *a, struct err *err)
{
	struct secrets e = { 0 };
	struct out *o;
	size_t i;
	int rc;

	rc = read_entries(c, a, &e, err);
	if (rc == 0)
		rc = insert(c, &e, err);
	if (rc == 0) {
		o = out_new(create_cols, args_has(a, "csv") ? OUT_TABLE :
		    OUT_RECORD);
		for (i = 0; i < e.n; i++)
			print_entry(o, &e.v[i]);
		rc = cli_print_done(c, o, "the secrets are made and nobody "
		    "has seen them: create them again", err);
	}
	entries_free(&e);
	return rc;
}

int
cmd_secret_list(struct cli *c, const struct args *a, struct err *err)
{
	(void)a;
	return cli_rows(c, cli_query(c, "secret_list", NULL, 0, err),
	    list_cols, OUT_TABLE, err);
}

int
cmd_secret_revoke(struct cli *c, const struct args *a, struct err *err)
{
	char name[129];
	const char *v = name;
	PGresult *res;
	int rc = 0;

	if (cli_account(c, a->pos[0], name, err) != 0 ||
	    (res = cli_query(c, "secret_revoke", &v, 1, err)) == NULL)
		return -1;
	if (*PQgetvalue(res, 0, 0) != 't')
		rc = err_set(err, ERR_DENIED, "account %s has no one-time "
		    "secret", name);
	PQclear(res);
	return rc != 0 ? -1 : cli_outcome(c, name, "revoked", err);
}
