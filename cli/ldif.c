/* LDIF, line by line, for the readers of templates and of accounts. */
#include "ldif.h"

#include <string.h>
#include <strings.h>

#include "base64.h"

int
ldif_fault(const struct ldif *l, const struct err *why, struct err *err)
{
	return err_set(err, why->kind, "line %u: %.200s", l->line, why->text);
}

static int
fault(const struct ldif *l, struct err *err, const char *text)
{
	return err_bad(err, 0, "line %u: %s", l->line, text);
}

/* One line of the text, without its end, behind what raw has. */
static int
add_line(struct ldif *l, struct err *err)
{
	const uint8_t	*nl = memchr(l->text.p, '\n', l->text.n);
	size_t		 n = nl != NULL ? (size_t)(nl - l->text.p) : l->text.n;

	if (n > LDIF_LINE_MAX - l->raw.n)
		return err_set(err, ERR_TOO_BIG, "line %u: longer than %d "
		    "bytes", l->line, LDIF_LINE_MAX);
	buf_add(&l->raw, l->text.p, n);
	if (l->raw.n > 0 && l->raw.p[l->raw.n - 1] == '\r')
		l->raw.n--;
	n += nl != NULL;
	l->text.p += n;
	l->text.n -= n;
	l->next++;
	return 0;
}

/* A logical line: continuations begin with a blank. */
static int
next_line(struct ldif *l, struct err *err)
{
	buf_reset(&l->raw);
	l->line = l->next;
	if (add_line(l, err) != 0)
		return -1;
	while (l->text.n > 0 && l->text.p[0] == ' ') {
		l->text.p++;
		l->text.n--;
		if (add_line(l, err) != 0)
			return -1;
	}
	if (memchr(buf_str(&l->raw), '\0', l->raw.n) != NULL)
		return fault(l, err, "has a NUL");
	return 0;
}

/* What PowerShell and "ldifde -u" may put first. */
static int
begin(struct ldif *l, struct err *err)
{
	l->next = l->line = 1;
	if (l->text.n >= 2 && (memcmp(l->text.p, "\xff\xfe", 2) == 0 ||
	    memcmp(l->text.p, "\xfe\xff", 2) == 0))
		return fault(l, err, "UTF-16: write the file with ldifde -f, "
		    "without -u and without a redirection of PowerShell");
	if (l->text.n >= 3 && memcmp(l->text.p, "\xef\xbb\xbf", 3) == 0) {
		l->text.p += 3;
		l->text.n -= 3;
	}
	return 0;
}

/* ": text", ":: base64", [RFC2849] value-spec. */
static int
read_value(struct ldif *l, char *colon, struct err *err)
{
	struct err	why = ERR_INIT;
	char		*v = colon + 1;

	buf_reset(&l->decoded);
	if (*v == '<')
		return fault(l, err, "the value stands in another file");
	if (*v != ':') {
		v += strspn(v, " ");
		l->value = slice_str(v);
		return 0;
	}
	if (base64_decode(v + 1, strlen(v + 1), LDIF_LINE_MAX, &l->decoded,
	    &why) != 0)
		return ldif_fault(l, &why, err);
	l->value = buf_slice(&l->decoded);
	return 0;
}

/* attribute-type-or-oid with options, cut at its colon. */
static char *
cut_name(char *line)
{
	size_t	n = strspn(line, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-;=*_");

	if (n == 0 || line[0] == '-' || line[n] != ':')
		return NULL;
	line[n] = '\0';
	return line + n;
}

/* Lines that are no attribute: 1 for one to be passed over. */
static int
special(struct ldif *l, struct err *err)
{
	if (strcasecmp(l->name, "version") == 0 && !l->entry)
		return slice_is(l->value, "1") ? 1 :
		    fault(l, err, "not version 1 of LDIF");
	/* ldbsearch's words for other parts of the directory. */
	if (strcasecmp(l->name, "ref") == 0 && !l->entry)
		return 1;
	if (strcasecmp(l->name, "control") == 0)
		return fault(l, err, "a control: this is no export");
	if (strcasecmp(l->name, "changetype") == 0)
		return slice_is(l->value, "add") ? 1 :
		    fault(l, err, "changes an entry: this is no export");
	return 0;
}

/* A line that is neither empty nor a comment; 1: to be passed over. */
static int
read_line(struct ldif *l, struct err *err)
{
	char	*line = buf_str(&l->raw), *colon = cut_name(line);
	int	 rc;

	if (colon == NULL)
		return fault(l, err, "neither \"name: value\" nor a comment");
	if (read_value(l, colon, err) != 0)
		return -1;
	l->name = line;
	if ((rc = special(l, err)) != 0)
		return rc;
	l->kind = strcasecmp(line, "dn") == 0 ? LDIF_DN : LDIF_ATTR;
	if (l->kind == LDIF_DN && l->entry)
		return fault(l, err, "a second dn without an empty line");
	if (l->kind == LDIF_ATTR && !l->entry)
		return fault(l, err, "an attribute before any dn (what "
		    "ldapsearch adds is not there with -LLL)");
	l->entry = true;
	return 0;
}

int
ldif_next(struct ldif *l, struct err *err)
{
	int	rc = 1;

	if (l->next == 0 && begin(l, err) != 0)
		return -1;
	while (rc == 1 && l->text.n > 0) {
		if (next_line(l, err) != 0)
			return -1;
		if (l->raw.n == 0)
			l->entry = false;
		else if (l->raw.p[0] != '#')
			rc = read_line(l, err);
	}
	if (rc == 1) {
		l->kind = LDIF_END;
		l->line = l->next;
		rc = 0;
	}
	return rc;
}

void
ldif_free(struct ldif *l)
{
	buf_free(&l->raw);
	buf_free(&l->decoded);
}
