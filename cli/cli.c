/*
 * What every command may need: configuration, database, policy in force,
 * printing, times.  Loaded when it is first asked for.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "camake.h"
#include "sql.h"
#include "x509.h"

#define COMMIT_MS	30000

int
cli_conf(struct cli *c, struct err *err)
{
	if (c->conf == NULL && access(c->conf_path, F_OK) != 0 &&
	    errno == ENOENT)
		return err_set(err, ERR_DENIED, "%s: %s; -c names another "
		    "configuration, \"countersign init\" makes one",
		    c->conf_path, strerror(errno));
	if (c->conf == NULL)
		c->conf = cconf_load(c->conf_path, err);
	return c->conf == NULL ? -1 : 0;
}

/*
 * The user of the session that somebody logged on to, whatever he became since
 * (pam_loginuid), or -1.
 */
static uid_t
login_uid(void)
{
	char text[16] = "";
	FILE *f = fopen("/proc/self/loginuid", "re");
	bool good = f != NULL && fgets(text, sizeof text, f) != NULL;

	if (f != NULL)
		fclose(f);
	return good ? (uid_t)strtoul(text, NULL, 10) : (uid_t)-1;
}

void
cli_operator(char out[CLI_OPERATOR])
{
	uid_t uid = login_uid();
	const char *s = getenv("SUDO_USER");
	const struct passwd *pw;
	size_t n = 0;

	if (uid != (uid_t)-1 || s == NULL) {
		uid = uid != (uid_t)-1 ? uid : getuid();
		pw = getpwuid(uid);
		s = pw != NULL ? pw->pw_name : "";
	}
	for (; *s != '\0' && n < CLI_OPERATOR - 1; s++)
		if (isalnum((unsigned char)*s) || strchr("._-@", *s) != NULL)
			out[n++] = *s;
	out[n] = '\0';
	if (n == 0)
		snprintf(out, CLI_OPERATOR, "%u", (unsigned)uid);
}

/* For audit: sql/195_claims.sql. */
static int
claim(struct cli *c, struct err *err)
{
	char name[CLI_OPERATOR];
	PGresult *res;

	cli_operator(name);
	res = db_exec(c->db, "claim", &DB_TEXT(name), 1, err);
	PQclear(res);
	return res == NULL ? -1 : 0;
}

/*
 * Programs give a silent server up; people wait for what takes long, or press
 * Ctrl-C.  A COMMIT takes long only where no standby is left: at a former
 * primary for ever.
 */
int
cli_db(struct cli *c, struct err *err)
{
	if (cli_conf(c, err) != 0)
		return -1;
	if (c->db == NULL) {
		c->db = db_open(c->conf->database, cli_sql, NULL);
		db_patience(c->db, 0, COMMIT_MS);
		return db_ready(c->db, err) != 0 ? -1 : claim(c, err);
	}
	return db_ready(c->db, err);
}

void
cli_free(struct cli *c)
{
	db_close(c->db);
	cconf_free(c->conf);
}

int
cli_usage(struct cli *c, struct err *err, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->code = EXIT_USAGE;
	return err_set(err, ERR_MALFORMED, "%s", text);
}

int
cli_account(struct cli *c, const char *typed, char out[129],
    struct err *err)
{
	if (account_canonical(typed, out, err) == 0)
		return 0;
	c->code = EXIT_USAGE;
	return -1;
}

int
cli_ca_name(struct cli *c, const char *typed, struct err *err)
{
	if (ca_name_check(typed, err) == 0)
		return 0;
	c->code = EXIT_USAGE;
	return -1;
}

int
cli_print(struct cli *c, struct out *o, struct err *err)
{
	if (out_print(o, c->json, stdout) != 0)
		return err_set(err, ERR_INTERNAL, "standard output: write");
	return 0;
}

int
cli_print_done(struct cli *c, struct out *o, const char *done,
    struct err *err)
{
	if (out_print(o, c->json, stdout) != 0)
		return err_set(err, ERR_INTERNAL, "standard output: write; "
		    "%s", done);
	return 0;
}

int
cli_rows(struct cli *c, PGresult *res, const struct out_col *cols,
    enum out_form form, struct err *err)
{
	struct out *o;

	if (res == NULL)
		return -1;
	o = out_new(cols, form);
	out_result(o, res);
	PQclear(res);
	return cli_print(c, o, err);
}

int
cli_outcome(struct cli *c, const char *name, const char *outcome,
    struct err *err)
{
	static const struct out_col cols[] = {
		{ "name", OUT_TEXT }, { "outcome", OUT_TEXT },
		{ NULL, OUT_TEXT }
	};
	struct out *o;

	if (!c->json)
		return 0;
	o = out_new(cols, OUT_TABLE);
	out_add(o, name);
	out_add(o, outcome);
	return cli_print_done(c, o, "what was asked for is done", err);
}

int
cli_tell(struct cli *c, const char *name, const char *outcome,
    struct err *err)
{
	if (!c->json)
		printf("%s: %s\n", name, outcome);
	return cli_outcome(c, name, outcome, err);
}

int
cli_written(struct cli *c, const char *path, struct err *err)
{
	if (path == NULL || strcmp(path, "-") == 0)
		return 0;
	return cli_outcome(c, path, "written", err);
}

int
cli_export(struct cli *c, const struct certs *certs, const struct args *a,
    struct err *err)
{
	const char *path = args_get(a, "o");

	if (certs_write(certs, args_get(a, "format"), path, err) == 0)
		return cli_written(c, path, err);
	if (err->kind == ERR_MALFORMED)
		c->code = EXIT_USAGE;
	return -1;
}

/*
 * Alone it is a transaction of its own, whose COMMIT is asked whether it is
 * durable (common/db.h): "revoked" is said when no failover can take it back.
 */
PGresult *
cli_query(struct cli *c, const char *stmt, const char *const *v, int n,
    struct err *err)
{
	struct db_param p[16];
	PGresult *res;
	bool alone, in_doubt;
	int i;

	if (n > 16 || cli_db(c, err) != 0)
		return NULL;
	for (i = 0; i < n; i++)
		p[i] = DB_TEXT(v[i]);
	alone = !db_in_transaction(c->db);
	if (alone && db_begin(c->db, err) != 0)
		return NULL;
	res = db_exec(c->db, stmt, p, n, err);
	if (!alone)
		return res;
	if (res != NULL && db_commit(c->db, &in_doubt, err) == 0)
		return res;
	PQclear(res);
	db_rollback(c->db);
	return NULL;
}

int
cli_bytea(const char *text, struct buf *b, struct err *err)
{
	size_t n = strlen(text);
	uint8_t *p;
	int rc;

	if (n < 2 || n % 2 != 0 || text[0] != '\\' || text[1] != 'x')
		return err_set(err, ERR_INTERNAL, "bytea not in hex form");
	n = (n - 2) / 2;
	p = xcalloc(n + 1, 1);
	if ((rc = hex_decode(text + 2, p, n)) == 0)
		buf_add(b, p, n);
	else
		err_set(err, ERR_INTERNAL, "bytea not in hex form");
	free(p);
	return rc;
}

/* PostgreSQL's text form, everything in quotes: no value ends it. */
void
cli_array(const struct strlist *list, struct buf *b)
{
	const char *s;
	size_t i;

	buf_addc(b, '{');
	for (i = 0; i < list->n; i++) {
		buf_puts(b, i == 0 ? "\"" : ",\"");
		for (s = list->v[i]; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				buf_addc(b, '\\');
			buf_addc(b, (uint8_t)*s);
		}
		buf_addc(b, '"');
	}
	buf_addc(b, '}');
}

int
cli_time(const char *text, int64_t *out, struct err *err)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ",
	    "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
	    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M" };
	struct err why = ERR_INIT;
	const char *end;
	struct tm tm;
	int64_t at, ago;
	size_t i;
	int day;

	for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		memset(&tm, 0, sizeof tm);
		end = strptime(text, forms[i], &tm);
		day = tm.tm_mday;
		at = timegm(&tm);
		/* Of 30 February it makes 2 March. */
		if (end != NULL && *end == '\0' && tm.tm_mday == day) {
			*out = at;
			return 0;
		}
	}
	if (conf_duration(text, &ago, &why) != 0)
		return err_set(err, ERR_MALFORMED,
		    "neither a time (UTC) nor a duration: %.40s", text);
	*out = time(NULL) - ago;
	return 0;
}

bool
cli_has_ended(const char *bytea)
{
	struct err ignored = ERR_INIT;
	struct buf der = { 0 };
	X509 *x = NULL;
	bool ended;

	if (cli_bytea(bytea, &der, &ignored) == 0)
		x = x509_read(buf_slice(&der));
	ended = x != NULL && cert_unix(X509_get0_notAfter(x)) <= time(NULL);
	X509_free(x);
	buf_free(&der);
	return ended;
}

int
cli_chain(struct cli *c, const char *ca, struct certs *certs, struct err *err)
{
	PGresult *res = cli_query(c, "ca_chain", &ca, 1, err);
	struct buf der = { 0 };
	int row, rc = res == NULL ? -1 : 0;

	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		buf_reset(&der);
		rc = cli_bytea(PQgetvalue(res, row, 0), &der, err);
		if (rc == 0)
			rc = certs_add(certs, buf_slice(&der), err);
	}
	PQclear(res);
	buf_free(&der);
	return rc;
}

/*
 * As workers and signers do it (common/snapshot.c): a key of a CA that the
 * policy does not offer is no error.
 */
static int
attach_key(struct policy *p, const PGresult *res, int row, struct err *err)
{
	struct ca_key key = { .name = PQgetvalue(res, row, 0),
	    .ca = PQgetvalue(res, row, 2),
	    .in_use = *PQgetvalue(res, row, 3) == 't' };
	struct buf der = { 0 };
	int rc = 0;

	if (policy_ca_find(p, key.ca) != NULL &&
	    (rc = cli_bytea(PQgetvalue(res, row, 1), &der, err)) == 0) {
		key.cert = buf_slice(&der);
		rc = policy_attach_key(p, &key, err);
	}
	buf_free(&der);
	return rc;
}

int
cli_attach(struct cli *c, struct policy *p, struct err *err)
{
	PGresult *res;
	int row, rc = 0;

	if ((res = cli_query(c, "policy_id", NULL, 0, err)) == NULL)
		return -1;
	if (PQntuples(res) == 1)
		snprintf(p->id, sizeof p->id, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	if ((res = cli_query(c, "ca_all", NULL, 0, err)) == NULL)
		return -1;
	for (row = 0; row < PQntuples(res) && rc == 0; row++)
		rc = attach_key(p, res, row, err);
	PQclear(res);
	return rc;
}

struct policy *
cli_policy(struct cli *c, struct err *err)
{
	struct policy *p = NULL;
	struct buf text = { 0 };
	PGresult *res;

	if ((res = cli_query(c, "policy_last", NULL, 0, err)) == NULL)
		return NULL;
	if (PQntuples(res) == 0)
		err_set(err, ERR_DENIED, "no policy has been published");
	else if (cli_bytea(PQgetvalue(res, 0, 1), &text, err) == 0 &&
	    (p = policy_parse(buf_slice(&text), err)) != NULL) {
		p->version = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
		p->published = strtoll(PQgetvalue(res, 0, 5), NULL, 10);
		if (cli_attach(c, p, err) != 0 ||
		    policy_ready(p, err) != 0) {
			policy_free(p);
			p = NULL;
		}
	}
	PQclear(res);
	buf_free(&text);
	return p;
}
