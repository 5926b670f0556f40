/*
 * Rows of issued certificates, many a second: for each a request row and a
 * certificate row with a certificate that the CA's key has signed.  A sample
 * gives the shape; serial, key (a random number, no key) and signature are
 * each row's own.  The rows lie evenly over the last days, in order of time,
 * and belong to many accounts.  Progress on standard error.
 *
 *	fill --dsn DSN --cert DER --token DER --ca-key PEM --passphrase FILE
 *	    --ca NAME --template NAME --rows N --days N --accounts N
 *	    [--part I/N]
 */
#include <arpa/inet.h>
#include <endian.h>

#include <err.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#define PG_EPOCH	INT64_C(946684800)	/* 2000-01-01, unix */
#define SERIAL_EPOCH	INT64_C(1577836800)	/* common/serial.h */
#define SERIAL_LEN	16
#define ROW_MAX		8192

struct bytes {
	uint8_t	*p;
	size_t	 n;
};

struct opts {
	const char	*dsn, *cert, *token, *key, *passphrase, *ca, *template;
	long		 rows, days, accounts, part, parts;
};

/* The sample, and where in its TBSCertificate each row differs. */
struct sample {
	struct bytes	 tbs, token, rest;	/* rest: algorithm identifier */
	size_t		 serial, modulus, spki, spki_len;
	EVP_PKEY	*key;
};

struct row {
	uint8_t		 buf[ROW_MAX];
	size_t		 n;
};

static struct bytes
read_file(const char *path)
{
	struct bytes	 b = { malloc(65536), 0 };
	FILE		*f = fopen(path, "rb");

	if (f == NULL || b.p == NULL)
		err(1, "%s", path);
	b.n = fread(b.p, 1, 65536, f);
	fclose(f);
	return b;
}

static EVP_PKEY *
read_key(const struct opts *o)
{
	struct bytes	 pass = read_file(o->passphrase);
	FILE		*f = fopen(o->key, "r");
	EVP_PKEY	*key;

	while (pass.n > 0 && pass.p[pass.n - 1] == '\n')
		pass.n--;
	pass.p[pass.n] = '\0';
	if (f == NULL ||
	    (key = PEM_read_PrivateKey(f, NULL, NULL, pass.p)) == NULL)
		errx(1, "%s: no key, or another passphrase", o->key);
	fclose(f);
	free(pass.p);
	return key;
}

static size_t
find(struct bytes in, const uint8_t *what, size_t n)
{
	const uint8_t	*at = memmem(in.p, in.n, what, n);

	if (at == NULL)
		errx(1, "the sample has another shape");
	return (size_t)(at - in.p);
}

static void
sample_read(const struct opts *o, struct sample *s)
{
	struct bytes		 der = read_file(o->cert);
	const uint8_t		*p = der.p;
	X509			*x = d2i_X509(NULL, &p, (long)der.n);
	const ASN1_INTEGER	*serial;
	const X509_ALGOR	*alg;
	const ASN1_BIT_STRING	*key;
	unsigned char		*out = NULL;

	if (x == NULL)
		errx(1, "%s: no certificate", o->cert);
	s->token = read_file(o->token);
	s->tbs.n = (size_t)i2d_re_X509_tbs(x, &s->tbs.p);
	serial = X509_get0_serialNumber(x);
	if (serial->length != SERIAL_LEN)
		errx(1, "a serial of %d bytes", serial->length);
	s->serial = find(s->tbs, serial->data, SERIAL_LEN);
	key = X509_get0_pubkey_bitstr(x);
	s->modulus = find(s->tbs, key->data, (size_t)key->length) + 20;
	s->spki_len = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &out);
	s->spki = find(s->tbs, out, s->spki_len);
	OPENSSL_free(out);
	X509_get0_signature(NULL, &alg, x);
	s->rest.n = (size_t)i2d_X509_ALGOR(alg, &s->rest.p);
	s->key = read_key(o);
	X509_free(x);
	free(der.p);
}

static void
put(struct row *r, const void *p, size_t n)
{
	if (n > sizeof(r->buf) - r->n)
		errx(1, "a row is too long");
	memcpy(r->buf + r->n, p, n);
	r->n += n;
}

/* Fields of COPY's binary format: a length, big endian, then the value. */
static void
field(struct row *r, const void *p, size_t n)
{
	uint32_t	len = htonl((uint32_t)n);

	put(r, &len, 4);
	put(r, p, n);
}

static void
field_text(struct row *r, const char *s)
{
	field(r, s, strlen(s));
}

static void
field_time(struct row *r, int64_t unix_us)
{
	int64_t	t = (int64_t)htobe64((uint64_t)(unix_us - PG_EPOCH * 1000000));

	field(r, &t, 8);
}

static void
field_int(struct row *r, int32_t v)
{
	uint32_t	be = htonl((uint32_t)v);

	field(r, &be, 4);
}

static void
row_begin(struct row *r, int fields)
{
	uint16_t	n = htons((uint16_t)fields);

	r->n = 0;
	put(r, &n, 2);
}

static size_t
der_head(uint8_t *out, uint8_t tag, size_t n)
{
	out[0] = tag;
	if (n < 128) {
		out[1] = (uint8_t)n;
		return 2;
	}
	out[1] = 0x82;
	out[2] = (uint8_t)(n >> 8);
	out[3] = (uint8_t)n;
	return 4;
}

/* The certificate around the sample's patched TBS; its length. */
static size_t
sign(const struct sample *s, uint8_t out[ROW_MAX / 2])
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	uint8_t		 sig[600], head[4], bits[5];
	size_t		 n = sizeof(sig), h, b, len;
	uint8_t		*p = out;

	if (ctx == NULL ||
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, s->tbs.p, s->tbs.n) != 1)
		errx(1, "cannot sign");
	EVP_MD_CTX_free(ctx);
	b = der_head(bits, 3, n + 1);
	bits[b++] = 0;
	len = s->tbs.n + s->rest.n + b + n;
	h = der_head(head, 0x30, len);
	p = memcpy(p, head, h);
	p = mempcpy(p + h, s->tbs.p, s->tbs.n);
	p = mempcpy(p, s->rest.p, s->rest.n);
	p = mempcpy(p, bits, b);
	p = mempcpy(p, sig, n);
	return (size_t)(p - out);
}

/* Serial, key and times of one row. */
struct what {
	int64_t		 at;		/* unix microseconds */
	uint8_t		 id[16], replay[16];
	const uint8_t	*serial;
	char		 account[32];
	uint32_t	 number;
};

static void
choose(const struct opts *o, struct sample *s, long i, struct what *w)
{
	int64_t		span = o->days * INT64_C(86400000000), now;
	uint32_t	units;
	uint16_t	day;
	uint8_t		*serial = s->tbs.p + s->serial;

	now = (int64_t)time(NULL) * 1000000;
	w->at = now - span + (int64_t)((double)span * (double)i /
	    (double)o->rows);
	units = 0x400000 + (uint32_t)((w->at / 1000000 - SERIAL_EPOCH) / 1024);
	RAND_bytes(serial + 3, SERIAL_LEN - 3);
	serial[0] = (uint8_t)(units >> 16);
	serial[1] = (uint8_t)(units >> 8);
	serial[2] = (uint8_t)units;
	serial[3] = 0xf0;	/* no signer's prefix */
	w->serial = serial;
	RAND_bytes(s->tbs.p + s->modulus, 64);
	RAND_bytes(w->id, sizeof(w->id));
	RAND_bytes(w->replay, sizeof(w->replay));
	day = htons((uint16_t)(w->at / INT64_C(86400000000)));
	memcpy(w->id, &day, 2);
	memcpy(w->replay, &day, 2);
	memcpy(&w->number, w->replay + 8, 4);
	w->number = (w->number & 0x7fffffff) | 1;
	snprintf(w->account, sizeof(w->account), "fill%ld", i % o->accounts);
}

static void
request_row(const struct opts *o, const struct sample *s,
    const struct what *w, struct row *r)
{
	int16_t	method = (int16_t)htons(4);
	uint8_t	hash[32] = { 1 };

	row_begin(r, 18);
	field_int(r, (int32_t)(w->at / INT64_C(86400000000)));
	field(r, w->id, sizeof(w->id));
	field(r, w->replay, sizeof(w->replay));
	field_int(r, (int32_t)w->number);
	field_text(r, "issued");
	field_time(r, w->at);
	field_time(r, w->at);
	field_text(r, o->ca);
	field_text(r, w->account);
	field(r, &method, 2);
	field_text(r, "worker");
	field_text(r, "signer-1");
	field_text(r, "127.0.0.1");
	field_text(r, o->template);
	field(r, hash, sizeof(hash));
	field_text(r, "issued");
	field(r, w->serial, SERIAL_LEN);
	field(r, s->token.p, s->token.n);
}

static void
certificate_row(const struct opts *o, const struct sample *s,
    const struct what *w, struct row *r)
{
	uint8_t	der[ROW_MAX / 2], md[32];
	size_t	n = sign(s, der);

	SHA256(s->tbs.p + s->spki, s->spki_len, md);
	row_begin(r, 11);
	field(r, w->serial, SERIAL_LEN);
	field_text(r, o->ca);
	field(r, w->id, sizeof(w->id));
	field_text(r, w->account);
	field_text(r, o->template);
	field_text(r, "CN=fill");
	field_text(r, "DNS:fill.demo.example");
	field_time(r, w->at);
	field_time(r, w->at + 365 * INT64_C(86400000000));
	field(r, md, sizeof(md));
	field(r, der, n);
}

static PGconn *
copy_begin(const char *dsn, const char *statement)
{
	static const uint8_t	 head[19] = "PGCOPY\n\377\r\n";
	PGconn			*c = PQconnectdb(dsn);
	PGresult		*res;

	if (PQstatus(c) != CONNECTION_OK)
		errx(1, "%s", PQerrorMessage(c));
	res = PQexec(c, statement);
	if (PQresultStatus(res) != PGRES_COPY_IN ||
	    PQputCopyData(c, (const char *)head, sizeof(head)) != 1)
		errx(1, "%s", PQerrorMessage(c));
	PQclear(res);
	return c;
}

static void
copy_end(PGconn *c)
{
	PGresult	*res;

	if (PQputCopyData(c, "\377\377", 2) != 1 ||
	    PQputCopyEnd(c, NULL) != 1)
		errx(1, "%s", PQerrorMessage(c));
	while ((res = PQgetResult(c)) != NULL) {
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			errx(1, "%s", PQresultErrorMessage(res));
		PQclear(res);
	}
	PQfinish(c);
}

static void
send_row(PGconn *c, const struct row *r)
{
	if (PQputCopyData(c, (const char *)r->buf, (int)r->n) != 1)
		errx(1, "%s", PQerrorMessage(c));
}

static void
fill(const struct opts *o, struct sample *s)
{
	PGconn		*requests, *certificates;
	struct row	 r = { .n = 0 };
	struct what	 w = { .at = 0 };
	long		 i;

	requests = copy_begin(o->dsn, "COPY countersign.request (day, id, "
	    "replay_key, number, state, received_at, decided_at, ca, account, "
	    "method, worker, signer, client_address, template, policy_hash, "
	    "message, serial, token) FROM STDIN BINARY");
	certificates = copy_begin(o->dsn, "COPY countersign.certificate "
	    "(serial, ca, request_id, account, template, subject, san, "
	    "not_before, not_after, spki_sha256, der) FROM STDIN BINARY");
	for (i = o->part; i < o->rows; i += o->parts) {
		choose(o, s, i, &w);
		request_row(o, s, &w, &r);
		send_row(requests, &r);
		certificate_row(o, s, &w, &r);
		send_row(certificates, &r);
		if (o->part == 0 && i / o->parts % 100000 == 0)
			fprintf(stderr, "%ld of %ld rows\n", i, o->rows);
	}
	copy_end(requests);
	copy_end(certificates);
}

static void
parse_option(struct opts *o, const char *name, char *arg)
{
	const struct {
		const char	 *name, **text;
		long		 *number;
	} known[] = {
		{ "dsn", &o->dsn, NULL }, { "cert", &o->cert, NULL },
		{ "token", &o->token, NULL }, { "ca-key", &o->key, NULL },
		{ "passphrase", &o->passphrase, NULL }, { "ca", &o->ca, NULL },
		{ "template", &o->template, NULL }, { "rows", NULL, &o->rows },
		{ "days", NULL, &o->days }, { "accounts", NULL, &o->accounts },
	};
	size_t	i;

	if (strcmp(name, "part") == 0 &&
	    sscanf(arg, "%ld/%ld", &o->part, &o->parts) != 2)
		errx(2, "--part I/N");
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].text != NULL)
			*known[i].text = arg;
		else
			*known[i].number = atol(arg);
	}
}

int
main(int argc, char **argv)
{
	static const struct option	longs[] = {
		{ "dsn", 1, NULL, 0 }, { "cert", 1, NULL, 0 },
		{ "token", 1, NULL, 0 }, { "ca-key", 1, NULL, 0 },
		{ "passphrase", 1, NULL, 0 }, { "ca", 1, NULL, 0 },
		{ "template", 1, NULL, 0 }, { "rows", 1, NULL, 0 },
		{ "days", 1, NULL, 0 }, { "accounts", 1, NULL, 0 },
		{ "part", 1, NULL, 0 }, { NULL, 0, NULL, 0 }
	};
	struct opts			o = { .days = 30, .accounts = 100000,
					    .parts = 1 };
	struct sample			s = { .serial = 0 };
	int				ch, ix;

	while ((ch = getopt_long(argc, argv, "", longs, &ix)) == 0)
		parse_option(&o, longs[ix].name, optarg);
	if (ch != -1 || o.dsn == NULL || o.cert == NULL || o.token == NULL ||
	    o.key == NULL || o.passphrase == NULL || o.ca == NULL ||
	    o.template == NULL || o.rows <= 0)
		errx(2, "usage: see the head of fill.c");
	sample_read(&o, &s);
	fill(&o, &s);
	return 0;
}
