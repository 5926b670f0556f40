/*
 * Rows put back out of the ledgers, after compare.c has said which are
 * missing: the last half of "reconcile".
 */
#include "restore_int.h"

#include <stdlib.h>
#include <string.h>

#include "lastword_sql.h"
#include "rowform.h"

#define CHUNK	((size_t)4 * 1024 * 1024)	/* of rows, in memory */

const struct db_stmt restore_sql[] = {
	{ "decide", "UPDATE countersign.request SET state = $3, "
	    "decided_at = $4, signer = $5, template_major = $6, "
	    "template_minor = $7, policy_hash = $8, hresult = $9, "
	    "message = $10, subject = $11, san = $12, serial = $13, "
	    "approved_by = $14, approval_reason = $15, decision_id = $16 "
	    "WHERE day = $1 AND id = $2 AND state = 'pending'", 16 },
	{ "spend", "UPDATE countersign.account SET one_time_used = $2 "
	    "WHERE name = $1 AND one_time_template IS NOT NULL "
	    "AND one_time_used IS NULL", 2 },
	{ "void", "INSERT INTO countersign.void_serial "
	    "(serial, ca, request_id, signer, at) VALUES ($1, $2, $3, $4, "
	    "coalesce(to_timestamp($5::bigint / 1e6), now())) "
	    "ON CONFLICT DO NOTHING", 5 },
	{ "revoke", "SELECT countersign.revocation_put_back($1, "
	    "decode($2, 'hex'), $3, $4, $5, $6)", 6 },
	{ "earlier", "SELECT countersign.earlier_put_back($1, "
	    "decode($2, 'hex'), $3, $4)", 4 },
	{ "release", "SELECT countersign.release_put_back($1, "
	    "decode($2, 'hex'))", 2 },
	{ "responder", "INSERT INTO countersign.responder "
	    "(serial, ca, signer, not_after, der) VALUES ($1, $2, $3, "
	    "to_timestamp($4::bigint), $5) ON CONFLICT DO NOTHING", 5 },
	{ "signer", "SELECT countersign.signer_put_back($1, $2::integer)",
	    2 },
	{ "epoch", "UPDATE countersign.signer SET epoch = "
	    "greatest(epoch, $2::bigint) WHERE name = $1", 2 },
	{ "head", "SELECT countersign.ledger_head_put($1, $2::bigint, "
	    "decode($3, 'hex'), $4)", 4 },
	{ "change", "SELECT countersign.change_put_back($1, $2::bigint)", 2 },
	{ "told", "UPDATE countersign.revocation_change "
	    "SET told = greatest(told, $2::bigint) WHERE ca = $1", 2 },
	{ "round", "SELECT countersign.airgap_round_put_back($1::bigint, $2, "
	    "$3)", 3 },
	{ "audit_numbers", "SELECT setval('countersign.audit_n_seq', "
	    "greatest($1::bigint, (SELECT last_value "
	    "FROM countersign.audit_n_seq)))", 1 },
	{ "audit_anew", "UPDATE countersign.audit SET n = DEFAULT "
	    "WHERE n <= $1::bigint AND at > $2", 2 },
	{ "audit_late", "UPDATE countersign.audit a SET n = DEFAULT FROM "
	    "unnest(string_to_array($1, ',')::bigint[], "
	    "string_to_array($2, ',')::bigint[]) u (n, at) "
	    "WHERE a.n = u.n AND a.at = " LASTWORD_USEC("u.at"), 2 },
	{ "words", LASTWORD_SQL, 5 },
	/* Of lastword.c: the object, a group and whose word; not all count. */
	{ "disable", "SELECT countersign.strict_disable($1, $3::boolean), "
	    "$2::text", 3 },
	{ "names", "SELECT countersign.strict_disable($1, $3::boolean), "
	    "countersign.names_tell(ARRAY[$1], CASE WHEN $3::boolean "
	    "THEN 'account import names' ELSE 'account names' END), $2::text",
	    3 },
	{ "given", "SELECT countersign.import_replace(ARRAY[$1]), $2::text, "
	    "$3::text", 3 },
	{ "leave", "SELECT countersign.strict_leave($1, $2, $3::boolean)", 3 },
	{ "lost", "SELECT countersign.note('account lost', $1), $2::text, "
	    "$3::text", 3 },
	{ "secret", "SELECT countersign.secret_revoke($1), $2::text, "
	    "$3::text", 3 },
	{ "no_password", "SELECT countersign.account_set_password($1, NULL), "
	    "$2::text, $3::text", 3 },
	{ "block", "SELECT countersign.key_block_all(ARRAY[decode($1, "
	    "'hex')], true, 'reconcile'), $2::text, $3::text", 3 },
	{ "keep", "SELECT countersign.note('key block', $1 || ': reconcile'), "
	    "$2::text, $3::text", 3 },
	{ "end", "SELECT countersign.rollback_end($1)", 1 },
	{ "issuer", "SELECT certificate FROM countersign.ca WHERE name = $1",
	    1 },
	{ NULL, NULL, 0 }
};

int
restore_run(struct restore *r, const char *stmt, const struct db_param *p,
    int n, struct err *err)
{
	PGresult *res = db_exec(r->db, stmt, p, n, err);

	PQclear(res);
	return res == NULL ? -1 : 0;
}

void
restore_vouch(struct restore *r, const struct ledger_entry *e)
{
	if (e->seq <= r->l->signed_to)
		return;
	if (r->done->unvouched++ == 0)
		snprintf(r->done->unvouched_in, sizeof r->done->unvouched_in,
		    "%s", r->l->signer != NULL ? r->l->signer : "");
}

static struct db_param
binary(struct slice s)
{
	return (struct db_param){ s.p, (int)s.n };
}

void
restore_open_rows(struct buf *b)
{
	static const uint8_t head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

	if (b->n == 0)
		buf_add(b, head, 19);
}

/* The stream so far, with its end; b is empty again. */
static int
copy(struct restore *r, struct buf *b, const char *sql, struct err *err)
{
	int rc;

	if (b->n == 0)
		return 0;
	buf_addc(b, 0xff);
	buf_addc(b, 0xff);
	rc = db_copy(r->db, &(struct db_copy){ sql, buf_slice(b) }, 1, err);
	buf_reset(b);
	return rc;
}

/* Certificates first: the row of a request names its serial. */
static int
copy_all(struct restore *r, struct err *err)
{
	if (copy(r, &r->certs, "COPY countersign.certificate ("
	    CERTIFICATE_COLUMNS ") FROM STDIN (FORMAT binary)", err) != 0 ||
	    copy(r, &r->requests, "COPY countersign.request ("
	    REQUEST_SUBMITTED ", " REQUEST_DECIDED ") FROM STDIN "
	    "(FORMAT binary)", err) != 0)
		return -1;
	if (copy(r, &r->audit, "COPY countersign.audit (" AUDIT_COLUMNS
	    ") FROM STDIN (FORMAT binary)", err) != 0)
		return -1;
	return copy(r, &r->lists, "COPY countersign.crl (" CRL_COLUMNS
	    ") FROM STDIN (FORMAT binary)", err);
}

int
restore_tuple(const struct ledger_entry *e, const char *key,
    struct buf *bytes, struct tuple *t, size_t least, struct err *err)
{
	if (ledger_get_base64(e, key, bytes, err) != 0)
		return -1;
	if (tuple_parse(buf_slice(bytes), t) == 0 && t->n >= least)
		return 0;
	return ledger_bad(e, key, err);
}

struct chr_row *
restore_record(const struct restore *r, const struct ledger_entry *e)
{
	uint8_t serial[CHR_SERIAL];
	struct err none = ERR_INIT;

	if (ledger_get_hex(e, "serial", serial, CHR_SERIAL, &none) != 0)
		return NULL;
	return chronicle_serial(r->c, serial);
}

/* Zeros of an entry that has no such row. */
static void
submitted_of(const struct ledger_entry *e, uint8_t out[CHR_DIGEST])
{
	struct buf row = { 0 };
	struct err none = ERR_INIT;

	memset(out, 0, CHR_DIGEST);
	if (ledger_get_base64(e, "request", &row, &none) == 0)
		chr_digest(buf_slice(&row), out);
	buf_free(&row);
}

/*
 * The record of this entry: an intent's by its serial, others by the id and,
 * since one ledger may have a request again that was void in it before, by how
 * it came.
 */
static struct chr_row *
record(const struct restore *r, const struct ledger_entry *e)
{
	struct chr_row *row, *end = r->c->row + r->c->nrow;
	enum chr_kind kind = strcmp(e->type, "denied") == 0 ? CHR_DENY :
	    CHR_PEND;
	uint8_t id[CHR_ID], submitted[CHR_DIGEST];
	struct err none = ERR_INIT;

	if (strcmp(e->type, "intent") == 0)
		return restore_record(r, e);
	if (ledger_get_hex(e, "id", id, CHR_ID, &none) != 0)
		return NULL;
	submitted_of(e, submitted);
	for (row = chronicle_request(r->c, id); row != NULL && row < end &&
	    memcmp(row->id, id, CHR_ID) == 0; row++)
		if (row->kind == kind && &r->c->ledger[row->ledger] == r->l &&
		    (!row->fresh || memcmp(row->submitted, submitted,
		    CHR_DIGEST) == 0))
			return row;
	return NULL;
}

/* A committed approval or denial of this request, or NULL. */
static struct chr_row *
later_decision(const struct chronicle *c, const struct chr_row *row)
{
	struct chr_row *x, *end = c->row + c->nrow;

	for (x = chronicle_request(c, row->id); x != NULL && x < end &&
	    memcmp(x->id, row->id, CHR_ID) == 0; x++)
		if (!x->fresh && x->committed && x->has_rows)
			return x;
	return NULL;
}

/* Signers of older versions both called a repeated request theirs. */
static bool
is_back(const struct chronicle *c, const struct chr_row *row)
{
	const struct chr_row *x, *end = c->row + c->nrow;

	for (x = chronicle_request(c, row->id); x != NULL && x < end &&
	    memcmp(x->id, row->id, CHR_ID) == 0; x++)
		if (x->fresh && x->row_seen)
			return true;
	return false;
}

/*
 * A certificate of which neither ledger nor database has the bytes: a crash
 * came between its signature and the entry "issued".
 */
static bool
is_lost(const struct chr_row *row)
{
	return row->kind == CHR_ISSUE && !row->has_cert && !row->cert_seen;
}

/* It was committed, and is no certificate of this database. */
static bool
is_to_be_void(const struct chr_row *row)
{
	return row->committed && !row->cert_seen && (is_lost(row) ||
	    row->overruled);
}

/* A whole row: as it came in, and as it was decided last. */
static int
put_request(struct restore *r, const struct ledger_entry *e,
    struct chr_row *row, struct err *err)
{
	struct buf sub = { 0 }, dec = { 0 }, bytes = { 0 }, evidence = { 0 };
	struct chr_row *later = later_decision(r->c, row);
	struct tuple s, d;
	size_t i;
	int rc;

	rc = restore_tuple(e, "request", &sub, &s, SUB_N, err);
	if (rc == 0 && later != NULL && !is_lost(later)) {
		buf_add(&dec, later->tuple.p, later->tuple.n);
		rc = tuple_parse(buf_slice(&dec), &d);
		later->row_seen = true;
	} else if (rc == 0)
		rc = restore_tuple(e, "decision", &dec, &d, DEC_N, err);
	if (rc == 0 && strcmp(e->type, "pending") == 0 &&
	    (rc = ledger_get_base64(e, "bytes", &bytes, err)) == 0 &&
	    (rc = ledger_get_base64(e, "evidence", &evidence, err)) == 0) {
		s.field[SUB_TOKEN] = buf_slice(&bytes);
		if (evidence.n > 0)
			s.field[SUB_EVIDENCE] = buf_slice(&evidence);
	}
	if (rc == 0) {
		for (i = 0; i < DEC_N; i++)
			s.field[SUB_N + i] = d.field[i];
		s.n = SUB_N + DEC_N;
		restore_open_rows(&r->requests);
		tuple_put(&r->requests, &s);
		r->done->requests++;
		row->row_seen = true;
	}
	buf_free(&sub);
	buf_free(&dec);
	buf_free(&bytes);
	buf_free(&evidence);
	return rc;
}

/* It waits in the database and was decided since. */
static int
put_decision(struct restore *r, const struct chr_row *row, struct err *err)
{
	uint8_t day[4] = { 0, 0, row->id[0], row->id[1] };
	struct db_param p[2 + DEC_N];
	struct tuple t;
	size_t i;

	if (tuple_parse(buf_slice(&row->tuple), &t) != 0 || t.n < DEC_N)
		return err_set(err, ERR_INTERNAL,
		    "ledger: a decision without its row");
	p[0] = DB_BIN(day, sizeof day);
	p[1] = DB_BIN(row->id, CHR_ID);
	for (i = 0; i < DEC_N; i++)
		p[2 + i] = binary(t.field[i]);
	r->done->decisions++;
	return restore_run(r, "decide", p, 2 + DEC_N, err);
}

/* Else a one-time secret that was used would be good once more. */
static int
spend(struct restore *r, const struct ledger_entry *e, struct chr_row *row,
    struct err *err)
{
	struct buf name = { 0 };
	struct db_param p[2];
	int rc = 0;

	if (row->committed && ledger_get(e, "spends", &name) == 0) {
		p[0] = DB_TEXT(buf_str(&name));
		p[1] = DB_BIN(row->id, CHR_ID);
		rc = restore_run(r, "spend", p, 2, err);
	}
	buf_free(&name);
	return rc;
}

/*
 * The row of a request that is missing.  A decision about one that is there,
 * or is put back from its own entry, waits for put_rest.
 */
static int
take_decision(struct restore *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chr_row *row = record(r, e);

	if (row == NULL || !row->committed || &r->c->ledger[row->ledger] !=
	    r->l)
		return 0;
	if (!row->row_seen)
		restore_vouch(r, e);
	if (spend(r, e, row, err) != 0)
		return -1;
	if (!row->fresh || is_back(r->c, row) || is_lost(row))
		return 0;
	return put_request(r, e, row, err);
}

/* The row alone: the next list has bytes, and a number above this one's. */
static int
take_listed(struct restore *r, const struct ledger_entry *e, struct err *err)
{
	struct buf ca = { 0 }, bytes = { 0 };
	struct chr_list *l = NULL;
	int64_t number;
	struct tuple t;
	int rc = 0;

	if (ledger_get(e, "ca", &ca) == 0 &&
	    ledger_get_num(e, "number", &number) == 0)
		l = chronicle_list(r->c, buf_str(&ca), (uint64_t)number);
	if (l != NULL && !l->seen &&
	    (rc = restore_tuple(e, "row", &bytes, &t, LIST_LEAST, err)) == 0) {
		if (t.n == LIST_LEAST)
			t.field[LIST_BASE] = slice_of(NULL, 0);
		t.n = LIST_N;
		restore_vouch(r, e);
		restore_open_rows(&r->lists);
		tuple_put(&r->lists, &t);
		l->seen = true;
		r->done->lists++;
	}
	buf_free(&ca);
	buf_free(&bytes);
	return rc;
}

/* Only counted here: what is voided later may still be committed. */
static int
take_void(struct restore *r, const struct ledger_entry *e, struct err *err)
{
	const struct chr_row *row = restore_record(r, e);

	(void)err;
	if (row != NULL && row->voided && !row->void_seen)
		restore_vouch(r, e);	/* put_rest has no entry at hand */
	return 0;
}

struct taker {
	const char	*type;
	int		(*take)(struct restore *, const struct ledger_entry *,
			    struct err *);
};

static int
dispatch(struct restore *r, const struct taker *t,
    const struct ledger_entry *e, struct err *err)
{
	for (; t->type != NULL; t++)
		if (strcmp(t->type, e->type) == 0)
			return t->take(r, e, err);
	return 0;
}

/* The first walk: all that is a row of its own, some MB at a time. */
static int
row_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct taker takers[] = {
		{ "intent", take_decision }, { "denied", take_decision },
		{ "pending", take_decision }, { "issued", restore_issued },
		{ "listed", take_listed }, { "void", take_void },
		{ "responder-issued", restore_responder },
		{ "audit", restore_audit }, { NULL, NULL }
	};
	struct restore *r = arg;

	chronicle_progress(r->c, "rows put back, KiB", e);
	if (dispatch(r, takers, e, err) != 0)
		return -1;
	return r->requests.n + r->certs.n + r->lists.n + r->audit.n < CHUNK ?
	    0 : copy_all(r, err);
}

/* The second walk: what marks rows that the first has put there. */
static int
revocation_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct taker takers[] = {
		{ "revoked", restore_revocation },
		{ "released", restore_revocation }, { NULL, NULL }
	};
	struct restore *r = arg;

	chronicle_progress(r->c, "revocations put back, KiB", e);
	return dispatch(r, takers, e, err);
}

static int
walk(struct restore *r, int (*cb)(void *, const struct ledger_entry *,
    struct err *), struct err *err)
{
	size_t i;

	r->c->read = 0;
	for (i = 0; i < r->c->nledger; i++) {
		r->l = &r->c->ledger[i];
		if (ledger_walk(r->l->dir, cb, r, err) != 0)
			return -1;
		r->c->read += r->l->size;
	}
	return 0;
}

/* What is left when all rows are in. */
static int
put_rest(struct restore *r, struct err *err)
{
	struct chr_row *row;
	size_t i;

	for (i = 0; i < r->c->nrow; i++) {
		row = &r->c->row[i];
		if (!row->fresh && row->committed && !row->row_seen &&
		    row->has_rows && !is_lost(row)) {
			if (put_decision(r, row, err) != 0)
				return -1;
			row->row_seen = true;
		}
	}
	if (walk(r, revocation_entry, err) != 0)
		return -1;
	for (i = 0; i < r->c->nserial; i++) {
		row = r->c->by_serial[i];
		if (row->void_seen || (!row->voided && !is_to_be_void(row)))
			continue;
		r->done->lost += !row->voided;
		if (restore_void(r, row, NULL, err) != 0)
			return -1;
	}
	return 0;
}

/* The last that stands in the ledger; nothing, where a later one is there. */
static int
put_head(struct restore *r, const struct head *h, struct err *err)
{
	struct buf line = { 0 };
	char seq[24];
	int rc;

	head_put(&line, h);
	snprintf(seq, sizeof seq, "%llu", (unsigned long long)h->seq);
	rc = restore_run(r, "head", (struct db_param[]){ DB_TEXT(h->signer),
	    DB_TEXT(seq), DB_TEXT(h->hash), DB_TEXT(buf_str(&line)) }, 4,
	    err);
	buf_free(&line);
	return rc;
}

/*
 * A signer that the old database does not know would be given a new prefix,
 * and another one perhaps this one's: serial numbers of both could be equal.
 */
static int
put_signers(struct restore *r, struct err *err)
{
	const struct chr_ledger *l;
	char prefix[16], epoch[24];
	size_t i;

	for (i = 0; i < r->c->nledger; i++) {
		l = &r->c->ledger[i];
		if (l->signer == NULL || l->prefix == 0)
			continue;
		snprintf(prefix, sizeof prefix, "%u", l->prefix);
		if (restore_run(r, "signer", (struct db_param[]){
		    DB_TEXT(l->signer), DB_TEXT(prefix) }, 2, err) != 0)
			return -1;
		snprintf(epoch, sizeof epoch, "%lld", (long long)l->epoch);
		if (restore_run(r, "epoch", (struct db_param[]){
		    DB_TEXT(l->signer), DB_TEXT(epoch) }, 2, err) != 0 ||
		    (l->head_kept > 0 && put_head(r, &l->head, err) != 0))
			return -1;
		r->done->signers++;
	}
	return 0;
}

/*
 * Numbers of changes before the rows that bear them (sql/150_delta.sql);
 * revocations last: they mark certificates, which must be there.
 */
int
restore_all(struct db *db, struct chronicle *c, struct restored *done,
    struct err *err)
{
	struct restore r = { .db = db, .c = c, .done = done };
	int rc = -1;

	if (put_signers(&r, err) == 0 && restore_changes(&r, err) == 0 &&
	    restore_audit_numbers(&r, err) == 0 &&
	    walk(&r, row_entry, err) == 0 && copy_all(&r, err) == 0)
		rc = put_rest(&r, err);
	buf_free(&r.requests);
	buf_free(&r.certs);
	buf_free(&r.lists);
	buf_free(&r.audit);
	restore_issuer_free(&r);
	return rc;
}
