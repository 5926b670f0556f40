/* The envelope: what real clients send, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "envelope.h"
#include "ns.h"
#include "soap_data.h"

static struct xmlin	*xml;

static int
parse(struct buf *b, int64_t now, struct envelope *e, struct err *err)
{
	*e = (struct envelope){ 0 };
	*err = (struct err)ERR_INIT;
	return envelope_parse(xml, buf_slice(b), now, e, err);
}

static void
refused(struct buf b, enum err_kind kind, const char *why)
{
	struct envelope	e;
	struct err	err;

	if (parse(&b, SENT, &e, &err) == 0)
		fail_msg("accepted; wanted \"%s\"", why);
	if (err.kind != kind || strstr(err.text, why) == NULL)
		fail_msg("wanted %d \"%s\", got %d \"%s\"", kind, why,
		    err.kind, err.text);
	envelope_free(&e);
	buf_free(&b);
}

static void
test_good(void **state)
{
	struct buf	 b = message("issue-username");
	struct envelope	 e;
	struct err	 err;

	(void)state;
	if (parse(&b, SENT, &e, &err) == -1)
		fail_msg("%s", err.text);
	assert_true(slice_is(e.action, ACTION_RST));
	assert_true(slice_is(e.message_id,
	    "urn:uuid:00000000-1111-4222-8333-444444444444"));
	assert_true(slice_is(e.to, "https://pki.example/svc/CES"));
	assert_true(e.security && e.token);
	assert_true(slice_is(e.username, "alice"));
	assert_true(slice_is(e.password, "p&ss w\xc3\xb6rd"));
	assert_true(xml_is(e.body, NS_WST, "RequestSecurityToken"));
	envelope_free(&e);
	/* A byte order mark is fine. */
	buf_reset(&b);
	buf_puts(&b, "\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>"
	    "<!-- hello --><s:Envelope xmlns:s='" NS_SOAP "'><s:Header>"
	    "<Action xmlns='" NS_WSA "'>x<!-- -->y</Action></s:Header>"
	    "<s:Body/></s:Envelope>");
	if (parse(&b, SENT, &e, &err) == -1)
		fail_msg("%s", err.text);
	assert_true(slice_is(e.action, "xy"));
	assert_null(e.message_id.p);
	assert_null(e.body);
	assert_false(e.security);
	envelope_free(&e);
	buf_free(&b);
}

/* UTF-8 by other names; ASCII is a part of it if it is kept to. */
static void
test_declarations(void **state)
{
	static const struct {
		const char	*name, *text;
		bool		 good;
	} rows[] = {
		{ "UTF-8", "\xc3\xb6", true }, { "utf8", "\xc3\xb6", true },
		{ "US-ASCII", "&#246;", true }, { "ascii", "o", true },
		{ "US-ASCII", "\xc3\xb6", false }, { "utf-8x", "o", false },
		{ "asci", "o", false }, { "utf-16", "o", false },
	};
	struct envelope	 e;
	struct err	 err;
	struct buf	 b = { 0 };
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&b);
		buf_puts(&b, "<?xml version='1.0' encoding='");
		buf_puts(&b, rows[i].name);
		buf_puts(&b, "'?><s:Envelope xmlns:s='" NS_SOAP "'><s:Header>"
		    "<Action xmlns='" NS_WSA "'>");
		buf_puts(&b, rows[i].text);
		buf_puts(&b, "</Action></s:Header><s:Body/></s:Envelope>");
		if (!rows[i].good) {
			assert_int_equal(parse(&b, SENT, &e, &err), -1);
			assert_non_null(strstr(err.text, "other than UTF-8"));
			continue;
		}
		if (parse(&b, SENT, &e, &err) == -1)
			fail_msg("%s: %s", rows[i].name, err.text);
		assert_true(slice_is(e.action, rows[i].text[0] == 'o' ? "o" :
		    "\xc3\xb6"));
		envelope_free(&e);
	}
	buf_reset(&b);
	buf_puts(&b, "\n<?xml version='1.0'?><x/>");
	refused(b, ERR_MALFORMED, "at the very beginning");
}

/* What is for somebody else is not understood, and need not be. */
static void
test_roles(void **state)
{
	static const char *const good[] = {
		"<a:To s:role=\"" NS_SOAP "/role/ultimateReceiver\" ",
		"<a:To s:role=\"" NS_SOAP "/role/next\" s:relay=\"true\" ",
		"<Y s:role=\"urn:x\" s:mustUnderstand=\"1\"/><a:To ",
	};
	struct envelope	 e;
	struct err	 err;
	struct buf	 b;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		b = edited("issue-username", "<a:To ", good[i]);
		if (parse(&b, SENT, &e, &err) == -1)
			fail_msg("%s: %s", good[i], err.text);
		envelope_free(&e);
		buf_free(&b);
	}
	refused(edited("issue-username", "<a:To ", "<Y s:role=\"" NS_SOAP
	    "/role/next\" s:mustUnderstand=\"1\"/><a:To "),
	    ERR_NOT_UNDERSTOOD, "header Y of no namespace is not");
}

static void
test_files(void **state)
{
	static const struct {
		const char	*file;
		enum err_kind	 kind;
		const char	*why;
	} t[] = {
		{ "doctype-external-entity", ERR_MALFORMED, "DOCTYPE" },
		{ "doctype-billion-laughs", ERR_MALFORMED, "DOCTYPE" },
		{ "doctype-empty", ERR_MALFORMED, "DOCTYPE" },
		{ "entity-undefined", ERR_MALFORMED, "well-formed" },
		{ "two-bodies", ERR_MALFORMED, "one Header and one Body" },
		{ "two-actions", ERR_MALFORMED, "Action: stands twice" },
		{ "two-passwords", ERR_MALFORMED, "Password: stands twice" },
		{ "header-not-understood", ERR_NOT_UNDERSTOOD, "header Y" },
		{ "xml-signature", ERR_MALFORMED, "signature" },
		{ "password-digest", ERR_MALFORMED, "PasswordText" },
		{ "processing-instruction-inside", ERR_MALFORMED,
		    "processing instruction" },
		{ "encoding-latin1", ERR_MALFORMED, "other than UTF-8" },
		{ "encoding-utf16", ERR_MALFORMED, "UTF-8" },
		{ "overlong-utf8", ERR_MALFORMED, "UTF-8" },
	};
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		refused(message(t[i].file), t[i].kind, t[i].why);
}

/* Nothing behind the first mistake is looked at: it would be counted. */
static void
test_first_mistake(void **state)
{
	struct buf	b = { 0 };
	int		i;

	(void)state;
	buf_puts(&b, "<s:Envelope xmlns:s='" NS_SOAP "'>\n&;");
	for (i = 0; i < 1000; i++)
		buf_puts(&b, "\n&;<x ");
	buf_puts(&b, "/></s:Envelope>");
	refused(b, ERR_MALFORMED, "line 2: no name behind");
}

static void
test_edits(void **state)
{
	static const struct {
		const char	*from, *to;
		enum err_kind	 kind;
		const char	*why;
	} t[] = {
		{ NS_SOAP, "http://schemas.xmlsoap.org/soap/envelope/",
		    ERR_VERSION, "SOAP 1.2" },
		{ "</s:Envelope>", "</s:Envelope>x", ERR_MALFORMED,
		    "well-formed" },
		{ "</s:Envelope>", "", ERR_MALFORMED, "well-formed" },
		{ "<s:Body>", "x<s:Body>", ERR_MALFORMED,
		    "text between elements" },
		{ "<s:Body>", "<s:Body xmlns:i='" NS_XSI "' i:nil='true'>",
		    ERR_MALFORMED, "Body: nil, and not empty" },
		{ "<s:Body>", "<s:Header/><s:Body>", ERR_MALFORMED,
		    "one Header and one Body" },
		{ "<s:Body>", "<s:Body><x/>", ERR_MALFORMED,
		    "more than one element" },
		{ "urn:uuid:", "&#0;", ERR_MALFORMED, "well-formed" },
		{ "urn:uuid:", "&#xD800;", ERR_MALFORMED, "well-formed" },
		{ "urn:uuid:", "\x01", ERR_MALFORMED, "UTF-8" },
		{ "<s:Body>", "<s:Body xmlns:q=\"\">", ERR_MALFORMED,
		    "well-formed" },
		{ "<s:Body>", "<s:Body xmlns:xml=\"urn:x\">", ERR_MALFORMED,
		    "well-formed" },
		{ "<a:To ", "<a:To q:x=\"1\" ", ERR_MALFORMED,
		    "well-formed" },
		{ "<a:To ", "<a:To xml:id=\"1\" ", ERR_MALFORMED,
		    "well-formed" },
		{ "a:Action", "a:Axtion", ERR_MALFORMED,
		    "an end tag of another element (76)" },
		{ "p&amp;ss", "p&ss", ERR_MALFORMED, "without \";\"" },
		{ "p&amp;ss", "p& ss", ERR_MALFORMED, "&lt; or &amp;" },
		{ "p&amp;ss", "p<ss", ERR_MALFORMED, "well-formed: line" },
		{ "p&amp;ss", "p< ss", ERR_MALFORMED, "&lt; or &amp;" },
		{ "p&amp;ss", "p&ss;", ERR_MALFORMED, "an entity that XML" },
		{ "xmlns:a=\"" NS_WSA, "xmlns:a=\"urn:other", ERR_NOT_UNDERSTOOD,
		    "header Action of urn:other is not understood" },
		{ "mustUnderstand=\"1\"", "mustUnderstand=\"yes\"",
		    ERR_MALFORMED, "no boolean" },
		{ "<a:To ", "<a:To s:role=\"urn:x\" ", ERR_MALFORMED,
		    "role" },
		{ "<a:To ", "<a:To>x</a:To><a:To ", ERR_MALFORMED,
		    "To: stands twice" },
		{ "</a:MessageID>", "</a:MessageID><a:MessageID/>",
		    ERR_MALFORMED, "MessageID: stands twice" },
		{ "</o:Security>", "</o:Security><o:Security xmlns:o=\""
		    NS_WSSE "\"/>", ERR_MALFORMED, "Security: stands twice" },
		{ "</o:Security>", "<o:BinarySecurityToken/></o:Security>",
		    ERR_MALFORMED, "unknown element" },
		{ "</u:Timestamp>", "</u:Timestamp><u:Timestamp/>",
		    ERR_MALFORMED, "Timestamp: stands twice" },
		{ "</o:UsernameToken>", "</o:UsernameToken><o:UsernameToken/>",
		    ERR_MALFORMED, "UsernameToken: stands twice" },
		{ "<o:Username>", "<o:Username>x</o:Username><o:Username>",
		    ERR_MALFORMED, "Username: stands twice" },
		{ "<o:Username>alice</o:Username>", "", ERR_NO_SECURITY,
		    "no Username" },
		{ "<o:Username>alice<", "<o:Username>al<x/>ice<",
		    ERR_MALFORMED, "more than text" },
		{ "Type=", "xmlns:q=\"" NS_WSSE "\" q:Type=\"x\" Type=",
		    ERR_MALFORMED, "Type stands twice" },
		{ "<u:Expires>2030", "<u:Expires>2001", ERR_MALFORMED,
		    "is not after" },
		{ "<u:Created>2030-01-02T03:04:05.678Z", "<u:Created>2030-01-"
		    "02T03:04:05.678", ERR_MALFORMED,
		    "Created: 2030-01-02T03:04:05.678 is not a time in UTC" },
		{ "<u:Created>2030-01-02T03:04:05.678Z", "<u:Created>2030-01-"
		    "02T04:04:05.678+01:00", ERR_MALFORMED,
		    "not a time in UTC" },
		{ "<u:Created>2030-01-02T03:04:05.678Z", "<u:Created>+00:00",
		    ERR_MALFORMED, "not a time in UTC" },
		{ "<u:Created>", "<u:Created/><u:Created>", ERR_MALFORMED,
		    "Created: stands twice" },
		{ "<u:Created>2030-01-02T03:04:05.678Z</u:Created>", "",
		    ERR_MALFORMED, "no Created" },
		{ "<s:Body>", "<s:Body xmlns:e='" NS_XENC "'><e:X/>",
		    ERR_MALFORMED, "encryption" },
	};
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		refused(edited("issue-username", t[i].from, t[i].to),
		    t[i].kind, t[i].why);
	refused((struct buf){ 0 }, ERR_MALFORMED, "empty");
}

static void
at_time(struct buf *b, int64_t now, const char *why)
{
	struct envelope	e;
	struct err	err;

	assert_int_equal(parse(b, now, &e, &err), why == NULL ? 0 : -1);
	if (why != NULL) {
		assert_int_equal(err.kind, ERR_NO_SECURITY);
		assert_non_null(strstr(err.text, why));
	}
	/* For RelatesTo, whatever comes. */
	assert_non_null(e.message_id.p);
	envelope_free(&e);
}

static void
test_clock(void **state)
{
	static const struct {
		int64_t		 now;
		const char	*why;
	} t[] = {
		{ SENT, NULL }, { SENT - 299, NULL }, { SENT + 599, NULL },
		{ SENT - 301, "in the future" }, { SENT + 602, "expired" },
	};
	/* What a sender says for itself does not make it last longer. */
	static const char *const	until[] = {
		"2030-01-02T03:09:05.678Z</u:Expires>",
		"2099-01-02T03:09:05.678Z</u:Expires>"
	};
	struct buf	b;
	struct envelope	e;
	struct err	err;
	size_t		i, j;

	(void)state;
	b = edited("issue-username", "04:05.678Z</u:Created>",
	    "04:05.678+00:00</u:Created>");
	assert_int_equal(parse(&b, SENT, &e, &err), 0);
	assert_int_equal(e.created, SENT);
	envelope_free(&e);
	buf_free(&b);
	for (j = 0; j < 2; j++) {
		b = edited("issue-username", until[0], until[j]);
		for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
			at_time(&b, t[i].now, t[i].why);
		buf_free(&b);
	}
	refused(edited("issue-username", "09:05.678Z</u:Expires>",
	    "04:05.678Z</u:Expires>"), ERR_MALFORMED, "is not after");
}

static void
limit(const char *before, const char *what, size_t n, const char *after,
    const char *why)
{
	struct buf	 all = { NULL, 0, 0 };
	char		*many = times(what, n);

	buf_puts(&all, before);
	buf_puts(&all, many);
	buf_puts(&all, after);
	refused(edited("issue-username", "<s:Body>", buf_str(&all)),
	    ERR_TOO_BIG, why);
	free(many);
	buf_free(&all);
}

static void
test_limits(void **state)
{
	(void)state;
	limit("<s:Body>", "<a>", 5000, "", "32 elements deep");
	limit("<s:Body>", "<a/>", 2000, "", "2000 elements");
	limit("<s:Body ", "a1=\"1\" ", 1, "b='' c='' d='' e='' f='' g='' "
	    "h='' i='' j='' k='' l='' m='' n='' o='' p='' q='' r='' s='' "
	    "t='' u='' v='' w='' x='' y='' z='' A='' B='' C='' D='' E='' "
	    "F='' G=''>", "32 attributes");
	limit("<s:Body ", "a=\"1\" ", 20000, ">", "32 attributes");
	limit("<s:Body>", "<a xmlns:b='u'/>", 321, "", "320 namespace");
	limit("<s:Body><", "n", 257, "/>", "name of more");
	limit("<s:Body>", "x", 192 * 1024 + 1, "", "192 KiB");
	limit("<s:Body>", "<![CDATA[x]]>", 192 * 1024 / 13 + 200000, "",
	    "192 KiB");
}

static void
test_long_fields(void **state)
{
	char	*s = times("x", 2000);

	(void)state;
	refused(edited("issue-username", "urn:uuid:", s), ERR_TOO_BIG,
	    "MessageID");
	refused(edited("issue-username", "alice", s), ERR_TOO_BIG,
	    "Username");
	refused(edited("issue-username", "p&amp;ss", s), ERR_TOO_BIG,
	    "Password");
	refused(edited("issue-username", "/svc/CES", s), ERR_TOO_BIG, "To");
	free(s);
}

static void
test_to(void **state)
{
	static const struct {
		const char	*to;
		bool		 ok;
	} t[] = {
		{ "https://h/s%76c/C%45S", true },
		{ "https://h/svc%2FCES", true },
		{ "https://h/svc/CE%", false }, { "https://h/svc/CE%5", false },
		{ "https://h/svc/CES%20", false },
		{ "https://h/svc%252FCES", false },
		{ "https://pki.example/svc/CES", true },
		{ "HTTPS://10.0.0.1:8443/SVC/ces", true },
		{ "http://other/svc/CES", true },
		{ "https://pki.example/svc/CES/", false },
		{ "https://pki.example/svc/CEP", false },
		{ "https://pki.example", false },
		{ "https:///svc/CES", true },
		{ "https://h/svc/CES?a=/b", true },
		{ "https://h/svc/CES?", true },
		{ "https://h/svc?/CES", false },
		{ "https://h?/svc/CES", false },
		{ "urn:x", false }, { "", false }, { "/svc/CES", false },
		{ NS_WSA "/anonymous", true }, { NS_WSA "/none", false },
	};
	struct envelope	e = { 0 };
	struct err	err = ERR_INIT;
	size_t		i;

	(void)state;
	assert_int_equal(envelope_check_to(&e, "https://h/svc/CES", &err), 0);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		err = (struct err)ERR_INIT;
		e.to = slice_str(t[i].to);
		assert_int_equal(envelope_check_to(&e, "https://h/svc/CES",
		    &err), t[i].ok ? 0 : -1);
		assert_int_equal(err.kind, t[i].ok ? ERR_NONE :
		    ERR_DESTINATION);
	}
	err = (struct err)ERR_INIT;
	e.to = slice_str("https://h/issuing%20ca_CES/CES");
	assert_int_equal(envelope_check_to(&e, "https://h/Issuing CA_CES/CES",
	    &err), 0);
}

static void
test_action_of_http(void **state)
{
	struct envelope	e = { .action = slice_str(ACTION_RST) };
	struct err	err = ERR_INIT;

	(void)state;
	assert_int_equal(envelope_check_action(&e, slice_str(""), &err), 0);
	assert_int_equal(envelope_check_action(&e, slice_of(NULL, 0), &err),
	    0);
	assert_int_equal(envelope_check_action(&e, slice_str(ACTION_RST),
	    &err), 0);
	assert_int_equal(envelope_check_action(&e,
	    slice_str(ACTION_GETPOLICIES), &err), -1);
	assert_int_equal(err.kind, ERR_ACTION);
}

/* Many different words must not stay in a thread's parser for ever. */
static void
test_words_are_forgotten(void **state)
{
	struct envelope	e;
	struct err	err;
	struct buf	b = { NULL, 0, 0 };
	int		i, j;

	(void)state;
	for (i = 0; i < 50; i++) {
		buf_reset(&b);
		buf_puts(&b, "<s:Envelope xmlns:s='" NS_SOAP "'>");
		for (j = 0; j < 1000; j++)
			buf_printf(&b, "<w%d/>", i * 1000 + j);
		buf_puts(&b, "</s:Envelope>");
		assert_int_equal(parse(&b, SENT, &e, &err), -1);
		envelope_free(&e);
	}
	buf_free(&b);
	b = message("issue-username");
	assert_int_equal(parse(&b, SENT, &e, &err), 0);
	envelope_free(&e);
	buf_free(&b);
}

/* What real clients sent; their timestamps are none or long past. */
static void
test_captures(void **state)
{
	static const char *const dirs[] = { "../shared/captures/requests",
	    "../shared/captures/cepces" };
	struct dirent	*d;
	struct envelope	 e;
	struct err	 err;
	struct buf	 b;
	char		 path[512];
	DIR		*dir;
	size_t		 i;
	int		 n = 0;

	(void)state;
	for (i = 0; i < 2; i++) {
		if ((dir = opendir(dirs[i])) == NULL)
			skip();
		while ((d = readdir(dir)) != NULL) {
			if (strstr(d->d_name, ".xml") == NULL)
				continue;
			snprintf(path, sizeof(path), "%s/%s", dirs[i],
			    d->d_name);
			b = slurp(path);
			if (parse(&b, SENT, &e, &err) == -1)
				fail_msg("%s: %s", path, err.text);
			assert_non_null(e.body);
			assert_true(e.message_id.n > 40);
			envelope_free(&e);
			buf_free(&b);
			n++;
		}
		closedir(dir);
	}
	assert_true(n > 20);
}

static void
test_reply(void **state)
{
	struct reply_head	 h = { .action = "urn:act",
				    .relates_to = slice_str("urn:<1>"),
				    .timestamp = true,
				    .now = SENT * (int64_t)1000 + 678 };
	struct xmlw		 w = { 0 };

	(void)state;
	envelope_begin(&w, &h);
	envelope_end(&w);
	assert_string_equal(buf_str(&w.b), "<s:Envelope xmlns:s=\"" NS_SOAP
	    "\" xmlns:a=\"" NS_WSA "\"><s:Header><a:Action s:mustUnderstand="
	    "\"1\">urn:act</a:Action><a:RelatesTo>urn:&lt;1&gt;</a:RelatesTo>"
	    "<o:Security s:mustUnderstand=\"1\" xmlns:o=\"" NS_WSSE
	    "\" xmlns:u=\"" NS_WSU "\"><u:Timestamp u:Id=\"_0\"><u:Created>"
	    "2030-01-02T03:04:05.678Z</u:Created><u:Expires>"
	    "2030-01-02T03:09:05.678Z</u:Expires></u:Timestamp></o:Security>"
	    "</s:Header><s:Body/></s:Envelope>");
	xmlw_free(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_declarations),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_first_mistake),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_long_fields),
		cmocka_unit_test(test_to),
		cmocka_unit_test(test_action_of_http),
		cmocka_unit_test(test_words_are_forgotten),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_reply),
	};
	int			failed;

	xmlin_init();
	xml = xmlin_new();
	failed = cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
	xmlin_free(xml);
	return failed;
}
