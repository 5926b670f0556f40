/*
 * NIST's path validation tests (PKITS), as far as they speak of one step: the
 * client's certificate under an anchor of the policy.  What they say of longer
 * paths (4.5, 4.6.5 to 17, 4.8 to 4.12) has one answer here: refused.  The
 * certificates are Debian's package python3-cryptography-vectors; without it
 * nothing is tested.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <openssl/x509.h>

#include "certauth.h"
#include "policy.h"

#define FOLDER	"/usr/lib/python3/dist-packages/cryptography_vectors/x509/" \
	"PKITS_data/certs/"
#define NOW	INT64_C(1700000000)	/* PKITS lives from 2010 to 2030 */

static const struct {
	const char	*ee, *anchor;
	bool		 good;
} cases[] = {
	/* 4.1 signatures */
	{ "ValidCertificatePathTest1EE", "GoodCACert", true },
	{ "InvalidEESignatureTest3EE", "GoodCACert", false },
	{ "ValidDSASignaturesTest4EE", "DSACACert", false }, /* 80 bits */
	{ "InvalidDSASignatureTest6EE", "DSACACert", false },
	/* 4.2 validity */
	{ "InvalidEEnotBeforeDateTest2EE", "GoodCACert", false },
	{ "Validpre2000UTCnotBeforeDateTest3EE", "GoodCACert", true },
	{ "ValidGeneralizedTimenotBeforeDateTest4EE", "GoodCACert", true },
	{ "InvalidEEnotAfterDateTest6EE", "GoodCACert", false },
	{ "Invalidpre2000UTCEEnotAfterDateTest7EE", "GoodCACert", false },
	{ "ValidGeneralizedTimenotAfterDateTest8EE", "GoodCACert", true },
	/* 4.3 names */
	{ "InvalidNameChainingTest1EE", "GoodCACert", false },
	{ "InvalidNameChainingOrderTest2EE", "NameOrderingCACert", false },
	{ "ValidNameChainingWhitespaceTest3EE", "GoodCACert", true },
	{ "ValidNameChainingWhitespaceTest4EE", "GoodCACert", true },
	{ "ValidNameChainingCapitalizationTest5EE", "GoodCACert", true },
	{ "ValidNameUIDsTest6EE", "UIDCACert", true },
	{ "ValidRFC3280MandatoryAttributeTypesTest7EE",
	    "RFC3280MandatoryAttributeTypesCACert", true },
	{ "ValidRFC3280OptionalAttributeTypesTest8EE",
	    "RFC3280OptionalAttributeTypesCACert", true },
	{ "ValidUTF8StringEncodedNamesTest9EE",
	    "UTF8StringEncodedNamesCACert", true },
	{ "ValidRolloverfromPrintableStringtoUTF8StringTest10EE",
	    "RolloverfromPrintableStringtoUTF8StringCACert", true },
	{ "ValidUTF8StringCaseInsensitiveMatchTest11EE",
	    "UTF8StringCaseInsensitiveMatchCACert", true },
	/* 4.4 serial numbers */
	{ "ValidNegativeSerialNumberTest14EE", "NegativeSerialNumberCACert",
	    true },
	{ "ValidLongSerialNumberTest16EE", "LongSerialNumberCACert", true },
	{ "ValidLongSerialNumberTest17EE", "LongSerialNumberCACert", true },
	/* 4.6 basic constraints of the anchor */
	{ "InvalidMissingbasicConstraintsTest1EE",
	    "MissingbasicConstraintsCACert", false },
	{ "InvalidcAFalseTest2EE", "basicConstraintsCriticalcAFalseCACert",
	    false },
	{ "InvalidcAFalseTest3EE", "basicConstraintsNotCriticalcAFalseCACert",
	    false },
	{ "ValidbasicConstraintsNotCriticalTest4EE",
	    "basicConstraintsNotCriticalCACert", true },
	{ "ValidpathLenConstraintTest7EE", "pathLenConstraint0CACert", true },
	/* 4.7 key usage of the anchor */
	{ "InvalidkeyUsageCriticalkeyCertSignFalseTest1EE",
	    "keyUsageCriticalkeyCertSignFalseCACert", false },
	{ "InvalidkeyUsageNotCriticalkeyCertSignFalseTest2EE",
	    "keyUsageNotCriticalkeyCertSignFalseCACert", false },
	{ "ValidkeyUsageNotCriticalTest3EE", "keyUsageNotCriticalCACert",
	    true },
	/* 4.13 name constraints of the anchor */
	{ "ValidDNnameConstraintsTest1EE", "nameConstraintsDN1CACert", true },
	{ "InvalidDNnameConstraintsTest2EE", "nameConstraintsDN1CACert",
	    false },
	{ "InvalidDNnameConstraintsTest3EE", "nameConstraintsDN1CACert",
	    false },
	{ "ValidDNnameConstraintsTest4EE", "nameConstraintsDN1CACert", true },
	{ "ValidDNnameConstraintsTest5EE", "nameConstraintsDN2CACert", true },
	{ "ValidDNnameConstraintsTest6EE", "nameConstraintsDN3CACert", true },
	{ "InvalidDNnameConstraintsTest7EE", "nameConstraintsDN3CACert",
	    false },
	{ "InvalidDNnameConstraintsTest8EE", "nameConstraintsDN4CACert",
	    false },
	{ "InvalidDNnameConstraintsTest9EE", "nameConstraintsDN4CACert",
	    false },
	{ "InvalidDNnameConstraintsTest10EE", "nameConstraintsDN5CACert",
	    false },
	{ "ValidDNnameConstraintsTest11EE", "nameConstraintsDN5CACert",
	    true },
	{ "ValidRFC822nameConstraintsTest21EE", "nameConstraintsRFC822CA1Cert",
	    true },
	{ "InvalidRFC822nameConstraintsTest22EE",
	    "nameConstraintsRFC822CA1Cert", false },
	{ "ValidRFC822nameConstraintsTest23EE", "nameConstraintsRFC822CA2Cert",
	    true },
	{ "InvalidRFC822nameConstraintsTest24EE",
	    "nameConstraintsRFC822CA2Cert", false },
	{ "ValidRFC822nameConstraintsTest25EE", "nameConstraintsRFC822CA3Cert",
	    true },
	{ "InvalidRFC822nameConstraintsTest26EE",
	    "nameConstraintsRFC822CA3Cert", false },
	{ "ValidDNandRFC822nameConstraintsTest27EE",
	    "nameConstraintsDN1subCA3Cert", true },
	{ "InvalidDNandRFC822nameConstraintsTest29EE",
	    "nameConstraintsDN1subCA3Cert", false },
	{ "ValidDNSnameConstraintsTest30EE", "nameConstraintsDNS1CACert",
	    true },
	{ "InvalidDNSnameConstraintsTest31EE", "nameConstraintsDNS1CACert",
	    false },
	{ "ValidDNSnameConstraintsTest32EE", "nameConstraintsDNS2CACert",
	    true },
	{ "InvalidDNSnameConstraintsTest33EE", "nameConstraintsDNS2CACert",
	    false },
	{ "ValidURInameConstraintsTest34EE", "nameConstraintsURI1CACert",
	    true },
	{ "InvalidURInameConstraintsTest35EE", "nameConstraintsURI1CACert",
	    false },
	{ "ValidURInameConstraintsTest36EE", "nameConstraintsURI2CACert",
	    true },
	{ "InvalidURInameConstraintsTest37EE", "nameConstraintsURI2CACert",
	    false },
	{ "InvalidDNSnameConstraintsTest38EE", "nameConstraintsDNS1CACert",
	    false },
	/*
	 * 4.4, 4.14, 4.15 revocation lists: whose certificate is one of ours
	 * a row says; the lists of others the web server reads.
	 */
	{ "InvalidRevokedEETest3EE", "GoodCACert", true },
	{ "InvalidMissingCRLTest1EE", "NoCRLCACert", true },
	{ "InvaliddistributionPointTest2EE", "distributionPoint1CACert",
	    true },
	{ "InvaliddeltaCRLTest3EE", "deltaCRLCA1Cert", true },
	/* 4.8 to 4.12 policies: none is asked for, none is refused. */
	{ "AllCertificatesNoPoliciesTest2EE", "NoPoliciesCACert", true },
	{ "DifferentPoliciesTest12EE", "PoliciesP3CACert", true },
	{ "UserNoticeQualifierTest16EE", "GoodCACert", true },
	{ "InvalidinhibitAnyPolicyTest1EE", "inhibitAnyPolicy0CACert", true },
	{ "InvalidMappingFromanyPolicyTest7EE", "MappingFromanyPolicyCACert",
	    true },
	/* 4.16 private extensions */
	{ "ValidUnknownNotCriticalCertificateExtensionTest1EE",
	    "TrustAnchorRootCertificate", true },
	{ "InvalidUnknownCriticalCertificateExtensionTest2EE",
	    "TrustAnchorRootCertificate", false },
	/* A CA in between is none of the policy's. */
	{ "ValidCertificatePathTest1EE", "TrustAnchorRootCertificate", false },
	{ "ValidpathLenConstraintTest7EE", "TrustAnchorRootCertificate",
	    false },
	/* Another CA than its own. */
	{ "ValidCertificatePathTest1EE", "UIDCACert", false },
};
#define NCASES	(sizeof(cases) / sizeof(cases[0]))

static X509 *
load(const char *name)
{
	char path[256];
	FILE *f;
	X509 *x;

	snprintf(path, sizeof(path), FOLDER "%s.crt", name);
	if ((f = fopen(path, "r")) == NULL)
		fail_msg("%s is missing", path);
	x = d2i_X509_fp(f, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

static bool
accepted(const char *ee, const char *anchor, struct err *err)
{
	struct policy p = { .trust = X509_STORE_new() };
	struct buf issuer = { 0 };
	X509 *x = load(ee), *ca = load(anchor);
	int rc;

	assert_int_equal(X509_STORE_add_cert(p.trust, ca), 1);
	rc = certauth_chain(&p, x, NOW, &issuer, err);
	assert_int_equal(rc == 0, issuer.n > 0);
	buf_free(&issuer);
	X509_free(x);
	X509_free(ca);
	X509_STORE_free(p.trust);
	return rc == 0;
}

static void
paths(void **state)
{
	struct err err;
	struct stat st;
	size_t i, wrong = 0;

	(void)state;
	if (stat(FOLDER, &st) != 0) {
		print_message("no PKITS in " FOLDER "\n");
		skip();
	}
	for (i = 0; i < NCASES; i++) {
		memset(&err, 0, sizeof(err));
		if (accepted(cases[i].ee, cases[i].anchor, &err) ==
		    cases[i].good)
			continue;
		print_error("%s under %s: %s\n", cases[i].ee, cases[i].anchor,
		    cases[i].good ? err.text : "accepted");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* All files of PKITS with this end of the name. */
static size_t
load_all(const char *end, X509 *out[], size_t max)
{
	char name[256];
	struct dirent *d;
	size_t n = 0, len;
	DIR *dir = opendir(FOLDER);

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		len = strlen(d->d_name);
		if (len < strlen(end) + 4 || strncmp(d->d_name + len -
		    strlen(end) - 4, end, strlen(end)) != 0)
			continue;
		assert_true(n < max);
		snprintf(name, sizeof(name), "%.*s", (int)len - 4, d->d_name);
		out[n++] = load(name);
	}
	closedir(dir);
	return n;
}

static size_t
count_accepted(X509 *ca, X509 *const *ee, size_t n)
{
	struct policy p = { .trust = X509_STORE_new() };
	struct err err;
	size_t i, good = 0;

	assert_int_equal(X509_STORE_add_cert(p.trust, ca), 1);
	for (i = 0; i < n; i++) {
		struct buf issuer = { 0 };

		memset(&err, 0, sizeof(err));
		if (certauth_chain(&p, ee[i], NOW, &issuer, &err) == 0) {
			assert_int_equal(X509_verify(ee[i],
			    X509_get0_pubkey(ca)), 1);
			good++;
		}
		buf_free(&issuer);
	}
	X509_STORE_free(p.trust);
	return good;
}

/* No anchor makes good what it has not signed itself. */
static void
one_step(void **state)
{
	X509 *ee[400], *ca[400];
	size_t i, n, m, good = 0;
	struct stat st;

	(void)state;
	if (stat(FOLDER, &st) != 0)
		skip();
	n = load_all("EE", ee, 400);
	m = load_all("Cert", ca, 400);
	assert_true(n > 200 && m > 150);
	for (i = 0; i < m; i++)
		good += count_accepted(ca[i], ee, n);
	/* The certificate of each is somewhere among them. */
	assert_true(good > 150 && good < 2 * n);
	for (i = 0; i < n; i++)
		X509_free(ee[i]);
	for (i = 0; i < m; i++)
		X509_free(ca[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths), cmocka_unit_test(one_step)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
