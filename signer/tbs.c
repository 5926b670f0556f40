/*
 * From a decision to the bytes that are signed.  Called by job.c before the
 * intent, whose hash is that of these bytes; after it nothing is added.
 */
#include <string.h>

#include "certlint.h"
#include "der.h"
#include "ext.h"
#include "hresult.h"
#include "oid.h"
#include "tbs.h"


/* Bits of KeyUsage, [RFC5280] 4.2.1.3, counted from digitalSignature. */
#define KU_BIT_CERT_SIGN	(1u << 5)
#define KU_BIT_CRL_SIGN		(1u << 6)
#define KU_BITS			9

#define ANY_EKU			"2.5.29.37.0"
#define ANY_APPLICATION_POLICY	"1.3.6.1.4.1.311.10.12.1"

static int
put_oid_text(struct buf *out, const char *dotted, struct err *err)
{
	struct buf oid = { 0 };
	int rc;

	if ((rc = oid_parse(dotted, &oid, err)) == 0)
		der_put_oid(out, buf_slice(&oid));
	buf_free(&oid);
	return rc;
}

static void
put_ski(struct buf *out, const struct tbs *t)
{
	struct ext e = ext_open(out, OID_EXT_SKI, false);
	uint8_t id[20];

	pubkey_ski(t->key, id);
	der_put(out, DER_OCTETS, id, sizeof(id));
	ext_close(out, e);
}

/* A named BIT STRING has no trailing zero bits: [X.690] 11.2.2. */
static void
put_key_usage(struct buf *out, const struct tbs *t)
{
	const struct template *tmpl = t->decision->tmpl;
	unsigned usage = template_key_usage(tmpl, t->key->kind);
	uint8_t bits[3] = { 0 };
	unsigned i, last = 0;
	struct ext e;

	if (usage == 0)
		return;
	for (i = 0; i < KU_BITS; i++) {
		if ((usage & (1u << i)) == 0)
			continue;
		bits[1 + i / 8] |= (uint8_t)(0x80 >> (i % 8));
		last = i;
	}
	bits[0] = (uint8_t)(7 - last % 8);
	e = ext_open(out, OID_EXT_KEY_USAGE, tmpl->key_usage_critical);
	der_put(out, DER_BIT_STRING, bits, 2 + last / 8);
	ext_close(out, e);
}

/* Who checks time stamps refuses one that is not critical: [RFC3161] 2.3. */
static int
put_eku(struct buf *out, const struct tbs *t, struct err *err)
{
	const struct strlist *eku = &t->decision->tmpl->eku;
	struct ext e = ext_open(out, OID_EXT_EKU,
	    template_stamps_time(t->decision->tmpl));
	size_t i, seq = der_open(out, DER_SEQ);

	for (i = 0; i < eku->n; i++) {
		if (put_oid_text(out, eku->v[i], err) == -1)
			return -1;
	}
	der_close(out, seq);
	ext_close(out, e);
	return 0;
}

/*
 * certificatePolicies and Microsoft's application policies share a syntax:
 * SEQUENCE OF SEQUENCE { policyIdentifier }, no qualifiers.
 */
static int
put_policies(struct buf *out, struct slice oid, const struct strlist *list,
    struct err *err)
{
	struct ext e;
	size_t i, seq, info;

	if (list->n == 0)
		return 0;
	e = ext_open(out, oid, false);
	seq = der_open(out, DER_SEQ);
	for (i = 0; i < list->n; i++) {
		info = der_open(out, DER_SEQ);
		if (put_oid_text(out, list->v[i], err) == -1)
			return -1;
		der_close(out, info);
	}
	der_close(out, seq);
	ext_close(out, e);
	return 0;
}

/* Critical when there is no subject: [RFC5280] 4.2.1.6. */
static int
put_san(struct buf *out, const struct tbs *t, struct err *err)
{
	const struct names *names = &t->decision->names;
	struct ext e;

	if (names->nsan == 0)
		return 0;
	e = ext_open(out, OID_EXT_SAN, names->nrdn == 0);
	if (names_put_san(names, out, err) == -1)
		return -1;
	ext_close(out, e);
	return 0;
}

static void
put_access(struct buf *out, const struct tbs *t, struct slice method,
    const struct strlist *uris)
{
	size_t i, seq;

	for (i = 0; i < uris->n; i++) {
		seq = der_open(out, DER_SEQ);
		der_put_oid(out, method);
		ext_put_uri(out, uris->v[i], t->ca);
		der_close(out, seq);
	}
}

static void
put_aia(struct buf *out, const struct tbs *t)
{
	const struct policy_ca *ca = t->decision->ca;
	struct ext e;
	size_t seq;

	if (ca->aia.n == 0 && ca->ocsp.n == 0)
		return;
	e = ext_open(out, OID_EXT_AIA, false);
	seq = der_open(out, DER_SEQ);
	put_access(out, t, OID_AD_CA_ISSUERS, &ca->aia);
	put_access(out, t, OID_AD_OCSP, &ca->ocsp);
	der_close(out, seq);
	ext_close(out, e);
}

/* Schema 1 names the template by a BMPString; its names are ASCII. */
static int
put_template_name(struct buf *out, const char *cn, struct err *err)
{
	struct ext e = ext_open(out, OID_TEMPLATE_NAME, false);
	size_t bmp = der_open(out, DER_BMP);

	for (; *cn != '\0'; cn++) {
		if ((unsigned char)*cn >= 0x80)
			return err_set(err, ERR_INTERNAL,
			    "template name is not ascii");
		buf_addc(out, 0);
		buf_addc(out, (uint8_t)*cn);
	}
	der_close(out, bmp);
	ext_close(out, e);
	return 0;
}

/* [MS-WCCE] 2.2.2.7.7.2: without it autoenrollment does not know its own. */
static int
put_template(struct buf *out, const struct tbs *t, struct err *err)
{
	const struct template *tmpl = t->decision->tmpl;
	struct ext e;
	size_t seq;

	if (tmpl->schema < 2)
		return put_template_name(out, tmpl->cn, err);
	e = ext_open(out, OID_TEMPLATE_OID, false);
	seq = der_open(out, DER_SEQ);
	der_put_oid(out, buf_slice(&tmpl->oid_der));
	der_put_uint(out, tmpl->major);
	der_put_uint(out, tmpl->minor);
	der_close(out, seq);
	ext_close(out, e);
	return 0;
}

/* [MS-WCCE] 2.2.2.7.7.4: otherName whose value is the SID as text. */
static void
put_sid(struct buf *out, const char *sid)
{
	struct ext e;
	size_t names, other, value;

	if (sid == NULL)
		return;
	e = ext_open(out, OID_SID_EXT, false);
	names = der_open(out, DER_SEQ);
	other = der_open(out, DER_CTXC(0));
	der_put_oid(out, OID_SID_VALUE);
	value = der_open(out, DER_CTXC(0));
	der_put_str(out, DER_OCTETS, sid);
	der_close(out, value);
	der_close(out, other);
	der_close(out, names);
	ext_close(out, e);
}

/* [RFC4262] 2, the one list of the client's own, as [MS-WCCE] has it. */
static void
put_smime(struct buf *out, const struct tbs *t)
{
	struct ext e;

	if (!t->decision->tmpl->smime_capabilities || t->smime.n == 0)
		return;
	e = ext_open(out, OID_EXT_SMIME, false);
	buf_add(out, t->smime.p, t->smime.n);
	ext_close(out, e);
}

static int
put_extensions(struct buf *out, const struct tbs *t, struct err *err)
{
	const struct template *tmpl = t->decision->tmpl;
	static const struct strlist none;
	size_t outer = der_open(out, DER_CTXC(3));
	size_t seq = der_open(out, DER_SEQ);

	put_ski(out, t);
	put_key_usage(out, t);
	if (put_eku(out, t, err) == -1 || put_san(out, t, err) == -1)
		return -1;
	ext_put_aki(out, t->ca);
	ext_put_points(out, OID_EXT_CDP, &t->decision->ca->cdp, t->ca);
	ext_put_points(out, OID_EXT_FRESHEST, &t->decision->ca->cdp_delta,
	    t->ca);
	put_aia(out, t);
	if (put_policies(out, OID_EXT_POLICIES, &tmpl->policies, err) == -1 ||
	    put_template(out, t, err) == -1 ||
	    put_policies(out, OID_APP_POLICIES, tmpl->application_policies ?
	    &tmpl->eku : &none, err) == -1)
		return -1;
	put_sid(out, t->decision->sid);
	put_smime(out, t);
	der_close(out, seq);
	der_close(out, outer);
	return 0;
}

static int
put_body(struct buf *out, const struct tbs *t, struct err *err)
{
	size_t tbs = der_open(out, DER_SEQ);
	size_t mark = der_open(out, DER_CTXC(0));

	der_put_uint(out, 2);		/* v3 */
	der_close(out, mark);
	der_put_bigint(out, t->serial, SERIAL_LEN);
	cakey_put_sigalg(t->ca->key, out);
	/* Byte for byte the CA's subject: [RFC5280] 4.1.2.4, 7.1. */
	buf_add(out, t->ca->cert.subject.p, t->ca->cert.subject.n);
	mark = der_open(out, DER_SEQ);
	der_put_time(out, t->not_before);
	der_put_time(out, t->not_after);
	der_close(out, mark);
	if (names_put_dn(&t->decision->names, out, err) == -1)
		return -1;
	buf_add(out, t->key->spki.p, t->key->spki.n);
	if (put_extensions(out, t, err) == -1)
		return -1;
	der_close(out, tbs);
	return 0;
}

/* What no template may say; the linter refuses it as well, elsewhere. */
static int
refuse_rights(const struct tbs *t, struct err *err)
{
	const struct template *tmpl = t->decision->tmpl;
	size_t i;

	if (((tmpl->key_usage | template_key_usage(tmpl, t->key->kind)) &
	    (KU_BIT_CERT_SIGN | KU_BIT_CRL_SIGN)) != 0)
		return err_deny(err, CERTSRV_E_TEMPLATE_DENIED,
		    "template %s: key usage of a ca", tmpl->cn);
	if (tmpl->eku.n == 0)
		return err_deny(err, CERTSRV_E_TEMPLATE_DENIED,
		    "template %s: no extended key usage", tmpl->cn);
	for (i = 0; i < tmpl->eku.n; i++) {
		if (strcmp(tmpl->eku.v[i], ANY_EKU) == 0 ||
		    strcmp(tmpl->eku.v[i], ANY_APPLICATION_POLICY) == 0)
			return err_deny(err, CERTSRV_E_TEMPLATE_DENIED,
			    "template %s: any extended key usage", tmpl->cn);
	}
	return 0;
}

static int
refuse_key(const struct tbs *t, struct err *err)
{
	size_t i;

	if (slice_eq(t->key->spki, t->ca->cert.spki))
		return err_deny(err, NTE_BAD_KEY, "public key is the ca's");
	for (i = 0; i < t->ca->nchain; i++) {
		if (slice_eq(t->key->spki, t->ca->chain[i].spki))
			return err_deny(err, NTE_BAD_KEY,
			    "public key is a ca's");
	}
	return 0;
}

/* What the lint cannot know: it is this request's. */
static int
compare(const struct tbs *t, struct slice der, struct err *err)
{
	struct slice serial, spki;
	struct der tbs;

	if (der_only(der, DER_SEQ, &tbs, "TBSCertificate", err) == -1 ||
	    der_get(&tbs, DER_CTXC(0), &spki, "version", err) == -1 ||
	    der_get(&tbs, DER_INTEGER, &serial, "serialNumber", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &spki, "signature", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &spki, "issuer", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &spki, "validity", err) == -1 ||
	    der_get(&tbs, DER_SEQ, &spki, "subject", err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &spki, "subjectPublicKeyInfo", err) == -1)
		return -1;
	if (!slice_eq(serial, slice_of(t->serial, SERIAL_LEN)))
		return err_set(err, ERR_INTERNAL, "tbs: other serial");
	if (!slice_eq(spki, t->key->spki))
		return err_set(err, ERR_INTERNAL, "tbs: other public key");
	return 0;
}

static int
lint(const struct tbs *t, struct slice der, struct err *err)
{
	const struct certlint_ask ask = {
		.tbs = der, .ca_subject = t->ca->cert.subject,
		.ca_spki = t->ca->cert.spki, .ca_ski = buf_slice(&t->ca->ski),
		.ca_not_before = t->ca->not_before,
		.ca_not_after = t->ca->not_after
	};

	if (certlint(&ask, err) == -1)
		return -1;
	return compare(t, der, err);
}

int
tbs_validity(struct tbs *t, int64_t now, struct err *err)
{
	const struct ca *ca = t->ca;
	int64_t end = now + t->decision->tmpl->validity;

	if (ca_check_time(ca, now, err) == -1)
		return -1;
	t->not_before = now - ISSUED_EARLY > ca->not_before ?
	    now - ISSUED_EARLY : ca->not_before;
	t->not_after = end < ca->not_after ? end : ca->not_after;
	if (t->not_after <= t->not_before)
		return err_set(err, ERR_INTERNAL, "validity is empty");
	return 0;
}

int
tbs_build(const struct tbs *t, struct buf *out, struct err *err)
{
	struct buf tbs = { 0 };
	int rc = -1;

	if (refuse_rights(t, err) == -1 || refuse_key(t, err) == -1)
		return -1;
	if (t->decision->names.nrdn == 0 && t->decision->names.nsan == 0)
		return err_deny(err, CERTSRV_E_BAD_REQUESTSUBJECT,
		    "neither subject nor alternative name");
	if (put_body(&tbs, t, err) == 0 &&
	    lint(t, buf_slice(&tbs), err) == 0) {
		buf_add(out, tbs.p, tbs.n);
		rc = 0;
	}
	buf_free(&tbs);
	return rc;
}

void
tbs_certificate(const struct ca *ca, struct slice tbs, struct slice sig,
    struct buf *out)
{
	size_t seq = der_open(out, DER_SEQ);

	buf_add(out, tbs.p, tbs.n);
	cakey_put_sigalg(ca->key, out);
	der_put_bits(out, sig.p, sig.n);
	der_close(out, seq);
}
