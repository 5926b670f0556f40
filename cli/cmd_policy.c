#include "commands.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff.h"
#include "file.h"
#include "ptext.h"

#define POLICY_MAX	(1024 * 1024)

const struct opt opts_policy_show[] = {
	{ "version", "N", "that version (default: the one in force)", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col finding_cols[] = {
	{ "file", OUT_TEXT }, { "line", OUT_NUMBER }, { "text", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

static const struct out_col version_cols[] = {
	{ "version", OUT_NUMBER }, { "sha256", OUT_TEXT },
	{ "published_at", OUT_TEXT }, { "published_by", OUT_TEXT },
	{ "body", OUT_TEXT }, { NULL, OUT_TEXT }
};

static const struct out_col publish_cols[] = {
	{ "version", OUT_NUMBER }, { "sha256", OUT_TEXT },
	{ "file", OUT_TEXT }, { "templates", OUT_NUMBER },
	{ "overrides", OUT_LIST }, { "raised", OUT_LIST },
	{ NULL, OUT_TEXT }
};

struct findings {
	struct out	*json;		/* NULL: for people */
	const char	*file;
	struct buf	 plain;
};

/* For people "file:line: text", as editors understand it. */
static void
report(void *arg, unsigned line, const char *text)
{
	struct findings *f = arg;

	if (f->json != NULL) {
		out_add(f->json, f->file);
		out_num(f->json, line);
		out_add(f->json, text);
		return;
	}
	out_plain(&f->plain, f->file);
	buf_printf(&f->plain, ":%u: ", line);
	out_plain(&f->plain, text);
	buf_addc(&f->plain, '\n');
}

/* All findings to standard output; their number. */
static int
lint(struct cli *c, const char *file, struct slice text, struct err *err)
{
	struct findings f = { NULL, file, { 0 } };
	int n, rc = 0;

	if (c->json)
		f.json = out_new(finding_cols, OUT_TABLE);
	n = policy_lint_all(text, report, &f);
	if (f.json != NULL)
		rc = cli_print(c, f.json, err);
	else if (f.plain.n > 0)
		rc = file_put(NULL, 0, buf_slice(&f.plain), err);
	buf_free(&f.plain);
	return rc == 0 ? n : -1;
}

int
cmd_policy_check(struct cli *c, const struct args *a, struct err *err)
{
	struct buf text = { 0 };
	int n = -1;

	if (file_read(a->pos[0], POLICY_MAX, &text, err) == 0)
		n = lint(c, a->pos[0], buf_slice(&text), err);
	buf_free(&text);
	if (n > 0)
		c->code = EXIT_REFUSED;
	return n < 0 ? -1 : 0;
}

/*
 * The file and the row change together: the row is written, the file is put
 * in place, then the row is committed and workers and signers are told.
 */
static int
install(struct cli *c, struct slice text, char *version, size_t size,
    struct err *err)
{
	struct db_param p = DB_BIN(text.p, text.n);
	bool in_doubt = false;
	char *staged = NULL;
	PGresult *res;
	int rc = -1;

	if (file_stage(c->conf->policy, 0644, text, &staged, err) != 0)
		return -1;
	if (db_begin(c->db, err) != 0)
		goto out;
	if ((res = db_exec(c->db, "policy_publish", &p, 1, err)) != NULL) {
		snprintf(version, size, "%s", PQgetvalue(res, 0, 0));
		PQclear(res);
		rc = file_commit(staged, c->conf->policy, err);
	}
	if (rc == 0)
		rc = db_commit(c->db, &in_doubt, err);
	else
		db_rollback(c->db);
out:
	if (rc != 0)
		unlink(staged);
	free(staged);
	return rc;
}

/* "template: rule" a line: what the operator chose to allow. */
static void
list_overrides(const struct policy *p, struct buf *b)
{
	const struct template *t;
	size_t i, j;

	for (i = 0; i < p->ntemplates; i++) {
		t = &p->templates[i];
		for (j = 0; j < t->overrides.n; j++)
			buf_printf(b, "%s%s: %s", b->n > 0 ? "\n" : "", t->cn,
			    t->overrides.v[j]);
	}
}

static int
print_published(struct cli *c, const struct policy *p, const char *version,
    struct buf *raised, struct err *err)
{
	struct out *o = out_new(publish_cols, OUT_RECORD);
	struct buf overrides = { 0 };
	char hex[65];

	hex_encode(p->sha256, sizeof p->sha256, hex);
	list_overrides(p, &overrides);
	out_add(o, version);
	out_add(o, hex);
	out_add(o, c->conf->policy);
	out_num(o, (int64_t)p->ntemplates);
	out_add(o, buf_str(&overrides));
	out_add(o, buf_str(raised));
	buf_free(&overrides);
	return cli_print(c, o, err);
}

/*
 * An edit raises the minor version, as AD CS does it: clients compare it.
 * *p is parsed anew when that changed the text.
 */
static int
raise_versions(struct cli *c, struct policy **p, struct buf *raised,
    struct err *err)
{
	struct err none = ERR_INIT;
	struct policy *old = cli_policy(c, &none);
	struct buf text = { 0 };
	int rc = 0;

	if (old == NULL)
		return none.kind == ERR_UNAVAILABLE ?
		    err_set(err, none.kind, "%s", none.text) : 0;
	ptext_raise(old, *p, &text, raised);
	policy_free(old);
	if (raised->n > 0) {
		policy_free(*p);
		*p = policy_parse(buf_slice(&text), err);
		rc = *p == NULL ? -1 : 0;
	}
	buf_free(&text);
	return rc;
}

static int
publish(struct cli *c, struct slice text, struct err *err)
{
	struct policy *p = policy_parse(text, err);
	struct buf raised = { 0 };
	char version[24];
	int rc = -1;

	if (p != NULL && cli_db(c, err) == 0 &&
	    raise_versions(c, &p, &raised, err) == 0 &&
	    cli_attach(c, p, err) == 0 && install(c, buf_slice(&p->text),
	    version, sizeof version, err) == 0)
		rc = print_published(c, p, version, &raised, err);
	policy_free(p);
	buf_free(&raised);
	return rc;
}

int
cmd_policy_publish(struct cli *c, const struct args *a, struct err *err)
{
	struct buf text = { 0 };
	int rc;

	rc = file_read(a->pos[0], POLICY_MAX, &text, err);
	if (rc == 0)
		rc = publish(c, buf_slice(&text), err);
	buf_free(&text);
	return rc;
}

/* [MS-CRTD] 2.8: a new major version makes clients enroll again. */
int
cmd_policy_reenroll(struct cli *c, const struct args *a, struct err *err)
{
	struct buf text = { 0 }, next = { 0 };
	struct policy *p = NULL;
	const struct template *t;
	int rc = -1;

	if (cli_db(c, err) != 0 ||
	    file_read(c->conf->policy, POLICY_MAX, &text, err) != 0 ||
	    (p = policy_parse(buf_slice(&text), err)) == NULL)
		goto out;
	t = policy_template_by_name(p, a->pos[0]);
	if (t == NULL) {
		err_set(err, ERR_DENIED, "%.80s: no template %.60s",
		    c->conf->policy, a->pos[0]);
		goto out;
	}
	ptext_set_version(buf_slice(&text), t->cn, t->major + 1, 0, &next);
	rc = publish(c, buf_slice(&next), err);
out:
	policy_free(p);
	buf_free(&text);
	buf_free(&next);
	return rc;
}

/* The row of a version, or of the last one; ERR_DENIED when there is none. */
static PGresult *
get(struct cli *c, const char *version, struct err *err)
{
	PGresult *res = version == NULL ?
	    cli_query(c, "policy_last", NULL, 0, err) :
	    cli_query(c, "policy_get", &version, 1, err);

	if (res != NULL && PQntuples(res) == 0) {
		PQclear(res);
		err_set(err, ERR_DENIED, version == NULL ?
		    "no policy has been published" : "no policy version %s",
		    version);
		return NULL;
	}
	return res;
}

/*
 * For people the text alone goes to standard output, byte for byte, so that
 * it can be checked, edited and published again.
 */
static int
show(struct cli *c, const PGresult *res, struct buf *body, struct err *err)
{
	struct out *o;

	if (!c->json) {
		fprintf(stderr, "version %s, published %s by %s\n",
		    PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 3),
		    PQgetvalue(res, 0, 4));
		return file_put(NULL, 0, buf_slice(body), err);
	}
	o = out_new(version_cols, OUT_RECORD);
	out_add(o, PQgetvalue(res, 0, 0));
	out_add(o, PQgetvalue(res, 0, 2));
	out_add(o, PQgetvalue(res, 0, 3));
	out_add(o, PQgetvalue(res, 0, 4));
	out_add(o, buf_str(body));
	return cli_print(c, o, err);
}

int
cmd_policy_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *version = args_get(a, "version");
	struct buf body = { 0 };
	int64_t n = 0;
	PGresult *res;
	int rc;

	if (args_num(a, "version", 1, INT64_MAX, &n, err) != 0) {
		c->code = EXIT_USAGE;
		return -1;
	}
	if ((res = get(c, version, err)) == NULL)
		return -1;
	rc = cli_bytea(PQgetvalue(res, 0, 1), &body, err);
	if (rc == 0)
		rc = show(c, res, &body, err);
	PQclear(res);
	buf_free(&body);
	return rc;
}

/* Policies are text; what a terminal must not see is escaped all the same. */
static int
print_diff(struct buf *diff, struct err *err)
{
	char *at = buf_str(diff), *line;
	struct buf safe = { 0 };
	int rc;

	while ((line = strsep(&at, "\n")) != NULL) {
		size_t tab;

		while (line[tab = strcspn(line, "\t")] == '\t') {
			line[tab] = '\0';
			out_plain(&safe, line);
			buf_addc(&safe, '\t');
			line += tab + 1;
		}
		out_plain(&safe, line);
		if (at != NULL)
			buf_addc(&safe, '\n');
	}
	rc = file_put(NULL, 0, buf_slice(&safe), err);
	buf_free(&safe);
	return rc;
}

static const struct out_col diff_cols[] = {
	{ "file", OUT_TEXT }, { "version", OUT_NUMBER },
	{ "differs", OUT_BOOL }, { "diff", OUT_TEXT }, { NULL, OUT_TEXT }
};

static int
show_diff(struct cli *c, const char *file, const char *version,
    struct buf *diff, struct err *err)
{
	struct out *o;

	if (diff->n > 0)
		c->code = EXIT_REFUSED;
	if (!c->json)
		return diff->n == 0 ? 0 : print_diff(diff, err);
	o = out_new(diff_cols, OUT_RECORD);
	out_add(o, file);
	out_add(o, version);
	out_bool(o, diff->n > 0);
	out_add(o, buf_str(diff));
	return cli_print(c, o, err);
}

int
cmd_policy_diff(struct cli *c, const struct args *a, struct err *err)
{
	struct buf old = { 0 }, new = { 0 }, diff = { 0 }, title = { 0 };
	const char *file;
	PGresult *res;
	int rc = -1;

	if ((res = get(c, NULL, err)) == NULL)
		return -1;
	file = a->npos > 0 ? a->pos[0] : c->conf->policy;
	buf_printf(&title, "published version %s", PQgetvalue(res, 0, 0));
	if (cli_bytea(PQgetvalue(res, 0, 1), &old, err) == 0 &&
	    file_read(file, POLICY_MAX, &new, err) == 0 &&
	    diff_unified(buf_slice(&old), buf_slice(&new), buf_str(&title),
	    file, &diff, err) == 0)
		rc = show_diff(c, file, PQgetvalue(res, 0, 0), &diff, err);
	PQclear(res);
	buf_free(&old);
	buf_free(&new);
	buf_free(&diff);
	buf_free(&title);
	return rc;
}
