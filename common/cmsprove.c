/*
 * CMS SignedData, the proof: who signed the request.  Behind pkcs10.c in
 * request.c's parse; renewals and agents are judged by what is found here.
 */
#include <openssl/evp.h>

#include "cms.h"
#include "hresult.h"
#include "oid.h"

/* 1.2.840.113549.1.9.52 */
static const struct slice oid_algorithms =
    { (const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x34", 9 };

enum signer_kind { SIGNER_KEY, SIGNER_CERT, SIGNER_NONE };

struct hash {
	uint8_t		 p[EVP_MAX_MD_SIZE];
	unsigned	 n;
};

static int
hash_of(struct hash *h, struct slice alg, struct slice msg, struct err *err)
{
	if (EVP_Digest(msg.p, msg.n, h->p, &h->n, digest_of(alg), NULL) != 1)
		return err_openssl(err, "EVP_Digest");
	return 0;
}

static bool
hash_is(const struct hash *h, struct slice s)
{
	return slice_eq(s, slice_of(h->p, h->n));
}

static int
check_content_type(const struct cms *c, struct slice value, struct err *err)
{
	struct der	d;
	struct slice	oid;

	der_init(&d, value);
	if (der_get(&d, DER_OID, &oid, "signedAttrs.contentType", err) == -1)
		return -1;
	if (!slice_eq(oid, c->type))
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "signedAttrs.contentType: not that of the content");
	return 0;
}

static int
check_message_digest(const struct cms *c, const struct cms_signer *s,
    struct slice value, struct err *err)
{
	struct der	d;
	struct slice	octets;
	struct hash	h;

	der_init(&d, value);
	if (der_get(&d, DER_OCTETS, &octets, "signedAttrs.messageDigest",
	    err) == -1 || hash_of(&h, s->digest, c->content, err) == -1)
		return -1;
	if (!hash_is(&h, octets))
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "signedAttrs.messageDigest: not that of the content");
	return 0;
}

/* [RFC6211] 2: the algorithms once more, where they are signed. */
static int
check_algorithms(const struct cms_signer *s, struct slice value,
    struct err *err)
{
	static const char	what[] = "signedAttrs.cmsAlgorithmProtection";
	struct der		d, alg;
	struct slice		digest, sig;

	if (der_only(value, DER_SEQ, &d, what, err) == -1 ||
	    der_tlv(&d, DER_SEQ, &digest, what, err) == -1 ||
	    der_get(&d, DER_CTXC(1), &sig, what, err) == -1 ||
	    der_end(&d, what, err) == -1 ||
	    der_only(s->alg, DER_SEQ, &alg, what, err) == -1)
		return -1;
	if (slice_eq(digest, s->digest) &&
	    slice_eq(sig, slice_of(alg.p, (size_t)(alg.end - alg.p))))
		return 0;
	return err_deny(err, NTE_BAD_SIGNATURE,
	    "%s: not the algorithms of the signer", what);
}

/*
 * [RFC5652] 5.3 and 11: contentType and messageDigest once each.  Further
 * attributes count only when the signature is a real one.
 */
static int
check_attrs(struct reqparse *p, const struct cms *c,
    const struct cms_signer *s, bool is_signed, struct err *err)
{
	struct oidset	seen = { 0 };
	struct der	d;
	struct slice	oid, value;
	int		rc;

	der_init(&d, s->attrs);
	while (!der_done(&d)) {
		if (reqattr_read(&d, &oid, &value, err) == -1 ||
		    oidset_add(&seen, oid, REQ_ATTRIBUTES, "signed attribute",
		    err) == -1)
			return -1;
		if (slice_eq(oid, OID_CONTENT_TYPE))
			rc = check_content_type(c, value, err);
		else if (slice_eq(oid, OID_MESSAGE_DIGEST))
			rc = check_message_digest(c, s, value, err);
		else if (slice_eq(oid, oid_algorithms))
			rc = check_algorithms(s, value, err);
		else
			rc = reqattr_judge(p, ATTR_SIGNED, oid, value,
			    is_signed, err);
		if (rc == -1)
			return -1;
	}
	if (!oidset_has(&seen, OID_CONTENT_TYPE) ||
	    !oidset_has(&seen, OID_MESSAGE_DIGEST))
		return err_bad(err, 0, "signedAttrs: contentType or "
		    "messageDigest is missing");
	return 0;
}

/*
 * What the signature is over: the content, or the attributes with the tag of
 * a SET OF, which must be DER ([RFC5652] 5.4).  out owns the bytes.
 */
static int
signed_bytes(const struct cms *c, const struct cms_signer *s,
    struct buf *out, struct err *err)
{
	if (!s->has_attrs) {
		buf_add(out, c->content.p, c->content.n);
		return 0;
	}
	der_put_slice(out, DER_SET, s->attrs);
	return der_check(buf_slice(out), REQ_DEPTH, "signedAttrs", err);
}

/* [RFC5280] 4.2.1.2 (1), or what the PKCS#10 itself says its key is called. */
static bool
names_key(const struct reqparse *p, const struct cms_signer *s)
{
	uint8_t	ski[20];

	pubkey_ski(p->req->key, ski);
	return slice_eq(s->ski, slice_of(ski, sizeof(ski))) ||
	    (p->ski.n != 0 && slice_eq(s->ski, p->ski));
}

/* The new key: this is what proves possession. */
static int
prove_key(struct reqparse *p, const struct signature *sig,
    const struct cms_signer *s, struct err *err)
{
	if (!names_key(p, s))
		return err_bad(err, CRYPT_E_NOT_FOUND, "signer names a key "
		    "that is not the request's; one with a certificate names "
		    "its issuer and serial number");
	if (!s->has_attrs)
		return err_bad(err, 0, "signer without signedAttrs");
	if (p->unjudged && !p->null_signature)
		return 0;	/* the PKCS#10 has proven the key */
	if (req_verify(p->req->key, sig, "signer by the new key", err) == -1)
		return -1;
	if (p->null_signature)
		p->req->pop = POP_CMC_SKI;
	return 0;
}

static const struct cms_cert *
signer_cert(const struct cms *c, const struct cms_signer *s)
{
	size_t	i;

	for (i = 0; i < c->ncert; i++)
		if (slice_eq(c->cert[i].serial, s->serial) &&
		    slice_eq(c->cert[i].issuer, s->issuer))
			return &c->cert[i];
	return NULL;
}

static int
add_signer(struct request *r, const struct cms_cert *cert, bool sha1,
    bool verified, struct err *err)
{
	struct request_signer	*to;

	if (r->nsigner != 0 && slice_eq(r->signer[0].cert, cert->tlv))
		return err_bad(err, 0, "two signers by one certificate");
	if (r->nsigner == REQUEST_SIGNERS)
		return err_set(err, ERR_TOO_BIG, "more than %d signers by "
		    "certificates", REQUEST_SIGNERS);
	to = &r->signer[r->nsigner++];
	to->cert = cert->tlv;
	to->issuer = cert->issuer;
	to->serial = cert->serial;
	to->verified = verified;
	to->sha1 = sha1;
	return 0;
}

/*
 * An authority's signature says what it has looked at, in a content that others
 * have a part in, so SHA-1, whose collisions can be made, is not enough; of a
 * renewal the template says.  Without attributes only where clients do so: the
 * renewal of the old kind, whose content no attributes can be mistaken for.
 */
static int
prove_cert(struct reqparse *p, const struct cms *c,
    const struct signature *sig, const struct cms_signer *s, struct err *err)
{
	const struct cms_cert	*cert = signer_cert(c, s);
	bool			 sha1 = digest_of(s->digest) == EVP_sha1();
	struct pubkey		*key;
	int			 rc;

	if (cert == NULL)
		return err_bad(err, p->req->old_cert.n != 0 ?
		    CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE : CRYPT_E_NOT_FOUND,
		    "signer's certificate is not included");
	if (!s->has_attrs && !slice_eq(c->type, OID_PKCS7_DATA))
		return err_bad(err, 0, "signer without signedAttrs");
	if (sha1 && !slice_eq(cert->tlv, p->req->old_cert))
		return err_deny(err, NTE_BAD_ALGID,
		    "signature by a certificate uses sha1: sign with sha256");
	if (p->unjudged)
		return add_signer(p->req, cert, sha1, false, err);
	/* A renewal that keeps its key: that one is parsed already. */
	if (slice_eq(cert->spki, p->req->key->spki))
		key = p->req->key;
	else if ((key = pubkey_parse(cert->spki, err)) == NULL)
		return -1;
	rc = req_verify(key, sig, "signer by certificate", err);
	if (key != p->req->key)
		pubkey_free(key);
	return rc == -1 ? -1 : add_signer(p->req, cert, sha1, true, err);
}

/*
 * id-alg-noSignature ([RFC2797] 3.3.3.1): the hash in place of a signature.
 * It proves nothing; the PKCS#10 inside has to.
 */
static int
check_no_signature(const struct reqparse *p, const struct signature *sig,
    const struct cms_signer *s, struct err *err)
{
	struct hash	h;

	if (s->by_key && !names_key(p, s))
		return err_bad(err, CRYPT_E_NOT_FOUND,
		    "signer names a key that is not the request's");
	if (hash_of(&h, s->digest, sig->msg, err) == -1)
		return -1;
	if (!hash_is(&h, sig->sig))
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "no-signature: not the hash");
	return 0;
}

static int
kind_of(const struct cms_signer *s, enum signer_kind *kind, struct err *err)
{
	struct der	d;
	struct slice	oid, null;

	if (der_only(s->alg, DER_SEQ, &d, "SignerInfo.signatureAlgorithm",
	    err) == -1 ||
	    der_get(&d, DER_OID, &oid, "SignerInfo.signatureAlgorithm",
	    err) == -1)
		return -1;
	if (!slice_eq(oid, OID_NO_SIGNATURE)) {
		*kind = s->by_key ? SIGNER_KEY : SIGNER_CERT;
		return 0;
	}
	if (!der_done(&d) && der_get(&d, DER_NULL, &null,
	    "no-signature parameters", err) == -1)
		return -1;
	*kind = SIGNER_NONE;
	return der_end(&d, "SignerInfo.signatureAlgorithm", err);
}

static int
prove_signer(struct reqparse *p, const struct cms *c,
    const struct cms_signer *s, enum signer_kind kind, struct err *err)
{
	struct buf		msg = { 0 };
	struct signature	sig = { .alg = s->alg, .digest = s->digest,
				    .sig = s->sig };
	int			rc;

	rc = signed_bytes(c, s, &msg, err);
	sig.msg = buf_slice(&msg);
	if (rc == 0 && kind == SIGNER_KEY)
		rc = prove_key(p, &sig, s, err);
	else if (rc == 0 && kind == SIGNER_CERT)
		rc = prove_cert(p, c, &sig, s, err);
	else if (rc == 0)
		rc = check_no_signature(p, &sig, s, err);
	buf_free(&msg);
	p->said = false;
	if (rc == 0 && s->has_attrs)
		rc = check_attrs(p, c, s, kind != SIGNER_NONE, err);
	if (kind == SIGNER_CERT && !p->said)
		p->silent = true;
	return rc;
}

/* [MS-WCCE] 3.1.1.4.3.6.1: the archived key is all that may be unsigned. */
static int
read_unsigned(struct request *r, const struct cms_signer *s, bool first,
    struct err *err)
{
	struct der	d;
	struct slice	oid, value;
	char		text[128];

	if (s->unsigned_attrs.n == 0)
		return 0;
	der_init(&d, s->unsigned_attrs);
	if (der_check(s->unsigned_attrs, REQ_DEPTH, "unsignedAttrs",
	    err) == -1 || reqattr_read(&d, &oid, &value, err) == -1 ||
	    der_end(&d, "unsignedAttrs", err) == -1)
		return -1;
	if (!slice_eq(oid, OID_ARCHIVED_KEY))
		return err_bad(err, 0, "unsigned attribute %s is not accepted",
		    oid_show(oid, text, sizeof(text)));
	if (!first)
		return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "archived key is not with the first signer");
	r->archived_key = value;
	return 0;
}

/* Each kind once, except two certificates: those of two authorities. */
static int
prove_all(struct reqparse *p, const struct cms *c, struct err *err)
{
	enum signer_kind	kind;
	unsigned		seen = 0;
	size_t			i;

	for (i = 0; i < c->nsigner; i++) {
		if (kind_of(&c->signer[i], &kind, err) == -1)
			return -1;
		if (kind != SIGNER_CERT && (seen & 1u << kind) != 0)
			return err_bad(err, 0, "two signers of one kind");
		seen |= 1u << kind;
		if (prove_signer(p, c, &c->signer[i], kind, err) == -1 ||
		    read_unsigned(p->req, &c->signer[i], i == 0, err) == -1)
			return -1;
	}
	p->content_signed = (seen & ~(1u << SIGNER_NONE)) != 0;
	if (p->null_signature && (seen & 1u << SIGNER_KEY) == 0)
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "nothing proves possession of the private key");
	return 0;
}

/* [MS-WCCE] 3.1.1.4.3.2: who renews a certificate signs with it, too. */
static int
check_renewal(const struct request *r, struct err *err)
{
	size_t	i;

	if (r->old_cert.n == 0)
		return 0;
	for (i = 0; i < r->nsigner; i++)
		if (slice_eq(r->signer[i].cert, r->old_cert))
			return 0;
	return err_bad(err, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
	    "the renewed certificate is not a signer");
}

/*
 * Attributes are of one signature: who signed beside them has signed for
 * whoever sends the request, not for this name.  The content is everybody's,
 * and read later.
 */
static int
check_requester(const struct reqparse *p, struct err *err)
{
	if (p->req->requester_name == NULL || !p->silent)
		return 0;
	return err_deny(err, CERTSRV_E_SIGNATURE_REJECTED, "RequesterName: "
	    "not every signer's certificate signs it");
}

int
cms_prove(struct reqparse *p, const struct cms *c, struct err *err)
{
	if (prove_all(p, c, err) == -1 || check_requester(p, err) == -1)
		return -1;
	return check_renewal(p->req, err);
}
