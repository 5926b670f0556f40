/*
 * Revocations, lists and responders against the ledgers: a part of compare.c.
 */
#include "compare.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "rowform.h"
#include "tuple.h"
#include "x509.h"

static bool
same(const uint8_t a[CHR_DIGEST], const uint8_t b[CHR_DIGEST])
{
	return memcmp(a, b, CHR_DIGEST) == 0;
}

/* Of the same certificate as the one before? */
static bool
goes_on(const struct chronicle *c, size_t i)
{
	return i < c->nrev && i > 0 && c->rev[i].ca == c->rev[i - 1].ca &&
	    c->rev[i].octets == c->rev[i - 1].octets &&
	    memcmp(c->rev[i].serial, c->rev[i - 1].serial,
	    c->rev[i].octets) == 0;
}

/*
 * What may be in force, from *at to the end that is returned: the last that
 * was told before the database was read, and whatever came behind it.
 */
static size_t
in_force(const struct chronicle *c, size_t *at)
{
	size_t i = *at, end;

	for (end = i + 1; goes_on(c, end); end++)
		if (c->rev[end].claimed)
			*at = end;
	return end;
}

/* Columns of verify_revoked; FITS: the certificate's row says the same. */
enum { COL_CA, COL_SERIAL, COL_AT, COL_REASON, COL_UNTIL, COL_WHO, COL_NOTE,
    COL_VOID, COL_FITS, COL_CHANGE, COL_STAMPED };

/* With a lower number a row is on no delta list: see sql/150_delta.sql. */
static bool
fits_change(const struct chr_revocation *r, const PGresult *res, int row)
{
	int64_t change = strtoll(PQgetvalue(res, row, COL_CHANGE), NULL, 10);
	int64_t stamped = strtoll(PQgetvalue(res, row, COL_STAMPED), NULL,
	    10);

	return change == r->change ||
	    (change == stamped && r->change <= stamped);
}

/* Of a void serial nobody is told who and why: a signer wrote it. */
static bool
fits(const struct chr_revocation *r, const PGresult *res, int row)
{
	uint8_t what[CHR_DIGEST], who[CHR_DIGEST];

	chr_what(PQgetvalue(res, row, COL_AT), PQgetvalue(res, row,
	    COL_REASON), PQgetvalue(res, row, COL_UNTIL), what);
	chr_who(PQgetvalue(res, row, COL_WHO), PQgetvalue(res, row,
	    COL_NOTE), who);
	return !r->released && same(r->what, what) &&
	    fits_change(r, res, row) &&
	    (*PQgetvalue(res, row, COL_VOID) == 't' || same(r->who, who));
}

/* An earlier state of it: the database is old. */
static bool
was_once(const struct chronicle *c, size_t first, size_t end,
    const PGresult *res, int row)
{
	size_t i;

	for (i = first; i < end; i++)
		if (fits(&c->rev[i], res, row))
			return true;
	return false;
}

/* With a ledger missing, its entries may be the ones that count. */
static void
take_revoked(struct compare *m, const PGresult *res, int row)
{
	const char *hex = PQgetvalue(res, row, COL_SERIAL);
	struct chr_revocation *first;
	uint8_t serial[20];
	size_t n = strlen(hex) / 2, at, i, end;
	bool good = false;

	m->revoked++;
	if (n > sizeof serial || hex_decode(hex, serial, n) != 0 ||
	    *PQgetvalue(res, row, COL_FITS) != 't') {
		compare_find(m, "row", "revocation", hex,
		    "is not that of the certificate's row");
		return;
	}
	first = chronicle_revocation(m->c, PQgetvalue(res, row, COL_CA),
	    serial, n);
	if (first == NULL) {
		if (m->all_here)
			compare_find(m, "row", "revocation", hex,
			    "is in no ledger");
		else
			m->elsewhere++;
		return;
	}
	at = (size_t)(first - m->c->rev);
	end = in_force(m->c, &at);
	for (i = at; i < end; i++)
		good = good || fits(&m->c->rev[i], res, row);
	first->seen = true;
	first->good = good || !m->all_here;
	if (!good && !m->all_here)
		m->elsewhere++;
	else if (!good)
		compare_find(m, was_once(m->c, (size_t)(first - m->c->rev),
		    at, res, row) ? COMPARE_MISSING : "row", "revocation", hex,
		    m->c->rev[end - 1].released ? "ended, says the ledger" :
		    "is not what the ledger says");
}

static int
each_revoked(struct compare *m, struct err *err)
{
	struct buf ca = { 0 }, hex = { 0 };
	PGresult *res;
	int row, n;

	do {
		progress_show(m->progress, "revocations", m->revoked,
		    m->c->nrev);
		res = cli_query(m->cli, "verify_revoked", (const char *[]){
		    buf_str(&ca), buf_str(&hex) }, 2, err);
		n = res == NULL ? -1 : PQntuples(res);
		for (row = 0; row < n; row++)
			take_revoked(m, res, row);
		if (n > 0) {
			buf_reset(&ca);
			buf_puts(&ca, PQgetvalue(res, n - 1, COL_CA));
			buf_reset(&hex);
			buf_puts(&hex, PQgetvalue(res, n - 1, COL_SERIAL));
		}
		PQclear(res);
	} while (n > 0);
	buf_free(&ca);
	buf_free(&hex);
	return n;
}

#define LOW_NUMBER	"their last number is below that of a row or of the " \
			"ledger: lists would not tell the next ones"

/* A list is due when there is a higher number than it has told. */
static int
compare_changes(struct compare *m, struct err *err)
{
	struct chronicle *c = m->c;
	PGresult *res = cli_query(m->cli, "verify_changes", NULL, 0, err);
	bool low;
	size_t i;
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++) {
		i = chronicle_ca(c, PQgetvalue(res, row, 0));
		low = *PQgetvalue(res, row, 2) == 't';
		if (low || strtoll(PQgetvalue(res, row, 1), NULL, 10) <
		    chronicle_change(c, i, true))
			compare_find(m, low ? "row" : COMPARE_MISSING,
			    "changes of revocations of", c->ca.v[i],
			    LOW_NUMBER);
	}
	PQclear(res);
	return 0;
}

/*
 * Rows against ledgers, ledgers against rows, and the two tables that tell of
 * a revocation against each other.
 */
int
compare_revoked(struct compare *m, struct err *err)
{
	const struct chronicle *c = m->c;
	PGresult *res;
	size_t i, j, at, end;
	bool ended;
	int row;

	if (each_revoked(m, err) != 0)
		return -1;
	for (i = 0; i < c->nrev; i = end) {
		at = i;
		end = in_force(c, &at);
		ended = false;
		for (j = at; j < end; j++)
			ended = ended || c->rev[j].released;
		if (!c->rev[i].seen && ended)
			c->rev[i].good = true;
		else if (!c->rev[i].seen && c->rev[at].claimed)
			compare_find_hex(m, COMPARE_MISSING, "revocation",
			    c->rev[i].serial, c->rev[i].octets, "revoked, "
			    "says the ledger, but not in the database");
	}
	res = cli_query(m->cli, "verify_halves", NULL, 0, err);
	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		compare_find(m, "row", "certificate", PQgetvalue(res, row, 0),
		    "is marked as revoked, but lists do not tell it");
	PQclear(res);
	return compare_changes(m, err);
}

/*
 * The row is what was committed, and one of what was to be signed; of another
 * signer, what this one tried under the same number says nothing.
 */
static bool
list_fits(const struct chronicle *c, struct chr_list *first, const char *tbs,
    const uint8_t row[CHR_DIGEST], bool elsewhere)
{
	bool tried = false, listed = false, good_tbs = false, good_row = false;
	struct chr_list *l;

	for (l = first; l < c->list + c->nlist && l->ca == first->ca &&
	    l->number == first->number; l++) {
		l->seen = true;
		tried = tried || !l->listed;
		listed = listed || l->listed;
		good_row = good_row || (l->listed && same(l->row, row));
		good_tbs = good_tbs || (!l->listed && strcmp(l->tbs, tbs) == 0);
	}
	return (elsewhere && !listed) ||
	    ((good_row || !listed) && (good_tbs || !tried));
}

static void
take_list(struct compare *m, const PGresult *res, int row)
{
	uint8_t digest[CHR_DIGEST];
	struct buf name = { 0 }, tbs = { 0 }, tuple = { 0 };
	struct chr_list *l;
	struct tuple t;
	uint64_t number;

	m->lists++;
	tuple_of(res, row, 0, LIST_N - 1, &t);
	if (t.field[LIST_BASE].p == NULL)
		t.n = LIST_LEAST;
	buf_add(&name, t.field[LIST_CA].p, t.field[LIST_CA].n);
	buf_hex(&tbs, t.field[LIST_DIGEST].p, t.field[LIST_DIGEST].n);
	tuple_put(&tuple, &t);
	chr_digest(buf_slice(&tuple), digest);
	number = (uint64_t)slice_int(t.field[LIST_NUMBER]);
	l = chronicle_list(m->c, buf_str(&name), number);
	buf_printf(&name, " %llu", (unsigned long long)number);
	if (l == NULL && (m->all_here || slice_is(t.field[LIST_SIGNER], "")))
		compare_find(m, "row", "list", buf_str(&name),
		    "is in no ledger");
	else if (l == NULL)
		m->elsewhere++;
	else if (!list_fits(m->c, l, buf_str(&tbs), digest,
	    compare_elsewhere(m, t.field[LIST_SIGNER])))
		compare_find(m, "row", "list", buf_str(&name),
		    "is not what the ledger says");
	buf_free(&name);
	buf_free(&tbs);
	buf_free(&tuple);
}

/* [RFC5280] 5.1.1.2: the algorithm outside is the one that was signed. */
static bool
same_algorithm(struct slice tbs, struct slice outer)
{
	struct err none = ERR_INIT;
	struct slice inner;
	struct der d;

	return der_only(tbs, DER_SEQ, &d, "tbsCertList", &none) == 0 &&
	    der_get(&d, DER_INTEGER, &inner, "version", &none) == 0 &&
	    der_tlv(&d, DER_SEQ, &inner, "signature", &none) == 0 &&
	    slice_eq(inner, outer);
}

/* The bytes of a list are those that were signed. */
static bool
is_signed_list(struct slice der, const char *tbs_hex, EVP_PKEY *key)
{
	const EVP_MD *md = strlen(tbs_hex) == 96 ? EVP_sha384() :
	    EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct slice tbs, alg, sig;
	struct err none = ERR_INIT;
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	struct der list;
	unsigned n;
	bool good;

	good = ctx != NULL && key != NULL && der_only(der, DER_SEQ, &list,
	    "CertificateList", &none) == 0 && der_tlv(&list, DER_SEQ, &tbs,
	    "tbsCertList", &none) == 0 && der_tlv(&list, DER_SEQ, &alg,
	    "signatureAlgorithm", &none) == 0 && der_bits(&list, &sig,
	    "signatureValue", &none) == 0 && der_end(&list,
	    "CertificateList", &none) == 0 && same_algorithm(tbs, alg) &&
	    EVP_Digest(tbs.p, tbs.n, digest, &n, md, NULL) == 1;
	if (good) {
		hex_encode(digest, n, hex);
		good = strcmp(hex, tbs_hex) == 0 && EVP_DigestVerifyInit(ctx,
		    NULL, md, NULL, key) == 1 && EVP_DigestVerify(ctx, sig.p,
		    sig.n, tbs.p, tbs.n) == 1;
	}
	EVP_MD_CTX_free(ctx);
	return good;
}

/*
 * Columns of verify_last_lists; IS: the last complete list, or a delta that is
 * newer.
 */
enum { LAST_CA, LAST_NUMBER, LAST_OCTETS, LAST_DIGEST, LAST_CERT, LAST_IS };

/* Clients see the bytes, not the row: parts without a gap, hash, signature. */
static int
check_bytes(struct compare *m, const PGresult *last, int row,
    struct err *err)
{
	const char *p[] = { PQgetvalue(last, row, LAST_CA),
	    PQgetvalue(last, row, LAST_NUMBER) };
	PGresult *res = compare_page(m, "verify_parts", p, 2, err);
	struct buf der = { 0 }, cert = { 0 }, name = { 0 };
	X509 *x = NULL;
	bool gap = false;
	int i;

	if (res == NULL)
		return -1;
	for (i = 0; i < PQntuples(res); i++) {
		gap = gap || atoi(PQgetvalue(res, i, 1)) != i;
		buf_add(&der, PQgetvalue(res, i, 0),
		    (size_t)PQgetlength(res, i, 0));
	}
	buf_printf(&name, "%s %s", p[0], p[1]);
	if (cli_bytea(PQgetvalue(last, row, LAST_CERT), &cert, err) == 0)
		x = x509_read(buf_slice(&cert));
	/* One that was put back has no bytes, until the next is made. */
	if (i == 0 && *PQgetvalue(last, row, LAST_IS) == 't')
		compare_find(m, COMPARE_MISSING, "list", buf_str(&name),
		    "its bytes are not in the database");
	else if (i > 0 && (gap || !is_signed_list(buf_slice(&der),
	    PQgetvalue(last, row, LAST_DIGEST), X509_get0_pubkey(x))))
		compare_find(m, "row", "list", buf_str(&name),
		    "its bytes are not those that were signed");
	X509_free(x);
	PQclear(res);
	buf_free(&der);
	buf_free(&cert);
	buf_free(&name);
	return 0;
}

int
compare_lists(struct compare *m, struct err *err)
{
	const struct chr_list *l;
	struct buf name = { 0 };
	PGresult *res;
	size_t i;
	int row, rc = 0;

	if ((res = compare_page(m, "verify_lists", NULL, 0, err)) == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		take_list(m, res, row);
	PQclear(res);
	for (i = 0; i < m->c->nlist; i++) {
		l = &m->c->list[i];
		if (!l->listed || !l->claimed || l->seen)
			continue;
		buf_reset(&name);
		buf_printf(&name, "%s %llu", m->c->ca.v[l->ca],
		    (unsigned long long)l->number);
		compare_find(m, COMPARE_MISSING, "list", buf_str(&name),
		    "committed, says the ledger, but not in the database");
	}
	buf_free(&name);
	res = cli_query(m->cli, "verify_last_lists", NULL, 0, err);
	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res) && rc == 0; row++)
		rc = check_bytes(m, res, row, err);
	PQclear(res);
	return rc;
}

static struct chr_responder *
find_responder(const struct chronicle *c, struct slice serial)
{
	size_t i;

	for (i = 0; i < c->nresp; i++)
		if (slice_eq(serial, slice_of(c->resp[i].serial, CHR_SERIAL)))
			return &c->resp[i];
	return NULL;
}

/* Columns: serial, ca, signer, der, not_after. */
static bool
is_responder(const struct compare *m, const struct chr_responder *r,
    const PGresult *res, int row)
{
	struct slice der = db_field(res, row, 3), tbs;
	struct err none = ERR_INIT;
	uint8_t digest[CHR_DIGEST];
	struct der cert;
	int64_t end;
	X509 *x;
	bool good;

	if (strcmp(PQgetvalue(res, row, 1), m->c->ca.v[r->ca]) != 0 ||
	    !chronicle_is_of(m->c, r->ledger, PQgetvalue(res, row, 2)) ||
	    der_only(der, DER_SEQ, &cert, "Certificate", &none) != 0 ||
	    der_tlv(&cert, DER_SEQ, &tbs, "tbsCertificate", &none) != 0)
		return false;
	chr_digest(tbs, digest);
	good = same(digest, r->tbs);
	chr_digest(der, digest);
	if (r->has_der)
		good = good && same(digest, r->der);
	x = x509_read(der);
	good = good && x != NULL &&
	    x509_unix(X509_get0_notAfter(x), &end) == 0 &&
	    end == strtoll(PQgetvalue(res, row, 4), NULL, 10);
	X509_free(x);
	return good;
}

int
compare_responders(struct compare *m, struct err *err)
{
	PGresult *res = compare_page(m, "verify_responders", NULL, 0, err);
	struct chr_responder *r;
	struct slice serial;
	size_t i;
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++) {
		serial = db_field(res, row, 0);
		r = find_responder(m->c, serial);
		if (r != NULL)
			r->seen = true;
		if (r == NULL && !m->all_here)
			m->elsewhere++;
		else if (r == NULL || !is_responder(m, r, res, row))
			compare_find_hex(m, "row", "responder", serial.p,
			    serial.n, "is not what the ledger says");
		else {
			r->good = true;
			chr_digest(db_field(res, row, 3), r->der);
		}
	}
	PQclear(res);
	for (i = 0; i < m->c->nresp; i++)
		if (m->c->resp[i].has_der && m->c->resp[i].claimed &&
		    !m->c->resp[i].seen)
			compare_find_hex(m, COMPARE_MISSING, "responder",
			    m->c->resp[i].serial, CHR_SERIAL, "committed, "
			    "says the ledger, but not in the database");
	return 0;
}
