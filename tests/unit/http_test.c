/* FastCGI parameters: what is let in and with which status the rest goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "http.h"

#define CONSTANTS	"CS_SERVICE=ces", "CS_AUTH=password", "CS_CA=CA", \
    "CS_URI=https://h.example/CES", "REMOTE_ADDR=192.0.2.1"
#define TYPE		"CONTENT_TYPE=application/soap+xml; charset=utf-8"

static void
is(int status, const char *const *env)
{
	struct http_request	 r;
	char			*copy[16] = { NULL };
	size_t			 i;

	for (i = 0; env[i] != NULL; i++)
		copy[i] = strdup(env[i]);
	http_parse(copy, &r);
	if (r.status != status)
		fail_msg("%s ...: status %d, not %d (%s)", env[i - 1],
		    r.status, status, r.why != NULL ? r.why : "");
	while (i > 0)
		free(copy[--i]);
}
#define IS(status, ...) is(status, (const char *const []){ __VA_ARGS__, NULL })
#define POST(status, ...)						\
	IS(status, CONSTANTS, "REQUEST_METHOD=POST", __VA_ARGS__)

static void
test_methods(void **state)
{
	(void)state;
	POST(0, "CONTENT_LENGTH=5", TYPE);
	IS(200, CONSTANTS, "REQUEST_METHOD=GET");
	IS(200, CONSTANTS, "REQUEST_METHOD=HEAD");
	IS(405, CONSTANTS, "REQUEST_METHOD=PUT", TYPE);
	IS(405, CONSTANTS, "REQUEST_METHOD=post", TYPE);
	IS(405, CONSTANTS, "REQUEST_METHOD=", TYPE);
}

static void
test_constants(void **state)
{
	(void)state;
	IS(500, "REQUEST_METHOD=GET");
	IS(500, "CS_SERVICE=ces", "CS_AUTH=password", "CS_URI=x",
	    "REQUEST_METHOD=GET");
	IS(200, "CS_SERVICE=cep", "CS_AUTH=password", "CS_URI=x",
	    "REQUEST_METHOD=GET");
	IS(500, "CS_SERVICE=cep", "CS_AUTH=negotiate", "CS_URI=x",
	    "REQUEST_METHOD=GET");
	IS(500, "HTTP_CS_SERVICE=cep", "HTTP_CS_AUTH=password", "CS_URI=x",
	    "REQUEST_METHOD=GET");
}

/* Nothing is read of who has no ticket; with one, who it is of comes later. */
static void
test_kerberos(void **state)
{
	static const char *const	base[] = { "CS_AUTH=kerberos",
	    "CS_CA=CA", "CS_URI=x" };
	(void)state;
#define BASE base[0], base[1], base[2]
	IS(401, BASE, "CS_SERVICE=ces", "REQUEST_METHOD=POST", TYPE,
	    "CONTENT_LENGTH=5");
	IS(401, BASE, "CS_SERVICE=ces", "REQUEST_METHOD=GET");
	IS(401, BASE, "CS_SERVICE=whoami", "REQUEST_METHOD=GET");
	IS(401, BASE, "CS_SERVICE=cep", "REQUEST_METHOD=PUT",
	    "CS_AUTHORIZATION=Negotiate YQ==");
	IS(0, BASE, "CS_SERVICE=ces", "REQUEST_METHOD=POST", TYPE,
	    "CONTENT_LENGTH=5", "HTTP_AUTHORIZATION=Negotiate YQ==");
	IS(0, BASE, "CS_SERVICE=whoami", "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Basic YQ==");
	IS(200, BASE, "CS_SERVICE=cep", "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Negotiate YQ==");
	IS(400, BASE, "CS_SERVICE=cep", "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Negotiate YQ==", "HTTP_AUTHORIZATION=");
	IS(400, BASE, "CS_SERVICE=cep", "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Negotiate \001");
	IS(500, BASE, "CS_SERVICE=ocsp", "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Negotiate YQ==");
#undef BASE
	/* Elsewhere it is a header like any other. */
	POST(0, "CONTENT_LENGTH=5", TYPE, "HTTP_AUTHORIZATION=Negotiate YQ==");
	IS(200, CONSTANTS, "REQUEST_METHOD=GET",
	    "HTTP_AUTHORIZATION=Basic YQ==");
}

static void
test_certificate(void **state)
{
	static const char *const	base[] = { "CS_SERVICE=cep",
	    "CS_AUTH=certificate", "CS_URI=x", "REQUEST_METHOD=GET" };
	(void)state;
#define BASE base[0], base[1], base[2], base[3]
	IS(500, BASE);
	IS(500, BASE, "CS_CLIENT_VERIFY=SUCCESS");
	IS(500, BASE, "HTTP_CS_CLIENT_VERIFY=SUCCESS", "HTTP_CS_CLIENT_CERT=");
	IS(200, BASE, "CS_CLIENT_VERIFY=", "CS_CLIENT_CERT=");
	IS(400, BASE, "CS_CLIENT_VERIFY=NONE", "CS_CLIENT_CERT=",
	    "CS_CLIENT_VERIFY=SUCCESS");
	IS(500, BASE, "CS_CLIENT_VERIFY=", "CS_CLIENT_CERT=",
	    "CS_RENEWAL_ONLY=yes");
#undef BASE
}

/* An address without logon is for renewals or nothing. */
static void
test_anonymous(void **state)
{
	static const char *const	base[] = { "CS_AUTH=anonymous",
	    "CS_URI=x", "CS_CA=CA", "REQUEST_METHOD=GET" };
	(void)state;
#define BASE base[0], base[1], base[2], base[3]
	IS(500, BASE, "CS_SERVICE=ces");
	IS(500, BASE, "CS_SERVICE=ces", "CS_RENEWAL_ONLY=off");
	IS(500, BASE, "CS_SERVICE=cep", "CS_RENEWAL_ONLY=on");
	IS(500, BASE, "CS_SERVICE=whoami", "CS_RENEWAL_ONLY=on");
	IS(200, BASE, "CS_SERVICE=ces", "CS_RENEWAL_ONLY=on");
#undef BASE
}

static void
test_whoami(void **state)
{
	(void)state;
	IS(200, "CS_SERVICE=whoami", "CS_AUTH=password", "CS_URI=x",
	    "REQUEST_METHOD=GET");
	IS(0, "CS_SERVICE=whoami", "CS_AUTH=certificate", "CS_URI=x",
	    "REQUEST_METHOD=GET", "CS_CLIENT_VERIFY=", "CS_CLIENT_CERT=");
	IS(0, "CS_SERVICE=whoami", "CS_AUTH=password", "CS_URI=x",
	    "REQUEST_METHOD=POST", TYPE, "CONTENT_LENGTH=5");
}

/* [security] N2: nginx passes repeated headers as repeated parameters. */
static void
test_doubles(void **state)
{
	(void)state;
	POST(400, "CONTENT_LENGTH=5", TYPE, TYPE);
	POST(400, "CONTENT_LENGTH=5", TYPE, "CONTENT_LENGTH=5");
	POST(400, "CONTENT_LENGTH=5", TYPE, "CS_AUTH=anonymous");
	POST(400, "CONTENT_LENGTH=5", TYPE, "REMOTE_ADDR=192.0.2.1");
	POST(400, "CONTENT_LENGTH=5", TYPE "\001");
	POST(0, "CONTENT_LENGTH=5", TYPE, "HTTP_" TYPE);
	POST(400, "CONTENT_LENGTH=5", TYPE, "HTTP_" TYPE, "HTTP_" TYPE);
	/* Lists, which may come in pieces: [RFC9110] 5.3. */
	POST(0, "CONTENT_LENGTH=5", TYPE, "HTTP_ACCEPT=text/xml",
	    "HTTP_ACCEPT=multipart/*", "HTTP_IF_NONE_MATCH=*",
	    "HTTP_IF_NONE_MATCH=*");
	POST(400, "CONTENT_LENGTH=5", TYPE, "HTTP_ACCEPT=text/xml",
	    "HTTP_ACCEPT=\001");
	POST(400, "CONTENT_LENGTH=5", TYPE, "HTTP_CONTENT_ENCODING=identity",
	    "HTTP_CONTENT_ENCODING=identity");
	POST(0, "CONTENT_LENGTH=5", TYPE, "HTTP_SOAPACTION=a",
	    "HTTP_SOAPACTION=b");
}

static void
test_types(void **state)
{
	static const char *const good[] = {
		"application/soap+xml",
		"Application/SOAP+XML;charset=\"UTF-8\";action=\"x;y=z\"",
		"application/soap+xml ; charset = utf-8 ; action=urn:x",
		"application/soap+xml;\tcharset=utf-8; ;action=x;",
		"application/soap+xml;", "application/soap+xml; charset=utf8",
	};
	static const char *const bad[] = {
		"", "text/xml", "text/xml; charset=utf-8", "application/soap",
		"application/soap+xmlx", "multipart/related",
		"application/soap+xml; charset=utf-16",
		"application/soap+xml; charset=utf-8; charset=utf-8",
		"application/soap+xml; action=a; action=b",
		"application/soap+xml; charset=\"utf-8",
		"application/soap+xml; charset=\"utf-8\"x",
		"application/soap+xml; charset", "application/soap+xml;;x",
	};
	char	text[128];
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "CONTENT_TYPE=%s", good[i]);
		POST(0, "CONTENT_LENGTH=5", text);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "CONTENT_TYPE=%s", bad[i]);
		POST(415, "CONTENT_LENGTH=5", text);
	}
	POST(415, "CONTENT_LENGTH=5");
	POST(415, TYPE, "CONTENT_LENGTH=5", "HTTP_CONTENT_ENCODING=gzip");
	POST(0, TYPE, "CONTENT_LENGTH=5", "HTTP_CONTENT_ENCODING=identity");
}

static void
test_action(void **state)
{
	static char		 constants[][40] = { "CS_SERVICE=cep",
	    "CS_AUTH=password", "CS_URI=x", "REQUEST_METHOD=POST",
	    "CONTENT_LENGTH=5" };
	static const struct {
		char		 type[64];
		const char	*action;
	} t[] = {
		{ "CONTENT_TYPE=application/soap+xml", "" },
		{ "CONTENT_TYPE=application/soap+xml; action=\"\"", "" },
		{ "CONTENT_TYPE=application/soap+xml;action=urn:x ;", "urn:x" },
		{ "CONTENT_TYPE=application/soap+xml; Action=\"a;b\"", "a;b" },
	};
	struct http_request	 r;
	char			*env[7] = { NULL };
	size_t			 i;

	(void)state;
	for (i = 0; i < 5; i++)
		env[i] = constants[i];
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		env[5] = strdup(t[i].type);
		http_parse(env, &r);
		assert_int_equal(r.status, 0);
		assert_true(r.action.n == strlen(t[i].action) &&
		    (r.action.n == 0 || slice_is(r.action, t[i].action)));
		free(env[5]);
	}
}

static void
test_lengths(void **state)
{
	(void)state;
	POST(400, TYPE);
	POST(400, TYPE, "CONTENT_LENGTH=");
	POST(400, TYPE, "CONTENT_LENGTH=-1");
	POST(400, TYPE, "CONTENT_LENGTH=+5");
	POST(400, TYPE, "CONTENT_LENGTH=0x10");
	POST(400, TYPE, "CONTENT_LENGTH= 5");
	POST(400, TYPE, "CONTENT_LENGTH=99999999999999999999");
	POST(0, TYPE, "CONTENT_LENGTH=999999999");	/* too big: a fault */
	POST(0, TYPE, "CONTENT_LENGTH=0");
}

static void
test_none_match(void **state)
{
	const char	*mine = "\"ab\"";
	static const char *const	names[] = {
		"\"ab\"", "W/\"ab\"", "*", "\"x\", \"ab\"",
		", ,\"x\",W/\"\",\t\"ab\"", "\"a,b\" \"ab\"",
		"\"ab\", x", NULL
	};
	static const char *const	others[] = {
		"", "ab", "\"ab", "ab\"", "\"a\"", "\"abc\"", "\"AB\"",
		"\"\"", "w/\"ab\"", "W\"ab\"", "x, \"ab\"", "\"x\", *",
		"**", "\"x, \"ab\"", ",", "W/", NULL
	};
	size_t				i;

	(void)state;
	for (i = 0; names[i] != NULL; i++)
		if (!http_names_tag(names[i], mine))
			fail_msg("not named: %s", names[i]);
	for (i = 0; others[i] != NULL; i++)
		if (http_names_tag(others[i], mine))
			fail_msg("named: %s", others[i]);
}

/* It counts where a GET asks: only there is a representation. */
static void
test_conditions(void **state)
{
	static char	service[] = "CS_SERVICE=ocsp",
			auth[] = "CS_AUTH=anonymous", uri[] = "CS_URI=x",
			get[] = "REQUEST_METHOD=GET",
			post[] = "REQUEST_METHOD=POST",
			type[] = "CONTENT_TYPE=application/ocsp-request",
			length[] = "CONTENT_LENGTH=5",
			tag[] = "HTTP_IF_NONE_MATCH=*";
	char		*asked[] = { service, auth, uri, get, tag, NULL };
	char		*sent[] = { service, auth, uri, post, type, length,
			    tag, NULL };
	char		*plain[] = { service, auth, uri, get, NULL };
	struct http_request	r;

	(void)state;
	http_parse(asked, &r);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.none_match, "*");
	http_parse(sent, &r);
	assert_int_equal(r.status, 0);
	assert_null(r.none_match);
	http_parse(plain, &r);
	assert_null(r.none_match);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_constants),
		cmocka_unit_test(test_kerberos),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_whoami),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_action),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_none_match),
		cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
