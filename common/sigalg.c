/*
 * Signature algorithms, and checking a signature with a request's key: proof
 * of possession, and whatever clients sign.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "der.h"
#include "hresult.h"
#include "oid.h"
#include "pubkey.h"
#include "rsassa.h"

/* 1.2.840.113549.1.1.8 */
static const struct slice oid_mgf1 =
    { (const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", 9 };

/* 1.2.840.10045.4.3 */
static const struct slice oid_specified =
    { (const uint8_t *)"\x2a\x86\x48\xce\x3d\x04\x03", 7 };

static const struct {
	const struct slice	*oid;
	const EVP_MD		*(*md)(void);
} hashes[] = {
	{ &OID_SHA256, EVP_sha256 },
	{ &OID_SHA384, EVP_sha384 },
	{ &OID_SHA512, EVP_sha512 },
	{ &OID_SHA1, EVP_sha1 },
};

/*
 * [RFC4055] 5: those of RSA with SHA-2 are NULL, and accepted when absent, too.
 * [RFC5758] 3.2 has none with ECDSA, where Mbed TLS 2 writes NULL all the same.
 */
enum params { PARAMS_NULL, PARAMS_NULL_OR_ABSENT, PARAMS_ABSENT, PARAMS_PSS,
	PARAMS_CURVE, PARAMS_HASH };

/* md NULL: the hash is named elsewhere. */
static const struct sigalg {
	const struct slice	*oid;
	bool			 rsa;
	enum params		 params;
	const EVP_MD		*(*md)(void);
} sigalgs[] = {
	{ &OID_RSA_SHA256, true, PARAMS_NULL_OR_ABSENT, EVP_sha256 },
	{ &OID_RSA_SHA384, true, PARAMS_NULL_OR_ABSENT, EVP_sha384 },
	{ &OID_RSA_SHA512, true, PARAMS_NULL_OR_ABSENT, EVP_sha512 },
	{ &OID_RSA_SHA1, true, PARAMS_NULL, EVP_sha1 },
	{ &OID_RSA_PSS, true, PARAMS_PSS, NULL },
	{ &OID_RSA_ENCRYPTION, true, PARAMS_NULL, NULL },
	{ &OID_ECDSA_SHA256, false, PARAMS_NULL_OR_ABSENT, EVP_sha256 },
	{ &OID_ECDSA_SHA384, false, PARAMS_NULL_OR_ABSENT, EVP_sha384 },
	{ &OID_ECDSA_SHA512, false, PARAMS_NULL_OR_ABSENT, EVP_sha512 },
	{ &OID_ECDSA_SHA1, false, PARAMS_NULL_OR_ABSENT, EVP_sha1 },
	{ &oid_specified, false, PARAMS_HASH, NULL },
	{ &OID_EC_PUBLIC_KEY, false, PARAMS_CURVE, NULL },
};

/* How one signature was made; the salt is that of PSS. */
struct scheme {
	const struct sigalg	*alg;
	const EVP_MD		*md;
	int			 salt;
};

#define NHASHES		(sizeof(hashes) / sizeof(hashes[0]))
#define NSIGALGS	(sizeof(sigalgs) / sizeof(sigalgs[0]))

/* Hashes have NULL parameters or none ([RFC5754] 2). */
const EVP_MD *
digest_of(struct slice alg)
{
	struct err	ignored = ERR_INIT;
	struct der	d;
	struct slice	oid, null;
	size_t		i;

	if (der_only(alg, DER_SEQ, &d, "hash", &ignored) == -1 ||
	    der_get(&d, DER_OID, &oid, "hash", &ignored) == -1 ||
	    (!der_done(&d) &&
	    der_get(&d, DER_NULL, &null, "hash", &ignored) == -1) ||
	    !der_done(&d))
		return NULL;
	for (i = 0; i < NHASHES; i++)
		if (slice_eq(*hashes[i].oid, oid))
			return hashes[i].md();
	return NULL;
}

/*
 * [n] EXPLICIT AlgorithmIdentifier of a hash; SHA-1 where it is absent.
 * [RFC4055] 3.1 has whoever verifies accept defaults that are encoded, too.
 */
static const EVP_MD *
pss_hash(struct der *d, struct err *err)
{
	struct slice	alg;
	const EVP_MD	*md;

	if (der_peek(d) != DER_CTXC(0))
		return EVP_sha1();
	if (der_get(d, DER_CTXC(0), &alg, "pss hash", err) == -1)
		return NULL;
	md = digest_of(alg);
	if (md == NULL)
		err_bad(err, NTE_BAD_ALGID, "pss hash is not accepted");
	return md;
}

/* [security] A2: MGF1 of the same hash; others nobody means. */
static int
pss_mask(struct der *d, const EVP_MD *md, struct err *err)
{
	struct der	explicit, mgf;
	struct slice	oid, hash;

	if (der_peek(d) != DER_CTXC(1)) {
		if (md != EVP_sha1())
			return err_bad(err, NTE_BAD_ALGID, "pss mask is not "
			    "of the signature's hash: name that in both");
		return 0;
	}
	if (der_enter(d, DER_CTXC(1), &explicit, "pss mask", err) == -1 ||
	    der_enter(&explicit, DER_SEQ, &mgf, "pss mask", err) == -1 ||
	    der_end(&explicit, "pss mask", err) == -1 ||
	    der_get(&mgf, DER_OID, &oid, "pss mask", err) == -1 ||
	    der_tlv(&mgf, DER_SEQ, &hash, "pss mask hash", err) == -1 ||
	    der_end(&mgf, "pss mask", err) == -1)
		return -1;
	if (!slice_eq(oid, oid_mgf1) || digest_of(hash) != md)
		return err_bad(err, NTE_BAD_ALGID, "pss mask is not mgf1 of "
		    "the signature's hash: name that in both");
	return 0;
}

/*
 * As long as the hash, as Windows has it, as long as there is room for
 * ([RFC8017] 9.1.1), as OpenSSL has it, or the default of [RFC4055] 3.1,
 * whatever the hash; other lengths nobody uses.
 */
static int
pss_salt(struct der *d, const struct pubkey *k, struct scheme *s,
    struct err *err)
{
	struct der	explicit;
	const uint64_t	usual = 20;
	uint64_t	salt = usual, hash = (uint64_t)EVP_MD_get_size(s->md);

	if (der_peek(d) == DER_CTXC(2) &&
	    (der_enter(d, DER_CTXC(2), &explicit, "pss salt", err) == -1 ||
	    der_uint(&explicit, &salt, "pss salt", err) == -1 ||
	    der_end(&explicit, "pss salt", err) == -1))
		return -1;
	if (salt != hash && salt != usual && salt != k->bits / 8 - hash - 2)
		return err_bad(err, NTE_BAD_ALGID, "pss salt of %llu octets, "
		    "not %llu as the hash, 20, or what the key allows",
		    (unsigned long long)salt, (unsigned long long)hash);
	s->salt = (int)salt;
	return 0;
}

/* 1 is the default, and there is no other. */
static int
pss_trailer(struct der *d, struct err *err)
{
	struct der	explicit;
	uint64_t	trailer = 1;

	if (der_peek(d) == DER_CTXC(3) &&
	    (der_enter(d, DER_CTXC(3), &explicit, "pss trailer", err) == -1 ||
	    der_uint(&explicit, &trailer, "pss trailer", err) == -1 ||
	    der_end(&explicit, "pss trailer", err) == -1))
		return -1;
	if (trailer != 1)
		return err_bad(err, NTE_BAD_ALGID, "pss trailer is not 1");
	return der_end(d, "pss parameters", err);
}

/* RSASSA-PSS-params ([RFC4055] 3.1). */
static int
pss_params(struct der *alg, const struct pubkey *k, struct scheme *s,
    struct err *err)
{
	struct der	d;

	if (der_enter(alg, DER_SEQ, &d, "pss parameters", err) == -1)
		return -1;
	s->md = pss_hash(&d, err);
	if (s->md == NULL || pss_mask(&d, s->md, err) == -1 ||
	    pss_salt(&d, k, s, err) == -1)
		return -1;
	return pss_trailer(&d, err);
}

/* id-ecPublicKey: nothing, or the curve of the key again. */
static int
curve_params(struct der *alg, const struct pubkey *k, struct err *err)
{
	static const struct slice *const	oids[] = {
		[KEY_P256] = &OID_P256, [KEY_P384] = &OID_P384,
		[KEY_P521] = &OID_P521
	};
	struct slice	oid;

	if (der_done(alg))
		return 0;
	if (der_get(alg, DER_OID, &oid, "signature curve", err) == -1)
		return -1;
	if (!slice_eq(oid, *oids[k->kind]))
		return err_bad(err, NTE_BAD_ALGID,
		    "signature curve is not the key's");
	return 0;
}

/*
 * ecdsa-with-Specified ([X9.62]), as Windows signs with an EC key
 * where it would sign RSASSA-PSS with RSA: AlternateSignatureAlgorithm.
 */
static int
hash_params(struct der *alg, struct scheme *s, struct err *err)
{
	struct slice	hash;

	if (der_tlv(alg, DER_SEQ, &hash, "signature hash", err) == -1)
		return -1;
	s->md = digest_of(hash);
	return s->md != NULL ? 0 : err_bad(err, NTE_BAD_ALGID,
	    "signature hash is not accepted");
}

static int
read_params(struct scheme *s, struct der *alg, const struct pubkey *k,
    struct err *err)
{
	enum params	params = s->alg->params;
	struct slice	null;

	s->md = s->alg->md != NULL ? s->alg->md() : NULL;
	if (params == PARAMS_NULL_OR_ABSENT)
		params = der_done(alg) ? PARAMS_ABSENT : PARAMS_NULL;
	if ((params == PARAMS_NULL &&
	    der_get(alg, DER_NULL, &null, "signature algorithm parameters",
	    err) == -1) ||
	    (params == PARAMS_PSS && pss_params(alg, k, s, err) == -1) ||
	    (params == PARAMS_HASH && hash_params(alg, s, err) == -1) ||
	    (params == PARAMS_CURVE && curve_params(alg, k, err) == -1))
		return -1;
	return der_end(alg, "signature algorithm", err);
}

static const struct sigalg *
sigalg_find(struct slice oid, const struct pubkey *k, struct err *err)
{
	char	text[128];
	size_t	i;

	for (i = 0; i < NSIGALGS; i++) {
		if (!slice_eq(*sigalgs[i].oid, oid))
			continue;
		if (sigalgs[i].rsa == (k->kind == KEY_RSA))
			return &sigalgs[i];
		err_bad(err, NTE_BAD_ALGID,
		    "signature algorithm does not fit the key");
		return NULL;
	}
	err_bad(err, NTE_BAD_ALGID, "signature algorithm %s is not accepted: "
	    "sign with sha256", oid_show(oid, text, sizeof(text)));
	return NULL;
}

/* The hash: of the algorithm, of the digest apart, or both when they agree. */
static int
choose_hash(struct scheme *s, struct slice digest, struct err *err)
{
	const EVP_MD	*apart;

	if (digest.n == 0) {
		if (s->md == NULL)
			return err_bad(err, NTE_BAD_ALGID,
			    "signature algorithm names no hash");
		return 0;
	}
	apart = digest_of(digest);
	if (apart == NULL)
		return err_bad(err, NTE_BAD_ALGID, "hash is not accepted");
	if (s->md == NULL)
		s->md = apart;
	if (s->md != apart)
		return err_bad(err, NTE_BAD_ALGID,
		    "hash is not that of the signature algorithm");
	return 0;
}

static int
verify_evp(EVP_PKEY *pkey, const struct scheme *s, struct slice msg,
    struct slice sig)
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX	*pctx;
	int		 ok;

	ok = ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, &pctx, s->md, NULL, pkey) == 1;
	if (ok && s->alg->params == PARAMS_PSS)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, s->md) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, s->salt) == 1;
	ok = ok && EVP_DigestVerify(ctx, sig.p, sig.n, msg.p, msg.n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

static int
verify(const struct pubkey *k, const struct scheme *s, struct slice msg,
    struct slice sig)
{
	struct err	 ignored = ERR_INIT;
	EVP_PKEY	*pkey;
	int		 rc = -1;

	if (k->kind == KEY_RSA && s->alg->params != PARAMS_PSS)
		rc = rsassa_verify(k, s->md, msg, sig);
	else if ((pkey = pubkey_evp(k, &ignored)) != NULL) {
		rc = verify_evp(pkey, s, msg, sig);
		EVP_PKEY_free(pkey);
	}
	ERR_clear_error();
	return rc;
}

int
pubkey_verify(const struct pubkey *k, struct slice sigalg, struct slice digest,
    struct slice msg, struct slice sig, struct err *err)
{
	struct scheme	s = { 0 };
	struct der	alg;
	struct slice	oid;

	if (der_only(sigalg, DER_SEQ, &alg, "signature algorithm", err) == -1 ||
	    der_get(&alg, DER_OID, &oid, "signature algorithm", err) == -1)
		return -1;
	s.alg = sigalg_find(oid, k, err);
	if (s.alg == NULL || read_params(&s, &alg, k, err) == -1 ||
	    choose_hash(&s, digest, err) == -1)
		return -1;
	if (verify(k, &s, msg, sig) == -1)
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "signature does not verify");
	return 0;
}
