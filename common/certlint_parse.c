/*
 * A TBSCertificate into its parts, for certlint.c; nothing is judged here,
 * and nothing is shared with what wrote it.
 */
#include <string.h>

#include "certlint_int.h"
#include "oid.h"


static bool
oid_is(struct slice a, struct slice b)
{
	return a.n == b.n && memcmp(a.p, b.p, b.n) == 0;
}

static int
two(const uint8_t *p)
{
	return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ?
	    (p[0] - '0') * 10 + p[1] - '0' : -1;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t
days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ: [RFC5280] 4.1.2.5.1, 4.1.2.5.2. */
static void
read_time(struct lint_time *t)
{
	const uint8_t *p = t->text.p;
	int v[7], i, n = t->tag == DER_GENTIME ? 7 : 6;
	int64_t year;

	if (t->text.n != (size_t)n * 2 + 1 || p[n * 2] != 'Z')
		return;
	for (i = 0; i < n; i++)
		if ((v[i] = two(p + 2 * i)) == -1)
			return;
	year = n == 7 ? v[0] * 100 + v[1] : v[0] + (v[0] < 50 ? 2000 : 1900);
	memmove(v, v + n - 5, 5 * sizeof(v[0]));
	if (v[0] < 1 || v[0] > 12 || v[1] < 1 || v[1] > 31 || v[2] > 23 ||
	    v[3] > 59 || v[4] > 59)
		return;
	t->at = days(year, v[0], v[1]) * 86400 + v[2] * 3600 + v[3] * 60 +
	    v[4];
	t->good = true;
}

static int
parse_validity(struct certlint *c, struct der *tbs, struct err *err)
{
	struct der v;

	if (der_enter(tbs, DER_SEQ, &v, "validity", err) == -1 ||
	    der_any(&v, &c->before.tag, NULL, &c->before.text, "notBefore",
	    err) == -1 || der_any(&v, &c->after.tag, NULL, &c->after.text,
	    "notAfter", err) == -1)
		return -1;
	read_time(&c->before);
	read_time(&c->after);
	return der_end(&v, "validity", err);
}

static int
parse_subject(struct certlint *c, struct err *err)
{
	struct der name, rdn, attr;
	struct lint_attr *a;

	if (der_only(c->subject, DER_SEQ, &name, "subject", err) == -1)
		return -1;
	for (; !der_done(&name); c->nrdn++) {
		if (der_enter(&name, DER_SET, &rdn, "rdn", err) == -1)
			return -1;
		c->empty_rdn = c->empty_rdn || der_done(&rdn);
		while (!der_done(&rdn)) {
			if (c->nattr == LINT_ATTRS)
				return -1;
			a = &c->attr[c->nattr++];
			a->rdn = (unsigned)c->nrdn;
			if (der_enter(&rdn, DER_SEQ, &attr, "attribute",
			    err) == -1 || der_get(&attr, DER_OID, &a->oid,
			    "type", err) == -1 || der_any(&attr, &a->tag,
			    NULL, &a->value, "value", err) == -1 ||
			    der_end(&attr, "attribute", err) == -1)
				return -1;
		}
	}
	return 0;
}

static int
parse_rsa(struct certlint *c, struct err *err)
{
	struct der key;

	if (der_only(c->key_bits, DER_SEQ, &key, "RSAPublicKey", err) == -1 ||
	    der_get(&key, DER_INTEGER, &c->modulus, "modulus", err) == -1 ||
	    der_get(&key, DER_INTEGER, &c->exponent, "exponent", err) == -1)
		return -1;
	return der_end(&key, "RSAPublicKey", err);
}

static int
parse_key(struct certlint *c, struct err *err)
{
	struct slice bits;
	struct der spki, alg;

	if (der_only(c->spki, DER_SEQ, &spki, "spki", err) == -1 ||
	    der_enter(&spki, DER_SEQ, &alg, "algorithm", err) == -1 ||
	    der_get(&alg, DER_OID, &c->key_oid, "algorithm", err) == -1)
		return -1;
	if (!der_done(&alg) && (der_any(&alg, NULL, &c->key_params, NULL,
	    "parameters", err) == -1 || der_end(&alg, "algorithm", err) == -1))
		return -1;
	if (der_get(&spki, DER_BIT_STRING, &bits, "key", err) == -1 ||
	    der_end(&spki, "spki", err) == -1 || bits.n < 1)
		return -1;
	c->unused = bits.p[0];
	c->key_bits = slice_of(bits.p + 1, bits.n - 1);
	return oid_is(c->key_oid, OID_RSA_ENCRYPTION) ? parse_rsa(c, err) : 0;
}

static int
parse_usage(struct certlint *c, struct der *d, struct err *err)
{
	struct slice b;
	size_t i;

	if (der_get(d, DER_BIT_STRING, &b, "keyUsage", err) == -1 || b.n < 1)
		return -1;
	for (i = 1; i < b.n && i <= 2; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			if ((b.p[i] & 0x80 >> bit) != 0)
				c->usage |= 1u << ((i - 1) * 8 + bit);
	/* [X.690] 11.2.2: no trailing zero bits. */
	c->usage_minimal = b.n == 1 ? b.p[0] == 0 :
	    b.n <= 3 && b.p[0] < 8 && (b.p[b.n - 1] >> b.p[0] & 1) != 0;
	return 0;
}

/* SEQUENCE OF OID, or of SEQUENCE { OID, ... }. */
static int
parse_oids(struct der *d, struct slice *v, size_t *n, bool *qualified,
    struct err *err)
{
	struct der list, info;

	if (der_enter(d, DER_SEQ, &list, "oids", err) == -1)
		return -1;
	while (!der_done(&list)) {
		if (*n == LINT_OIDS)
			return -1;
		if (qualified == NULL) {
			if (der_get(&list, DER_OID, &v[(*n)++], "oid",
			    err) == -1)
				return -1;
			continue;
		}
		if (der_enter(&list, DER_SEQ, &info, "policy", err) == -1 ||
		    der_get(&info, DER_OID, &v[(*n)++], "oid", err) == -1)
			return -1;
		*qualified = *qualified || !der_done(&info);
	}
	return 0;
}

static int
parse_san(struct certlint *c, struct der *d, struct err *err)
{
	struct der list;

	if (der_enter(d, DER_SEQ, &list, "names", err) == -1)
		return -1;
	for (; !der_done(&list); c->nsan++)
		if (c->nsan == LINT_SANS || der_any(&list,
		    &c->san[c->nsan].tag, NULL, &c->san[c->nsan].content,
		    "name", err) == -1)
			return -1;
	return 0;
}

static int
parse_aki(struct certlint *c, struct der *d, struct err *err)
{
	struct der aki;
	struct slice v;
	int tag;

	if (der_enter(d, DER_SEQ, &aki, "aki", err) == -1)
		return -1;
	while (!der_done(&aki)) {
		if (der_any(&aki, &tag, NULL, &v, "aki", err) == -1)
			return -1;
		if (tag == DER_CTX(0))
			c->aki = v;
		c->aki_issuer = c->aki_issuer || tag == DER_CTXC(1);
		c->aki_serial = c->aki_serial || tag == DER_CTX(2);
	}
	return 0;
}

static int
add_uri(struct certlint *c, int tag, struct slice v)
{
	if (tag != DER_CTX(6) || c->nuri == LINT_OIDS)
		return -1;
	c->uri[c->nuri++] = v;
	return 0;
}

/* DistributionPoints with fullName of URIs alone; others are odd. */
static int
parse_points(struct certlint *c, struct der *d, struct err *err)
{
	struct der list, point, name, full;
	struct slice v;
	int tag;

	if (der_enter(d, DER_SEQ, &list, "points", err) == -1)
		return -1;
	for (; !der_done(&list); c->ncdp++) {
		if (der_enter(&list, DER_SEQ, &point, "point", err) == -1)
			return -1;
		if (der_peek(&point) != DER_CTXC(0) ||
		    der_enter(&point, DER_CTXC(0), &name, "name", err) == -1 ||
		    der_enter(&name, DER_CTXC(0), &full, "full", err) == -1 ||
		    !der_done(&point) || der_done(&full)) {
			c->odd_point = true;
			return 0;
		}
		while (!der_done(&full)) {
			if (der_any(&full, &tag, NULL, &v, "uri", err) == -1)
				return -1;
			if (add_uri(c, tag, v) == -1)
				c->odd_point = true;
		}
	}
	return 0;
}

static int
parse_access(struct certlint *c, struct der *d, struct err *err)
{
	struct der list, desc;
	struct slice method, v;
	int tag;

	if (der_enter(d, DER_SEQ, &list, "access", err) == -1)
		return -1;
	for (; !der_done(&list); c->naia++) {
		if (der_enter(&list, DER_SEQ, &desc, "access", err) == -1 ||
		    der_get(&desc, DER_OID, &method, "method", err) == -1 ||
		    der_any(&desc, &tag, NULL, &v, "location", err) == -1)
			return -1;
		if ((!oid_is(method, OID_AD_OCSP) &&
		    !oid_is(method, OID_AD_CA_ISSUERS)) ||
		    add_uri(c, tag, v) == -1)
			c->odd_access = true;
	}
	return 0;
}

static int
parse_basic(struct certlint *c, struct der *d, struct err *err)
{
	struct der basic;

	if (der_enter(d, DER_SEQ, &basic, "basicConstraints", err) == -1)
		return -1;
	if (der_peek(&basic) == DER_BOOLEAN &&
	    der_bool(&basic, &c->ca, "cA", err) == -1)
		return -1;
	c->path_len = !der_done(&basic);
	return 0;
}

static int
parse_value(struct certlint *c, enum lint_ext x, struct err *err)
{
	bool ignored = false;
	struct der d;
	int rc = 0;

	der_init(&d, c->ext[x]);
	switch (x) {
	case LX_KU:
		rc = parse_usage(c, &d, err);
		break;
	case LX_EKU:
		rc = parse_oids(&d, c->eku, &c->neku, NULL, err);
		break;
	case LX_POLICIES:
		rc = parse_oids(&d, c->policy, &c->npolicy,
		    &c->policy_qualified, err);
		break;
	case LX_APP:
		rc = parse_oids(&d, c->app, &c->napp, &ignored, err);
		break;
	case LX_SAN:
		rc = parse_san(c, &d, err);
		break;
	case LX_SKI:
		rc = der_get(&d, DER_OCTETS, &c->ski, "ski", err);
		break;
	case LX_AKI:
		rc = parse_aki(c, &d, err);
		break;
	case LX_CDP:
		rc = parse_points(c, &d, err);
		break;
	case LX_AIA:
		rc = parse_access(c, &d, err);
		break;
	case LX_BASIC:
		rc = parse_basic(c, &d, err);
		break;
	default:	/* one value: read, and kept as it is */
		return der_any(&d, NULL, NULL, NULL, "value", err) == -1 ? -1 :
		    der_end(&d, "value", err);
	}
	return rc == -1 ? -1 : der_end(&d, "extension", err);
}

static enum lint_ext
which(struct slice oid)
{
	const struct slice known[LX_N] = {
		OID_EXT_SKI, OID_EXT_KEY_USAGE, OID_EXT_EKU, OID_EXT_SAN,
		OID_EXT_AKI, OID_EXT_CDP, OID_EXT_AIA, OID_EXT_POLICIES,
		OID_TEMPLATE_OID, OID_TEMPLATE_NAME, OID_APP_POLICIES,
		OID_SID_EXT, OID_OCSP_NOCHECK, OID_EXT_FRESHEST,
		OID_EXT_BASIC, OID_EXT_SMIME
	};
	unsigned i;

	for (i = 0; i < LX_N && !oid_is(oid, known[i]); i++)
		continue;
	return (enum lint_ext)i;
}

static int
parse_extension(struct certlint *c, struct der *list, struct err *err)
{
	struct slice oid, value;
	struct der ext;
	enum lint_ext x;
	bool critical = false, written = false;

	if (der_enter(list, DER_SEQ, &ext, "Extension", err) == -1 ||
	    der_get(&ext, DER_OID, &oid, "extnID", err) == -1)
		return -1;
	if (der_peek(&ext) == DER_BOOLEAN) {
		written = true;
		if (der_bool(&ext, &critical, "critical", err) == -1)
			return -1;
	}
	if (der_get(&ext, DER_OCTETS, &value, "extnValue", err) == -1 ||
	    der_end(&ext, "Extension", err) == -1)
		return -1;
	c->next++;
	c->false_written = c->false_written || (written && !critical);
	if ((x = which(oid)) == LX_OTHER) {
		c->unknown = true;
		c->unknown_critical = c->unknown_critical || critical;
		return 0;
	}
	c->repeated = c->repeated || c->has[x];
	c->has[x] = true;
	c->critical[x] = critical;
	c->ext[x] = value;
	return 0;
}

static int
parse_extensions(struct certlint *c, struct der *tbs, struct err *err)
{
	struct der outer, list;

	if (der_done(tbs))
		return 0;
	if (der_enter(tbs, DER_CTXC(3), &outer, "extensions", err) == -1 ||
	    der_end(tbs, "TBSCertificate", err) == -1 ||
	    der_enter(&outer, DER_SEQ, &list, "Extensions", err) == -1 ||
	    der_end(&outer, "extensions", err) == -1)
		return -1;
	c->has_exts = !der_done(&list);
	while (!der_done(&list))
		if (parse_extension(c, &list, err) == -1)
			return -1;
	return 0;
}

static int
parse_tbs(struct certlint *c, struct err *err)
{
	struct der tbs, version;

	if (der_only(c->ask->tbs, DER_SEQ, &tbs, "TBSCertificate", err) == -1)
		return -1;
	if (der_peek(&tbs) == DER_CTXC(0) && (der_enter(&tbs, DER_CTXC(0),
	    &version, "version", err) == -1 || der_uint(&version, &c->version,
	    "version", err) == -1))
		return -1;
	if (der_get(&tbs, DER_INTEGER, &c->serial, "serial", err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->sigalg, "signature", err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->issuer, "issuer", err) == -1 ||
	    parse_validity(c, &tbs, err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->subject, "subject", err) == -1 ||
	    der_tlv(&tbs, DER_SEQ, &c->spki, "spki", err) == -1)
		return -1;
	while (der_peek(&tbs) == DER_CTX(1) || der_peek(&tbs) == DER_CTX(2)) {
		c->unique_ids = true;
		if (der_any(&tbs, NULL, NULL, NULL, "uniqueID", err) == -1)
			return -1;
	}
	return parse_extensions(c, &tbs, err);
}

void
lint_parse(struct certlint *c)
{
	struct err err = ERR_INIT;
	unsigned x;

	c->der = der_check(c->ask->tbs, 16, "TBSCertificate", &err) == 0;
	memset(&err, 0, sizeof(err));
	c->formed = parse_tbs(c, &err) == 0 && parse_subject(c, &err) == 0 &&
	    parse_key(c, &err) == 0;
	if (!c->formed)
		return;
	c->exts_formed = true;
	for (x = 0; x < LX_N && c->exts_formed; x++)
		if (c->has[x])
			c->exts_formed = parse_value(c, (enum lint_ext)x,
			    &err) == 0;
}
