/* RequestSecurityToken: what is taken over, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "envelope.h"
#include "hresult.h"
#include "ns.h"
#include "rst.h"
#include "soap_data.h"

static struct xmlin	*xml;

static int
parse(struct buf b, struct rst *r, struct err *err)
{
	struct envelope	e = { 0 };
	int		ok;

	*r = (struct rst){ 0 };
	*err = (struct err)ERR_INIT;
	if (envelope_parse(xml, buf_slice(&b), SENT, &e, err) == -1)
		fail_msg("%s", err->text);
	ok = rst_parse(e.body, e.action, r, err);
	envelope_free(&e);
	buf_free(&b);
	return ok;
}

static void
refused(struct buf b, uint32_t hresult, const char *why)
{
	struct rst	r;
	struct err	err;

	if (parse(b, &r, &err) == 0)
		fail_msg("accepted; wanted \"%s\"", why);
	if (err_hresult(&err) != hresult || strstr(err.text, why) == NULL)
		fail_msg("wanted %08x \"%s\", got %08x \"%s\"", hresult, why,
		    err_hresult(&err), err.text);
}

/* [RFC7468] 7, as adcs-rs sends it; nothing but one whole request. */
static void
test_pem(void **state)
{
	static const struct {
		const char	*text;
		bool		 good;
	} t[] = {
#define B(label)	"-----BEGIN " label "-----"
#define E(label)	"-----END " label "-----"
		{ B("CERTIFICATE REQUEST") "&#13;\nMAMC&#13;\nAQE=&#13;\n"
		    E("CERTIFICATE REQUEST") "&#13;\n", true },
		{ " " B("NEW CERTIFICATE REQUEST") "MAMCAQE="
		    E("NEW CERTIFICATE REQUEST"), true },
		{ B("PKCS7") "\nMAMCAQE=\n" E("PKCS7"), true },
		{ B("CMS") "\nMAMCAQE=\n" E("CMS"), true },
		{ B("X") "\nMAMCAQE=\n" E("X"), false },
		{ B("CERTIFICATE") "\nMAMCAQE=\n" E("CERTIFICATE"), false },
		{ B("PKCS7") "\nMAMCAQE=\n" E("CMS"), false },
		{ B("PKCS7") "\nMAMCAQE=\n", false },
		{ B("PKCS7") "\nMAMCAQE=\n" E("PKCS7") "x", false },
		{ B("PKCS7"), false }, { "-----BEGIN PKCS7-----END PKCS7-----",
		    false },
		{ B("PKCS7") E("PKCS7"), false },
		{ B("PKCS7") "\nX: y\n\nMAMCAQE=\n" E("PKCS7"), false },
		{ "MAMCAQE=" E("PKCS7"), false },
		{ B("PKCS7") "MAMCAQE=" E("PKCS7") B("PKCS7") "MAMCAQE="
		    E("PKCS7"), false },
#undef B
#undef E
	};
	struct rst	r;
	struct err	err;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (parse(edited("issue-transport", "MAMC&#13;\nAQE=",
		    t[i].text), &r, &err) == (t[i].good ? -1 : 0))
			fail_msg("%s: %s", t[i].text, err.text);
		if (t[i].good)
			assert_true(slice_eq(buf_slice(&r.token),
			    slice_of("\x30\x03\x02\x01\x01", 5)));
		else
			assert_int_equal(err_hresult(&err), HR_INVALID_DATA);
		rst_free(&r);
	}
}

static void
test_issue(void **state)
{
	struct rst	r;
	struct err	err;

	(void)state;
	assert_int_equal(parse(message("issue-username"), &r, &err), 0);
	assert_int_equal(r.call, RST_ISSUE);
	assert_true(slice_eq(buf_slice(&r.token),
	    slice_of("\x30\x03\x02\x01\x01", 5)));
	assert_string_equal(r.template, "WebServer");
	rst_free(&r);
	assert_int_equal(parse(message("issue-transport"), &r, &err), 0);
	assert_null(r.template);
	rst_free(&r);
	/* RequestID is ignored in an Issue, and so is what is not known. */
	assert_int_equal(parse(edited("issue-transport",
	    "</RequestSecurityToken>", "<RequestID xmlns=\"" NS_WSTEP
	    "\">x</RequestID><Lifetime/></RequestSecurityToken>"), &r,
	    &err), 0);
	rst_free(&r);
	/* White space around an xs:anyURI. */
	assert_int_equal(parse(edited("issue-transport", "ValueType=\"",
	    "ValueType=\"\n "), &r, &err), 0);
	rst_free(&r);
	assert_int_equal(parse(edited("issue-transport", "#base64binary",
	    "#base64binary&#9;"), &r, &err), 0);
	rst_free(&r);
	/* Other names of PKCS#7; the DER says what it is. */
	assert_int_equal(parse(edited("issue-transport", "enrollment#PKCS10",
	    "enrollment#PKCS7"), &r, &err), 0);
	rst_free(&r);
	assert_int_equal(parse(edited("issue-transport", VALUE_PKCS10,
	    VALUE_PKCS7_WSS), &r, &err), 0);
	rst_free(&r);
	/* cepces until 0.3.7 qualified them; AD CS takes that, too. */
	assert_int_equal(parse(edited("issue-transport", "ValueType=",
	    "xmlns:q=\"" NS_WSSE "\" q:ValueType="), &r, &err), 0);
	rst_free(&r);
	assert_int_equal(parse(edited("issue-transport", "EncodingType=",
	    "xmlns:q=\"" NS_WSSE "\" q:EncodingType="), &r, &err), 0);
	rst_free(&r);
	refused(edited("issue-transport", "ValueType=", "xmlns:q=\"" NS_WSSE
	    "\" q:ValueType=\"" VALUE_PKCS7 "\" ValueType="), HR_INVALID_DATA,
	    "BinarySecurityToken: ValueType stands twice");
	refused(edited("issue-transport", "EncodingType=", "xmlns:q=\"" NS_WST
	    "\" q:EncodingType="), HR_INVALID_ARG, "no EncodingType");
	refused(edited("issue-username", "Name=\"ccm\"",
	    "Name=\" CertificateTemplate\""), HR_INVALID_ARG,
	    "CertificateTemplate stands twice");
	/* An escaped name of an attribute is one that is not known. */
	assert_int_equal(parse(edited("issue-username",
	    "\"CertificateTemplate\"", "\"C&amp;ertificate Template\""), &r,
	    &err), 0);
	assert_null(r.template);
	rst_free(&r);
}

static void
test_query(void **state)
{
	static const char *const good[] = { "1", " 65\n", "2147483647",
	    "0000000001" };
	static const char *const bad[] = { "0", "-1", "1.5", "abc", "",
	    "2147483648", "99999999999999999999", "0x10", "1 2", "+1" };
	char		 to[64], why[64];
	struct rst	 r;
	struct err	 err;
	size_t		 i;

	(void)state;
	assert_int_equal(parse(message("query"), &r, &err), 0);
	assert_int_equal(r.call, RST_QUERY);
	assert_int_equal(r.number, 65);
	rst_free(&r);
	assert_int_equal(parse(edited("query", "<TokenType>" TOKEN_X509
	    "</TokenType>", ""), &r, &err), 0);
	assert_int_equal(r.number, 65);
	rst_free(&r);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(to, sizeof(to), ">%s</RequestID>", good[i]);
		assert_int_equal(parse(edited("query", ">65</RequestID>",
		    to), &r, &err), 0);
		rst_free(&r);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(to, sizeof(to), ">%s</RequestID>", bad[i]);
		snprintf(why, sizeof(why), bad[i][0] == '\0' ? "no RequestID" :
		    "RequestID is %s, must be a number", bad[i]);
		refused(edited("query", ">65</RequestID>", to),
		    HR_INVALID_ARG, why);
	}
	refused(edited("query", ">65</RequestID>", " xmlns:x=\"" NS_XSI
	    "\" x:nil=\"true\"/>"), HR_INVALID_ARG, "no RequestID");
	refused(edited("query", "<RequestID ", "<RequestID xmlns:x=\"" NS_XSI
	    "\" x:nil=\"true\" "), HR_INVALID_DATA, "nil, and not empty");
	refused(edited("query", "<RequestID ", "<RequestID xmlns:x=\"" NS_XSI
	    "\" x:nil=\"maybe\" "), HR_INVALID_DATA, "neither true nor false");
	refused(edited("query", "<RequestID ", "<RequestIx/><RequestID xmlns="
	    "\"" NS_WSTEP "\"/><RequestID "), HR_INVALID_DATA,
	    "RequestID: stands twice");
}

static void
test_ket(void **state)
{
	struct rst	r;
	struct err	err;

	(void)state;
	assert_int_equal(parse(message("ket"), &r, &err), 0);
	assert_int_equal(r.call, RST_KET);
	rst_free(&r);
	assert_int_equal(parse(edited("ket", "<TokenType>" TOKEN_X509
	    "</TokenType>", ""), &r, &err), 0);
	rst_free(&r);
	refused(edited("ket", "#X509v3<", "#Other<"), HR_INVALID_ARG,
	    "TokenType");
	refused(edited("ket", "<RequestKET/>", ""), HR_INVALID_ARG,
	    "RequestKET");
	refused(edited("ket", "200512/KET<", "200512/Issue<"), HR_INVALID_ARG,
	    "RequestType issue does not fit Action " ACTION_KET);
	refused(edited("issue-username", "200512/Issue<", "200512/KET<"),
	    HR_INVALID_ARG, "RequestType ket does not fit Action " ACTION_RST);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char	*from, *to;
		uint32_t	 hresult;
		const char	*why;
	} t[] = {
		{ "#X509v3<", "#Other<", HR_INVALID_ARG,
		    "1.0#Other, must be " TOKEN_X509 },
		{ "<TokenType>" TOKEN_X509 "</TokenType>", "",
		    HR_INVALID_ARG, "no TokenType, must be " TOKEN_X509 },
		{ "<TokenType>", "<TokenType/><TokenType>", HR_INVALID_DATA,
		    "TokenType: stands twice" },
		{ "200512/Issue<", "200512/Cancel<", HR_INVALID_ARG,
		    "200512/Cancel, must be that of Issue, Query" },
		{ "<RequestType>" TYPE_ISSUE "</RequestType>", "",
		    HR_INVALID_ARG, "no RequestType, must be that of Issue" },
		{ "<RequestType>", "<RequestType xmlns:x='" NS_XSI
		    "' x:nil='1'>", HR_INVALID_DATA,
		    "RequestType: nil, and not empty" },
		{ "<RequestType>", "<RequestType/><RequestType>",
		    HR_INVALID_DATA, "RequestType: stands twice" },
		{ "#base64binary", "#Base64Binary", HR_INVALID_ARG,
		    "1.0.xsd#Base64Binary, must be " ENCODING_BASE64 },
		{ "EncodingType=", "Encoding=", HR_INVALID_ARG,
		    "no EncodingType, must be " ENCODING_BASE64 },
		{ "enrollment#PKCS10", "enrollment#CHALLENGERESPONSE",
		    HR_INVALID_ARG,
		    "#CHALLENGERESPONSE, must be that of PKCS10 or PKCS7" },
		{ "ValueType=", "Value=", HR_INVALID_ARG,
		    "no ValueType, must be that of PKCS10 or PKCS7" },
		{ "AQE=", "AQE=<x/>", HR_INVALID_DATA, "more than text" },
		{ "AQE=", "AQE", HR_INVALID_DATA, "base64" },
		{ "AQE=", "AQF=", HR_INVALID_DATA, "pad bits" },
		{ "AQE=", "AQE==", HR_INVALID_DATA, "base64" },
		{ "AQE=", "AQ_=", HR_INVALID_DATA, "alphabet" },
		{ "AQE=", "AQE=AQE=", HR_INVALID_DATA, "padding" },
		{ "MAMC&#13;", "LS0tLS1CRUdJTiBYLS0tLS0K", HR_INVALID_DATA,
		    "PEM in base64, must be" },
		{ "<BinarySecurityToken", "<BinarySecurityToken xmlns=\""
		    NS_WSSE "\"/><BinarySecurityToken", HR_INVALID_DATA,
		    "stands twice" },
		{ "Name=\"ccm\"", "Name=\"CERTIFICATETEMPLATE\"",
		    HR_INVALID_ARG, "CertificateTemplate stands twice" },
		{ "Name=\"ccm\"", "Nome=\"ccm\"", HR_INVALID_ARG,
		    "ContextItem" },
		{ "<Value>pc1", "<Value>x</Value><Value>pc1", HR_INVALID_ARG,
		    "ContextItem" },
		{ "<Value>pc1.example</Value>", "", HR_INVALID_ARG,
		    "ContextItem" },
		{ "<Value>WebServer<", "<Value> <", HR_INVALID_ARG,
		    "CertificateTemplate of 0" },
	};
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		refused(edited("issue-username", t[i].from, t[i].to),
		    t[i].hresult, t[i].why);
	refused(message("child-in-token"), HR_INVALID_DATA, "more than text");
	refused(message("two-template-hints"), HR_INVALID_ARG, "twice");
	refused(message("getpolicies"), HR_INVALID_ARG, "Action");
}

/* [WS-Trust] 3.2: to be repeated, as it is, also when it is empty. */
static void
test_context(void **state)
{
	char		*s = times("x", RST_CONTEXT_MAX + 1);
	struct buf	 to = { NULL, 0, 0 };
	struct rst	 r;
	struct err	 err;

	(void)state;
	assert_int_equal(parse(message("issue-transport"), &r, &err), 0);
	assert_null(r.context);
	rst_free(&r);
	assert_int_equal(parse(edited("issue-transport",
	    "<RequestSecurityToken ", "<RequestSecurityToken Context=\"urn:"
	    "a&amp;b\" "), &r, &err), 0);
	assert_string_equal(r.context, "urn:a&b");
	rst_free(&r);
	assert_int_equal(parse(edited("query", "<RequestSecurityToken ",
	    "<RequestSecurityToken Context='' "), &r, &err), 0);
	assert_string_equal(r.context, "");
	rst_free(&r);
	/* Of another namespace it is another attribute. */
	assert_int_equal(parse(edited("ket", "<RequestSecurityToken ",
	    "<RequestSecurityToken xmlns:t=\"" NS_WST "\" t:Context=\"x\" "),
	    &r, &err), 0);
	assert_null(r.context);
	rst_free(&r);
	buf_printf(&to, "<RequestSecurityToken Context=\"%s\" ", s);
	refused(edited("issue-transport", "<RequestSecurityToken ",
	    buf_str(&to)), HR_INVALID_DATA, "Context: 1025 bytes, limit 1024");
	buf_free(&to);
	free(s);
}

static void
test_body(void **state)
{
	struct rst	r;
	struct err	err = ERR_INIT;

	(void)state;
	assert_int_equal(rst_parse(NULL, slice_str(ACTION_RST), &r, &err),
	    -1);
	assert_int_equal(err.kind, ERR_MALFORMED);
	assert_non_null(strstr(err.text, "Body: nothing of no namespace"));
	refused(edited("issue-transport", "xmlns=\"" NS_WST "\"",
	    "xmlns=\"" NS_WST "/\""), HR_INVALID_ARG, "Body: RequestSecurity"
	    "Token of " NS_WST "/, must be RequestSecurityToken of " NS_WST);
}

static void
test_limits(void **state)
{
	struct buf	 b = { NULL, 0, 0 };
	char		*s = times("AAAA", (64 * 1024) / 3 + 1);

	(void)state;
	refused(edited("issue-transport", "MAMC", s), HR_INVALID_DATA,
	    "limit 65536");
	free(s);
	s = times("<ContextItem Name=\"x\"><Value/></ContextItem>", 33);
	buf_printf(&b, "%s</AdditionalContext>", s);
	refused(edited("issue-username", "</AdditionalContext>",
	    buf_str(&b)), HR_INVALID_DATA, "more than 32 items");
	free(s);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_issue),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_ket),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_limits),
	};
	int			failed;

	xmlin_init();
	xml = xmlin_new();
	failed = cmocka_run_group_tests_name("rst", tests, NULL, NULL);
	xmlin_free(xml);
	return failed;
}
