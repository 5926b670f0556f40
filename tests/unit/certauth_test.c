/* Client certificate to account, against a database of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>

#include <cmocka.h>

#include <time.h>

#include "pg.h"
#include "ca_fixture.h"
#include "certauth.h"
#include "certlogon.h"
#include "hresult.h"
#include "log.h"
#include "serial.h"

#define POLICY								\
	"ca \"CA\" { uri \"certificate\" {"				\
	" uri = \"https://a.example/CES\" } }\n"			\
	"template \"User\" { oid = \"1.3.6.1.4.1.311.21.8.1.2.3.1.1\"\n" \
	"ca = {\"CA\"} type = user validity = 300d renewal = 6w\n"	\
	"enroll = {\"users\"} names = account subject = {\"common-name\"}\n" \
	"keys = {\"rsa:2048\"} key-usage = {\"digital-signature\"}\n"	\
	"providers = {\"Microsoft Software Key Storage Provider\"}\n"	\
	"eku = {\"client-authentication\"} }\n"

struct leaf {			/* what a made certificate is like */
	X509		*issuer;
	EVP_PKEY	*issuer_key;
	const char	*eku, *san, *cn;	/* NULL: none */
	long		 serial, from, to;	/* days */
	bool		 ca;
	const char	*uid;		/* in one part with cn */
	bool		 before;	/* its number is none of ours */
};

static struct pg	 pg;
static char		 worker[160], signer[160];
static struct snapshot	*snap;
static EVP_PKEY		*ca_key, *other_key, *key;
static X509		*ca, *other;
static int64_t		 today;

static void
owner(const char *sql)
{
	assert_int_equal(pg_sql(&pg, "countersign", sql), 0);
	assert_true(pg_told(&pg));
}

static void
der_of(X509 *x, struct buf *out)
{
	int	 n = i2d_X509(x, NULL);
	uint8_t	*at = buf_extend(out, (size_t)n);

	assert_int_equal(i2d_X509(x, &at), n);
}

/* As a signer draws it when usual() begins, but for what is random. */
static struct slice
draw(long serial, uint8_t out[SERIAL_LEN])
{
	struct err	err = ERR_INIT;

	assert_int_equal(serial_new(today - 86400, 1, out, &err), 0);
	memset(out + 5, 0, SERIAL_LEN - 6);
	out[SERIAL_LEN - 1] = (uint8_t)serial;
	return slice_of(out, SERIAL_LEN);
}

static struct slice
number_of(const struct leaf *l, uint8_t out[SERIAL_LEN])
{
	out[0] = (uint8_t)l->serial;
	return l->before ? slice_of(out, 1) : draw(l->serial, out);
}

static void
make(const struct leaf *l, struct buf *der)
{
	X509		*x = X509_new();
	X509_NAME	*n = X509_get_subject_name(x);
	uint8_t		 drawn[SERIAL_LEN];
	struct slice	 number = number_of(l, drawn);
	BIGNUM		*bn = BN_bin2bn(number.p, (int)number.n, NULL);

	buf_reset(der);
	X509_set_version(x, 2);
	BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
	BN_free(bn);
	ASN1_TIME_set(X509_getm_notBefore(x), today + l->from * 86400);
	ASN1_TIME_set(X509_getm_notAfter(x), today + l->to * 86400);
	if (l->cn != NULL)
		X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
		    (const unsigned char *)l->cn, -1, -1, 0);
	if (l->uid != NULL)
		X509_NAME_add_entry_by_txt(n, "UID", MBSTRING_UTF8,
		    (const unsigned char *)l->uid, -1, -1, -1);
	X509_set_issuer_name(x, X509_get_subject_name(l->issuer));
	X509_set_pubkey(x, key);
	fixture_ext(x, l->issuer, NID_authority_key_identifier, "keyid");
	if (l->ca)
		fixture_ext(x, l->issuer, NID_basic_constraints,
		    "critical,CA:TRUE");
	if (l->eku != NULL)
		fixture_ext(x, l->issuer, NID_ext_key_usage, l->eku);
	if (l->san != NULL)
		fixture_ext(x, l->issuer, NID_subject_alt_name, l->san);
	assert_true(X509_sign(x, l->issuer_key, EVP_sha256()) > 0);
	der_of(x, der);
	X509_free(x);
}

static struct leaf
usual(long serial)
{
	return (struct leaf){ ca, ca_key, "clientAuth", NULL, "alice", serial,
	    -1, 10, false, NULL, false };
}

static void
put_row(struct slice serial, const struct buf *der, const char *account)
{
	struct buf	sql = { 0 };

	buf_puts(&sql, "INSERT INTO countersign.certificate (serial, ca,"
	    " request_id, account, template, subject, san, not_before,"
	    " not_after, spki_sha256, der) VALUES ('\\x");
	buf_hex(&sql, serial.p, serial.n);
	buf_printf(&sql, "', 'CA',"
	    " '\\x00000000000000000000000000000000', '%s', 'User', '', '',"
	    " to_timestamp(%" PRId64 "), to_timestamp(%" PRId64 "), sha256(''),"
	    " '\\x", account, today - 86400, today + 10 * 86400);
	buf_hex(&sql, der->p, der->n);
	buf_puts(&sql, "')");
	owner(buf_str(&sql));
	buf_free(&sql);
}

static void
add_row(long serial, const struct buf *der, const char *account)
{
	uint8_t	drawn[SERIAL_LEN];

	put_row(draw(serial, drawn), der, account);
}

static void
revoke_row(long serial)
{
	struct buf	sql = { 0 };
	uint8_t		drawn[SERIAL_LEN];

	buf_puts(&sql, "UPDATE countersign.certificate SET revoked_at = now(),"
	    " revocation_reason = 4 WHERE serial = '\\x");
	buf_hex(&sql, draw(serial, drawn).p, SERIAL_LEN);
	buf_addc(&sql, '\'');
	owner(buf_str(&sql));
	buf_free(&sql);
}

/* hresult 0: accepted, and words is the account. */
static void
says(bool again, struct slice der, int64_t days, uint32_t hresult,
    const char *words)
{
	struct certauth		 who = { .account = "" };
	struct certauth_proof	 proof;
	struct err		 err = ERR_INIT;
	const struct policy	*p = snapshot_policy(snap, false, &err);
	int64_t			 now = (int64_t)time(NULL) + days * 86400;
	struct certauth_known	 known = { snap, p, NULL };
	struct issued_set	*set = NULL;
	struct slice		 serial;
	struct err		 ignored = ERR_INIT;
	int			 rc;

	if (p == NULL)
		fail_msg("%s", err.text);
	if (certauth_serial(der, &serial, &ignored) == 0) {
		set = snapshot_certificate(snap, serial, &ignored);
		assert_non_null(set);
		known.row = issued_find(set, serial);
	}
	if (again)
		rc = certauth_recheck(&known, der, now, &who, &err);
	else if ((rc = certauth_prove(p, der, now, &proof, &err)) == 0)
		rc = certauth_holder(snap, proof.rule, der, now, &who, &err);
	issued_free(set);
	snapshot_put(snap, p);
	assert_int_equal(rc, hresult == 0 ? 0 : -1);
	if (hresult == 0)
		assert_string_equal(who.account, words);
	else if (strstr(err.text, words) == NULL ||
	    err_hresult(&err) != hresult)
		fail_msg("%x %s", err_hresult(&err), err.text);
}

/* One that an import gave to another just then, and one of whom nobody knows. */
static void
test_since(void **state)
{
	const struct certauth	ours = { .issued = 1000 },
				theirs = { .issued = INT64_MAX };
	struct account		a = { .name = (char []){ "alice" } };
	struct err		err = ERR_INIT;

	(void)state;
	assert_int_equal(certauth_since(&ours, &a, &err), 0);
	a.replaced = 900;
	assert_int_equal(certauth_since(&ours, &a, &err), 0);
	a.replaced = 1001;
	assert_int_equal(certauth_since(&theirs, &a, &err), 0);
	assert_int_equal(certauth_since(&ours, &a, &err), -1);
	assert_non_null(strstr(err.text, "another principal's"));
}

static void
both(const struct buf *der, int64_t days, uint32_t hresult, const char *words)
{
	says(false, buf_slice(der), days, hresult, words);
	says(true, buf_slice(der), days, hresult, words);
}

static void
test_row(void **state)
{
	struct leaf	l = usual(5);
	struct buf	der = { 0 };

	(void)state;
	make(&l, &der);
	both(&der, 0, HR_ACCESS_DENIED, "no record");
	add_row(5, &der, "bob");	/* not what its subject says */
	both(&der, 0, 0, "bob");
	both(&der, 11, CERT_E_EXPIRED, "");
	both(&der, -2, CERT_E_EXPIRED, "");
	l.eku = "clientAuth,emailProtection";
	make(&l, &der);
	both(&der, 0, HR_ACCESS_DENIED, "not the one that was issued");
	buf_free(&der);
}

/*
 * What an imported CA's key signed before it came here its old clients have,
 * and a row of it somebody with a signer's role can write.
 */
static void
test_row_of_before(void **state)
{
	struct leaf	l = usual(7);
	struct buf	der = { 0 };

	(void)state;
	l.before = true;
	make(&l, &der);
	put_row(slice_of("\7", 1), &der, "bob");
	both(&der, 0, CERT_E_UNTRUSTEDROOT, "made by no signer of ca CA");
	/* Other times than the row's. */
	l = usual(8);
	l.to = 11;
	make(&l, &der);
	add_row(8, &der, "bob");
	both(&der, 0, CERT_E_UNTRUSTEDROOT, "made by no signer of ca CA");
	buf_free(&der);
}

static void
test_revoked(void **state)
{
	struct leaf	l = usual(6);
	struct buf	der = { 0 };

	(void)state;
	make(&l, &der);
	add_row(6, &der, "alice");
	both(&der, 0, 0, "alice");
	revoke_row(6);
	both(&der, 0, CRYPT_E_REVOKED, "revoked");
	buf_free(&der);
}

/* What a row alone does not make good: the worker's look. */
static void
test_purpose(void **state)
{
	static const char *const ekus[] = { NULL, "serverAuth",
	    "anyExtendedKeyUsage", "OCSPSigning" };
	struct leaf	l = usual(16);
	struct buf	der = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < 4; i++) {
		l.serial++;
		l.eku = ekus[i];
		make(&l, &der);
		add_row(l.serial, &der, "alice");
		says(false, buf_slice(&der), 0, HR_ACCESS_DENIED,
		    "no client authentication");
	}
	l = usual(32);
	l.ca = true;
	make(&l, &der);
	add_row(32, &der, "alice");
	says(false, buf_slice(&der), 0, HR_ACCESS_DENIED,
	    "is a ca certificate");
	buf_reset(&der);
	der_of(ca, &der);
	says(false, buf_slice(&der), 0, HR_ACCESS_DENIED,
	    "is a ca certificate");
	buf_free(&der);
}

static void
test_issuer(void **state)
{
	struct leaf	l = usual(33);
	struct buf	der = { 0 };

	(void)state;
	l.issuer = other;
	l.issuer_key = other_key;
	make(&l, &der);
	both(&der, 0, CERT_E_UNTRUSTEDROOT, "issuer");
	l.issuer = ca;		/* its name, another key */
	make(&l, &der);
	both(&der, 0, CERT_E_UNTRUSTEDROOT, "signature");
	buf_free(&der);
}

static void
test_form(void **state)
{
	struct leaf	l = usual(34);
	struct buf	der = { 0 }, big = { 0 };

	(void)state;
	make(&l, &der);
	add_row(34, &der, "alice");
	buf_addc(&der, 0);
	both(&der, 0, HR_INVALID_DATA, "");
	der.n -= 2;
	both(&der, 0, HR_INVALID_DATA, "");
	der.n = 0;
	both(&der, 0, HR_INVALID_DATA, "");
	memset(buf_extend(&big, CERTAUTH_MAX + 1), 0x30, CERTAUTH_MAX + 1);
	both(&big, 0, HR_INVALID_DATA, "limit");
	buf_free(&big);
	buf_free(&der);
}

static void
publish(const char *map)
{
	struct buf	sql = { 0 }, der = { 0 };
	char		b64[4096];

	der_of(other, &der);
	EVP_EncodeBlock((unsigned char *)b64, der.p, (int)der.n);
	buf_printf(&sql, "SELECT countersign.policy_publish(convert_to("
	    "$p$" POLICY "trusted-ca \"Other\" { certificate = {\"%s\"} "
	    "groups = {\"users\"} map = %s }$p$, 'UTF8'))", b64, map);
	owner(buf_str(&sql));
	buf_free(&sql);
	buf_free(&der);
}

#define UPN	"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:"

static void
test_trusted(void **state)
{
	static const struct {
		const char	*map, *san, *cn;
		uint32_t	 hresult;
		const char	*words;
	} v[] = {
		{ "san-upn", UPN "Alice@X.example", NULL, 0, "alice" },
		{ "san-upn", UPN "nobody@x.example", "alice",
		    HR_ACCESS_DENIED, "no account has san-upn" },
		{ "san-upn", UPN "alice@x.example," UPN "bob@x.example",
		    NULL, HR_ACCESS_DENIED, "exactly one san-upn" },
		{ "san-upn", "DNS:alice.x.example", "alice",
		    HR_ACCESS_DENIED, "exactly one san-upn" },
		{ "san-upn", NULL, "alice", HR_ACCESS_DENIED, "exactly one" },
		{ "san-upn", UPN "carol@x.example", NULL, HR_ACCESS_DENIED,
		    "may not name account carol" },
		{ "san-dns", "DNS:alice.x.example", NULL, 0, "alice" },
		{ "san-dns", "DNS:a.x.example,DNS:alice.x.example", NULL,
		    HR_ACCESS_DENIED, "exactly one san-dns" },
		{ "subject-cn", NULL, "ALICE", 0, "alice" },
		{ "subject-cn", NULL, "carol", HR_ACCESS_DENIED,
		    "may not name account carol" },
		/* U+0130: to lower() it is an i. */
		{ "subject-cn", NULL, "AL\xc4\xb0" "CE", HR_ACCESS_DENIED,
		    "no account has subject-cn" },
		{ "subject-cn", NULL, "' OR true --", HR_ACCESS_DENIED,
		    "no account" },
	};
	struct buf	der = { 0 };
	struct leaf	l;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(*v); i++) {
		publish(v[i].map);
		l = usual(40 + (long)i);
		l.issuer = other;
		l.issuer_key = other_key;
		l.san = v[i].san;
		l.cn = v[i].cn;
		make(&l, &der);
		both(&der, 0, v[i].hresult, v[i].words);
	}
	/* A PIV card: its subject is nothing that a rule could judge. */
	l = usual(58);
	l.issuer = other;
	l.issuer_key = other_key;
	l.san = UPN "alice@x.example";
	l.uid = "47001002000003";
	make(&l, &der);
	both(&der, 0, HR_INVALID_DATA, "several values");
	publish("san-upn");
	both(&der, 0, 0, "alice");
	/* Our own still need their row: no rule replaces it. */
	l = usual(60);
	l.cn = "alice";
	make(&l, &der);
	both(&der, 0, HR_ACCESS_DENIED, "no record");
	buf_free(&der);
}

static int
logon(struct certlogon *c, const struct buf *der, int64_t days,
    uint32_t *hresult)
{
	struct certauth	who = { .account = "" };
	struct err	err = ERR_INIT;
	int		rc = certlogon_identify(c, buf_slice(der),
			    (int64_t)time(NULL) + days * 86400, &who, &err);

	*hresult = rc == 0 ? 0 : err_hresult(&err);
	if (rc == 0)
		assert_string_equal(who.account, "alice");
	return rc;
}

/*
 * A yes may be seconds old, and is never one to another certificate, at
 * another time or under another policy.
 */
static void
test_remembered(void **state)
{
	struct certlogon	*c = certlogon_new(snap);
	struct leaf		 l = usual(70);
	struct buf		 der = { 0 }, twin = { 0 };
	uint32_t		 hr;
	int64_t			 end;

	(void)state;
	make(&l, &der);
	logon(c, &der, 0, &hr);		/* sees what was published before */
	assert_int_equal(logon(c, &der, 0, &hr), -1);	/* no is not kept */
	add_row(70, &der, "alice");
	assert_int_equal(logon(c, &der, 0, &hr), 0);
	revoke_row(70);
	assert_int_equal(logon(c, &der, 0, &hr), 0);
	assert_int_equal(logon(c, &der, 11, &hr), -1);
	assert_int_equal(hr, CERT_E_EXPIRED);
	assert_int_equal(logon(c, &der, -2, &hr), -1);
	assert_int_equal(hr, CERT_E_EXPIRED);
	l.cn = "twin";			/* of the same serial number */
	make(&l, &twin);
	assert_int_equal(logon(c, &twin, 0, &hr), -1);
	assert_int_equal(hr, HR_ACCESS_DENIED);
	assert_int_equal(logon(c, &der, 0, &hr), 0);
	end = log_usec() + (CERTLOGON_ROW_MS + 500) * 1000;
	while (log_usec() < end)
		usleep(100000);
	assert_int_equal(logon(c, &der, 0, &hr), -1);
	assert_int_equal(hr, CRYPT_E_REVOKED);
	certlogon_free(c);
	buf_free(&der);
	buf_free(&twin);
}

/* Whom a rule of the policy let in is out with the rule. */
static void
test_forgotten(void **state)
{
	struct certlogon	*c = certlogon_new(snap);
	struct leaf		 l = usual(71);
	struct buf		 der = { 0 };
	uint32_t		 hr;
	int			 i;

	(void)state;
	publish("subject-cn");
	l.issuer = other;
	l.issuer_key = other_key;
	make(&l, &der);
	for (i = 0; i < 3; i++)
		assert_int_equal(logon(c, &der, 0, &hr), 0);
	owner("DELETE FROM countersign.account_group WHERE account = 'alice'");
	assert_int_equal(logon(c, &der, 0, &hr), -1);
	assert_int_equal(hr, HR_ACCESS_DENIED);
	owner("INSERT INTO countersign.account_group "
	    "VALUES ('alice', 'users')");
	for (i = 0; i < 2; i++)
		assert_int_equal(logon(c, &der, 0, &hr), 0);
	owner("SELECT countersign.policy_publish(convert_to($p$" POLICY
	    "$p$, 'UTF8'))");
	assert_int_equal(logon(c, &der, 0, &hr), -1);
	assert_int_equal(hr, CERT_E_UNTRUSTEDROOT);
	certlogon_free(c);
	buf_free(&der);
}

/* A signer has the same answers from its own role. */
static void
test_signer_role(void **state)
{
	uint8_t			 drawn[SERIAL_LEN], padded[1 + SERIAL_LEN],
				 more[2 + SERIAL_LEN] = { 0 };
	const struct slice	 ours[] = { draw(5, drawn),
				    slice_of(padded, sizeof(padded)) };
	const struct issued	*row;
	struct issued_set	*set;
	struct snapshot		*s = snapshot_new(signer, "/nowhere");
	struct err		 err = ERR_INIT;
	size_t			 i;

	(void)state;
	padded[0] = 0;
	memcpy(padded + 1, drawn, SERIAL_LEN);
	memcpy(more + 2, drawn, SERIAL_LEN);
	for (i = 0; i < 2; i++) {
		set = snapshot_certificate(s, ours[i], &err);
		assert_non_null(set);
		assert_non_null(row = issued_find(set, ours[i]));
		assert_string_equal(row->account, "bob");
		assert_null(issued_find(set, slice_of(more, sizeof(more))));
		issued_free(set);
	}
	set = snapshot_certificate(s, slice_of("\177", 1), &err);
	assert_non_null(set);
	assert_null(issued_find(set, slice_of("\177", 1)));
	issued_free(set);
	snapshot_free(s);
}

static int
set_up(void **state)
{
	struct buf	sql = { 0 }, der = { 0 };

	(void)state;
	today = (int64_t)time(NULL);
	if (pg_new(&pg) != 0)
		return -1;
	pg_dsn(&pg, "countersign_worker", worker, sizeof(worker));
	pg_dsn(&pg, "countersign_signer", signer, sizeof(signer));
	ca_key = fixture_key("P-256");
	other_key = fixture_key("P-256");
	key = fixture_key("P-256");
	ca = fixture_cert("CA", ca_key, NULL, ca_key);
	other = fixture_cert("Other", other_key, NULL, other_key);
	der_of(ca, &der);
	buf_puts(&sql, "SELECT countersign.ca_register('CA', '\\x");
	buf_hex(&sql, der.p, der.n);
	buf_puts(&sql, "', '{}')");
	owner(buf_str(&sql));
	owner("SELECT countersign.policy_publish(convert_to($p$" POLICY
	    "$p$, 'UTF8'))");
	owner("INSERT INTO countersign.account (name, cn, upn, dns) VALUES"
	    " ('alice', 'A', 'alice@x.example', 'alice.x.example'),"
	    " ('bob', 'B', 'bob@x.example', NULL),"
	    " ('carol', 'C', 'carol@x.example', NULL)");
	owner("INSERT INTO countersign.account_group VALUES"
	    " ('alice', 'users'), ('bob', 'users'), ('carol', 'admins')");
	snap = snapshot_new(worker, NULL);
	buf_free(&sql);
	buf_free(&der);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	snapshot_free(snap);
	X509_free(ca);
	X509_free(other);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other_key);
	EVP_PKEY_free(key);
	pg_free(&pg);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_row_of_before),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_purpose),
		cmocka_unit_test(test_issuer),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_trusted),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_signer_role),
	};

	if (!pg_installed("certauth_test"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
