/* The question of OCSP: read by the worker, and again by the signer. */
#include <stdlib.h>

#include <openssl/evp.h>

#include "der.h"
#include "ocspreq.h"
#include "oid.h"

#define SERIAL_MAX	20		/* [RFC5280] 4.1.2.2 */

static int
read_hash(struct der *d, struct ocsp_id *id, struct err *err)
{
	struct der	alg;
	struct slice	oid, none;
	bool		null;

	if (der_enter(d, DER_SEQ, &alg, "CertID.hashAlgorithm", err) == -1 ||
	    der_get(&alg, DER_OID, &oid, "CertID.hashAlgorithm", err) == -1)
		return -1;
	null = der_peek(&alg) == DER_NULL;
	if (null && der_get(&alg, DER_NULL, &none, "CertID.hashAlgorithm",
	    err) == -1)
		return -1;
	if (der_end(&alg, "CertID.hashAlgorithm", err) == -1)
		return -1;
	if (slice_eq(oid, OID_SHA1))
		id->hash = OCSP_SHA1;
	else if (slice_eq(oid, OID_SHA256))
		id->hash = OCSP_SHA256;
	else
		return err_bad(err, 0, "CertID.hashAlgorithm: neither SHA-1 "
		    "nor SHA-256");
	id->usual = null;
	return 0;
}

static int
read_serial(struct der *d, struct ocsp_id *id, struct err *err)
{
	struct slice	s;

	if (der_get(d, DER_INTEGER, &s, "CertID.serialNumber", err) == -1)
		return -1;
	if (s.n > 1 && s.p[0] == 0) {
		s.p++;
		s.n--;
	} else if (s.n == 0 || (s.p[0] & 0x80) != 0)
		return err_bad(err, 0, "CertID.serialNumber: is negative");
	if (s.n > SERIAL_MAX)
		return err_bad(err, 0, "CertID.serialNumber: %zu octets, "
		    "limit %d", s.n, SERIAL_MAX);
	id->serial = s;
	return 0;
}

static int
read_id(struct der *list, struct ocsp_id *id, struct err *err)
{
	struct der	one, d;
	size_t		n;

	if (der_enter(list, DER_SEQ, &one, "Request", err) == -1 ||
	    der_tlv(&one, DER_SEQ, &id->tlv, "CertID", err) == -1 ||
	    der_only(id->tlv, DER_SEQ, &d, "CertID", err) == -1 ||
	    read_hash(&d, id, err) == -1 ||
	    der_get(&d, DER_OCTETS, &id->name_hash, "CertID.issuerNameHash",
	    err) == -1 ||
	    der_get(&d, DER_OCTETS, &id->key_hash, "CertID.issuerKeyHash",
	    err) == -1 ||
	    read_serial(&d, id, err) == -1 || der_end(&d, "CertID", err) == -1)
		return -1;
	n = id->hash == OCSP_SHA1 ? 20 : 32;
	if (id->name_hash.n != n || id->key_hash.n != n)
		return err_bad(err, 0, "CertID: hashes are not of %zu octets",
		    n);
	/* singleRequestExtensions: of no use to us. */
	if (der_peek(&one) == DER_CTXC(0) && der_any(&one, NULL, NULL, NULL,
	    "Request.singleRequestExtensions", err) == -1)
		return -1;
	return der_end(&one, "Request", err);
}

static int
read_list(struct der *tbs, struct ocsp_request *r, struct err *err)
{
	struct der	list;

	if (der_enter(tbs, DER_SEQ, &list, "requestList", err) == -1)
		return -1;
	while (!der_done(&list)) {
		if (r->n == OCSP_IDS)
			return err_set(err, ERR_TOO_BIG,
			    "requestList: more than %d", OCSP_IDS);
		if (read_id(&list, &r->id[r->n++], err) == -1)
			return -1;
		if (!slice_eq(r->id[r->n - 1].key_hash, r->id[0].key_hash) ||
		    !slice_eq(r->id[r->n - 1].name_hash, r->id[0].name_hash))
			return err_bad(err, 0,
			    "requestList: more than one issuer");
	}
	if (r->n == 0)
		return err_bad(err, 0, "requestList: is empty");
	return 0;
}

static int
read_extension(struct der *list, struct ocsp_request *r, struct err *err)
{
	struct der	d;
	struct slice	oid, value;
	bool		critical = false;

	if (der_enter(list, DER_SEQ, &d, "Extension", err) == -1 ||
	    der_get(&d, DER_OID, &oid, "Extension.extnID", err) == -1 ||
	    (der_peek(&d) == DER_BOOLEAN && der_bool(&d, &critical,
	    "Extension.critical", err) == -1) ||
	    der_get(&d, DER_OCTETS, &value, "Extension.extnValue",
	    err) == -1 || der_end(&d, "Extension", err) == -1)
		return -1;
	if (!slice_eq(oid, OID_OCSP_NONCE)) {
		if (critical)
			return err_bad(err, 0, "requestExtensions: critical "
			    "and unknown");
		return 0;
	}
	if (r->nonce.p != NULL)
		return err_bad(err, 0, "nonce: stands twice");
	if (value.n == 0 || value.n > OCSP_NONCE_MAX)
		return err_bad(err, 0, "nonce: %zu octets, must be 1 to %d",
		    value.n, OCSP_NONCE_MAX);
	r->nonce = value;
	return 0;
}

static int
read_extensions(struct der *tbs, struct ocsp_request *r, struct err *err)
{
	struct der	outer, list;

	if (der_peek(tbs) != DER_CTXC(2))
		return 0;
	if (der_enter(tbs, DER_CTXC(2), &outer, "requestExtensions",
	    err) == -1 ||
	    der_enter(&outer, DER_SEQ, &list, "requestExtensions",
	    err) == -1 || der_end(&outer, "requestExtensions", err) == -1)
		return -1;
	while (!der_done(&list))
		if (read_extension(&list, r, err) == -1)
			return -1;
	return 0;
}

/* v1 is the default and all there is; DER would leave it out. */
static int
read_version(struct der *tbs, struct err *err)
{
	struct der	d;
	uint64_t	v;

	if (der_peek(tbs) != DER_CTXC(0))
		return 0;
	if (der_enter(tbs, DER_CTXC(0), &d, "version", err) == -1 ||
	    der_uint(&d, &v, "version", err) == -1 ||
	    der_end(&d, "version", err) == -1)
		return -1;
	return v == 0 ? 0 : err_bad(err, 0, "version: is not v1");
}

static int
read_tbs(struct der *d, struct ocsp_request *r, struct err *err)
{
	struct der	tbs;

	if (der_enter(d, DER_SEQ, &tbs, "tbsRequest", err) == -1 ||
	    read_version(&tbs, err) == -1)
		return -1;
	/* requestorName: everybody may ask. */
	if (der_peek(&tbs) == DER_CTXC(1) && der_any(&tbs, NULL, NULL, NULL,
	    "requestorName", err) == -1)
		return -1;
	if (read_list(&tbs, r, err) == -1 ||
	    read_extensions(&tbs, r, err) == -1)
		return -1;
	return der_end(&tbs, "tbsRequest", err);
}

int
ocsp_request_parse(struct slice s, struct ocsp_request *out, struct err *err)
{
	struct ocsp_request	r = { .n = 0 };
	struct der		d;

	if (s.n > OCSP_REQUEST_MAX)
		return err_set(err, ERR_TOO_BIG,
		    "OCSPRequest: %zu octets, limit %d", s.n,
		    OCSP_REQUEST_MAX);
	if (der_only(s, DER_SEQ, &d, "OCSPRequest", err) == -1 ||
	    read_tbs(&d, &r, err) == -1)
		return -1;
	/* optionalSignature: who asks does not matter. */
	if (der_peek(&d) == DER_CTXC(0) && der_any(&d, NULL, NULL, NULL,
	    "optionalSignature", err) == -1)
		return -1;
	if (der_end(&d, "OCSPRequest", err) == -1)
		return -1;
	*out = r;
	return 0;
}

/* [RFC5280] 4.1: the subject's TLV, and the key's bits. */
static int
subject_and_key(struct slice cert, struct slice *name, struct slice *key)
{
	struct err	ignored = ERR_INIT;
	struct der	d, tbs, spki;
	struct slice	skip;
	int		i;

	if (der_only(cert, DER_SEQ, &d, "certificate", &ignored) == -1 ||
	    der_enter(&d, DER_SEQ, &tbs, "tbs", &ignored) == -1)
		return -1;
	/* version, serialNumber, signature, issuer, validity */
	for (i = 0; i < 5; i++)
		if (der_any(&tbs, NULL, &skip, NULL, "tbs", &ignored) == -1)
			return -1;
	if (der_tlv(&tbs, DER_SEQ, name, "subject", &ignored) == -1 ||
	    der_enter(&tbs, DER_SEQ, &spki, "key", &ignored) == -1 ||
	    der_any(&spki, NULL, &skip, NULL, "key", &ignored) == -1)
		return -1;
	return der_bits(&spki, key, "key", &ignored);
}

static size_t
hash_of(enum ocsp_hash hash, struct slice of, uint8_t out[EVP_MAX_MD_SIZE])
{
	unsigned n = 0;

	if (EVP_Digest(of.p, of.n, out, &n, hash == OCSP_SHA1 ? EVP_sha1() :
	    EVP_sha256(), NULL) != 1)
		abort();	/* only without memory */
	return n;
}

static bool
is_hash_of(const struct ocsp_id *id, struct slice hash, struct slice of)
{
	uint8_t	out[EVP_MAX_MD_SIZE];

	return slice_eq(hash, slice_of(out, hash_of(id->hash, of, out)));
}

bool
ocsp_is_issuer(const struct ocsp_id *id, struct slice certificate)
{
	struct slice	 name, key;

	return subject_and_key(certificate, &name, &key) == 0 &&
	    is_hash_of(id, id->name_hash, name) &&
	    is_hash_of(id, id->key_hash, key);
}

int
ocsp_put_id(enum ocsp_hash hash, struct slice issuer, struct slice serial,
    struct buf *out, struct err *err)
{
	uint8_t		md[EVP_MAX_MD_SIZE];
	struct slice	name, key;
	size_t		id;

	if (subject_and_key(issuer, &name, &key) == -1)
		return err_set(err, ERR_INTERNAL, "issuer is no certificate");
	id = der_open(out, DER_SEQ);
	der_put_alg(out, hash == OCSP_SHA1 ? OID_SHA1 : OID_SHA256, true);
	der_put(out, DER_OCTETS, md, hash_of(hash, name, md));
	der_put(out, DER_OCTETS, md, hash_of(hash, key, md));
	der_put_bigint(out, serial.p, serial.n);
	der_close(out, id);
	return 0;
}
