/*
 * The database against the chronicle: requests, certificates, void serials,
 * signers.  The comparing half of "ledger verify" and "reconcile".
 */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "rowform.h"
#include "tuple.h"

void
compare_find(const struct compare *m, const char *check, const char *what,
    const char *name, const char *text)
{
	struct buf object = { 0 };

	buf_printf(&object, "%s %s", what, name);
	m->c->sink.finding(m->c->sink.arg, check, buf_str(&object), text);
	buf_free(&object);
}

void
compare_find_hex(const struct compare *m, const char *check,
    const char *what, const uint8_t *octets, size_t n, const char *text)
{
	struct buf hex = { 0 };

	buf_hex(&hex, octets, n);
	compare_find(m, check, what, buf_str(&hex), text);
	buf_free(&hex);
}

PGresult *
compare_page(struct compare *m, const char *stmt, const char *const *p, int n,
    struct err *err)
{
	struct db_param v[8];
	int i;

	for (i = 0; i < n; i++)
		v[i] = DB_TEXT(p[i]);
	return db_exec_bin(m->cli->db, stmt, v, n, err);
}

static bool
same(const uint8_t a[CHR_DIGEST], const uint8_t b[CHR_DIGEST])
{
	return memcmp(a, b, CHR_DIGEST) == 0;
}

/*
 * Of what PostgreSQL shows the same bytes are made that a signer wrote into
 * its ledger: of ten million rows there are digests in memory, not rows.
 */
static void
digest_columns(const PGresult *res, int row, int first, int n,
    uint8_t out[CHR_DIGEST])
{
	struct buf b = { 0 };
	struct tuple t;

	tuple_of(res, row, first, first + n - 1, &t);
	tuple_put(&b, &t);
	chr_digest(buf_slice(&b), out);
	buf_free(&b);
}

/* The name is as in a row: it has no NUL. */
bool
compare_elsewhere(const struct compare *m, struct slice signer)
{
	char text[64] = "";

	if (signer.n < sizeof text)
		memcpy(text, signer.p, signer.n);
	return !m->all_here && !chronicle_has_signer(m->c, text);
}

/* The decision that counts: a manager's, when one is committed. */
static struct chr_row *
last_decision(const struct chronicle *c, struct chr_row *first)
{
	struct chr_row *r, *last = NULL, *end = c->row + c->nrow;

	for (r = first; r < end && memcmp(r->id, first->id, CHR_ID) == 0; r++)
		if (r->committed && (last == NULL || !r->fresh))
			last = r;
	return last;
}

/*
 * The record that the row is written from: one with the same digests, or of an
 * older version, which has none.  Of several a committed one before all, and
 * any before a void one: a request asked for again after a crash has both.
 */
static struct chr_row *
matching(const struct chronicle *c, struct chr_row *first,
    const uint8_t submitted[CHR_DIGEST], const uint8_t decided[CHR_DIGEST])
{
	struct chr_row *r, *found = NULL, *end = c->row + c->nrow;

	for (r = first; r < end && memcmp(r->id, first->id, CHR_ID) == 0;
	    r++) {
		if (r->has_rows && (!same(r->submitted, submitted) ||
		    !same(r->decided, decided)))
			continue;
		if (found == NULL || found->voided || r->committed)
			found = r;
	}
	return found;
}

/*
 * Does a ledger that is here say how it came?  Not one that gave it up.  Of
 * older versions' what waited has no rows.
 */
static bool
came_here(const struct chronicle *c, const struct chr_row *first)
{
	const struct chr_row *r, *end = c->row + c->nrow;

	for (r = first; r < end && memcmp(r->id, first->id, CHR_ID) == 0; r++)
		if ((r->fresh || r->kind == CHR_PEND) && !r->voided)
			return true;
	return false;
}

/* Decided later, by what a row alone says of who asked, and for what. */
static bool
made_up(const struct compare *m, const struct chr_row *first,
    const struct chr_row *match)
{
	return m->all_here && !match->fresh && match->tuple.n > 0 &&
	    !came_here(m->c, first);
}

/* Was it this once?  Then the database is only old. */
static void
judge_mismatch(struct compare *m, struct chr_row *first, const char *hex,
    const struct chr_row *match)
{
	if (match != NULL)
		compare_find(m, COMPARE_MISSING, "request", hex,
		    "was decided since, says the ledger");
	else
		compare_find(m, "row", "request", hex,
		    "is not what the ledger says");
	first->row_seen = true;
}

/*
 * The row shows what it is made from, and with it that the request came: at the
 * first time, or again after a crash that made the first void.
 */
static void
see_decisions(const struct chronicle *c, struct chr_row *first,
    struct chr_row *match)
{
	struct chr_row *r, *end = c->row + c->nrow;

	for (r = first; r < end && memcmp(r->id, first->id, CHR_ID) == 0; r++)
		if (r->fresh || r == match)
			r->row_seen = true;
	first->row_seen = true;
}

/*
 * Two databases that went on apart: managers of both decided.  What this one
 * has stands; of the other the certificate is void.
 */
static void
overrule(const struct chronicle *c, struct chr_row *first,
    const struct chr_row *match)
{
	struct chr_row *r, *end = c->row + c->nrow;

	if (match == NULL || match->fresh || !match->committed)
		return;
	for (r = first; r < end && memcmp(r->id, first->id, CHR_ID) == 0; r++)
		if (r != match && r->committed && !r->fresh &&
		    r->kind != CHR_PEND)
			r->overruled = r->row_seen = true;
}

/*
 * A manager's decision is another entry than the one that the request came
 * with: the row must be as the last of them left it.
 */
static void
take_request(struct compare *m, const PGresult *res, int row)
{
	uint8_t submitted[CHR_DIGEST], decided[CHR_DIGEST];
	struct slice id = db_field(res, row, SUB_ID);
	struct chr_row *first, *match, *last;
	char hex[2 * CHR_ID + 1];
	bool elsewhere = compare_elsewhere(m, db_field(res, row, SUB_N +
	    DEC_SIGNER));

	m->requests++;
	if (*PQgetvalue(res, row, SUB_N + DEC_N) != 0)
		m->bare++;
	hex_encode(id.p, CHR_ID, hex);
	if ((first = chronicle_request(m->c, id.p)) == NULL) {
		if (elsewhere)
			m->elsewhere++;
		else
			compare_find(m, "row", "request", hex,
			    "is in no ledger");
		return;
	}
	digest_columns(res, row, 0, SUB_N, submitted);
	digest_columns(res, row, SUB_N, DEC_N, decided);
	match = matching(m->c, first, submitted, decided);
	/* Given up here before it was signed; by another it was. */
	if (match != NULL && match->voided && !match->has_rows && elsewhere)
		match = NULL;
	last = last_decision(m->c, first);
	if (match == NULL && (elsewhere || (!m->all_here &&
	    !came_here(m->c, first)))) {
		m->elsewhere++;		/* came or decided in one not here */
		first->row_seen = true;
	} else if (match == NULL || (last != NULL && match != last &&
	    last->has_rows && match->fresh))
		judge_mismatch(m, first, hex, match);
	else if (match->voided)
		compare_find(m, "row", "request", hex,
		    "is void in the ledger");
	else if (made_up(m, first, match))
		compare_find(m, "row", "request", hex, "was decided, and no "
		    "ledger says that it was asked for");
	overrule(m->c, first, match);
	if (match != NULL)
		see_decisions(m->c, first, match);
	else if (last != NULL)
		last->row_seen = true;
}

/*
 * Every row against the record of its id, in pages by (day, id); then every
 * record that no row has shown.
 */
static int
compare_requests(struct compare *m, struct err *err)
{
	char day[16] = "0", id[2 * CHR_ID + 1] = "";
	const struct chr_row *r;
	PGresult *res;
	size_t i, all = 0;
	int row, n;

	for (i = 0; i < m->c->nrow; i++)
		all += m->c->row[i].fresh;
	do {
		progress_show(m->progress, "requests", m->requests, all);
		res = compare_page(m, "verify_requests",
		    (const char *[]){ day, id }, 2, err);
		if (res == NULL)
			return -1;
		n = PQntuples(res);
		for (row = 0; row < n; row++)
			take_request(m, res, row);
		if (n > 0) {
			snprintf(day, sizeof day, "%d",
			    (int)db_int(res, n - 1, SUB_DAY));
			hex_encode(db_field(res, n - 1, SUB_ID).p, CHR_ID, id);
		}
		PQclear(res);
	} while (n > 0);
	for (i = 0; i < m->c->nrow; i++) {
		r = &m->c->row[i];
		if (r->committed && r->claimed && !r->row_seen)
			compare_find_hex(m, COMPARE_MISSING, "request", r->id,
			    CHR_ID, r->fresh ? "committed, says the ledger, "
			    "but not in the database" :
			    "was decided, says the ledger");
	}
	return 0;
}

/* The ledger has no row of it (a crash), but the hash of what was signed. */
static int
compare_tbs(struct compare *m, const struct chr_row *r, const char *hex,
    struct err *err)
{
	struct err unparsed = ERR_INIT;
	uint8_t digest[CHR_DIGEST];
	struct slice tbs;
	struct der cert;
	PGresult *res = compare_page(m, "cert_der", &hex, 1, err);
	bool good = false;

	if (res == NULL)
		return -1;
	if (PQntuples(res) == 1 && der_only(db_field(res, 0, 0), DER_SEQ, &cert,
	    "Certificate", &unparsed) == 0 && der_tlv(&cert, DER_SEQ, &tbs,
	    "tbsCertificate", &unparsed) == 0) {
		chr_digest(tbs, digest);
		good = same(digest, r->tbs);
	}
	if (!good)
		compare_find(m, "row", "certificate", hex,
		    "is not what the ledger intended");
	PQclear(res);
	return 0;
}

/* Which signer made it stands in octets 3 and 4. */
static void
strange(struct compare *m, const char *what, const uint8_t *serial,
    const char *hex)
{
	unsigned prefix = (unsigned)serial[3] << 8 | serial[4];

	if (!chronicle_has_prefix(m->c, prefix) && m->known[prefix])
		m->elsewhere++;
	else
		compare_find(m, "row", what, hex,
		    "not in the ledger of its signer");
}

/* By its serial, which no two ledgers share: the prefix is the signer's. */
static int
take_certificate(struct compare *m, const PGresult *res, int row,
    struct err *err)
{
	struct slice serial = db_field(res, row, CERT_SERIAL);
	uint8_t digest[CHR_DIGEST];
	struct buf hex = { 0 };
	struct chr_row *r;
	int rc = 0;

	progress_show(m->progress, "certificates", m->certificates++,
	    m->c->nserial);
	buf_hex(&hex, serial.p, serial.n);
	if (serial.n != CHR_SERIAL)
		compare_find(m, "row", "certificate", buf_str(&hex),
		    "not a serial number of ours");
	else if ((r = chronicle_serial(m->c, serial.p)) == NULL)
		strange(m, "certificate", serial.p, buf_str(&hex));
	else if (r->voided)
		compare_find(m, "row", "certificate", buf_str(&hex),
		    "is void in the ledger");
	else {
		r->cert_seen = true;
		digest_columns(res, row, 0, CERT_N, digest);
		if (!r->has_cert)
			rc = compare_tbs(m, r, buf_str(&hex), err);
		else if (!same(digest, r->cert))
			compare_find(m, "row", "certificate", buf_str(&hex),
			    "is not what the ledger says");
	}
	buf_free(&hex);
	return rc;
}

/* Columns: serial, ca, request_id, signer. */
static int
take_void(struct compare *m, const PGresult *res, int row, struct err *err)
{
	struct slice serial = db_field(res, row, 0), id = db_field(res, row, 2);
	struct chr_row *r = NULL;
	struct buf hex = { 0 };

	(void)err;
	progress_show(m->progress, "void serials", m->voids++, 0);
	buf_hex(&hex, serial.p, serial.n);
	if (serial.n == CHR_SERIAL)
		r = chronicle_serial(m->c, serial.p);
	if (r == NULL && serial.n == CHR_SERIAL)
		strange(m, "void serial", serial.p, buf_str(&hex));
	else if (r == NULL || (r->committed && !r->overruled) ||
	    r->cert_seen ||
	    !slice_is(db_field(res, row, 1), m->c->ca.v[r->ca]) ||
	    !slice_eq(id, slice_of(r->id, CHR_ID)) ||
	    !chronicle_is_of(m->c, r->ledger, PQgetvalue(res, row, 3)))
		compare_find(m, "row", "void serial", buf_str(&hex),
		    "is not what the ledger says");
	else
		r->void_seen = true;
	buf_free(&hex);
	return 0;
}

/* All rows of a table, a page at a time; the first column is the serial. */
static int
each_serial(struct compare *m, const char *stmt,
    int (*take)(struct compare *, const PGresult *, int, struct err *),
    struct err *err)
{
	struct buf last = { 0 };
	const char *p[1];
	PGresult *res;
	int row, n, rc = 0;

	do {
		p[0] = buf_str(&last);
		if ((res = compare_page(m, stmt, p, 1, err)) == NULL) {
			rc = -1;
			break;
		}
		n = PQntuples(res);
		for (row = 0; row < n && rc == 0; row++)
			rc = take(m, res, row, err);
		if (n > 0) {
			buf_reset(&last);
			buf_hex(&last, db_field(res, n - 1, 0).p,
			    db_field(res, n - 1, 0).n);
		}
		PQclear(res);
	} while (rc == 0 && n > 0);
	buf_free(&last);
	return rc;
}

static int
compare_certificates(struct compare *m, struct err *err)
{
	const struct chr_row *r;
	size_t i;

	if (each_serial(m, "verify_certificates", take_certificate, err) != 0)
		return -1;
	for (i = 0; i < m->c->nserial; i++) {
		r = m->c->by_serial[i];
		if (r->committed && r->claimed && !r->cert_seen &&
		    !r->overruled)
			compare_find_hex(m, COMPARE_MISSING, "certificate",
			    r->serial, CHR_SERIAL, "committed, says the "
			    "ledger, but not in the database");
	}
	return 0;
}

static int
compare_voids(struct compare *m, struct err *err)
{
	const struct chr_row *r;
	size_t i;

	if (each_serial(m, "verify_voids", take_void, err) != 0)
		return -1;
	for (i = 0; i < m->c->nserial; i++) {
		r = m->c->by_serial[i];
		if (r->voided && r->claimed && !r->void_seen)
			compare_find_hex(m, COMPARE_MISSING, "void serial",
			    r->serial, CHR_SERIAL, "void in the ledger, but "
			    "not in the database");
		if (r->overruled && r->claimed && !r->cert_seen &&
		    !r->void_seen)
			compare_find_hex(m, COMPARE_MISSING, "certificate",
			    r->serial, CHR_SERIAL, "its request was decided "
			    "otherwise in this database: it is to be void");
	}
	return 0;
}

static bool
is_configured(const struct compare *m, const char *signer)
{
	const struct cconf *conf = m->cli->conf;
	size_t i;

	for (i = 0; i < conf->nsigners; i++)
		if (strcmp(conf->signers[i].name, signer) == 0)
			return true;
	return false;
}

/*
 * What only its ledger could tell is not checked.  With a signer of his own
 * making somebody would have what he put into tables taken for that one's.
 */
static void
take_absent(struct compare *m, const char *signer, bool vault)
{
	m->all_here = false;
	if (!vault)
		m->all_tell = false;
	buf_printf(&m->absent, "%s%s", m->absent.n > 0 ? ", " : "", signer);
	if (m->without != NULL && !vault && !is_configured(m, signer) &&
	    !strlist_has(m->without, signer))
		compare_find(m, "row", "signer", signer, "has no ledger here "
		    "and no section in the configuration: name its ledger's "
		    "folder, or --without it");
}

/* Every signer has the prefix that its ledger says, and its epochs grow. */
static int
compare_signers(struct compare *m, struct err *err)
{
	const struct chr_ledger *l;
	PGresult *res;
	int64_t epoch;
	size_t i;
	int row, prefix;

	res = cli_query(m->cli, "signer_names", NULL, 0, err);
	if (res == NULL)
		return -1;
	m->all_here = m->all_tell = true;
	for (row = 0; row < PQntuples(res); row++) {
		m->known[atoi(PQgetvalue(res, row, 1)) & 0xffff] = true;
		if (!chronicle_has_signer(m->c, PQgetvalue(res, row, 0)))
			take_absent(m, PQgetvalue(res, row, 0),
			    *PQgetvalue(res, row, 2) == 't');
	}
	for (i = 0; i < m->c->nledger; i++) {
		l = &m->c->ledger[i];
		prefix = -1;
		epoch = l->epoch;
		for (row = 0; row < PQntuples(res) && l->signer != NULL;
		    row++) {
			if (strcmp(PQgetvalue(res, row, 0), l->signer) != 0)
				continue;
			prefix = atoi(PQgetvalue(res, row, 1));
			epoch = atoll(PQgetvalue(res, row, 3));
		}
		if (l->signer != NULL && prefix == -1)
			compare_find(m, COMPARE_MISSING, "signer", l->signer,
			    "has a ledger, but is not in the database");
		else if (l->prefix != 0 && prefix != (int)l->prefix)
			compare_find(m, COMPARE_MISSING, "signer", l->signer,
			    "has another prefix in its ledger");
		else if (epoch < l->epoch)
			compare_find(m, COMPARE_MISSING, "signer", l->signer,
			    "has a later epoch in its ledger");
	}
	PQclear(res);
	return 0;
}

/* Heads that the database has, and revocations that only it has yet. */
static int
read_database_side(struct compare *m, struct err *err)
{
	struct chr_revocation rev;
	PGresult *res;
	int row;

	if (compare_take_heads(m, err) != 0)
		return -1;
	if ((res = cli_query(m->cli, "verify_events", NULL, 0, err)) == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++) {
		memset(&rev, 0, sizeof rev);
		rev.ca = chronicle_ca(m->c, PQgetvalue(res, row, 0));
		rev.change = strtoll(PQgetvalue(res, row, 1), NULL, 10);
		rev.octets = (uint8_t)(PQgetlength(res, row, 2) / 2);
		if (rev.octets > sizeof rev.serial || hex_decode(PQgetvalue(
		    res, row, 2), rev.serial, rev.octets) != 0)
			continue;
		rev.released = PQgetlength(res, row, 4) == 0;
		chr_what(PQgetvalue(res, row, 3), PQgetvalue(res, row, 4),
		    PQgetvalue(res, row, 5), rev.what);
		chr_who(PQgetvalue(res, row, 6), PQgetvalue(res, row, 7),
		    rev.who);
		chronicle_add(m->c, &rev);
	}
	PQclear(res);
	return 0;
}

int
compare_queries(const struct compare *m, const struct compare_query *q,
    size_t n, struct err *err)
{
	PGresult *res;
	size_t i;
	int row;

	for (i = 0; i < n; i++) {
		res = cli_query(m->cli, q[i].stmt, NULL, 0, err);
		if (res == NULL)
			return -1;
		for (row = 0; row < PQntuples(res); row++)
			compare_find(m, "row", q[i].what,
			    PQgetvalue(res, row, 0), q[i].text);
		PQclear(res);
	}
	return 0;
}

/* Rows that no ledger is needed for to know better. */
static int
check_contradictions(struct compare *m, struct err *err)
{
	static const struct compare_query checks[] = {
		/* Requests name the policy they were decided by by its hash. */
		{ "verify_policies", "policy", "is not the text of its hash" },
		{ "verify_policies_gone", "policy", "is gone" },
		{ "verify_policies_alien", "policy", "is not in audit" },
		{ "verify_cas_gone", "ca", "is gone" },
		{ "verify_cas_alien", "ca", "is not in audit" },
		{ "verify_cas", "ca", "has another certificate or chain than "
		    "audit tells" },
		{ "verify_cas_in_use", "ca", "audit tells of another key that "
		    "issues" },
		{ "verify_apart_gone", "ca", "is behind an air gap, says "
		    "audit, but has no row that says so" },
		{ "verify_apart_alien", "ca", "has a row as one behind an air "
		    "gap, and audit does not say so" },
		{ "verify_above_gone", "list from above", "is gone" },
		{ "verify_above_alien", "list from above",
		    "is not in audit" },
		{ "verify_above", "list from above", "is not the one that was "
		    "installed last, says audit" },
		{ "verify_before_gone", "list that came with ca", "is gone" },
		{ "verify_before", "list that came with ca", "is not the one "
		    "that audit tells of" },
		{ "verify_loose_parts", "list", "has bytes and no row" },
	};

	return compare_queries(m, checks, sizeof checks / sizeof checks[0],
	    err);
}

/* Each start names the deployment: a ledger of another fits nothing here. */
static int
check_deployment(struct compare *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "policy_id", NULL, 0, err);
	size_t i;

	if (res == NULL)
		return -1;
	for (i = 0; i < m->c->nledger; i++)
		if (m->c->ledger[i].deployment != NULL &&
		    (PQntuples(res) != 1 || strcmp(m->c->ledger[i].deployment,
		    PQgetvalue(res, 0, 0)) != 0))
			compare_find(m, "chain", "ledger",
			    m->c->ledger[i].dir, "belongs to another "
			    "deployment than this database");
	PQclear(res);
	return 0;
}

int
compare_begin(struct compare *m, struct err *err)
{
	PGresult *res;

	if (cli_db(m->cli, err) != 0 || db_begin(m->cli->db, err) != 0 ||
	    (res = cli_query(m->cli, "snapshot", NULL, 0, err)) == NULL)
		return -1;
	PQclear(res);
	return 0;
}

void
compare_free(struct compare *m)
{
	if (m == NULL)
		return;
	buf_free(&m->absent);
	free(m);
}

/*
 * The database's own side first: heads that it has are held against the
 * ledgers while these are read.
 */
int
compare_all(struct compare *m, struct err *err)
{
	if (read_database_side(m, err) != 0)
		return -1;
	chronicle_read(m->c);
	chronicle_sort(m->c);
	if (check_deployment(m, err) != 0 ||
	    check_contradictions(m, err) != 0 ||
	    compare_signers(m, err) != 0 || compare_heads(m, err) != 0 ||
	    compare_requests(m, err) != 0 ||
	    compare_certificates(m, err) != 0 || compare_voids(m, err) != 0 ||
	    compare_revoked(m, err) != 0 || compare_lists(m, err) != 0 ||
	    compare_rounds(m, err) != 0 || compare_audit(m, err) != 0 ||
	    compare_accounts(m, err) != 0)
		return -1;
	return compare_responders(m, err) != 0 ? -1 : compare_ocsp(m, err);
}
