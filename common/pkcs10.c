/*
 * PKCS#10 CertificationRequest ([RFC2986] section 4): the innermost part of
 * every request, with the signature by which it proves its key.
 */
#include <openssl/evp.h>

#include "hresult.h"
#include "reqparse.h"

struct pkcs10 {
	struct slice	 info;		/* CertificationRequestInfo TLV */
	struct slice	 spki;
	struct der	 attributes;
	struct signature sig;
};

/*
 * [RFC2986] 4.1 has the list even where it is empty; some leave it out then,
 * and OpenSSL takes that, too.  The template is named elsewhere.
 */
static int
enter_attributes(struct der *info, struct der *out, struct err *err)
{
	der_init(out, slice_of(NULL, 0));
	if (der_done(info))
		return 0;
	return der_enter(info, DER_CTXC(0), out,
	    "CertificationRequestInfo.attributes", err);
}

static int
parse_info(struct reqparse *p, struct pkcs10 *c, struct err *err)
{
	struct der	info;
	uint64_t	version;

	if (der_only(c->info, DER_SEQ, &info, "CertificationRequestInfo",
	    err) == -1 ||
	    der_uint(&info, &version, "CertificationRequestInfo.version",
	    err) == -1)
		return -1;
	if (version != 0)
		return err_bad(err, 0, "CertificationRequestInfo.version: "
		    "%llu is not 0", (unsigned long long)version);
	if (der_tlv(&info, DER_SEQ, &p->req->subject,
	    "CertificationRequestInfo.subject", err) == -1 ||
	    der_tlv(&info, DER_SEQ, &c->spki,
	    "CertificationRequestInfo.subjectPKInfo", err) == -1 ||
	    enter_attributes(&info, &c->attributes, err) == -1)
		return -1;
	return der_end(&info, "CertificationRequestInfo", err);
}

static int
parse_shape(struct reqparse *p, struct pkcs10 *c, struct err *err)
{
	struct der	csr;

	if (der_check(p->req->csr, REQ_DEPTH, "CertificationRequest",
	    err) == -1 ||
	    der_only(p->req->csr, DER_SEQ, &csr, "CertificationRequest",
	    err) == -1 ||
	    der_tlv(&csr, DER_SEQ, &c->info, "CertificationRequestInfo",
	    err) == -1 ||
	    der_tlv(&csr, DER_SEQ, &c->sig.alg,
	    "CertificationRequest.signatureAlgorithm", err) == -1 ||
	    der_bits(&csr, &c->sig.sig, "CertificationRequest.signature",
	    err) == -1 ||
	    der_end(&csr, "CertificationRequest", err) == -1)
		return -1;
	c->sig.digest = slice_of(NULL, 0);
	c->sig.msg = c->info;
	return parse_info(p, c, err);
}

/*
 * [MS-WCCE] 2.2.2.6.5, tightened: the bare hash in place of a signature only
 * inside CMS or CMC, where cms_prove asks for a real one, and not of SHA-1.
 */
static int
check_null_signature(struct reqparse *p, const struct pkcs10 *c,
    const EVP_MD *md, struct err *err)
{
	uint8_t		hash[EVP_MAX_MD_SIZE];
	unsigned	n;

	if (p->req->form == FORM_PKCS10)
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "pkcs10: null signature proves nothing");
	if (EVP_MD_get_size(md) < 32)
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "pkcs10: null signature with a hash below sha256");
	if (EVP_Digest(c->info.p, c->info.n, hash, &n, md, NULL) != 1)
		return err_openssl(err, "EVP_Digest");
	if (!slice_eq(c->sig.sig, slice_of(hash, n)))
		return err_deny(err, NTE_BAD_SIGNATURE,
		    "pkcs10: null signature is not the hash");
	p->null_signature = true;
	return 0;
}

static int
check_signature(struct reqparse *p, const struct pkcs10 *c, struct err *err)
{
	const EVP_MD	*md = digest_of(c->sig.alg);

	if (md != NULL)
		return check_null_signature(p, c, md, err);
	return req_verify(p->req->key, &c->sig, "pkcs10", err);
}

int
pkcs10_parse(struct reqparse *p, struct slice tlv, struct err *err)
{
	struct request	*r = p->req;
	struct pkcs10	 c;

	r->csr = tlv;
	if (parse_shape(p, &c, err) == -1)
		return -1;
	r->key = pubkey_parse(c.spki, err);
	if (r->key == NULL || check_signature(p, &c, err) == -1)
		return -1;
	r->pop = POP_PKCS10;
	/* [MS-WCCE] 3.2.2.6.2.1.4.5.9: most templates ignore the subject. */
	names_parse_dn(&r->names, r->subject, &r->names_fault);
	return reqattr_parse(p, ATTR_CSR, &c.attributes, err);
}
