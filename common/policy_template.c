/* One template section of a policy to struct template, for policy_parse.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "oid.h"
#include "policy.h"
#include "policy_int.h"

#define DAY ((int64_t)86400)

static const struct word usages[] = {
	{ "digital-signature", USAGE_DIGITAL_SIGNATURE },
	{ "non-repudiation", USAGE_NON_REPUDIATION },
	{ "key-encipherment", USAGE_KEY_ENCIPHERMENT },
	{ "data-encipherment", USAGE_DATA_ENCIPHERMENT },
	{ "key-agreement", USAGE_KEY_AGREEMENT },
	{ "key-cert-sign", USAGE_KEY_CERT_SIGN },
	{ "crl-sign", USAGE_CRL_SIGN },
	{ "encipher-only", USAGE_ENCIPHER_ONLY },
	{ "decipher-only", USAGE_DECIPHER_ONLY },
	{ NULL, 0 }
};

static const struct word subject_parts[] = {
	{ "common-name", NAME_CN_COMMON }, { "dns", NAME_CN_DNS },
	{ "directory-path", NAME_DIRECTORY_PATH },
	{ "email", NAME_SUBJECT_EMAIL }, { NULL, 0 }
};

static const struct word san_parts[] = {
	{ "dns", NAME_SAN_DNS }, { "upn", NAME_SAN_UPN },
	{ "email", NAME_SAN_EMAIL }, { "domain-dns", NAME_SAN_DOMAIN },
	{ NULL, 0 }
};

static const struct word curves[] = {
	{ "P-256", ALLOW_P256 }, { "P-384", ALLOW_P384 },
	{ "P-521", ALLOW_P521 }, { NULL, 0 }
};

static const struct word curve_bits[] = {
	{ "P-256", 256 }, { "P-384", 384 }, { "P-521", 521 }, { NULL, 0 }
};

static const struct word hashes[] = {
	{ "sha256", 0 }, { "sha384", 0 }, { "sha512", 0 }, { NULL, 0 }
};

static const struct {
	const char	*name, *oid;
} ekus[] = {
	{ "server-authentication", "1.3.6.1.5.5.7.3.1" },
	{ "client-authentication", "1.3.6.1.5.5.7.3.2" },
	{ "code-signing", "1.3.6.1.5.5.7.3.3" },
	{ "email-protection", "1.3.6.1.5.5.7.3.4" },
	{ "time-stamping", "1.3.6.1.5.5.7.3.8" },
	{ "ocsp-signing", "1.3.6.1.5.5.7.3.9" },
	{ "ipsec-ike", "1.3.6.1.5.5.8.2.2" },
	{ "smart-card-logon", "1.3.6.1.4.1.311.20.2.2" },
	{ "enrollment-agent", "1.3.6.1.4.1.311.20.2.1" },
	{ "pkinit-client", "1.3.6.1.5.2.3.4" },
	{ "kdc-authentication", "1.3.6.1.5.2.3.5" },
	{ "key-recovery-agent", "1.3.6.1.4.1.311.21.6" },
	{ "encrypting-file-system", "1.3.6.1.4.1.311.10.3.4" },
	{ "file-recovery", "1.3.6.1.4.1.311.10.3.4.1" },
	{ "document-signing", "1.3.6.1.4.1.311.10.3.12" },
	{ "any", "2.5.29.37.0" }
};

/* A choice of two words; the first is the default. */
static bool
read_choice(cfg_t *cfg, const char *opt, const char *const words[2],
    struct lint *l)
{
	const char	*v;

	if (cfg_size(cfg, opt) == 0)
		return false;
	v = cfg_getstr(cfg, opt);
	if (strcmp(v, words[0]) == 0 || strcmp(v, words[1]) == 0)
		return strcmp(v, words[1]) == 0;
	lint_add(l, "%s: %s is neither %s nor %s", opt, v, words[0], words[1]);
	return false;
}

static bool
read_bool(cfg_t *cfg, const char *opt, bool fallback)
{
	return cfg_size(cfg, opt) == 0 ? fallback : cfg_getbool(cfg, opt);
}

static void
read_version(cfg_t *cfg, struct template *t, struct lint *l)
{
	const char	*v = cfg_getstr(cfg, "version");
	int		 n = 0;

	t->major = 100;		/* as new templates of AD CS begin */
	t->minor = 0;
	if (cfg_size(cfg, "version") == 0)
		return;
	if (strspn(v, "0123456789.") != strlen(v) || strlen(v) > 20 ||
	    sscanf(v, "%9u.%9u%n", &t->major, &t->minor, &n) != 2 ||
	    v[n] != '\0' || t->major == 0)
		lint_add(l, "version: %s is not of the form major.minor with "
		    "a major of 1 or more", v);
}

static void
read_identity(cfg_t *cfg, struct template *t, struct lint *l)
{
	t->cn = xstrdup(cfg_title(cfg));
	t->display_name = read_text(cfg, "display-name");
	if (t->display_name == NULL)
		t->display_name = xstrdup(t->cn);
	if (cfg_size(cfg, "oid") == 0)
		lint_add(l, "oid: is missing");
	else
		t->oid = read_oid("oid", cfg_getstr(cfg, "oid"), &t->oid_der,
		    l);
	if (t->oid == NULL)
		t->oid = xstrdup("");
	t->schema = 3;
	if (cfg_size(cfg, "schema") != 0)
		t->schema = (unsigned)read_int(cfg, "schema", 1, 4, l);
	read_version(cfg, t, l);
	read_list(cfg, "ca", &t->cas, l);
	if (cfg_size(cfg, "type") == 0)
		lint_add(l, "type: is missing; user or machine");
	t->machine = read_choice(cfg, "type",
	    (const char *const[2]){ "user", "machine" }, l);
	read_list(cfg, "supersedes", &t->supersedes, l);
	read_list(cfg, "override", &t->overrides, l);
}

static void
read_access(cfg_t *cfg, struct template *t, struct lint *l)
{
	if (cfg_size(cfg, "validity") == 0)
		lint_add(l, "validity: is missing");
	read_duration(cfg, "validity", &t->validity, l);
	t->renewal = 42 * DAY;
	read_duration(cfg, "renewal", &t->renewal, l);
	read_list(cfg, "enroll", &t->enroll, l);
	read_list(cfg, "autoenroll", &t->autoenroll, l);
	if (cfg_size(cfg, "rate-per-minute") != 0)
		t->rate = (unsigned)read_int(cfg, "rate-per-minute", 1,
		    1000000, l);
}

/* "upn" must be there, "upn?" may be missing from the account. */
static void
read_parts(cfg_t *cfg, const char *opt, const struct word *words,
    struct template *t, struct lint *l)
{
	struct strlist	 list = { NULL, 0 };
	unsigned	 bit;
	size_t		 i, n;
	bool		 optional;

	read_list(cfg, opt, &list, l);
	for (i = 0; i < list.n; i++) {
		n = strlen(list.v[i]);
		optional = n != 0 && list.v[i][n - 1] == '?';
		if (optional)
			list.v[i][n - 1] = '\0';
		if (!word_value(words, list.v[i], &bit))
			lint_add(l, "%s: %s is not known", opt, list.v[i]);
		else if (t->account_names & bit)
			lint_add(l, "%s: %s stands twice", opt, list.v[i]);
		else {
			t->account_names |= bit;
			t->optional_names |= optional ? bit : 0;
		}
	}
	strlist_free(&list);
}

static void
read_names(cfg_t *cfg, struct template *t, struct lint *l)
{
	if (cfg_size(cfg, "names") == 0)
		lint_add(l, "names: is missing; account or request");
	t->names_from_request = read_choice(cfg, "names",
	    (const char *const[2]){ "account", "request" }, l);
	read_parts(cfg, "subject", subject_parts, t, l);
	read_parts(cfg, "san", san_parts, t, l);
	read_list(cfg, "name-rules", &t->name_rules, l);
}

/* "2048" or "2048-8192" behind "rsa:". */
static bool
read_rsa(struct template *t, const char *s)
{
	unsigned	min = 0, max = 0;
	int		n = 0, m = 0;

	if (strspn(s, "0123456789-") != strlen(s) || s[0] == '-' ||
	    sscanf(s, "%5u%n-%5u%n", &min, &n, &max, &m) < 1)
		return false;
	if (s[n] == '\0')
		max = min > 4096 ? min : 4096;
	else if (m == 0 || s[m] != '\0' || s[n + 1] == '-')
		return false;
	t->rsa_min = min;
	t->rsa_max = max;
	return true;
}

/* false: not understood. */
static bool
read_key(struct template *t, const char *s, struct lint *l)
{
	unsigned	bit, bits = 0;

	if (strncmp(s, "rsa:", 4) == 0) {
		if (t->rsa_min != 0)
			lint_add(l, "keys: rsa stands twice");
		if (!read_rsa(t, s + 4))
			return false;
		bits = t->rsa_min;
	} else {
		if (strncmp(s, "ec:", 3) != 0 ||
		    !word_value(curves, s + 3, &bit))
			return false;
		t->curves |= bit;
		word_value(curve_bits, s + 3, &bits);
	}
	if (t->advertise == NULL) {
		t->advertise = xstrdup(s[0] == 'r' ? "rsa" : s + 3);
		t->minimal_key_length = bits;
	}
	return true;
}

static void
read_keys(cfg_t *cfg, struct template *t, struct lint *l)
{
	struct strlist	list = { NULL, 0 };
	unsigned	any;
	size_t		i;

	read_list(cfg, "keys", &list, l);
	for (i = 0; i < list.n; i++)
		if (!read_key(t, list.v[i], l))
			lint_add(l, "keys: %s is not of the form rsa:2048, "
			    "rsa:2048-8192, ec:P-256, ec:P-384 or ec:P-521",
			    list.v[i]);
	strlist_free(&list);
	read_list(cfg, "providers", &t->providers, l);
	/* Legacy providers need one; CNG has none ([MS-XCEP] 3.1.4.1.3.20). */
	t->key_spec = t->schema <= 2 ? 1 : 0;
	if (cfg_size(cfg, "key-spec") != 0)
		t->key_spec = (int)read_int(cfg, "key-spec", 0, 2, l);
	t->hash = read_text(cfg, "hash");
	if (t->hash != NULL && !word_value(hashes, t->hash, &any))
		lint_add(l, "hash: %s is not sha256, sha384 or sha512",
		    t->hash);
	if (t->hash == NULL && t->schema >= 3)
		t->hash = xstrdup("sha256");
	t->key_permissions = read_text(cfg, "key-permissions");
	t->exportable = read_bool(cfg, "exportable", false);
	t->strong_protection = read_bool(cfg, "strong-key-protection", false);
}

static const char *
eku_oid(const char *word)
{
	size_t	i;

	for (i = 0; i < sizeof(ekus) / sizeof(ekus[0]); i++)
		if (strcmp(ekus[i].name, word) == 0)
			return ekus[i].oid;
	return NULL;
}

const char *
policy_eku(const char *s)
{
	const char	*oid = eku_oid(s);
	struct err	 ignored = ERR_INIT;
	struct buf	 der = { NULL, 0, 0 };

	if (oid == NULL && oid_parse(s, &der, &ignored) == 0)
		oid = s;
	buf_free(&der);
	return oid;
}

static char *
read_eku(const char *s, struct lint *l)
{
	const char	*oid = eku_oid(s);

	if (oid != NULL)
		return xstrdup(oid);
	if (*s >= '0' && *s <= '2')
		return read_oid("eku", s, NULL, l);
	lint_add(l, "eku: %.60s is no purpose that has a name here (such as "
	    "client-authentication, see countersign-policy.conf(5)) and no "
	    "object identifier", s);
	return NULL;
}

/*
 * ESC13: membership in a group may hang on a policy OID, so each says behind
 * a blank what it grants.
 */
static char *
read_policy_oid(const char *s, struct lint *l)
{
	char	*oid = xstrndup(s, strcspn(s, " ")), *r;

	if (s[strcspn(s, " ")] == '\0')
		lint_add(l, "policies: %s: say behind the oid what it grants "
		    "(esc13)", s);
	r = read_oid("policies", oid, NULL, l);
	free(oid);
	return r;
}

/* A list whose entries one turns into OIDs; those that are none are left. */
static void
read_oids(cfg_t *cfg, const char *opt, struct strlist *out,
    char *(*one)(const char *, struct lint *), struct lint *l)
{
	struct strlist	 list = { NULL, 0 };
	size_t		 i;
	char		*oid;

	read_list(cfg, opt, &list, l);
	out->v = xcalloc(list.n + 1, sizeof(char *));
	for (i = 0; i < list.n; i++) {
		oid = one(list.v[i], l);
		if (oid == NULL)
			continue;
		if (strlist_has(out, oid))
			lint_add(l, "%s: %s stands twice", opt, oid);
		out->v[out->n++] = oid;
	}
	strlist_free(&list);
}

static void
read_usage(cfg_t *cfg, struct template *t, struct lint *l)
{
	struct strlist	list = { NULL, 0 };
	unsigned	bit;
	size_t		i;

	read_list(cfg, "key-usage", &list, l);
	for (i = 0; i < list.n; i++)
		if (word_value(usages, list.v[i], &bit))
			t->key_usage |= bit;
		else
			lint_add(l, "key-usage: %s is not known", list.v[i]);
	strlist_free(&list);
	t->key_usage_critical = read_bool(cfg, "key-usage-critical", true);
	read_oids(cfg, "eku", &t->eku, read_eku, l);
	read_oids(cfg, "policies", &t->policies, read_policy_oid, l);
	t->application_policies = read_bool(cfg, "application-policies",
	    t->schema >= 2);
	t->smime_capabilities = read_bool(cfg, "smime-capabilities", false);
}

static void
read_approval(cfg_t *cfg, struct template *t, struct lint *l)
{
	t->approval = read_choice(cfg, "approval",
	    (const char *const[2]){ "none", "manager" }, l);
	read_list(cfg, "approval-groups", &t->approval_groups, l);
	read_list(cfg, "approvers", &t->approvers, l);
	t->pending_expires = 30 * DAY;
	read_duration(cfg, "pending-expires", &t->pending_expires, l);
	if (!t->approval && cfg_size(cfg, "pending-expires") != 0)
		lint_add(l, "pending-expires: needs approval = manager");
}

static char *
read_ra_policy(const char *s, struct lint *l)
{
	return read_oid("ra-policies", s, NULL, l);
}

static void
read_signatures(cfg_t *cfg, struct template *t, struct lint *l)
{
	/* A request holds at most two certificate-based signers. */
	if (cfg_size(cfg, "ra-signatures") != 0)
		t->ra_signatures = (unsigned)read_int(cfg, "ra-signatures", 0,
		    2, l);
	read_oids(cfg, "ra-eku", &t->ra_eku, read_eku, l);
	read_oids(cfg, "ra-policies", &t->ra_policies, read_ra_policy, l);
	t->archive_key = read_bool(cfg, "archive-key", false);
}

static void
read_renewal(cfg_t *cfg, struct template *t, struct lint *l)
{
	t->renew_previous_approval = read_bool(cfg,
	    "renewal-previous-approval", false);
	t->renew_same_key = read_bool(cfg, "renewal-same-key", false);
	t->renew_key_based = read_bool(cfg, "renewal-key-based", false);
	t->renew_anonymous = read_bool(cfg, "renewal-anonymous", false);
	t->renew_sha1 = read_bool(cfg, "renewal-sha1", false);
	read_duration(cfg, "renewal-grace", &t->renew_grace, l);
	read_duration(cfg, "renewal-max-age", &t->renew_max_age, l);
	if (cfg_size(cfg, "renewal-max") != 0)
		t->renew_max = (unsigned)read_int(cfg, "renewal-max", 0,
		    1000000, l);
}

static uint32_t
name_flags(const struct template *t)
{
	static const struct {
		unsigned	part;
		uint32_t	flag;
	} map[] = {
		{ NAME_CN_COMMON, NF_COMMON_NAME },
		{ NAME_CN_DNS, NF_DNS_AS_CN },
		{ NAME_DIRECTORY_PATH, NF_DIRECTORY_PATH },
		{ NAME_SUBJECT_EMAIL, NF_SUBJECT_EMAIL },
		{ NAME_SAN_DNS, NF_SAN_DNS },
		{ NAME_SAN_UPN, NF_SAN_UPN },
		{ NAME_SAN_EMAIL, NF_SAN_EMAIL },
		{ NAME_SAN_DOMAIN, NF_SAN_DOMAIN }
	};
	uint32_t	f = 0;
	size_t		i;

	/* With bit 8 a client renews without asking for the names again. */
	if (t->names_from_request)
		return NF_ENROLLEE_SUPPLIES_SUBJECT |
		    (t->renew_previous_approval ? NF_OLD_CERT_SUPPLIES : 0);
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (t->account_names & map[i].part)
			f |= map[i].flag;
	return f;
}

/*
 * NCRYPT_ALLOW_*: 1 decrypt, 2 sign, 4 agree.  A value the key's algorithm
 * lacks fails on the client with NTE_PERM; AD sends "all" for both.
 */
static uint32_t
usage_property(const struct template *t)
{
	enum key_kind	kind = KEY_P256;
	unsigned	usage;

	if (t->schema <= 2)
		return 0;
	if (t->advertise != NULL && strcmp(t->advertise, "rsa") == 0)
		kind = KEY_RSA;
	usage = template_key_usage(t, kind);
	if ((usage & ~(unsigned)(USAGE_DIGITAL_SIGNATURE |
	    USAGE_NON_REPUDIATION)) == 0)
		return 2;
	return 0x00ffffff;
}

/* [MS-CRTD] 2.4, 2.26, 2.27, 2.28. */
static void
set_flags(struct template *t)
{
	t->general_flags = (t->machine ? GF_MACHINE_TYPE : 0) |
	    (t->schema == 1 ? GF_ADD_TEMPLATE_NAME : 0);
	t->enrollment_flags =
	    (t->smime_capabilities ? EF_INCLUDE_SYMMETRIC_ALGORITHMS : 0) |
	    (t->approval ? EF_PEND_ALL_REQUESTS : 0) |
	    (t->autoenroll.n != 0 ? EF_AUTO_ENROLLMENT : 0) |
	    (t->renew_previous_approval ? EF_PREVIOUS_APPROVAL : 0) |
	    (t->renew_key_based ? EF_KEY_BASED_RENEWAL : 0);
	t->private_key_flags =
	    (t->archive_key ? PF_ARCHIVE_KEY : 0) |
	    (t->exportable ? PF_EXPORTABLE_KEY : 0) |
	    (t->strong_protection ? PF_STRONG_PROTECTION : 0) |
	    (t->renew_same_key ? PF_SAME_KEY_RENEWAL : 0);
	t->name_flags = name_flags(t);
	t->key_usage_property = usage_property(t);
}

void
template_read(cfg_t *cfg, struct template *t, struct lint *l)
{
	read_identity(cfg, t, l);
	read_access(cfg, t, l);
	read_names(cfg, t, l);
	read_keys(cfg, t, l);
	read_usage(cfg, t, l);
	read_approval(cfg, t, l);
	read_signatures(cfg, t, l);
	read_renewal(cfg, t, l);
	set_flags(t);
}
