/*
 * A CA certificate, from a plan and a key: roots (caroot.c), issuing CAs
 * (cmd_ca.c, cmd_cakey.c).  What it may say is judged before it is signed.
 */
#include "camake.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "caext.h"
#include "certfile.h"
#include "name.h"

#define DAY	86400
#define YOUNGEST	INT64_C(1767225600)	/* 2026-01-01: as this file */

int
ca_name_check(const char *name, struct err *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[0] == '.' || name[0] == '-' ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789._-") != n)
		return err_set(err, ERR_MALFORMED, "a ca name is 1 to 63 of "
		    "letters, digits, . _ -: %.64s", name);
	return 0;
}

void
ca_plan_free(struct ca_plan *plan)
{
	strlist_free(&plan->permit);
	strlist_free(&plan->exclude);
	strlist_free(&plan->eku);
}

X509_NAME *
ca_name_parse(const char *text, struct err *err)
{
	struct names n = { 0 };
	struct buf der = { 0 };
	X509_NAME *name = NULL;
	const unsigned char *p;

	if (names_parse_text(&n, text, err) == 0 &&
	    names_put_dn(&n, &der, err) == 0) {
		p = der.p;
		if (n.nrdn == 0)
			err_set(err, ERR_MALFORMED, "a ca needs a subject");
		else if ((name = d2i_X509_NAME(NULL, &p, (long)der.n)) == NULL)
			err_openssl(err, "subject %.80s", text);
	}
	names_free(&n);
	buf_free(&der);
	return name;
}

const EVP_MD *
ca_md(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256 ?
	    EVP_sha384() : EVP_sha256();
}

/* [RFC5280] 4.1.2.2: positive, at most 20 octets; 126 random bits. */
static int
set_serial(X509 *x)
{
	uint8_t raw[16];
	BIGNUM *n;
	int ok;

	if (RAND_bytes(raw, sizeof raw) != 1)
		return 0;
	raw[0] = (raw[0] & 0x3f) | 0x40;
	if ((n = BN_bin2bn(raw, sizeof raw, NULL)) == NULL)
		return 0;
	ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

/* 365.25 days a year. */
static long
days_of(const struct ca_plan *plan)
{
	return (long)(plan->years * 1461 / 4);
}

/* No later than end, if there is one. */
static bool
cut(X509 *x, const ASN1_TIME *end)
{
	return end == NULL ||
	    ASN1_TIME_compare(X509_get0_notAfter(x), end) <= 0 ||
	    X509_set1_notAfter(x, end) == 1;
}

static int
set_validity(X509 *x, const struct ca_plan *plan, struct err *err)
{
	if (X509_gmtime_adj(X509_getm_notBefore(x), -ISSUED_EARLY) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(x), (int)days_of(plan), 0,
	    NULL) == NULL)
		return err_openssl(err, "ca validity");
	/* Nothing outlives its issuer ([RFC5280] 6.1 would not care). */
	if (!cut(x, plan->until) || (plan->issuer != NULL &&
	    !cut(x, X509_get0_notAfter(plan->issuer))))
		return err_openssl(err, "ca validity");
	return 0;
}

static int
set_names(X509 *x, const struct ca_plan *plan, struct err *err)
{
	X509_NAME *name = plan->name != NULL ? X509_NAME_dup(plan->name) :
	    ca_name_parse(plan->subject, err);
	int ok;

	if (name == NULL)
		return err_openssl(err, "ca subject");
	ok = X509_set_subject_name(x, name) == 1 &&
	    X509_set_issuer_name(x, plan->issuer == NULL ? name :
	    X509_get_subject_name(plan->issuer)) == 1;
	X509_NAME_free(name);
	return ok ? 0 : err_openssl(err, "ca names");
}

/* Verified at once: a token or a processor can be wrong. */
static int
sign(X509 *x, EVP_PKEY *key, struct err *err)
{
	if (X509_sign(x, key, ca_md(key)) <= 0)
		return err_openssl(err, "ca signature");
	if (X509_verify(x, key) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, ERR_INTERNAL, "the new signature is wrong");
}

/* That of a host without battery and network begins in 1970 or 2000. */
static int
check_clock(struct err *err)
{
	int64_t now = time(NULL);
	char when[32];

	if (now >= YOUNGEST)
		return 0;
	utc_text(now, when);
	return err_set(err, ERR_DENIED, "the clock shows %s: set it, the "
	    "certificate is dated by it", when);
}

int
ca_plan_check(const struct ca_plan *plan, struct err *err)
{
	struct err why = ERR_INIT;
	X509_NAME *name = ca_name_parse(plan->subject, &why);
	X509 *x;
	int rc;

	if (name == NULL)
		return err_set(err, why.kind, "subject \"%.60s\": %s",
		    plan->subject, why.text);
	X509_NAME_free(name);
	if ((x = X509_new()) == NULL)
		abort();
	rc = ca_ext_words(x, plan, err);
	X509_free(x);
	return rc;
}

X509 *
ca_cert_new(const struct ca_plan *plan, EVP_PKEY *key, struct err *err)
{
	X509 *x;

	if (check_clock(err) != 0)
		return NULL;
	x = X509_new();
	if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1 ||
	    !set_serial(x) || X509_set_pubkey(x, key) != 1)
		err_openssl(err, "ca certificate");
	else if (set_names(x, plan, err) == 0 &&
	    set_validity(x, plan, err) == 0 &&
	    ca_ext_add(x, plan, err) == 0 &&
	    sign(x, plan->issuer == NULL ? key : plan->issuer_key, err) == 0)
		return x;
	X509_free(x);
	return NULL;
}

/* [RFC5280] 4.2.1.9: how many CAs may stand below the one being made. */
static int
check_pathlen(X509 *issuer, const struct ca_plan *plan, struct err *err)
{
	long limit = X509_get_pathlen(issuer);

	if (limit == 0)
		return err_set(err, ERR_DENIED, "the issuer's path length is "
		    "0: no ca may stand below it ([RFC5280] 4.2.1.9)");
	if (limit > 0 && (plan->pathlen < 0 || plan->pathlen >= limit))
		return err_set(err, ERR_DENIED, "path length %d: the issuer's "
		    "is %ld, so --pathlen is 0 to %ld", plan->pathlen, limit,
		    limit - 1);
	return 0;
}

int
ca_issuer_check(X509 *issuer, EVP_PKEY *key, const struct ca_plan *plan,
    struct err *err)
{
	int64_t now = time(NULL);
	int64_t end = cert_unix(X509_get0_notAfter(issuer));

	if (X509_check_private_key(issuer, key) != 1)
		return err_set(err, ERR_DENIED,
		    "the issuer's key does not belong to its certificate");
	if (X509_check_ca(issuer) != 1 ||
	    (X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0)
		return err_set(err, ERR_DENIED, "the issuer's certificate is "
		    "not a ca's ([RFC5280] 4.2.1.3, 4.2.1.9)");
	if (now < cert_unix(X509_get0_notBefore(issuer)) || now >= end)
		return err_set(err, ERR_DENIED,
		    "the issuer's certificate is not valid now: is the clock "
		    "right?");
	if (now + (int64_t)days_of(plan) * DAY > end + DAY)
		return err_set(err, ERR_DENIED, "%d years: it would outlive "
		    "its issuer, which has %lld days left",
		    (int)plan->years, (long long)((end - now) / DAY));
	return check_pathlen(issuer, plan, err);
}
