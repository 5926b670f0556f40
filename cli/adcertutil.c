/*
 * What "certutil -v -template" prints, "  TemplatePropName = value" lines, to
 * the templates of adtemplate.h: one of the two forms "policy import" reads.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adtemplate.h"
#include "policy.h"

/* Properties with one value on their line, by the attribute they are. */
struct prop {
	const char	*prop, *attr;
	bool		 hex;		/* "10241" or "400 (1024)" */
};

static const struct prop props[] = {
	{ "CommonName", "cn", false },
	{ "FriendlyName", "displayName", false },
	{ "MajorRevision", "revision", true },
	{ "MinorRevision", "msPKI-Template-Minor-Revision", true },
	{ "SchemaVersion", "msPKI-Template-Schema-Version", true },
	{ "RASignatureCount", "msPKI-RA-Signature", true },
	{ "MinimumKeySize", "msPKI-Minimal-Key-Size", true },
	{ "EnrollmentFlags", "msPKI-Enrollment-Flag", true },
	{ "SubjectNameFlags", "msPKI-Certificate-Name-Flag", true },
	{ "PrivateKeyFlags", "msPKI-Private-Key-Flag", true },
	{ "GeneralFlags", "flags", true },
	{ "KeySpec", "pKIDefaultKeySpec", true },
};

/*
 * A property stands on a line, or begins a list on the lines behind it; which
 * lists there are list_line knows.
 */
struct reader {
	struct adtemplates	*all;
	struct adtemplate	*t;
	char			 prop[40];	/* whose list is being read */
};

static char *
trim(char *s)
{
	size_t	n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]) != NULL; n--)
		s[n - 1] = '\0';
	return s;
}

static int
set(struct reader *r, const char *attr, const char *value, struct err *err)
{
	return adtemplate_set(r->t, attr, slice_str(value), err);
}

/* "2 Years" to seconds, as Windows counts: a month has 30 days. */
static int64_t
period(const char *s)
{
	static const struct {
		const char	*unit;
		int64_t		 seconds;
	} units[] = {
		{ "Year", 365 * 86400 }, { "Month", 30 * 86400 },
		{ "Week", 7 * 86400 }, { "Day", 86400 }, { "Hour", 3600 }
	};
	char	*end;
	long	 n = strtol(s, &end, 10);
	size_t	 i;

	end += strspn(end, " ");
	for (i = 0; n > 0 && n < 1000 &&
	    i < sizeof(units) / sizeof(units[0]); i++)
		if (strncasecmp(end, units[i].unit,
		    strlen(units[i].unit)) == 0)
			return n * units[i].seconds;
	return 0;
}

/* Numbers are printed in hex, with decimal or words behind them. */
static int
set_hex(struct reader *r, const char *attr, const char *value,
    struct err *err)
{
	char	*end, dec[24];
	unsigned long n = strtoul(value, &end, 16);

	if (end == value || (*end != '\0' && *end != ' ') || n > UINT32_MAX)
		return err_bad(err, 0, "%s: not a number: %.30s", attr, value);
	snprintf(dec, sizeof(dec), "%lu", n);
	return set(r, attr, dec, err);
}

/* A line that begins a property. */
static int
begin_prop(struct reader *r, char *line, struct err *err)
{
	char	*eq = strchr(line, '='), *name = line + 12, *value;
	size_t	 i;

	if (eq == NULL)
		return 0;
	*eq = '\0';
	name = trim(name);
	value = trim(eq + 1);
	snprintf(r->prop, sizeof(r->prop), "%s", name);
	if (strcmp(name, "CommonName") == 0 &&
	    (r->t = adtemplates_add(r->all, err)) == NULL)
		return -1;
	if (r->t == NULL || *value == '\0')
		return 0;
	if (strcmp(name, "ValidityPeriod") == 0)
		r->t->validity = period(value);
	else if (strcmp(name, "RenewalPeriod") == 0)
		r->t->renewal = period(value);
	else if (strcmp(name, "AsymmetricAlgorithm") == 0 &&
	    r->t->algorithm == NULL)
		r->t->algorithm = xstrdup(value);
	else if (strcmp(name, "HashAlgorithm") == 0 && r->t->hash == NULL)
		r->t->hash = xstrdup(value);
	else if (strcmp(name, "KeySecurityDescriptor") == 0 &&
	    r->t->permissions == NULL)
		r->t->permissions = xstrdup(value);
	for (i = 0; i < sizeof(props) / sizeof(props[0]); i++)
		if (strcmp(props[i].prop, name) == 0)
			return props[i].hex ?
			    set_hex(r, props[i].attr, value, err) :
			    set(r, props[i].attr, value, err);
	return 0;
}

/* Key usage stands as words in the dump of the extension: "... (a0)". */
static void
key_usage_line(struct reader *r, const char *line)
{
	const char	*open = strrchr(line, '(');
	unsigned	 octet, bit;

	if (strstr(line, "Digital Signature") == NULL &&
	    strstr(line, "Encipherment") == NULL &&
	    strstr(line, "Certificate Signing") == NULL)
		return;
	if (open == NULL || sscanf(open, "(%2x", &octet) != 1)
		return;
	for (bit = 0; bit < 8; bit++)
		if (octet & 0x80u >> bit)
			r->t->key_usage |= 1u << bit;
}

/* A line of the list that a property began. */
static int
list_line(struct reader *r, char *line, struct err *err)
{
	char	*value = trim(line), *blank;

	if (r->t == NULL || *value == '\0')
		return 0;
	if (strcmp(r->prop, "CryptoProviders") == 0) {
		if ((blank = strstr(value, ": ")) != NULL &&
		    isdigit((unsigned char)value[0]))
			strlist_add(&r->t->providers, blank + 2);
		return 0;
	}
	if (strcmp(r->prop, "Supersede") == 0) {
		strlist_add(&r->t->supersedes, value);
		return 0;
	}
	key_usage_line(r, value);
	if (!isdigit((unsigned char)value[0]) || strchr(value, '.') == NULL)
		return 0;
	if ((blank = strpbrk(value, " \t")) != NULL)
		*blank = '\0';
	if (strcmp(r->prop, "EKUs") == 0)
		return set(r, "pKIExtendedKeyUsage", value, err);
	if (strcmp(r->prop, "OID") == 0 && r->t->oid == NULL)
		return set(r, "msPKI-Cert-Template-OID", value, err);
	if (strcmp(r->prop, "CertificatePolicies") == 0)
		return set(r, "msPKI-Certificate-Policy", value, err);
	return 0;
}

int
adtemplates_certutil(struct slice text, struct adtemplates *all,
    struct err *err)
{
	struct reader	 r = { all, NULL, "" };
	char		*copy = xstrndup((const char *)text.p, text.n);
	char		*at = copy, *line, *body;
	int		 rc = 0;

	while (rc == 0 && (line = strsep(&at, "\n")) != NULL) {
		body = line + strspn(line, " ");
		if (strncmp(body, "TemplateProp", 12) == 0)
			rc = begin_prop(&r, body, err);
		else
			rc = list_line(&r, body, err);
	}
	free(copy);
	return rc;
}
