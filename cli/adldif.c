/*
 * LDIF ([RFC2849]) as ldifde writes it, folded lines, "::" for base64, to the
 * templates of adtemplate.h: the other form "policy import" reads.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "adtemplate.h"
#include "base64.h"

/* One logical line: continuations begin with a blank. */
static bool
next_line(struct slice *text, struct buf *line)
{
	const uint8_t	*nl;
	size_t		 n;

	buf_reset(line);
	if (text->n == 0)
		return false;
	do {
		nl = memchr(text->p, '\n', text->n);
		n = nl != NULL ? (size_t)(nl - text->p) : text->n;
		buf_add(line, text->p, n);
		if (line->n > 0 && line->p[line->n - 1] == '\r')
			line->n--;
		n += nl != NULL;
		text->p += n;
		text->n -= n;
		if (text->n > 0 && text->p[0] == ' ') {
			text->p++;
			text->n--;
			continue;
		}
		return true;
	} while (text->n > 0);
	return true;
}

/* "name: text" or "name:: base64" into the template. */
static int
one_attribute(struct adtemplate *t, char *line, struct err *err)
{
	char		*colon = strchr(line, ':'), *v;
	struct buf	 raw = { NULL, 0, 0 };
	int		 rc = 0;

	if (colon == NULL)
		return err_bad(err, 0, "ldif: no colon in %.40s", line);
	*colon = '\0';
	v = colon + 1;
	if (*v == ':')
		rc = base64_decode(v + 1, strlen(v + 1), 65536, &raw, err);
	else
		buf_puts(&raw, v + strspn(v, " "));
	if (rc == 0)
		rc = adtemplate_set(t, line, buf_slice(&raw), err);
	buf_free(&raw);
	return rc;
}

/* Is this object class line that of a template? */
static bool
is_template_class(const char *line)
{
	return strncasecmp(line, "objectClass:", 12) == 0 &&
	    strcasecmp(line + 12 + strspn(line + 12, " "),
	    "pKICertificateTemplate") == 0;
}

/*
 * A record is read into a template at once and thrown away when its object
 * class was another.
 */
static void
end_record(struct adtemplates *all, bool open, bool wanted)
{
	struct adtemplates	last;

	if (!open || wanted)
		return;
	last.v = xmemdup(&all->v[all->n - 1], sizeof(*all->v));
	last.n = 1;
	all->n--;
	adtemplates_free(&last);
}

int
adtemplates_ldif(struct slice text, struct adtemplates *all, struct err *err)
{
	struct adtemplate	*t = NULL;
	struct buf		 line = { NULL, 0, 0 };
	bool			 wanted = false;
	int			 rc = 0;

	while (rc == 0 && next_line(&text, &line)) {
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (memchr(line.p, '\0', line.n) != NULL) {
			rc = err_bad(err, 0, "ldif: NUL in a line");
		} else if (line.n > 3 &&
		    strncasecmp(buf_str(&line), "dn:", 3) == 0) {
			end_record(all, t != NULL, wanted);
			wanted = false;
			t = adtemplates_add(all, err);
			rc = t == NULL ? -1 : 0;
		} else if (t != NULL) {
			if (is_template_class(buf_str(&line)))
				wanted = true;
			rc = one_attribute(t, buf_str(&line), err);
		}
	}
	end_record(all, t != NULL, wanted);
	buf_free(&line);
	return rc;
}
