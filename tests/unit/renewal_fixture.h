/*
 * A renewal to judge: a policy, its CA's key, an old certificate, and a request
 * that all of it fits.  For the tests of renewals, each with a copy of its own.
 */
#ifndef RENEWAL_FIXTURE_H
#define RENEWAL_FIXTURE_H

#include <cmocka.h>
#include <string.h>

#include "ca_fixture.h"
#include "decide.h"
#include "hresult.h"
#include "serial.h"

#define OIDS "1.3.6.1.4.1.99999.2."
#define COMMON "ca = {\"CA\"} validity = 1y enroll = {\"staff\"} " \
    "providers = {\"P\"} key-usage = {\"digital-signature\"} type = user " \
    "keys = {\"rsa:2048\"} "
#define MINE "names = account subject = {\"common-name\"} " \
    "eku = {\"code-signing\"} "
#define ASKED "names = request name-rules = {\"hosts\"} " \
    "eku = {\"server-authentication\"} "
#define NOW	1800000000
#define YEARS_5	(5 * 365 * 86400)

static const char text[] =
    "ca \"CA\" { uri \"password\" { uri = \"https://h.example/\" } }\n"
    "ca \"Two\" { uri \"password\" { uri = \"https://h.example/2\" } }\n"
    "name-rule \"hosts\" { groups = {\"ruled\"} dns = {\"*.a.example\"} }\n"
    "template \"Plain\" { " COMMON MINE " oid = \"" OIDS "1\"\n"
    "  renewal-anonymous = true }\n"
    "template \"Next\" { " COMMON MINE " oid = \"" OIDS "2\"\n"
    "  supersedes = {\"Plain\"} approval = manager\n"
    "  renewal-previous-approval = true renewal-anonymous = true }\n"
    "template \"Same\" { " COMMON MINE " oid = \"" OIDS "3\"\n"
    "  renewal-same-key = true renewal-max = 3 renewal-grace = 1h\n"
    "  renewal-max-age = 5y }\n"
    "template \"Seen\" { " COMMON MINE " oid = \"" OIDS "4\"\n"
    "  approval = manager renewal-previous-approval = true }\n"
    "template \"Shown\" { " COMMON " oid = \"" OIDS "5\" names = request\n"
    "  eku = {\"server-authentication\"}\n"
    "  approval = manager renewal-previous-approval = true }\n"
    "template \"Host\" { " COMMON ASKED " oid = \"" OIDS "6\"\n"
    "  renewal-previous-approval = true renewal-anonymous = true }\n"
    "template \"Key\" { " COMMON ASKED " oid = \"" OIDS "7\"\n"
    "  renewal-previous-approval = true renewal-key-based = true }\n"
    "template \"Nobody\" { " COMMON ASKED " oid = \"" OIDS "8\"\n"
    "  renewal-previous-approval = true renewal-key-based = true\n"
    "  renewal-anonymous = true }\n";

static struct policy	*policy;
static EVP_PKEY		*pkey, *ca_key;
static struct buf	 old_der, spki;

struct ask {
	struct account	 account;
	char		*groups[2];
	struct pubkey	 key;
	struct request	 request;
	struct issued	 old;
	struct decide_ask in;
	struct decision	 decision;
	struct err	 err;
};

static inline char *
str(const char *s)
{
	return (char *)(uintptr_t)s;
}

/*
 * A certificate of CN=h.a.example with that name and an address in the SAN, its
 * number drawn so many seconds after it begins; NULL: by no signer of ours.
 * Perhaps with one extension more.
 */
static inline void
make_one(EVP_PKEY *signer, const int *after, X509_EXTENSION *more,
    struct buf *out)
{
	const int64_t begins = NOW - 86400;
	uint8_t drawn[SERIAL_LEN] = { 0x61, 1 };
	X509 *x = X509_new();
	struct err err = ERR_INIT;
	BIGNUM *number;
	X509_EXTENSION *e;
	uint8_t *p = NULL;
	int n;

	X509_set_version(x, 2);
	if (after != NULL)
		assert_int_equal(serial_new(begins + *after, 1, drawn, &err), 0);
	number = BN_bin2bn(drawn, sizeof(drawn), NULL);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	ASN1_TIME_set(X509_getm_notBefore(x), begins);
	ASN1_TIME_set(X509_getm_notAfter(x), NOW + 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_UTF8, (const unsigned char *)"h.a.example", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, pkey);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	    "DNS:h.a.example,IP:10.0.0.1");
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	if (more != NULL)
		X509_add_ext(x, more, -1);
	assert_true(X509_sign(x, signer, EVP_sha256()) > 0);
	n = i2d_X509(x, &p);
	buf_reset(out);
	buf_add(out, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(x);
}

static inline void
make_old(EVP_PKEY *signer, const int *after, struct buf *out)
{
	make_one(signer, after, NULL, out);
}

static inline void
attach_to(const char *name, EVP_PKEY *key)
{
	struct ca_key ca = { .ca = name, .name = name };
	struct err err = ERR_INIT;
	X509 *x = fixture_cert(name, key, NULL, key);
	uint8_t *p = NULL;
	int n = i2d_X509(x, &p);

	ca.cert = slice_of(p, (size_t)n);
	if (policy_attach_key(policy, &ca, &err) == -1)
		fail_msg("%s", err.text);
	OPENSSL_free(p);
	X509_free(x);
}

/* The CA has this key. */
static inline void
attach(EVP_PKEY *key)
{
	attach_to("CA", key);
}

static inline int
setup(void **state)
{
	const int early = ISSUED_EARLY;
	struct err err = ERR_INIT;
	uint8_t *p = NULL;
	int n;

	(void)state;
	policy = policy_parse(slice_str(text), &err);
	if (policy == NULL)
		fail_msg("%s", err.text);
	ca_key = EVP_EC_gen("P-384");
	pkey = EVP_RSA_gen(2048);
	assert_non_null(pkey);
	attach(ca_key);
	make_old(ca_key, &early, &old_der);
	n = i2d_PUBKEY(pkey, &p);
	buf_add(&spki, p, (size_t)n);
	OPENSSL_free(p);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	policy_free(policy);
	EVP_PKEY_free(pkey);
	EVP_PKEY_free(ca_key);
	buf_free(&old_der);
	buf_free(&spki);
	return 0;
}

static inline void
join(struct ask *q, const char *group)
{
	q->groups[q->account.groups.n++] = str(group);
	strlist_sort(&q->account.groups);
}

/* A good renewal by this template of an old certificate of that one. */
static inline void
ask_for(struct ask *q, const char *tmpl, const char *old)
{
	memset(q, 0, sizeof(*q));
	q->account.name = str("ada");
	q->account.cn = str("Ada");
	q->account.groups.v = q->groups;
	join(q, "staff");
	q->key.kind = KEY_RSA;
	q->key.bits = 2048;
	q->key.spki = buf_slice(&spki);
	q->request.key = &q->key;
	q->request.hint[0].name = str(tmpl);
	q->request.nhint = 1;
	q->request.old_cert = buf_slice(&old_der);
	q->request.signer[0].cert = buf_slice(&old_der);
	q->request.signer[0].serial = slice_of("\x40\x01", 2);
	q->request.signer[0].verified = true;
	q->request.nsigner = 1;
	buf_add(&q->old.der, old_der.p, old_der.n);
	buf_add(&q->old.serial, "\x40\x01", 2);
	q->old.ca = str("CA");
	q->old.account = str("ada");
	q->old.template = str(old);
	q->old.not_before = q->old.chain_start = NOW - 86400;
	q->old.not_after = NOW + 86400;
	pubkey_sha256(&q->key, q->old.spki);
	q->in = (struct decide_ask){ .policy = policy, .ca = "CA",
	    .account = &q->account, .method = AUTH_PASSWORD,
	    .request = &q->request, .issued = { &q->old, NULL }, .now = NOW };
}

/* The names of the certificate, as a request has them. */
static inline void
same_names(struct ask *q)
{
	names_add_rdn(&q->request.names, "CN", "h.a.example");
	names_add_san(&q->request.names, SAN_IP, "10.0.0.1");
	names_add_san(&q->request.names, SAN_DNS, "H.a.example");
}

static inline void
done(struct ask *q)
{
	buf_free(&q->old.der);
	buf_free(&q->old.serial);
	names_free(&q->request.names);
}

static inline void
denies(struct ask *q, uint32_t hresult, const char *words)
{
	if (decide(&q->in, &q->decision, &q->err) == 0)
		fail_msg("wanted a refusal: %s", words);
	assert_int_equal(q->err.kind, ERR_DENIED);
	if (q->err.hresult != hresult || strstr(q->err.text, words) == NULL)
		fail_msg("wanted %08x %s, got %08x %s", hresult, words,
		    q->err.hresult, q->err.text);
	done(q);
}

#endif
