/*
 * Names as text: RFC 4514 in and out, one-line forms for rows and logs, and
 * what is a name at all.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "name.h"
#include "nametype.h"

#define SPECIAL	",+\"\\<>;="	/* [RFC4514] 2.4, and "=" to be plain */

/* Text below is one part of a DN; *s moves to what ends it. */
static int
read_escape(const char **s, struct buf *value, struct err *err)
{
	char	digits[3] = "";
	uint8_t	c;

	if (**s != '\0' && (strchr(SPECIAL " #", **s) != NULL)) {
		buf_addc(value, (uint8_t)*(*s)++);
		return 0;
	}
	memcpy(digits, *s, strnlen(*s, 2));
	if (hex_decode(digits, &c, 1) == -1)
		return err_bad(err, 0, "name text: bad escape");
	buf_addc(value, c);
	*s += 2;
	return 0;
}

/* Unescaped blanks at either end are layout, not value. */
static int
read_value(const char **s, struct buf *value, struct err *err)
{
	size_t	keep = 0;

	while (**s == ' ')
		(*s)++;
	while (**s != '\0' && **s != ',') {
		if (**s == '\\') {
			(*s)++;
			if (read_escape(s, value, err) == -1)
				return -1;
			keep = value->n;
			continue;
		}
		if (strchr("+\"<>;", **s) != NULL)
			return err_bad(err, 0, "name text: \"%c\" without a "
			    "backslash", **s);
		buf_addc(value, (uint8_t)**s);
		if (**s != ' ')
			keep = value->n;
		(*s)++;
	}
	value->n = keep;
	return 0;
}

static int
read_type(const char **s, const char **type, struct err *err)
{
	const struct name_type	*t;
	size_t			 n;

	while (**s == ' ')
		(*s)++;
	n = strcspn(*s, "= ,");
	t = name_type_by_name(*s, n);
	if (t == NULL)
		return err_bad(err, 0, "name text: attribute type %.*s is not "
		    "known", n > 32 ? 32 : (int)n, *s);
	*s += n;
	while (**s == ' ')
		(*s)++;
	if (**s != '=')
		return err_bad(err, 0, "name text: no \"=\" behind %s",
		    t->name);
	(*s)++;
	*type = t->name;
	return 0;
}

static int
read_part(const char **s, struct names *n, struct err *err)
{
	struct buf	 value = { 0 };
	const char	*type;
	char		*text = NULL;

	if (n->nrdn == NAME_RDN_MAX)
		return err_set(err, ERR_TOO_BIG, "name text: more than %d "
		    "parts", NAME_RDN_MAX);
	if (read_type(s, &type, err) == 0 &&
	    read_value(s, &value, err) == 0)
		text = name_string(DER_UTF8, buf_slice(&value), type, err);
	buf_free(&value);
	if (text == NULL)
		return -1;
	names_add_rdn(n, type, text);
	free(text);
	return 0;
}

int
names_parse_text(struct names *n, const char *s, struct err *err)
{
	struct names	 parts = { 0 };
	size_t		 i;
	int		 rc = 0;

	while (rc == 0 && *s != '\0') {
		rc = read_part(&s, &parts, err);
		if (rc == 0 && *s == ',' && *++s == '\0')
			rc = err_bad(err, 0, "name text: nothing behind the "
			    "last comma");
	}
	if (rc == 0 && n->nrdn + parts.nrdn > NAME_RDN_MAX)
		rc = err_set(err, ERR_TOO_BIG, "name text: more than %d parts",
		    NAME_RDN_MAX);
	for (i = parts.nrdn; rc == 0 && i > 0; i--)
		names_add_rdn(n, parts.rdn[i - 1].type, parts.rdn[i - 1].value);
	names_free(&parts);
	return rc;
}

static void
put_escaped(const char *value, struct buf *out)
{
	size_t	i, n = strlen(value);

	for (i = 0; i < n; i++) {
		if (strchr(SPECIAL, value[i]) != NULL ||
		    (i == 0 && (value[i] == '#' || value[i] == ' ')) ||
		    (i == n - 1 && value[i] == ' '))
			buf_addc(out, '\\');
		buf_addc(out, (uint8_t)value[i]);
	}
}

void
names_text_dn(const struct names *n, struct buf *out)
{
	size_t	i;

	for (i = n->nrdn; i > 0; i--) {
		buf_puts(out, n->rdn[i - 1].type);
		buf_addc(out, '=');
		put_escaped(n->rdn[i - 1].value, out);
		if (i > 1)
			buf_addc(out, ',');
	}
}

void
names_text_san(const struct names *n, struct buf *out)
{
	static const char *const	kinds[] = {
		[SAN_DNS] = "DNS", [SAN_EMAIL] = "email", [SAN_URI] = "URI",
		[SAN_IP] = "IP", [SAN_UPN] = "UPN", [SAN_GUID] = "GUID",
		[SAN_DIRNAME] = "dirName", [SAN_RID] = "RID",
		[SAN_OTHER] = "otherName"
	};
	const char	*c;
	size_t		 i;

	for (i = 0; i < n->nsan; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		buf_puts(out, kinds[n->san[i].kind]);
		buf_addc(out, ':');
		for (c = n->san[i].text; *c != '\0'; c++) {
			if (*c == ',' || *c == '\\')
				buf_addc(out, '\\');
			buf_addc(out, (uint8_t)*c);
		}
	}
}

/*
 * [RFC1034] 3.5 and "_": it is in the names of Windows' computers and of
 * services ([RFC8552]); DNS, resolvers and TLS clients take it ([RFC2181] 11).
 */
bool
name_is_label(const char *s, size_t n)
{
	size_t	i;

	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (i = 0; i < n; i++)
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) && s[i] != '-' &&
		    s[i] != '_'))
			return false;
	return true;
}

/*
 * A last label of digits only is read as an address by some ([RFC1123] 2.1
 * relies on top-level names being alphabetic).
 */
bool
name_is_dns(const char *s, bool wildcard)
{
	size_t	n, labels = 0;

	if (strlen(s) > 253)
		return false;
	if (wildcard && strncmp(s, "*.", 2) == 0)
		s += 2;
	for (;;) {
		n = strcspn(s, ".");
		if (!name_is_label(s, n))
			return false;
		labels++;
		if (s[n] == '\0')
			break;
		s += n + 1;
	}
	return labels >= 2 && strspn(s, "0123456789") != n;
}

/* Dot-atom "@" host name ([RFC5321] 4.1.2 without quoting). */
bool
name_is_email(const char *s)
{
	const char	*at = strchr(s, '@');
	size_t		 i, n;

	if (at == NULL || at == s || at - s > 64 || strlen(s) > 254)
		return false;
	n = (size_t)(at - s);
	for (i = 0; i < n; i++) {
		if (s[i] == '.' && (i == 0 || i == n - 1 || s[i + 1] == '.'))
			return false;
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) &&
		    strchr("!#$%&'*+-/=?^_`{|}~.", s[i]) == NULL))
			return false;
	}
	return name_is_dns(at + 1, false);
}

/* Revision 1, an authority and 1..15 sub-authorities ([MS-DTYP] 2.4.2.1). */
bool
name_is_sid(const char *s)
{
	size_t	n, parts = 0;

	if (strncmp(s, "S-1-", 4) != 0)
		return false;
	for (s += 4;; s += n + 1) {
		n = strspn(s, "0123456789");
		if (n == 0 || n > 15 || (n > 1 && *s == '0') || ++parts > 16)
			return false;
		if (s[n] == '\0')
			return parts >= 2;
		if (s[n] != '-')
			return false;
	}
}
