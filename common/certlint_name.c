/* Names in certificates, for certlint.c: true when the rule is broken. */
#include <string.h>
#include <strings.h>

#include "certlint_int.h"
#include "oid.h"

#define LOWER	"abcdefghijklmnopqrstuvwxyz"
#define UPPER	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

static bool
all_in(struct slice s, const char *chars)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] == 0 || strchr(chars, s.p[i]) == NULL)
			return false;
	return true;
}

static bool
is_ascii(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return false;
	return true;
}

static bool
has_control(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* The last arc of 2.5.4.x, or 0. */
static unsigned
x520(const struct lint_attr *a)
{
	return a->oid.n == 3 && a->oid.p[0] == 0x55 && a->oid.p[1] == 4 ?
	    a->oid.p[2] : 0;
}

static bool
is_ia5_attr(const struct lint_attr *a)
{
	static const uint8_t dc[] = { 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2,
	    0x2c, 0x64, 0x01, 0x19 };

	return slice_eq(a->oid, OID_EMAIL) ||
	    slice_eq(a->oid, slice_of(dc, sizeof(dc)));
}

bool
lint_empty_rdn(const struct certlint *c)
{
	return c->empty_rdn;
}

bool
lint_empty_value(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->nattr; i++)
		if (c->attr[i].value.n == 0)
			return true;
	return false;
}

bool
lint_string_type(const struct certlint *c)
{
	const struct lint_attr *a;
	size_t i;

	for (i = 0; i < c->nattr; i++) {
		a = &c->attr[i];
		if (is_ia5_attr(a) ? a->tag != DER_IA5 :
		    a->tag != DER_UTF8 && a->tag != DER_PRINTABLE)
			return true;
	}
	return false;
}

bool
lint_printable(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->nattr; i++)
		if (c->attr[i].tag == DER_PRINTABLE && !all_in(
		    c->attr[i].value, LOWER UPPER DIGITS " '()+,-./:=?"))
			return true;
	return false;
}

bool
lint_utf8(const struct certlint *c)
{
	struct slice s;
	size_t i, n;

	for (i = 0; i < c->nattr; i++) {
		if (c->attr[i].tag != DER_UTF8)
			continue;
		for (s = c->attr[i].value; s.n > 0; s.p += n, s.n -= n) {
			/* control characters have a rule of their own */
			n = *s.p < 0x80 ? 1 : utf8_char(s.p, s.n);
			if (n == 0)
				return true;
		}
	}
	return false;
}

bool
lint_ia5(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->nattr; i++)
		if (c->attr[i].tag == DER_IA5 &&
		    !is_ascii(c->attr[i].value))
			return true;
	return false;
}

bool
lint_control(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->nattr; i++)
		if (has_control(c->attr[i].value))
			return true;
	return false;
}

bool
lint_country(const struct certlint *c)
{
	const struct lint_attr *a;
	size_t i;

	for (i = 0; i < c->nattr; i++) {
		a = &c->attr[i];
		if (x520(a) == 6 && (a->value.n != 2 || a->tag !=
		    DER_PRINTABLE || !all_in(a->value, UPPER)))
			return true;
	}
	return false;
}

bool
lint_bounds(const struct certlint *c)
{
	/* [RFC5280] A.1: CN, serialNumber, L, ST, O, OU, title */
	static const struct {
		unsigned	arc, max;
	} ub[] = { { 3, 64 }, { 4, 32768 }, { 5, 64 }, { 7, 128 }, { 8, 128 },
	    { 10, 64 }, { 11, 64 }, { 12, 64 }, { 42, 32768 } };
	size_t i, j, k, chars;

	for (i = 0; i < c->nattr; i++) {
		for (chars = k = 0; k < c->attr[i].value.n; k++)
			chars += (c->attr[i].value.p[k] & 0xc0) != 0x80;
		if (slice_eq(c->attr[i].oid, OID_EMAIL) && chars > 255)
			return true;
		for (j = 0; j < sizeof(ub) / sizeof(ub[0]); j++)
			if (x520(&c->attr[i]) == ub[j].arc &&
			    chars > ub[j].max)
				return true;
	}
	return false;
}

bool
lint_repeated_attr(const struct certlint *c)
{
	size_t i;

	for (i = 1; i < c->nattr; i++)
		if (c->attr[i].rdn == c->attr[i - 1].rdn &&
		    slice_eq(c->attr[i].oid, c->attr[i - 1].oid))
			return true;
	return false;
}

bool
lint_rdn_count(const struct certlint *c)
{
	return c->nrdn > 24;
}

bool
lint_san_empty(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->nsan; i++)
		if (c->san[i].content.n == 0)
			return true;
	return c->has[LX_SAN] && c->nsan == 0;
}

/* x400Address, ediPartyName, and what is no GeneralName. */
bool
lint_san_kinds(const struct certlint *c)
{
	static const int good[] = { DER_CTXC(0), DER_CTX(1), DER_CTX(2),
	    DER_CTXC(4), DER_CTX(6), DER_CTX(7), DER_CTX(8) };
	size_t i, j;

	for (i = 0; i < c->nsan; i++) {
		for (j = 0; j < sizeof(good) / sizeof(good[0]) &&
		    good[j] != c->san[i].tag; j++)
			continue;
		if (j == sizeof(good) / sizeof(good[0]))
			return true;
	}
	return false;
}

static bool
any_san(const struct certlint *c, int tag, bool (*bad)(struct slice))
{
	size_t i;

	for (i = 0; i < c->nsan; i++)
		if (c->san[i].tag == tag && bad(c->san[i].content))
			return true;
	return false;
}

static bool
not_clean(struct slice s)
{
	return !is_ascii(s) || has_control(s);
}

bool
lint_san_ascii(const struct certlint *c)
{
	return any_san(c, DER_CTX(1), not_clean) ||
	    any_san(c, DER_CTX(2), not_clean) ||
	    any_san(c, DER_CTX(6), not_clean);
}

/*
 * [RFC1034] 3.5, [RFC1123] 2.1; a wildcard is the whole first label.  "_" as in
 * name_is_label: only a CA that browsers know must not ([BR] 7.1.4.2.1).
 */
static bool
bad_dns(struct slice s)
{
	size_t i, label = 0, letters = 0;

	if (s.n >= 2 && s.p[0] == '*' && s.p[1] == '.')
		s = slice_of(s.p + 2, s.n - 2);
	if (s.n == 0 || s.n > 253)
		return true;
	for (i = 0; i <= s.n; i++) {
		if (i == s.n || s.p[i] == '.') {
			if (i == label || i - label > 63 ||
			    s.p[label] == '-' || s.p[i - 1] == '-')
				return true;
			label = i + 1;
		} else if (strchr(LOWER UPPER DIGITS "-_", s.p[i]) == NULL)
			return true;
		else
			letters += s.p[i] > '9';
	}
	return letters == 0;		/* an address, not a name */
}

bool
lint_san_dns(const struct certlint *c)
{
	return any_san(c, DER_CTX(2), bad_dns);
}

/* Mailbox without a comment or a phrase: [RFC5280] 4.2.1.6. */
static bool
bad_email(struct slice s)
{
	const uint8_t *at = memchr(s.p, '@', s.n);
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strchr(" <>()\",;:\\", s.p[i]) != NULL)
			return true;
	return at == NULL || at == s.p || bad_dns(slice_of(at + 1,
	    s.n - (size_t)(at + 1 - s.p)));
}

bool
lint_san_email(const struct certlint *c)
{
	return any_san(c, DER_CTX(1), bad_email);
}

/* Absolute: a scheme, and something behind it. */
static bool
bad_uri(struct slice s)
{
	const uint8_t *colon = memchr(s.p, ':', s.n);

	return colon == NULL || colon == s.p ||
	    (size_t)(colon - s.p) + 1 == s.n || !all_in(slice_of(s.p,
	    (size_t)(colon - s.p)), LOWER UPPER DIGITS "+-.") ||
	    memchr(s.p, ' ', s.n) != NULL;
}

bool
lint_san_uri(const struct certlint *c)
{
	return any_san(c, DER_CTX(6), bad_uri);
}

static bool
bad_ip(struct slice s)
{
	return s.n != 4 && s.n != 16;
}

bool
lint_san_ip(const struct certlint *c)
{
	return any_san(c, DER_CTX(7), bad_ip);
}

/* type-id and [0] EXPLICIT value. */
static bool
bad_other(struct slice s)
{
	struct err err = ERR_INIT;
	struct slice oid;
	struct der d, value;

	der_init(&d, s);
	return der_get(&d, DER_OID, &oid, "type-id", &err) == -1 ||
	    der_enter(&d, DER_CTXC(0), &value, "value", &err) == -1 ||
	    der_end(&d, "otherName", &err) == -1 || der_done(&value);
}

bool
lint_san_other(const struct certlint *c)
{
	return any_san(c, DER_CTXC(0), bad_other);
}

static bool
bad_directory(struct slice s)
{
	struct err err = ERR_INIT;
	struct der d, name;

	der_init(&d, s);
	return der_enter(&d, DER_SEQ, &name, "directoryName", &err) == -1 ||
	    der_end(&d, "directoryName", &err) == -1 || der_done(&name);
}

bool
lint_san_directory(const struct certlint *c)
{
	return any_san(c, DER_CTXC(4), bad_directory);
}

bool
lint_san_twice(const struct certlint *c)
{
	size_t i, j;

	for (i = 0; i < c->nsan; i++)
		for (j = 0; j < i; j++)
			if (c->san[i].tag == c->san[j].tag &&
			    c->san[i].content.n == c->san[j].content.n &&
			    strncasecmp((const char *)c->san[i].content.p,
			    (const char *)c->san[j].content.p,
			    c->san[i].content.n) == 0)
				return true;
	return false;
}

/* Of CDP and AIA: http(s) or ldap(s), which is all that clients fetch. */
bool
lint_uri_form(const struct certlint *c)
{
	static const char *const schemes[] = { "http://", "https://",
	    "ldap://", "ldaps://" };
	size_t i, j, n;

	for (i = 0; i < c->nuri; i++) {
		for (j = 0; j < 4; j++) {
			n = strlen(schemes[j]);
			if (c->uri[i].n > n && strncasecmp((const char *)
			    c->uri[i].p, schemes[j], n) == 0)
				break;
		}
		if (j == 4 || not_clean(c->uri[i]) ||
		    memchr(c->uri[i].p, ' ', c->uri[i].n) != NULL)
			return true;
	}
	return false;
}
