/* The writer: nothing that is said can leave its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <libxml/parser.h>

#include "xmlchar.h"
#include "xmlin.h"
#include "xmlw.h"

static void
test_shape(void **state)
{
	struct xmlw	w = { 0 }, piece = { 0 };

	(void)state;
	xmlw_open(&piece, "p");
	xmlw_close(&piece);
	xmlw_open(&w, "a");
	xmlw_attr_str(&w, "xmlns:xsi", "x");
	xmlw_leaf_num(&w, "n", -2146875385);
	xmlw_leaf_num(&w, "u", 2785017856);
	xmlw_leaf_bool(&w, "t", true);
	xmlw_nil(&w, "z");
	xmlw_leaf_str(&w, "e", "");
	xmlw_add(&w, &piece);
	xmlw_open(&w, "b");
	xmlw_base64(&w, slice_str("any carnal pleas"));
	xmlw_close(&w);
	xmlw_close(&w);
	assert_string_equal(buf_str(&w.b), "<a xmlns:xsi=\"x\">"
	    "<n>-2146875385</n><u>2785017856</u><t>true</t>"
	    "<z xsi:nil=\"true\"/><e></e><p/><b>YW55IGNhcm5hbCBwbGVhcw==</b>"
	    "</a>");
	xmlw_free(&piece);
	xmlw_free(&w);
}

/* Each byte alone, in text and in an attribute, comes back or is U+FFFD. */
static void
test_every_byte(void **state)
{
	struct xmlin	*x = xmlin_new();
	struct err	 err = ERR_INIT;
	const xmlNode	*root;
	struct slice	 got, attr;
	struct xmlw	 w;
	xmlDoc		*doc;
	uint8_t		 c;
	int		 i;

	(void)state;
	for (i = 0; i < 256; i++) {
		c = (uint8_t)i;
		memset(&w, 0, sizeof(w));
		xmlw_open(&w, "a");
		xmlw_attr(&w, "v", slice_of(&c, 1));
		xmlw_text(&w, slice_of(&c, 1));
		xmlw_close(&w);
		doc = xmlin_parse(x, buf_slice(&w.b), &err);
		if (doc == NULL)
			fail_msg("byte %d: %s", i, err.text);
		root = xmlDocGetRootElement(doc);
		assert_int_equal(xml_text(root, 9, "a", &got, &err), 0);
		attr = xml_attr(root, NULL, "v");
		assert_true(slice_eq(got, attr));
		if (xml_char(&c, &c + 1) == 1)
			assert_true(slice_eq(got, slice_of(&c, 1)));
		else
			assert_true(slice_is(got, "\xef\xbf\xbd"));
		xmlw_free(&w);
	}
	xmlin_free(x);
}

static void
test_broken_utf8(void **state)
{
	static const struct {
		const char	*in, *out;
	} t[] = {
		{ "\xc3\xb6", "\xc3\xb6" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "]]>", "]]&gt;" },
	};
	struct xmlw	w = { 0 };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&w.b);
		xmlw_text(&w, slice_str(t[i].in));
		assert_string_equal(buf_str(&w.b), t[i].out);
	}
	xmlw_free(&w);
}

static void
test_datetime(void **state)
{
	static const struct {
		const char	*text;
		int64_t		 t;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ " 2030-01-02T03:04:05.678Z\n", 1893553445 },
		{ "2001-01-01T00:00:00.123+02:00", 978300000 },
		{ "2001-01-01T00:00:00-00:30", 978309000 },
		{ "2000-02-29T23:59:59", 951868799 },
		{ "0001-01-01T00:00:00", -62135596800 },
	};
	static const char *const bad[] = { "", "rubbish", "2001-01-01",
	    "20090-03-15-T09:38:46", "2001-13-01T00:00:00Z",
	    "2001-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
	    "2001-01-01T24:00:00Z", "2001-01-01T00:00:00.Z",
	    "2001-01-01T00:00:00Zx", "2001-01-01T00:00:00+15:00",
	    "0000-01-01T00:00:00Z", "2001-01-01T00:00:60Z",
	    "-001-01-01T00:00:00Z" };
	int64_t	 t;
	size_t	 i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(xml_datetime(slice_str(good[i].text), &t),
		    0);
		assert_int_equal(t, good[i].t);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (xml_datetime(slice_str(bad[i]), &t) != -1)
			fail_msg("%s", bad[i]);
}

static void
test_int(void **state)
{
	int32_t	v;
	bool	b;

	(void)state;
	assert_int_equal(xml_int(slice_str(" -2147483648 "), &v), 0);
	assert_int_equal(v, INT32_MIN);
	assert_int_equal(xml_int(slice_str("+2147483647"), &v), 0);
	assert_int_equal(v, INT32_MAX);
	assert_int_equal(xml_int(slice_str("2147483648"), &v), -1);
	assert_int_equal(xml_int(slice_str("99999999999999999999"), &v), -1);
	assert_int_equal(xml_int(slice_str("-"), &v), -1);
	assert_int_equal(xml_int(slice_str(""), &v), -1);
	assert_int_equal(xml_int(slice_str("1 2"), &v), -1);
	assert_int_equal(xml_bool(slice_str("1"), &b), 0);
	assert_true(b);
	assert_int_equal(xml_bool(slice_str("yes"), &b), -1);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_broken_utf8),
		cmocka_unit_test(test_datetime),
		cmocka_unit_test(test_int),
	};

	xmlin_init();
	return cmocka_run_group_tests_name("xmlw", tests, NULL, NULL);
}
