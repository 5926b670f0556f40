/* Names: what is read, what is refused, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/x509v3.h>

#include "der.h"
#include "hresult.h"
#include "name.h"
#include "oid.h"

#define ARRAY(a)	(sizeof(a) / sizeof((a)[0]))
#define BYTES(s)	slice_of(s, sizeof(s) - 1)

static void
put_part(struct buf *b, struct slice oid, int tag, struct slice value)
{
	size_t set = der_open(b, DER_SET), seq = der_open(b, DER_SEQ);

	der_put_oid(b, oid);
	der_put_slice(b, tag, value);
	der_close(b, seq);
	der_close(b, set);
}

/* The CN of this string, or NULL. */
static const char *
read_cn(int tag, struct slice value, struct err *err)
{
	static char text[2048];
	struct names n = { 0 };
	struct buf b = { 0 };
	size_t m = der_open(&b, DER_SEQ);
	const char *got = NULL;

	put_part(&b, OID_CN, tag, value);
	der_close(&b, m);
	if (names_parse_dn(&n, buf_slice(&b), err) == 0) {
		assert_int_equal(n.nrdn, 1);
		assert_string_equal(n.rdn[0].type, "CN");
		snprintf(text, sizeof(text), "%s", n.rdn[0].value);
		got = text;
	} else {
		assert_int_equal(n.nrdn, 0);
	}
	names_free(&n);
	buf_free(&b);
	return got;
}

static void
test_strings(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_string_equal(read_cn(DER_UTF8, BYTES("J\xc3\xb6rg"), &err),
	    "J\xc3\xb6rg");
	assert_string_equal(read_cn(DER_PRINTABLE, BYTES("*.a.b"), &err),
	    "*.a.b");
	assert_string_equal(read_cn(DER_PRINTABLE, BYTES("a_b@c"), &err),
	    "a_b@c");
	assert_string_equal(read_cn(DER_IA5, BYTES("a@b"), &err), "a@b");
	assert_string_equal(read_cn(DER_BMP,
	    BYTES("\0J\0\xf6\x20\xac"), &err), "J\xc3\xb6\xe2\x82\xac");
	assert_string_equal(read_cn(DER_T61, BYTES("J\xf6rg"), &err),
	    "J\xc3\xb6rg");
	assert_string_equal(read_cn(DER_PRINTABLE, BYTES(""), &err), "");
	assert_int_equal(err.kind, ERR_NONE);
}

static void
test_bad_strings(void **state)
{
	static const struct {
		int		 tag;
		struct slice	 value;
	} bad[] = {
#define S(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ DER_UTF8, S("a\0b") }, { DER_UTF8, S("a\nb") },
		{ DER_UTF8, S("a\x7f") }, { DER_UTF8, S("a\xc2\x85") },
		{ DER_UTF8, S("\xc0\x80") }, { DER_UTF8, S("\xed\xa0\x80") },
		{ DER_UTF8, S("\xf4\x90\x80\x80") }, { DER_UTF8, S("\xc3") },
		{ DER_UTF8, S("a\xe2\x80\xae" "b") },	/* U+202E */
		{ DER_UTF8, S("a\xe2\x81\xa6") },	/* U+2066 */
		{ DER_UTF8, S("a\xef\xbb\xbf") },	/* U+FEFF */
		{ DER_UTF8, S("a\xef\xbf\xbe") },	/* U+FFFE */
		{ DER_PRINTABLE, S("a\xe4") }, { DER_PRINTABLE, S("a\0") },
		{ DER_IA5, S("\xe4") }, { DER_IA5, S("a\r") },
		{ DER_BMP, S("\0a\0") }, { DER_BMP, S("\0a\0\0") },
		{ DER_BMP, S("\xd8\x3d\xde\x00") },
		{ DER_BMP, S("\x20\x2e") },
		{ DER_T61, S("a\x1b" "b") }, { DER_T61, S("a\x85") },
		{ DER_T61, S("a\0b") }, { 0x1c, S("\0\0\0a") },
		{ 0x1a, S("abc") }, { DER_OCTETS, S("abc") },
#undef S
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++) {
		struct err err = ERR_INIT;

		if (read_cn(bad[i].tag, bad[i].value, &err) != NULL)
			fail_msg("string %zu accepted", i);
		assert_int_equal(err.kind, ERR_MALFORMED);
	}
}

static void
test_dn_shape(void **state)
{
	struct names n = { 0 };
	struct err err = ERR_INIT;
	struct buf b = { 0 };
	size_t m, i;

	(void)state;
	assert_int_equal(names_parse_dn(&n, BYTES("\x30\0"), &err), 0);
	assert_int_equal(n.nrdn, 0);

	m = der_open(&b, DER_SEQ);
	put_part(&b, BYTES("\x2a\x03\x04"), DER_PRINTABLE, BYTES("test"));
	for (i = 1; i < NAME_RDN_MAX; i++)
		put_part(&b, BYTES("\x55\x04\x0b"), DER_UTF8, BYTES("x"));
	der_close(&b, m);
	assert_int_equal(names_parse_dn(&n, buf_slice(&b), &err), 0);
	assert_int_equal(n.nrdn, NAME_RDN_MAX);
	assert_string_equal(n.rdn[0].type, "1.2.3.4");
	assert_string_equal(n.rdn[1].type, "OU");
	names_free(&n);

	buf_reset(&b);
	m = der_open(&b, DER_SEQ);
	for (i = 0; i <= NAME_RDN_MAX; i++)
		put_part(&b, OID_CN, DER_UTF8, BYTES("x"));
	der_close(&b, m);
	assert_int_equal(names_parse_dn(&n, buf_slice(&b), &err), -1);
	assert_int_equal(err.kind, ERR_TOO_BIG);
	assert_int_equal(n.nrdn, 0);
	buf_free(&b);
}

static void
test_multi_valued(void **state)
{
	static const uint8_t two[] = {
		0x30, 0x16, 0x31, 0x14,
		0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'a',
		0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x01, 'b'
	};
	struct names n = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(names_parse_dn(&n, slice_of(two, sizeof(two)), &err),
	    -1);
	assert_non_null(strstr(err.text, "several values"));
}

/* One GeneralName of this text by names_text_san, or what refused it. */
static const char *
read_san(struct slice content)
{
	static char text[512];
	struct names n = { 0 };
	struct err err = ERR_INIT;
	struct buf b = { 0 }, t = { 0 };

	der_put_slice(&b, DER_SEQ, content);
	if (names_parse_san(&n, buf_slice(&b), &err) == -1) {
		assert_int_equal(n.nsan, 0);
		snprintf(text, sizeof(text), "!%s", err.text);
	} else {
		names_text_san(&n, &t);
		snprintf(text, sizeof(text), "%s", buf_str(&t));
	}
	names_free(&n);
	buf_free(&b);
	buf_free(&t);
	return text;
}

#define UPN(tag, len, s) "\xa0" len "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14" \
    "\x02\x03\xa0" tag s

static void
test_san(void **state)
{
	(void)state;
	assert_string_equal(read_san(BYTES("\x82\x03" "a.b\x82\x01" "c")),
	    "DNS:a.b, DNS:c");
	assert_string_equal(read_san(BYTES("\x81\x03" "a@b")), "email:a@b");
	assert_string_equal(read_san(BYTES("\x86\x03" "a,b")), "URI:a\\,b");
	assert_string_equal(read_san(BYTES("\x87\x04\xc0\xa8\0\x01")),
	    "IP:192.168.0.1");
	assert_string_equal(read_san(BYTES("\x87\x10\x20\x01\x0d\xb8\0\0\0\0"
	    "\0\0\0\0\0\0\0\x01")), "IP:2001:db8::1");
	assert_string_equal(read_san(BYTES(UPN("\x05", "\x13",
	    "\x0c\x03" "a@b"))), "UPN:a@b");
	assert_string_equal(read_san(BYTES("\x88\x03\x2a\x03\x04")),
	    "RID:88032a0304");
	assert_string_equal(read_san(BYTES("\xa4\x02\x30\0")),
	    "dirName:a4023000");
}

static void
test_bad_san(void **state)
{
	static const struct {
		struct slice	 content;
		const char	*text;
	} bad[] = {
#define S(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ S(""), "none" },
		{ S("\x82\0"), "empty" },
		{ S("\x82\x03" "a\0b"), "IA5String" },
		{ S("\x82\x02\xc3\xb6"), "IA5String" },
		{ S("\x87\x03\x01\x02\x03"), "3 octets" },
		{ S("\x87\x08\x01\x02\x03\x04\x05\x06\x07\x08"), "8 octets" },
		{ S("\xa3\x02\x30\0"), "kind a3" },
		{ S("\xa5\x02\x30\0"), "kind a5" },
		{ S("\xa2\x03\x0c\x01" "a"), "kind a2" },
		{ S("\x80\x01" "a"), "kind 80" },
		{ S(UPN("\x05", "\x13", "\x16\x03" "a@b")), "upn" },
		{ S("\xa0\x05\x06\x03\x2a\x03\x04"), "missing" },
#undef S
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++) {
		const char *got = read_san(bad[i].content);

		if (got[0] != '!' || strstr(got, bad[i].text) == NULL)
			fail_msg("%zu: %s", i, got);
	}
}

static void
test_san_limits(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NAME_SAN_MAX; i++)
		der_put_str(&b, DER_CTX(2), "a.b");
	assert_int_equal(read_san(buf_slice(&b))[0], 'D');
	der_put_str(&b, DER_CTX(2), "a.b");
	assert_non_null(strstr(read_san(buf_slice(&b)), "more than 128"));
	buf_reset(&b);
	for (i = 0; i < 5; i++) {
		char big[1000] = { 0 };

		memset(big, 'a', sizeof(big) - 1);
		der_put_str(&b, DER_CTX(6), big);
	}
	assert_non_null(strstr(read_san(buf_slice(&b)), "more than 4096"));
	buf_free(&b);
}

/* Text to DER; OpenSSL reads the same; DER to text again. */
static void
test_text_round_trip(void **state)
{
	static const char *const texts[] = {
		"CN=Alice,OU=Sales,DC=example,DC=com", "",
		"CN=a\\, b \\+ c\\=d\\\\,O=\\#x", "CN=J\xc3\xb6rg,C=DE",
		"E=a@example.com,UID=7,SERIALNUMBER=1-2", "CN=\\ x\\ "
	};
	struct buf der = { 0 }, text = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(texts); i++) {
		struct err err = ERR_INIT;
		struct names n = { 0 }, back = { 0 };
		const uint8_t *p;
		X509_NAME *name;

		buf_reset(&der);
		buf_reset(&text);
		assert_int_equal(names_parse_text(&n, texts[i], &err), 0);
		assert_int_equal(names_put_dn(&n, &der, &err), 0);
		assert_int_equal(names_parse_dn(&back, buf_slice(&der), &err),
		    0);
		names_text_dn(&back, &text);
		assert_string_equal(buf_str(&text), texts[i]);
		p = der.p;
		name = d2i_X509_NAME(NULL, &p, (long)der.n);
		assert_non_null(name);
		assert_ptr_equal(p, der.p + der.n);
		assert_int_equal(X509_NAME_entry_count(name), n.nrdn);
		X509_NAME_free(name);
		names_free(&n);
		names_free(&back);
	}
	buf_free(&der);
	buf_free(&text);
}

static void
test_text_layout(void **state)
{
	struct names n = { 0 };
	struct err err = ERR_INIT;
	struct buf t = { 0 };

	(void)state;
	assert_int_equal(names_parse_text(&n,
	    " commonName = A B , s=Bavaria,dc=\\65x", &err), 0);
	names_text_dn(&n, &t);
	assert_string_equal(buf_str(&t), "CN=A B,ST=Bavaria,DC=ex");
	assert_string_equal(n.rdn[0].type, "DC");	/* as encoded */
	names_free(&n);
	buf_free(&t);
}

static void
test_bad_text(void **state)
{
	static const char *const bad[] = {
		"CN", "CN=", "=x", "XX=y", "1.2.3=y", "CN=a,", ",CN=a",
		"CN=a+O=b", "CN=\"a\"", "CN=a\\", "CN=a\\g", "CN=a\\0",
		"CN=\\00", "CN=<", "CN=a;O=b", "CN=\x01", "CN=\xc3",
#define FIVE(a)	"OU=" a ",OU=" a ",OU=" a ",OU=" a ",OU=" a
		FIVE("1") "," FIVE("2") "," FIVE("3") "," FIVE("4") ","
		FIVE("5")
#undef FIVE
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++) {
		struct names n = { 0 };
		struct err err = ERR_INIT;

		if (names_parse_text(&n, bad[i], &err) == 0)
			fail_msg("%s accepted", bad[i]);
		assert_int_equal(n.nrdn, 0);
	}
}

static void
test_encodable(void **state)
{
	static const struct {
		const char	*type, *value;
	} bad[] = {
		{ "CN", "" }, { "C", "DEU" }, { "C", "\xc3\xb6" },
		{ "1.2.3.4", "x" }, { "DC", "\xc3\xb6" },
		{ "E", "\xc3\xb6@a.b" }, { "SERIALNUMBER", "a@b" }, { "CN",
		"1234567890123456789012345678901234567890123456789012345678901"
		"2345" }
	};
	static const struct {
		enum san_kind	 kind;
		const char	*text;
	} bad_san[] = {
		{ SAN_DNS, "" }, { SAN_DNS, "\xc3\xb6.b" }, { SAN_IP, "1.2.3" },
		{ SAN_GUID, "00" }, { SAN_OTHER, "a0023000" },
		{ SAN_DIRNAME, "a4023000" }, { SAN_RID, "88032a0304" },
		{ SAN_UPN, "" }
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(bad); i++) {
		struct names n = { 0 };
		struct err err = ERR_INIT;

		names_add_rdn(&n, bad[i].type, bad[i].value);
		assert_int_equal(names_put_dn(&n, &b, &err), -1);
		assert_int_equal(err.kind, ERR_DENIED);
		assert_int_equal(b.n, 0);
		names_free(&n);
	}
	for (i = 0; i < ARRAY(bad_san); i++) {
		struct names n = { 0 };
		struct err err = ERR_INIT;

		names_add_san(&n, bad_san[i].kind, bad_san[i].text);
		assert_int_equal(names_put_san(&n, &b, &err), -1);
		assert_int_equal(b.n, 0);
		names_free(&n);
	}
}

static void
test_san_round_trip(void **state)
{
	struct names n = { 0 }, back = { 0 };
	struct err err = ERR_INIT;
	struct buf b = { 0 }, t = { 0 };
	const uint8_t *p;
	GENERAL_NAMES *g;

	(void)state;
	names_add_san(&n, SAN_DNS, "a.example");
	names_add_san(&n, SAN_EMAIL, "a@example.com");
	names_add_san(&n, SAN_URI, "urn:x");
	names_add_san(&n, SAN_IP, "10.0.0.1");
	names_add_san(&n, SAN_IP, "2001:db8::1");
	names_add_san(&n, SAN_UPN, "j\xc3\xb6rg@example.com");
	names_add_san(&n, SAN_GUID, "00112233445566778899aabbccddeeff");
	assert_int_equal(names_put_san(&n, &b, &err), 0);
	assert_int_equal(names_parse_san(&back, buf_slice(&b), &err), 0);
	names_text_san(&back, &t);
	assert_string_equal(buf_str(&t), "DNS:a.example, "
	    "email:a@example.com, URI:urn:x, IP:10.0.0.1, IP:2001:db8::1, "
	    "UPN:j\xc3\xb6rg@example.com, "
	    "GUID:00112233445566778899aabbccddeeff");
	p = b.p;
	g = d2i_GENERAL_NAMES(NULL, &p, (long)b.n);
	assert_non_null(g);
	assert_int_equal(sk_GENERAL_NAME_num(g), 7);
	GENERAL_NAMES_free(g);
	names_free(&n);
	names_free(&back);
	buf_free(&b);
	buf_free(&t);
}

static void
test_predicates(void **state)
{
	static const char *const dns[] = {
		"a.b", "www.example.com", "xn--bcher-kva.example", "1.example",
		"lab_pc1.example", "_a.b_.example"
	}, *const not_dns[] = {
		"", "a", "a.", ".a", "a..b", "-a.b", "a-.b", "a b.c",
		"1.2.3.4", "b\xc3\xbc.de", "*.a.b", "a.*.b", "http://a.b",
		"a.b:80", "a.b/"
	}, *const sids[] = {
		"S-1-5-18", "S-1-5-21-1381186052-4247692386-135928078-500"
	}, *const not_sids[] = {
		"", "S-1", "S-1-", "S-1-5", "S-1-5-", "s-1-5-18", "S-2-5-18",
		"S-1-5-18 ", "S-1-5--18", "S-1-5-018", "S-1-5-1x",
		"S-1-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17"
	}, *const mails[] = { "a@b.c", "a.b+c@example.com", "a@b_c.d" },
	*const not_mails[] = {
		"", "a", "@b.c", "a@", "a@b", "a@@b.c", ".a@b.c", "a.@b.c",
		"a..b@c.d", "\"a b\"@c.d", "a@[1.2.3.4]", "a b@c.d"
	};
	char label[70] = "";
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY(dns); i++)
		assert_true(name_is_dns(dns[i], false));
	for (i = 0; i < ARRAY(not_dns); i++)
		assert_false(name_is_dns(not_dns[i], false));
	assert_true(name_is_dns("*.a.b", true));
	assert_false(name_is_dns("*.b", true));
	assert_false(name_is_dns("*.*.a.b", true));
	memset(label, 'a', 64);
	strcpy(label + 64, ".b");
	assert_false(name_is_dns(label, false));
	assert_true(name_is_dns(label + 1, false));
	for (i = 0; i < ARRAY(sids); i++)
		assert_true(name_is_sid(sids[i]));
	for (i = 0; i < ARRAY(not_sids); i++)
		assert_false(name_is_sid(not_sids[i]));
	for (i = 0; i < ARRAY(mails); i++)
		assert_true(name_is_email(mails[i]));
	for (i = 0; i < ARRAY(not_mails); i++)
		assert_false(name_is_email(not_mails[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_bad_strings),
		cmocka_unit_test(test_dn_shape),
		cmocka_unit_test(test_multi_valued),
		cmocka_unit_test(test_san),
		cmocka_unit_test(test_bad_san),
		cmocka_unit_test(test_san_limits),
		cmocka_unit_test(test_text_round_trip),
		cmocka_unit_test(test_text_layout),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_encodable),
		cmocka_unit_test(test_san_round_trip),
		cmocka_unit_test(test_predicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
