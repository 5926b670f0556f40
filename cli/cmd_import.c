/*
 * policy import: templates of Active Directory as sections of a policy file,
 * with a remark for each thing that a policy cannot say.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "adtemplate.h"
#include "commands.h"
#include "file.h"

#define DAY 86400

/* [MS-CRTD] 2.27 */
#define PF_ATTEST_PREFERRED	0x00001000u
#define PF_ATTEST_REQUIRED	0x00002000u

const struct opt opts_policy_import[] = {
	{ "ca", "NAME", "the CA that offers the templates (default: the one "
	    "of the policy in force)", false },
	{ "template", "NAME", "only this template", true },
	{ "enroll", "GROUP", "who may enroll", true },
	{ "autoenroll", "GROUP", "who enrolls without being asked", true },
	{ "name-rule", "RULE", "for names in the request", true },
	{ NULL, NULL, NULL, false }
};

static const struct out_col cols[] = {
	{ "template", OUT_TEXT }, { "oid", OUT_TEXT },
	{ "version", OUT_TEXT }, { "notes", OUT_LIST },
	{ "text", OUT_TEXT }, { NULL, OUT_TEXT }
};

/* What the operator gave and what is being written. */
struct import {
	const char	*ca;
	struct strlist	 enroll, autoenroll, rules;
	struct buf	 text, notes;
};

/* A remark in the section, and in the column "notes". */
static void
note(struct import *im, const char *text)
{
	buf_printf(&im->notes, "%s%s", im->notes.n > 0 ? "\n" : "", text);
	buf_printf(&im->text, "\t# %s\n", text);
}

/* A quoted string of a policy file: what it cannot hold is left out. */
static void
put_quoted(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(b, '\\');
		if ((unsigned char)*s >= ' ' && *s != 0x7f &&
		    !(*s == '$' && s[1] == '{'))
			buf_addc(b, (uint8_t)*s);
	}
	buf_addc(b, '"');
}

static void
put_list(struct import *im, const char *opt, const struct strlist *l)
{
	size_t	i;

	buf_printf(&im->text, "\t%s = {", opt);
	for (i = 0; i < l->n; i++) {
		if (i > 0)
			buf_puts(&im->text, ", ");
		put_quoted(&im->text, l->v[i]);
	}
	buf_puts(&im->text, "}\n");
}

/* A section's title may have letters, digits, blank, ".", "_" and "-". */
static void
put_title(struct import *im, const struct adtemplate *t)
{
	char	*name = xstrndup(t->cn, 64), *s;
	bool	 changed = strlen(t->cn) > 64;

	for (s = name; *s != '\0'; s++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._ -", *s) != NULL)
			continue;
		*s = '_';
		changed = true;
	}
	buf_puts(&im->text, "template ");
	put_quoted(&im->text, name);
	buf_puts(&im->text, " {\n");
	if (changed)
		note(im, "the name had characters that are not allowed here; "
		    "clients that ask by the old name are refused");
	free(name);
}

/* The arcs of a template that had none in the export are new. */
static void
put_oid(struct import *im, const struct adtemplate *t, char *oid, size_t n)
{
	if (t->oid != NULL) {
		snprintf(oid, n, "%s", t->oid);
	} else {
		snprintf(oid, n, "1.3.6.1.4.1.311.21.8.%u.%u.%u.%u.1.1",
		    randombytes_uniform(10000000),
		    randombytes_uniform(10000000),
		    randombytes_uniform(10000000),
		    randombytes_uniform(10000000));
		note(im, "the export names no OID (msPKI-Cert-Template-OID): "
		    "this one is new, clients see another template");
	}
	buf_printf(&im->text, "\toid = \"%s\"\n", oid);
}

/* Whole days where it is such; else hours, rounded up. */
static void
put_period(struct import *im, const char *opt, int64_t seconds)
{
	if (seconds % DAY == 0)
		buf_printf(&im->text, "\t%s = %lldd\n", opt,
		    (long long)(seconds / DAY));
	else
		buf_printf(&im->text, "\t%s = %lldh\n", opt,
		    (long long)((seconds + 3599) / 3600));
}

static void
put_identity(struct import *im, const struct adtemplate *t, char *oid,
    size_t n)
{
	if (t->display_name != NULL && strcmp(t->display_name, t->cn) != 0) {
		buf_puts(&im->text, "\tdisplay-name = ");
		put_quoted(&im->text, t->display_name);
		buf_addc(&im->text, '\n');
	}
	put_oid(im, t, oid, n);
	buf_printf(&im->text, "\tschema = %u\n\tversion = \"%u.%u\"\n"
	    "\tca = {\"%s\"}\n\ttype = %s\n", t->schema, t->major, t->minor,
	    im->ca, t->general_flags & GF_MACHINE_TYPE ? "machine" : "user");
	if (t->validity == 0)
		note(im, "the export names no validity: 1 year is a guess");
	put_period(im, "validity", t->validity != 0 ? t->validity :
	    365 * DAY);
	put_period(im, "renewal", t->renewal != 0 ? t->renewal : 42 * DAY);
	if (t->supersedes.n > 0)
		put_list(im, "supersedes", &t->supersedes);
}

/* Permissions are in the security descriptor, which exports leave out. */
static void
put_access(struct import *im, const struct adtemplate *t)
{
	struct strlist	nobody = { NULL, 0 };
	bool		from_request = t->name_flags &
			    NF_ENROLLEE_SUPPLIES_SUBJECT;

	strlist_add(&nobody, "nobody");
	if (im->enroll.n == 0 && im->autoenroll.n == 0)
		note(im, "say which groups may enroll (--enroll)");
	put_list(im, "enroll", im->enroll.n > 0 ? &im->enroll :
	    im->autoenroll.n > 0 ? &im->autoenroll : &nobody);
	if (!from_request && im->autoenroll.n > 0)
		put_list(im, "autoenroll", &im->autoenroll);
	else if ((t->enrollment_flags | t->general_flags) &
	    EF_AUTO_ENROLLMENT)
		note(im, from_request ? "autoenrollment is left out: Windows "
		    "skips it where names come from the request" :
		    "autoenrolls in Active Directory: say which groups "
		    "(--autoenroll)");
	strlist_free(&nobody);
}

static void
add_part(struct strlist *l, const struct adtemplate *t, uint32_t flag,
    const char *word)
{
	if (t->name_flags & flag)
		strlist_add(l, word);
}

/* [MS-CRTD] 2.28, msPKI-Certificate-Name-Flag. */
static void
put_account_names(struct import *im, const struct adtemplate *t)
{
	bool		machine = t->general_flags & GF_MACHINE_TYPE;
	struct strlist	subject = { NULL, 0 }, san = { NULL, 0 };

	if (t->name_flags & NF_DIRECTORY_PATH)
		strlist_add(&subject, "directory-path");
	else if (t->name_flags & NF_DNS_AS_CN ||
	    (t->name_flags & NF_COMMON_NAME && machine))
		strlist_add(&subject, "dns");
	else if (t->name_flags & NF_COMMON_NAME)
		strlist_add(&subject, "common-name");
	add_part(&subject, t, NF_SUBJECT_EMAIL, "email");
	add_part(&san, t, NF_SAN_DNS, "dns");
	add_part(&san, t, machine ? NF_SAN_DOMAIN : NF_SAN_UPN,
	    machine ? "domain-dns" : "upn");
	add_part(&san, t, NF_SAN_EMAIL, "email");
	if (subject.n == 0 && san.n == 0) {
		note(im, "no name flag is set that can be expressed: the "
		    "common name is a guess");
		strlist_add(&subject, machine ? "dns" : "common-name");
	}
	if (t->name_flags & 0x01800000)
		note(im, "service principal name and directory GUID are left "
		    "out of the names");
	buf_puts(&im->text, "\tnames = account\n");
	if (subject.n > 0)
		put_list(im, "subject", &subject);
	if (san.n > 0)
		put_list(im, "san", &san);
	strlist_free(&subject);
	strlist_free(&san);
}

/*
 * Names that anybody may choose are what most attacks on templates live from:
 * no section is written that would let them through unseen.
 */
static void
put_names(struct import *im, const struct adtemplate *t)
{
	if ((t->name_flags & NF_ENROLLEE_SUPPLIES_SUBJECT) == 0) {
		put_account_names(im, t);
		return;
	}
	buf_puts(&im->text, "\tnames = request\n");
	if (im->rules.n > 0)
		put_list(im, "name-rules", &im->rules);
	else if ((t->enrollment_flags & EF_PEND_ALL_REQUESTS) == 0)
		note(im, "names come from the request without approval: "
		    "here a name rule is needed (--name-rule); a manager "
		    "approves until then");
}

static void
put_keys(struct import *im, const struct adtemplate *t)
{
	unsigned	bits = t->minimal_key_size;
	const char	*alg = t->algorithm != NULL ? t->algorithm : "RSA";
	const char	*hash = t->hash != NULL ? t->hash : "SHA256";

	if (strncmp(alg, "EC", 2) == 0) {
		buf_printf(&im->text, "\tkeys = {\"ec:P-%s\"}\n",
		    strstr(alg, "384") != NULL ? "384" :
		    strstr(alg, "521") != NULL ? "521" : "256");
	} else {
		if (strcmp(alg, "RSA") != 0)
			note(im, "the key algorithm is not known here: RSA");
		if (bits < 2048) {
			note(im, "keys below 2,048 bits are not accepted");
			bits = 2048;
		}
		buf_printf(&im->text, "\tkeys = {\"rsa:%u%s\"}\n", bits,
		    bits > 4096 ? "-8192" : "");
	}
	if (t->schema >= 3) {
		if (strcmp(hash, "SHA384") != 0 &&
		    strcmp(hash, "SHA512") != 0 && strcmp(hash, "SHA256") != 0)
			note(im, "the hash was too weak: sha256");
		buf_printf(&im->text, "\thash = %s\n",
		    strcmp(hash, "SHA384") == 0 ? "sha384" :
		    strcmp(hash, "SHA512") == 0 ? "sha512" : "sha256");
	}
}

/* [MS-CRTD] 2.8, 2.9: legacy providers have a key specification, CNG none. */
static void
put_providers(struct import *im, const struct adtemplate *t)
{
	struct strlist	fallback = { NULL, 0 };
	bool		legacy = t->schema < 3;

	if (t->providers.n > 0) {
		put_list(im, "providers", &t->providers);
		legacy = strstr(t->providers.v[0], "Key Storage") == NULL &&
		    strstr(t->providers.v[0], "Platform") == NULL;
	} else {
		strlist_add(&fallback, legacy ?
		    "Microsoft Enhanced RSA and AES Cryptographic Provider" :
		    "Microsoft Software Key Storage Provider");
		note(im, "no provider was named; Windows would fall back to "
		    "1,024 bits");
		put_list(im, "providers", &fallback);
	}
	if (legacy)
		buf_printf(&im->text, "\tkey-spec = %d\n",
		    t->key_spec == 2 ? 2 : 1);
	if (t->permissions != NULL && t->schema >= 3 &&
	    strncmp(t->permissions, "D:", 2) == 0) {
		buf_puts(&im->text, "\tkey-permissions = ");
		put_quoted(&im->text, t->permissions);
		buf_addc(&im->text, '\n');
	} else if (t->permissions != NULL)
		note(im, "the permissions of the private key are left out");
	buf_printf(&im->text, "\texportable = %s\n",
	    t->private_key_flags & PF_EXPORTABLE_KEY ? "true" : "false");
	if (t->private_key_flags & PF_STRONG_PROTECTION)
		buf_puts(&im->text, "\tstrong-key-protection = true\n");
	strlist_free(&fallback);
}

static void
put_usage(struct import *im, const struct adtemplate *t)
{
	static const char *const words[] = { "digital-signature",
	    "non-repudiation", "key-encipherment", "data-encipherment",
	    "key-agreement" };
	struct strlist	usage = { NULL, 0 };
	size_t		i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (t->key_usage & 1u << i)
			strlist_add(&usage, words[i]);
	if (t->key_usage & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN))
		note(im, "certificates that sign certificates are not issued "
		    "here");
	if (usage.n == 0) {
		note(im, "no key usage was named");
		strlist_add(&usage, "digital-signature");
	}
	put_list(im, "key-usage", &usage);
	if (t->eku.n == 0)
		note(im, "without an extended key usage a certificate would "
		    "be good for everything: fill in eku");
	put_list(im, "eku", &t->eku);
	if (t->policies.n > 0)
		note(im, "issuance policies are left out: \"policies\" wants "
		    "what each grants");
	strlist_free(&usage);
}

/*
 * A section that lets through what Active Directory would not is easily
 * published as it is: somebody looks at each request until it is filled in.
 */
static void
put_approval(struct import *im, const struct adtemplate *t)
{
	bool	open_names = im->rules.n == 0 &&
		    (t->name_flags & NF_ENROLLEE_SUPPLIES_SUBJECT) != 0;
	bool	attested = (t->private_key_flags & PF_ATTEST_REQUIRED) != 0;

	if (t->ra_signatures > 0)
		note(im, "needs signatures of a registration authority in "
		    "Active Directory: say which (ra-signatures, ra-eku); a "
		    "manager approves until then");
	if (attested)
		note(im, "needs key attestation in Active Directory, which is "
		    "not known here: a manager approves instead");
	if ((t->enrollment_flags & EF_PEND_ALL_REQUESTS) != 0 || open_names ||
	    t->ra_signatures > 0 || attested)
		buf_puts(&im->text, "\tapproval = manager\n");
}

/* What asks for more than a policy of ours gives by itself is a remark. */
static void
put_issuance(struct import *im, const struct adtemplate *t)
{
	put_approval(im, t);
	if (t->enrollment_flags & EF_PREVIOUS_APPROVAL)
		buf_puts(&im->text, "\trenewal-previous-approval = true\n");
	if (t->enrollment_flags & EF_INCLUDE_SYMMETRIC_ALGORITHMS)
		buf_puts(&im->text, "\tsmime-capabilities = true\n");
	if (t->private_key_flags & PF_SAME_KEY_RENEWAL)
		buf_puts(&im->text, "\trenewal-same-key = true\n");
	if (t->schema <= 2)	/* no word for a hash there: SHA-1 */
		buf_puts(&im->text, "\trenewal-sha1 = true\n");
	if (t->private_key_flags & PF_ARCHIVE_KEY)
		note(im, "archives private keys in Active Directory");
	if (t->private_key_flags & PF_ATTEST_PREFERRED)
		note(im, "wants key attestation in Active Directory");
}

static void
put_template(struct import *im, const struct adtemplate *t, struct out *o)
{
	char	oid[256], version[32];

	buf_reset(&im->text);
	buf_reset(&im->notes);
	put_title(im, t);
	put_identity(im, t, oid, sizeof(oid));
	put_access(im, t);
	put_names(im, t);
	put_keys(im, t);
	put_providers(im, t);
	put_usage(im, t);
	put_issuance(im, t);
	buf_puts(&im->text, "}\n");
	snprintf(version, sizeof(version), "%u.%u", t->major, t->minor);
	out_add(o, t->cn);
	out_add(o, oid);
	out_add(o, version);
	out_add(o, buf_str(&im->notes));
	out_add(o, buf_str(&im->text));
}

static bool
chosen(const struct args *a, const char *cn)
{
	struct strlist	want = { NULL, 0 };
	bool		yes;

	args_list(a, "template", &want);
	yes = want.n == 0 || strlist_has(&want, cn);
	strlist_free(&want);
	return yes;
}

/* The CA of the policy in force, when it has just one. */
static int
find_ca(struct cli *c, const struct args *a, char **out, struct err *err)
{
	struct policy	*p;

	if (args_has(a, "ca")) {
		*out = xstrdup(args_get(a, "ca"));
		return 0;
	}
	if ((p = cli_policy(c, err)) == NULL)
		return -1;
	if (p->ncas == 1)
		*out = xstrdup(p->cas[0].name);
	policy_free(p);
	if (*out == NULL)
		return cli_usage(c, err, "there are several CAs: --ca NAME");
	return 0;
}

/* For people the text alone, to be looked at and put into the policy file. */
static int
print(struct cli *c, struct out *o, struct buf *all, struct err *err)
{
	if (c->json)
		return cli_print(c, o, err);
	out_free(o);
	return file_put(NULL, 0, buf_slice(all), err);
}

int
cmd_policy_import(struct cli *c, const struct args *a, struct err *err)
{
	struct adtemplates	 t = { NULL, 0 };
	struct import		 im = { 0 };
	struct buf		 file = { 0 }, all = { 0 };
	struct out		*o;
	char			*ca = NULL;
	size_t			 i;
	int			 rc = -1;

	args_list(a, "enroll", &im.enroll);
	args_list(a, "autoenroll", &im.autoenroll);
	args_list(a, "name-rule", &im.rules);
	if (find_ca(c, a, &ca, err) != 0 || file_read(a->pos[0],
	    ADTEMPLATE_FILE_MAX, &file, err) != 0 ||
	    adtemplates_parse(buf_slice(&file), &t, err) != 0)
		goto out;
	im.ca = ca;
	o = out_new(cols, OUT_TABLE);
	for (i = 0; i < t.n; i++) {
		if (!chosen(a, t.v[i].cn))
			continue;
		put_template(&im, &t.v[i], o);
		buf_printf(&all, "%s%s", all.n > 0 ? "\n" : "",
		    buf_str(&im.text));
	}
	rc = print(c, o, &all, err);
out:
	adtemplates_free(&t);
	strlist_free(&im.enroll);
	strlist_free(&im.autoenroll);
	strlist_free(&im.rules);
	buf_free(&im.text);
	buf_free(&im.notes);
	buf_free(&file);
	buf_free(&all);
	free(ca);
	return rc;
}
