/*
 * Where lists and certificates go: folders, and what the two kinds for
 * directories share.
 */
#include <ldap.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "publish.h"

#define LIST_MAX	(512UL * 1024 * 1024)

bool
publish_is_ldap(const char *to)
{
	return strncasecmp(to, "ldap://", 7) == 0 ||
	    strncasecmp(to, "ldaps://", 8) == 0 ||
	    strncasecmp(to, "ldapi://", 8) == 0;
}

bool
publish_is_ldif(const char *to)
{
	size_t n = strlen(to);

	return n > 5 && strcmp(to + n - 5, ".ldif") == 0;
}

struct folder {
	struct publisher	 pub;
	const char		*dir;
};

/* The folder is served, so everybody may read what is in it. */
static int
put_file(const struct folder *f, const char *name, const char *ending,
    struct slice body, struct err *err)
{
	char *path = file_path(f->dir, name, ending);
	int rc = file_put(path, 0644, body, err);

	free(path);
	return rc;
}

/* What cannot be read is no list, and can be replaced. */
static int
check_file(const struct folder *f, const struct publish_item *i,
    const char *ending, struct err *err)
{
	char *path = file_path(f->dir, i->name, ending);
	struct err ignored = ERR_INIT;
	struct buf there = { 0 };
	int rc = 0;

	if (file_read(path, LIST_MAX, &there, &ignored) == 0)
		rc = publish_is_next(buf_slice(&there), i, err);
	buf_free(&there);
	free(path);
	return rc;
}

/*
 * By the names the landing page uses, the list last.  No CA has a name with
 * "+": that is a delta's.
 */
static int
folder_put(struct publisher *p, const struct publish_item *i,
    struct err *err)
{
	const struct folder *f = (const struct folder *)p;
	const char *ending = i->kind == PUBLISH_DELTA ? "+.crl" : ".crl";

	if (check_file(f, i, ending, err) != 0)
		return -1;
	if (i->cert.n > 0 && put_file(f, i->name, ".cer", i->cert, err) != 0)
		return -1;
	if (i->root.n > 0 && put_file(f, i->name, "-root.cer", i->root,
	    err) != 0)
		return -1;
	return put_file(f, i->name, ending, i->list, err);
}

static int
folder_flush(struct publisher *p, struct err *err)
{
	(void)p;
	(void)err;
	return 0;
}

static void
folder_free(struct publisher *p)
{
	free(p);
}

struct publisher *
publish_folder(const struct publish_options *o, struct err *err)
{
	static const struct publisher_type type = {
		folder_put, folder_flush, folder_free
	};
	struct folder *f;

	if (o->base != NULL || o->bind != NULL || o->password != NULL ||
	    o->ca_file != NULL) {
		err_set(err, ERR_MALFORMED, "--base, --bind, --password-file "
		    "and --tls-ca are for directories: --to names a folder");
		return NULL;
	}
	f = xcalloc(1, sizeof *f);
	f->pub.type = &type;
	f->dir = o->to;
	return &f->pub;
}

/* deltaCRL and the others allow attributes; this one makes it an entry. */
const char *const publish_classes[] = {
	"top", "cRLDistributionPoint", "pkiCA", NULL
};

size_t
publish_attributes(const struct publish_item *i,
    struct publish_attribute out[PUBLISH_ATTRIBUTES])
{
	static const char delta[] = "deltaRevocationList;binary";
	size_t n = 0;

	if (i->kind == PUBLISH_DELTA) {
		out[n++] = (struct publish_attribute){ delta, i->list };
		return n;
	}
	out[n++] = (struct publish_attribute){ "cACertificate;binary",
	    i->cert };
	out[n++] = (struct publish_attribute){
	    "certificateRevocationList;binary", i->list };
	/*
	 * [RFC2587] 3.2: revoked certificates of CAs are looked for apart.  An
	 * older delta does not go with a complete list.
	 */
	if (i->kind == PUBLISH_ABOVE)
		out[n++] = (struct publish_attribute){
		    "authorityRevocationList;binary", i->list };
	else
		out[n++] = (struct publish_attribute){ delta,
		    slice_of(NULL, 0) };
	return n;
}

/* [RFC4514] 2.4; of what names of CAs can have only blanks matter. */
void
publish_dn(const char *name, const char *base, struct buf *out)
{
	size_t i, n = strlen(name);

	buf_puts(out, "cn=");
	for (i = 0; i < n; i++) {
		if (name[i] == ' ' && (i == 0 || i == n - 1))
			buf_addc(out, '\\');
		buf_addc(out, (uint8_t)name[i]);
	}
	buf_addc(out, ',');
	buf_puts(out, base);
}

int
publish_check_base(const char *base, struct err *err)
{
	LDAPDN dn = NULL;
	int rc = 0;

	if (base == NULL || *base == '\0' || ldap_str2dn(base, &dn,
	    LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || dn == NULL)
		rc = err_set(err, ERR_MALFORMED, "\"%.80s\" is no "
		    "distinguished name to publish below, such as "
		    "ou=pki,dc=example,dc=org", base == NULL ? "" : base);
	ldap_dnfree(dn);
	return rc;
}
