/* Keys: what is accepted OpenSSL reads the same; weak and odd ones refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "der.h"
#include "hresult.h"
#include "oid.h"
#include "pubkey.h"

#define ARRAY(a)	(sizeof(a) / sizeof((a)[0]))

static void
read_data(const char *name, struct buf *b)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "tests/data/key-%s.der", name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no %s", path);
	b->n = 0;
	b->n = fread(buf_extend(b, 4096), 1, 4096, f);
	fclose(f);
}

static void
test_accepted(void **state)
{
	static const struct {
		const char	*file, *name;
	} keys[] = {
		{ "rsa1024", "RSA 1024" }, { "p256", "P-256" },
		{ "p384", "P-384" }, { "p521", "P-521" }
	};
	struct buf b = { 0 };
	struct pubkey *k;
	const uint8_t *p;
	EVP_PKEY *want, *got;
	char text[32];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(keys); i++) {
		struct err err = ERR_INIT;

		read_data(keys[i].file, &b);
		k = pubkey_parse(buf_slice(&b), &err);
		assert_non_null(k);
		assert_string_equal(pubkey_name(k, text, sizeof(text)),
		    keys[i].name);
		p = b.p;
		want = d2i_PUBKEY(NULL, &p, (long)b.n);
		assert_non_null(want);
		got = pubkey_evp(k, &err);
		assert_int_equal(EVP_PKEY_eq(got, want), 1);
		EVP_PKEY_free(got);
		EVP_PKEY_free(want);
		pubkey_free(k);
	}
	buf_free(&b);
}

static void
test_refused(void **state)
{
	static const struct {
		const char	*file;
		uint32_t	 hresult;
		const char	*text;
	} keys[] = {
		{ "rsa512", CERTSRV_E_KEY_LENGTH, "512 bits" },
		{ "rsa-8200", CERTSRV_E_KEY_LENGTH, "8200 bits" },
		{ "rsa1023", CERTSRV_E_KEY_LENGTH, "1023 bits" },
		{ "rsa-even", NTE_BAD_KEY, "even" },
		{ "rsa-exponent-1", NTE_BAD_KEY, "exponent" },
		{ "rsa-exponent-3", NTE_BAD_KEY, "below 65537" },
		{ "rsa-exponent-even", NTE_BAD_KEY, "exponent" },
		{ "rsa-exponent-huge", HR_INVALID_DATA, "exponent" },
		{ "rsa-small-factor", NTE_BAD_KEY, "factor 751" },
		{ "rsa-roca", NTE_BAD_KEY, "roca" },
		{ "rsa-square", NTE_BAD_KEY, "too close" },
		{ "rsa-close-primes", NTE_BAD_KEY, "too close" },
		{ "rsa-no-parameters", HR_INVALID_DATA, "parameters" },
		{ "p256-off-curve", NTE_BAD_KEY, "not valid" },
		{ "p256-not-reduced", NTE_BAD_KEY, "not valid" },
		{ "p256-infinity", HR_INVALID_DATA, "point" },
		{ "p256-compressed", HR_INVALID_DATA, "point" },
		{ "p256-explicit", NTE_BAD_ALGID, "explicit ec parameters" },
		{ "secp256k1", NTE_BAD_ALGID, "curve" },
		{ "p224", NTE_BAD_ALGID, "curve" },
		{ "ed25519", NTE_BAD_ALGID, "1.3.101.112 is not accepted, only "
		    "rsaEncryption and id-ecPublicKey" },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(keys); i++) {
		struct err err = ERR_INIT;

		read_data(keys[i].file, &b);
		if (pubkey_parse(buf_slice(&b), &err) != NULL)
			fail_msg("%s accepted", keys[i].file);
		if (err_hresult(&err) != keys[i].hresult ||
		    strstr(err.text, keys[i].text) == NULL)
			fail_msg("%s: %08x %s", keys[i].file,
			    err_hresult(&err), err.text);
	}
	buf_free(&b);
}

/* Every prefix, and bytes behind: no key, no crash. */
static void
test_truncated(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	read_data("rsa1024", &b);
	for (i = 0; i < b.n; i++) {
		struct err err = ERR_INIT;

		assert_null(pubkey_parse(slice_of(b.p, i), &err));
		assert_int_equal(err.kind, ERR_MALFORMED);
	}
	buf_addc(&b, 0);
	struct err err = ERR_INIT;
	assert_null(pubkey_parse(buf_slice(&b), &err));
	buf_free(&b);
}

struct made {
	EVP_PKEY	*pkey;
	struct buf	 spki;
	struct pubkey	*key;
};

static void
make(struct made *m, EVP_PKEY *pkey)
{
	struct err err = ERR_INIT;
	uint8_t *p = NULL;
	int n = i2d_PUBKEY(pkey, &p);

	assert_true(n > 0);
	memset(m, 0, sizeof(*m));
	buf_add(&m->spki, p, (size_t)n);
	OPENSSL_free(p);
	m->pkey = pkey;
	m->key = pubkey_parse(buf_slice(&m->spki), &err);
	assert_non_null(m->key);
}

static void
made_free(struct made *m)
{
	pubkey_free(m->key);
	EVP_PKEY_free(m->pkey);
	buf_free(&m->spki);
}

static size_t
sign(EVP_PKEY *key, const EVP_MD *md, int salt, uint8_t *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	size_t n = 1100;

	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, key), 1);
	if (salt != 0) {
		EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt);
	}
	assert_int_equal(EVP_DigestSign(ctx, sig, &n,
	    (const uint8_t *)"message", 7), 1);
	EVP_MD_CTX_free(ctx);
	return n;
}

/* Content of an AlgorithmIdentifier: OID and, with null, parameters. */
static void
algid(struct buf *b, struct slice oid, bool null)
{
	size_t m;

	buf_reset(b);
	m = der_open(b, DER_SEQ);
	der_put_oid(b, oid);
	if (null)
		der_put(b, DER_NULL, NULL, 0);
	der_close(b, m);
}

static uint32_t
check(struct made *m, struct buf *alg, struct slice digest, uint8_t *sig,
    size_t n)
{
	struct err err = ERR_INIT;

	if (pubkey_verify(m->key, buf_slice(alg), digest,
	    slice_str("message"), slice_of(sig, n), &err) == 0)
		return 0;
	return err_hresult(&err);
}

/* The padded message as it is, signed: 256 octets. */
static void
sign_raw(EVP_PKEY *key, const uint8_t *em, uint8_t *sig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = 256;

	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_sign(ctx, sig, &n, em, 256), 1);
	EVP_PKEY_CTX_free(ctx);
}

static int
openssl_says(EVP_PKEY *key, const uint8_t *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok;

	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
	    key), 1);
	ok = EVP_DigestVerify(ctx, sig, 256, (const uint8_t *)"message", 7);
	EVP_MD_CTX_free(ctx);
	return ok == 1;
}

/* Encodings that lenient readers took ([RFC8017] 9.2; Bleichenbacher 2006). */
static void
test_rsa_padding(void **state)
{
	static const struct {
		const char	*head;	/* up to the hash, 0xff from there */
		size_t		 n;
		size_t		 behind;	/* octets after the hash */
		bool		 good;
	} ems[] = {
#define OID	"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
#define INFO	"\x30\x31\x30\x0d" OID "\x05\x00\x04\x20"
		{ "\x00" INFO, 20, 0, true },
		{ "\x00" INFO, 20, 8, false },
		{ "\x00\x30\x2f\x30\x0b" OID "\x04\x20", 18, 0, false },
		{ "\x00\x30\x31\x30\x0d" OID "\x05\x01\x04\x20", 20, 0,
		    false },
		{ "\x00\x30\x81\x31\x30\x0d" OID "\x05\x00\x04\x20", 21,
		    0, false },
		{ "\x00", 1, 0, false },
		{ "\x01" INFO, 20, 0, false },
		{ "\x00\x00" INFO, 21, 0, false },
#undef INFO
#undef OID
	};
	struct slice none = { NULL, 0 };
	struct buf alg = { 0 };
	struct made m;
	uint8_t em[256], sig[256];
	size_t i, at;

	(void)state;
	make(&m, EVP_RSA_gen(2048));
	algid(&alg, OID_RSA_SHA256, true);
	for (i = 0; i < ARRAY(ems); i++) {
		memset(em, 0xff, sizeof(em));
		em[0] = 0;
		em[1] = 1;
		at = sizeof(em) - 32 - ems[i].behind;
		memcpy(em + at - ems[i].n, ems[i].head, ems[i].n);
		EVP_Digest("message", 7, em + at, NULL, EVP_sha256(), NULL);
		sign_raw(m.pkey, em, sig);
		assert_int_equal(openssl_says(m.pkey, sig), ems[i].good);
		assert_int_equal(check(&m, &alg, none, sig, sizeof(sig)),
		    ems[i].good ? 0 : NTE_BAD_SIGNATURE);
	}
	em[1] = 2;
	sign_raw(m.pkey, em, sig);
	assert_int_equal(check(&m, &alg, none, sig, sizeof(sig)),
	    NTE_BAD_SIGNATURE);
	/* Above the modulus, though congruent to a good one or to nothing. */
	memset(sig, 0xff, sizeof(sig));
	assert_int_equal(check(&m, &alg, none, sig, sizeof(sig)),
	    NTE_BAD_SIGNATURE);
	made_free(&m);
	buf_free(&alg);
}

static void
test_rsa_signatures(void **state)
{
	const struct {
		const EVP_MD	*md;
		struct slice	 oid, hash;
	} algs[] = {
		{ EVP_sha1(), OID_RSA_SHA1, OID_SHA1 },
		{ EVP_sha256(), OID_RSA_SHA256, OID_SHA256 },
		{ EVP_sha384(), OID_RSA_SHA384, OID_SHA384 },
		{ EVP_sha512(), OID_RSA_SHA512, OID_SHA512 },
	};
	struct made m;
	struct buf alg = { 0 }, hash = { 0 };
	struct slice none = { NULL, 0 };
	uint8_t sig[1100];
	size_t n, i;

	(void)state;
	make(&m, EVP_RSA_gen(2048));
	for (i = 0; i < ARRAY(algs); i++) {
		n = sign(m.pkey, algs[i].md, 0, sig);
		algid(&alg, algs[i].oid, true);
		assert_int_equal(check(&m, &alg, none, sig, n), 0);
		algid(&hash, algs[i].hash, i % 2 == 0);
		assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n), 0);
		algid(&alg, OID_RSA_ENCRYPTION, true);
		assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n), 0);
		assert_int_equal(check(&m, &alg, none, sig, n),
		    NTE_BAD_ALGID);
		algid(&alg, algs[i].oid, false);	/* [RFC4055] 5 */
		assert_int_equal(check(&m, &alg, none, sig, n),
		    i == 0 ? HR_INVALID_DATA : 0);
		der_put_oid(&alg, OID_SHA1);
		alg.p[1] = (uint8_t)(alg.n - 2);
		assert_int_equal(check(&m, &alg, none, sig, n),
		    HR_INVALID_DATA);
		algid(&alg, OID_RSA_ENCRYPTION, false);
		assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n),
		    HR_INVALID_DATA);
		algid(&alg, algs[i].oid, true);
		algid(&hash, algs[(i + 1) % 4].hash, true);
		assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n),
		    NTE_BAD_ALGID);
		assert_int_equal(check(&m, &alg, none, sig, n - 1),
		    NTE_BAD_SIGNATURE);
		sig[0] ^= 1;
		assert_int_equal(check(&m, &alg, none, sig, n),
		    NTE_BAD_SIGNATURE);
	}
	n = sign(m.pkey, EVP_sha256(), 0, sig);
	algid(&alg, OID_ECDSA_SHA256, false);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	buf_free(&alg);
	buf_free(&hash);
	made_free(&m);
}

static void
test_ec_signatures(void **state)
{
	struct made m;
	struct buf alg = { 0 }, hash = { 0 };
	struct slice none = { NULL, 0 };
	uint8_t sig[1100];
	size_t n, k;

	(void)state;
	make(&m, EVP_EC_gen("P-384"));
	n = sign(m.pkey, EVP_sha384(), 0, sig);
	algid(&alg, OID_ECDSA_SHA384, false);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	algid(&alg, OID_ECDSA_SHA384, true);	/* as Mbed TLS 2 has it */
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	buf_reset(&alg);
	k = der_open(&alg, DER_SEQ);
	der_put_oid(&alg, OID_ECDSA_SHA384);
	der_put_oid(&alg, OID_P384);
	der_close(&alg, k);
	assert_int_equal(check(&m, &alg, none, sig, n), HR_INVALID_DATA);
	algid(&hash, OID_SHA384, false);
	algid(&alg, OID_EC_PUBLIC_KEY, false);
	assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n), 0);
	buf_reset(&alg);
	k = der_open(&alg, DER_SEQ);
	der_put_oid(&alg, OID_EC_PUBLIC_KEY);
	der_put_oid(&alg, OID_P384);
	der_close(&alg, k);
	assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n), 0);
	alg.p[alg.n - 1]++;
	assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n),
	    NTE_BAD_ALGID);
	algid(&alg, OID_RSA_SHA256, true);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	buf_free(&alg);
	buf_free(&hash);
	made_free(&m);
}

/* ecdsa-with-Specified: the hash is a parameter. */
static void
specified(struct buf *b, const struct slice *hash)
{
	static const uint8_t oid[] =
	    { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03 };
	struct buf h = { 0 };
	size_t m;

	buf_reset(b);
	m = der_open(b, DER_SEQ);
	der_put_oid(b, slice_of(oid, sizeof(oid)));
	if (hash != NULL) {
		algid(&h, *hash, false);
		buf_add(b, h.p, h.n);
	}
	der_close(b, m);
	buf_free(&h);
}

static void
test_specified(void **state)
{
	struct made m, rsa;
	struct buf alg = { 0 }, hash = { 0 };
	struct slice none = { NULL, 0 };
	uint8_t sig[1100];
	size_t n;

	(void)state;
	make(&m, EVP_EC_gen("P-384"));
	make(&rsa, EVP_RSA_gen(2048));
	n = sign(m.pkey, EVP_sha384(), 0, sig);
	specified(&alg, &OID_SHA384);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	algid(&hash, OID_SHA384, true);
	assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n), 0);
	algid(&hash, OID_SHA256, true);		/* another in SignerInfo */
	assert_int_equal(check(&m, &alg, buf_slice(&hash), sig, n),
	    NTE_BAD_ALGID);
	specified(&alg, &OID_SHA256);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	specified(&alg, &OID_RSA_SHA256);	/* no hash */
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	specified(&alg, NULL);
	assert_int_equal(check(&m, &alg, none, sig, n), HR_INVALID_DATA);
	specified(&alg, &OID_SHA384);
	assert_int_equal(check(&rsa, &alg, none, sig, n), NTE_BAD_ALGID);
	buf_free(&alg);
	buf_free(&hash);
	made_free(&m);
	made_free(&rsa);
}

/* [RFC4055] 3.1; a trailer of 0 is left out. */
static void
pss_with(struct buf *b, struct slice hash, struct slice mask, uint64_t salt,
    uint64_t trailer)
{
	static const uint8_t mgf1[] =
	    { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08 };
	struct buf h = { 0 };
	size_t a, p, c, m;

	buf_reset(b);
	a = der_open(b, DER_SEQ);
	der_put_oid(b, OID_RSA_PSS);
	p = der_open(b, DER_SEQ);
	algid(&h, hash, true);
	der_put_slice(b, DER_CTXC(0), buf_slice(&h));
	c = der_open(b, DER_CTXC(1));
	m = der_open(b, DER_SEQ);
	der_put_oid(b, slice_of(mgf1, sizeof(mgf1)));
	algid(&h, mask, true);
	buf_add(b, h.p, h.n);
	der_close(b, m);
	der_close(b, c);
	c = der_open(b, DER_CTXC(2));
	der_put_uint(b, salt);
	der_close(b, c);
	if (trailer != 0) {
		c = der_open(b, DER_CTXC(3));
		der_put_uint(b, trailer);
		der_close(b, c);
	}
	der_close(b, p);
	der_close(b, a);
	buf_free(&h);
}

static void
pss(struct buf *b, struct slice hash, struct slice mask, uint64_t salt)
{
	pss_with(b, hash, mask, salt, 0);
}

static void
test_pss(void **state)
{
	struct made m;
	struct buf alg = { 0 };
	struct slice none = { NULL, 0 };
	uint8_t sig[1100];
	size_t n, a;

	(void)state;
	make(&m, EVP_RSA_gen(2048));
	n = sign(m.pkey, EVP_sha256(), 32, sig);
	pss(&alg, OID_SHA256, OID_SHA256, 32);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	pss_with(&alg, OID_SHA256, OID_SHA256, 32, 1);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	pss_with(&alg, OID_SHA256, OID_SHA256, 32, 2);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	pss(&alg, OID_SHA256, OID_SHA384, 32);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	pss(&alg, OID_SHA256, OID_SHA256, 20);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	pss(&alg, OID_SHA384, OID_SHA384, 48);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	pss(&alg, OID_SHA1, OID_SHA1, 20);	/* defaults, encoded */
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	n = sign(m.pkey, EVP_sha256(), 10, sig);
	pss(&alg, OID_SHA256, OID_SHA256, 32);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	/* As much as fits into 256 octets: OpenSSL's default. */
	n = sign(m.pkey, EVP_sha256(), 222, sig);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_SIGNATURE);
	pss(&alg, OID_SHA256, OID_SHA256, 222);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	pss(&alg, OID_SHA256, OID_SHA256, 223);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	/* [RFC4055] 3.1's default with another hash; an odd length. */
	n = sign(m.pkey, EVP_sha256(), 20, sig);
	pss(&alg, OID_SHA256, OID_SHA256, 20);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	pss(&alg, OID_SHA256, OID_SHA256, 48);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	n = sign(m.pkey, EVP_sha256(), 48, sig);
	assert_int_equal(check(&m, &alg, none, sig, n), NTE_BAD_ALGID);
	n = sign(m.pkey, EVP_sha1(), 20, sig);
	pss(&alg, OID_SHA1, OID_SHA1, 20);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	buf_reset(&alg);
	a = der_open(&alg, DER_SEQ);
	der_put_oid(&alg, OID_RSA_PSS);
	der_put(&alg, DER_SEQ, NULL, 0);
	der_close(&alg, a);
	assert_int_equal(check(&m, &alg, none, sig, n), 0);
	buf_free(&alg);
	made_free(&m);
}

/* Real keys of all sizes pass the weak-key test. */
static void
test_good_keys_pass(void **state)
{
	static const size_t bits[] = { 1024, 2048, 3072 };
	struct made m;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bits); i++) {
		make(&m, EVP_RSA_gen(bits[i]));
		assert_int_equal(m.key->bits, bits[i]);
		made_free(&m);
	}
}

/* -P or 2P in the place of P, by OpenSSL's arithmetic. */
static void
change_point(int nid, struct buf *spki, bool twice)
{
	EC_GROUP *g = EC_GROUP_new_by_curve_name(nid);
	EC_POINT *p = EC_POINT_new(g);
	size_t n = 1 + 2 * (((size_t)EC_GROUP_get_degree(g) + 7) / 8);
	uint8_t *at = spki->p + spki->n - n;

	assert_int_equal(EC_POINT_oct2point(g, p, at, n, NULL), 1);
	assert_int_equal(twice ? EC_POINT_dbl(g, p, p, NULL) :
	    EC_POINT_invert(g, p, NULL), 1);
	assert_int_equal(EC_POINT_point2oct(g, p,
	    POINT_CONVERSION_UNCOMPRESSED, at, n, NULL), n);
	EC_POINT_free(p);
	EC_GROUP_free(g);
}

/* d and n - d are one secret. */
static void
test_other_point(void **state)
{
	static const struct {
		const char	*file;
		int		 nid;
	} keys[] = {
		{ "p256", NID_X9_62_prime256v1 }, { "p384", NID_secp384r1 },
		{ "p521", NID_secp521r1 }
	};
	uint8_t h[3][2][32];
	struct buf b[3] = { { 0 } };
	struct pubkey *k[3];
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY(keys); i++) {
		struct err err = ERR_INIT;

		for (j = 0; j < 3; j++) {
			read_data(keys[i].file, &b[j]);
			if (j > 0)
				change_point(keys[i].nid, &b[j], j == 2);
			k[j] = pubkey_parse(buf_slice(&b[j]), &err);
			assert_non_null(k[j]);
			assert_int_equal(pubkey_hashes(k[j], h[j]), 2);
		}
		assert_memory_equal(h[0][0], h[1][1], 32);
		assert_memory_equal(h[0][1], h[1][0], 32);
		assert_memory_not_equal(h[0][0], h[0][1], 32);
		assert_true(pubkey_alike(k[0], k[0]->spki));
		assert_true(pubkey_alike(k[0], k[1]->spki));
		assert_true(pubkey_alike(k[1], k[0]->spki));
		assert_false(pubkey_alike(k[0], k[2]->spki));
		assert_int_equal(pubkey_lot(k[0]), pubkey_lot(k[1]));
		assert_int_not_equal(pubkey_lot(k[0]), pubkey_lot(k[2]));
		for (j = 0; j < 3; j++)
			pubkey_free(k[j]);
	}
	for (j = 0; j < 3; j++)
		buf_free(&b[j]);
}

/* Another exponent is another key; the modulus is in badkey.h. */
static void
test_no_other_point(void **state)
{
	struct err err = ERR_INIT;
	struct buf b = { 0 }, other = { 0 };
	struct pubkey *k;
	uint8_t h[2][32], md[32];

	(void)state;
	read_data("rsa1024", &b);
	read_data("rsa1024", &other);
	k = pubkey_parse(buf_slice(&b), &err);
	assert_non_null(k);
	assert_int_equal(pubkey_hashes(k, h), 1);
	pubkey_sha256(k, md);
	assert_memory_equal(h[0], md, 32);
	assert_true(pubkey_alike(k, buf_slice(&other)));
	other.p[other.n - 1] ^= 2;
	assert_false(pubkey_alike(k, buf_slice(&other)));
	pubkey_free(k);
	buf_free(&b);
	buf_free(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_rsa_signatures),
		cmocka_unit_test(test_rsa_padding),
		cmocka_unit_test(test_ec_signatures),
		cmocka_unit_test(test_specified),
		cmocka_unit_test(test_pss),
		cmocka_unit_test(test_good_keys_pass),
		cmocka_unit_test(test_other_point),
		cmocka_unit_test(test_no_other_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
