/*
 * RequestSecurityToken to struct rst: the message of CES.  Behind this nobody
 * looks at XML, and nobody looks into the token before common/request.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "envelope.h"
#include "hresult.h"
#include "ns.h"
#include "request.h"
#include "rst.h"
#include "xmlchar.h"

#define URI_MAX		256
#define CONTEXT_MAX	32	/* ContextItems */
#define VALUE_MAX	4096
#define PEM_BEGIN	"-----BEGIN "

enum part {
	P_TOKEN_TYPE, P_REQUEST_TYPE, P_TOKEN, P_CONTEXT, P_REQUEST_ID,
	P_REQUEST_KET, P_COUNT
};
static const struct {
	const char	*ns, *name;
} parts[P_COUNT] = {
	[P_TOKEN_TYPE] =	{ NS_WST, "TokenType" },
	[P_REQUEST_TYPE] =	{ NS_WST, "RequestType" },
	[P_TOKEN] =		{ NS_WSSE, "BinarySecurityToken" },
	[P_CONTEXT] =		{ NS_AUTH, "AdditionalContext" },
	[P_REQUEST_ID] =	{ NS_WSTEP, "RequestID" },
	[P_REQUEST_KET] =	{ NS_WST, "RequestKET" },
};

static const struct {
	enum rst_call	 call;
	const char	*type, *action, *name;
} calls[] = {
	{ RST_ISSUE,	TYPE_ISSUE,	ACTION_RST,	"issue" },
	{ RST_QUERY,	TYPE_QUERY,	ACTION_RST,	"query" },
	{ RST_KET,	TYPE_KET,	ACTION_KET,	"ket" },
};
#define NCALLS (sizeof(calls) / sizeof(calls[0]))

const char *
rst_call_name(enum rst_call call)
{
	return calls[call].name;
}

/* What else stands there is ignored: [MS-WSTEP] 3.1.4.1.3.3. */
static int
sort_parts(const xmlNode *rst, const xmlNode **found, struct err *err)
{
	const xmlNode	*c;
	int		 i;

	if (xml_elements_only(rst, "RequestSecurityToken", err) == -1)
		return -1;
	for (c = xml_first(rst); c != NULL; c = xml_next(c))
		for (i = 0; i < P_COUNT; i++)
			if (xml_is(c, parts[i].ns, parts[i].name) &&
			    xml_once(&found[i], c, parts[i].name, err) == -1)
				return -1;
	return 0;
}

/* What stands there and what must: 100 octets hold each of these URIs. */
static int
refuse(const char *what, struct slice found, const char *wanted,
    struct err *err)
{
	if (found.n == 0)
		return err_bad(err, HR_INVALID_ARG, "no %s, must be %s", what,
		    wanted);
	return err_bad(err, HR_INVALID_ARG, "%s is %.*s, must be %s", what,
	    (int)(found.n < 100 ? found.n : 100), (const char *)found.p,
	    wanted);
}

/* [MS-WSTEP] 3.1.4.1.3.3: not needed where no request comes along. */
static int
check_token_type(const xmlNode *node, enum rst_call call, struct err *err)
{
	struct slice	s = { NULL, 0 };

	if (node == NULL && call != RST_ISSUE)
		return 0;
	if (node != NULL &&
	    xml_token(node, URI_MAX, "TokenType", &s, err) == -1)
		return -1;
	if (!slice_is(s, TOKEN_X509))
		return refuse("TokenType", s, TOKEN_X509, err);
	return 0;
}

/* [MS-WSTEP] 3.1.4.2: the Action and the RequestType must say the same. */
static int
find_call(const xmlNode *node, struct slice action, enum rst_call *call,
    struct err *err)
{
	struct slice	s = { NULL, 0 };
	size_t		i;

	if (node != NULL &&
	    xml_token(node, URI_MAX, "RequestType", &s, err) == -1)
		return -1;
	for (i = 0; i < NCALLS; i++)
		if (slice_is(s, calls[i].type))
			break;
	if (i == NCALLS)
		return refuse("RequestType", s,
		    "that of Issue, QueryTokenStatus or KET", err);
	if (!slice_is(action, calls[i].action))
		return err_bad(err, HR_INVALID_ARG, "RequestType %s does not "
		    "fit Action %.*s", calls[i].name,
		    (int)(action.n < 100 ? action.n : 100),
		    (const char *)action.p);
	*call = calls[i].call;
	return 0;
}

static bool
begins(struct slice s, const char *head)
{
	size_t	n = strlen(head);

	return s.n >= n && memcmp(s.p, head, n) == 0;
}

/* The base64 between a line that s begins with and one that it ends with. */
static bool
between(struct slice *s, const char *label)
{
	char	first[64], last[64];
	size_t	a, b;

	a = (size_t)snprintf(first, sizeof(first), "-----BEGIN %s-----",
	    label);
	b = (size_t)snprintf(last, sizeof(last), "-----END %s-----", label);
	if (!begins(*s, first) || s->n < a + b ||
	    memcmp(s->p + s->n - b, last, b) != 0)
		return false;
	*s = slice_of(s->p + a, s->n - a - b);
	return true;
}

/*
 * [RFC7468] 7, as adcs-rs sends it, to which AD CS has no objection: one whole
 * request and nothing beside it.
 */
static int
unwrap_pem(struct slice *s, struct err *err)
{
	static const char *const	labels[] = {
		"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "PKCS7",
		"CMS"
	};
	struct slice	text = xml_trim(*s);
	size_t		i;

	if (!begins(text, PEM_BEGIN))
		return 0;
	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (between(&text, labels[i])) {
			*s = text;
			return 0;
		}
	return err_bad(err, 0, "BinarySecurityToken: PEM that is not one "
	    "whole request");
}

/*
 * A hint only: what the bytes are, the DER says.  [MS-WSTEP] names none; the
 * last two are not of Windows here, but of [MS-MDE2] and of [WSS-X509] 3.1.
 */
static bool
is_value_type(struct slice type)
{
	return slice_is(type, VALUE_PKCS10) || slice_is(type, VALUE_PKCS7) ||
	    slice_is(type, VALUE_PKCS7_MDE) ||
	    slice_is(type, VALUE_PKCS7_WSS);
}

/*
 * Both attributes stood in wsse until cepces 0.3.8, to which AD CS has no
 * objection.
 */
static int
read_token(const xmlNode *node, struct buf *out, struct err *err)
{
	struct slice	encoding, type, text;

	if (node == NULL)
		return err_bad(err, HR_INVALID_ARG, "no BinarySecurityToken");
	if (xml_attr_lax(node, NS_WSSE, "EncodingType", &encoding,
	    err) == -1 || xml_attr_lax(node, NS_WSSE, "ValueType", &type,
	    err) == -1)
		return -1;
	if (!slice_is(encoding, ENCODING_BASE64))
		return refuse("EncodingType", encoding, ENCODING_BASE64, err);
	if (!is_value_type(type))
		return refuse("ValueType", type, "that of PKCS10 or PKCS7",
		    err);
	if (xml_text(node, XML_TEXT_MAX, "BinarySecurityToken", &text,
	    err) == -1 || unwrap_pem(&text, err) == -1 ||
	    base64_decode((const char *)text.p, text.n, REQUEST_MAX, out,
	    err) == -1)
		return -1;
	if (begins(xml_trim(buf_slice(out)), PEM_BEGIN))
		return err_bad(err, 0, "BinarySecurityToken: PEM in base64, "
		    "must be one of them");
	if (out->n == 0)
		return err_bad(err, 0, "BinarySecurityToken: empty");
	return 0;
}

/* RequestID: decimal, as we gave it. */
static int
read_number(const xmlNode *node, uint32_t *out, struct err *err)
{
	struct slice	s = { NULL, 0 };
	uint64_t	v = 0;
	size_t		i;
	bool		given;

	if (xml_given(node, "RequestID", &given, err) == -1 || (given &&
	    xml_token(node, URI_MAX, "RequestID", &s, err) == -1))
		return -1;
	for (i = 0; i < s.n && i < 11 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	if (s.n == 0 || i != s.n || v == 0 || v > INT32_MAX)
		return refuse("RequestID", s, "a number that was given out",
		    err);
	*out = (uint32_t)v;
	return 0;
}

static bool
is_template_name(struct slice s)
{
	static const char	name[] = "CertificateTemplate";

	return s.n == sizeof(name) - 1 &&
	    strncasecmp((const char *)s.p, name, s.n) == 0;
}

/*
 * Of all attributes only the template is a hint.  The others say who the
 * client is (ccm, rmd, cdc) or ask for what no requester decides (SAN,
 * ValidityPeriod, certfile, ...): nothing of them leaves this function.
 */
static int
read_item(const xmlNode *item, struct rst *r, struct err *err)
{
	const xmlNode	*value;
	struct slice	 name, text;

	name = xml_trim(xml_attr(item, NULL, "Name"));	/* an xs:anyURI */
	value = xml_first(item);
	if (!xml_is(item, NS_AUTH, "ContextItem") || name.p == NULL ||
	    value == NULL || !xml_is(value, NS_AUTH, "Value") ||
	    xml_next(value) != NULL ||
	    xml_elements_only(item, "ContextItem", err) == -1)
		return err_bad(err, HR_INVALID_ARG,
		    "AdditionalContext: not a ContextItem with Name and Value");
	if (xml_text(value, VALUE_MAX, "ContextItem", &text, err) == -1)
		return -1;
	if (!is_template_name(name))
		return 0;
	if (r->template != NULL)
		return err_bad(err, HR_INVALID_ARG,
		    "AdditionalContext: CertificateTemplate stands twice");
	text = xml_trim(text);
	if (text.n == 0 || text.n > RST_TEMPLATE_MAX)
		return err_bad(err, HR_INVALID_ARG, "AdditionalContext: "
		    "CertificateTemplate of %zu bytes", text.n);
	r->template = xstrndup((const char *)text.p, text.n);
	return 0;
}

static int
read_context(const xmlNode *node, struct rst *r, struct err *err)
{
	const xmlNode	*item;
	unsigned	 n = 0;

	if (node == NULL)
		return 0;
	if (xml_elements_only(node, "AdditionalContext", err) == -1)
		return -1;
	for (item = xml_first(node); item != NULL; item = xml_next(item)) {
		if (++n > CONTEXT_MAX)
			return err_set(err, ERR_TOO_BIG, "AdditionalContext: "
			    "more than %d items", CONTEXT_MAX);
		if (read_item(item, r, err) == -1)
			return -1;
	}
	return 0;
}

/* [WS-Trust] 3.1, 3.2: the client's own mark, which the answer repeats. */
static int
read_mark(const xmlNode *rst, struct rst *r, struct err *err)
{
	struct slice	s = xml_attr(rst, NULL, "Context");

	if (s.n > RST_CONTEXT_MAX)
		return err_set(err, ERR_TOO_BIG, "Context: %zu bytes, limit "
		    "%d", s.n, RST_CONTEXT_MAX);
	if (s.p != NULL)
		r->context = xstrndup((const char *)s.p, s.n);
	return 0;
}

static int
read_call(const xmlNode **found, struct rst *r, struct err *err)
{
	switch (r->call) {
	case RST_ISSUE:
		return read_token(found[P_TOKEN], &r->token, err);
	case RST_QUERY:
		return read_number(found[P_REQUEST_ID], &r->number, err);
	case RST_KET:
		if (found[P_REQUEST_KET] == NULL)
			return err_bad(err, HR_INVALID_ARG, "no RequestKET");
		return 0;
	}
	return -1;
}

int
rst_parse(const xmlNode *body, struct slice action, struct rst *out,
    struct err *err)
{
	const xmlNode	*found[P_COUNT] = { NULL };
	struct rst	 r = { 0 };

	if (!slice_is(action, ACTION_RST) && !slice_is(action, ACTION_KET))
		return envelope_other_action(action, "CES", err);
	if (body == NULL || !xml_is(body, NS_WST, "RequestSecurityToken"))
		return envelope_other_body(body, NS_WST,
		    "RequestSecurityToken", err);
	if (sort_parts(body, found, err) == -1 ||
	    find_call(found[P_REQUEST_TYPE], action, &r.call, err) == -1 ||
	    check_token_type(found[P_TOKEN_TYPE], r.call, err) == -1 ||
	    read_mark(body, &r, err) == -1 ||
	    read_context(found[P_CONTEXT], &r, err) == -1 ||
	    read_call(found, &r, err) == -1) {
		rst_free(&r);
		return -1;
	}
	*out = r;
	return 0;
}

void
rst_free(struct rst *r)
{
	buf_free(&r->token);
	free(r->template);
	free(r->context);
	*r = (struct rst){ 0 };
}
