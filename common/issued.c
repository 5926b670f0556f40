/* Rows of certificates: what renewals, agents and log-ons are judged by. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "der.h"
#include "hresult.h"
#include "issued.h"
#include "serial.h"
#include "x509.h"

#define SERIAL_MAX	20	/* [RFC5280] 4.1.2.2 */

struct came {
	char		*key;
	int64_t		 at;
};

struct revoked {
	char		*key;
	struct buf	 serial;
};

struct issued_set {
	struct issued	*v;
	size_t		 n;
	struct came	*came;
	size_t		 ncame;
	struct revoked	*revoked;	/* without rows */
	size_t		 nrevoked;
};

static char *
text_of(const PGresult *r, int row, int col)
{
	struct slice	s = db_field(r, row, col);

	return xstrndup((const char *)s.p, s.n);
}

static int
read_row(struct issued *c, const PGresult *r, int row, struct err *err)
{
	struct slice	spki = db_field(r, row, 9), s;

	if (spki.n != sizeof(c->spki))
		return err_set(err, ERR_INTERNAL,
		    "database: spki_sha256 of %zu octets", spki.n);
	memcpy(c->spki, spki.p, spki.n);
	s = db_field(r, row, 0);
	buf_add(&c->serial, s.p, s.n);
	s = db_field(r, row, 1);
	buf_add(&c->der, s.p, s.n);
	c->ca = text_of(r, row, 2);
	c->account = text_of(r, row, 3);
	c->template = text_of(r, row, 4);
	c->not_before = db_int(r, row, 5);
	c->not_after = db_int(r, row, 6);
	c->revoked = db_int(r, row, 7) != 0;
	c->renewals = (unsigned)db_int(r, row, 8);
	c->chain_start = db_int(r, row, 10);
	return 0;
}

/* As PostgreSQL orders bytea. */
static bool
is_before(struct slice a, struct slice b)
{
	int	c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c != 0 ? c < 0 : a.n < b.n;
}

/*
 * As the text of an array: {"\\x01","\\x02"}; and the first and the last.
 * rows: of the renewed those that these lack.
 */
static void
put_serials(struct buf *b, const struct issued_ask *ask, size_t n,
    const struct issued_set *rows, struct slice bound[2])
{
	struct slice	s;
	size_t		i;

	buf_addc(b, '{');
	for (i = 0; i < n; i++) {
		s = serial_stored(ask[i].serial);
		if (s.n == 0 || s.n > SERIAL_MAX || (rows != NULL &&
		    (!ask[i].renewed || issued_find(rows, s) != NULL)))
			continue;
		if (b->n == 1 || is_before(s, bound[0]))
			bound[0] = s;
		if (b->n == 1 || is_before(bound[1], s))
			bound[1] = s;
		buf_puts(b, b->n > 1 ? ",\"\\\\x" : "\"\\\\x");
		buf_hex(b, s.p, s.n);
		buf_addc(b, '"');
	}
	buf_addc(b, '}');
}

static struct issued_set *
read_rows(const PGresult *r, struct err *err)
{
	struct issued_set	*set = xcalloc(1, sizeof(*set));
	size_t			 n = r != NULL ? (size_t)PQntuples(r) : 0;
	int			 rc = 0;

	set->v = xcalloc(n > 0 ? n : 1, sizeof(*set->v));
	for (; rc == 0 && set->n < n; set->n++)
		rc = read_row(&set->v[set->n], r, (int)set->n, err);
	if (rc == 0)
		return set;
	issued_free(set);
	return NULL;
}

static void
read_earlier(const PGresult *r, int row, struct issued_set *set)
{
	char		*key = text_of(r, row, 0);
	struct slice	 serial = db_field(r, row, 2);

	issued_add_came(set, key, db_int(r, row, 1));
	if (serial.n > 0)
		issued_add_revoked(set, key, serial);
	free(key);
}

static int
load_earlier(struct db *db, const struct issued_ask *ask, size_t n,
    struct issued_set *set, struct err *err)
{
	struct slice	 bound[2] = { { NULL, 0 }, { NULL, 0 } };
	struct buf	 list = { 0 };
	struct db_param	 p;
	PGresult	*r;
	int		 i;

	put_serials(&list, ask, n, set, bound);
	p = DB_TEXT(buf_str(&list));
	r = bound[0].n > 0 ? db_exec_bin(db, "earlier", &p, 1, err) : NULL;
	buf_free(&list);
	for (i = 0; r != NULL && i < PQntuples(r); i++)
		read_earlier(r, i, set);
	PQclear(r);
	return r == NULL && bound[0].n > 0 ? -1 : 0;
}

struct issued_set *
issued_load(struct db *db, const struct issued_ask *ask, size_t n,
    struct err *err)
{
	struct issued_set	*set;
	struct slice		 bound[2] = { { NULL, 0 }, { NULL, 0 } };
	struct buf		 list = { 0 };
	struct db_param		 p[3];
	PGresult		*r = NULL;

	put_serials(&list, ask, n, NULL, bound);
	p[0] = DB_TEXT(buf_str(&list));
	p[1] = DB_BIN(bound[0].p, bound[0].n);
	p[2] = DB_BIN(bound[1].p, bound[1].n);
	if (bound[0].n > 0)
		r = db_exec_bin(db, "issued", p, 3, err);
	set = r == NULL && bound[0].n > 0 ? NULL : read_rows(r, err);
	buf_free(&list);
	PQclear(r);
	if (set == NULL || load_earlier(db, ask, n, set, err) == 0)
		return set;
	issued_free(set);
	return NULL;
}

struct issued_set *
issued_new(void)
{
	return xcalloc(1, sizeof(struct issued_set));
}

void
issued_add(struct issued_set *set, struct issued *c)
{
	set->v = xreallocarray(set->v, set->n + 1, sizeof(*set->v));
	set->v[set->n++] = *c;
	memset(c, 0, sizeof(*c));
}

void
issued_add_came(struct issued_set *set, const char *key, int64_t at)
{
	set->came = xreallocarray(set->came, set->ncame + 1,
	    sizeof(*set->came));
	set->came[set->ncame++] = (struct came){ xstrdup(key), at };
}

int64_t
issued_came(const struct issued_set *set, const char *key)
{
	size_t	i;

	for (i = 0; i < set->ncame; i++)
		if (strcmp(set->came[i].key, key) == 0)
			return set->came[i].at;
	return 0;
}

void
issued_add_revoked(struct issued_set *set, const char *key,
    struct slice serial)
{
	struct revoked	*r;

	set->revoked = xreallocarray(set->revoked, set->nrevoked + 1,
	    sizeof(*set->revoked));
	r = &set->revoked[set->nrevoked++];
	*r = (struct revoked){ .key = xstrdup(key) };
	serial = serial_stored(serial);
	buf_add(&r->serial, serial.p, serial.n);
}

bool
issued_is_revoked(const struct issued_set *set, const char *key,
    struct slice serial)
{
	size_t	i;

	serial = serial_stored(serial);
	for (i = 0; i < set->nrevoked; i++)
		if (strcmp(set->revoked[i].key, key) == 0 &&
		    slice_eq(buf_slice(&set->revoked[i].serial), serial))
			return true;
	return false;
}

const struct issued *
issued_find(const struct issued_set *set, struct slice serial)
{
	size_t	i;

	serial = serial_stored(serial);
	for (i = 0; set != NULL && i < set->n; i++)
		if (slice_eq(buf_slice(&set->v[i].serial), serial))
			return &set->v[i];
	return NULL;
}

void
issued_clear(struct issued *c)
{
	buf_free(&c->serial);
	buf_free(&c->der);
	free(c->ca);
	free(c->account);
	free(c->template);
	memset(c, 0, sizeof(*c));
}

void
issued_free(struct issued_set *set)
{
	size_t	i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++)
		issued_clear(&set->v[i]);
	for (i = 0; i < set->nrevoked; i++) {
		buf_free(&set->revoked[i].serial);
		free(set->revoked[i].key);
	}
	for (i = 0; i < set->ncame; i++)
		free(set->came[i].key);
	free(set->v);
	free(set->came);
	free(set->revoked);
	free(set);
}

/* [RFC5280] 4.1, up to the validity, which is whole. */
static int
read_tbs(struct slice tbs, struct slice *serial, struct slice *validity)
{
	struct err	ignored = ERR_INIT;
	struct der	d;

	if (der_only(tbs, DER_SEQ, &d, "tbsCertificate", &ignored) == -1 ||
	    der_tlv(&d, DER_CTXC(0), NULL, "version", &ignored) == -1 ||
	    der_get(&d, DER_INTEGER, serial, "serialNumber", &ignored) == -1 ||
	    der_tlv(&d, DER_SEQ, NULL, "signature", &ignored) == -1 ||
	    der_tlv(&d, DER_SEQ, NULL, "issuer", &ignored) == -1)
		return -1;
	return der_tlv(&d, DER_SEQ, validity, "validity", &ignored);
}

bool
issued_drawn(struct slice serial, int64_t not_before)
{
	int64_t	at = serial_drawn(serial);

	return at != -1 && at > not_before - SERIAL_UNIT &&
	    at <= not_before + ISSUED_EARLY;
}

/* Its number and its times: are they a signer's, and those of the row? */
static bool
is_ours(const struct issued *c, struct slice tbs)
{
	struct buf	want = { 0 };
	struct slice	serial, validity;
	size_t		mark;
	bool		is;

	if (read_tbs(tbs, &serial, &validity) == -1)
		return false;
	mark = der_open(&want, DER_SEQ);
	der_put_time(&want, c->not_before);
	der_put_time(&want, c->not_after);
	der_close(&want, mark);
	is = slice_eq(validity, buf_slice(&want)) &&
	    issued_drawn(serial, c->not_before);
	buf_free(&want);
	return is;
}

int
issued_parts(const struct issued *c, struct slice *tbs, struct slice *alg,
    struct slice *sig)
{
	struct err	ignored = ERR_INIT;
	struct der	d;

	if (der_only(buf_slice(&c->der), DER_SEQ, &d, "certificate",
	    &ignored) == -1 ||
	    der_tlv(&d, DER_SEQ, tbs, "tbsCertificate", &ignored) == -1 ||
	    der_tlv(&d, DER_SEQ, alg, "signatureAlgorithm", &ignored) == -1 ||
	    !is_ours(c, *tbs))
		return -1;
	return der_bits(&d, sig, "signatureValue", &ignored);
}

static bool
is_signed_by(const struct issued *c, EVP_PKEY *pub)
{
	struct slice	tbs, alg, sig;

	return issued_parts(c, &tbs, &alg, &sig) == 0 &&
	    x509_signed(alg, tbs, sig, pub);
}

int
issued_prove(const struct issued *c, const struct policy *p, struct err *err)
{
	const struct policy_key	*key;

	if (policy_key_find(p, c->ca, &key) != NULL && key->pub != NULL &&
	    is_signed_by(c, key->pub))
		return 0;
	return err_deny(err, CERT_E_UNTRUSTEDROOT, "the certificate in the "
	    "database was made by no signer of ca %.60s: somebody has put it "
	    "there", c->ca);
}

static int
read_subject(const X509 *x, struct names *n, struct err *err)
{
	uint8_t	*der = NULL;
	int	 len, rc;

	len = i2d_X509_NAME(X509_get_subject_name(x), &der);
	if (len <= 0)
		return err_openssl(err, "i2d_X509_NAME");
	rc = names_parse_dn(n, slice_of(der, (size_t)len), err);
	OPENSSL_free(der);
	return rc;
}

static int
read_san(const X509 *x, struct names *n, struct err *err)
{
	const ASN1_OCTET_STRING	*value;
	int			 at;

	at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	if (at < 0)
		return 0;
	value = X509_EXTENSION_get_data(X509_get_ext(x, at));
	return names_parse_san(n, slice_of(ASN1_STRING_get0_data(value),
	    (size_t)ASN1_STRING_length(value)), err);
}

int
issued_names(const struct issued *c, struct names *out, struct err *err)
{
	struct names	 n;
	X509		*x;
	int		 rc = -1;

	memset(&n, 0, sizeof(n));
	x = x509_read(buf_slice(&c->der));
	if (x == NULL)
		return err_openssl(err, "certificate of ours");
	if (read_subject(x, &n, err) == 0 && read_san(x, &n, err) == 0)
		rc = 0;
	X509_free(x);
	if (rc == 0)
		*out = n;
	else
		names_free(&n);
	return rc;
}
