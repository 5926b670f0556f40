/*
 * Distinguished names and subject alternative names, out of ASN.1: of
 * requests (reqext.c), old certificates (issued.c), client certificates
 * (certauth.c).
 */
#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "der.h"
#include "name.h"
#include "nametype.h"
#include "oid.h"

#define VALUE_MAX	1024		/* octets of one value, as UTF-8 */
#define SAN_TOTAL_MAX	4096		/* octets of all GeneralNames */
#define DEPTH_MAX	8

#define T(s)		{ (const uint8_t *)(s), sizeof(s) - 1 }
#define AT(last)	T("\x55\x04" last)

static const struct name_type types[] = {
	{ "CN", "commonName", AT("\x03"), DER_UTF8, 64 },
	{ "SN", "surname", AT("\x04"), DER_UTF8, 64 },
	{ "SERIALNUMBER", NULL, AT("\x05"), DER_PRINTABLE, 64 },
	{ "C", "countryName", AT("\x06"), DER_PRINTABLE, 2 },
	{ "L", "localityName", AT("\x07"), DER_UTF8, 128 },
	{ "ST", "S", AT("\x08"), DER_UTF8, 128 },
	{ "STREET", "streetAddress", AT("\x09"), DER_UTF8, 128 },
	{ "O", "organizationName", AT("\x0a"), DER_UTF8, 64 },
	{ "OU", "organizationalUnitName", AT("\x0b"), DER_UTF8, 64 },
	{ "T", "title", AT("\x0c"), DER_UTF8, 64 },
	{ "DESCRIPTION", NULL, AT("\x0d"), DER_UTF8, 1024 },
	{ "POSTALCODE", NULL, AT("\x11"), DER_UTF8, 40 },
	{ "NAME", NULL, AT("\x29"), DER_UTF8, 64 },
	{ "G", "givenName", AT("\x2a"), DER_UTF8, 64 },
	{ "I", "initials", AT("\x2b"), DER_UTF8, 64 },
	{ "GENERATIONQUALIFIER", NULL, AT("\x2c"), DER_UTF8, 64 },
	{ "DNQUALIFIER", NULL, AT("\x2e"), DER_PRINTABLE, 64 },
	{ "PSEUDONYM", NULL, AT("\x41"), DER_UTF8, 64 },
	{ "UID", "userId", T("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"),
	    DER_UTF8, 256 },
	{ "DC", "domainComponent",
	    T("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"), DER_IA5, 63 },
	{ "E", "emailAddress", T("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"),
	    DER_IA5, 255 },
	{ "UNSTRUCTUREDNAME", NULL,
	    T("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02"), DER_UTF8, 255 },
	{ "UNSTRUCTUREDADDRESS", NULL,
	    T("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08"), DER_UTF8, 255 },
};

#define NTYPES	(sizeof(types) / sizeof(types[0]))

const struct slice OID_GUID_NAME =
    T("\x2b\x06\x01\x04\x01\x82\x37\x19\x01");

static bool
same_word(const char *a, const char *b, size_t n)
{
	return a != NULL && strlen(a) == n && strncasecmp(a, b, n) == 0;
}

const struct name_type *
name_type_by_name(const char *s, size_t n)
{
	size_t	i;

	for (i = 0; i < NTYPES; i++)
		if (same_word(types[i].name, s, n) ||
		    same_word(types[i].alias, s, n))
			return &types[i];
	return NULL;
}

static const struct name_type *
type_by_oid(struct slice oid)
{
	size_t	i;

	for (i = 0; i < NTYPES; i++)
		if (slice_eq(types[i].oid, oid))
			return &types[i];
	return NULL;
}

size_t
name_length(const char *s)
{
	size_t	n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void
rdn_free(struct rdn *r)
{
	free(r->type);
	free(r->value);
	memset(r, 0, sizeof(*r));
}

static void
names_truncate(struct names *n, size_t nrdn, size_t nsan)
{
	while (n->nrdn > nrdn)
		rdn_free(&n->rdn[--n->nrdn]);
	while (n->nsan > nsan) {
		free(n->san[--n->nsan].text);
		memset(&n->san[n->nsan], 0, sizeof(n->san[0]));
	}
}

void
names_free(struct names *n)
{
	if (n != NULL)
		names_truncate(n, 0, 0);
}

/* Callers count what they add themselves; parsers check the limits first. */
void
names_add_rdn(struct names *n, const char *type, const char *value)
{
	if (n->nrdn == NAME_RDN_MAX)
		abort();
	n->rdn[n->nrdn].type = xstrdup(type);
	n->rdn[n->nrdn++].value = xstrdup(value);
}

void
names_add_san(struct names *n, enum san_kind kind, const char *text)
{
	if (n->nsan == NAME_SAN_MAX)
		abort();
	n->san[n->nsan].kind = kind;
	n->san[n->nsan++].text = xstrdup(text);
}

static uint32_t
code_point(const uint8_t *p, size_t n)
{
	static const uint8_t	mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t		c = p[0] & mask[n];
	size_t			i;

	for (i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/*
 * What makes a text look like another one: marks and overrides of direction
 * ([UAX9] 2), separators of lines, invisible spaces, not-a-characters.
 */
static bool
is_deceptive(uint32_t c)
{
	return c == 0x061c || c == 0x200b || c == 0x200e || c == 0x200f ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	    (c >= 0xfdd0 && c <= 0xfdef) || c == 0xfeff ||
	    (c >= 0xfff9 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe ||
	    (c >= 0xe0000 && c <= 0xe007f);
}

bool
name_is_clean(struct slice s)
{
	size_t	n;

	for (; s.n > 0; s.p += n, s.n -= n) {
		n = utf8_char(s.p, s.n);
		if (n == 0 || is_deceptive(code_point(s.p, n)))
			return false;
	}
	return true;
}

static void
put_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(b, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(b, (uint8_t)(0xc0 | c >> 6));
	} else {
		buf_addc(b, (uint8_t)(0xe0 | c >> 12));
		buf_addc(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(b, (uint8_t)(0x80 | (c & 0x3f)));
}

/* BMPString is UCS-2 ([X.680] 41.15): a surrogate is no character there. */
static int
bmp_to_utf8(struct slice s, struct buf *out, const char *what,
    struct err *err)
{
	size_t		i;
	uint32_t	c;

	if (s.n % 2 != 0)
		return err_bad(err, 0, "%s: BMPString of odd length", what);
	for (i = 0; i < s.n; i += 2) {
		c = (uint32_t)s.p[i] << 8 | s.p[i + 1];
		if (c >= 0xd800 && c <= 0xdfff)
			return err_bad(err, 0, "%s: surrogate in BMPString",
			    what);
		put_utf8(out, c);
	}
	return 0;
}

/*
 * Nobody writes T.61 into a TeletexString: those who can still write one
 * (OpenSSL's string_mask, Windows' CERT_NAME_STR_ENABLE_T61_UNICODE_FLAG) mean
 * ISO 8859-1, and all read that.  It is issued as UTF8String.
 */
static void
latin1_to_utf8(struct slice s, struct buf *out)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		put_utf8(out, s.p[i]);
}

/*
 * [X.680] 41.4, and "*" and "&", which are not in it but which CAs and
 * Windows put into PrintableStrings for wildcards and company names.
 */
bool
name_is_printable(struct slice s)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] == 0 || strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?*&",
		    s.p[i]) == NULL)
			return false;
	return true;
}

bool
name_is_ia5(struct slice s)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

static int
to_utf8(int tag, struct slice s, struct buf *out, const char *what,
    struct err *err)
{
	switch (tag) {
	case DER_BMP:
		return bmp_to_utf8(s, out, what, err);
	case DER_T61:
		latin1_to_utf8(s, out);
		return 0;
	case DER_PRINTABLE:	/* routers put "_", others "@" into it */
	case DER_IA5:
		if (!name_is_ia5(s))
			return err_bad(err, 0, "%s: not a clean %s", what,
			    tag == DER_IA5 ? "IA5String" : "PrintableString");
		break;
	case DER_UTF8:
		break;
	default:
		return err_bad(err, 0, "%s: string type %02x, not UTF8String, "
		    "PrintableString, IA5String, BMPString or TeletexString",
		    what, (unsigned)tag);
	}
	buf_add(out, s.p, s.n);
	return 0;
}

static int
check_value(struct slice utf8, const char *what, struct err *err)
{
	if (utf8.n == 0)
		return err_bad(err, 0, "%s: empty", what);
	if (utf8.n > VALUE_MAX)
		return err_set(err, ERR_TOO_BIG, "%s: more than %d octets",
		    what, VALUE_MAX);
	if (!name_is_clean(utf8))
		return err_bad(err, 0, "%s: control, direction or broken "
		    "characters", what);
	return 0;
}

char *
name_string(int tag, struct slice content, const char *what, struct err *err)
{
	struct buf	 b = { 0 };
	char		*s = NULL;

	if (content.n > 2 * VALUE_MAX) {
		err_set(err, ERR_TOO_BIG, "%s: more than %d octets", what,
		    VALUE_MAX);
		return NULL;
	}
	if (to_utf8(tag, content, &b, what, err) == 0 &&
	    check_value(buf_slice(&b), what, err) == 0)
		s = xstrdup(buf_str(&b));
	buf_free(&b);
	return s;
}

/* AttributeTypeAndValue ([RFC5280] 4.1.2.4). */
static int
parse_atv(struct names *n, struct slice tlv, struct err *err)
{
	const struct name_type	*t;
	struct der		 atv;
	struct slice		 oid, value;
	char			 dotted[256], *s;
	int			 tag;

	if (der_only(tlv, DER_SEQ, &atv, "name attribute", err) == -1 ||
	    der_get(&atv, DER_OID, &oid, "name attribute type", err) == -1 ||
	    der_any(&atv, &tag, NULL, &value, "name attribute value",
	    err) == -1 || der_end(&atv, "name attribute", err) == -1)
		return -1;
	t = type_by_oid(oid);
	if (t == NULL && oid_text(oid, dotted, sizeof(dotted)) == -1)
		return err_bad(err, 0, "name attribute type: not an object "
		    "identifier we can read");
	if (value.n == 0 && (tag == DER_UTF8 || tag == DER_PRINTABLE))
		s = xstrdup("");	/* clients send "CN="; rules judge */
	else
		s = name_string(tag, value, t != NULL ? t->name : dotted, err);
	if (s == NULL)
		return -1;
	names_add_rdn(n, t != NULL ? t->name : dotted, s);
	free(s);
	return 0;
}

static int
parse_rdns(struct names *n, struct der *seq, struct err *err)
{
	struct der	set;
	struct slice	atv;

	while (!der_done(seq)) {
		if (n->nrdn == NAME_RDN_MAX)
			return err_set(err, ERR_TOO_BIG,
			    "name: more than %d parts", NAME_RDN_MAX);
		if (der_enter(seq, DER_SET, &set, "name part", err) == -1 ||
		    der_tlv(&set, DER_SEQ, &atv, "name part", err) == -1)
			return -1;
		if (!der_done(&set))
			return err_bad(err, 0, "name: a part with several "
			    "values (CN=a+OU=b): give each a part of its own");
		if (parse_atv(n, atv, err) == -1)
			return -1;
	}
	return 0;
}

int
names_parse_dn(struct names *n, struct slice tlv, struct err *err)
{
	struct der	seq;
	size_t		nrdn = n->nrdn;

	if (der_only(tlv, DER_SEQ, &seq, "name", err) == -1)
		return -1;
	if (parse_rdns(n, &seq, err) == -1) {
		names_truncate(n, nrdn, n->nsan);
		return -1;
	}
	return 0;
}

/* Some kinds are kept but never judged nor issued: as hex, for people. */
static void
add_hex(struct names *n, enum san_kind kind, struct slice s)
{
	char	*hex = xcalloc(s.n + 1, 2);

	hex_encode(s.p, s.n, hex);
	names_add_san(n, kind, hex);
	free(hex);
}

static int
add_ia5(struct names *n, enum san_kind kind, struct slice s, struct err *err)
{
	char	*text = name_string(DER_IA5, s, "alternative name", err);

	if (text == NULL)
		return -1;
	names_add_san(n, kind, text);
	free(text);
	return 0;
}

static int
add_ip(struct names *n, struct slice s, struct err *err)
{
	char	text[INET6_ADDRSTRLEN];

	if (s.n != 4 && s.n != 16)
		return err_bad(err, 0, "ip address of %zu octets", s.n);
	if (inet_ntop(s.n == 4 ? AF_INET : AF_INET6, s.p, text,
	    sizeof(text)) == NULL)
		return err_set(err, ERR_INTERNAL, "inet_ntop");
	names_add_san(n, SAN_IP, text);
	return 0;
}

static int
add_upn(struct names *n, struct slice value, struct err *err)
{
	struct der	 d;
	struct slice	 c;
	char		*text;

	der_init(&d, value);
	if (der_get(&d, DER_UTF8, &c, "upn", err) == -1 ||
	    der_end(&d, "upn", err) == -1)
		return -1;
	text = name_string(DER_UTF8, c, "upn", err);
	if (text == NULL)
		return -1;
	names_add_san(n, SAN_UPN, text);
	free(text);
	return 0;
}

static int
add_guid(struct names *n, struct slice value, struct err *err)
{
	struct der	d;
	struct slice	c;

	der_init(&d, value);
	if (der_get(&d, DER_OCTETS, &c, "guid", err) == -1 ||
	    der_end(&d, "guid", err) == -1)
		return -1;
	if (c.n != 16)
		return err_bad(err, 0, "guid of %zu octets", c.n);
	add_hex(n, SAN_GUID, c);
	return 0;
}

/* OtherName ::= SEQUENCE { type-id, value [0] EXPLICIT ANY }. */
static int
add_other(struct names *n, struct slice tlv, struct slice content,
    struct err *err)
{
	struct der	d;
	struct slice	oid, value;

	der_init(&d, content);
	if (der_get(&d, DER_OID, &oid, "other name type", err) == -1 ||
	    der_get(&d, DER_CTXC(0), &value, "other name value", err) == -1 ||
	    der_end(&d, "other name", err) == -1 ||
	    der_check(value, DEPTH_MAX, "other name value", err) == -1)
		return -1;
	if (slice_eq(oid, OID_UPN))
		return add_upn(n, value, err);
	if (slice_eq(oid, OID_GUID_NAME))
		return add_guid(n, value, err);
	add_hex(n, SAN_OTHER, tlv);
	return 0;
}

/* GeneralName ([RFC5280] 4.2.1.6). */
static int
parse_general_name(struct names *n, struct der *seq, struct err *err)
{
	struct slice	tlv, c;
	int		tag;

	if (der_any(seq, &tag, &tlv, &c, "alternative name", err) == -1)
		return -1;
	switch (tag) {
	case DER_CTXC(0):
		return add_other(n, tlv, c, err);
	case DER_CTX(1):
		return add_ia5(n, SAN_EMAIL, c, err);
	case DER_CTX(2):
		return add_ia5(n, SAN_DNS, c, err);
	case DER_CTXC(4):
		if (der_check(c, DEPTH_MAX, "directory name", err) == -1)
			return -1;
		add_hex(n, SAN_DIRNAME, tlv);
		return 0;
	case DER_CTX(6):
		return add_ia5(n, SAN_URI, c, err);
	case DER_CTX(7):
		return add_ip(n, c, err);
	case DER_CTX(8):
		add_hex(n, SAN_RID, tlv);
		return 0;
	default:
		return err_bad(err, 0, "alternative name of kind %02x", tag);
	}
}

static int
parse_general_names(struct names *n, struct der *seq, struct err *err)
{
	if (der_done(seq))
		return err_bad(err, 0, "alternative names: none");
	while (!der_done(seq)) {
		if (n->nsan == NAME_SAN_MAX)
			return err_set(err, ERR_TOO_BIG,
			    "more than %d alternative names", NAME_SAN_MAX);
		if (parse_general_name(n, seq, err) == -1)
			return -1;
	}
	return 0;
}

int
names_parse_san(struct names *n, struct slice tlv, struct err *err)
{
	struct der	seq;
	size_t		nsan = n->nsan;

	if (der_only(tlv, DER_SEQ, &seq, "alternative names", err) == -1)
		return -1;
	if ((size_t)(seq.end - seq.p) > SAN_TOTAL_MAX)
		return err_set(err, ERR_TOO_BIG, "alternative names: more "
		    "than %d octets", SAN_TOTAL_MAX);
	if (parse_general_names(n, &seq, err) == -1) {
		names_truncate(n, n->nrdn, nsan);
		return -1;
	}
	return 0;
}
