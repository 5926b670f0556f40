/* Builds requests of every form, right and wrong, with keys of its own. */
#ifndef REQ_FIXTURE_H
#define REQ_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "der.h"
#include "oid.h"
#include "request.h"

enum inner { INNER_GOOD, INNER_BAD, INNER_NULL, INNER_NULL_WRONG,
    INNER_NULL_SHA1, INNER_GOOD_SHA1, INNERS };

static inline void
put_hash_alg(struct buf *b, const EVP_MD *md)
{
	size_t m = der_open(b, DER_SEQ);

	der_put_oid(b, md == EVP_sha1() ? OID_SHA1 : OID_SHA256);
	der_close(b, m);
}

static inline void
put_ecdsa_alg(struct buf *b, const EVP_MD *md)
{
	size_t m = der_open(b, DER_SEQ);

	der_put_oid(b, md == EVP_sha1() ? OID_ECDSA_SHA1 : OID_ECDSA_SHA256);
	der_close(b, m);
}

static inline void
put_digest(struct buf *b, const EVP_MD *md, struct slice msg)
{
	uint8_t h[EVP_MAX_MD_SIZE];
	unsigned n;

	assert_int_equal(EVP_Digest(msg.p, msg.n, h, &n, md, NULL), 1);
	buf_add(b, h, n);
}

static inline void
put_signed(struct buf *b, EVP_PKEY *key, const EVP_MD *md, struct slice msg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[1100];
	size_t n = sizeof(sig);

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, msg.p, msg.n), 1);
	EVP_MD_CTX_free(ctx);
	buf_add(b, sig, n);
}

static inline void
put_spki(struct buf *b, EVP_PKEY *key)
{
	uint8_t *p = NULL;
	int n = i2d_PUBKEY(key, &p);

	assert_true(n > 0);
	buf_add(b, p, (size_t)n);
	OPENSSL_free(p);
}

/* { type, SET { value } } */
static inline void
put_attr(struct buf *b, struct slice oid, struct slice value)
{
	size_t a = der_open(b, DER_SEQ), s;

	der_put_oid(b, oid);
	s = der_open(b, DER_SET);
	buf_add(b, value.p, value.n);
	der_close(b, s);
	der_close(b, a);
}

static inline void
put_ext(struct buf *b, struct slice oid, bool critical, struct slice value)
{
	size_t e = der_open(b, DER_SEQ);

	der_put_oid(b, oid);
	if (critical)
		der_put_bool(b, true);
	der_put_slice(b, DER_OCTETS, value);
	der_close(b, e);
}

/* extensionRequest of the extensions in content. */
static inline void
put_ext_request(struct buf *b, struct slice oid, struct slice content)
{
	struct buf list = { 0 };

	der_put_slice(&list, DER_SEQ, content);
	put_attr(b, oid, buf_slice(&list));
	buf_free(&list);
}

static inline void
put_bmp(struct buf *b, const char *ascii)
{
	size_t m = der_open(b, DER_BMP);

	for (; *ascii != '\0'; ascii++) {
		buf_addc(b, 0);
		buf_addc(b, (uint8_t)*ascii);
	}
	der_close(b, m);
}

static inline void
put_pair(struct buf *b, const char *name, const char *value)
{
	size_t m = der_open(b, DER_SEQ);

	put_bmp(b, name);
	put_bmp(b, value);
	der_close(b, m);
}

static inline void
put_inner_sig(struct buf *b, EVP_PKEY *key, enum inner how, struct slice info)
{
	struct buf sig = { 0 };
	const EVP_MD *md = how == INNER_NULL_SHA1 || how == INNER_GOOD_SHA1 ?
	    EVP_sha1() : EVP_sha256();
	struct slice msg = info;

	if (how == INNER_BAD || how == INNER_NULL_WRONG)
		msg.n--;
	if (how == INNER_GOOD || how == INNER_BAD || how == INNER_GOOD_SHA1) {
		put_ecdsa_alg(b, md);
		put_signed(&sig, key, md, msg);
	} else {
		put_hash_alg(b, md);
		put_digest(&sig, md, msg);
	}
	der_put_bits(b, sig.p, sig.n);
	buf_free(&sig);
}

/* CertificationRequest with CN=fixture; attrs is the [0], or nothing. */
static inline void
put_csr_with(struct buf *b, EVP_PKEY *key, struct slice attrs, enum inner how)
{
	struct buf info = { 0 };
	struct names n = { 0 };
	struct err err = ERR_INIT;
	size_t m = der_open(&info, DER_SEQ);

	der_put_uint(&info, 0);
	names_add_rdn(&n, "CN", "fixture");
	assert_int_equal(names_put_dn(&n, &info, &err), 0);
	names_free(&n);
	put_spki(&info, key);
	buf_add(&info, attrs.p, attrs.n);
	der_close(&info, m);
	m = der_open(b, DER_SEQ);
	buf_add(b, info.p, info.n);
	put_inner_sig(b, key, how, buf_slice(&info));
	der_close(b, m);
	buf_free(&info);
}

/* attrs is the content of [0]. */
static inline void
put_csr(struct buf *b, EVP_PKEY *key, struct slice attrs, enum inner how)
{
	struct buf list = { 0 };

	der_put_slice(&list, DER_CTXC(0), attrs);
	put_csr_with(b, key, buf_slice(&list), how);
	buf_free(&list);
}

/* A self-signed certificate of this key, to sign renewals with. */
/* A certificate with its own signature; it begins and ends so many seconds
 * from now. */
static inline void
put_cert_of(struct buf *b, EVP_PKEY *key, long serial, long from, long until)
{
	X509 *x = X509_new();
	uint8_t *p = NULL;
	int n;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_UTF8, (const unsigned char *)"old", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	n = i2d_X509(x, &p);
	buf_add(b, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(x);
}

static inline void
put_cert(struct buf *b, EVP_PKEY *key, long serial)
{
	put_cert_of(b, key, serial, -60, 86400);
}

enum outer { OUTER_KEY, OUTER_KEY_BAD, OUTER_NO_SIGN, OUTER_CERT, OUTER_NONE,
    OUTER_CERT_BARE, OUTER_KEY_WRONG_SKI, OUTER_KEY_BARE, OUTER_CERT_SHA1,
    OUTER_KEY_SHA1, OUTER_NO_TYPE, OUTER_NO_DIGEST, OUTER_WRONG_TYPE,
    OUTER_WRONG_DIGEST, OUTER_NO_SIGN_WRONG,
    OUTER_CERT_2, OUTER_CERT_3, OUTERS };

struct cms_make {
	struct slice	 type;		/* eContentType */
	struct slice	 content;
	EVP_PKEY	*key;		/* of the request */
	EVP_PKEY	*old;		/* of cert */
	struct slice	 cert;		/* included when not empty */
	struct slice	 more[2];	/* certificates 2 and 3, of old's key */
	struct slice	 attr;		/* one more signed attribute */
	struct slice	 other;		/* in its place, with the last signer */
	unsigned	 silent;	/* bits: signers without it */
	struct slice	 digests;	/* more of digestAlgorithms */
	struct slice	 crls;		/* TLV, behind the certificates */
	struct slice	 unsigned_attrs; /* content of [1] ... */
	size_t		 unsigned_at;	/* ... of this signer */
	enum outer	 signer[4];
	size_t		 nsigner;
};

static inline const EVP_MD *
outer_md(enum outer how)
{
	return how == OUTER_CERT_SHA1 || how == OUTER_KEY_SHA1 ? EVP_sha1() :
	    EVP_sha256();
}

static inline bool
outer_by_cert(enum outer how)
{
	return how == OUTER_CERT || how == OUTER_CERT_BARE ||
	    how == OUTER_CERT_SHA1 || how >= OUTER_CERT_2;
}

static inline void
put_sid(struct buf *b, const struct cms_make *c, enum outer how)
{
	struct buf spki = { 0 }, ski = { 0 };
	struct err err = ERR_INIT;
	struct pubkey *k;
	uint8_t hash[20];
	X509 *x;
	struct slice cert = how < OUTER_CERT_2 ? c->cert :
	    c->more[how - OUTER_CERT_2];
	const uint8_t *p = cert.p;
	uint8_t *name = NULL;
	size_t m;
	int n;

	if (!outer_by_cert(how)) {
		put_spki(&spki, how == OUTER_KEY_WRONG_SKI ? c->old : c->key);
		k = pubkey_parse(buf_slice(&spki), &err);
		assert_non_null(k);
		pubkey_ski(k, hash);
		der_put(b, DER_CTX(0), hash, sizeof(hash));
		pubkey_free(k);
	} else {
		x = d2i_X509(NULL, &p, (long)cert.n);
		assert_non_null(x);
		m = der_open(b, DER_SEQ);
		n = i2d_X509_NAME(X509_get_issuer_name(x), &name);
		buf_add(b, name, (size_t)n);
		OPENSSL_free(name);
		der_put_uint(b, (uint64_t)ASN1_INTEGER_get(
		    X509_get_serialNumber(x)));
		der_close(b, m);
		X509_free(x);
	}
	buf_free(&spki);
	buf_free(&ski);
}

/* Sorted as DER wants it: contentType is the shortest. */
static inline void
put_signed_attrs(struct buf *b, const struct cms_make *c, size_t i)
{
	enum outer how = c->signer[i];
	struct slice attr = i + 1 == c->nsigner && c->other.n != 0 ?
	    c->other : c->attr;
	struct buf v = { 0 };

	if (how != OUTER_NO_TYPE) {
		der_put_oid(&v, how == OUTER_WRONG_TYPE ?
		    OID_CCT_PKI_RESPONSE : c->type);
		put_attr(b, OID_CONTENT_TYPE, buf_slice(&v));
	}
	buf_reset(&v);
	if (how != OUTER_NO_DIGEST) {
		put_digest(&v, outer_md(how), how == OUTER_WRONG_DIGEST ?
		    c->type : c->content);
		struct buf o = { 0 };
		der_put_slice(&o, DER_OCTETS, buf_slice(&v));
		put_attr(b, OID_MESSAGE_DIGEST, buf_slice(&o));
		buf_free(&o);
	}
	if ((c->silent & 1u << i) == 0)
		buf_add(b, attr.p, attr.n);
	buf_free(&v);
}

static inline void
put_signer(struct buf *b, const struct cms_make *c, size_t i)
{
	enum outer how = c->signer[i];
	struct buf attrs = { 0 }, set = { 0 }, sig = { 0 };
	struct slice msg = c->content;
	size_t m = der_open(b, DER_SEQ), a;

	der_put_uint(b, outer_by_cert(how) ? 1 : 3);
	put_sid(b, c, how);
	put_hash_alg(b, outer_md(how));
	if (how != OUTER_CERT_BARE && how != OUTER_KEY_BARE) {
		put_signed_attrs(&attrs, c, i);
		der_put_slice(b, DER_CTXC(0), buf_slice(&attrs));
		der_put_slice(&set, DER_SET, buf_slice(&attrs));
		msg = buf_slice(&set);
	}
	if (how == OUTER_NO_SIGN || how == OUTER_NO_SIGN_WRONG) {
		a = der_open(b, DER_SEQ);
		der_put_oid(b, OID_NO_SIGNATURE);
		der_put(b, DER_NULL, NULL, 0);
		der_close(b, a);
		put_digest(&sig, EVP_sha256(), how == OUTER_NO_SIGN ? msg :
		    c->type);
	} else {
		put_ecdsa_alg(b, outer_md(how));
		put_signed(&sig, outer_by_cert(how) || how == OUTER_KEY_BAD ||
		    how == OUTER_KEY_WRONG_SKI ? c->old : c->key,
		    outer_md(how), msg);
	}
	der_put_slice(b, DER_OCTETS, buf_slice(&sig));
	if (i == c->unsigned_at && c->unsigned_attrs.n != 0)
		der_put_slice(b, DER_CTXC(1), c->unsigned_attrs);
	der_close(b, m);
	buf_free(&attrs);
	buf_free(&set);
	buf_free(&sig);
}

static inline void
put_digests(struct buf *b, const struct cms_make *c)
{
	bool sha1 = false, sha256 = c->nsigner == 0;
	size_t i, m = der_open(b, DER_SET);

	for (i = 0; i < c->nsigner; i++)
		if (outer_md(c->signer[i]) == EVP_sha1())
			sha1 = true;
		else
			sha256 = true;
	if (sha1)
		put_hash_alg(b, EVP_sha1());
	if (sha256)
		put_hash_alg(b, EVP_sha256());
	buf_add(b, c->digests.p, c->digests.n);
	der_close(b, m);
}

static inline void
put_cms(struct buf *b, const struct cms_make *c)
{
	bool v3 = !slice_eq(c->type, OID_PKCS7_DATA);
	size_t i, info = der_open(b, DER_SEQ), ctx, sd, m, o;

	for (i = 0; i < c->nsigner; i++)
		v3 = v3 || !outer_by_cert(c->signer[i]);
	der_put_oid(b, OID_PKCS7_SIGNED);
	ctx = der_open(b, DER_CTXC(0));
	sd = der_open(b, DER_SEQ);
	der_put_uint(b, v3 ? 3 : 1);
	put_digests(b, c);
	m = der_open(b, DER_SEQ);
	der_put_oid(b, c->type);
	o = der_open(b, DER_CTXC(0));
	der_put_slice(b, DER_OCTETS, c->content);
	der_close(b, o);
	der_close(b, m);
	if (c->cert.n != 0) {
		m = der_open(b, DER_CTXC(0));
		buf_add(b, c->cert.p, c->cert.n);
		buf_add(b, c->more[0].p, c->more[0].n);
		buf_add(b, c->more[1].p, c->more[1].n);
		der_close(b, m);
	}
	buf_add(b, c->crls.p, c->crls.n);
	m = der_open(b, DER_SET);
	for (i = 0; i < c->nsigner; i++)
		put_signer(b, c, i);
	der_close(b, m);
	der_close(b, sd);
	der_close(b, ctx);
	der_close(b, info);
}

/* PKIData; controls is the content of its sequence, requests of tcrs. */
static inline void
put_pkidata(struct buf *b, struct slice controls, struct slice csr)
{
	size_t m = der_open(b, DER_SEQ), s, t;

	der_put_slice(b, DER_SEQ, controls);
	s = der_open(b, DER_SEQ);
	t = der_open(b, DER_CTXC(0));
	der_put_uint(b, 1);
	buf_add(b, csr.p, csr.n);
	der_close(b, t);
	der_close(b, s);
	der_put(b, DER_SEQ, NULL, 0);
	der_put(b, DER_SEQ, NULL, 0);
	der_close(b, m);
}

static inline void
put_control(struct buf *b, uint64_t id, struct slice oid, struct slice value)
{
	size_t m = der_open(b, DER_SEQ), s;

	der_put_uint(b, id);
	der_put_oid(b, oid);
	s = der_open(b, DER_SET);
	buf_add(b, value.p, value.n);
	der_close(b, s);
	der_close(b, m);
}

/* { 0, { 1 }, list } for addAttributes (SET) and addExtensions (SEQ). */
static inline void
put_reference(struct buf *b, int tag, struct slice list)
{
	size_t m = der_open(b, DER_SEQ), s;

	der_put_uint(b, 0);
	s = der_open(b, DER_SEQ);
	der_put_uint(b, 1);
	der_close(b, s);
	der_put_slice(b, tag, list);
	der_close(b, m);
}

#endif
