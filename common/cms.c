/* CMS SignedData, the form: ContentInfo to struct cms, for request.c. */
#include "cms.h"
#include "hresult.h"
#include "oid.h"

/* Hashes that are accepted, each once ([RFC5652] 5.1 digestAlgorithms). */
static int
parse_digests(struct cms *c, struct der *sd, struct err *err)
{
	struct der	set;
	struct slice	alg;
	size_t		i;

	if (der_enter(sd, DER_SET, &set, "digestAlgorithms", err) == -1)
		return -1;
	while (!der_done(&set)) {
		if (der_tlv(&set, DER_SEQ, &alg, "digestAlgorithms",
		    err) == -1)
			return -1;
		if (digest_of(alg) == NULL)
			return err_bad(err, NTE_BAD_ALGID,
			    "digestAlgorithms: hash is not accepted");
		for (i = 0; i < c->ndigest; i++)
			if (digest_of(c->digest[i]) == digest_of(alg))
				return err_bad(err, 0,
				    "digestAlgorithms: twice the same");
		if (c->ndigest == CMS_DIGESTS)
			return err_set(err, ERR_TOO_BIG,
			    "digestAlgorithms: more than %d", CMS_DIGESTS);
		c->digest[c->ndigest++] = alg;
	}
	return 0;
}

static int
parse_encap(struct cms *c, struct der *sd, struct err *err)
{
	struct der	encap, explicit;

	if (der_enter(sd, DER_SEQ, &encap, "encapContentInfo", err) == -1 ||
	    der_get(&encap, DER_OID, &c->type, "eContentType", err) == -1 ||
	    der_enter(&encap, DER_CTXC(0), &explicit, "eContent", err) == -1 ||
	    der_end(&encap, "encapContentInfo", err) == -1 ||
	    der_get(&explicit, DER_OCTETS, &c->content, "eContent",
	    err) == -1)
		return -1;
	return der_end(&explicit, "eContent", err);
}

/* Only what finds a signer's key; who issued it is judged elsewhere. */
static int
parse_cert(struct cms_cert *c, struct err *err)
{
	struct der	cert, tbs, version;
	struct slice	skip;

	if (der_check(c->tlv, REQ_DEPTH, "certificate", err) == -1 ||
	    der_only(c->tlv, DER_SEQ, &cert, "certificate", err) == -1 ||
	    der_enter(&cert, DER_SEQ, &tbs, "tbsCertificate", err) == -1 ||
	    der_tlv(&cert, DER_SEQ, &skip, "certificate algorithm",
	    err) == -1 ||
	    der_bits(&cert, &skip, "certificate signature", err) == -1 ||
	    der_end(&cert, "certificate", err) == -1)
		return -1;
	if (der_peek(&tbs) == DER_CTXC(0) &&
	    der_enter(&tbs, DER_CTXC(0), &version, "certificate version",
	    err) == -1)
		return -1;
	if (der_get(&tbs, DER_INTEGER, &c->serial, "certificate serial",
	    err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &skip, "certificate algorithm",
	    err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->issuer, "certificate issuer",
	    err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &skip, "certificate validity", err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &skip, "certificate subject", err) == -1)
		return -1;
	return der_tlv(&tbs, DER_SEQ, &c->spki, "certificate key", err);
}

static int
parse_certs(struct cms *c, struct der *sd, struct err *err)
{
	struct der	set;
	struct cms_cert	*to;
	size_t		 i;

	if (der_peek(sd) != DER_CTXC(0))
		return 0;
	if (der_enter(sd, DER_CTXC(0), &set, "certificates", err) == -1)
		return -1;
	while (!der_done(&set)) {
		if (c->ncert == CMS_CERTS)
			return err_set(err, ERR_TOO_BIG,
			    "certificates: more than %d", CMS_CERTS);
		to = &c->cert[c->ncert];
		if (der_tlv(&set, DER_SEQ, &to->tlv, "certificates",
		    err) == -1 || parse_cert(to, err) == -1)
			return -1;
		for (i = 0; i < c->ncert; i++)
			if (slice_eq(c->cert[i].serial, to->serial) &&
			    slice_eq(c->cert[i].issuer, to->issuer))
				return err_bad(err, 0, "certificates: two of "
				    "the same issuer and serial");
		c->ncert++;
	}
	return 0;
}

/* [RFC5652] 5.3: version 1 names a certificate, version 3 a key. */
static int
parse_signer_id(struct cms_signer *s, struct der *d, struct err *err)
{
	struct der	id;
	uint64_t	version;

	if (der_uint(d, &version, "SignerInfo.version", err) == -1)
		return -1;
	s->by_key = der_peek(d) == DER_CTX(0);
	if (version != (s->by_key ? 3u : 1u))
		return err_bad(err, 0, "SignerInfo.version: %llu does not fit "
		    "the sid", (unsigned long long)version);
	if (s->by_key)
		return der_get(d, DER_CTX(0), &s->ski, "SignerInfo.sid", err);
	if (der_enter(d, DER_SEQ, &id, "SignerInfo.sid", err) == -1 ||
	    der_tlv(&id, DER_SEQ, &s->issuer, "SignerInfo.issuer",
	    err) == -1 ||
	    der_check(s->issuer, REQ_DEPTH, "SignerInfo.issuer", err) == -1 ||
	    der_get(&id, DER_INTEGER, &s->serial, "SignerInfo.serialNumber",
	    err) == -1)
		return -1;
	return der_end(&id, "SignerInfo.sid", err);
}

static int
parse_signer(struct cms_signer *s, struct der *set, struct err *err)
{
	struct der	d;

	if (der_enter(set, DER_SEQ, &d, "SignerInfo", err) == -1 ||
	    parse_signer_id(s, &d, err) == -1 ||
	    der_tlv(&d, DER_SEQ, &s->digest, "SignerInfo.digestAlgorithm",
	    err) == -1)
		return -1;
	s->has_attrs = der_peek(&d) == DER_CTXC(0);
	if ((s->has_attrs && der_get(&d, DER_CTXC(0), &s->attrs,
	    "SignerInfo.signedAttrs", err) == -1) ||
	    der_tlv(&d, DER_SEQ, &s->alg, "SignerInfo.signatureAlgorithm",
	    err) == -1 ||
	    der_get(&d, DER_OCTETS, &s->sig, "SignerInfo.signature",
	    err) == -1)
		return -1;
	if (!der_done(&d) && der_get(&d, DER_CTXC(1), &s->unsigned_attrs,
	    "SignerInfo.unsignedAttrs", err) == -1)
		return -1;
	return der_end(&d, "SignerInfo", err);
}

static int
check_digest_listed(const struct cms *c, const struct cms_signer *s,
    struct err *err)
{
	const EVP_MD	*md = digest_of(s->digest);
	size_t		 i;

	if (md == NULL)
		return err_bad(err, NTE_BAD_ALGID,
		    "SignerInfo.digestAlgorithm: hash is not accepted");
	for (i = 0; i < c->ndigest; i++)
		if (digest_of(c->digest[i]) == md)
			return 0;
	return err_bad(err, 0,
	    "SignerInfo.digestAlgorithm: not among digestAlgorithms");
}

/* The order in the set is the client's: "first" has a meaning to Windows. */
static int
parse_signers(struct cms *c, struct der *sd, struct err *err)
{
	struct der		 set;
	struct cms_signer	*to;

	if (der_enter(sd, DER_SET, &set, "signerInfos", err) == -1)
		return -1;
	if (der_done(&set))	/* [MS-WCCE] 3.2.1.4.2.1.4.1.2 */
		return err_bad(err, CRYPT_E_NO_SIGNER, "signerInfos: none");
	while (!der_done(&set)) {
		if (c->nsigner == CMS_SIGNERS)
			return err_set(err, ERR_TOO_BIG,
			    "signerInfos: more than %d", CMS_SIGNERS);
		to = &c->signer[c->nsigner];
		if (parse_signer(to, &set, err) == -1 ||
		    check_digest_listed(c, to, err) == -1)
			return -1;
		c->nsigner++;
	}
	return 0;
}

/*
 * [RFC5652] 5.1.  Windows' CryptoAPI looks at the signers alone: where all have
 * certificates it writes 1, whatever the content.
 */
static int
check_version(const struct cms *c, uint64_t version, struct err *err)
{
	unsigned	want = slice_eq(c->type, OID_PKCS7_DATA) ? 1 : 3, or = 1;
	size_t		i;

	for (i = 0; i < c->nsigner; i++)
		if (c->signer[i].by_key)
			want = or = 3;
	if (version != want && version != or)
		return err_bad(err, 0, "SignedData.version: %llu, not %u",
		    (unsigned long long)version, want);
	return 0;
}

static int
parse_signed_data(struct cms *c, struct der *sd, struct err *err)
{
	uint64_t	version;

	if (der_uint(sd, &version, "SignedData.version", err) == -1 ||
	    parse_digests(c, sd, err) == -1 ||
	    parse_encap(c, sd, err) == -1 ||
	    parse_certs(c, sd, err) == -1)
		return -1;
	if (der_peek(sd) == DER_CTXC(1))
		return err_bad(err, 0, "SignedData.crls: not accepted");
	if (parse_signers(c, sd, err) == -1 ||
	    der_end(sd, "SignedData", err) == -1)
		return -1;
	return check_version(c, version, err);
}

int
cms_parse(struct cms *c, struct slice tlv, struct err *err)
{
	struct der	info, explicit, sd;
	struct slice	type;

	if (der_only(tlv, DER_SEQ, &info, "ContentInfo", err) == -1 ||
	    der_get(&info, DER_OID, &type, "ContentInfo", err) == -1 ||
	    der_enter(&info, DER_CTXC(0), &explicit, "ContentInfo",
	    err) == -1 ||
	    der_end(&info, "ContentInfo", err) == -1 ||
	    der_enter(&explicit, DER_SEQ, &sd, "SignedData", err) == -1 ||
	    der_end(&explicit, "ContentInfo", err) == -1)
		return -1;
	if (!slice_eq(type, OID_PKCS7_SIGNED))
		return err_bad(err, CRYPT_E_BAD_MSG,
		    "ContentInfo: not SignedData");
	return parse_signed_data(c, &sd, err);
}
