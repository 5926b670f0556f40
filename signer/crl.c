/*
 * A revocation list as bytes, hashed while they pass: crlmake.c gives it
 * entries out of the database, airgap_list.c out of the book.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crl.h"
#include "der.h"
#include "ext.h"
#include "oid.h"

#define CHUNK		((size_t)256 * 1024)	/* handed on at a time */
#define SERIAL_MAX	20
#define DAY		INT64_C(86400)
#define YEAR_2050	INT64_C(2524608000)
#define YEAR_10000	INT64_C(253402300800)
/* SEQUENCE { SEQUENCE { reasonCode, OCTET STRING { ENUMERATED } } } */
#define REASON_OCTETS	14

struct crl {
	struct crl_head	 head;
	struct crl_sink	 sink;
	EVP_MD_CTX	*md;
	uint64_t	 entries;	/* octets of entries so far */
	uint64_t	 tbs;		/* octets of all so far */
	int64_t		 day;		/* the one in date[] */
	char		 date[9];	/* "20261124" */
	uint8_t		 digest[EVP_MAX_MD_SIZE];
	unsigned	 ndigest;	/* 0 before crl_end */
	struct buf	 back;		/* what ends it; its length is in front */
	struct buf	 b;
};

size_t
crl_entry_octets(const struct crl_shape *s)
{
	return 2 + 2 + s->serial_octets + s->high +
	    (s->generalized ? 17 : 15) + (s->reason ? REASON_OCTETS : 0);
}

struct crl_shape
crl_shape_of(const struct crl_entry *e)
{
	return (struct crl_shape){
		.serial_octets = e->serial.n,
		.high = e->serial.n > 0 && (e->serial.p[0] & 0x80) != 0,
		.generalized = e->at >= YEAR_2050,
		/* [RFC5280] 5.3.1: unspecified is said by saying nothing. */
		.reason = e->reason != CRL_UNSPECIFIED
	};
}

/* Hash and hand on what is in the buffer. */
static int
flush(struct crl *c, struct err *err)
{
	struct slice s = buf_slice(&c->b);

	if (s.n == 0)
		return 0;
	if (EVP_DigestUpdate(c->md, s.p, s.n) != 1)
		return err_openssl(err, "crl digest");
	if (c->sink.put(c->sink.arg, s, err) == -1)
		return -1;
	c->tbs += s.n;
	buf_reset(&c->b);
	return 0;
}

/* A tag and the length of what somebody else will write behind it. */
static void
put_head(struct buf *b, uint8_t tag, uint64_t n)
{
	uint8_t len[9], *p = len + sizeof(len);

	buf_addc(b, tag);
	if (n < 0x80) {
		buf_addc(b, (uint8_t)n);
		return;
	}
	for (; n > 0; n >>= 8)
		*--p = (uint8_t)n;
	buf_addc(b, (uint8_t)(0x80 | (len + sizeof(len) - p)));
	buf_add(b, p, (size_t)(len + sizeof(len) - p));
}

static void
put_number(struct buf *b, struct slice oid, bool critical, uint64_t n)
{
	struct ext e = ext_open(b, oid, critical);

	der_put_uint(b, n);
	ext_close(b, e);
}

/*
 * [MS-CSRA] "CRL Next Publish": from then on Windows fetches the next list
 * before somebody needs it; without it, not before this one has ended.
 */
static void
put_next_publish(struct buf *b, int64_t at)
{
	struct ext e = ext_open(b, OID_CRL_NEXT_PUBLISH, false);

	der_put_time(b, at);
	ext_close(b, e);
}

/* [RFC5280] 5.2.1 and 5.2.3: both are what every CRL must have. */
static void
put_extensions(struct buf *b, const struct crl_head *h)
{
	size_t all = der_open(b, DER_CTXC(0)), seq = der_open(b, DER_SEQ);

	ext_put_aki(b, h->ca);
	put_number(b, OID_EXT_CRL_NUMBER, false, h->number);
	/* 5.2.4: who does not know it must not take this for all. */
	if (h->base != 0)
		put_number(b, OID_EXT_DELTA_CRL, true, h->base);
	else if (h->freshest != NULL)	/* 5.2.6: never in a delta */
		ext_put_points(b, OID_EXT_FRESHEST, h->freshest, h->ca);
	put_next_publish(b, h->next_publish);
	der_close(b, seq);
	der_close(b, all);
}

/* [RFC5280] 5.1.2: the TBSCertList up to its entries, without its head. */
static void
put_front(struct buf *b, const struct crl_head *h)
{
	der_put_uint(b, 1);		/* v2 */
	cakey_put_sigalg(h->ca->key, b);
	buf_add(b, h->ca->cert.subject.p, h->ca->cert.subject.n);
	der_put_time(b, h->this_update);
	der_put_time(b, h->next_update);
	/* 5.1.2.6: absent when there are none. */
	if (h->octets > 0)
		put_head(b, DER_SEQ, h->octets);
}

struct crl *
crl_new(const struct crl_head *h, struct crl_sink sink, struct err *err)
{
	struct crl *c = xcalloc(1, sizeof(*c));
	struct buf front = { 0 };

	c->head = *h;
	c->sink = sink;
	c->day = -1;
	if ((c->md = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex(c->md, cakey_md(h->ca->key), NULL) != 1) {
		err_openssl(err, "crl digest");
		crl_free(c);
		return NULL;
	}
	put_front(&front, h);
	put_extensions(&c->back, h);
	put_head(&c->b, DER_SEQ, front.n + h->octets + c->back.n);
	buf_add(&c->b, front.p, front.n);
	buf_free(&front);
	return c;
}

void
crl_free(struct crl *c)
{
	if (c == NULL)
		return;
	EVP_MD_CTX_free(c->md);
	buf_free(&c->back);
	buf_free(&c->b);
	free(c);
}

static void
two(uint8_t *p, int64_t v)
{
	p[0] = (uint8_t)('0' + v / 10 % 10);
	p[1] = (uint8_t)('0' + v % 10);
}

/*
 * Days since 1970 to a date (of the Gregorian calendar, counted in years that
 * begin in March).  Revocations come in crowds: a day is computed once.
 */
static void
set_day(struct crl *c, int64_t day)
{
	int64_t z = day + 719468, era = z / 146097, doe = z % 146097, yoe, doy;
	int64_t y, m;

	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	m = (5 * doy + 2) / 153;
	y = yoe + era * 400 + (m >= 10);
	two((uint8_t *)c->date, y / 100);
	two((uint8_t *)c->date + 2, y);
	two((uint8_t *)c->date + 4, m < 10 ? m + 3 : m - 9);
	two((uint8_t *)c->date + 6, doy - (153 * m + 2) / 5 + 1);
	c->day = day;
}

static uint8_t *
write_time(struct crl *c, uint8_t *p, int64_t at)
{
	bool general = at >= YEAR_2050;
	int64_t s = at % DAY;

	if (at / DAY != c->day)
		set_day(c, at / DAY);
	*p++ = general ? DER_GENTIME : DER_UTCTIME;
	*p++ = general ? 15 : 13;
	memcpy(p, c->date + (general ? 0 : 2), general ? 8 : 6);
	p += general ? 8 : 6;
	two(p, s / 3600);
	two(p + 2, s / 60 % 60);
	two(p + 4, s % 60);
	p[6] = 'Z';
	return p + 7;
}

static uint8_t *
write_reason(uint8_t *p, unsigned reason)
{
	static const uint8_t head[] = {
		DER_SEQ, 12, DER_SEQ, 10, DER_OID, 3, 0x55, 0x1d, 0x15,
		DER_OCTETS, 3, DER_ENUM, 1
	};

	memcpy(p, head, sizeof(head));
	p[sizeof(head)] = (uint8_t)reason;
	return p + sizeof(head) + 1;
}

/*
 * Every length is below 128, so all of it is laid out at once; a million of
 * these is what a list is made of.
 */
int
crl_add(struct crl *c, const struct crl_entry *e, struct err *err)
{
	struct crl_shape shape = crl_shape_of(e);
	size_t n = crl_entry_octets(&shape);
	uint8_t *p;

	/* [RFC5280] 4.1.2.2; times before 1970 or without end have no form. */
	if (e->serial.n == 0 || e->serial.n > SERIAL_MAX || e->at < 0 ||
	    e->at >= YEAR_10000 || e->reason > 10 ||
	    (e->serial.n > 1 && e->serial.p[0] == 0))
		return err_set(err, ERR_INTERNAL, "crl: impossible entry");
	if (c->b.n + n > CHUNK && flush(c, err) == -1)
		return -1;
	p = buf_extend(&c->b, n);
	*p++ = DER_SEQ;
	*p++ = (uint8_t)(n - 2);
	*p++ = DER_INTEGER;
	*p++ = (uint8_t)(e->serial.n + shape.high);
	if (shape.high)
		*p++ = 0;
	memcpy(p, e->serial.p, e->serial.n);
	p = write_time(c, p + e->serial.n, e->at);
	if (shape.reason)
		write_reason(p, e->reason);
	c->entries += n;
	return 0;
}

int
crl_end(struct crl *c, struct buf *digest, struct err *err)
{
	if (c->entries != c->head.octets)
		return err_set(err, ERR_INTERNAL,
		    "crl: %llu octets of entries, %llu announced",
		    (unsigned long long)c->entries,
		    (unsigned long long)c->head.octets);
	buf_add(&c->b, c->back.p, c->back.n);
	if (flush(c, err) == -1)
		return -1;
	if (EVP_DigestFinal_ex(c->md, c->digest, &c->ndigest) != 1)
		return err_openssl(err, "crl digest");
	buf_add(digest, c->digest, c->ndigest);
	return 0;
}

int
crl_sign(struct crl *c, struct buf *first, struct buf *last, struct err *err)
{
	struct buf sig = { 0 };

	if (c->ndigest == 0)
		return err_set(err, ERR_INTERNAL, "crl: signed unfinished");
	if (cakey_sign_digest(c->head.ca->key,
	    slice_of(c->digest, c->ndigest), true, &sig, err) == -1)
		return -1;
	cakey_put_sigalg(c->head.ca->key, last);
	der_put_bits(last, sig.p, sig.n);
	put_head(first, DER_SEQ, c->tbs + last->n);
	buf_free(&sig);
	return 0;
}
