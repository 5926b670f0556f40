/* The CA key: what is refused as a key, and what its signatures are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "ca_fixture.h"
#include "cakey_int.h"
#include "der.h"
#include "hresult.h"
#include "oid.h"

/* The signature verifies with an independent call of OpenSSL. */
static void
sign_with(const char *kind, enum key_kind want, const EVP_MD *md)
{
	struct ca_fixture f;
	struct err err = ERR_INIT;
	struct cakey *k;
	struct slice msg = slice_str("some bytes"), spki;
	struct buf sig = { 0 };
	const unsigned char *p;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pub;

	fixture_make(&f, kind);
	k = cakey_load(f.key, f.pass, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(cakey_kind(k), want);
	assert_true(cakey_cost(k) > 0);
	assert_int_equal(cakey_sign(k, msg, true, &sig, &err), 0);
	spki = cakey_spki(k);
	p = spki.p;
	pub = d2i_PUBKEY(NULL, &p, (long)spki.n);
	assert_non_null(pub);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, pub), 1);
	assert_int_equal(EVP_DigestVerify(ctx, sig.p, sig.n, msg.p, msg.n),
	    1);
	/* Quickly yes where there is a table, and never wrongly. */
	assert_int_equal(cakey_signed(k, msg, buf_slice(&sig)),
	    want == KEY_P256);
	assert_false(cakey_signed(k, slice_str("some byteS"),
	    buf_slice(&sig)));
	sig.p[sig.n - 1] ^= 1;
	assert_false(cakey_signed(k, msg, buf_slice(&sig)));
	EVP_PKEY_free(pub);
	EVP_MD_CTX_free(ctx);
	buf_free(&sig);
	cakey_free(k);
	fixture_remove(&f);
}

static void
signs(void **state)
{
	(void)state;
	sign_with("rsa:2048", KEY_RSA, EVP_sha256());
	sign_with("rsa:3072", KEY_RSA, EVP_sha256());
	sign_with("P-256", KEY_P256, EVP_sha256());
	sign_with("P-384", KEY_P384, EVP_sha384());
}

static void
refused(const struct ca_fixture *f, const char *text)
{
	struct err err = ERR_INIT;

	assert_null(cakey_load(f->key, f->pass, &err));
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void
refuses_kinds(void **state)
{
	static const char *const kinds[] = { "rsa:1024", "P-521",
	    "secp256k1", "P-224" };
	struct ca_fixture f;
	EVP_PKEY *key;
	size_t i;

	(void)state;
	fixture_make(&f, "P-256");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		key = fixture_key(kinds[i]);
		fixture_write_key(f.key, key, FIXTURE_PASS);
		EVP_PKEY_free(key);
		refused(&f, "must be rsa 2048 to 4096, p-256 or p-384");
	}
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	fixture_write_key(f.key, key, FIXTURE_PASS);
	EVP_PKEY_free(key);
	refused(&f, "must be rsa");
	fixture_remove(&f);
}

static void
refuses_files(void **state)
{
	struct ca_fixture f;
	EVP_PKEY *key;

	(void)state;
	fixture_make(&f, "P-256");
	fixture_write_text(f.pass, "wrong");
	refused(&f, "passphrase does not open it");
	refused(&f, f.key);	/* of several */
	fixture_write_text(f.pass, FIXTURE_PASS "\n");
	assert_int_equal(chmod(f.key, 0640), 0);
	refused(&f, "");
	assert_int_equal(chmod(f.key, 0600), 0);
	assert_int_equal(chmod(f.pass, 0604), 0);
	refused(&f, "");
	assert_int_equal(chmod(f.pass, 0600), 0);
	key = fixture_key("P-256");
	fixture_write_key(f.key, key, NULL);	/* in the clear */
	EVP_PKEY_free(key);
	refused(&f, "must be \"ENCRYPTED PRIVATE KEY\"");
	fixture_write_text(f.key, "nothing of the kind");
	refused(&f, "no pem");
	unlink(f.pass);
	refused(&f, "");
	fixture_remove(&f);
}

static void
other_key(void **state)
{
	struct ca_fixture f, g;
	struct err err = ERR_INIT;
	struct ca *ca;
	struct cakey *k;

	(void)state;
	fixture_make(&f, "P-256");
	fixture_make(&g, "P-256");
	ca = ca_load("F", f.cert, f.chain, &err);
	assert_non_null(ca);
	assert_int_equal(ca->nchain, 1);
	assert_true(slice_eq(ca->cert.issuer, ca->chain[0].subject));
	assert_int_equal(ca->ski.n, 20);
	k = cakey_load(g.key, g.pass, &err);
	assert_int_equal(ca_set_key(ca, k, &err), -1);
	assert_non_null(strstr(err.text, "key is not the certificate's"));
	cakey_free(k);
	ca_free(ca);
	/* A chain that is another CA's. */
	memset(&err, 0, sizeof(err));
	assert_null(ca_load("F", f.cert, g.chain, &err));
	assert_non_null(strstr(err.text, "is not the issuer"));
	fixture_remove(&f);
	fixture_remove(&g);
}

/* An end entity's certificate is no CA. */
static void
not_a_ca(void **state)
{
	struct ca_fixture f;
	struct err err = ERR_INIT;
	EVP_PKEY *key = fixture_key("P-256");
	X509 *x = X509_new();

	(void)state;
	fixture_make(&f, "P-256");
	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	fixture_ext(x, x, NID_basic_constraints, "critical,CA:FALSE");
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	fixture_write_cert(f.cert, x);
	assert_null(ca_load("F", f.cert, NULL, &err));
	assert_non_null(strstr(err.text, "is not a ca's"));
	X509_free(x);
	EVP_PKEY_free(key);
	fixture_remove(&f);
}

/* A key that cannot be read gives no secret: a file does, or nothing. */
static void
derives(void **state)
{
	struct err err = ERR_INIT;
	struct cakey k = { .token = (struct tokenkey *)&err };
	uint8_t a[32], b[32], c[32];

	(void)state;
	assert_int_equal(cakey_derive(&k, "label", a, &err), -1);
	assert_int_equal(err.hresult, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED);
	assert_non_null(strstr(err.text, "exchange-secret-file"));
	memset(&err, 0, sizeof(err));
	buf_puts(&k.secret, "0123456789012345678901234567890123456789");
	assert_int_equal(cakey_derive(&k, "label", a, &err), 0);
	assert_int_equal(cakey_derive(&k, "label", b, &err), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(cakey_derive(&k, "other", c, &err), 0);
	assert_memory_not_equal(a, c, sizeof(a));
	buf_free(&k.secret);
}

/* Each signature is told once. */
static void
counts(void **state)
{
	struct ca_fixture f;
	struct err err = ERR_INIT;
	struct buf sig = { 0 };
	struct cakey *k;

	(void)state;
	fixture_make(&f, "P-256");
	k = cakey_load(f.key, f.pass, &err);
	assert_non_null(k);
	assert_int_equal(cakey_ready(k, &err), 0);
	assert_true(cakey_made(k) > 0);		/* measuring */
	assert_int_equal(cakey_made(k), 0);
	assert_int_equal(cakey_sign(k, slice_str("x"), true, &sig, &err), 0);
	assert_int_equal(cakey_sign(k, slice_str("x"), false, &sig, &err), 0);
	assert_int_equal(cakey_made(k), 2);
	buf_free(&sig);
	cakey_free(k);
	fixture_remove(&f);
}

static void
doze(int sig)
{
	const struct timespec t = { 0, 6 * 1000 * 1000L };

	(void)sig;
	nanosleep(&t, NULL);
}

static int64_t
cpu_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t
sign_twice(struct cakey *k)
{
	int64_t t = cpu_usec();
	struct buf sig = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(cakey_sign(k, slice_str("x"), true, &sig, &err), 0);
	assert_int_equal(cakey_sign(k, slice_str("x"), false, &sig, &err), 0);
	buf_free(&sig);
	return cpu_usec() - t;
}

/* A host that is busy when the signer starts does not make its key slow. */
static void
costs_own_time(void **state)
{
	const struct itimerval often = { { 0, 12000 }, { 0, 1000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_handler = doze, .sa_flags = SA_RESTART };
	struct ca_fixture f;
	struct err err = ERR_INIT;
	struct cakey *k;

	(void)state;
	fixture_make(&f, "rsa:4096");
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	k = cakey_load(f.key, f.pass, &err);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_non_null(k);
	sign_twice(k);
	assert_in_range(cakey_cost(k), 1, 2 * sign_twice(k));
	cakey_free(k);
	fixture_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs),
		cmocka_unit_test(refuses_kinds),
		cmocka_unit_test(refuses_files),
		cmocka_unit_test(other_key),
		cmocka_unit_test(not_a_ca),
		cmocka_unit_test(costs_own_time),
		cmocka_unit_test(derives), cmocka_unit_test(counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
