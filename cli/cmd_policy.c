/*
 * policy check, publish, show, diff, reenroll: from the file an author edits
 * to the row that workers and signers go by.
 */
#include "commands.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff.h"
#include "file.h"
#include "ptext.h"
#include "x509.h"

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

/* What is published: a text, as a row and as a file, and what was before. */
struct edition {
	struct cli	*cli;
	struct slice	 text;
	char		 version[24];
	bool		 in_doubt;	/* COMMIT was sent, its end not known */
	struct buf	 old;		/* the file, if there was one */
	bool		 was;
};

/* Leaves a transaction open. */
static int
write_row(struct edition *e, struct err *err)
{
	struct db_param p = DB_BIN(e->text.p, e->text.n);
	struct db *db = e->cli->db;
	PGresult *res;

	if (db_begin(db, err) != 0)
		return -1;
	if ((res = db_exec(db, "policy_publish", &p, 1, err)) == NULL) {
		db_rollback(db);
		return -1;
	}
	snprintf(e->version, sizeof e->version, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return 0;
}

/*
 * Where the connection was lost nobody saw the end: the same text, published
 * again, is one version, and is asked for behind whoever commits it still.
 */
static int
commit_row(struct edition *e, struct err *err)
{
	struct db *db = e->cli->db;
	struct err why = ERR_INIT;

	if (db_commit(db, &e->in_doubt, &why) == 0)
		return 0;
	if (!e->in_doubt || db_conn(db) != NULL)
		return err_set(err, why.kind, "%s", why.text);
	if (write_row(e, err) != 0)
		return -1;
	return db_commit(db, &e->in_doubt, err);
}

static int
need_path(struct cli *c, struct err *err)
{
	if (cli_conf(c, err) != 0)
		return -1;
	return c->conf->policy != NULL ? 0 : err_set(err, ERR_DENIED,
	    "%.100s: policy is not set", c->conf->path);
}

/* A file that is there and cannot be read is an error, not none. */
static int
keep_old(struct edition *e, struct err *err)
{
	const char *path = e->cli->conf->policy;

	e->was = file_exists(path) || errno != ENOENT;
	return e->was ? file_read(path, POLICY_MAX, &e->old, err) : 0;
}

/* A file that is not what is in force would keep signers from signing. */
static int
take_back(const struct edition *e, const struct err *why, struct err *err)
{
	const char *path = e->cli->conf->policy;
	struct err ignored = ERR_INIT;

	if (e->in_doubt)
		return err_set(err, why->kind, "%.110s: whether it is "
		    "published is not known: publish it again", why->text);
	if ((e->was ? file_put(path, 0644, buf_slice(&e->old), &ignored) :
	    unlink(path)) != 0)
		return err_set(err, why->kind, "%.90s: nothing is published, "
		    "but %.60s is the new text", why->text, path);
	return err_set(err, why->kind, "%.150s: nothing is published",
	    why->text);
}

/*
 * The file and the row change together: the row is written, the file is put
 * in place, then the row is committed and workers and signers are told, who
 * want the two to be the same.
 */
static int
install(struct edition *e, struct err *err)
{
	const char *path = e->cli->conf->policy;
	struct err why = ERR_INIT;
	char *staged = NULL;
	int rc = -1;

	if (keep_old(e, err) != 0 ||
	    file_stage(path, 0644, e->text, &staged, err) != 0)
		return -1;
	if (write_row(e, err) != 0)
		unlink(staged);
	else {
		if (file_commit(staged, path, &why) != 0)
			db_rollback(e->cli->db);
		else
			rc = commit_row(e, &why);
		if (rc != 0)
			rc = take_back(e, &why, err);
	}
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
	return cli_print_done(c, o, "it is published", err);
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

/*
 * The purposes of a CA's certificate limit what it issues: Windows and
 * OpenSSL take it so.
 */
static int
check_purposes(const struct policy *p, const struct policy_ca *ca,
    struct err *err)
{
	X509 *x = x509_read(buf_slice(&ca->cert));
	bool any = X509_get_ext_by_NID(x, NID_ext_key_usage, -1) < 0 ||
	    x509_purpose(x, "2.5.29.37.0");
	const struct template *t;
	size_t i, k;
	int rc = 0;

	for (i = 0; !any && i < p->ntemplates && rc == 0; i++) {
		t = &p->templates[i];
		for (k = 0; k < t->eku.n && template_offered_by(t, ca->name);
		    k++)
			if (!x509_purpose(x, t->eku.v[k]))
				rc = err_set(err, ERR_DENIED, "line %u: "
				    "template %s: eku: %.60s is none of the "
				    "purposes in the certificate of ca %s",
				    t->line, t->cn, t->eku.v[k], ca->name);
	}
	X509_free(x);
	return rc;
}

static int
check_cas(struct cli *c, const struct policy *p, struct err *err)
{
	const struct policy_ca *ca;
	PGresult *res;
	size_t i;
	int rc = 0;

	for (i = 0; i < p->ncas && rc == 0; i++) {
		ca = &p->cas[i];
		if ((res = cli_query(c, "airgap_has", (const char *[]){
		    ca->key }, 1, err)) == NULL)
			return -1;
		if (*PQgetvalue(res, 0, 0) == 't')
			rc = policy_apart(ca, err);
		PQclear(res);
		if (rc == 0)
			rc = check_purposes(p, ca, err);
	}
	return rc;
}

/* A CA that is not there is a mistake in the file, nothing to wait for. */
static int
check_ready(const struct policy *p, struct err *err)
{
	struct err why = ERR_INIT;

	if (policy_ready(p, &why) == 0)
		return 0;
	return err_set(err, ERR_DENIED, "%s: see countersign ca show",
	    why.text);
}

/*
 * Whatever would keep signers from signing, or clients from taking what they
 * sign, is found before anything changes: the linter, versions, a CA without a
 * certificate.
 */
static int
publish(struct cli *c, struct slice text, struct err *err)
{
	struct policy *p = policy_parse_new(text, err);
	struct buf raised = { 0 };
	struct edition e = { .cli = c };
	int rc = -1;

	if (p != NULL && need_path(c, err) == 0 && cli_db(c, err) == 0 &&
	    raise_versions(c, &p, &raised, err) == 0 &&
	    cli_attach(c, p, err) == 0 && check_ready(p, err) == 0 &&
	    check_cas(c, p, err) == 0) {
		e.text = buf_slice(&p->text);
		rc = install(&e, err);
	}
	if (rc == 0)
		rc = print_published(c, p, e.version, &raised, err);
	policy_free(p);
	buf_free(&raised);
	buf_free(&e.old);
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

/* [MS-CRTD] 2.6: a new major version makes clients enroll again. */
int
cmd_policy_reenroll(struct cli *c, const struct args *a, struct err *err)
{
	struct buf text = { 0 }, next = { 0 };
	struct policy *p = NULL;
	const struct template *t;
	int rc = -1;

	if (need_path(c, err) != 0 || cli_db(c, err) != 0 ||
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

/* Status 1 when there is one, as diff(1). */
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

	if ((a->npos == 0 && need_path(c, err) != 0) ||
	    (res = get(c, NULL, err)) == NULL)
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
