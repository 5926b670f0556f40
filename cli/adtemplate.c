/*
 * One template of Active Directory, attribute by attribute: between the
 * readers of the two forms and cmd_import.c, which writes our policy of it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adtemplate.h"
#include "args.h"
#include "oid.h"

#define VALUE_MAX	4096	/* bytes of any attribute we read */

struct attr {
	const char	*name;
	int		 (*set)(struct adtemplate *, const char *, struct slice,
			    struct err *);
};

static int
set_text(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	char	**field = strcasecmp(name, "cn") == 0 ? &t->cn :
	    &t->display_name;

	if (*field != NULL)
		return err_bad(err, 0, "%s: stands twice", name);
	*field = xstrndup((const char *)v.p, v.n);
	return 0;
}

/* LDAP has signed numbers; [MS-CRTD] flags are unsigned. */
static int
number(const char *name, struct slice v, int64_t *out, struct err *err)
{
	char	 text[24];
	struct err why = ERR_INIT;

	if (v.n == 0 || v.n >= sizeof(text))
		return err_bad(err, 0, "%s: not a number", name);
	memcpy(text, v.p, v.n);
	text[v.n] = '\0';
	if (number_parse(text[0] == '-' ? text + 1 : text, 0, UINT32_MAX, out,
	    &why) == -1)
		return err_bad(err, 0, "%s: not a number: %.30s", name, text);
	if (text[0] == '-')
		*out = (int64_t)(uint32_t)-*out;
	return 0;
}

/* Fields of 32 bits, whatever their type. */
struct number {
	const char	*name;
	size_t		 offset;
};

static const struct number numbers[] = {
	{ "flags", offsetof(struct adtemplate, general_flags) },
	{ "revision", offsetof(struct adtemplate, major) },
	{ "pKIDefaultKeySpec", offsetof(struct adtemplate, key_spec) },
	{ "msPKI-RA-Signature", offsetof(struct adtemplate, ra_signatures) },
	{ "msPKI-Enrollment-Flag",
	    offsetof(struct adtemplate, enrollment_flags) },
	{ "msPKI-Private-Key-Flag",
	    offsetof(struct adtemplate, private_key_flags) },
	{ "msPKI-Certificate-Name-Flag",
	    offsetof(struct adtemplate, name_flags) },
	{ "msPKI-Minimal-Key-Size",
	    offsetof(struct adtemplate, minimal_key_size) },
	{ "msPKI-Template-Schema-Version",
	    offsetof(struct adtemplate, schema) },
	{ "msPKI-Template-Minor-Revision",
	    offsetof(struct adtemplate, minor) },
};

static int
set_number(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	int64_t		n;
	uint32_t	small;
	size_t		i;

	if (number(name, v, &n, err) == -1)
		return -1;
	small = (uint32_t)n;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcasecmp(numbers[i].name, name) == 0)
			memcpy((char *)t + numbers[i].offset, &small,
			    sizeof(small));
	return 0;
}

/* FILETIME interval: eight octets, little endian, negative 100 ns. */
static int
set_period(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	uint64_t	u = 0;
	int64_t		seconds;
	size_t		i;

	if (v.n != 8)
		return err_bad(err, 0, "%s: not eight octets", name);
	for (i = 8; i-- > 0; )
		u = u << 8 | v.p[i];
	seconds = (int64_t)((0 - u) / 10000000);
	if (seconds <= 0 || u < UINT64_C(1) << 63)
		return err_bad(err, 0, "%s: not a period", name);
	if (strcasecmp(name, "pKIExpirationPeriod") == 0)
		t->validity = seconds;
	else
		t->renewal = seconds;
	return 0;
}

/* The octets of the BIT STRING, most significant bit first. */
static int
set_key_usage(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	unsigned	bit;

	if (v.n < 1 || v.n > 2)
		return err_bad(err, 0, "%s: not one or two octets", name);
	for (bit = 0; bit < 9; bit++)
		if (bit / 8 < v.n && v.p[bit / 8] & 0x80 >> bit % 8)
			t->key_usage |= 1u << bit;
	return 0;
}

/* It goes into a policy file: who may write a template must not write there. */
static int
set_oid(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	struct buf	 der = { NULL, 0, 0 };
	char		*text = xstrndup((const char *)v.p, v.n);
	int		 rc;

	if (t->oid != NULL)
		rc = err_bad(err, 0, "%s: stands twice", name);
	else if ((rc = oid_parse(text, &der, err)) == 0) {
		t->oid = text;
		text = NULL;
	}
	free(text);
	buf_free(&der);
	return rc;
}

static int
set_oid_list(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	struct strlist	*l = strcasecmp(name, "pKIExtendedKeyUsage") == 0 ?
	    &t->eku : &t->policies;
	struct buf	 der = { NULL, 0, 0 };
	char		*text = xstrndup((const char *)v.p, v.n);
	int		 rc;

	if ((rc = oid_parse(text, &der, err)) == 0)
		strlist_add(l, text);
	free(text);
	buf_free(&der);
	return rc;
}

/* "1,Microsoft ...": the number is the order of preference. */
static int
set_provider(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	char	*text = xstrndup((const char *)v.p, v.n);
	char	*at = text + strspn(text, "0123456789");

	(void)name;
	(void)err;
	if (*at == ',')
		at++;
	if (*at != '\0')
		strlist_add(&t->providers, at);
	free(text);
	return 0;
}

static int
set_superseded(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	char	*text = xstrndup((const char *)v.p, v.n);

	(void)name;
	(void)err;
	strlist_add(&t->supersedes, text);
	free(text);
	return 0;
}

/* [MS-CRTD] 2.23.2: name`type`value` again and again. */
static int
set_properties(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	char	*text = xstrndup((const char *)v.p, v.n), *at = text;
	char	*key, *value, **field;

	(void)name;
	(void)err;
	while ((key = strsep(&at, "`")) != NULL &&
	    strsep(&at, "`") != NULL && (value = strsep(&at, "`")) != NULL) {
		field = strcmp(key, "msPKI-Asymmetric-Algorithm") == 0 ?
		    &t->algorithm : strcmp(key, "msPKI-Hash-Algorithm") == 0 ?
		    &t->hash :
		    strcmp(key, "msPKI-Key-Security-Descriptor") == 0 ?
		    &t->permissions : NULL;
		if (field == NULL)
			continue;
		free(*field);
		*field = xstrdup(value);
	}
	free(text);
	return 0;
}

/* [MS-CRTD] 2; names in LDAP count without their case. */
static const struct attr attrs[] = {
	{ "cn", set_text },
	{ "displayName", set_text },
	{ "msPKI-Cert-Template-OID", set_oid },
	{ "flags", set_number },
	{ "revision", set_number },
	{ "pKIDefaultKeySpec", set_number },
	{ "msPKI-RA-Signature", set_number },
	{ "msPKI-Enrollment-Flag", set_number },
	{ "msPKI-Private-Key-Flag", set_number },
	{ "msPKI-Certificate-Name-Flag", set_number },
	{ "msPKI-Minimal-Key-Size", set_number },
	{ "msPKI-Template-Schema-Version", set_number },
	{ "msPKI-Template-Minor-Revision", set_number },
	{ "pKIExpirationPeriod", set_period },
	{ "pKIOverlapPeriod", set_period },
	{ "pKIKeyUsage", set_key_usage },
	{ "pKIExtendedKeyUsage", set_oid_list },
	{ "msPKI-Certificate-Policy", set_oid_list },
	{ "pKIDefaultCSPs", set_provider },
	{ "msPKI-Supersede-Templates", set_superseded },
	{ "msPKI-RA-Application-Policies", set_properties },
};

int
adtemplate_set(struct adtemplate *t, const char *name, struct slice v,
    struct err *err)
{
	size_t	i;

	for (i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++) {
		if (strcasecmp(attrs[i].name, name) != 0)
			continue;
		if (v.n > VALUE_MAX)
			return err_set(err, ERR_TOO_BIG,
			    "%s: above %d bytes", name, VALUE_MAX);
		if (attrs[i].set != set_period &&
		    attrs[i].set != set_key_usage && !slice_is_text(v))
			return err_bad(err, 0, "%s: not UTF-8 text", name);
		return attrs[i].set(t, attrs[i].name, v, err);
	}
	return 0;	/* a directory has dozens more */
}

struct adtemplate *
adtemplates_add(struct adtemplates *all, struct err *err)
{
	if (all->n == ADTEMPLATE_MAX) {
		err_set(err, ERR_TOO_BIG, "more than %d templates",
		    ADTEMPLATE_MAX);
		return NULL;
	}
	all->v = xreallocarray(all->v, all->n + 1, sizeof(*all->v));
	memset(&all->v[all->n], 0, sizeof(*all->v));
	/* [MS-CRTD] 2.16 and its note: Windows 2000 wrote none. */
	all->v[all->n].schema = 1;
	return &all->v[all->n++];
}

/* Which form it is shows in a word that only certutil writes. */
int
adtemplates_parse(struct slice text, struct adtemplates *all,
    struct err *err)
{
	size_t	i;
	int	rc;

	memset(all, 0, sizeof(*all));
	if (memmem(text.p, text.n, "TemplatePropCommonName", 22) != NULL)
		rc = adtemplates_certutil(text, all, err);
	else
		rc = adtemplates_ldif(text, all, err);
	if (rc == 0 && all->n == 0)
		rc = err_bad(err, 0, "no template: neither an LDIF export of "
		    "pKICertificateTemplate objects nor the output of "
		    "certutil -v -template");
	for (i = 0; rc == 0 && i < all->n; i++)
		if (all->v[i].cn == NULL)
			rc = err_bad(err, 0, "template %zu has no name", i + 1);
	return rc;
}

void
adtemplates_free(struct adtemplates *all)
{
	struct adtemplate	*t;

	while (all->n > 0) {
		t = &all->v[--all->n];
		free(t->cn);
		free(t->display_name);
		free(t->oid);
		free(t->algorithm);
		free(t->hash);
		free(t->permissions);
		strlist_free(&t->eku);
		strlist_free(&t->policies);
		strlist_free(&t->providers);
		strlist_free(&t->supersedes);
	}
	free(all->v);
	memset(all, 0, sizeof(*all));
}
