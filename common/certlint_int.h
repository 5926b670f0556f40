/* What the files of certlint share. */
#ifndef CERTLINT_INT_H
#define CERTLINT_INT_H

#include "certlint.h"
#include "der.h"

#define LINT_ATTRS	32
#define LINT_SANS	128
#define LINT_OIDS	64

enum lint_ext {
	LX_SKI, LX_KU, LX_EKU, LX_SAN, LX_AKI, LX_CDP, LX_AIA, LX_POLICIES,
	LX_TEMPLATE, LX_TEMPLATE_NAME, LX_APP, LX_SID, LX_NOCHECK,
	LX_FRESHEST, LX_BASIC, LX_SMIME, LX_N, LX_OTHER = LX_N
};

struct lint_attr {
	struct slice	 oid, value;
	int		 tag;
	unsigned	 rdn;
};
struct lint_san {
	int		 tag;
	struct slice	 content;
};
struct lint_time {
	int		 tag;
	struct slice	 text;
	int64_t		 at;		/* unix seconds; 0: not good */
	bool		 good;		/* in the form of 4.1.2.5 */
};

struct certlint {
	const struct certlint_ask *ask;
	bool		 formed;	/* everything below could be read */
	bool		 der;		/* strict, [X.690] 10, 11 */
	uint64_t	 version;
	bool		 unique_ids;
	struct slice	 serial, sigalg, issuer, subject, spki;
	struct lint_time before, after;
	struct lint_attr attr[LINT_ATTRS];
	size_t		 nattr, nrdn;
	bool		 empty_rdn;
	/* The key. */
	struct slice	 key_oid, key_params, key_bits, modulus, exponent;
	unsigned	 unused;	/* bits */
	/* Extensions. */
	size_t		 next;
	bool		 has_exts, repeated, false_written, unknown,
			 unknown_critical;
	bool		 has[LX_N], critical[LX_N];
	struct slice	 ext[LX_N];
	bool		 exts_formed;	/* their values, too */
	unsigned	 usage;		/* KeyUsage, bit 0: digitalSignature */
	bool		 usage_minimal;
	struct slice	 eku[LINT_OIDS], app[LINT_OIDS], policy[LINT_OIDS];
	size_t		 neku, napp, npolicy;
	bool		 policy_qualified;
	struct lint_san	 san[LINT_SANS];
	size_t		 nsan;
	struct slice	 ski, aki;
	bool		 aki_issuer, aki_serial;
	struct slice	 uri[LINT_OIDS];	/* of CDP and AIA */
	size_t		 nuri, ncdp, naia;
	bool		 odd_point, odd_access;	/* no URI; another method */
	bool		 ca;		/* basicConstraints */
	bool		 path_len;
};

void	 lint_parse(struct certlint *);

/* Predicates about names: true when the rule is broken. */
bool	 lint_empty_rdn(const struct certlint *);
bool	 lint_empty_value(const struct certlint *);
bool	 lint_string_type(const struct certlint *);
bool	 lint_printable(const struct certlint *);
bool	 lint_utf8(const struct certlint *);
bool	 lint_ia5(const struct certlint *);
bool	 lint_control(const struct certlint *);
bool	 lint_country(const struct certlint *);
bool	 lint_bounds(const struct certlint *);
bool	 lint_repeated_attr(const struct certlint *);
bool	 lint_rdn_count(const struct certlint *);
bool	 lint_san_empty(const struct certlint *);
bool	 lint_san_kinds(const struct certlint *);
bool	 lint_san_ascii(const struct certlint *);
bool	 lint_san_dns(const struct certlint *);
bool	 lint_san_email(const struct certlint *);
bool	 lint_san_uri(const struct certlint *);
bool	 lint_san_ip(const struct certlint *);
bool	 lint_san_other(const struct certlint *);
bool	 lint_san_directory(const struct certlint *);
bool	 lint_san_twice(const struct certlint *);
bool	 lint_uri_form(const struct certlint *);

#endif
