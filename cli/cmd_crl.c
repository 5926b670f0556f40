/* Revocation lists: what signers made, and where it is published. */
#include "commands.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "sql.h"

#define WATCH_MS	10000	/* a notification that was missed */

const struct opt opts_crl_publish[] = {
	{ "to", "DIR", "required: the folder, CA.crl and CA.cer in it",
	    false },
	{ "watch", NULL, "stay, and publish each new list at once", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "ca", OUT_TEXT }, { "number", OUT_NUMBER },
	{ "this_update", OUT_TEXT }, { "next_update", OUT_TEXT },
	{ "entries", OUT_NUMBER }, { "bytes", OUT_NUMBER },
	{ "signer", OUT_TEXT }, { "tbs_digest", OUT_JSON_ONLY },
	{ "ended", OUT_BOOL }, { "changed", OUT_BOOL }, { NULL, OUT_TEXT }
};

int
cmd_crl_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *ca = a->npos > 0 ? a->pos[0] : NULL;
	PGresult *res = cli_query(c, "crl_list", &ca, 1, err);
	struct out *o;
	int rc;

	if (res == NULL)
		return -1;
	if (ca != NULL && PQntuples(res) == 0)
		rc = err_set(err, ERR_DENIED,
		    "ca %.64s has no revocation list", ca);
	else {
		o = out_new(cols, OUT_TABLE);
		out_result(o, res);
		rc = cli_print(c, o, err);
	}
	PQclear(res);
	return rc;
}

/* All parts of a list; the folder is served, so everybody may read it. */
static int
publish_list(struct cli *c, const char *dir, const char *ca,
    const char *number, struct err *err)
{
	struct db_param p[2] = { DB_TEXT(ca), DB_TEXT(number) };
	PGresult *res = db_exec_bin(c->db, "crl_parts", p, 2, err);
	struct buf b = { 0 };
	char *path;
	int row, rc;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		buf_add(&b, PQgetvalue(res, row, 0),
		    (size_t)PQgetlength(res, row, 0));
	PQclear(res);
	path = file_path(dir, ca, ".crl");
	/* None: a newer one has replaced it meanwhile. */
	rc = b.n == 0 ? err_set(err, ERR_UNAVAILABLE,
	    "crl %s of ca %s is gone", number, ca) :
	    file_put(path, 0644, buf_slice(&b), err);
	free(path);
	buf_free(&b);
	return rc;
}

static int
publish_cert(const char *dir, const char *name, const char *bytea,
    struct err *err)
{
	struct buf der = { 0 };
	char *path = file_path(dir, name, ".cer");
	int rc = cli_bytea(bytea, &der, err);

	if (rc == 0)
		rc = file_put(path, 0644, buf_slice(&der), err);
	free(path);
	buf_free(&der);
	return rc;
}

/* The CA's certificate and its root, by the names the landing page uses. */
static int
publish_certs(struct cli *c, const char *dir, const char *ca, struct err *err)
{
	PGresult *res = cli_query(c, "ca_chain", &ca, 1, err);
	struct buf name = { 0 };
	int n, rc = res == NULL ? -1 : 0;

	n = rc == 0 ? PQntuples(res) : 0;
	if (n > 0)
		rc = publish_cert(dir, ca, PQgetvalue(res, 0, 0), err);
	if (rc == 0 && n > 1) {
		buf_printf(&name, "%s-root", ca);
		rc = publish_cert(dir, buf_str(&name),
		    PQgetvalue(res, n - 1, 0), err);
	}
	PQclear(res);
	buf_free(&name);
	return rc;
}

/* Every CA whose list is not the one in seen ("CA number" each). */
static int
publish_all(struct cli *c, const char *dir, struct strlist *seen,
    struct err *err)
{
	const char *any = NULL, *ca, *number;
	struct buf key = { 0 };
	PGresult *res = cli_query(c, "crl_list", &any, 1, err);
	int row, rc = res == NULL ? -1 : 0;

	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		ca = PQgetvalue(res, row, 0);
		number = PQgetvalue(res, row, 1);
		buf_reset(&key);
		buf_printf(&key, "%s %s", ca, number);
		if (strlist_has(seen, buf_str(&key)))
			continue;
		if ((rc = publish_certs(c, dir, ca, err)) != 0 ||
		    (rc = publish_list(c, dir, ca, number, err)) != 0)
			break;
		printf("%s/%s.crl: number %s\n", dir, ca, number);
		fflush(stdout);
		seen->v = xreallocarray(seen->v, seen->n + 1,
		    sizeof *seen->v);
		seen->v[seen->n++] = xstrdup(buf_str(&key));
	}
	PQclear(res);
	buf_free(&key);
	return rc;
}

static void
wait_for_news(struct cli *c)
{
	struct pollfd p = { .events = POLLIN };
	struct err ignored = ERR_INIT;

	/* What was notified before is read here, and publishes once more. */
	if (db_changed(c->db, &ignored) == 1)
		return;
	if (ignored.kind != ERR_NONE) {
		sleep(1);
		return;
	}
	p.fd = PQsocket(db_conn(c->db));
	(void)poll(&p, 1, WATCH_MS);
}

/* Lists come every some days, or when something is revoked: keep the last. */
static void
forget(struct strlist *seen)
{
	if (seen->n < 1000)
		return;
	strlist_free(seen);
	memset(seen, 0, sizeof *seen);
}

static int
watch(struct cli *c, const char *dir, struct err *err)
{
	struct strlist seen = { 0 };
	struct err e;

	if (cli_conf(c, err) != 0)
		return -1;
	db_close(c->db);
	c->db = db_open(c->conf->database, cli_sql, "countersign_published");
	for (;;) {
		memset(&e, 0, sizeof e);
		if (publish_all(c, dir, &seen, &e) != 0)
			log_note("publish", "%s", e.text);
		forget(&seen);
		wait_for_news(c);
	}
}

int
cmd_crl_publish(struct cli *c, const struct args *a, struct err *err)
{
	struct strlist seen = { 0 };
	const char *dir = args_get(a, "to");
	int rc;

	if (dir == NULL)
		return cli_usage(c, err, "--to is required");
	if (args_has(a, "watch"))
		return watch(c, dir, err);
	rc = publish_all(c, dir, &seen, err);
	if (rc == 0 && seen.n == 0)
		rc = err_set(err, ERR_UNAVAILABLE,
		    "no signer has made a revocation list yet");
	strlist_free(&seen);
	return rc;
}
