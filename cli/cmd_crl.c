/*
 * crl show, crl publish: revocation lists that signers made
 * (signer/crlmake.c), brought to where clients look.
 */
#include "commands.h"
#include "camake.h"
#include "crlmetrics.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "publish.h"
#include "sql.h"

#define WATCH_MS	10000	/* a notification that was missed */
#define SEEN_MAX	1000	/* lists of some days */

const struct opt opts_crl_publish[] = {
	{ "to", "WHERE", "required: a folder (CA.crl and CA.cer in it), "
	    "an ldaps://, ldap:// or ldapi:// url, or FILE.ldif", false },
	{ "bind", "DN", "directory: who we are; ldapi:// also knows without",
	    false },
	{ "password-file", "FILE", "directory: the password of --bind",
	    false },
	{ "tls-ca", "FILE", "directory: whom to trust (default: the "
	    "system's)", false },
	{ "base", "DN", "FILE.ldif: below which the entries are", false },
	{ "watch", NULL, "stay, and publish each new list at once", false },
	{ "metrics", "FILE", "with --watch: age and end of the lists for "
	    "Prometheus, each minute", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "ca", OUT_TEXT }, { "number", OUT_NUMBER },
	{ "this_update", OUT_TEXT }, { "next_update", OUT_TEXT },
	{ "entries", OUT_NUMBER }, { "bytes", OUT_NUMBER },
	{ "signer", OUT_TEXT }, { "tbs_digest", OUT_JSON_ONLY },
	{ "ended", OUT_BOOL }, { "changed", OUT_BOOL },
	{ "delta_of", OUT_NUMBER }, { NULL, OUT_TEXT }
};

int
cmd_crl_show(struct cli *c, const struct args *a, struct err *err)
{
	const char *ca = a->npos > 0 ? a->pos[0] : NULL;
	PGresult *res = cli_query(c, "crl_list", &ca, 1, err);
	PGresult *above = res == NULL ? NULL :
	    cli_query(c, "crl_above", &ca, 1, err);
	struct out *o;
	int rc = -1;

	if (above != NULL && ca != NULL && PQntuples(res) == 0 &&
	    PQntuples(above) == 0)
		err_set(err, ERR_DENIED, "ca %.64s has no revocation list",
		    ca);
	else if (above != NULL) {
		o = out_new(cols, OUT_TABLE);
		out_result(o, res);
		out_result(o, above);
		rc = cli_print(c, o, err);
	}
	PQclear(res);
	PQclear(above);
	return rc;
}

static const struct out_col published_cols[] = {
	{ "to", OUT_TEXT }, { "ca", OUT_TEXT }, { "number", OUT_NUMBER },
	{ "delta", OUT_BOOL }, { NULL, OUT_TEXT }
};

struct publication {
	struct cli	*c;
	const char	*to;
	struct out	*out;		/* for programs; NULL: people */
	struct publisher *publisher;
	struct strlist	 seen;		/* "CA number certificate" each */
	struct crlmetrics *metrics;	/* or NULL */
};

/* What is to be published; columns of crl_to_publish, lent. */
struct list {
	const char	*ca, *number;
	bool		 ours, delta;
};

/* What can be read may not be on the standby yet: see sql/131_published.sql. */
static int
make_durable(struct cli *c, const char *ca, const char *number,
    struct err *err)
{
	PGresult *res = cli_query(c, "crl_publishing",
	    (const char *[]){ ca, number }, 2, err);

	PQclear(res);
	return res == NULL ? -1 : 0;
}

/* All parts of a list. */
static int
read_parts(struct cli *c, const struct list *l, struct buf *out,
    struct err *err)
{
	struct db_param p[2] = { DB_TEXT(l->ca), DB_TEXT(l->number) };
	PGresult *res = db_exec_bin(c->db, "crl_parts", p, 2, err);
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		buf_add(out, PQgetvalue(res, row, 0),
		    (size_t)PQgetlength(res, row, 0));
	PQclear(res);
	/* None: a newer one has replaced it meanwhile. */
	return out->n > 0 ? 0 : err_set(err, ERR_UNAVAILABLE,
	    "crl %s of ca %s is gone", l->number, l->ca);
}

/* The certificate of its key and that of the root. */
static int
read_chain(struct cli *c, const char *ca, struct buf *cert, struct buf *root,
    struct err *err)
{
	PGresult *res = cli_query(c, "ca_chain", &ca, 1, err);
	int n, rc = res == NULL ? -1 : 0;

	n = rc == 0 ? PQntuples(res) : 0;
	if (n > 0)
		rc = cli_bytea(PQgetvalue(res, 0, 0), cert, err);
	if (rc == 0 && n > 1)
		rc = cli_bytea(PQgetvalue(res, n - 1, 0), root, err);
	PQclear(res);
	return rc;
}

static int
read_above(struct cli *c, const char *name, struct buf *list,
    struct buf *cert, struct err *err)
{
	PGresult *res = cli_query(c, "crl_above_files", &name, 1, err);
	int rc = -1;

	if (res != NULL && PQntuples(res) == 1 &&
	    cli_bytea(PQgetvalue(res, 0, 0), list, err) == 0)
		rc = cli_bytea(PQgetvalue(res, 0, 1), cert, err);
	PQclear(res);
	return rc;
}

static int
publish(struct publication *p, const struct list *l, struct err *err)
{
	struct publish_item item = { .name = l->ca, .number = l->number };
	struct buf list = { 0 }, cert = { 0 }, root = { 0 };
	int rc;

	if (!l->ours)
		rc = read_above(p->c, l->ca, &list, &cert, err);
	else if ((rc = read_chain(p->c, l->ca, &cert, &root, err)) == 0)
		rc = read_parts(p->c, l, &list, err);
	item.kind = !l->ours ? PUBLISH_ABOVE : l->delta ? PUBLISH_DELTA :
	    PUBLISH_COMPLETE;
	item.list = buf_slice(&list);
	item.cert = buf_slice(&cert);
	item.root = buf_slice(&root);
	/* Those from above were looked at when they were installed. */
	if (rc == 0 && l->ours &&
	    (rc = publish_is_itself(&item, err)) == 0)
		rc = make_durable(p->c, l->ca, l->number, err);
	if (rc == 0)
		rc = p->publisher->type->put(p->publisher, &item, err);
	buf_free(&list);
	buf_free(&cert);
	buf_free(&root);
	return rc;
}

/*
 * It becomes the name of a file, or a part of one of an entry: whoever can
 * write to the database must not choose where that lies.
 */
static bool
is_good_name(const char *name)
{
	struct err err = ERR_INIT;

	if (ca_name_check(name, &err) == 0)
		return true;
	log_note("publish", "%s", err.text);
	return false;
}

static void
tell(struct publication *p, const struct list *l)
{
	if (p->out == NULL) {
		printf("%s: %s%s: number %s\n", p->to, l->ca,
		    l->delta ? ", delta" : "", l->number);
		fflush(stdout);
		return;
	}
	out_add(p->out, p->to);
	out_add(p->out, l->ca);
	out_add(p->out, l->number);
	out_bool(p->out, l->delta);
}

/*
 * Whatever has changed since it was last seen.  What may not take the place of
 * what is out keeps no other from being published.
 */
static int
publish_all(struct publication *p, struct err *err)
{
	struct err why;
	PGresult *res = cli_query(p->c, "crl_to_publish", NULL, 0, err);
	int row, failed = 0, rc = res == NULL ? -1 : 0;
	struct list l;
	struct buf key = { 0 };

	for (row = 0; rc == 0 && row < PQntuples(res); row++) {
		l.ca = PQgetvalue(res, row, 0);
		l.number = PQgetvalue(res, row, 1);
		l.ours = *PQgetvalue(res, row, 3) == 't';
		l.delta = *PQgetvalue(res, row, 4) == 't';
		buf_reset(&key);
		buf_printf(&key, "%s %s %s", l.ca, l.number,
		    PQgetvalue(res, row, 2));
		if (strlist_has(&p->seen, buf_str(&key)) ||
		    !is_good_name(l.ca))
			continue;
		memset(&why, 0, sizeof why);
		if (publish(p, &l, &why) != 0) {
			failed = err_set(err, why.kind, "%s", why.text);
			if (why.kind == ERR_DENIED)
				continue;
			break;
		}
		tell(p, &l);
		/* A failure is tried again with the next news. */
		strlist_add(&p->seen, buf_str(&key));
	}
	PQclear(res);
	buf_free(&key);
	return rc != 0 || failed != 0 ? -1 :
	    p->publisher->type->flush(p->publisher, err);
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

/* Until a signal ends the process: failures are logged, never the end. */
static int
watch(struct publication *p, struct err *err)
{
	struct cli *c = p->c;
	struct err e;

	if (cli_conf(c, err) != 0)
		return -1;
	db_close(c->db);
	c->db = db_open(c->conf->database, cli_sql, "countersign_published");
	for (;;) {
		memset(&e, 0, sizeof e);
		if (publish_all(p, &e) != 0)
			log_note("publish", "%s", e.text);
		else if (crlmetrics_write(p->metrics, c, &e) != 0)
			log_note("metrics", "%s", e.text);
		if (p->seen.n >= SEEN_MAX)
			strlist_free(&p->seen);
		wait_for_news(c);
	}
}

static int
once(struct publication *p, struct err *err)
{
	int rc;

	if (p->c->json)
		p->out = out_new(published_cols, OUT_TABLE);
	rc = publish_all(p, err);
	if (rc == 0 && p->seen.n == 0)
		rc = err_set(err, ERR_UNAVAILABLE,
		    "no signer has made a revocation list yet");
	if (rc == 0 && p->out != NULL)
		return cli_print(p->c, p->out, err);
	out_free(p->out);
	return rc;
}

static struct publisher *
open_publisher(const struct args *a, struct err *err)
{
	const struct publish_options o = {
		.to = args_get(a, "to"), .base = args_get(a, "base"),
		.bind = args_get(a, "bind"),
		.password = args_get(a, "password-file"),
		.ca_file = args_get(a, "tls-ca")
	};

	if (publish_is_ldap(o.to))
		return publish_ldap(&o, err);
	return publish_is_ldif(o.to) ? publish_ldif(&o, err) :
	    publish_folder(&o, err);
}

int
cmd_crl_publish(struct cli *c, const struct args *a, struct err *err)
{
	struct publication p = { .c = c, .to = args_get(a, "to") };
	int rc;

	if (p.to == NULL)
		return cli_usage(c, err, "--to is required");
	if (args_has(a, "metrics") && !args_has(a, "watch"))
		return cli_usage(c, err, "--metrics needs --watch");
	if (args_has(a, "watch") && c->json)
		return cli_usage(c, err, "--watch prints lines without an "
		    "end, not --json");
	if (args_has(a, "watch") && publish_is_ldif(p.to))
		return cli_usage(c, err, "--watch is for folders and "
		    "directories: a file of changes is written once");
	if ((p.publisher = open_publisher(a, err)) == NULL) {
		if (err->kind == ERR_MALFORMED)
			c->code = EXIT_USAGE;
		return -1;
	}
	if (args_has(a, "metrics"))
		p.metrics = crlmetrics_new(args_get(a, "metrics"), p.to);
	rc = args_has(a, "watch") ? watch(&p, err) : once(&p, err);
	p.publisher->type->free(p.publisher);
	crlmetrics_free(p.metrics);
	strlist_free(&p.seen);
	return rc;
}
