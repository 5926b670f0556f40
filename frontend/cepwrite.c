/*
 * GetPoliciesResponse, element by element: [MS-XCEP] 3.1.4.1.3.  cep.c has
 * chosen the templates; here stands only how the wire says them.
 */
#include <stdlib.h>
#include <string.h>

#include "cepwrite.h"
#include "der.h"
#include "ns.h"
#include "oid.h"

/* [MS-XCEP] 3.1.4.1.3.16: groups of the OID table. */
enum group {
	GROUP_HASH = 1, GROUP_CIPHER = 2, GROUP_PUBLIC_KEY = 3,
	GROUP_EXTENSION = 6, GROUP_EKU = 7, GROUP_POLICY = 8,
	GROUP_TEMPLATE = 9
};

struct oid_entry {
	const char	*value, *name;
	enum group	 group;
};

/* One answer being written; an entry's reference is its index + 1. */
struct answer {
	struct xmlw		*w;
	const struct policy	*policy;
	const uint8_t		*allowed;
	const struct cep_view	*view;
	struct oid_entry	*oids;
	size_t			 noids;
};

static int
reference(struct answer *a, const char *value, enum group group,
    const char *name)
{
	size_t	i;

	for (i = 0; i < a->noids; i++)
		if (a->oids[i].group == group &&
		    strcmp(a->oids[i].value, value) == 0)
			return (int)i + 1;
	if (name == NULL)
		name = oid_name(value);
	a->oids = xreallocarray(a->oids, a->noids + 1, sizeof(*a->oids));
	a->oids[a->noids++] = (struct oid_entry){ value,
	    name != NULL ? name : value, group };
	return (int)a->noids;
}

/* What the template tells clients to make: "rsa" or a curve. */
struct key_type {
	const char	*advertise, *oid, *name;
	enum key_kind	 kind;
};

static const struct key_type key_types[] = {
	{ "rsa", "1.2.840.113549.1.1.1", "RSA", KEY_RSA },
	{ "P-256", "1.2.840.10045.3.1.7", "ECDSA_P256", KEY_P256 },
	{ "P-384", "1.3.132.0.34", "ECDSA_P384", KEY_P384 },
	{ "P-521", "1.3.132.0.35", "ECDSA_P521", KEY_P521 },
};
#define NKEY_TYPES (sizeof(key_types) / sizeof(key_types[0]))

static size_t
key_type(const struct template *t)
{
	size_t	i;

	for (i = 0; i < NKEY_TYPES; i++)
		if (strcmp(key_types[i].advertise, t->advertise) == 0)
			return i;
	return 0;
}

static const char *
hash_oid(const char *name)
{
	static const struct {
		const char	*name, *oid;
	} hashes[] = {
		{ "sha256", "2.16.840.1.101.3.4.2.1" },
		{ "sha384", "2.16.840.1.101.3.4.2.2" },
		{ "sha512", "2.16.840.1.101.3.4.2.3" },
	};
	size_t	i;

	for (i = 0; name != NULL && i < 3; i++)
		if (strcmp(hashes[i].name, name) == 0)
			return hashes[i].oid;
	return NULL;
}

static void
put_list(struct xmlw *w, const char *name, const char *item,
    const struct strlist *l)
{
	size_t	i;

	if (l->n == 0) {	/* an empty collection is invalid */
		xmlw_nil(w, name);
		return;
	}
	xmlw_open(w, name);
	for (i = 0; i < l->n; i++)
		xmlw_leaf_str(w, item, l->v[i]);
	xmlw_close(w);
}

static void
put_num_or_nil(struct xmlw *w, const char *name, int64_t value)
{
	if (value != 0)
		xmlw_leaf_num(w, name, value);
	else
		xmlw_nil(w, name);
}

/* [MS-XCEP] 3.1.4.1.3.20; the algorithm is for schema 3 and 4 only. */
static void
put_key_attributes(struct answer *a, const struct template *t)
{
	struct xmlw	*w = a->w;
	size_t		 k = key_type(t);

	xmlw_open(w, "privateKeyAttributes");
	xmlw_leaf_num(w, "minimalKeyLength", t->minimal_key_length);
	put_num_or_nil(w, "keySpec", t->key_spec);
	put_num_or_nil(w, "keyUsageProperty", t->key_usage_property);
	if (t->key_permissions != NULL)
		xmlw_leaf_str(w, "permissions", t->key_permissions);
	else
		xmlw_nil(w, "permissions");
	put_num_or_nil(w, "algorithmOIDReference", t->schema < 3 ? 0 :
	    reference(a, key_types[k].oid, GROUP_PUBLIC_KEY,
	    key_types[k].name));
	put_list(w, "cryptoProviders", "provider", &t->providers);
	xmlw_close(w);
}

static void
put_extension(struct answer *a, const char *oid, bool critical,
    struct buf *value)
{
	xmlw_open(a->w, "extension");
	xmlw_leaf_num(a->w, "oIDReference",
	    reference(a, oid, GROUP_EXTENSION, NULL));
	xmlw_leaf_bool(a->w, "critical", critical);
	xmlw_open(a->w, "value");
	xmlw_base64(a->w, buf_slice(value));
	xmlw_close(a->w);
	xmlw_close(a->w);
	buf_reset(value);
}

/* A name of schema 1 is a bare BMPString, as real clients send it. */
static void
der_template_name(const struct template *t, struct buf *b)
{
	size_t		 m = der_open(b, DER_BMP);
	const char	*p;

	for (p = t->cn; *p != '\0'; p++) {
		buf_addc(b, 0);
		buf_addc(b, (uint8_t)*p);
	}
	der_close(b, m);
}

/* [MS-WCCE] 2.2.2.7.7.2 */
static void
der_template_oid(const struct template *t, struct buf *b)
{
	size_t	m = der_open(b, DER_SEQ);

	der_put_oid(b, buf_slice(&t->oid_der));
	der_put_uint(b, t->major);
	der_put_uint(b, t->minor);
	der_close(b, m);
}

static void
der_key_usage(unsigned usage, struct buf *b)
{
	uint8_t		 bits[2] = { 0, 0 };
	unsigned	 i, last = 0;
	size_t		 m;

	for (i = 0; i < 9; i++)
		if (usage & 1u << i) {
			bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
			last = i;
		}
	m = der_open(b, DER_BIT_STRING);
	buf_addc(b, (uint8_t)(7 - last % 8));	/* unused bits */
	buf_add(b, bits, last / 8 + 1);
	der_close(b, m);
}

/* KeyPurposeIds; with wrap each is a PolicyInformation of its own. */
static void
der_ekus(const struct strlist *eku, bool wrap, struct buf *b)
{
	struct buf	oid = { 0 };
	struct err	ignored = ERR_INIT;
	size_t		i, m, inner = 0;

	m = der_open(b, DER_SEQ);
	for (i = 0; i < eku->n; i++) {
		buf_reset(&oid);
		if (oid_parse(eku->v[i], &oid, &ignored) == -1)
			abort();	/* the policy was linted */
		if (wrap)
			inner = der_open(b, DER_SEQ);
		der_put_oid(b, buf_slice(&oid));
		if (wrap)
			der_close(b, inner);
	}
	der_close(b, m);
	buf_free(&oid);
}

/*
 * The client copies these into its request; that is how the template's name
 * gets to the CES.
 */
static void
put_extensions(struct answer *a, const struct template *t)
{
	struct buf	v = { 0 };
	size_t		i;

	xmlw_open(a->w, "extensions");
	if (t->schema == 1) {
		der_template_name(t, &v);
		put_extension(a, "1.3.6.1.4.1.311.20.2", false, &v);
	} else {
		der_template_oid(t, &v);
		put_extension(a, "1.3.6.1.4.1.311.21.7", false, &v);
	}
	der_ekus(&t->eku, false, &v);
	put_extension(a, "2.5.29.37", template_stamps_time(t), &v);
	der_key_usage(template_key_usage(t, key_types[key_type(t)].kind), &v);
	put_extension(a, "2.5.29.15", t->key_usage_critical, &v);
	if (t->schema >= 2 && t->application_policies) {
		der_ekus(&t->eku, true, &v);
		put_extension(a, "1.3.6.1.4.1.311.21.10", false, &v);
	}
	xmlw_close(a->w);
	buf_free(&v);
	/* Nothing refers to these: they give the client names to show. */
	for (i = 0; i < t->eku.n; i++)
		(void)reference(a, t->eku.v[i], GROUP_EKU, NULL);
}

static void
put_validity(struct xmlw *w, const struct template *t, uint8_t allowed)
{
	xmlw_open(w, "certificateValidity");
	xmlw_leaf_num(w, "validityPeriodSeconds", t->validity);
	xmlw_leaf_num(w, "renewalPeriodSeconds", t->renewal);
	xmlw_close(w);
	xmlw_open(w, "permission");
	xmlw_leaf_bool(w, "enroll", allowed & CEP_ENROLL);
	xmlw_leaf_bool(w, "autoEnroll", allowed & CEP_AUTOENROLL);
	xmlw_close(w);
}

static void
put_references(struct answer *a, const char *name, enum group group,
    const struct strlist *l)
{
	size_t	i;

	if (l->n == 0) {
		xmlw_nil(a->w, name);
		return;
	}
	xmlw_open(a->w, name);
	for (i = 0; i < l->n; i++)
		xmlw_leaf_num(a->w, "oIDReference",
		    reference(a, l->v[i], group, NULL));
	xmlw_close(a->w);
}

/* [MS-XCEP] 3.1.4.1.3.21 */
static void
put_signatures(struct answer *a, const struct template *t)
{
	if (t->ra_signatures == 0) {
		xmlw_nil(a->w, "rARequirements");
		return;
	}
	xmlw_open(a->w, "rARequirements");
	xmlw_leaf_num(a->w, "rASignatures", t->ra_signatures);
	put_references(a, "rAEKUs", GROUP_EKU, &t->ra_eku);
	put_references(a, "rAPolicies", GROUP_POLICY, &t->ra_policies);
	xmlw_close(a->w);
}

/* [MS-XCEP] 3.1.4.1.3.15; the client's own default would be 3DES. */
static void
put_archival(struct answer *a, const struct template *t)
{
	if (!t->archive_key) {
		xmlw_nil(a->w, "keyArchivalAttributes");
		return;
	}
	xmlw_open(a->w, "keyArchivalAttributes");
	xmlw_leaf_num(a->w, "symmetricAlgorithmOIDReference", reference(a,
	    "2.16.840.1.101.3.4.1.42", GROUP_CIPHER, "aes256"));
	xmlw_leaf_num(a->w, "symmetricAlgorithmKeyLength", 256);
	xmlw_close(a->w);
}

static void
put_flags(struct answer *a, const struct template *t)
{
	struct xmlw	*w = a->w;
	const char	*hash = t->schema < 3 ? NULL : hash_oid(t->hash);

	/* Unsigned: a minus sign costs the client the whole policy. */
	xmlw_leaf_num(w, "privateKeyFlags", t->private_key_flags);
	xmlw_leaf_num(w, "subjectNameFlags", t->name_flags);
	xmlw_leaf_num(w, "enrollmentFlags", t->enrollment_flags);
	xmlw_leaf_num(w, "generalFlags", t->general_flags);
	put_num_or_nil(w, "hashAlgorithmOIDReference", hash == NULL ? 0 :
	    reference(a, hash, GROUP_HASH, NULL));
	put_signatures(a, t);
	put_archival(a, t);
}

/* [MS-XCEP] 3.1.4.1.3.1 */
static void
put_attributes(struct answer *a, const struct template *t, uint8_t allowed)
{
	struct xmlw	*w = a->w;

	xmlw_open(w, "attributes");
	xmlw_leaf_str(w, "commonName", t->cn);
	xmlw_leaf_num(w, "policySchema", t->schema);
	put_validity(w, t, allowed);
	put_key_attributes(a, t);
	xmlw_open(w, "revision");
	xmlw_leaf_num(w, "majorRevision", t->major);
	xmlw_leaf_num(w, "minorRevision", t->minor);
	xmlw_close(w);
	put_list(w, "supersededPolicies", "commonName", &t->supersedes);
	put_flags(a, t);
	put_extensions(a, t);
	xmlw_close(w);
}

static bool
usable(const struct cep_view *v, const struct template *t,
    const struct ca_uri *u)
{
	switch (u->method) {
	case AUTH_PASSWORD:
		return v->password;
	case AUTH_ANONYMOUS:
		return u->renewal_only && t->renew_anonymous;
	case AUTH_CERTIFICATE:
		return v->method == AUTH_CERTIFICATE || u->renewal_only;
	default:
		return v->method == u->method;
	}
}

bool
cep_reachable(const struct cep_view *v, const struct template *t,
    const struct policy_ca *ca)
{
	size_t	i;

	if (!template_offered_by(t, ca->name))
		return false;
	for (i = 0; i < ca->nuris; i++)
		if (usable(v, t, &ca->uris[i]))
			return true;
	return false;
}

/* [MS-XCEP] 3.1.4.1.3.7; a CA's reference is its index in the policy. */
static void
put_policy(struct answer *a, const struct template *t, uint8_t allowed)
{
	size_t	i;

	xmlw_open(a->w, "policy");
	xmlw_leaf_num(a->w, "policyOIDReference",
	    reference(a, t->oid, GROUP_TEMPLATE, t->display_name));
	xmlw_open(a->w, "cAs");
	for (i = 0; i < a->policy->ncas; i++)
		if (cep_reachable(a->view, t, &a->policy->cas[i]))
			xmlw_leaf_num(a->w, "cAReference", (int64_t)i);
	xmlw_close(a->w);
	put_attributes(a, t, allowed);
	xmlw_close(a->w);
}

static bool
offered(const struct answer *a, size_t i)
{
	return a->allowed != NULL && a->allowed[i] != 0;
}

static bool
anything_offered(const struct answer *a)
{
	size_t	i;

	for (i = 0; i < a->policy->ntemplates; i++)
		if (offered(a, i))
			return true;
	return false;
}

static void
put_response(struct answer *a)
{
	const struct policy	*p = a->policy;
	struct xmlw		*w = a->w;
	size_t			 i;

	xmlw_open(w, "response");
	xmlw_leaf_str(w, "policyID", p->id);
	xmlw_leaf_str(w, "policyFriendlyName",
	    p->friendly_name != NULL ? p->friendly_name : "");
	put_num_or_nil(w, "nextUpdateHours", p->next_update_hours);
	if (a->allowed == NULL)
		xmlw_leaf_bool(w, "policiesNotChanged", true);
	else
		xmlw_nil(w, "policiesNotChanged");
	if (!anything_offered(a))
		xmlw_nil(w, "policies");
	else {
		xmlw_open(w, "policies");
		for (i = 0; i < p->ntemplates; i++)
			if (offered(a, i))
				put_policy(a, &p->templates[i],
				    a->allowed[i]);
		xmlw_close(w);
	}
	xmlw_close(w);
}

/* Is the address good for a template that is offered? */
static bool
uri_needed(const struct answer *a, const struct policy_ca *ca,
    const struct ca_uri *u)
{
	const struct template	*t;
	size_t			 i;

	for (i = 0; i < a->policy->ntemplates; i++) {
		t = &a->policy->templates[i];
		if (offered(a, i) && template_offered_by(t, ca->name) &&
		    usable(a->view, t, u))
			return true;
	}
	return false;
}

/* [MS-XCEP] 3.1.4.1.3.2 and 3.1.4.1.3.5 */
static void
put_ca(const struct answer *a, const struct policy_ca *ca, size_t ref)
{
	struct xmlw	*w = a->w;
	size_t		 i;

	xmlw_open(w, "cA");
	xmlw_open(w, "uris");
	for (i = 0; i < ca->nuris; i++) {
		if (!uri_needed(a, ca, &ca->uris[i]))
			continue;
		xmlw_open(w, "cAURI");
		xmlw_leaf_num(w, "clientAuthentication", ca->uris[i].method);
		xmlw_leaf_str(w, "uri", ca->uris[i].uri);
		xmlw_leaf_num(w, "priority", ca->uris[i].priority);
		xmlw_leaf_bool(w, "renewalOnly", ca->uris[i].renewal_only);
		xmlw_close(w);
	}
	xmlw_close(w);
	xmlw_open(w, "certificate");
	xmlw_base64(w, buf_slice(&ca->cert));
	xmlw_close(w);
	xmlw_leaf_bool(w, "enrollPermission", true);
	xmlw_leaf_num(w, "cAReferenceID", (int64_t)ref);
	xmlw_close(w);
}

/* Only CAs that an offered template refers to. */
static bool
ca_needed(const struct answer *a, const struct policy_ca *ca)
{
	size_t	i;

	for (i = 0; i < a->policy->ntemplates; i++)
		if (offered(a, i) &&
		    cep_reachable(a->view, &a->policy->templates[i], ca))
			return true;
	return false;
}

static void
put_cas(struct answer *a)
{
	size_t	i;

	if (!anything_offered(a)) {
		xmlw_nil(a->w, "cAs");
		return;
	}
	xmlw_open(a->w, "cAs");
	for (i = 0; i < a->policy->ncas; i++)
		if (ca_needed(a, &a->policy->cas[i]))
			put_ca(a, &a->policy->cas[i], i);
	xmlw_close(a->w);
}

static void
put_oids(struct answer *a)
{
	size_t	i;

	if (a->noids == 0) {
		xmlw_nil(a->w, "oIDs");
		return;
	}
	xmlw_open(a->w, "oIDs");
	for (i = 0; i < a->noids; i++) {
		xmlw_open(a->w, "oID");
		xmlw_leaf_str(a->w, "value", a->oids[i].value);
		xmlw_leaf_num(a->w, "group", a->oids[i].group);
		xmlw_leaf_num(a->w, "oIDReferenceID", (int64_t)i + 1);
		xmlw_leaf_str(a->w, "defaultName", a->oids[i].name);
		xmlw_close(a->w);
	}
	xmlw_close(a->w);
}

void
cep_write(const struct cep_view *view, struct xmlw *w)
{
	struct answer	a = { .w = w, .policy = view->policy,
			    .allowed = view->allowed, .view = view };

	xmlw_open(w, "GetPoliciesResponse");
	xmlw_attr_str(w, "xmlns", NS_XCEP);
	xmlw_attr_str(w, "xmlns:xsi", NS_XSI);
	put_response(&a);
	put_cas(&a);
	put_oids(&a);
	xmlw_close(w);
	free(a.oids);
}
