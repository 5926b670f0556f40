/*
 * A certificate request: which form it has, and the rules over the forms.
 * Workers parse it once, a signer once more; behind it is struct request, and
 * nobody looks at the bytes again.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "cmc.h"
#include "cms.h"
#include "hresult.h"
#include "oid.h"
#include "reqparse.h"

/* 1.2.840.113549.1.7.3 */
static const struct slice oid_enveloped =
    { (const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", 9 };

bool
oidset_has(const struct oidset *s, struct slice oid)
{
	return slice_among(s->oid, s->n, oid);
}

int
oidset_add(struct oidset *s, struct slice oid, size_t max, const char *what,
    struct err *err)
{
	char	text[128];

	if (oidset_has(s, oid))
		return err_bad(err, 0, "%s %s: twice", what,
		    oid_show(oid, text, sizeof(text)));
	if (s->n == max || s->n == REQ_EXTENSIONS)
		return err_set(err, ERR_TOO_BIG, "%s: more than %zu", what,
		    s->n);
	s->oid[s->n++] = oid;
	return 0;
}

int
req_hint(struct request *r, const struct template_hint *h, struct err *err)
{
	struct template_hint	*to;

	if (r->nhint == REQUEST_HINTS)
		return err_set(err, ERR_TOO_BIG,
		    "template named more than %d times", REQUEST_HINTS);
	to = &r->hint[r->nhint++];
	*to = *h;
	if (h->name != NULL)
		to->name = xstrdup(h->name);
	if (h->oid != NULL)
		to->oid = xstrdup(h->oid);
	return 0;
}

int
request_add_hint(struct request *r, enum hint_carrier carrier,
    const char *name, struct err *err)
{
	char			*text = xstrdup(name);
	struct template_hint	 h = { .carrier = carrier, .name = text };
	size_t			 i;
	int			 rc = 0;

	for (i = 0; i < r->nhint && rc == 0; i++)
		if (r->hint[i].carrier == carrier)
			rc = err_bad(err, 0, "template named twice");
	if (rc == 0)
		rc = req_hint(r, &h, err);
	free(text);
	return rc;
}

int
req_verify(const struct pubkey *k, const struct signature *s,
    const char *what, struct err *err)
{
	struct err	own = ERR_INIT;

	if (pubkey_verify(k, s->alg, s->digest, s->msg, s->sig, &own) == 0)
		return 0;
	if (own.kind == ERR_DENIED)
		return err_deny(err, own.hresult, "%s: %s", what, own.text);
	return err_bad(err, own.hresult, "%s: %s", what, own.text);
}

/* A renewal needs the old key's signature, so it is never bare. */
static int
parse_bare(struct reqparse *p, struct err *err)
{
	struct request	*r = p->req;

	r->form = FORM_PKCS10;
	if (pkcs10_parse(p, buf_slice(&r->der), err) == -1)
		return -1;
	if (r->old_cert.n != 0)
		return err_bad(err, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
		    "renewal without the old certificate's signature");
	return 0;
}

static int
parse_cms(struct reqparse *p, const struct cms *cms, struct err *err)
{
	p->req->form = FORM_CMS;
	if (pkcs10_parse(p, cms->content, err) == -1)
		return -1;
	return cms_prove(p, cms, err);
}

/* Controls come last: what they may do depends on who signed them. */
static int
parse_cmc(struct reqparse *p, const struct cms *cms, struct err *err)
{
	struct cmc	cmc;

	p->req->form = FORM_CMC;
	if (cmc_parse(&cmc, cms->content, err) == -1 ||
	    pkcs10_parse(p, cmc.csr, err) == -1 ||
	    cms_prove(p, cms, err) == -1 ||
	    cmc_controls(p, &cmc, err) == -1)
		return -1;
	p->req->body_part_id = cmc.body_part_id;
	return 0;
}

/* [MS-WCCE] 3.1.1.4.3.6.1: the key and its hash come together or not at all. */
static int
check_archival(const struct reqparse *p, struct err *err)
{
	const struct request	*r = p->req;
	struct der		 d;
	struct slice		 told;
	uint8_t			 md[EVP_MAX_MD_SIZE];
	const EVP_MD		*alg;
	unsigned		 n;

	if ((r->key_hash.n != 0) != (r->archived_key.n != 0))
		return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "archived key and its hash do not come together");
	if (r->key_hash.n == 0)
		return 0;
	/* Only these two bind an unsigned attribute to what is signed. */
	if (!p->content_signed)
		return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "hash of the archived key is not signed");
	if (der_only(r->key_hash, DER_OCTETS, &d, "encrypted key hash",
	    err) == -1)
		return -1;
	told = slice_of(d.p, (size_t)(d.end - d.p));
	alg = told.n == 20 ? EVP_sha1() : told.n == 32 ? EVP_sha256() :
	    told.n == 48 ? EVP_sha384() : EVP_sha512();
	if (EVP_Digest(r->archived_key.p, r->archived_key.n, md, &n, alg,
	    NULL) != 1)
		return err_openssl(err, "EVP_Digest");
	if (!slice_eq(told, slice_of(md, n)))
		return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
		    "encrypted key hash is not that of the archived key");
	return 0;
}

static int
parse_signed(struct reqparse *p, struct err *err)
{
	struct cms	cms = { 0 };
	char		text[128];

	if (cms_parse(&cms, buf_slice(&p->req->der), err) == -1)
		return -1;
	if (slice_eq(cms.type, OID_PKCS7_DATA)) {
		if (parse_cms(p, &cms, err) == -1)
			return -1;
	} else if (slice_eq(cms.type, OID_CCT_PKI_DATA)) {
		if (parse_cmc(p, &cms, err) == -1)
			return -1;
	} else {
		return err_bad(err, CRYPT_E_BAD_MSG, "content type %s is not "
		    "a request", oid_show(cms.type, text, sizeof(text)));
	}
	return check_archival(p, err);
}

/*
 * [MS-WCCE] 3.2.1.4.2.1.4: told apart by parsing, for clients label them
 * wrongly.  A ContentInfo starts with its type, a PKCS#10 with a SEQUENCE.
 */
static int
parse_form(struct reqparse *p, struct err *err)
{
	struct der	d;
	struct slice	type;
	char		text[128];

	if (der_only(buf_slice(&p->req->der), DER_SEQ, &d, "request",
	    err) == -1)
		return -1;
	if (der_peek(&d) == DER_SEQ)
		return parse_bare(p, err);
	if (der_get(&d, DER_OID, &type, "request", err) == -1)
		return -1;
	if (slice_eq(type, OID_PKCS7_SIGNED))
		return parse_signed(p, err);
	if (slice_eq(type, oid_enveloped))
		return err_bad(err, HR_NOT_SUPPORTED,
		    "answer to an attestation challenge is not supported");
	return err_bad(err, CRYPT_E_BAD_MSG, "content %s is not SignedData",
	    oid_show(type, text, sizeof(text)));
}

static struct request *
parse(struct slice der, bool unjudged, struct err *err)
{
	struct reqparse	 p = { .unjudged = unjudged };
	struct request	*r;
	int		 rc;

	if (der.n > REQUEST_MAX) {
		err_set(err, ERR_TOO_BIG, "request of %zu octets, limit is %d",
		    der.n, REQUEST_MAX);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	buf_add(&r->der, der.p, der.n);
	r->body_part_id = 1;
	p.req = r;
	rc = parse_form(&p, err);
	ERR_clear_error();
	if (rc == -1) {
		request_free(r);
		return NULL;
	}
	return r;
}

struct request *
request_parse(struct slice der, struct err *err)
{
	return parse(der, false, err);
}

struct request *
request_parse_unjudged(struct slice der, struct err *err)
{
	return parse(der, true, err);
}

void
request_free(struct request *r)
{
	size_t	i;

	if (r == NULL)
		return;
	for (i = 0; i < r->nhint; i++) {
		free(r->hint[i].name);
		free(r->hint[i].oid);
	}
	pubkey_free(r->key);
	names_free(&r->names);
	free(r->sid);
	free(r->requester_name);
	free(r->client_info);
	buf_free(&r->smime);
	buf_free(&r->der);
	free(r);
}
