/*
 * ledger verify: ledgers, heads and database against each other; what
 * compare.h finds, printed.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>

#include "compare.h"

#define FINDINGS_MAX	100	/* printed; the count is exact */

const struct opt opts_ledger_verify[] = {
	{ "heads", "FILE", "signed heads that were kept elsewhere", true },
	{ "without", "SIGNER", "this one's ledger is not here, and need not "
	    "be: its rows are counted, not checked", true },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "check", OUT_TEXT }, { "object", OUT_TEXT },
	{ "count", OUT_NUMBER }, { "damaged", OUT_BOOL },
	{ "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct verify {
	struct cli	*cli;
	struct out	*out;
	uint64_t	 findings;
};

/* A line about what is good: how many of it there are. */
static void
result(struct verify *v, const char *check, const char *object,
    uint64_t count)
{
	out_add(v->out, check);
	out_add(v->out, object);
	out_num(v->out, (int64_t)count);
	out_bool(v->out, false);
	out_add(v->out, NULL);
}

/* The sink of all damages: one is enough for exit status 4. */
static void
finding(void *arg, const char *check, const char *object, const char *text)
{
	struct verify *v = arg;

	v->cli->code = EXIT_DAMAGED;
	if (v->findings++ >= FINDINGS_MAX)
		return;
	out_add(v->out, check);
	out_add(v->out, object);
	out_add(v->out, NULL);
	out_bool(v->out, true);
	out_add(v->out, text);
}

/* What was looked at and found good: a count that is too small tells, too. */
static void
results(struct verify *v, struct compare *m)
{
	const struct chronicle *c = m->c;
	uint64_t open = 0, made = 0;
	size_t i;

	for (i = 0; i < c->nledger; i++)
		result(v, "chain", c->ledger[i].dir, c->ledger[i].entries);
	for (i = 0; i < c->nserial; i++) {
		made += c->by_serial[i]->has_cert;
		open += !c->by_serial[i]->committed && !c->by_serial[i]->voided;
	}
	result(v, "intents", NULL, c->nserial);
	result(v, "certificates", NULL, made);
	result(v, "intents without an end", NULL, open);
	result(v, "heads kept elsewhere", NULL, headset_count(c->heads));
	result(v, "rows of requests", NULL, m->requests);
	result(v, "rows of certificates", NULL, m->certificates);
	result(v, "void serials", NULL, m->voids);
	result(v, "revocations", NULL, m->revoked);
	result(v, "lists", NULL, m->lists);
	result(v, "OCSP answers", NULL, m->answers);
	result(v, "audit rows", NULL, m->audit);
	result(v, "audit rows in no ledger yet", NULL, m->untold);
	result(v, "accounts", NULL, m->accounts);
	result(v, "blocked keys", NULL, m->keys);
	result(v, "keys with an owner", NULL, m->owners);
	for (i = 0; i < c->counts.n; i++)
		result(v, "signatures", c->counts.v[i].ca,
		    c->counts.v[i].n);
	result(v, "rows of other signers", m->absent.n > 0 ?
	    buf_str(&m->absent) : NULL, m->elsewhere);
	result(v, "requests without the client's bytes", NULL, m->bare);
	result(v, "damages", NULL, v->findings);
}

/* The view of the database begins behind the ledgers' sizes. */
static int
verify(struct verify *v, const struct strlist *dirs,
    const struct strlist *heads, const struct strlist *without,
    struct err *err)
{
	struct chr_sink sink = { finding, v };
	struct headset *set = headset_new(v->cli->conf);
	struct compare *m = xcalloc(1, sizeof *m);
	struct progress progress;
	size_t i;
	int rc = 0;

	progress_begin(&progress, v->cli->json);

	for (i = 0; i < heads->n && rc == 0; i++)
		rc = headset_file(set, heads->v[i], &sink, err);
	m->cli = v->cli;
	m->without = without;
	m->c = chronicle_new(dirs, set, sink);
	m->progress = m->c->progress = &progress;
	if (rc == 0 && (rc = compare_begin(m, err)) == 0) {
		rc = compare_all(m, err);
		progress_end(&progress);
		db_rollback(v->cli->db);
	}
	if (rc == 0)
		results(v, m);
	chronicle_free(m->c);
	headset_free(set);
	compare_free(m);
	return rc;
}

/* Those that are named take the place of the configuration's. */
int
ledger_dirs(struct cli *c, const struct args *a, struct strlist *dirs,
    struct err *err)
{
	size_t i;

	for (i = 0; i < a->npos; i++)
		strlist_add(dirs, a->pos[i]);
	for (i = 0; a->npos == 0 && i < c->conf->ledgers.n; i++)
		strlist_add(dirs, c->conf->ledgers.v[i]);
	return dirs->n > 0 ? 0 : err_set(err, ERR_DENIED,
	    "%.100s: no ledger", c->conf->path);
}

int
cmd_ledger_verify(struct cli *c, const struct args *a, struct err *err)
{
	struct strlist dirs = { 0 }, heads = { 0 }, without = { 0 };
	struct verify v = { .cli = c };
	int rc;

	if (cli_db(c, err) != 0)
		return -1;
	args_list(a, "heads", &heads);
	args_list(a, "without", &without);
	rc = ledger_dirs(c, a, &dirs, err);
	if (rc == 0) {
		v.out = out_new(cols, OUT_TABLE);
		rc = verify(&v, &dirs, &heads, &without, err);
		if (cli_print(c, v.out, err) != 0)
			rc = -1;
	}
	strlist_free(&dirs);
	strlist_free(&heads);
	strlist_free(&without);
	return rc;
}
