/*
 * The policy: CAs, templates, name rules, who may enroll.  One text file
 * (see countersign-policy.conf(5)), parsed and linted by the same code in
 * workers, signers and the command line.  A loaded policy is immutable.
 */
#ifndef POLICY_H
#define POLICY_H

#include "buf.h"
#include "err.h"
#include "pubkey.h"
#include "strlist.h"

/* [MS-XCEP] 3.1.4.1.3.5 clientAuthentication values. */
enum auth_method {
	AUTH_ANONYMOUS = 1,
	AUTH_KERBEROS = 2,
	AUTH_PASSWORD = 4,
	AUTH_CERTIFICATE = 8,
	AUTH_OPERATOR = 16	/* internal: the command line, for an account */
};
const char	*auth_method_name(enum auth_method);	/* "password", ... */

/* Flag bits of [MS-CRTD]; only those we set. */
#define GF_MACHINE_TYPE			0x00000040u
#define GF_ADD_TEMPLATE_NAME		0x00000200u
#define EF_INCLUDE_SYMMETRIC_ALGORITHMS	0x00000001u
#define EF_PEND_ALL_REQUESTS		0x00000002u
#define EF_AUTO_ENROLLMENT		0x00000020u
#define EF_PREVIOUS_APPROVAL		0x00000040u
#define EF_KEY_BASED_RENEWAL		0x00010000u
#define PF_ARCHIVE_KEY			0x00000001u
#define PF_EXPORTABLE_KEY		0x00000010u
#define PF_STRONG_PROTECTION		0x00000020u
#define PF_SAME_KEY_RENEWAL		0x00000080u
#define NF_ENROLLEE_SUPPLIES_SUBJECT	0x00000001u
#define NF_OLD_CERT_SUPPLIES		0x00000008u
#define NF_SAN_DOMAIN			0x00400000u
#define NF_SAN_UPN			0x02000000u
#define NF_SAN_EMAIL			0x04000000u
#define NF_SAN_DNS			0x08000000u
#define NF_DNS_AS_CN			0x10000000u
#define NF_SUBJECT_EMAIL		0x20000000u
#define NF_COMMON_NAME			0x40000000u
#define NF_DIRECTORY_PATH		0x80000000u

struct ca_uri {				/* [MS-XCEP] 3.1.4.1.3.5 CAURI */
	enum auth_method method;
	char		*uri;
	unsigned	 priority;
	bool		 renewal_only;
};

/*
 * A CA has one or more keys, each with a certificate: the first bears the CA's
 * name, the next ones have names of their own.  One is in use; the others
 * sign only their revocation lists and OCSP answers.
 */
struct policy_key {
	char		*name;
	struct buf	 cert;		/* DER */
	struct evp_pkey_st *pub;	/* of cert, or NULL */
	int64_t		 not_after;	/* of cert */
};

struct policy_ca {
	struct policy_key *keys;	/* attached; empty until then */
	size_t		 nkeys;
	struct buf	*also;		/* DER: certificates answers carry */
	size_t		 nalso;
	struct buf	*recovery;	/* DER: who can open archived keys */
	size_t		 nrecovery;
	char		*name;
	struct ca_uri	*uris;
	size_t		 nuris;
	struct strlist	 cdp;		/* CRL URLs put into certificates */
	struct strlist	 cdp_delta;	/* of delta lists */
	struct strlist	 aia;		/* caIssuers URLs; in all "{key}"
					   stands for the key's name */
	struct strlist	 ocsp;
	int64_t		 crl_validity;	/* seconds a revocation list lasts */
	int64_t		 crl_overlap;	/* the next one comes so much before */
	int64_t		 crl_delta;	/* seconds a delta lasts; 0: none */
	int64_t		 ocsp_validity;	/* seconds an OCSP answer lasts */
	bool		 ocsp_nonce;	/* repeat the client's nonce */
	const char	*key;		/* the one in use, or NULL; lent */
	struct buf	 cert;		/* its; empty until attached */
	int64_t		 not_after;	/* of cert */
	struct NAME_CONSTRAINTS_st *constraints;	/* of cert, or NULL */
	unsigned	 line;		/* in the file, for messages */
};

/* What Windows calls a realm: "CORP\alice" is alice@corp.example.org. */
struct domain {
	char		*name, *realm;
	unsigned	 line;		/* in the file, for messages */
};

/*
 * Who may enroll on behalf of whom.  A rule's deny-targets and agents are
 * targets of no agent, whatever other rules say.
 */
struct agent_rule {
	char		*name;
	struct strlist	 agents;	/* groups or accounts */
	struct strlist	 templates;
	struct strlist	 targets;	/* groups */
	struct strlist	 deny_targets;	/* groups or accounts */
	unsigned	 line;		/* in the file, for messages */
};

/*
 * What an enrollee may ask for where a template takes names from the
 * request.  A rule applies to members of its groups; every name asked for
 * must be allowed by some rule that applies.
 */
struct name_rule {
	char		*name;
	struct strlist	 groups;
	struct strlist	 dns;		/* "host.example", "*.example": any
					   name below; ".example" is refused */
	bool		 wildcard;	/* may ask for "*.x", x being allowed */
	struct strlist	 email;		/* "@example.com" or whole address */
	struct strlist	 upn;		/* "@example.com" or whole UPN */
	struct strlist	 ip;		/* "10.0.0.0/8", "2001:db8::/32" */
	struct strlist	 uri;		/* whole URI */
	struct strlist	 rdn;		/* "O=Example", "OU=*": subject parts
					   besides CN; CN must be a name that
					   dns, email or upn allow, or match
					   cn */
	struct strlist	 cn;		/* further CN values; "*" = any that
					   looks like no name of the above */
	unsigned	 line;		/* in the file, for messages */
};

/*
 * Key usage, [RFC5280] 4.2.1.3: bit n of the BIT STRING is 1 << n.  Not the
 * KU_ values of OpenSSL, which count from the other end of the octet.
 */
enum key_usage {
	USAGE_DIGITAL_SIGNATURE = 0x001,
	USAGE_NON_REPUDIATION = 0x002,
	USAGE_KEY_ENCIPHERMENT = 0x004,
	USAGE_DATA_ENCIPHERMENT = 0x008,
	USAGE_KEY_AGREEMENT = 0x010,
	USAGE_KEY_CERT_SIGN = 0x020,	/* never in a template */
	USAGE_CRL_SIGN = 0x040,		/* never in a template */
	USAGE_ENCIPHER_ONLY = 0x080,
	USAGE_DECIPHER_ONLY = 0x100
};

enum key_choice { ALLOW_P256 = 1, ALLOW_P384 = 2, ALLOW_P521 = 4 };

/* Which account data make the names (names = account). */
enum account_name {
	NAME_CN_COMMON = 0x01,		/* CN = the account's common name */
	NAME_CN_DNS = 0x02,		/* CN = its DNS name */
	NAME_DIRECTORY_PATH = 0x04,	/* subject = its whole DN */
	NAME_SUBJECT_EMAIL = 0x08,	/* E= in the subject */
	NAME_SAN_DNS = 0x10,
	NAME_SAN_UPN = 0x20,
	NAME_SAN_EMAIL = 0x40,
	NAME_SAN_DOMAIN = 0x80		/* its domain's DNS name */
};

struct template {
	char		*cn;		/* commonName on the wire */
	char		*display_name;
	char		*oid;		/* dotted */
	struct buf	 oid_der;	/* content octets */
	unsigned	 schema;	/* 1..4 */
	uint32_t	 major, minor;
	struct strlist	 cas;		/* names of the CAs that offer it */
	bool		 machine;
	int64_t		 validity;	/* seconds */
	int64_t		 renewal;	/* seconds before the end */
	struct strlist	 enroll;	/* groups */
	struct strlist	 autoenroll;	/* groups; implies enroll */

	bool		 names_from_request;
	unsigned	 account_names;	/* enum account_name bits */
	unsigned	 optional_names; /* those that an account may lack */
	struct strlist	 name_rules;	/* names of rules; request names only */

	unsigned	 rsa_min;	/* bits; 0 = RSA not allowed */
	unsigned	 rsa_max;	/* default 4096 */
	unsigned	 curves;	/* enum key_choice bits */
	char		*advertise;	/* "rsa" or a curve: what CEP tells */
	unsigned	 minimal_key_length;	/* what CEP tells, bits */
	struct strlist	 providers;
	int		 key_spec;	/* 1, 2, or 0 = nil on the wire */
	uint32_t	 key_usage_property;	/* 0 = nil on the wire */
	char		*hash;		/* "sha256" ...; schema 3 and 4 */
	char		*key_permissions;	/* SDDL, or NULL: the client's
						   own */
	bool		 exportable;
	bool		 strong_protection;

	unsigned	 key_usage;	/* enum key_usage bits; what a
					   certificate gets is
					   template_key_usage */
	bool		 key_usage_critical;
	struct strlist	 eku;		/* dotted, never empty */
	struct strlist	 policies;	/* certificatePolicies, dotted */
	bool		 application_policies;	/* emit 311.21.10 */
	bool		 smime_capabilities;

	bool		 approval;	/* a manager must approve */
	struct strlist	 approval_groups; /* only requesters in these wait;
					   empty = all */
	struct strlist	 approvers;	/* groups that may approve */
	int64_t		 pending_expires;	/* seconds */

	unsigned	 ra_signatures;	/* of registration authorities */
	struct strlist	 ra_eku;	/* dotted; in some signer's ... */
	struct strlist	 ra_policies;	/* ... certificate, each */
	bool		 archive_key;	/* the private key comes along */

	bool		 renew_previous_approval;
	bool		 renew_same_key;	/* same key required */
	bool		 renew_key_based;
	bool		 renew_anonymous;
	bool		 renew_sha1;	/* of who has logged on */
	int64_t		 renew_grace;	/* seconds after the end, default 0 */
	unsigned	 renew_max;	/* renewals in a chain, 0 = no limit */
	int64_t		 renew_max_age;	/* seconds of a chain, 0 = no limit */
	unsigned	 rate;		/* requests a minute, 0 = no limit */
	struct strlist	 supersedes;
	struct strlist	 overrides;	/* linter rules switched off: whoever
					   loads the policy logs each */
	unsigned	 line;		/* in the file, for messages */

	uint32_t	 general_flags, enrollment_flags, private_key_flags,
			 name_flags;	/* computed when loaded */
};

/*
 * Another CA.  Its certificates log on, each as the account that has this UPN,
 * this DNS name, or this account name, if it is in these groups; or who logs on
 * otherwise may renew with them, see foreign.h; or both.
 */
enum cert_map {
	MAP_SAN_UPN = 1, MAP_SAN_DNS, MAP_SUBJECT_CN,
	MAP_SID			/* of no CA: of Kerberos tickets */
};

struct trusted_ca {
	char		*name;
	struct buf	 cert;		/* DER */
	enum cert_map	 map;		/* 0: nobody logs on with them */
	struct strlist	 groups;
	bool		 renewals;
	struct evp_pkey_st *pub;	/* of cert, with renewals; or NULL */
	unsigned	 line;		/* in the file, for messages */
};

struct x509_store_st;

struct policy {
	struct buf	 text;		/* the file as published */
	uint8_t		 sha256[32];	/* of text */
	uint64_t	 version;	/* of the publication; 0 = a file */
	char		 id[40];	/* "{UPPER-GUID}"; "" until attached */
	int64_t		 published;	/* unix seconds; 0 = a file */
	char		*friendly_name;
	unsigned	 next_update_hours;
	struct policy_ca *cas;
	size_t		 ncas;
	struct template	*templates;
	size_t		 ntemplates;
	struct name_rule *rules;
	size_t		 nrules;
	struct agent_rule *agents;
	size_t		 nagents;
	struct domain	*domains;
	size_t		 ndomains;
	struct trusted_ca *trusted;
	size_t		 ntrusted;
	struct x509_store_st *trust;	/* who logs on: certificates of cas and
					   of trusted with map; or NULL */
};

/*
 * Parse and lint.  A refusal carries "line N: template X: reason" in err
 * (ERR_MALFORMED).  One that is to be published, policy_parse_new, may have
 * nothing in it either that is useless and harmless, or that an earlier version
 * let pass; one that is in force may.
 * policy_lint_all calls report for every finding on a new one instead of stopping
 * at the first and returns their number.
 */
struct policy	*policy_parse(struct slice text, struct err *);
struct policy	*policy_parse_new(struct slice text, struct err *);
void		 policy_free(struct policy *);
int		 policy_lint_all(struct slice text,
		    void (*report)(void *, unsigned line, const char *text),
		    void *);

/*
 * account_canonical of what a client typed, behind whose "DOMAIN\" the realm
 * is looked for that the policy has for it.  Returns and errors as there.
 */
int	 policy_account(const struct policy *, const char *typed,
	    char out[129], struct err *);

struct ca_key {
	const char	*ca, *name;
	struct slice	 cert;
	bool		 in_use;
};
/*
 * Before the policy is shared: a key of a CA, with the certificate that CEP
 * shows when it is in use.  Refuses an unknown CA name, what is no CA
 * certificate, and a template whose validity is beyond the certificate,
 * counted from policy->published (set it first; a policy in force must not
 * stop loading because time goes by) or, for a file, from now.  The certificate
 * is copied.  ERR_MALFORMED, or ERR_INTERNAL for what OpenSSL does not read.
 */
int	 policy_attach_key(struct policy *, const struct ca_key *,
	    struct err *);
/*
 * Would the policy still load with this certificate in use for the CA?  It was
 * published when another one was.  ERR_MALFORMED when it would not,
 * ERR_INTERNAL for what is no certificate.
 */
int	 policy_key_fits(const struct policy *, const char *ca,
	    struct slice cert, struct err *);
/*
 * A certificate that answers of this CA carry besides the chain.  One that has
 * ended, and one more than 16, is left out: clients do without.  ERR_MALFORMED:
 * no such CA, or no CA's certificate; ERR_INTERNAL for what is none at all.
 */
int	 policy_attach_also(struct policy *, const char *ca,
	    struct slice cert, struct err *);
/* Has every CA a certificate?  ERR_UNAVAILABLE names one that has none. */
int	 policy_ready(const struct policy *, struct err *);
/* May this be said of a CA whose key is behind an air gap?  ERR_INTERNAL. */
int	 policy_apart(const struct policy_ca *, struct err *);

const struct policy_ca	*policy_ca_find(const struct policy *, const char *);
/* The CA that has this key, and the key; NULL when there is none. */
const struct policy_ca	*policy_key_find(const struct policy *,
			    const char *name, const struct policy_key **key);
/* Is this certificate that of a key of ours? */
bool			 policy_is_ours(const struct policy *, struct slice);
/* Does the key belong to that CA? */
bool			 policy_ca_has(const struct policy *, const char *ca,
			    const char *key);
/* A cdp or aia of the policy for this key; appended. */
void			 policy_url(const char *pattern, const char *key,
			    struct buf *);
const struct template	*policy_template_by_name(const struct policy *,
			    const char *);	/* case-insensitive */
const struct template	*policy_template_by_oid(const struct policy *,
			    const char *dotted);
/* Dotted OID of a key purpose, given so or as the policy's word; or NULL. */
const char	*policy_eku(const char *);
/* Does this CA offer this template? */
bool	 template_offered_by(const struct template *, const char *ca);
/* [RFC3161] 2.3: of an authority for time stamps, and of nothing else? */
bool	 template_stamps_time(const struct template *);
/* Is one of these EKUs good for authentication (ESC1's list)? */
bool	 template_authenticates(const struct template *);
/*
 * Key usage of a certificate for this kind of key: an EC key cannot encipher
 * keys or data and an RSA key cannot agree on one ([RFC5480] 3, [RFC3279]
 * 2.3.1), so these bits are left out; enum key_usage bits, never 0 for a key
 * that the template allows.
 */
unsigned template_key_usage(const struct template *, enum key_kind);

#endif
