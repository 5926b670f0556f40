/*
 * Revocation lists: what OpenSSL reads out of them, each form of an entry,
 * and lengths that were told wrongly.  CRL_ENTRIES=1000000 shows what a large
 * one costs, and fails when that is too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ca_fixture.h"
#include "crl.h"
#include "publish.h"

#define NOW	INT64_C(1795000000)
#define MANY	50000

static int
collect(void *arg, struct slice s, struct err *err)
{
	(void)err;
	buf_add(arg, s.p, s.n);
	return 0;
}

static int
refuse(void *arg, struct slice s, struct err *err)
{
	(void)arg;
	(void)s;
	return err_set(err, ERR_UNAVAILABLE, "the disk is full");
}

static uint64_t
octets(const struct crl_entry *e, size_t n)
{
	struct crl_shape shape;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		shape = crl_shape_of(&e[i]);
		sum += crl_entry_octets(&shape);
	}
	return sum;
}

static struct crl_head
head_of(const struct ca *ca, uint64_t n)
{
	return (struct crl_head){
		.ca = ca, .number = 0x80, .this_update = NOW,
		.next_update = NOW + 7 * 86400,
		.next_publish = NOW + 6 * 86400, .octets = n
	};
}

static struct buf *exchanged;	/* a key identifier, while a list is made */

static void
list_of(const struct ca *ca, const struct crl_entry *e, size_t n,
    struct buf *out)
{
	struct crl_head h = head_of(ca, octets(e, n));
	struct buf tbs = { 0 }, digest = { 0 }, last = { 0 };
	struct err err = ERR_INIT;
	struct crl *c = crl_new(&h, (struct crl_sink){ collect, &tbs }, &err);
	size_t i;

	assert_non_null(c);
	for (i = 0; i < n; i++)
		assert_int_equal(crl_add(c, &e[i], &err), 0);
	if (exchanged != NULL)
		buf_addc(exchanged, 'x');
	assert_int_equal(crl_end(c, &digest, &err), 0);
	assert_int_equal(crl_sign(c, out, &last, &err), 0);
	crl_free(c);
	buf_add(out, tbs.p, tbs.n);
	buf_add(out, last.p, last.n);
	buf_free(&tbs);
	buf_free(&digest);
	buf_free(&last);
}

/* The whole list, parsed by OpenSSL. */
static X509_CRL *
build(const struct ca *ca, const struct crl_entry *e, size_t n)
{
	struct buf der = { 0 };
	const unsigned char *p;
	X509_CRL *x;

	list_of(ca, e, n, &der);
	p = der.p;
	x = d2i_X509_CRL(NULL, &p, (long)der.n);
	assert_non_null(x);
	assert_ptr_equal(p, der.p + der.n);
	buf_free(&der);
	return x;
}

static void
check_signature(X509_CRL *x, const struct ca *ca)
{
	const unsigned char *p = ca->cert.der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)ca->cert.der.n);

	assert_non_null(cert);
	assert_int_equal(X509_CRL_verify(x, X509_get0_pubkey(cert)), 1);
	assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(x),
	    X509_get_subject_name(cert)), 0);
	X509_free(cert);
}

static void
check_head(X509_CRL *x)
{
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(x, NID_crl_number, NULL,
	    NULL);

	assert_int_equal(X509_CRL_get_version(x), 1);	/* v2 */
	assert_non_null(number);
	assert_int_equal(ASN1_INTEGER_get(number), 0x80);
	assert_int_equal(X509_CRL_get_ext_by_NID(x,
	    NID_authority_key_identifier, -1) >= 0, 1);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(x),
	    NOW), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_nextUpdate(x),
	    NOW + 7 * 86400), 0);
	ASN1_INTEGER_free(number);
}

static void
empty_lists(void **state)
{
	static const char *const kinds[] = { "P-256", "P-384", "rsa:2048" };
	struct ca_fixture f;
	struct ca *ca;
	X509_CRL *x;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fixture_make(&f, kinds[i]);
		ca = fixture_ca(&f);
		x = build(ca, NULL, 0);
		check_head(x);
		check_signature(x, ca);
		/* [RFC5280] 5.1.2.6: the element is absent. */
		assert_null(X509_CRL_get_REVOKED(x));
		X509_CRL_free(x);
		ca_free(ca);
		fixture_remove(&f);
	}
}

/* The CA has its next certificate before the list is at its end. */
static void
next_certificate(void **state)
{
	struct ca_fixture f;
	struct ca *ca;
	X509_CRL *x;

	(void)state;
	fixture_make(&f, "P-256");
	ca = fixture_ca(&f);
	exchanged = &ca->ski;
	x = build(ca, NULL, 0);
	exchanged = NULL;
	check_signature(x, ca);
	X509_CRL_free(x);
	ca_free(ca);
	fixture_remove(&f);
}

/* Every shape: a high bit, the year 2050, a reason, leap days. */
static const uint8_t high[20] = { 0xff, 1 }, plain[16] = { 0x43, 0x3e },
    tiny[1] = { 5 };
static const struct crl_entry shapes[] = {
	{ { high, 20 }, 2524607999, CRL_KEY_COMPROMISE },
	{ { high, 20 }, 2524608000, CRL_UNSPECIFIED },
	{ { plain, 16 }, 1709251199, CRL_HOLD },	/* 2024-02-29 */
	{ { plain, 16 }, 0, CRL_UNSPECIFIED },
	{ { tiny, 1 }, 4107542400, 9 },			/* 2100-03-01 */
	{ { tiny, 1 }, 951868799, 4 },			/* 2000-02-29 */
};
#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void
check_entry(X509_REVOKED *r, const struct crl_entry *e)
{
	ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason,
	    NULL, NULL);
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_REVOKED_get0_serialNumber(r),
	    NULL), *want = BN_bin2bn(e->serial.p, (int)e->serial.n, NULL);

	assert_int_equal(BN_cmp(n, want), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(
	    X509_REVOKED_get0_revocationDate(r), e->at), 0);
	/* [RFC5280] 5.3.1: no reason is no extension. */
	if (e->reason == CRL_UNSPECIFIED)
		assert_null(reason);
	else
		assert_int_equal(ASN1_ENUMERATED_get(reason), e->reason);
	ASN1_ENUMERATED_free(reason);
	BN_free(n);
	BN_free(want);
}

static void
entries(void **state)
{
	struct ca_fixture f;
	struct ca *ca;
	X509_CRL *x;
	STACK_OF(X509_REVOKED) *list;
	size_t i;

	(void)state;
	fixture_make(&f, "P-256");
	ca = fixture_ca(&f);
	for (i = 0; i < NSHAPES; i++) {
		x = build(ca, &shapes[i], 1);
		check_signature(x, ca);
		list = X509_CRL_get_REVOKED(x);
		assert_int_equal(sk_X509_REVOKED_num(list), 1);
		check_entry(sk_X509_REVOKED_value(list, 0), &shapes[i]);
		X509_CRL_free(x);
	}
	ca_free(ca);
	fixture_remove(&f);
}

static void
wrong_use(void **state)
{
	const struct crl_entry bad[] = {
		{ { plain, 0 }, NOW, 0 }, { { high, 21 }, NOW, 0 },
		{ { plain, 16 }, -1, 0 }, { { plain, 16 }, NOW, 11 },
		{ { plain, 16 }, INT64_C(253402300800), 0 },
	};
	struct crl_head h;
	struct buf b = { 0 }, digest = { 0 };
	struct err err = ERR_INIT;
	struct ca_fixture f;
	struct crl *c;
	struct ca *ca;
	size_t i;

	(void)state;
	fixture_make(&f, "P-256");
	ca = fixture_ca(&f);
	h = head_of(ca, 1000);
	c = crl_new(&h, (struct crl_sink){ collect, &b }, &err);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(crl_add(c, &bad[i], &err), -1);
	}
	/* Not what was announced, and not finished: no signature. */
	memset(&err, 0, sizeof(err));
	assert_int_equal(crl_add(c, &shapes[2], &err), 0);
	assert_int_equal(crl_end(c, &digest, &err), -1);
	assert_non_null(strstr(err.text, "1000 announced"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(crl_sign(c, &b, &digest, &err), -1);
	crl_free(c);
	/* What the sink cannot take ends it. */
	h.octets = 0;
	memset(&err, 0, sizeof(err));
	c = crl_new(&h, (struct crl_sink){ refuse, NULL }, &err);
	assert_int_equal(crl_end(c, &digest, &err), -1);
	assert_string_equal(err.text, "the disk is full");
	crl_free(c);
	buf_free(&b);
	buf_free(&digest);
	ca_free(ca);
	fixture_remove(&f);
}

static long
peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* May a list of this number take its place? */
static void
follows(struct slice list, const struct ca *ca, const char *number, bool may)
{
	struct publish_item item = { .name = "Fixture", .number = number,
	    .cert = buf_slice(&ca->cert.der) };
	struct err err = ERR_INIT;

	assert_int_equal(publish_is_next(list, &item, &err), may ? 0 : -1);
	if (!may) {
		assert_int_equal(err.kind, ERR_DENIED);
		assert_non_null(strstr(err.text, "the place of 128"));
	}
}

/* What is out is looked at each time: its entries must not cost memory. */
static void
published(void **state)
{
	static const char *const kinds[] = { "P-256", "P-384", "rsa:2048" };
	struct crl_entry *e = xcalloc(MANY, sizeof(*e));
	struct ca_fixture f, g;
	struct ca *ca, *other;
	struct buf der = { 0 };
	long peak;
	size_t i;

	(void)state;
	fixture_make(&g, "P-256");
	other = fixture_ca(&g);
	for (i = 0; i < MANY; i++)
		e[i] = shapes[2];
	for (i = 0; i < 3; i++) {
		fixture_make(&f, kinds[i]);
		ca = fixture_ca(&f);
		list_of(ca, e, i == 0 ? MANY : 0, &der);
		peak = peak_kib();
		follows(buf_slice(&der), ca, "127", false);
		assert_in_range(peak_kib() - peak, 0, 4096);
		follows(buf_slice(&der), ca, "128", true);
		follows(buf_slice(&der), other, "127", true);
		follows(slice_of(der.p, der.n - 1), ca, "127", true);
		follows(slice_of(NULL, 0), ca, "127", true);
		der.p[der.n / 2] ^= 1;
		follows(buf_slice(&der), ca, "127", true);
		buf_reset(&der);
		ca_free(ca);
		fixture_remove(&f);
	}
	ca_free(other);
	fixture_remove(&g);
	buf_free(&der);
	free(e);
}

struct counted {
	uint64_t	 n;
	size_t		 largest;
};

static int
count(void *arg, struct slice s, struct err *err)
{
	struct counted *c = arg;

	(void)err;
	c->n += s.n;
	if (s.n > c->largest)
		c->largest = s.n;
	return 0;
}

/* Of this process: what else runs on the machine does not count. */
static int64_t
cpu_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Memory of the writer does not grow with the list. */
static void
large(void **state)
{
	const char *env = getenv("CRL_ENTRIES");
	uint32_t n = env != NULL ? (uint32_t)atol(env) : 50000, i;
	uint8_t serial[16] = { 0x43, 0x3e, 0x63 };
	struct crl_entry e = { { serial, 16 }, NOW, CRL_KEY_COMPROMISE };
	struct counted counted = { 0 };
	struct buf digest = { 0 }, first = { 0 }, last = { 0 }, same = { 0 };
	struct err err = ERR_INIT;
	struct crl_head h;
	struct ca_fixture f;
	struct crl *c;
	struct ca *ca;
	int64_t t, build_us;
	long peak;

	(void)state;
	fixture_make(&f, "P-256");
	ca = fixture_ca(&f);
	peak = peak_kib();
	h = head_of(ca, n * octets(&e, 1));
	t = cpu_usec();
	c = crl_new(&h, (struct crl_sink){ count, &counted }, &err);
	for (i = 0; i < n; i++) {
		memcpy(serial + 4, &i, sizeof(i));
		e.at = NOW - i;
		assert_int_equal(crl_add(c, &e, &err), 0);
	}
	assert_int_equal(crl_end(c, &digest, &err), 0);
	assert_int_equal(crl_sign(c, &first, &last, &err), 0);
	build_us = cpu_usec() - t;
	crl_free(c);
	peak = peak_kib() - peak;
	assert_true(counted.n > h.octets && counted.n < h.octets + 300);
	assert_true(counted.largest <= (size_t)256 * 1024);
	/* Against hashing and signing as many bytes. */
	memset(buf_extend(&same, counted.n), 1, counted.n);
	t = cpu_usec();
	assert_int_equal(cakey_sign(ca->key, buf_slice(&same), true, &last,
	    &err), 0);
	t = cpu_usec() - t;
	print_message("%u entries, %llu octets: %lld us and %ld KiB more, "
	    "hashing and signing alone %lld us\n", n,
	    (unsigned long long)counted.n, (long long)build_us, peak,
	    (long long)t);
	/* Not where nobody asked: a test of every day measures nothing. */
	if (env != NULL) {
		assert_true(build_us <= 3 * t);
		assert_true(peak <= 2048);
	}
	buf_free(&same);
	buf_free(&digest);
	buf_free(&first);
	buf_free(&last);
	ca_free(ca);
	fixture_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published),
		cmocka_unit_test(empty_lists), cmocka_unit_test(entries),
		cmocka_unit_test(wrong_use), cmocka_unit_test(large),
		cmocka_unit_test(next_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
