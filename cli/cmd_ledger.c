/*
 * Ledgers against themselves (the chain) and against the database:
 *
 *  - every certificate in a ledger has its row with the same bytes, or its
 *    serial is void;
 *  - every row was intended in the ledger of the signer that its serial
 *    number names, and where the ledger has no certificate for it (a crash
 *    between signing and writing), its TBSCertificate is the intended one;
 *  - every void serial is known to the database and has no row.
 *
 * Signers keep working meanwhile: what does not fit at first is looked at
 * once more.
 */
#include "commands.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "der.h"
#include "ledger.h"
#include "serials.h"

#define BATCH		500
#define FINDINGS_MAX	100	/* printed; the count is exact */
#define DOUBTS_MAX	100000

static const struct out_col cols[] = {
	{ "check", OUT_TEXT }, { "object", OUT_TEXT },
	{ "count", OUT_NUMBER }, { "damaged", OUT_BOOL },
	{ "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

struct verify {
	struct cli	*cli;
	struct out	*out;
	uint64_t	 findings;
	struct serials	 made;
	bool		 covered[65536]; /* signer prefixes with a ledger */
	bool		 known[65536];	/* signer prefixes in the database */
	uint64_t	 entries, issued, voids, rows, elsewhere, open;
	/* Issued entries whose rows are asked for together. */
	struct buf	 serials, hashes;
	size_t		 nbatch;
	struct serials	 doubts;	/* issued without a row, so far */
	struct serials	 strange;	/* rows without an intent, so far */
	struct serials	 unsigned_rows;	/* rows with an intent only */
	bool		 down;		/* the database failed, not a ledger */
};

static PGresult *
query(struct verify *v, const char *stmt, const char *const *p, int n,
    struct err *err)
{
	PGresult *res = cli_query(v->cli, stmt, p, n, err);

	if (res == NULL)
		v->down = true;
	return res;
}

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

static void
finding(struct verify *v, const char *check, const char *object,
    const char *text)
{
	v->cli->code = EXIT_DAMAGED;
	if (v->findings++ >= FINDINGS_MAX)
		return;
	out_add(v->out, check);
	out_add(v->out, object);
	out_add(v->out, NULL);
	out_bool(v->out, true);
	out_add(v->out, text);
}

static void
finding_serial(struct verify *v, const char *check, const uint8_t *octets,
    const char *text)
{
	char hex[2 * SERIAL_OCTETS + 1];

	hex_encode(octets, SERIAL_OCTETS, hex);
	finding(v, check, hex, text);
}

/* A list parameter: {a,b,c}; hex needs no quotes. */
static void
list_add(struct buf *b, const char *hex)
{
	buf_addc(b, b->n == 0 ? '{' : ',');
	buf_puts(b, hex);
}

/*
 * Rows of "ledger_missing": serial, hash of the row's certificate or NULL,
 * and whether the database has the serial as void.
 */
static void
missing(struct verify *v, const PGresult *res, int row)
{
	const char *hex = PQgetvalue(res, row, 0);
	uint8_t octets[SERIAL_OCTETS];

	if (!PQgetisnull(res, row, 1))
		finding(v, "issued", hex, "the database has another "
		    "certificate with this serial number");
	else if (*PQgetvalue(res, row, 2) == 't')
		return;
	else if (v->doubts.n >= DOUBTS_MAX ||
	    hex_decode(hex, octets, SERIAL_OCTETS) != 0)
		finding(v, "issued", hex,
		    "in the ledger, but not in the database");
	else
		serials_add(&v->doubts, octets, NULL);
}

static int
flush(struct verify *v, struct err *err)
{
	PGresult *res;
	int row;

	if (v->nbatch == 0)
		return 0;
	buf_addc(&v->serials, '}');
	buf_addc(&v->hashes, '}');
	res = query(v, "ledger_missing", (const char *[]){
	    buf_str(&v->serials), buf_str(&v->hashes) }, 2, err);
	buf_reset(&v->serials);
	buf_reset(&v->hashes);
	v->nbatch = 0;
	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		missing(v, res, row);
	PQclear(res);
	return 0;
}

static int
bad_entry(const struct ledger_entry *e, const char *field, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "ledger: line %llu: bad %s",
	    (unsigned long long)e->seq, field);
}

static int
get_hex(const struct ledger_entry *e, const char *field, uint8_t octets[16],
    struct err *err)
{
	struct buf b = { 0 };
	int rc = -1;

	if (ledger_get(e, field, &b) == 0 && b.n == 32)
		rc = hex_decode(buf_str(&b), octets, 16);
	buf_free(&b);
	return rc == 0 ? 0 : bad_entry(e, field, err);
}

static int
take_start(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	struct buf name = { 0 };
	PGresult *res = NULL;
	int rc = 0;

	if (ledger_get(e, "signer", &name) != 0)
		rc = bad_entry(e, "signer", err);
	else if ((res = query(v, "signer_prefix", (const char *[]){
	    buf_str(&name) }, 1, err)) == NULL)
		rc = -1;
	else if (PQntuples(res) == 0)
		finding(v, "signer", buf_str(&name),
		    "has a ledger, but is not in the database");
	else
		v->covered[atoi(PQgetvalue(res, 0, 0)) & 0xffff] = true;
	PQclear(res);
	buf_free(&name);
	return rc;
}

static int
take_intent(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	uint8_t octets[SERIAL_OCTETS], id[16];

	if (get_hex(e, "serial", octets, err) != 0 ||
	    get_hex(e, "id", id, err) != 0)
		return -1;
	serials_add(&v->made, octets, id);
	return 0;
}

/* The intent's end; an end without an intent is damage. */
static int
ended(struct verify *v, const struct ledger_entry *e, uint8_t *octets,
    enum serial_state state, struct err *err)
{
	struct serial *s;

	if (get_hex(e, "serial", octets, err) != 0)
		return -1;
	if ((s = serials_find(&v->made, octets)) == NULL)
		finding_serial(v, e->type, octets, "without an intent");
	else
		s->state = state;
	return 0;
}

static int
take_issued(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	char hex[2 * SERIAL_OCTETS + 1], hash[65];
	struct buf b64 = { 0 }, der = { 0 };
	uint8_t octets[SERIAL_OCTETS], md[32];
	int rc;

	rc = ended(v, e, octets, SERIAL_ISSUED, err);
	if (rc == 0 && (ledger_get(e, "certificate", &b64) != 0 ||
	    base64_decode((const char *)b64.p, b64.n, 64 * 1024, &der,
	    err) != 0))
		rc = bad_entry(e, "certificate", err);
	if (rc == 0) {
		EVP_Digest(der.p, der.n, md, NULL, EVP_sha256(), NULL);
		hex_encode(md, sizeof md, hash);
		hex_encode(octets, sizeof octets, hex);
		list_add(&v->serials, hex);
		list_add(&v->hashes, hash);
		v->issued++;
		if (++v->nbatch == BATCH)
			rc = flush(v, err);
	}
	buf_free(&b64);
	buf_free(&der);
	return rc;
}

static int
take_void(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	uint8_t octets[SERIAL_OCTETS];

	v->voids++;
	return ended(v, e, octets, SERIAL_VOID, err);
}

/* Ids of requests without a certificate stand there, too. */
static int
take_done(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	struct buf ids = { 0 };
	struct serial *s;
	uint8_t id[16];
	char *at, *one;
	int rc = 0;

	if (ledger_get(e, "ids", &ids) != 0)
		rc = bad_entry(e, "ids", err);
	at = rc == 0 ? buf_str(&ids) : NULL;
	while (rc == 0 && (one = strsep(&at, ",")) != NULL) {
		if (strlen(one) != 32 || hex_decode(one, id, 16) != 0)
			rc = bad_entry(e, "ids", err);
		else if ((s = serials_by_id(&v->made, id)) != NULL)
			s->done = true;
	}
	buf_free(&ids);
	return rc;
}

/*
 * A list of that number in the database must be the one that was signed; none
 * is no damage: a signer that is killed signs the next number.
 */
static int
take_crl(struct verify *v, const struct ledger_entry *e, struct err *err)
{
	struct buf ca = { 0 }, number = { 0 }, digest = { 0 }, what = { 0 };
	PGresult *res = NULL;
	int rc = 0;

	if (ledger_get(e, "ca", &ca) != 0 ||
	    ledger_get(e, "number", &number) != 0 ||
	    ledger_get(e, "tbs", &digest) != 0)
		rc = bad_entry(e, "ca, number or tbs", err);
	else if ((res = query(v, "ledger_crl", (const char *[]){
	    buf_str(&ca), buf_str(&number), buf_str(&digest) }, 3,
	    err)) == NULL)
		rc = -1;
	else if (PQntuples(res) > 0) {
		buf_printf(&what, "%s %s", buf_str(&ca), buf_str(&number));
		finding(v, "crl", buf_str(&what),
		    "the database has another list of this number");
	}
	PQclear(res);
	buf_free(&ca);
	buf_free(&number);
	buf_free(&digest);
	buf_free(&what);
	return rc;
}

static int
take_entry(void *arg, const struct ledger_entry *e, struct err *err)
{
	static const struct {
		const char	*type;
		int		(*take)(struct verify *,
				    const struct ledger_entry *, struct err *);
	} types[] = {
		{ "start", take_start }, { "intent", take_intent },
		{ "issued", take_issued }, { "void", take_void },
		{ "done", take_done }, { "crl", take_crl },
	};
	struct verify *v = arg;
	size_t i;

	v->entries++;
	for (i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(types[i].type, e->type) == 0)
			return types[i].take(v, e, err);
	return 0;
}

/* -1 only when the database is gone; damage is a finding. */
static int
walk_one(struct verify *v, const char *dir, struct err *err)
{
	struct err why = ERR_INIT;

	v->entries = 0;
	if (ledger_walk(dir, take_entry, v, &why) != 0) {
		if (v->down)
			return err_set(err, why.kind, "%s", why.text);
		finding(v, "chain", dir, why.text);
	} else
		result(v, "chain", dir, v->entries);
	return 0;
}

static void
find_doubles(struct verify *v)
{
	size_t i;

	for (i = 1; i < v->made.n; i++)
		if (memcmp(v->made.v[i - 1].octets, v->made.v[i].octets,
		    SERIAL_OCTETS) == 0)
			finding_serial(v, "intent", v->made.v[i].octets,
			    "the same serial number twice");
}

/* Which signer made it stands in octets 3 and 4. */
static void
take_row(struct verify *v, const char *hex)
{
	uint8_t octets[SERIAL_OCTETS];
	struct serial *s;
	unsigned prefix;

	if (strlen(hex) != 2 * SERIAL_OCTETS ||
	    hex_decode(hex, octets, SERIAL_OCTETS) != 0) {
		finding(v, "row", hex, "not a serial number of ours");
		return;
	}
	prefix = (unsigned)octets[3] << 8 | octets[4];
	v->rows++;
	if ((s = serials_find(&v->made, octets)) != NULL) {
		if (s->state == SERIAL_VOID)
			finding(v, "row", hex, "is void in the ledger");
		else if (s->state == SERIAL_INTENT) {
			s->state = SERIAL_ROW;
			serials_add(&v->unsigned_rows, octets, NULL);
		}
	} else if (!v->covered[prefix] && v->known[prefix])
		v->elsewhere++;
	else if (v->strange.n < DOUBTS_MAX)
		serials_add(&v->strange, octets, NULL);
	else
		finding(v, "row", hex, "not in the ledger of its signer");
}

/* All serials of a table, a page at a time. */
static int
each_serial(struct verify *v, const char *stmt,
    void (*take)(struct verify *, const char *), struct err *err)
{
	char last[64] = "";
	PGresult *res;
	int row, n;

	do {
		res = query(v, stmt, (const char *[]){ last }, 1,
		    err);
		if (res == NULL)
			return -1;
		n = PQntuples(res);
		for (row = 0; row < n; row++)
			take(v, PQgetvalue(res, row, 0));
		if (n > 0)
			snprintf(last, sizeof last, "%s",
			    PQgetvalue(res, n - 1, 0));
		PQclear(res);
	} while (n > 0);
	return 0;
}

/* Marks the void serials that the database knows. */
static void
take_void_row(struct verify *v, const char *hex)
{
	uint8_t octets[SERIAL_OCTETS];
	struct serial *s;

	if (strlen(hex) == 2 * SERIAL_OCTETS &&
	    hex_decode(hex, octets, SERIAL_OCTETS) == 0 &&
	    (s = serials_find(&v->made, octets)) != NULL &&
	    s->state == SERIAL_VOID)
		s->state = SERIAL_ROW;
}

static void
take_contradiction(struct verify *v, const char *hex)
{
	finding(v, "void", hex, "void in the database, and has a row there");
}

static void
find_open(struct verify *v)
{
	const struct serial *s;
	size_t i;

	for (i = 0; i < v->made.n; i++) {
		s = &v->made.v[i];
		if (s->state == SERIAL_INTENT && s->done)
			finding_serial(v, "intent", s->octets, "committed, "
			    "says the ledger, but not in the database");
		else if (s->state == SERIAL_INTENT)
			v->open++;
		else if (s->state == SERIAL_VOID)
			finding_serial(v, "void", s->octets,
			    "void in the ledger, but not in the database");
	}
}

/* The second look: intents that were written since, and their TBS hashes. */
static int
compare_tbs(struct verify *v, const struct ledger_entry *e,
    const uint8_t *octets, struct err *err)
{
	char hex[2 * SERIAL_OCTETS + 1], hash[65] = "";
	struct err unparsed = ERR_INIT;
	struct buf want = { 0 }, der = { 0 };
	const char *p[] = { hex };
	struct slice tbs;
	struct der cert;
	uint8_t md[32];
	PGresult *res;
	int rc = -1;

	hex_encode(octets, SERIAL_OCTETS, hex);
	if ((res = query(v, "cert_der", p, 1, err)) == NULL)
		return -1;
	if (PQntuples(res) == 0 ||
	    cli_bytea(PQgetvalue(res, 0, 0), &der, err) == 0)
		rc = 0;
	if (rc == 0 && der_only(buf_slice(&der), DER_SEQ, &cert,
	    "Certificate", &unparsed) == 0 && der_tlv(&cert, DER_SEQ, &tbs,
	    "tbsCertificate", &unparsed) == 0) {
		EVP_Digest(tbs.p, tbs.n, md, NULL, EVP_sha256(), NULL);
		hex_encode(md, sizeof md, hash);
	}
	if (rc == 0 && (ledger_get(e, "tbs", &want) != 0 ||
	    strcmp(buf_str(&want), hash) != 0))
		finding(v, "row", hex, "is not what the ledger intended");
	PQclear(res);
	buf_free(&want);
	buf_free(&der);
	return rc;
}

static int
second_look(void *arg, const struct ledger_entry *e, struct err *err)
{
	uint8_t octets[SERIAL_OCTETS];
	struct verify *v = arg;
	struct serial *s;

	if (strcmp(e->type, "intent") != 0)
		return 0;
	if (get_hex(e, "serial", octets, err) != 0)
		return -1;
	if ((s = serials_find(&v->strange, octets)) != NULL)
		s->state = SERIAL_ROW;
	if (serials_find(&v->unsigned_rows, octets) != NULL)
		return compare_tbs(v, e, octets, err);
	return 0;
}

static int
look_again(struct verify *v, const struct strlist *dirs, struct err *err)
{
	struct err why = ERR_INIT;
	size_t i;

	serials_sort(&v->strange);
	serials_sort(&v->unsigned_rows);
	if (v->strange.n == 0 && v->unsigned_rows.n == 0)
		return 0;
	for (i = 0; i < dirs->n; i++)
		if (ledger_walk(dirs->v[i], second_look, v, &why) != 0 &&
		    v->down)
			return err_set(err, why.kind, "%s", why.text);
	for (i = 0; i < v->strange.n; i++)
		if (v->strange.v[i].state == SERIAL_INTENT)
			finding_serial(v, "row", v->strange.v[i].octets,
			    "not in the ledger of its signer");
	return 0;
}

/* Certificates whose transaction may just have been on its way. */
static int
ask_again(struct verify *v, struct err *err)
{
	char hex[2 * SERIAL_OCTETS + 1];
	PGresult *res;
	size_t i;

	if (v->doubts.n > 0)
		sleep(2);
	for (i = 0; i < v->doubts.n; i++) {
		hex_encode(v->doubts.v[i].octets, SERIAL_OCTETS, hex);
		res = query(v, "ledger_known",
		    (const char *[]){ hex }, 1, err);
		if (res == NULL)
			return -1;
		if (PQntuples(res) == 0)
			finding(v, "issued", hex,
			    "in the ledger, but not in the database");
		PQclear(res);
	}
	return 0;
}

static int
read_prefixes(struct verify *v, struct err *err)
{
	PGresult *res = query(v, "signer_all", NULL, 0, err);
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		v->known[atoi(PQgetvalue(res, row, 0)) & 0xffff] = true;
	PQclear(res);
	return 0;
}

static int
verify(struct verify *v, const struct strlist *dirs, struct err *err)
{
	size_t i;

	for (i = 0; i < dirs->n; i++)
		if (walk_one(v, dirs->v[i], err) != 0)
			return -1;
	if (flush(v, err) != 0)
		return -1;
	serials_sort(&v->made);
	find_doubles(v);
	if (read_prefixes(v, err) != 0 ||
	    each_serial(v, "ledger_rows", take_row, err) != 0 ||
	    each_serial(v, "ledger_voids", take_void_row, err) != 0 ||
	    each_serial(v, "ledger_both", take_contradiction, err) != 0)
		return -1;
	find_open(v);
	if (look_again(v, dirs, err) != 0 || ask_again(v, err) != 0)
		return -1;
	result(v, "intents", NULL, v->made.n);
	result(v, "certificates", NULL, v->issued);
	result(v, "void serials", NULL, v->voids);
	result(v, "intents without an end", NULL, v->open);
	result(v, "rows", NULL, v->rows);
	result(v, "rows of other signers", NULL, v->elsewhere);
	result(v, "damages", NULL, v->findings);
	return 0;
}

static void
verify_free(struct verify *v)
{
	serials_free(&v->made);
	serials_free(&v->doubts);
	serials_free(&v->strange);
	serials_free(&v->unsigned_rows);
	buf_free(&v->serials);
	buf_free(&v->hashes);
	free(v);
}

int
cmd_ledger_verify(struct cli *c, const struct args *a, struct err *err)
{
	struct strlist dirs = { 0 };
	struct verify *v;
	size_t i;
	int rc;

	if (cli_db(c, err) != 0)
		return -1;
	dirs.v = xcalloc(ARGS_MAX + c->conf->ledgers.n, sizeof *dirs.v);
	for (i = 0; i < a->npos; i++)
		dirs.v[dirs.n++] = xstrdup(a->pos[i]);
	for (i = 0; a->npos == 0 && i < c->conf->ledgers.n; i++)
		dirs.v[dirs.n++] = xstrdup(c->conf->ledgers.v[i]);
	if (dirs.n == 0)
		rc = err_set(err, ERR_DENIED, "%.100s: no ledger",
		    c->conf->path);
	else {
		v = xcalloc(1, sizeof *v);
		v->cli = c;
		v->out = out_new(cols, OUT_TABLE);
		rc = verify(v, &dirs, err);
		if (cli_print(c, v->out, err) != 0)
			rc = -1;
		verify_free(v);
	}
	strlist_free(&dirs);
	return rc;
}
