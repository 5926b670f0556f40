/*
 * OCSP responders: their keys, in memory alone, and their certificates, which
 * ocspresp.c signs with.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base64.h"
#include "certlint.h"
#include "der.h"
#include "digest.h"
#include "journal.h"
#include "log.h"
#include "oid.h"
#include "responder.h"
#include "store_crl.h"
#include "tbs.h"
#include "x509.h"

#define LIFE		(14 * INT64_C(86400))
#define RENEW		(LIFE / 2)
#define CN_MAX		64		/* ub-common-name, [RFC5280] A.1 */

struct responder {
	EVP_PKEY	*key;
	struct buf	 spki;
	uint8_t		 key_hash[20];
	uint8_t		 serial[SERIAL_LEN];
	int64_t		 not_before, not_after, renew_at;
	struct buf	 cert;
};

void
responder_free(struct responder *r)
{
	if (r == NULL)
		return;
	EVP_PKEY_free(r->key);		/* wipes */
	buf_free(&r->spki);
	buf_free(&r->cert);
	free(r);
}

struct slice
responder_cert(const struct responder *r)
{
	return buf_slice(&r->cert);
}

struct slice
responder_key_hash(const struct responder *r)
{
	return slice_of(r->key_hash, sizeof(r->key_hash));
}

int64_t
responder_not_after(const struct responder *r)
{
	return r->not_after;
}

/* P-256 with whatever key the CA has: every client of OCSP can verify it. */
static int
make_key(struct responder *r, struct err *err)
{
	struct der d, spki;
	struct slice bits;

	if ((r->key = EVP_EC_gen("P-256")) == NULL ||
	    x509_key_spki(r->key, &r->spki) == -1)
		return err_openssl(err, "ocsp key");
	der_init(&d, buf_slice(&r->spki));
	if (der_enter(&d, DER_SEQ, &spki, "ocsp key", err) == -1 ||
	    der_any(&spki, NULL, NULL, NULL, "ocsp key", err) == -1 ||
	    der_bits(&spki, &bits, "ocsp key", err) == -1)
		return -1;
	SHA1(bits.p, bits.n, r->key_hash);
	return 0;
}

static void
put_ext(struct buf *b, struct slice oid, bool critical, const struct buf *v)
{
	size_t seq = der_open(b, DER_SEQ);

	der_put_oid(b, oid);
	if (critical)
		der_put_bool(b, true);
	der_put_slice(b, DER_OCTETS, buf_slice(v));
	der_close(b, seq);
}

/* SEQUENCE with one element in it. */
static void
put_in_seq(struct buf *b, int tag, struct slice s)
{
	size_t seq = der_open(b, DER_SEQ);

	der_put_slice(b, tag, s);
	der_close(b, seq);
}

static void
put_extensions(struct buf *b, const struct responder *r, const struct ca *ca)
{
	const uint8_t digital_signature[] = { 7, 0x80 };
	size_t all = der_open(b, DER_CTXC(3)), seq = der_open(b, DER_SEQ);
	struct buf v = { 0 };

	der_put(&v, DER_OCTETS, r->key_hash, sizeof(r->key_hash));
	put_ext(b, OID_EXT_SKI, false, &v);
	buf_reset(&v);
	put_in_seq(&v, DER_CTX(0), buf_slice(&ca->ski));
	put_ext(b, OID_EXT_AKI, false, &v);
	buf_reset(&v);
	der_put(&v, DER_BIT_STRING, digital_signature,
	    sizeof(digital_signature));
	put_ext(b, OID_EXT_KEY_USAGE, true, &v);
	buf_reset(&v);
	put_in_seq(&v, DER_OID, OID_KP_OCSP);
	put_ext(b, OID_EXT_EKU, false, &v);
	buf_reset(&v);
	/* [RFC6960] 4.2.2.2.1: trusted as long as it lives, which is short. */
	der_put(&v, DER_NULL, NULL, 0);
	put_ext(b, OID_OCSP_NOCHECK, false, &v);
	buf_free(&v);
	der_close(b, seq);
	der_close(b, all);
}

static void
put_subject(struct buf *b, const struct ca *ca)
{
	size_t name = der_open(b, DER_SEQ), rdn = der_open(b, DER_SET), attr;
	char cn[CN_MAX + 1];

	snprintf(cn, sizeof(cn), "%.50s OCSP", ca->name);
	attr = der_open(b, DER_SEQ);
	der_put_oid(b, OID_CN);
	der_put_str(b, DER_UTF8, cn);
	der_close(b, attr);
	der_close(b, rdn);
	der_close(b, name);
}

static void
put_tbs(struct buf *b, const struct responder *r, const struct ca *ca)
{
	size_t tbs = der_open(b, DER_SEQ), mark = der_open(b, DER_CTXC(0));

	der_put_uint(b, 2);		/* v3 */
	der_close(b, mark);
	der_put_bigint(b, r->serial, sizeof(r->serial));
	cakey_put_sigalg(ca->key, b);
	buf_add(b, ca->cert.subject.p, ca->cert.subject.n);
	mark = der_open(b, DER_SEQ);
	der_put_time(b, r->not_before);
	der_put_time(b, r->not_after);
	der_close(b, mark);
	put_subject(b, ca);
	buf_add(b, r->spki.p, r->spki.n);
	put_extensions(b, r, ca);
	der_close(b, tbs);
}

/* Whatever the CA signs is in the ledger before. */
static int
tell_ledger(struct signer *s, const struct responder *r, const struct ca *ca,
    struct slice tbs, struct err *err)
{
	struct buf f = { 0 };
	uint8_t md[32];

	digest_sha256(tbs, md);
	ledger_field(&f, "ca", slice_str(ca->name));
	ledger_field_hex(&f, "serial", r->serial, sizeof(r->serial));
	ledger_field_hex(&f, "tbs", md, sizeof(md));
	ledger_add(s->ledger, "responder", buf_slice(&f));
	buf_free(&f);
	return journal_sync(s, err);
}

static void
tell_stored(struct signer *s, const struct responder *r, const struct ca *ca)
{
	struct buf f = { 0 }, text = { 0 };

	base64_encode(r->cert.p, r->cert.n, &text);
	ledger_field(&f, "ca", slice_str(ca->name));
	ledger_field_hex(&f, "serial", r->serial, sizeof(r->serial));
	ledger_field(&f, "certificate", buf_slice(&text));
	ledger_add(s->ledger, "responder-issued", buf_slice(&f));
	buf_free(&f);
	buf_free(&text);
}

/*
 * Whatever breaks this off leaves a certificate at most whose key nobody has
 * any more: there is nothing to settle after a crash.
 */
static int
certify(struct signer *s, struct responder *r, struct ca *ca,
    struct err *err)
{
	struct certlint_ask ask = {
		.ca_subject = ca->cert.subject, .ca_spki = ca->cert.spki,
		.ca_ski = buf_slice(&ca->ski),
		.ca_not_before = ca->not_before,
		.ca_not_after = ca->not_after, .responder = true
	};
	struct buf tbs = { 0 }, sig = { 0 };
	int rc = -1;

	put_tbs(&tbs, r, ca);
	ask.tbs = buf_slice(&tbs);
	if (certlint(&ask, err) == 0 &&
	    tell_ledger(s, r, ca, buf_slice(&tbs), err) == 0 &&
	    cakey_sign(ca->key, buf_slice(&tbs), true, &sig, err) == 0) {
		tbs_certificate(ca, buf_slice(&tbs), buf_slice(&sig),
		    &r->cert);
		rc = store_responder(s->store, ca->name, slice_of(r->serial,
		    sizeof(r->serial)), r->not_after, buf_slice(&r->cert),
		    err);
		if (rc == 0)
			tell_stored(s, r, ca);
	}
	buf_free(&tbs);
	buf_free(&sig);
	return rc;
}

/*
 * A new one while the CA's key is away would be an entry in the ledger for
 * each question, whoever asks: the last one is good for another week.
 */
static struct responder *
last_one(struct ca *ca, int64_t now, const struct err *why, struct err *err)
{
	struct responder *r = ca->responder;

	if (r != NULL && now >= r->not_before && now < r->not_after)
		return r;
	err_set(err, why->kind, "%s", why->text);
	return NULL;
}

struct responder *
responder_get(struct signer *s, struct ca *ca, int64_t now, struct err *err)
{
	struct responder *r;
	struct err why = ERR_INIT;

	if (ca->responder != NULL && now < ca->responder->renew_at &&
	    now >= ca->responder->not_before)
		return ca->responder;
	if (ca_check_time(ca, now, err) == -1)
		return NULL;
	if (cakey_ready(ca->key, &why) == -1)
		return last_one(ca, now, &why, err);
	r = xcalloc(1, sizeof(*r));
	r->not_before = now - ISSUED_EARLY > ca->not_before ?
	    now - ISSUED_EARLY : ca->not_before;
	r->not_after = now + LIFE < ca->not_after ? now + LIFE :
	    ca->not_after;
	/* In the CA's last days there is nothing to renew it to. */
	r->renew_at = now + RENEW < r->not_after ? now + RENEW :
	    r->not_after;
	if (make_key(r, err) == -1 ||
	    serial_new(now, s->prefix, r->serial, err) == -1 ||
	    certify(s, r, ca, err) == -1) {
		responder_free(r);
		return NULL;
	}
	responder_free(ca->responder);
	ca->responder = r;
	log_note("responder", "ca %s: new ocsp responder", ca->name);
	return r;
}

void
responder_put_sigalg(struct buf *b)
{
	der_put_alg(b, OID_ECDSA_SHA256, false);
}

int
responder_sign(const struct responder *r, struct slice msg, struct buf *sig,
    struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t out[80];
	size_t n = sizeof(out);
	int rc = 0;

	if (ctx == NULL || EVP_DigestSignInit_ex(ctx, NULL, "SHA2-256", NULL,
	    NULL, r->key, NULL) != 1 ||
	    EVP_DigestSign(ctx, out, &n, msg.p, msg.n) != 1)
		rc = err_openssl(err, "ocsp signature");
	else
		buf_add(sig, out, n);
	EVP_MD_CTX_free(ctx);
	return rc;
}
