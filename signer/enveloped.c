/*
 * EnvelopedData, read and opened: for archive.c.  Hostile bytes, and the one
 * place where something is decrypted for a client.
 */
#include "enveloped.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "der.h"
#include "hresult.h"
#include "oid.h"

#define DEPTH		16
#define RSA_MAX		512	/* octets */
#define KEY_SIZE_MAX	32

#define BYTES(s) { (const uint8_t *)(s), sizeof(s) - 1 }

static const struct slice
	oid_enveloped = BYTES("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"),
	oid_oaep = BYTES("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"),
	oid_mgf1 = BYTES("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08");

struct cipher {
	struct slice	 oid;
	const char	*cipher;
	size_t		 key, iv;
};

static const struct cipher ciphers[] = {
	{ BYTES("\x60\x86\x48\x01\x65\x03\x04\x01\x02"), "AES-128-CBC", 16,
	    16 },
	{ BYTES("\x60\x86\x48\x01\x65\x03\x04\x01\x16"), "AES-192-CBC", 24,
	    16 },
	{ BYTES("\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), "AES-256-CBC", 32,
	    16 },
	{ BYTES("\x2a\x86\x48\x86\xf7\x0d\x03\x07"), "DES-EDE3-CBC", 24, 8 }
};
#define NCIPHERS	(sizeof(ciphers) / sizeof(ciphers[0]))

static int
odd(struct err *err, const char *what)
{
	return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "archived key: %s", what);
}

/* RSAES-OAEP-params ([RFC4055] 4.1): absent is SHA-1 throughout. */
static int
parse_oaep(struct der *alg, struct enveloped *e, struct err *err)
{
	struct der	params, hash, mgf, m;
	struct slice	tlv, oid;

	e->transport = TRANSPORT_OAEP_SHA1;
	if (der_enter(alg, DER_SEQ, &params, "oaep parameters", err) == -1)
		return -1;
	if (der_done(&params))
		return 0;
	if (der_enter(&params, DER_CTXC(0), &hash, "oaep hash", err) == -1 ||
	    der_tlv(&hash, DER_SEQ, &tlv, "oaep hash", err) == -1 ||
	    der_end(&hash, "oaep hash", err) == -1)
		return -1;
	if (!slice_eq(tlv, slice_of("\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03"
	    "\x04\x02\x01\x05\x00", 15)))
		return odd(err, "oaep hash is not sha256");
	if (der_enter(&params, DER_CTXC(1), &mgf, "oaep mgf", err) == -1 ||
	    der_enter(&mgf, DER_SEQ, &m, "oaep mgf", err) == -1 ||
	    der_get(&m, DER_OID, &oid, "oaep mgf", err) == -1)
		return -1;
	if (!slice_eq(oid, oid_mgf1) || (size_t)(m.end - m.p) != tlv.n ||
	    memcmp(m.p, tlv.p, tlv.n) != 0)
		return odd(err, "oaep mgf is not mgf1 of the same hash");
	e->transport = TRANSPORT_OAEP_SHA256;
	return der_end(&params, "oaep parameters", err);
}

static int
parse_transport(struct der *d, struct enveloped *e, struct err *err)
{
	struct der	alg;
	struct slice	oid, null;

	if (der_enter(d, DER_SEQ, &alg, "keyEncryptionAlgorithm",
	    err) == -1 ||
	    der_get(&alg, DER_OID, &oid, "keyEncryptionAlgorithm",
	    err) == -1)
		return -1;
	if (slice_eq(oid, oid_oaep))
		return parse_oaep(&alg, e, err);
	if (!slice_eq(oid, OID_RSA_ENCRYPTION))
		return odd(err, "key transport is not rsa");
	e->transport = TRANSPORT_PKCS1;
	if (!der_done(&alg) && der_get(&alg, DER_NULL, &null,
	    "keyEncryptionAlgorithm", err) == -1)
		return -1;
	return der_end(&alg, "keyEncryptionAlgorithm", err);
}

/* KeyTransRecipientInfo, version 0: named by issuer and serial number. */
static int
parse_recipient(struct der *set, struct enveloped *e, struct err *err)
{
	struct der	info, rid;
	uint64_t	version;

	if (der_enter(set, DER_SEQ, &info, "recipientInfo", err) == -1 ||
	    der_end(set, "recipientInfos", err) == -1 ||
	    der_uint(&info, &version, "recipientInfo.version", err) == -1)
		return -1;
	if (version != 0)
		return odd(err, "recipient is not named by issuer and serial");
	if (der_enter(&info, DER_SEQ, &rid, "rid", err) == -1 ||
	    der_tlv(&rid, DER_SEQ, &e->issuer, "rid.issuer", err) == -1 ||
	    der_get(&rid, DER_INTEGER, &e->serial, "rid.serial", err) == -1 ||
	    der_end(&rid, "rid", err) == -1 ||
	    parse_transport(&info, e, err) == -1 ||
	    der_get(&info, DER_OCTETS, &e->key, "encryptedKey", err) == -1)
		return -1;
	if (e->key.n > RSA_MAX)
		return odd(err, "encrypted key is too long");
	return der_end(&info, "recipientInfo", err);
}

static int
parse_cipher(struct der *d, struct enveloped *e, struct err *err)
{
	struct der	alg;
	struct slice	oid;
	size_t		i;

	if (der_enter(d, DER_SEQ, &alg, "contentEncryptionAlgorithm",
	    err) == -1 || der_get(&alg, DER_OID, &oid,
	    "contentEncryptionAlgorithm", err) == -1)
		return -1;
	for (i = 0; i < NCIPHERS; i++)
		if (slice_eq(oid, ciphers[i].oid))
			break;
	if (i == NCIPHERS)
		return odd(err, "cipher is not aes-cbc or 3des");
	if (der_get(&alg, DER_OCTETS, &e->iv, "iv", err) == -1 ||
	    der_end(&alg, "contentEncryptionAlgorithm", err) == -1)
		return -1;
	if (e->iv.n != ciphers[i].iv)
		return odd(err, "iv has the wrong length");
	e->cipher = ciphers[i].cipher;
	e->key_size = ciphers[i].key;
	return 0;
}

static int
parse_content(struct der *d, struct enveloped *e, struct err *err)
{
	struct der	info;
	struct slice	type;

	if (der_enter(d, DER_SEQ, &info, "encryptedContentInfo", err) == -1 ||
	    der_get(&info, DER_OID, &type, "encrypted contentType",
	    err) == -1)
		return -1;
	if (!slice_eq(type, OID_PKCS7_DATA))
		return odd(err, "encrypted content is not data");
	if (parse_cipher(&info, e, err) == -1 || der_get(&info, DER_CTX(0),
	    &e->content, "encryptedContent", err) == -1)
		return -1;
	if (e->content.n == 0 || e->content.n % e->iv.n != 0)
		return odd(err, "encrypted content is no whole blocks");
	return der_end(&info, "encryptedContentInfo", err);
}

int
enveloped_parse(struct enveloped *out, struct slice tlv, struct err *err)
{
	struct enveloped	e = { .cipher = NULL };
	struct der		info, wrap, d, set;
	struct slice		type;
	uint64_t		version;

	if (der_check(tlv, DEPTH, "archived key", err) == -1 ||
	    der_only(tlv, DER_SEQ, &info, "archived key", err) == -1 ||
	    der_get(&info, DER_OID, &type, "archived key", err) == -1)
		return -1;
	if (!slice_eq(type, oid_enveloped))
		return odd(err, "is no EnvelopedData");
	if (der_enter(&info, DER_CTXC(0), &wrap, "archived key", err) == -1 ||
	    der_end(&info, "archived key", err) == -1 ||
	    der_enter(&wrap, DER_SEQ, &d, "EnvelopedData", err) == -1 ||
	    der_end(&wrap, "archived key", err) == -1 ||
	    der_uint(&d, &version, "EnvelopedData.version", err) == -1)
		return -1;
	if (version != 0)
		return odd(err, "EnvelopedData is not of version 0");
	if (der_enter(&d, DER_SET, &set, "recipientInfos", err) == -1 ||
	    parse_recipient(&set, &e, err) == -1 ||
	    parse_content(&d, &e, err) == -1 ||
	    der_end(&d, "EnvelopedData", err) == -1)
		return -1;
	*out = e;
	return 0;
}

/* 0xff when equal, without a branch. */
static uint8_t
same(uint8_t a, uint8_t b)
{
	unsigned	x = (unsigned)(a ^ b);

	return (uint8_t)((x - 1) >> 8);
}

/*
 * [RFC8017] 7.2.2 with the answer to Bleichenbacher: key comes filled with
 * random octets, which stay when the padding is wrong; what then goes wrong
 * goes wrong later and looks like every other fault.  n is public.
 */
static void
unpad_pkcs1(const uint8_t *em, size_t n, uint8_t *key, size_t size)
{
	uint8_t	good = same(em[0], 0) & same(em[1], 2);
	size_t	i;

	for (i = 2; i < n - size - 1; i++)
		good &= (uint8_t)~same(em[i], 0);
	good &= same(em[n - size - 1], 0);
	for (i = 0; i < size; i++)
		key[i] = (uint8_t)((em[n - size + i] & good) |
		    (key[i] & ~good));
}

static int
set_padding(EVP_PKEY_CTX *ctx, enum key_transport t)
{
	const EVP_MD	*md = t == TRANSPORT_OAEP_SHA256 ? EVP_sha256() :
			    EVP_sha1();

	if (EVP_PKEY_decrypt_init(ctx) != 1)
		return -1;
	if (t == TRANSPORT_PKCS1)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 ?
		    0 : -1;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1)
		return -1;
	return 0;
}

/* A content key in any case: the client's, or one that nobody knows. */
static int
open_key(const struct enveloped *e, EVP_PKEY *pkey, uint8_t key[KEY_SIZE_MAX])
{
	EVP_PKEY_CTX	*ctx = EVP_PKEY_CTX_new(pkey, NULL);
	uint8_t		 em[RSA_MAX];
	size_t		 n = sizeof(em), size = e->key_size;
	int		 rc = -1;

	if (ctx != NULL && RAND_priv_bytes(key, KEY_SIZE_MAX) == 1 &&
	    set_padding(ctx, e->transport) == 0)
		rc = 0;
	if (rc == 0 && EVP_PKEY_decrypt(ctx, em, &n, e->key.p,
	    e->key.n) == 1) {
		if (e->transport != TRANSPORT_PKCS1 && n == size)
			memcpy(key, em, size);
		else if (e->transport == TRANSPORT_PKCS1 && n >= size + 11)
			unpad_pkcs1(em, n, key, size);
	}
	OPENSSL_cleanse(em, sizeof(em));
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

/* Octets of content without its padding; 0 when that is wrong. */
static size_t
unpad_cbc(const uint8_t *p, size_t n, size_t block)
{
	size_t	pad = p[n - 1], i, bad;

	bad = (pad - 1) / block;	/* 0 for 1..block, without a branch */
	for (i = 0; i < block; i++)
		bad |= (size_t)(uint8_t)~same(p[n - 1 - i], (uint8_t)pad) &
		    ((size_t)0 - (size_t)(i < pad));
	return bad == 0 ? n - pad : 0;
}

int
enveloped_open(const struct enveloped *e, EVP_PKEY *pkey, struct buf *out)
{
	EVP_CIPHER_CTX	*ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER	*cipher = EVP_CIPHER_fetch(NULL, e->cipher, NULL);
	uint8_t		 key[KEY_SIZE_MAX];
	struct buf	 clear = { 0 };
	size_t		 len = 0;
	int		 n = 0;

	if (ctx != NULL && cipher != NULL && open_key(e, pkey, key) == 0 &&
	    EVP_DecryptInit_ex2(ctx, cipher, key, e->iv.p, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
	    EVP_DecryptUpdate(ctx, buf_extend(&clear, e->content.n), &n,
	    e->content.p, (int)e->content.n) == 1 &&
	    (size_t)n == e->content.n)
		len = unpad_cbc(clear.p, clear.n, e->iv.n);
	buf_add(out, clear.p, len);
	OPENSSL_cleanse(key, sizeof(key));
	buf_wipe(&clear);
	EVP_CIPHER_free(cipher);
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return len == 0 ? -1 : 0;
}
