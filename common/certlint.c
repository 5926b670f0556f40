/*
 * What is wrong with a certificate: the rules and their predicates.  The last
 * look at each before its intent is written (tbs.c), and "cert check".
 */
#include <string.h>

#include <openssl/sha.h>

#include "certlint_int.h"
#include "hresult.h"
#include "oid.h"

#define YEAR_2050	INT64_C(2524608000)
#define TBS_MAX		(16 * 1024)
#define SERIAL_BITS	64		/* of a random generator */

enum {				/* KeyUsage, [RFC5280] 4.2.1.3 */
	KU_SIGNATURE = 1 << 0, KU_NONREPUDIATION = 1 << 1,
	KU_KEY_ENCIPHERMENT = 1 << 2, KU_DATA_ENCIPHERMENT = 1 << 3,
	KU_AGREEMENT = 1 << 4, KU_CERT_SIGN = 1 << 5, KU_CRL_SIGN = 1 << 6,
	KU_ENCIPHER_ONLY = 1 << 7, KU_DECIPHER_ONLY = 1 << 8
};

/* 1.3.6.1.5.5.7.3.1 and .2; 2.5.29.37.0; 1.3.6.1.4.1.311.10.12.1 */
static const uint8_t server_auth[] = { 0x2b, 6, 1, 5, 5, 7, 3, 1 };
static const uint8_t client_auth[] = { 0x2b, 6, 1, 5, 5, 7, 3, 2 };
static const uint8_t any_eku[] = { 0x55, 0x1d, 0x25, 0 };
static const uint8_t any_app[] = { 0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 12, 1 };
static const uint8_t any_policy[] = { 0x55, 0x1d, 0x20, 0 };
#define S(a)	slice_of((a), sizeof(a))

static bool
oid_twice(const struct slice *v, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (slice_among(v, i, v[i]))
			return true;
	return false;
}

static bool
is_rsa(const struct certlint *c)
{
	return slice_eq(c->key_oid, OID_RSA_ENCRYPTION);
}

/* Of an AlgorithmIdentifier; *rest is whatever stands behind the OID. */
static bool
alg_parts(struct slice tlv, struct slice *oid, struct slice *rest)
{
	struct err err = ERR_INIT;
	struct der d;

	if (der_only(tlv, DER_SEQ, &d, "algorithm", &err) == -1 ||
	    der_get(&d, DER_OID, oid, "algorithm", &err) == -1)
		return false;
	*rest = slice_of(d.p, (size_t)(d.end - d.p));
	return true;
}

static bool
is_null(struct slice s)
{
	return s.n == 2 && s.p[0] == DER_NULL && s.p[1] == 0;
}

/* 1: RSA, 2: ECDSA, with SHA-2; 0: anything else. */
static int
sig_kind(const struct certlint *c, struct slice *rest)
{
	const struct slice rsa[] = { OID_RSA_SHA256, OID_RSA_SHA384,
	    OID_RSA_SHA512 };
	const struct slice ec[] = { OID_ECDSA_SHA256, OID_ECDSA_SHA384,
	    OID_ECDSA_SHA512 };
	struct slice oid;

	if (!alg_parts(c->sigalg, &oid, rest))
		return 0;
	return slice_among(rsa, 3, oid) ? 1 : slice_among(ec, 3, oid) ? 2 : 0;
}

/* Predicates, true when the rule is broken; in the order of the table. */
#define RULE(name, expression) \
	static bool name(const struct certlint *c) { return expression; }

RULE(bad_form, !c->formed)
RULE(bad_der, !c->der)
RULE(bad_size, c->ask->tbs.n > TBS_MAX)
RULE(bad_version, c->version != 2)
RULE(serial_negative, (c->serial.p[0] & 0x80) != 0)
RULE(serial_zero, c->serial.n == 1 && c->serial.p[0] == 0)
RULE(serial_long, c->serial.n > 20)
RULE(serial_short, c->serial.n * 8 <= SERIAL_BITS)

static bool
sig_algorithm(const struct certlint *c)
{
	struct slice rest;

	return sig_kind(c, &rest) == 0;
}

static bool
sig_parameters(const struct certlint *c)
{
	struct slice rest = slice_of(NULL, 0);
	int kind = sig_kind(c, &rest);

	return kind == 1 ? !is_null(rest) : kind == 2 && rest.n != 0;
}

RULE(sig_outer, c->ask->outer.n != 0 && !slice_eq(c->ask->outer, c->sigalg))

/* The issuer's key makes such signatures. */
static bool
sig_issuer_key(const struct certlint *c)
{
	struct err err = ERR_INIT;
	struct slice rest, alg, oid;
	struct der spki;
	int kind = sig_kind(c, &rest);

	if (c->ask->ca_spki.n == 0 || kind == 0)
		return false;
	return der_only(c->ask->ca_spki, DER_SEQ, &spki, "spki", &err) == -1 ||
	    der_tlv(&spki, DER_SEQ, &alg, "algorithm", &err) == -1 ||
	    !alg_parts(alg, &oid, &rest) || !slice_eq(oid, kind == 1 ?
	    OID_RSA_ENCRYPTION : OID_EC_PUBLIC_KEY);
}

RULE(issuer_empty, c->issuer.n <= 2)
RULE(issuer_other, c->ask->ca_subject.n != 0 &&
    !slice_eq(c->ask->ca_subject, c->issuer))

static bool
wrong_type(const struct lint_time *t)
{
	return t->good && (t->at >= YEAR_2050) != (t->tag == DER_GENTIME);
}
RULE(time_form, !c->before.good || !c->after.good)
RULE(time_type, wrong_type(&c->before) || wrong_type(&c->after))
RULE(validity_order, c->after.good && c->after.at <= c->before.at)
RULE(validity_endless, slice_is(c->after.text, "99991231235959Z"))
RULE(validity_begin, c->ask->ca_not_after != 0 &&
    c->before.at < c->ask->ca_not_before)
RULE(validity_end, c->ask->ca_not_after != 0 &&
    c->after.at > c->ask->ca_not_after)
RULE(unique_ids, c->unique_ids)
RULE(no_extensions, !c->has_exts)

RULE(key_algorithm, !is_rsa(c) && !slice_eq(c->key_oid, OID_EC_PUBLIC_KEY))
RULE(key_unused_bits, c->unused != 0)
RULE(rsa_parameters, is_rsa(c) && !is_null(c->key_params))
RULE(rsa_positive, is_rsa(c) && ((c->modulus.p[0] | c->exponent.p[0]) & 0x80)
    != 0)

static unsigned
modulus_bits(const struct certlint *c)
{
	size_t n = c->modulus.n;
	const uint8_t *p = c->modulus.p;
	unsigned bits;

	for (; n > 0 && *p == 0; p++)
		n--;
	for (bits = 8; n > 0 && bits > 0 && (*p >> (bits - 1)) == 0;)
		bits--;
	return n == 0 ? 0 : (unsigned)(n - 1) * 8 + bits;
}
RULE(rsa_size, is_rsa(c) && modulus_bits(c) < 2048)
RULE(rsa_octets, is_rsa(c) && modulus_bits(c) % 8 != 0)
RULE(rsa_large, is_rsa(c) && modulus_bits(c) > 8192)
RULE(rsa_even, is_rsa(c) && (c->modulus.p[c->modulus.n - 1] & 1) == 0)
RULE(rsa_exponent_even, is_rsa(c) &&
    (c->exponent.p[c->exponent.n - 1] & 1) == 0)
/* NIST SP 800-89 5.3.3: 2^16 + 1 to 2^256 - 1 */
RULE(rsa_exponent_small, is_rsa(c) && c->exponent.n < 3)
RULE(rsa_exponent_large, is_rsa(c) && c->exponent.n > 32)

/* The curve's octets of one coordinate; 0: none of ours. */
static size_t
curve_octets(const struct certlint *c)
{
	struct err err = ERR_INIT;
	struct slice oid;
	struct der d;

	der_init(&d, c->key_params);
	if (c->key_params.n == 0 ||
	    der_get(&d, DER_OID, &oid, "curve", &err) == -1)
		return 0;
	return slice_eq(oid, OID_P256) ? 32 : slice_eq(oid, OID_P384) ? 48 :
	    slice_eq(oid, OID_P521) ? 66 : 0;
}
RULE(ec_curve, !is_rsa(c) && curve_octets(c) == 0)
RULE(ec_point, !is_rsa(c) && curve_octets(c) != 0 && (c->key_bits.n !=
    2 * curve_octets(c) + 1 || c->key_bits.p[0] != 4))
RULE(key_of_ca, c->ask->ca_spki.n != 0 &&
    slice_eq(c->ask->ca_spki, c->spki))

RULE(ext_twice, c->repeated)
RULE(ext_default, c->false_written)
RULE(ext_critical, c->unknown_critical)
RULE(ext_unknown, c->unknown)
RULE(ext_form, !c->exts_formed)
RULE(ca_true, c->ca)
RULE(ca_path, c->path_len)

RULE(ku_empty, c->has[LX_KU] && c->usage == 0)
RULE(ku_minimal, c->has[LX_KU] && !c->usage_minimal)
RULE(ku_cert_sign, (c->usage & KU_CERT_SIGN) != 0)
RULE(ku_crl_sign, (c->usage & KU_CRL_SIGN) != 0)
/* [RFC3279] 2.3.1, [RFC5480] 3 */
RULE(ku_rsa, is_rsa(c) && (c->usage & KU_AGREEMENT) != 0)
RULE(ku_ec, !is_rsa(c) && (c->usage & (KU_KEY_ENCIPHERMENT |
    KU_DATA_ENCIPHERMENT)) != 0)
RULE(ku_only, (c->usage & (KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY)) != 0 &&
    (c->usage & KU_AGREEMENT) == 0)

RULE(eku_absent, !c->has[LX_EKU])
RULE(eku_empty, c->has[LX_EKU] && c->neku == 0)
RULE(eku_any, slice_among(c->eku, c->neku, S(any_eku)))
RULE(eku_any_app, slice_among(c->eku, c->neku, S(any_app)))
RULE(eku_twice, oid_twice(c->eku, c->neku))
RULE(eku_client, c->has[LX_KU] &&
    slice_among(c->eku, c->neku, S(client_auth)) &&
    (c->usage & (KU_SIGNATURE | KU_AGREEMENT)) == 0)
RULE(eku_server, c->has[LX_KU] &&
    slice_among(c->eku, c->neku, S(server_auth)) &&
    (c->usage & (KU_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_AGREEMENT)) == 0)
RULE(eku_ocsp, slice_among(c->eku, c->neku, OID_KP_OCSP) != c->ask->responder)
RULE(nocheck, c->has[LX_NOCHECK] != c->ask->responder)
RULE(app_same, c->has[LX_APP] && c->napp != c->neku)

static bool
app_other(const struct certlint *c)
{
	size_t i;

	for (i = 0; i < c->napp; i++)
		if (!slice_among(c->eku, c->neku, c->app[i]))
			return true;
	return false;
}

RULE(ski_absent, !c->has[LX_SKI])
RULE(ski_critical, c->critical[LX_SKI])

static bool
ski_value(const struct certlint *c)
{
	uint8_t md[SHA_DIGEST_LENGTH];

	if (!c->has[LX_SKI])
		return false;
	SHA1(c->key_bits.p, c->key_bits.n, md);
	return !slice_eq(c->ski, S(md));
}

RULE(aki_absent, !c->has[LX_AKI] || c->aki.n == 0)
RULE(aki_critical, c->critical[LX_AKI])
RULE(aki_halves, c->aki_issuer != c->aki_serial)
RULE(aki_other, c->ask->ca_ski.n != 0 && c->aki.n != 0 &&
    !slice_eq(c->aki, c->ask->ca_ski))

RULE(no_name, c->nrdn == 0 && c->nsan == 0)
RULE(san_critical, c->has[LX_SAN] && c->critical[LX_SAN] != (c->nrdn == 0))

RULE(cdp_critical, c->critical[LX_CDP] || c->critical[LX_FRESHEST])
RULE(cdp_empty, c->has[LX_CDP] && c->ncdp == 0)
RULE(cdp_point, c->odd_point)
RULE(aia_critical, c->critical[LX_AIA])
RULE(aia_empty, c->has[LX_AIA] && c->naia == 0)
RULE(aia_method, c->odd_access)

RULE(policies_empty, c->has[LX_POLICIES] && c->npolicy == 0)
RULE(policies_twice, oid_twice(c->policy, c->npolicy))
RULE(policies_any, slice_among(c->policy, c->npolicy, S(any_policy)))
RULE(policies_qualified, c->policy_qualified)
RULE(smime_critical, c->critical[LX_SMIME])
RULE(template_two, c->has[LX_TEMPLATE] && c->has[LX_TEMPLATE_NAME])
RULE(template_critical, c->critical[LX_TEMPLATE] ||
    c->critical[LX_TEMPLATE_NAME] || c->critical[LX_APP] ||
    c->critical[LX_SID])

#define RFC	"[RFC5280] "
static const struct certlint_rule rules[] = {
#define ROW(name, section, text, predicate) { name, section, text },
#include "certlint_table.h"
#undef ROW
};
static bool (*const predicates[])(const struct certlint *) = {
#define ROW(name, section, text, predicate) predicate,
#include "certlint_table.h"
#undef ROW
};
#define NRULES	(sizeof(rules) / sizeof(rules[0]))

const struct certlint_rule *
certlint_rules(size_t *n)
{
	*n = NRULES;
	return rules;
}

size_t
certlint_all(const struct certlint_ask *ask, bool *found)
{
	struct certlint c;
	size_t i, n = 0;

	memset(&c, 0, sizeof(c));
	c.ask = ask;
	lint_parse(&c);
	memset(found, 0, NRULES * sizeof(*found));
	/* Of what could not be read nothing else can be said. */
	for (i = 0; i < NRULES && (c.formed || i == 0); i++) {
		found[i] = predicates[i](&c);
		n += found[i];
	}
	return n;
}

int
certlint(const struct certlint_ask *ask, struct err *err)
{
	struct certlint c;
	size_t i;

	memset(&c, 0, sizeof(c));
	c.ask = ask;
	lint_parse(&c);
	for (i = 0; i < NRULES; i++)
		if (predicates[i](&c))
			return err_deny(err, CERTSRV_E_TEMPLATE_DENIED,
			    "certificate would break rule %s (%s): %s",
			    rules[i].name, rules[i].section, rules[i].text);
	return 0;
}

int
certlint_slice(struct slice der, struct certlint_ask *ask, struct err *err)
{
	struct der cert;

	if (der_only(der, DER_SEQ, &cert, "Certificate", err) == -1 ||
	    der_tlv(&cert, DER_SEQ, &ask->tbs, "tbsCertificate", err) == -1)
		return -1;
	return der_tlv(&cert, DER_SEQ, &ask->outer, "signatureAlgorithm",
	    err);
}

int
certlint_issuer(struct slice ca_der, struct certlint_ask *ask,
    struct err *err)
{
	struct certlint_ask ca = { .responder = false };
	struct certlint c;

	if (certlint_slice(ca_der, &ca, err) == -1)
		return -1;
	memset(&c, 0, sizeof(c));
	c.ask = &ca;
	lint_parse(&c);
	if (!c.formed || !c.before.good || !c.after.good)
		return err_set(err, ERR_INTERNAL,
		    "a ca's certificate cannot be read");
	ask->ca_subject = c.subject;
	ask->ca_spki = c.spki;
	ask->ca_ski = c.ski;
	ask->ca_not_before = c.before.at;
	ask->ca_not_after = c.after.at;
	return 0;
}
