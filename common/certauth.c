/*
 * Client certificate to account: [security] N6.  Workers come here to log
 * somebody on (certlogon.c), signers to judge it again (job.c).
 */
#include "certauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certdb.h"
#include "der.h"
#include "hresult.h"
#include "name.h"
#include "x509.h"

#define DEPTH	16

/* Certificate's serial number's content ([RFC5280] 4.1). */
int
certauth_serial(struct slice der, struct slice *serial, struct err *err)
{
	struct der cert, tbs;

	if (der.n > CERTAUTH_MAX)
		return err_set(err, ERR_TOO_BIG, "client certificate of %zu "
		    "bytes, limit %d", der.n, CERTAUTH_MAX);
	if (der_check(der, DEPTH, "client certificate", err) == -1 ||
	    der_only(der, DER_SEQ, &cert, "client certificate", err) == -1 ||
	    der_enter(&cert, DER_SEQ, &tbs, "TBSCertificate", err) == -1)
		return -1;
	if (der_peek(&tbs) == DER_CTXC(0) &&
	    der_any(&tbs, NULL, NULL, NULL, "version", err) == -1)
		return -1;
	return der_get(&tbs, DER_INTEGER, serial, "serialNumber", err);
}

static int
chain_error(int why, struct err *err)
{
	uint32_t hr = HR_ACCESS_DENIED;

	switch (why) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		hr = CERT_E_EXPIRED;
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		hr = CERT_E_UNTRUSTEDROOT;
		break;
	default:
		break;
	}
	return err_deny(err, hr, "client certificate: %s",
	    X509_verify_cert_error_string(why));
}

int
certauth_chain(const struct policy *p, X509 *x, int64_t now,
    struct buf *issuer, struct err *err)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int n, rc = -1;

	if (ctx == NULL || p->trust == NULL ||
	    X509_STORE_CTX_init(ctx, p->trust, x, NULL) != 1) {
		err_openssl(err, "client certificate: no store");
		goto out;
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, (time_t)now);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(param, 0);	/* no CA in between */
	X509_VERIFY_PARAM_set_auth_level(param, 2);	/* 112 bits */
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
	if (X509_verify_cert(ctx) != 1) {
		chain_error(X509_STORE_CTX_get_error(ctx), err);
		goto out;
	}
	x = sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1);
	/* [RFC5280] 4.2.1.9; OpenSSL makes do with keyCertSign. */
	if (x != NULL && X509_check_ca(x) != 1) {
		err_deny(err, CERT_E_UNTRUSTEDROOT,
		    "client certificate: its anchor is not marked as a ca");
		goto out;
	}
	n = i2d_X509(x, NULL);
	if (x != NULL && n > 0) {
		uint8_t *at = buf_extend(issuer, (size_t)n);

		rc = i2d_X509(x, &at) == n ? 0 : -1;
	}
	if (rc == -1)
		err_deny(err, CERT_E_UNTRUSTEDROOT,
		    "client certificate: is an anchor itself");
out:
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

/* What cannot be read is over: nothing is then remembered. */
static void
narrow(const X509 *x, struct certauth_proof *out)
{
	int64_t from = INT64_MAX, until = INT64_MIN;

	if (x != NULL) {
		(void)x509_unix(X509_get0_notBefore(x), &from);
		(void)x509_unix(X509_get0_notAfter(x), &until);
	}
	if (from > out->from)
		out->from = from;
	if (until < out->until)
		out->until = until;
}

/* Without the row: form, purpose, chain. */
static int
verify(const struct policy *p, struct slice der, int64_t now,
    struct buf *issuer, struct certauth_proof *out, struct err *err)
{
	X509 *x = x509_read(der), *anchor;
	int rc = -1;

	ERR_clear_error();
	if (x == NULL)
		err_bad(err, 0, "client certificate: does not parse");
	else if (X509_check_ca(x) != 0)
		err_deny(err, HR_ACCESS_DENIED,
		    "client certificate: is a ca certificate");
	/* A missing EKU is every purpose ([RFC5280] 4.2.1.12): not enough. */
	else if (!x509_purpose(x, policy_eku("client-authentication")))
		err_deny(err, HR_ACCESS_DENIED, "client certificate: has no "
		    "client authentication among its key purposes");
	else
		rc = certauth_chain(p, x, now, issuer, err);
	if (rc == 0) {
		anchor = x509_read(buf_slice(issuer));
		narrow(x, out);
		narrow(anchor, out);
		X509_free(anchor);
	}
	X509_free(x);
	return rc;
}

static void
found(struct certauth *out, const char *account, const char *template,
    const char *issuer, int64_t issued)
{
	snprintf(out->account, sizeof(out->account), "%s", account);
	snprintf(out->template, sizeof(out->template), "%s", template);
	snprintf(out->issuer, sizeof(out->issuer), "%s", issuer);
	out->issued = issued;
}

static int
judge_row(const struct issued *row, struct slice der, int64_t now,
    struct err *err)
{
	struct slice tbs, alg, sig;

	if (!slice_eq(buf_slice(&row->der), der))
		return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
		    "is not the one that was issued with its serial number");
	/* [security] W8: or who writes rows gives an imported CA's to others. */
	if (issued_parts(row, &tbs, &alg, &sig) == -1)
		return err_deny(err, CERT_E_UNTRUSTEDROOT, "client "
		    "certificate: was made by no signer of ca %.60s: somebody "
		    "has put it into the database", row->ca);
	if (row->revoked)
		return err_deny(err, CRYPT_E_REVOKED,
		    "client certificate: is revoked");
	if (now < row->not_before || now > row->not_after)
		return err_deny(err, CERT_E_EXPIRED,
		    "client certificate: is not within its validity");
	return 0;
}

/* 1: one of ours, *out is filled; 0: no row has its serial; -1: refused. */
static int
by_row(const struct issued *row, struct slice der, int64_t now,
    struct certauth *out, struct err *err)
{
	if (row == NULL)
		return 0;
	if (judge_row(row, der, now, err) == -1)
		return -1;
	found(out, row->account, row->template, row->ca,
	    row->not_before + ISSUED_EARLY);
	return 1;
}

static int
look_up(struct snapshot *s, struct slice der, int64_t now,
    struct certauth *out, struct err *err)
{
	struct issued_set *set;
	struct slice serial;
	int rc;

	if (certauth_serial(der, &serial, err) == -1 ||
	    (set = snapshot_certificate(s, serial, err)) == NULL)
		return -1;
	rc = by_row(issued_find(set, serial), der, now, out, err);
	issued_free(set);
	return rc;
}

/* NULL: a CA of ours; no rule can replace the row of what we issued. */
static const struct trusted_ca *
trusted_of(const struct policy *p, const struct buf *issuer)
{
	size_t i;

	if (policy_is_ours(p, buf_slice(issuer)))
		return NULL;
	for (i = 0; i < p->ntrusted; i++)
		if (slice_eq(buf_slice(&p->trusted[i].cert),
		    buf_slice(issuer)))
			return &p->trusted[i];
	return NULL;
}

static int
read_subject(X509 *x, struct names *n, struct err *err)
{
	unsigned char *der = NULL;
	int len, rc;

	len = i2d_X509_NAME(X509_get_subject_name(x), &der);
	if (len <= 0)
		return err_openssl(err, "client certificate: subject");
	rc = names_parse_dn(n, slice_of(der, (size_t)len), err);
	OPENSSL_free(der);
	return rc;
}

/*
 * Only what counts, Name or GeneralNames, and that as the request parser reads
 * it: other CAs have names that it refuses, as PIV cards with CN and UID in one
 * part of the subject.
 */
static int
read_names(X509 *x, enum cert_map map, struct names *n, struct err *err)
{
	ASN1_OCTET_STRING *value;
	X509_EXTENSION *e;

	if (map == MAP_SUBJECT_CN)
		return read_subject(x, n, err);
	e = X509_get_ext(x, X509_get_ext_by_NID(x, NID_subject_alt_name, -1));
	if (e == NULL)
		return 0;
	value = X509_EXTENSION_get_data(e);
	return names_parse_san(n, slice_of(ASN1_STRING_get0_data(value),
	    (size_t)ASN1_STRING_length(value)), err);
}

/* Exactly one name of the kind: of two nobody could say which counts. */
static const char *
mapped_value(const struct names *n, enum cert_map map)
{
	const char *value = NULL;
	unsigned count = 0;
	size_t i;

	for (i = 0; map != MAP_SUBJECT_CN && i < n->nsan; i++)
		if (n->san[i].kind == (map == MAP_SAN_UPN ? SAN_UPN :
		    SAN_DNS)) {
			value = n->san[i].text;
			count++;
		}
	for (i = 0; map == MAP_SUBJECT_CN && i < n->nrdn; i++)
		if (strcmp(n->rdn[i].type, "CN") == 0) {
			value = n->rdn[i].value;
			count++;
		}
	return count == 1 ? value : NULL;
}

static int
check_groups(struct snapshot *s, const struct trusted_ca *t,
    const char *name, struct err *err)
{
	const struct account *a = NULL;
	bool in;

	if (snapshot_account(s, name, &a, err) == -1)
		return -1;
	in = a != NULL && account_in(a, &t->groups);
	snapshot_account_put(s, a);
	return in ? 0 : err_deny(err, HR_ACCESS_DENIED, "client certificate: "
	    "trusted-ca %s may not name account %s: it is in none of its "
	    "groups", t->name, name);
}

static int
map_names(struct snapshot *s, const struct trusted_ca *t,
    const struct names *n, struct certauth *out, struct err *err)
{
	static const char *const maps[] = { "", "san-upn", "san-dns",
	    "subject-cn" };
	const char *value = mapped_value(n, t->map);
	char *name;
	int rc;

	if (value == NULL)
		return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
		    "trusted-ca %s: needs exactly one %s", t->name,
		    maps[t->map]);
	if (snapshot_account_by(s, t->map, value, &name, err) == -1)
		return -1;
	if (name == NULL)
		return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
		    "trusted-ca %s: no account has %s %.60s", t->name,
		    maps[t->map], value);
	rc = check_groups(s, t, name, err);
	if (rc == 0)
		found(out, name, "", t->name, INT64_MAX);
	free(name);
	return rc;
}

static int
by_rule(struct snapshot *s, const struct trusted_ca *t, struct slice der,
    struct certauth *out, struct err *err)
{
	struct names n = { 0 };
	X509 *x = x509_read(der);
	int rc = -1;

	if (x != NULL && read_names(x, t->map, &n, err) == 0)
		rc = map_names(s, t, &n, out, err);
	names_free(&n);
	X509_free(x);
	return rc;
}

int
certauth_prove(const struct policy *p, struct slice der, int64_t now,
    struct certauth_proof *out, struct err *err)
{
	struct certauth_proof proof = { NULL, INT64_MIN, INT64_MAX };
	struct buf issuer = { 0 };
	struct slice serial;
	int rc = -1;

	if (certauth_serial(der, &serial, err) == 0 &&
	    verify(p, der, now, &issuer, &proof, err) == 0) {
		proof.rule = trusted_of(p, &issuer);
		*out = proof;
		rc = 0;
	}
	buf_free(&issuer);
	return rc;
}

int
certauth_holder(struct snapshot *s, const struct trusted_ca *rule,
    struct slice der, int64_t now, struct certauth *out, struct err *err)
{
	int rc;

	if (rule != NULL)
		return by_rule(s, rule, der, out, err);
	if ((rc = look_up(s, der, now, out, err)) == 0)
		return err_deny(err, HR_ACCESS_DENIED, "client certificate: "
		    "is of a ca of the policy, but no record of it is here: log "
		    "on by other means");
	return rc == -1 ? -1 : 0;
}

int
certauth_recheck(const struct certauth_known *k, struct slice der, int64_t now,
    struct certauth *out, struct err *err)
{
	struct certauth_proof proof;
	int rc = by_row(k->row, der, now, out, err);

	if (rc != 0)
		return rc == 1 ? 0 : -1;
	if (certauth_prove(k->policy, der, now, &proof, err) == -1)
		return -1;
	return certauth_holder(k->snapshot, proof.rule, der, now, out, err);
}

int
certauth_since(const struct certauth *who, const struct account *a,
    struct err *err)
{
	return !account_was_others(a, who->issued) ? 0 : err_deny(err,
	    HR_ACCESS_DENIED, "client certificate: account %.60s was another "
	    "principal's when it was issued", a->name);
}
