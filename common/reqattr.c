/*
 * Attributes of requests, and the name/value pairs some of them hold: where a
 * client names a template, among others.  For pkcs10.c, cmc.c and cmsprove.c.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hresult.h"
#include "oid.h"
#include "reqparse.h"

#define ANYWHERE	(ATTR_CSR | ATTR_ADDED | ATTR_SIGNED)

#define MS(n)	{ (const uint8_t *)"\x2b\x06\x01\x04\x01\x82\x37\x15" n, 9 }

static const struct slice
	oid_ek_info = MS("\x17"),		/* 1.3.6.1.4.1.311.21.23 */
	oid_attestation = MS("\x21"),		/* .33 */
	oid_aik_info = MS("\x27");		/* .39 */

struct attr_value {
	struct slice	 tlv;
	enum attr_list	 list;
	bool		 is_signed;
};

struct pairs {				/* of one list */
	enum hint_carrier carrier;
	bool		 may_name;	/* a requester: the list is signed */
	bool		 of_signer;	/* it is one signer's own */
	unsigned	 seen;		/* bits of pair_names */
};

/*
 * [MS-WCCE] 2.2.2.7.10 names that clients send; it spells the second in lower
 * case, Windows does not.  But for the case they are compared exactly: AD CS
 * drops blanks and dashes first, and two readers that differ in that see two
 * requests, so what is one of these only then is refused.  Those behind the
 * first two are what AD CS ignores as well unless somebody made it unsafe; and
 * it ignores any other ([MS-WCCE] 3.2.1.4.2.1.2).
 */
static const char *const pair_names[] = {
	"CertificateTemplate", "RequesterName",
	"ccm", "rmd", "cdc", "SAN", "CertificateUsage", "ValidityPeriod",
	"ValidityPeriodUnits", "ExpirationDate", "CRLPartitionIndex",
	"CertType", "challenge", "certfile", "RequestId"
};

#define PAIR_TEMPLATE	0
#define PAIR_REQUESTER	1
#define NPAIR_NAMES	(sizeof(pair_names) / sizeof(pair_names[0]))

/*
 * On behalf of whom ([MS-WCCE] 3.1.1.4.3.3): one name, in signed data.  Each
 * signer says the same in attributes of his own.
 */
static int
set_requester(struct request *r, const struct pairs *list, const char *value,
    struct err *err)
{
	if (!list->may_name)
		return 0;
	if (r->requester_name == NULL)
		r->requester_name = xstrdup(value);
	else if (!list->of_signer || strcmp(r->requester_name, value) != 0)
		return err_bad(err, 0, "RequesterName: twice");
	return 0;
}

static size_t
find_pair(const char *name)
{
	size_t	i;

	for (i = 0; i < NPAIR_NAMES; i++)
		if (strcasecmp(pair_names[i], name) == 0)
			break;
	return i;
}

/* A name that another reader may take for one that counts. */
static bool
is_odd(const char *name)
{
	char	bare[64];
	size_t	n = 0;

	for (; *name != '\0'; name++) {
		if (!isascii((unsigned char)*name) ||
		    (!isalnum((unsigned char)*name) &&
		    strchr("._ -", *name) == NULL))
			return true;
		if (isalnum((unsigned char)*name) && n < sizeof(bare) - 1)
			bare[n++] = *name;
	}
	bare[n] = '\0';
	return find_pair(bare) < NPAIR_NAMES;
}

static int
judge_pair(struct request *r, struct pairs *list, const char *name,
    char *value, struct err *err)
{
	struct template_hint	h = { .carrier = list->carrier, .name = value };
	size_t			i = find_pair(name);

	if (i == NPAIR_NAMES)
		return !is_odd(name) ? 0 : err_bad(err, 0, "request attribute "
		    "%.64s is spelled oddly", name);
	if ((list->seen & 1u << i) != 0)
		return err_bad(err, 0, "request attribute %s: twice",
		    pair_names[i]);
	list->seen |= 1u << i;
	if (i == PAIR_TEMPLATE)
		return req_hint(r, &h, err);
	return i == PAIR_REQUESTER ? set_requester(r, list, value, err) : 0;
}

/* What nobody reads may be anything, or nothing at all, as in rst.c. */
static bool
is_read(const char *name)
{
	return find_pair(name) <= PAIR_REQUESTER;
}

/* A pair, the content of its SEQUENCE. */
static int
parse_pair(struct request *r, struct pairs *list, struct der *d,
    struct err *err)
{
	struct slice	 n, v;
	char		*name, *value = NULL;
	int		 rc = -1;

	if (der_get(d, DER_BMP, &n, "name of a pair", err) == -1 ||
	    der_get(d, DER_BMP, &v, "value of a pair", err) == -1 ||
	    der_end(d, "name/value pair", err) == -1)
		return -1;
	name = name_string(DER_BMP, n, "name of a pair", err);
	if (name != NULL)
		value = !is_read(name) ? xstrdup("") :
		    name_string(DER_BMP, v, "value of a pair", err);
	if (value != NULL)
		rc = judge_pair(r, list, name, value, err);
	free(name);
	free(value);
	return rc;
}

/*
 * One pair, as clients send, or [MS-WCCE] 2.2.2.7.10's SEQUENCE of none or
 * more.
 */
static int
parse_pairs(struct request *r, struct pairs *list, struct der *d,
    struct err *err)
{
	struct der	pair;

	if (!der_done(d) && der_peek(d) != DER_SEQ)
		return parse_pair(r, list, d, err);
	while (!der_done(d))
		if (der_enter(d, DER_SEQ, &pair, "name/value pair",
		    err) == -1 || parse_pair(r, list, &pair, err) == -1)
			return -1;
	return 0;
}

/*
 * Each name once in all of the attribute's values; in a PKCS#10, where some
 * write an attribute for each pair, in all of these.
 */
static int
attr_name_value(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	struct pairs	list = { HINT_NAME_VALUE,
	    v->is_signed && v->list != ATTR_CSR, v->list == ATTR_SIGNED,
	    v->list == ATTR_CSR ? p->pairs : 0 };
	struct der	values, d;

	der_init(&values, v->tlv);
	while (!der_done(&values))
		if (der_enter(&values, DER_SEQ, &d, "name/value pair",
		    err) == -1 || parse_pairs(p->req, &list, &d, err) == -1)
			return -1;
	if (v->list == ATTR_CSR)
		p->pairs = list.seen;
	if (list.of_signer && (list.seen & 1u << PAIR_REQUESTER) != 0)
		p->said = true;
	return 0;
}

static int
attr_extensions(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	if (p->has_extensions)
		return err_bad(err, 0, "two attributes request extensions");
	p->has_extensions = true;
	return reqext_parse(p, EXT_CSR, v->tlv, err);
}

static int
attr_renewal(struct reqparse *p, const struct attr_value *v, struct err *err)
{
	struct err	why = ERR_INIT;
	struct der	cert;

	if (der_only(v->tlv, DER_SEQ, &cert, "renewal certificate",
	    &why) == -1)
		return err_bad(err, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE,
		    "%.150s", why.text);
	p->req->old_cert = v->tlv;
	return 0;
}

/*
 * [MS-WCCE] 2.2.2.7.4: client, machine, user, process; the last is worth a
 * word in the log.  [MS-WCCE] has the CA ignore the content, so whatever is
 * odd here is no refusal.
 */
static int
attr_client_info(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	struct err	ignored = ERR_INIT;
	struct der	d;
	struct slice	machine, user, process;
	uint64_t	id;

	(void)err;
	if (p->req->client_info == NULL &&
	    der_only(v->tlv, DER_SEQ, &d, "client info", &ignored) == 0 &&
	    der_uint(&d, &id, "client id", &ignored) == 0 &&
	    der_get(&d, DER_UTF8, &machine, "machine", &ignored) == 0 &&
	    der_get(&d, DER_UTF8, &user, "user", &ignored) == 0 &&
	    der_get(&d, DER_UTF8, &process, "process", &ignored) == 0)
		p->req->client_info = name_string(DER_UTF8, process,
		    "process", &ignored);
	return 0;
}

/*
 * [MS-WCCE] 3.2.1.4.2.1.4.1.1: what OS version and CSP say is ignored, but
 * not when it is not of their form, 2.2.2.7.1 and 2.2.2.7.2.
 */
static int
attr_os_version(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	static const char	strings[] = "\x12\x13\x14\x15\x16\x19\x1a\x1b"
				    "\x1c\x1e";

	(void)p;
	if (memchr(strings, v->tlv.p[0], sizeof(strings) - 1) != NULL)
		return 0;
	return err_bad(err, 0, "os version: string type %02x is not accepted",
	    v->tlv.p[0]);
}

static int
attr_csp(struct reqparse *p, const struct attr_value *v, struct err *err)
{
	struct der	d;
	struct slice	skip;

	(void)p;
	if (der_only(v->tlv, DER_SEQ, &d, "csp", err) == -1 ||
	    der_get(&d, DER_INTEGER, &skip, "csp key spec", err) == -1 ||
	    der_get(&d, DER_BMP, &skip, "csp name", err) == -1 ||
	    der_get(&d, DER_BIT_STRING, &skip, "csp signature", err) == -1)
		return -1;
	return der_end(&d, "csp", err);
}

static int
attr_attestation(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	(void)p;
	(void)v;
	return err_deny(err, HR_NOT_SUPPORTED,
	    "key attestation is not supported");
}

/* [MS-WCCE] 3.1.1.4.3.6.1: an unsigned attribute; the first signer's only. */
static int
attr_misplaced_key(struct reqparse *p, const struct attr_value *v,
    struct err *err)
{
	(void)p;
	(void)v;
	return err_bad(err, CERTSRV_E_BAD_REQUEST_KEY_ARCHIVAL,
	    "archived key is in the wrong place");
}

int
reqattr_key_hash(struct reqparse *p, struct slice value, struct err *err)
{
	if (p->req->key_hash.n != 0)
		return err_bad(err, 0, "encrypted key hash: twice");
	p->req->key_hash = value;
	return 0;
}

static int
attr_key_hash(struct reqparse *p, const struct attr_value *v, struct err *err)
{
	return reqattr_key_hash(p, v->tlv, err);
}

/*
 * What is here has its places; what is not ([RFC2985] has many, such as
 * unstructuredAddress) is passed over: no certificate shows anything of it.
 */
static const struct attribute {
	const struct slice	*oid;
	unsigned		 lists;
	int			(*judge)(struct reqparse *,
				    const struct attr_value *, struct err *);
} known[] = {
	{ &OID_EXTENSION_REQUEST, ATTR_CSR, attr_extensions },
	{ &OID_MS_CERT_EXTENSIONS, ATTR_CSR, attr_extensions },
	{ &OID_RENEWAL_CERT, ATTR_CSR, attr_renewal },
	{ &OID_NAME_VALUE, ANYWHERE, attr_name_value },
	{ &OID_CLIENT_INFO, ANYWHERE, attr_client_info },
	{ &OID_OS_VERSION, ANYWHERE, attr_os_version },
	{ &OID_CSP_PROVIDER, ANYWHERE, attr_csp },
	{ &oid_ek_info, ANYWHERE, attr_attestation },
	{ &oid_attestation, ANYWHERE, attr_attestation },
	{ &oid_aik_info, ANYWHERE, attr_attestation },
	{ &OID_ARCHIVED_KEY, ANYWHERE, attr_misplaced_key },
	{ &OID_ENCRYPTED_KEY_HASH, ATTR_ADDED, attr_key_hash },
};

#define NKNOWN	(sizeof(known) / sizeof(known[0]))

/* Its values, of which there must be one. */
static int
read_values(struct der *list, struct slice *oid, struct slice *values,
    struct err *err)
{
	struct der	attr, set;
	struct slice	v;
	char		text[128];

	if (der_enter(list, DER_SEQ, &attr, "attribute", err) == -1 ||
	    der_get(&attr, DER_OID, oid, "attribute", err) == -1 ||
	    der_enter(&attr, DER_SET, &set, "attribute values", err) == -1 ||
	    der_end(&attr, "attribute", err) == -1)
		return -1;
	oid_show(*oid, text, sizeof(text));
	if (der_done(&set))
		return err_bad(err, 0, "attribute %s: no value", text);
	v = slice_of(set.p, (size_t)(set.end - set.p));
	if (v.n > REQ_VALUE_MAX)
		return err_set(err, ERR_TOO_BIG, "attribute %s: more than %d "
		    "octets", text, REQ_VALUE_MAX);
	*values = v;
	return 0;
}

/* Only pairs may be several. */
static int
check_single(struct slice oid, struct slice values, struct err *err)
{
	struct der	d;
	struct slice	v;
	char		text[128];

	if (slice_eq(oid, OID_NAME_VALUE))
		return 0;
	der_init(&d, values);
	if (der_any(&d, NULL, &v, NULL, "attribute value", err) == -1)
		return -1;
	return der_done(&d) ? 0 : err_bad(err, 0, "attribute %s: several "
	    "values", oid_show(oid, text, sizeof(text)));
}

int
reqattr_read(struct der *list, struct slice *oid, struct slice *value,
    struct err *err)
{
	if (read_values(list, oid, value, err) == -1)
		return -1;
	return check_single(*oid, *value, err);
}

static const struct attribute *
attribute_find(struct slice oid)
{
	size_t	i;

	for (i = 0; i < NKNOWN; i++)
		if (slice_eq(*known[i].oid, oid))
			return &known[i];
	return NULL;
}

int
reqattr_judge(struct reqparse *p, enum attr_list list, struct slice oid,
    struct slice value, bool is_signed, struct err *err)
{
	struct attr_value	 v = { value, list, is_signed };
	const struct attribute	*a = attribute_find(oid);
	char			 text[128];

	if (a == NULL)
		return 0;
	if ((a->lists & list) != 0)
		return a->judge(p, &v, err);
	return err_bad(err, 0, "attribute %s is not accepted here",
	    oid_show(oid, text, sizeof(text)));
}

/*
 * The order in the set is not checked: nothing is read out of it, and some
 * clients' libraries do not sort what they sign.  Nor is how many values those
 * have that nobody reads: unstructuredName may have several.
 */
int
reqattr_parse(struct reqparse *p, enum attr_list list, struct der *d,
    struct err *err)
{
	struct oidset	seen = { 0 };
	struct slice	oid, value;
	bool		is_signed = list == ATTR_ADDED && p->content_signed;

	while (!der_done(d))
		if (read_values(d, &oid, &value, err) == -1 ||
		    ((list != ATTR_CSR || attribute_find(oid) != NULL) &&
		    check_single(oid, value, err) == -1) ||
		    ((list != ATTR_CSR || !slice_eq(oid, OID_NAME_VALUE)) &&
		    oidset_add(&seen, oid, REQ_ATTRIBUTES, "attribute",
		    err) == -1) ||
		    reqattr_judge(p, list, oid, value, is_signed, err) == -1)
			return -1;
	return 0;
}

/* Undo %XX into text of its own; NULL when it is no clean UTF-8. */
static char *
unescape(struct slice s, const char *what, struct err *err)
{
	struct buf	 b = { 0 };
	char		 digits[3] = "", *text = NULL;
	uint8_t		 c;
	size_t		 i;

	for (i = 0; i < s.n; i++) {
		c = s.p[i];
		if (c == '%') {
			if (s.n - i >= 3)
				memcpy(digits, s.p + i + 1, 2);
			if (s.n - i < 3 || hex_decode(digits, &c, 1) == -1) {
				err_bad(err, 0, "%s: bad escape", what);
				goto out;
			}
			i += 2;
		}
		buf_addc(&b, c);
	}
	text = name_string(DER_UTF8, buf_slice(&b), what, err);
out:
	buf_free(&b);
	return text;
}

static int
reginfo_item(struct request *r, struct pairs *list, struct slice item,
    struct err *err)
{
	const uint8_t	*eq = memchr(item.p, '=', item.n);
	char		*name, *value = NULL;
	size_t		 n;
	int		 rc = -1;

	if (eq == NULL)
		return err_bad(err, 0, "regInfo: item without \"=\"");
	n = (size_t)(eq - item.p);
	name = name_string(DER_UTF8, slice_of(item.p, n), "regInfo name", err);
	if (name != NULL)
		value = !is_read(name) ? xstrdup("") : unescape(slice_of(
		    eq + 1, item.n - n - 1), "regInfo value", err);
	if (value != NULL)
		rc = judge_pair(r, list, name, value, err);
	free(name);
	free(value);
	return rc;
}

int
reqattr_reginfo(struct reqparse *p, struct slice s, struct err *err)
{
	struct pairs	 list = { HINT_REG_INFO, p->content_signed, false, 0 };
	const uint8_t	*end;
	size_t		 n;

	if (s.n > REQ_VALUE_MAX)
		return err_set(err, ERR_TOO_BIG, "regInfo: more than %d octets",
		    REQ_VALUE_MAX);
	while (s.n != 0) {
		end = memchr(s.p, '&', s.n);
		n = end != NULL ? (size_t)(end - s.p) : s.n;
		if (reginfo_item(p->req, &list, slice_of(s.p, n), err) == -1)
			return -1;
		n += end != NULL;
		s = slice_of(s.p + n, s.n - n);
	}
	return 0;
}
