/* Changes to a directory that is elsewhere: [RFC2849]. */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "file.h"
#include "publish.h"

#define LINE	76

struct ldif {
	struct publisher	 pub;
	const char		*path, *base;
	struct buf		 text;
};

/* name:: base64, folded: a line that goes on begins with a blank. */
static void
put_value(struct buf *b, const char *name, struct slice value)
{
	struct buf line = { 0 };
	size_t at, n;

	buf_printf(&line, "%s:: ", name);
	base64_encode(value.p, value.n, &line);
	for (at = 0; at < line.n; at += n) {
		n = line.n - at;
		if (n > LINE - (at > 0))
			n = LINE - (at > 0);
		if (at > 0)
			buf_addc(b, ' ');
		buf_add(b, line.p + at, n);
		buf_addc(b, '\n');
	}
	buf_free(&line);
}

/* Names can have blanks at their ends, and DNs other scripts than ASCII. */
static void
put_dn(struct buf *b, struct buf *dn)
{
	put_value(b, "dn", buf_slice(dn));
	buf_puts(b, "changetype: modify\n");
}

/* The same three attributes as a directory gets, replaced in one change. */
static int
ldif_put(struct publisher *p, const struct publish_item *i, struct err *err)
{
	struct ldif *l = (struct ldif *)p;
	struct publish_attribute a[PUBLISH_ATTRIBUTES];
	struct buf dn = { 0 };
	size_t k, n = publish_attributes(i, a);

	(void)err;
	publish_dn(i->name, l->base, &dn);
	buf_printf(&l->text, "\n# %s: number %s\n", i->name, i->number);
	put_dn(&l->text, &dn);
	for (k = 0; k < n; k++) {
		buf_printf(&l->text, "replace: %s\n", a[k].type);
		if (a[k].value.n > 0)
			put_value(&l->text, a[k].type, a[k].value);
		buf_puts(&l->text, "-\n");
	}
	buf_free(&dn);
	return 0;
}

/* With all lists in it; without any there is no file. */
static int
ldif_flush(struct publisher *p, struct err *err)
{
	struct ldif *l = (struct ldif *)p;

	return l->text.n == 0 ? 0 : file_put(l->path, 0644,
	    buf_slice(&l->text), err);
}

static void
ldif_free(struct publisher *p)
{
	buf_free(&((struct ldif *)p)->text);
	free(p);
}

/* What ldapmodify takes, and how to make entries that are not there yet. */
static void
put_front(struct ldif *l)
{
	size_t i;

	buf_puts(&l->text, "version: 1\n"
	    "# ldapmodify -f FILE; an entry that is not there yet is made by\n"
	    "# ldapadd before, with these lines:\n#\n# dn: cn=NAME,");
	/* One line of comment, whatever is in the name. */
	for (i = 0; l->base[i] != '\0'; i++)
		buf_addc(&l->text, l->base[i] == '\n' || l->base[i] == '\r' ?
		    ' ' : (uint8_t)l->base[i]);
	buf_puts(&l->text, "\n");
	for (i = 0; publish_classes[i] != NULL; i++)
		buf_printf(&l->text, "# objectClass: %s\n",
		    publish_classes[i]);
	buf_puts(&l->text, "# cn: NAME\n");
}

struct publisher *
publish_ldif(const struct publish_options *o, struct err *err)
{
	static const struct publisher_type type = {
		ldif_put, ldif_flush, ldif_free
	};
	struct ldif *l;

	if (o->bind != NULL || o->password != NULL || o->ca_file != NULL) {
		err_set(err, ERR_MALFORMED, "--bind, --password-file and "
		    "--tls-ca are for a directory: --to names a file");
		return NULL;
	}
	if (publish_check_base(o->base, err) != 0)
		return NULL;
	l = xcalloc(1, sizeof *l);
	l->pub.type = &type;
	l->path = o->to;
	l->base = o->base;
	put_front(l);
	return &l->pub;
}
