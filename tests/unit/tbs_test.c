/* A certificate as OpenSSL reads it, and what no template can get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca_fixture.h"
#include "certlint.h"
#include "der.h"
#include "hresult.h"
#include "oid.h"
#include "tbs.h"

#define NOW	((int64_t)time(NULL))

#define SMIME	"1.2.840.113549.1.9.15"

struct fixture {
	struct ca_fixture	 files;
	struct ca		*ca;
	struct template		 tmpl;
	struct policy_ca	 pca;
	struct decision		 decision;
	struct buf		 spki;
	struct tbs		 tbs;
	char			*eku[3], *uri[2];
};

static char client_auth[] = "1.3.6.1.5.5.7.3.2";
static char server_auth[] = "1.3.6.1.5.5.7.3.1";
static char any_eku[] = "2.5.29.37.0";
static char template_oid[] = "1.3.6.1.4.1.311.21.8.1.2.3";
static char policy_oid[] = "1.3.6.1.4.1.99999.1";
static char uri[] = "http://pki.example/ca.crl";
static char cn[] = "Machine";

/* DER of a fresh public key. */
static void
new_key(struct fixture *f, const char *kind)
{
	EVP_PKEY *key = fixture_key(kind);
	unsigned char *der = NULL;
	struct err err = ERR_INIT;
	int n = i2d_PUBKEY(key, &der);

	pubkey_free((struct pubkey *)(uintptr_t)f->tbs.key);
	buf_free(&f->spki);
	buf_add(&f->spki, der, (size_t)n);
	f->tbs.key = pubkey_parse(buf_slice(&f->spki), &err);
	assert_string_equal(err.text, "");
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

static void
set_up(struct fixture *f, const char *kind)
{
	struct err err = ERR_INIT;

	memset(f, 0, sizeof(*f));
	fixture_make(&f->files, kind);
	f->ca = fixture_ca(&f->files);
	f->eku[0] = client_auth;
	f->eku[1] = server_auth;
	f->uri[0] = uri;
	f->tmpl.cn = cn;
	f->tmpl.oid = template_oid;
	assert_int_equal(oid_parse(template_oid, &f->tmpl.oid_der, &err), 0);
	f->tmpl.schema = 2;
	f->tmpl.major = 100;
	f->tmpl.minor = 7;
	f->tmpl.validity = 30 * 86400;
	f->tmpl.key_usage = 1 | 1 << 2;	/* digitalSignature, keyEnciph. */
	f->tmpl.key_usage_critical = true;
	f->tmpl.eku = (struct strlist){ f->eku, 2 };
	f->tmpl.application_policies = true;
	f->pca.cdp = f->pca.aia = f->pca.ocsp = (struct strlist){ f->uri, 1 };
	f->decision.tmpl = &f->tmpl;
	f->decision.ca = &f->pca;
	names_add_rdn(&f->decision.names, "CN", "host.example");
	names_add_san(&f->decision.names, SAN_DNS, "host.example");
	f->decision.sid = "S-1-5-21-1-2-3-1104";
	f->tbs.ca = f->ca;
	f->tbs.decision = &f->decision;
	new_key(f, "rsa:2048");
	assert_int_equal(tbs_validity(&f->tbs, NOW, &err), 0);
	assert_int_equal(serial_new(NOW, 9, f->tbs.serial, &err), 0);
}

static void
tear_down(struct fixture *f)
{
	pubkey_free((struct pubkey *)(uintptr_t)f->tbs.key);
	names_free(&f->decision.names);
	buf_free(&f->tmpl.oid_der);
	buf_free(&f->spki);
	ca_free(f->ca);
	fixture_remove(&f->files);
}

static X509 *
certificate(struct fixture *f)
{
	struct err err = ERR_INIT;
	struct buf tbs = { 0 }, sig = { 0 }, cert = { 0 };
	const unsigned char *p;
	X509 *x;

	assert_int_equal(tbs_build(&f->tbs, &tbs, &err), 0);
	assert_int_equal(cakey_sign(f->ca->key, buf_slice(&tbs), true, &sig,
	    &err), 0);
	tbs_certificate(f->ca, buf_slice(&tbs), buf_slice(&sig), &cert);
	p = cert.p;
	x = d2i_X509(NULL, &p, (long)cert.n);
	assert_non_null(x);
	assert_ptr_equal(p, cert.p + cert.n);
	buf_free(&tbs);
	buf_free(&sig);
	buf_free(&cert);
	return x;
}

static void
refused(struct fixture *f, uint32_t hresult, const char *text)
{
	struct err err = ERR_INIT;
	struct buf out = { 0 };

	assert_int_equal(tbs_build(&f->tbs, &out, &err), -1);
	assert_int_equal(out.n, 0);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(err_hresult(&err), hresult);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* extnValue of an OID, or NULL; *critical and the number of them. */
static const ASN1_OCTET_STRING *
extension(X509 *x, const char *oid, bool *critical)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	int i = X509_get_ext_by_OBJ(x, o, -1);
	X509_EXTENSION *e;

	if (i != -1)
		assert_int_equal(X509_get_ext_by_OBJ(x, o, i), -1);
	ASN1_OBJECT_free(o);
	if (i == -1)
		return NULL;
	e = X509_get_ext(x, i);
	*critical = X509_EXTENSION_get_critical(e) == 1;
	return X509_EXTENSION_get_data(e);
}

static void
has_bytes(X509 *x, const char *oid, bool critical, const void *p, size_t n)
{
	bool is_critical;
	const ASN1_OCTET_STRING *v = extension(x, oid, &is_critical);

	assert_non_null(v);
	assert_int_equal(is_critical, critical);
	assert_int_equal(ASN1_STRING_length(v), n);
	assert_memory_equal(ASN1_STRING_get0_data(v), p, n);
}
#define HAS(x, oid, critical, lit) \
	has_bytes(x, oid, critical, lit, sizeof(lit) - 1)

static void
verifies(struct fixture *f, X509 *x)
{
	const unsigned char *p = f->ca->cert.der.p;
	X509 *ca = d2i_X509(NULL, &p, (long)f->ca->cert.der.n);

	assert_int_equal(X509_verify(x, X509_get0_pubkey(ca)), 1);
	assert_int_equal(X509_check_issued(ca, x), X509_V_OK);
	assert_int_equal(X509_name_cmp(X509_get_issuer_name(x),
	    X509_get_subject_name(ca)), 0);
	X509_free(ca);
}

static void
fields_with(const char *kind, int sig_nid)
{
	struct fixture f;
	struct tm tm;
	X509 *x;
	BIGNUM *bn;
	unsigned char serial[SERIAL_LEN];
	char subject[128];

	set_up(&f, kind);
	x = certificate(&f);
	verifies(&f, x);
	assert_int_equal(X509_get_version(x), 2);
	assert_int_equal(X509_get_signature_nid(x), sig_nid);
	bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	assert_int_equal(BN_bn2binpad(bn, serial, SERIAL_LEN), SERIAL_LEN);
	assert_memory_equal(serial, f.tbs.serial, SERIAL_LEN);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
	assert_int_equal(timegm(&tm), f.tbs.not_before);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
	assert_int_equal(timegm(&tm), f.tbs.not_after);
	X509_NAME_oneline(X509_get_subject_name(x), subject,
	    sizeof(subject));
	assert_string_equal(subject, "/CN=host.example");
	assert_int_equal(X509_check_ca(x), 0);
	assert_int_equal(X509_check_host(x, "host.example", 0, 0, NULL), 1);
	assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE |
	    KU_KEY_ENCIPHERMENT);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT |
	    XKU_SSL_SERVER);
	BN_free(bn);
	X509_free(x);
	tear_down(&f);
}

static void
fields(void **state)
{
	(void)state;
	fields_with("rsa:2048", NID_sha256WithRSAEncryption);
	fields_with("P-256", NID_ecdsa_with_SHA256);
	fields_with("P-384", NID_ecdsa_with_SHA384);
}

/* Exact bytes of what OpenSSL does not interpret. */
static void
extensions(void **state)
{
	struct fixture f;
	char *policies[] = { policy_oid };
	bool critical;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	f.tmpl.policies = (struct strlist){ policies, 1 };
	x = certificate(&f);
	HAS(x, "2.5.29.15", true, "\x03\x02\x05\xa0");
	HAS(x, "1.3.6.1.4.1.311.21.7", false, "\x30\x14\x06\x0c\x2b\x06\x01"
	    "\x04\x01\x82\x37\x15\x08\x01\x02\x03\x02\x01\x64\x02\x01\x07");
	HAS(x, "1.3.6.1.4.1.311.21.10", false, "\x30\x18\x30\x0a\x06\x08\x2b"
	    "\x06\x01\x05\x05\x07\x03\x02\x30\x0a\x06\x08\x2b\x06\x01\x05"
	    "\x05\x07\x03\x01");
	HAS(x, "1.3.6.1.4.1.311.25.2", false, "\x30\x25\xa0\x23\x06\x0a\x2b"
	    "\x06\x01\x04\x01\x82\x37\x19\x02\x01\xa0\x15\x04\x13"
	    "S-1-5-21-1-2-3-1104");
	HAS(x, "2.5.29.31", false, "\x30\x21\x30\x1f\xa0\x1d\xa0\x1b\x86\x19"
	    "http://pki.example/ca.crl");
	assert_non_null(extension(x, "2.5.29.32", &critical));
	assert_non_null(extension(x, "1.3.6.1.5.5.7.1.1", &critical));
	assert_non_null(extension(x, "2.5.29.14", &critical));
	assert_null(extension(x, "2.5.29.19", &critical));
	assert_null(extension(x, "1.3.6.1.4.1.311.20.2", &critical));
	assert_null(extension(x, SMIME, &critical));
	assert_int_equal(X509_get_ext_count(x), 11);
	X509_free(x);
	tear_down(&f);
}

/* The client's own list, where the template asks for it: [RFC4262] 2. */
static void
smime(void **state)
{
	static const uint8_t list[] = "\x30\x0d\x30\x0b\x06\x09\x60\x86\x48"
	    "\x01\x65\x03\x04\x01\x2a";
	struct fixture f;
	bool critical;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	f.tmpl.smime_capabilities = true;
	x = certificate(&f);
	assert_null(extension(x, SMIME, &critical));
	X509_free(x);
	f.tbs.smime = slice_of(list, sizeof(list) - 1);
	x = certificate(&f);
	has_bytes(x, SMIME, false, list, sizeof(list) - 1);
	X509_free(x);
	f.tmpl.smime_capabilities = false;
	x = certificate(&f);
	assert_null(extension(x, SMIME, &critical));
	X509_free(x);
	tear_down(&f);
}

/* The least a template can say: and the name extension of schema 1. */
static void
bare(void **state)
{
	struct fixture f;
	bool critical;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	memset(&f.pca, 0, sizeof(f.pca));
	f.tmpl.schema = 1;
	f.tmpl.application_policies = false;
	f.decision.sid = NULL;
	x = certificate(&f);
	verifies(&f, x);
	HAS(x, "1.3.6.1.4.1.311.20.2", false,
	    "\x1e\x0e\0M\0a\0c\0h\0i\0n\0e");
	assert_null(extension(x, "1.3.6.1.4.1.311.21.7", &critical));
	assert_null(extension(x, "1.3.6.1.4.1.311.25.2", &critical));
	assert_int_equal(X509_get_ext_count(x), 6);
	X509_free(x);
	tear_down(&f);
}

/* An EC key cannot encipher keys: [RFC5480] 3. */
static void
ec_key(void **state)
{
	struct fixture f;
	X509 *x;

	(void)state;
	set_up(&f, "rsa:2048");
	new_key(&f, "P-256");
	x = certificate(&f);
	assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
	X509_free(x);
	tear_down(&f);
}

static void
empty_subject(void **state)
{
	struct fixture f;
	bool critical = false;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	names_free(&f.decision.names);
	names_add_san(&f.decision.names, SAN_DNS, "host.example");
	x = certificate(&f);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	assert_non_null(extension(x, "2.5.29.17", &critical));
	assert_true(critical);
	X509_free(x);
	names_free(&f.decision.names);
	refused(&f, CERTSRV_E_BAD_REQUESTSUBJECT, "neither");
	tear_down(&f);
}

static void
no_rights_of_a_ca(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, "P-256");
	f.tmpl.key_usage = 1 | 1 << 5;
	refused(&f, CERTSRV_E_TEMPLATE_DENIED, "key usage of a ca");
	f.tmpl.key_usage = 1 | 1 << 6;
	refused(&f, CERTSRV_E_TEMPLATE_DENIED, "key usage of a ca");
	f.tmpl.key_usage = 1;
	f.eku[1] = any_eku;
	refused(&f, CERTSRV_E_TEMPLATE_DENIED, "any extended");
	f.tmpl.eku.n = 0;
	refused(&f, CERTSRV_E_TEMPLATE_DENIED, "no extended");
	tear_down(&f);
}

static void
no_key_of_a_ca(void **state)
{
	struct fixture f;
	struct err err = ERR_INIT;
	struct pubkey *own;

	(void)state;
	set_up(&f, "P-256");
	own = (struct pubkey *)(uintptr_t)f.tbs.key;
	f.tbs.key = pubkey_parse(f.ca->cert.spki, &err);
	refused(&f, NTE_BAD_KEY, "public key is the ca's");
	pubkey_free((struct pubkey *)(uintptr_t)f.tbs.key);
	f.tbs.key = pubkey_parse(f.ca->chain[0].spki, &err);
	refused(&f, NTE_BAD_KEY, "public key is a ca's");
	pubkey_free((struct pubkey *)(uintptr_t)f.tbs.key);
	f.tbs.key = own;
	tear_down(&f);
}

static void
validity(void **state)
{
	struct fixture f;
	struct err err = ERR_INIT;
	int64_t now = NOW;

	(void)state;
	set_up(&f, "P-256");
	assert_int_equal(tbs_validity(&f.tbs, now, &err), 0);
	assert_int_equal(f.tbs.not_before, now - 600);
	assert_int_equal(f.tbs.not_after, now + 30 * 86400);
	/* Never beyond the CA's own, at either end. */
	f.tmpl.validity = INT64_C(100) * 365 * 86400;
	assert_int_equal(tbs_validity(&f.tbs, now, &err), 0);
	assert_int_equal(f.tbs.not_after, f.ca->not_after);
	assert_int_equal(tbs_validity(&f.tbs, f.ca->not_before + 1, &err),
	    0);
	assert_int_equal(f.tbs.not_before, f.ca->not_before);
	assert_int_equal(tbs_validity(&f.tbs, f.ca->not_after, &err), -1);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, ": its certificate ended 20"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(tbs_validity(&f.tbs, f.ca->not_before - 1, &err),
	    -1);
	assert_non_null(strstr(err.text, "is the clock right?"));
	tear_down(&f);
}

/* GeneralizedTime from 2050 on: [RFC5280] 4.1.2.5. */
static void
year_2050(void **state)
{
	struct fixture f;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	f.ca->not_after = INT64_C(2600000000);
	f.tbs.not_after = INT64_C(2524607999);	/* 2049-12-31 23:59:59 */
	x = certificate(&f);
	assert_int_equal(X509_get0_notAfter(x)->type, V_ASN1_UTCTIME);
	X509_free(x);
	f.tbs.not_after++;
	x = certificate(&f);
	assert_int_equal(X509_get0_notAfter(x)->type,
	    V_ASN1_GENERALIZEDTIME);
	X509_free(x);
	tear_down(&f);
}

/* The same decision and key give the same bytes. */
static void
deterministic(void **state)
{
	struct fixture f;
	struct err err = ERR_INIT;
	struct buf a = { 0 }, b = { 0 };

	(void)state;
	set_up(&f, "P-256");
	assert_int_equal(tbs_build(&f.tbs, &a, &err), 0);
	assert_int_equal(tbs_build(&f.tbs, &b, &err), 0);
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_free(&a);
	buf_free(&b);
	tear_down(&f);
}

/* Each key has a list of its own. */
static void
address_of_a_key(void **state)
{
	char pattern[] = "http://h.example/{key}.crl";
	char *list[] = { pattern };
	struct fixture f;
	GENERAL_NAME *name;
	DIST_POINT *point;
	CRL_DIST_POINTS *points;
	X509 *x;

	(void)state;
	set_up(&f, "P-256");
	f.pca.cdp = (struct strlist){ list, 1 };
	x = certificate(&f);
	points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
	assert_int_equal(sk_DIST_POINT_num(points), 1);
	point = sk_DIST_POINT_value(points, 0);
	name = sk_GENERAL_NAME_value(point->distpoint->name.fullname, 0);
	assert_string_equal(ASN1_STRING_get0_data(
	    name->d.uniformResourceIdentifier),
	    "http://h.example/Fixture.crl");
	CRL_DIST_POINTS_free(points);
	X509_free(x);
	tear_down(&f);
}

static void
too_big(void **state)
{
	struct fixture f;
	char *many[700];
	size_t i;

	(void)state;
	set_up(&f, "P-256");
	for (i = 0; i < 700; i++)
		many[i] = uri;
	f.pca.cdp = (struct strlist){ many, 700 };
	refused(&f, CERTSRV_E_TEMPLATE_DENIED, "rule size ");
	tear_down(&f);
}

/* What the lint adds to each certificate: printed, not judged. */
static void
lint_cost(void **state)
{
	struct fixture f;
	struct err err = ERR_INIT;
	struct certlint_ask ask = { .responder = false };
	struct buf tbs = { 0 };
	struct timespec a, b;
	const int n = 20000;
	int i;

	(void)state;
	set_up(&f, "P-256");
	assert_int_equal(tbs_build(&f.tbs, &tbs, &err), 0);
	ask.tbs = buf_slice(&tbs);
	ask.ca_subject = f.ca->cert.subject;
	ask.ca_spki = f.ca->cert.spki;
	ask.ca_ski = buf_slice(&f.ca->ski);
	ask.ca_not_before = f.ca->not_before;
	ask.ca_not_after = f.ca->not_after;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (i = 0; i < n; i++)
		assert_int_equal(certlint(&ask, &err), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	print_message("lint of %zu octets: %ld ns\n", tbs.n,
	    ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec) / n);
	buf_free(&tbs);
	tear_down(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(extensions), cmocka_unit_test(smime),
		cmocka_unit_test(bare),
		cmocka_unit_test(ec_key),
		cmocka_unit_test(empty_subject),
		cmocka_unit_test(no_rights_of_a_ca),
		cmocka_unit_test(no_key_of_a_ca),
		cmocka_unit_test(validity),
		cmocka_unit_test(year_2050),
		cmocka_unit_test(deterministic),
		cmocka_unit_test(address_of_a_key),
		cmocka_unit_test(lint_cost),
		cmocka_unit_test(too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
