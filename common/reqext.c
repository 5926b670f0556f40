/*
 * Extensions that requests carry.  Names, templates and the SID are read;
 * everything else is advice that no certificate follows, so it only has to be
 * well formed.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hresult.h"
#include "oid.h"
#include "reqparse.h"
#include "smime.h"

/* 1.2.840.113549.1.9.15 */
static int
claim_sid(struct request *r, const char *sid, struct err *err)
{
	if (!name_is_sid(sid))
		return err_bad(err, 0, "claim of a sid that is none");
	if (r->sid == NULL)
		r->sid = xstrdup(sid);
	else if (strcmp(r->sid, sid) != 0)
		return err_bad(err, 0, "claims of two different sids");
	return 0;
}

static bool
is_escape(const char *s, uint8_t *c)
{
	char	digits[3] = "";

	if (s[0] != '%')
		return false;
	memcpy(digits, s + 1, strnlen(s + 1, 2));
	return hex_decode(digits, c, 1) == 0 && *c != 0;
}

/* Undo "%53"; readers of the tag do before they compare. */
static char *
uri_decode(const char *uri)
{
	char	*out = xcalloc(1, strlen(uri) + 1), *o = out;
	uint8_t	 c;

	while (*uri != '\0') {
		if (is_escape(uri, &c)) {
			*o++ = (char)c;
			uri += 3;
		} else {
			*o++ = *uri++;
		}
	}
	return out;
}

/* A SID claim by URI, as of KB5014754's "tag:" form. */
static int
claim_uri(struct request *r, const char *uri, struct err *err)
{
	static const char	 tag[] = "tag:microsoft.com,2022-09-14:sid:";
	char			*plain = uri_decode(uri), *sid;
	int			 rc = 0;

	if (strncasecmp(plain, tag, sizeof(tag) - 1) == 0) {
		sid = plain + sizeof(tag) - 1;
		*sid = (char)toupper((unsigned char)*sid);
		rc = claim_sid(r, sid, err);
	}
	free(plain);
	return rc;
}

/* What cannot be read goes nowhere; names before it claim what they do. */
static int
ext_san(struct reqparse *p, struct slice value, struct err *err)
{
	struct names	*n = &p->req->names;
	size_t		 i = n->nsan;

	names_parse_san(n, value, &p->req->names_fault);
	for (; i < n->nsan; i++)
		if (n->san[i].kind == SAN_URI &&
		    claim_uri(p->req, n->san[i].text, err) == -1)
			return -1;
	return 0;
}

/* [MS-WCCE] 2.2.2.7.7.4: one otherName with the SID as text in octets. */
static int
ext_sid(struct reqparse *p, struct slice value, struct err *err)
{
	struct der	 names, other, explicit;
	struct slice	 oid, octets;
	char		*sid;
	int		 rc;

	if (der_only(value, DER_SEQ, &names, "sid extension", err) == -1 ||
	    der_enter(&names, DER_CTXC(0), &other, "sid extension",
	    err) == -1 ||
	    der_end(&names, "sid extension", err) == -1 ||
	    der_get(&other, DER_OID, &oid, "sid extension", err) == -1 ||
	    der_enter(&other, DER_CTXC(0), &explicit, "sid extension",
	    err) == -1 ||
	    der_end(&other, "sid extension", err) == -1 ||
	    der_get(&explicit, DER_OCTETS, &octets, "sid extension",
	    err) == -1 ||
	    der_end(&explicit, "sid extension", err) == -1)
		return -1;
	if (!slice_eq(oid, OID_SID_VALUE))
		return err_bad(err, 0, "sid extension: not a sid");
	sid = name_string(DER_IA5, octets, "sid extension", err);
	if (sid == NULL)
		return -1;
	rc = claim_sid(p->req, sid, err);
	free(sid);
	return rc;
}

/*
 * [MS-WCCE] 2.2.2.7.7.1 prints a SEQUENCE of a UTF8String; clients send the
 * bare BMPString.
 */
static int
ext_template_name(struct reqparse *p, struct slice value, struct err *err)
{
	struct template_hint	 h = { .carrier = HINT_V1_EXT };
	struct der		 d;
	struct slice		 content;
	int			 tag, rc;

	der_init(&d, value);
	if (der_peek(&d) == DER_SEQ &&
	    der_only(value, DER_SEQ, &d, "template name", err) == -1)
		return -1;
	if (der_any(&d, &tag, NULL, &content, "template name", err) == -1 ||
	    der_end(&d, "template name", err) == -1)
		return -1;
	if (tag == DER_IA5)
		return err_bad(err, 0, "template name: IA5String");
	h.name = name_string(tag, content, "template name", err);
	if (h.name == NULL)
		return -1;
	rc = req_hint(p->req, &h, err);
	free(h.name);
	return rc;
}

static int
template_version(struct der *d, uint64_t *v, struct err *err)
{
	if (der_uint(d, v, "template version", err) == -1)
		return -1;
	if (*v > UINT32_MAX)
		return err_bad(err, 0, "template version: above 2^32 - 1");
	return 0;
}

/* [MS-WCCE] 2.2.2.7.7.2; a version left out is 0. */
static int
ext_template_oid(struct reqparse *p, struct slice value, struct err *err)
{
	char			 text[256];
	struct template_hint	 h = { .carrier = HINT_V2_EXT, .oid = text };
	struct der		 d;
	struct slice		 oid;

	if (der_only(value, DER_SEQ, &d, "template", err) == -1 ||
	    der_get(&d, DER_OID, &oid, "template", err) == -1)
		return -1;
	if (oid_text(oid, text, sizeof(text)) == -1)
		return err_deny(err, CERTSRV_E_UNSUPPORTED_CERT_TYPE,
		    "template: object identifier with an arc above 2^63");
	h.has_version = !der_done(&d);
	if ((!der_done(&d) && template_version(&d, &h.major, err) == -1) ||
	    (!der_done(&d) && template_version(&d, &h.minor, err) == -1) ||
	    der_end(&d, "template", err) == -1)
		return -1;
	return req_hint(p->req, &h, err);
}

static int
ext_ski(struct reqparse *p, struct slice value, struct err *err)
{
	struct der	d;
	struct slice	ski;

	der_init(&d, value);
	if (der_get(&d, DER_OCTETS, &ski, "subject key identifier",
	    err) == -1 || der_end(&d, "subject key identifier", err) == -1)
		return -1;
	if (ski.n == 0 || ski.n > 64)
		return err_bad(err, 0, "subject key identifier of %zu octets",
		    ski.n);
	p->ski = ski;
	return 0;
}

static int
ext_smime(struct reqparse *p, struct slice value, struct err *err)
{
	return smime_copy(value, &p->req->smime, err);
}

/*
 * A length without a CA contradicts [RFC5280] 4.2.1.9, but many write
 * "CA:FALSE,pathlen:0" and OpenSSL makes that of it.  The default may stand
 * there, as in read_extension.
 */
static int
ext_basic(struct reqparse *p, struct slice value, struct err *err)
{
	struct der	d;
	uint64_t	length;
	bool		ca = false;

	(void)p;
	if (der_only(value, DER_SEQ, &d, "basic constraints", err) == -1)
		return -1;
	if (der_peek(&d) == DER_BOOLEAN &&
	    der_bool(&d, &ca, "basic constraints", err) == -1)
		return -1;
	if ((!der_done(&d) && der_uint(&d, &length, "path length",
	    err) == -1) || der_end(&d, "basic constraints", err) == -1)
		return -1;
	return !ca ? 0 : err_deny(err, HR_INVALID_ARG,
	    "basic constraints: ca certificates are not issued here");
}

/* names: only believed where somebody signed the list. */
struct extension {
	const struct slice	*oid;
	int			(*parse)(struct reqparse *, struct slice,
				    struct err *);
	bool			 names;
};

static const struct extension known[] = {
	{ &OID_EXT_SAN, ext_san, true },
	{ &OID_SID_EXT, ext_sid, true },
	{ &OID_TEMPLATE_NAME, ext_template_name, false },
	{ &OID_TEMPLATE_OID, ext_template_oid, false },
	{ &OID_EXT_SKI, ext_ski, false },
	{ &OID_EXT_BASIC, ext_basic, false },
	{ &OID_EXT_KEY_USAGE, NULL, false },
	{ &OID_EXT_EKU, NULL, false },
	{ &OID_EXT_POLICIES, NULL, false },
	{ &OID_APP_POLICIES, NULL, false },
	{ &OID_EXT_SMIME, ext_smime, false },
	{ &OID_EXT_AKI, NULL, false },
	{ &OID_EXT_CDP, NULL, false },
	{ &OID_EXT_AIA, NULL, false },
};

static const struct extension *
extension_find(struct slice oid)
{
	size_t	i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq(*known[i].oid, oid))
			return &known[i];
	return NULL;
}

/*
 * Against [X.690] 11.5 certmonger of before 2022 writes "critical" where it is
 * false: there is one way to read that, and no certificate repeats it.
 */
static int
read_extension(struct der *list, struct slice *oid, bool *critical,
    struct slice *value, struct err *err)
{
	struct der	ext;

	*critical = false;
	if (der_enter(list, DER_SEQ, &ext, "extension", err) == -1 ||
	    der_get(&ext, DER_OID, oid, "extension", err) == -1)
		return -1;
	if (der_peek(&ext) == DER_BOOLEAN &&
	    der_bool(&ext, critical, "extension", err) == -1)
		return -1;
	if (der_get(&ext, DER_OCTETS, value, "extension", err) == -1)
		return -1;
	return der_end(&ext, "extension", err);
}

/*
 * The lists of the PKCS#10 and of CMC say the same thing twice only about the
 * template, where decide_template compares all that was named.
 */
static int
check_place(const struct reqparse *p, const struct extension *e,
    struct slice oid, struct err *err)
{
	char	text[128];

	if (oidset_has(&p->extensions, oid) &&
	    !slice_eq(oid, OID_TEMPLATE_NAME) &&
	    !slice_eq(oid, OID_TEMPLATE_OID))
		return err_bad(err, 0, "extension %s: in the pkcs10 and in "
		    "addExtensions", oid_show(oid, text, sizeof(text)));
	if (e != NULL && e->names && !p->content_signed)
		return err_bad(err, 0, "extension %s: added without a "
		    "signature", oid_show(oid, text, sizeof(text)));
	return 0;
}

static int
parse_extension(struct reqparse *p, enum ext_list where, struct oidset *seen,
    struct der *list, struct err *err)
{
	const struct extension	*e;
	struct slice		 oid, value;
	char			 text[128];
	bool			 critical;

	if (read_extension(list, &oid, &critical, &value, err) == -1 ||
	    oidset_add(seen, oid, REQ_EXTENSIONS, "extension", err) == -1)
		return -1;
	e = extension_find(oid);
	if (e == NULL && critical)
		return err_bad(err, 0, "extension %s: critical and not known",
		    oid_show(oid, text, sizeof(text)));
	if (where == EXT_ADDED && check_place(p, e, oid, err) == -1)
		return -1;
	if (der_check(value, REQ_DEPTH, "extension value", err) == -1)
		return -1;
	return e != NULL && e->parse != NULL ? e->parse(p, value, err) : 0;
}

int
reqext_parse(struct reqparse *p, enum ext_list where, struct slice tlv,
    struct err *err)
{
	struct oidset	 added = { 0 };
	struct oidset	*seen = where == EXT_CSR ? &p->extensions : &added;
	struct der	 list;

	if (der_only(tlv, DER_SEQ, &list, "extensions", err) == -1)
		return -1;
	/* [RFC5280] 4.1 has at least one; a tool that asks for none may not. */
	while (!der_done(&list))
		if (parse_extension(p, where, seen, &list, err) == -1)
			return -1;
	return 0;
}
