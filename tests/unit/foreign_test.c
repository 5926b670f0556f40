/* Renewals of what a CA signed before it came here, and of another CA's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "renewal.h"
#include "renewal_fixture.h"

/* As AD CS writes it: the OID with a version, or the name alone. */
static void
make_earlier(EVP_PKEY *signer, const char *oid, const char *value, int n)
{
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	X509_EXTENSION *e;

	ASN1_OCTET_STRING_set(octets, (const unsigned char *)value, n);
	e = X509_EXTENSION_create_by_OBJ(NULL, o, 0, octets);
	assert_non_null(e);
	make_one(signer, NULL, e, &old_der);
	X509_EXTENSION_free(e);
	ASN1_OBJECT_free(o);
	ASN1_OCTET_STRING_free(octets);
}

#define BY_OID	"1.3.6.1.4.1.311.21.7"
#define BY_NAME	"1.3.6.1.4.1.311.20.2"
/* 1.3.6.1.4.1.99999.2.n, version 1.2 */
#define V2(n)	"\x30\x12\x06\x0a\x2b\x06\x01\x04\x01\x86\x8d\x1f\x02" n \
    "\x02\x01\x01\x02\x01\x02"

/* No row, and somebody has looked whether it is revoked. */
static void
ask_earlier(struct ask *q, const char *tmpl, struct issued_set *set)
{
	ask_for(q, tmpl, "");
	q->in.issued[0] = NULL;
	q->in.certs = set;
}

#define CAME	(NOW - 3600)

static struct issued_set *
new_set(int64_t came)
{
	struct issued_set *set = issued_new();

	issued_add_came(set, "Two", NOW);
	if (came != 0)
		issued_add_came(set, "CA", came);
	return set;
}

static void
grants_anew(struct ask *q, bool pending)
{
	if (decide(&q->in, &q->decision, &q->err) == -1)
		fail_msg("%s", q->err.text);
	assert_null(q->decision.renews);
	assert_int_equal(q->decision.pending, pending);
	decision_free(&q->decision);
	done(q);
}

static struct slice
number_of_old(uint8_t out[SERIAL_LEN])
{
	memset(out, 0, SERIAL_LEN);
	out[0] = 0x61;
	out[1] = 1;
	return slice_of(out, SERIAL_LEN);
}

/* The account has the right and has logged on, and the certificate lasts. */
static void
denies_whoever_may_not(struct issued_set *set)
{
	struct ask q;

	ask_earlier(&q, "Plain", set);
	q.account.groups.n = 0;
	denies(&q, CERTSRV_E_TEMPLATE_DENIED, "none of the groups");
	/* Whoever does not log on, or may not ask for a new one there. */
	ask_earlier(&q, "Plain", set);
	q.in.method = AUTH_ANONYMOUS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was issued elsewhere: log on");
	ask_earlier(&q, "Plain", set);
	q.in.method = AUTH_OPERATOR;
	q.in.account = NULL;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was issued elsewhere: log on");
	ask_earlier(&q, "Plain", set);
	q.in.method = AUTH_KERBEROS;
	denies(&q, CERTSRV_E_ENROLL_DENIED, "was issued elsewhere: log on");
	ask_earlier(&q, "Plain", set);
	q.in.now = NOW + 86400 + 1;
	denies(&q, CERT_E_EXPIRED, "renewal-grace is 0 s");
	ask_earlier(&q, "Plain", set);
	q.in.now = NOW - 86400 - 1;
	denies(&q, CERT_E_EXPIRED, "not valid yet");
}

/* Signed by the CA's key elsewhere: a request for a new one, or refused. */
static void
test_earlier(void **state)
{
	struct issued_set *set = new_set(CAME), *other;
	uint8_t number[SERIAL_LEN];
	struct buf real = old_der;
	struct ask q;

	(void)state;
	old_der = (struct buf){ 0 };
	make_earlier(ca_key, BY_OID, V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	ask_earlier(&q, "Plain", NULL);		/* nobody looked */
	denies(&q, CERT_E_UNTRUSTEDROOT, "4001 was not issued by ca CA");
	other = new_set(0);		/* no list says that it came here */
	ask_earlier(&q, "Plain", other);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	issued_free(other);
	other = new_set(NOW - 86400 - 1);	/* and begins behind that */
	ask_earlier(&q, "Plain", other);
	denies(&q, CERT_E_UNTRUSTEDROOT, "since ca CA came here");
	issued_free(other);
	ask_earlier(&q, "Plain", set);
	q.request.signer[0].verified = false;
	denies(&q, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE, "not a signer");
	/* A row of that number is another certificate's. */
	ask_earlier(&q, "Plain", set);
	q.in.issued[0] = &q.old;
	q.old.der.p[q.old.der.n - 1] ^= 1;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	denies_whoever_may_not(set);
	/* What approves a renewal by itself approves nothing here. */
	make_earlier(ca_key, BY_OID, V2("\x04"), 20);
	ask_earlier(&q, "Seen", set);
	grants_anew(&q, true);
	make_earlier(ca_key, BY_OID, V2("\x08"), 20);
	ask_earlier(&q, "Nobody", set);
	same_names(&q);
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "");
	/* Revoked is what the same key issued under the number. */
	issued_add_revoked(set, "Two", number_of_old(number));
	make_earlier(ca_key, BY_OID, V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	issued_add_revoked(set, "CA", number_of_old(number));
	ask_earlier(&q, "Plain", set);
	denies(&q, CRYPT_E_REVOKED, "is revoked");
	issued_free(set);
	buf_free(&old_der);
	old_der = real;
}

/* The template was the CA's that came here, and is another's now. */
static void
test_earlier_of_another(void **state)
{
	struct issued_set *set = issued_new(), *none = issued_new();
	EVP_PKEY *two = EVP_EC_gen("P-256");
	uint8_t number[SERIAL_LEN];
	struct buf real = old_der;
	struct ask q;

	(void)state;
	old_der = (struct buf){ 0 };
	attach_to("Two", two);
	issued_add_came(set, "Two", CAME);
	make_earlier(two, BY_OID, V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	ask_earlier(&q, "Plain", none);		/* nothing came here */
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	issued_add_came(none, "Two", NOW - 86400 - 1);
	ask_earlier(&q, "Plain", none);
	denies(&q, CERT_E_UNTRUSTEDROOT, "since ca Two came here");
	denies_whoever_may_not(set);
	issued_add_revoked(set, "CA", number_of_old(number));
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	issued_add_revoked(set, "Two", number_of_old(number));
	ask_earlier(&q, "Plain", set);
	denies(&q, CRYPT_E_REVOKED, "is revoked");
	issued_free(none);
	issued_free(set);
	EVP_PKEY_free(two);
	buf_free(&old_der);
	old_der = real;
}

/* Which template it was of, whose it may be, and which it cannot be. */
static void
test_earlier_forms(void **state)
{
	static const struct {
		const char *oid, *value, *words;
		int n;
	} v[] = {
		{ BY_OID, V2("\x01"), NULL, 20 },
		{ BY_OID, "\x30\x0b\x06\x0a\x2b\x06\x01\x04\x01\x86\x8d"
		    "\x1f\x02", "names no template", 13 },
		{ BY_OID, V2("\x01"), "names no template", 19 },
		{ BY_OID, V2("\x02"), "is of template Next, which", 20 },
		{ BY_OID, V2("\x63"), "1.3.6.1.4.1.99999.2.99, which", 20 },
		{ BY_NAME, "\x1e\x0a\0p\0L\0a\0i\0n", NULL, 12 },
		{ BY_NAME, "\x1e\x08\0N\0e\0x\0t", "of template Next, ", 10 },
		{ BY_NAME, "\x1e\x08\0N\0e\0x\0t", "names no template", 9 },
		{ "1.3.6.1.4.1.311.21.8", V2("\x01"), "names no template", 20 }
	};
	const int early = ISSUED_EARLY;
	struct issued_set *set = new_set(CAME);
	struct buf real = old_der;
	struct ask q;
	size_t i;

	(void)state;
	old_der = (struct buf){ 0 };
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		make_earlier(ca_key, v[i].oid, v[i].value, v[i].n);
		ask_earlier(&q, "Plain", set);
		if (v[i].words == NULL)
			grants_anew(&q, false);
		else
			denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, v[i].words);
		/* The same, had another key signed it. */
		make_earlier(pkey, v[i].oid, v[i].value, v[i].n);
		ask_earlier(&q, "Plain", set);
		denies(&q, CERT_E_UNTRUSTEDROOT, "not issued by ca CA");
	}
	make_earlier(ca_key, BY_OID, V2("\x03"), 20);
	ask_earlier(&q, "Same", set);
	grants_anew(&q, false);
	ask_earlier(&q, "Same", set);
	q.key.spki = slice_str("another");
	denies(&q, CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY, "renewal-same-key");
	/* Drawn by a signer here: that its row is lost makes it no older. */
	make_old(ca_key, &early, &old_der);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "but no record of it is here");
	issued_free(set);
	buf_free(&old_der);
	old_der = real;
}

static EVP_PKEY *other_key;

/* The fixture's policy, with one section more for this CA. */
static struct policy *
read_with(const char *section, struct slice cert, struct err *err)
{
	struct buf all = { 0 };
	struct policy *p;
	char b64[4096];

	EVP_EncodeBlock((unsigned char *)b64, cert.p, (int)cert.n);
	buf_printf(&all, "%strusted-ca \"Old\" { certificate = {\"%s\"} %s }",
	    text, b64, section);
	p = policy_parse(buf_slice(&all), err);
	buf_free(&all);
	return p;
}

static struct buf
cert_of(const char *cn, EVP_PKEY *key)
{
	X509 *x = fixture_cert(cn, key, NULL, key);
	struct buf der = { 0 };
	uint8_t *p = NULL;
	int n = i2d_X509(x, &p);

	buf_add(&der, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(x);
	return der;
}

static void
trust(const char *section, EVP_PKEY *key)
{
	struct err err = ERR_INIT;
	struct buf der = cert_of("Old", key);

	policy_free(policy);
	policy = read_with(section, buf_slice(&der), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	attach(ca_key);
	buf_free(&der);
}

#define NAMED	"renewals = true"
#define LOGS_ON	"map = san-upn groups = {\"staff\"}"

/* By another CA's key, which no list brought here. */
static void
test_other_ca(void **state)
{
	const int early = ISSUED_EARLY;
	struct issued_set *set = issued_new();
	uint8_t number[SERIAL_LEN];
	struct buf real = old_der;
	struct ask q;

	(void)state;
	old_der = (struct buf){ 0 };
	other_key = EVP_EC_gen("P-256");
	make_earlier(other_key, BY_OID, V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	trust(LOGS_ON, other_key);		/* that is no renewal */
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	trust(LOGS_ON " renewals = false", other_key);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	trust(LOGS_ON " renewals = true", other_key);
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	trust(NAMED, pkey);			/* the same name, another key */
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	trust(NAMED, other_key);
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	ask_earlier(&q, "Plain", NULL);		/* nobody looked for a row */
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	ask_earlier(&q, "Plain", set);
	q.in.issued[0] = &q.old;		/* that number has one */
	q.old.der.p[q.old.der.n - 1] ^= 1;
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	ask_earlier(&q, "Plain", set);
	q.request.signer[0].verified = false;
	denies(&q, CERTSRV_E_BAD_RENEWAL_CERT_ATTRIBUTE, "not a signer");
	/* What is revoked under its number is another's, ours. */
	issued_add_revoked(set, "CA", number_of_old(number));
	issued_add_revoked(set, "Old", number_of_old(number));
	ask_earlier(&q, "Plain", set);
	grants_anew(&q, false);
	denies_whoever_may_not(set);
	ask_earlier(&q, "Next", set);		/* it supersedes Plain */
	grants_anew(&q, true);
	ask_earlier(&q, "Seen", set);
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "is of template Plain, which");
	make_earlier(other_key, BY_OID, V2("\x04"), 20);
	ask_earlier(&q, "Seen", set);
	grants_anew(&q, true);
	make_earlier(other_key, BY_OID, V2("\x08"), 20);
	ask_earlier(&q, "Nobody", set);
	same_names(&q);
	denies(&q, CERTSRV_E_BAD_REQUESTSUBJECT, "");
	make_earlier(other_key, "1.3.6.1.4.1.311.21.8", V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERTSRV_E_TEMPLATE_CONFLICT, "names no template");
	make_earlier(other_key, BY_OID, V2("\x03"), 20);
	ask_earlier(&q, "Same", set);
	q.key.spki = slice_str("another");
	denies(&q, CERTSRV_E_RENEWAL_BAD_PUBLIC_KEY, "renewal-same-key");
	/* A signer drew its number, if of another Countersign. */
	make_old(other_key, &early, &old_der);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "but no record of it is here");
	/* Ours come in by no other certificate of our key. */
	trust(NAMED, ca_key);
	make_earlier(ca_key, BY_OID, V2("\x01"), 20);
	ask_earlier(&q, "Plain", set);
	denies(&q, CERT_E_UNTRUSTEDROOT, "was not issued by ca CA");
	issued_free(set);
	EVP_PKEY_free(other_key);
	buf_free(&old_der);
	old_der = real;
}

/* A CA that nobody can renew by is no section to publish. */
static void
test_unknown_key(void **state)
{
	static const uint8_t oid[] = "\x2a\x86\x48\xce\x3d\x02\x01";
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct buf der = cert_of("Old", key);
	struct err err = ERR_INIT;
	uint8_t *at = memmem(der.p, der.n, oid, sizeof(oid) - 1);

	(void)state;
	assert_non_null(at);
	at[6] = 0x77;
	assert_null(read_with(NAMED, buf_slice(&der), &err));
	assert_non_null(strstr(err.text, "trusted-ca Old: certificate: has a "
	    "key of no kind that is known"));
	EVP_PKEY_free(key);
	buf_free(&der);
}

static void
claims(bool good)
{
	struct err err = ERR_INIT;
	struct ask q;

	ask_for(&q, "Plain", "Plain");
	assert_int_equal(renewal_claimed(&q.request, &err), good ? 0 : -1);
	if (!good)
		assert_non_null(strstr(err.text, "log on at another address"));
	done(&q);
}

/* Where only renewals are taken: before anybody looks anything up. */
static void
test_claimed(void **state)
{
	const int early = ISSUED_EARLY, late = ISSUED_EARLY + 1024;
	struct buf real = old_der;

	(void)state;
	claims(true);
	old_der = (struct buf){ 0 };
	make_old(pkey, &early, &old_der);
	claims(true);
	make_old(ca_key, &late, &old_der);
	claims(false);
	make_old(ca_key, NULL, &old_der);
	claims(false);
	old_der.n--;
	claims(false);
	buf_free(&old_der);
	old_der = real;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_earlier),
		cmocka_unit_test(test_earlier_forms),
		cmocka_unit_test(test_earlier_of_another),
		cmocka_unit_test(test_claimed),
		cmocka_unit_test(test_other_ca),
		cmocka_unit_test(test_unknown_key),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
