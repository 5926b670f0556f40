/*
 * reconcile: after a database was restored from an old backup, put back what
 * the ledgers know and it does not.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lastword.h"
#include "restore.h"

#define SHOWN	1000		/* rows of the table; the counts are exact */

const struct opt opts_reconcile[] = {
	{ "apply", NULL, "put it back; without: only tell what is missing",
	    false },
	{ "without", "SIGNER", "go on without this signer's ledger: what only "
	    "it knows stays lost", true },
	{ "heads", "FILE", "signed heads that were kept elsewhere", true },
	{ "trust-unsigned-tail", NULL, "believe also what stands behind a "
	    "ledger's last signed head", false },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "what", OUT_TEXT }, { "count", OUT_NUMBER }, { "text", OUT_TEXT },
	{ NULL, OUT_TEXT }
};

struct reconcile {
	struct cli	*cli;
	struct out	*out;
	struct progress	 progress;
	struct strlist	 dirs, heads, without;
	bool		 trusts;	/* what no head vouches for */
	uint64_t	 missing, damages;
	char		 damage[160];	/* the first */
};

static void
line(struct reconcile *r, const char *what, int64_t count, const char *text)
{
	out_add(r->out, what);
	if (count >= 0)
		out_num(r->out, count);
	else
		out_add(r->out, NULL);
	out_add(r->out, text);
}

/* What is missing can be put back; of damages the first is told. */
static void
finding(void *arg, const char *check, const char *object, const char *text)
{
	struct reconcile *r = arg;

	if (strcmp(check, COMPARE_MISSING) == 0) {
		if (r->missing++ < SHOWN)
			line(r, object, -1, text);
	} else if (r->damages++ == 0)
		snprintf(r->damage, sizeof r->damage, "%s: %s: %s", check,
		    object != NULL ? object : "", text);
}

/* The ledger of every signer, or the operator's word that it is gone. */
static int
check_complete(struct reconcile *r, const struct chronicle *c,
    struct err *err)
{
	PGresult *res = cli_query(r->cli, "signer_names", NULL, 0, err);
	const char *name;
	int row, rc = 0;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res) && rc == 0; row++) {
		name = PQgetvalue(res, row, 0);
		if (!chronicle_has_signer(c, name) &&
		    !strlist_has(&r->without, name))
			rc = err_set(err, ERR_DENIED, "the ledger of signer "
			    "%s is not here: copy its folder and name it, or "
			    "--without %s", name, name);
	}
	PQclear(res);
	return rc;
}

/* Signers that go on while rows are put back would be judged by half of it. */
static int
check_quiet(struct reconcile *r, struct err *err)
{
	PGresult *res = cli_query(r->cli, "reconcile_quiet", NULL, 0, err);
	int rc = 0;

	if (res == NULL)
		return -1;
	if (*PQgetvalue(res, 0, 0) != 't')
		rc = err_set(err, ERR_DENIED, "signers are at work, and none "
		    "of them found the database to be old: stop them first");
	PQclear(res);
	return rc;
}

/* As ledger verify does it; NULL when it is no old backup's work. */
static struct chronicle *
compare(struct reconcile *r, struct compare *m, struct headset *set,
    struct err *err)
{
	struct chr_sink sink = { finding, r };
	size_t i;
	int rc = 0;

	for (i = 0; i < r->heads.n && rc == 0; i++)
		rc = headset_file(set, r->heads.v[i], &sink, err);
	m->cli = r->cli;
	m->c = chronicle_new(&r->dirs, set, sink);
	m->progress = m->c->progress = &r->progress;
	if (rc == 0 && (rc = compare_begin(m, err)) == 0) {
		rc = compare_all(m, err);
		progress_end(&r->progress);
		db_rollback(r->cli->db);
	}
	if (rc == 0 && r->damages > 0)
		rc = err_set(err, ERR_DENIED, "%" PRIu64 " damages that no "
		    "backup explains, the first: %.120s; see ledger verify",
		    r->damages, r->damage);
	if (rc == 0)
		rc = check_complete(r, m->c, err);
	if (rc == 0)
		return m->c;
	chronicle_free(m->c);
	return NULL;
}

/* ALTER TABLE cannot be prepared.  The triggers guard against operators. */
static int
triggers(struct db *db, bool on, struct err *err)
{
	static const char *const sql[] = {
		"ALTER TABLE countersign.request DISABLE TRIGGER "
		"decide_pending, DISABLE TRIGGER rollback_fence; "
		"ALTER TABLE countersign.crl DISABLE TRIGGER "
		"crl_check; ALTER TABLE countersign.airgap_round DISABLE "
		"TRIGGER keep_round; ALTER TABLE countersign.audit "
		"DISABLE TRIGGER keep",
		"ALTER TABLE countersign.request ENABLE TRIGGER "
		"decide_pending, ENABLE TRIGGER rollback_fence; "
		"ALTER TABLE countersign.crl ENABLE TRIGGER "
		"crl_check; ALTER TABLE countersign.airgap_round ENABLE "
		"TRIGGER keep_round; ALTER TABLE countersign.audit "
		"ENABLE TRIGGER keep"
	};
	PGresult *res = PQexec(db_conn(db), sql[on]);
	bool good = PQresultStatus(res) == PGRES_COMMAND_OK;

	if (!good)
		err_set(err, ERR_DENIED, "as the owner: %.140s",
		    PQresultErrorMessage(res));
	PQclear(res);
	return good ? 0 : -1;
}

/* Of accounts and keys each: somebody has to know what to do again. */
static void
tell_words(struct reconcile *r, const PGresult *res)
{
	const struct lastword *w;
	struct buf object = { 0 };
	char text[800];
	int row;

	for (row = 0; row < PQntuples(res); row++) {
		if ((w = lastword_of(res, row)) == NULL)
			continue;
		buf_reset(&object);
		buf_printf(&object, "%s %s", w->what,
		    PQgetvalue(res, row, LASTWORD_OBJECT));
		lastword_text(res, row, w->done, text, sizeof text);
		line(r, buf_str(&object), -1, text);
	}
	buf_free(&object);
}

/* Such as what this database has decided otherwise: nothing is missing. */
static int
tell_open(struct reconcile *r, struct err *err)
{
	PGresult *res = cli_query(r->cli, "rollback_open", NULL, 0, err);
	struct buf text = { 0 };
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++) {
		buf_reset(&text);
		buf_printf(&text, "%s found that %s: signers go on with "
		    "--apply", PQgetvalue(res, row, 0),
		    PQgetvalue(res, row, 1));
		line(r, "stopped", 1, buf_str(&text));
	}
	buf_free(&text);
	PQclear(res);
	return 0;
}

static void
summary(struct reconcile *r, const struct chronicle *c,
    const struct restored *d, bool applied)
{
	const struct chr_ledger *l;
	const struct {
		const char	*what;
		uint64_t	 n;
	} counts[] = {
		{ "requests", d->requests }, { "decisions", d->decisions },
		{ "certificates", d->certificates },
		{ "void serials", d->voids },
		{ "revocations and releases", d->revocations },
		{ "lists", d->lists },
		{ "certificates that are void now", d->lost },
		{ "rounds over an air gap", d->rounds },
		{ "audit rows", d->audit },
	};
	size_t i;

	if (applied)
		tell_words(r, d->words);
	line(r, "missing", (int64_t)r->missing, r->missing == 0 ?
	    "the database has everything" : applied ? "put back" :
	    "put it back with --apply");
	for (i = 0; i < c->nledger && r->missing > 0; i++) {
		l = &c->ledger[i];
		if (l->signer != NULL && l->entries > l->signed_to)
			line(r, "unsigned tail", (int64_t)(l->entries -
			    l->signed_to), l->signer);
	}
	for (i = 0; applied && i < sizeof counts / sizeof counts[0]; i++)
		line(r, counts[i].what, (int64_t)counts[i].n, "put back");
	if (applied)
		line(r, "accounts and keys", PQntuples(d->words),
		    "made the stricter of what they are and what audit said");
}

/* Signers, who obey the open row, go on when this is committed. */
static int
end_rollback(struct db *db, const struct restored *d, struct err *err)
{
	struct buf text = { 0 };
	struct db_param p[1];
	PGresult *res;

	buf_printf(&text, "%" PRIu64 " requests, %" PRIu64 " certificates, "
	    "%" PRIu64 " revocations", d->requests, d->certificates,
	    d->revocations);
	p[0] = DB_TEXT(buf_str(&text));
	res = db_exec(db, "end", p, 1, err);
	PQclear(res);
	buf_free(&text);
	return res == NULL ? -1 : 0;
}

/*
 * Whose certificate it was and of which template stands in the ledger alone:
 * who can write behind its last head could give a certificate to somebody
 * else, whom a renewal would then believe.
 */
static int
check_vouched(const struct reconcile *r, const struct restored *d,
    struct err *err)
{
	if (d->unvouched == 0 || r->trusts)
		return 0;
	return err_set(err, ERR_DENIED, "ledger of %.63s: %" PRIu64 " entries "
	    "to be put back stand behind the last signed head; a signer "
	    "signs one when it is stopped, or --trust-unsigned-tail",
	    d->unvouched_in, d->unvouched);
}

/*
 * All of it in one transaction of the owner's, its triggers off: either the
 * database has everything again, or it is as old as before.
 */
static int
apply(struct reconcile *r, struct chronicle *c, struct restored *d,
    struct err *err)
{
	const char *dsn = r->cli->conf->admin_database;
	struct db *db;
	bool in_doubt;
	int rc = -1;

	if (dsn == NULL)
		return err_set(err, ERR_DENIED,
		    "%.100s: admin-database is not set", r->cli->conf->path);
	if (check_quiet(r, err) != 0)
		return -1;
	db = db_open(dsn, restore_sql, NULL);
	if (db_ready(db, err) == 0 && db_begin(db, err) == 0) {
		if (triggers(db, false, err) == 0 &&
		    restore_all(db, c, d, err) == 0 &&
		    restore_rounds(db, c, d, err) == 0 &&
		    restore_accounts(db, d, err) == 0 &&
		    check_vouched(r, d, err) == 0 &&
		    end_rollback(db, d, err) == 0 &&
		    triggers(db, true, err) == 0)
			rc = db_commit(db, &in_doubt, err);
		if (rc != 0)
			db_rollback(db);
	}
	progress_end(&r->progress);
	db_close(db);
	return rc;
}

static int
reconcile(struct reconcile *r, bool do_it, struct err *err)
{
	struct headset *set = headset_new(r->cli->conf);
	struct compare *m = xcalloc(1, sizeof *m);
	struct restored done = { 0 };
	struct chronicle *c = compare(r, m, set, err);
	int rc = c == NULL ? -1 : 0;

	if (rc == 0 && do_it)
		rc = apply(r, c, &done, err);
	else if (rc == 0 && r->missing == 0)
		rc = tell_open(r, err);
	if (rc == 0)
		summary(r, c, &done, do_it);
	PQclear(done.words);
	chronicle_free(c);
	headset_free(set);
	compare_free(m);
	return rc;
}

int
cmd_reconcile(struct cli *c, const struct args *a, struct err *err)
{
	struct reconcile r = { .cli = c };
	int rc;

	progress_begin(&r.progress, c->json);
	if (cli_db(c, err) != 0)
		return -1;
	args_list(a, "heads", &r.heads);
	args_list(a, "without", &r.without);
	r.trusts = args_has(a, "trust-unsigned-tail");
	rc = ledger_dirs(c, a, &r.dirs, err);
	if (rc == 0) {
		r.out = out_new(cols, OUT_TABLE);
		rc = reconcile(&r, args_has(a, "apply"), err);
		if (rc == 0 && args_has(a, "apply"))
			rc = cli_print_done(c, r.out, "all is put back: "
			    "audit tells of it", err);
		else if (cli_print(c, r.out, err) != 0)
			rc = -1;
	}
	strlist_free(&r.dirs);
	strlist_free(&r.heads);
	strlist_free(&r.without);
	return rc;
}
