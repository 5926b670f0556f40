/*
 * SOAP envelope, WS-Addressing, WS-Security: the second step of a request,
 * behind http.c.  What it leaves to rst.c and getpolicies.c is one element.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "envelope.h"
#include "hresult.h"
#include "ns.h"
#include "xmlchar.h"

#define URI_MAX		1024
#define STAMP_LIFE	300	/* seconds that a Timestamp lasts at most */

/* The headers that are known; each may come once. */
enum header {
	H_ACTION, H_MESSAGE_ID, H_TO, H_SECURITY, H_REPLY_TO, H_FAULT_TO,
	H_FROM, H_COUNT
};
static const struct {
	const char	*ns, *name;
} headers[H_COUNT] = {
	[H_ACTION] =		{ NS_WSA, "Action" },
	[H_MESSAGE_ID] =	{ NS_WSA, "MessageID" },
	[H_TO] =		{ NS_WSA, "To" },
	[H_SECURITY] =		{ NS_WSSE, "Security" },
	[H_REPLY_TO] =		{ NS_WSA, "ReplyTo" },
	[H_FAULT_TO] =		{ NS_WSA, "FaultTo" },
	[H_FROM] =		{ NS_WSA, "From" },
};

/* [SOAP12] 5.2.3: an xs:boolean, false when absent. */
static int
must_understand(const xmlNode *node, bool *must, struct err *err)
{
	struct slice	v;

	*must = false;
	v = xml_attr(node, NS_SOAP, "mustUnderstand");
	if (v.p != NULL && xml_bool(v, must) == -1)
		return err_bad(err, 0, "%.64s: mustUnderstand is no boolean",
		    (const char *)node->name);
	return 0;
}

/* [SOAP12] 2.2: the roles that whoever gets the message plays. */
static bool
is_ours(const xmlNode *node)
{
	struct slice	v = xml_trim(xml_attr(node, NS_SOAP, "role"));

	return v.p == NULL || slice_is(v, NS_SOAP "/role/next") ||
	    slice_is(v, NS_SOAP "/role/ultimateReceiver");
}

static int
sort_header(const xmlNode *node, const xmlNode **found, struct err *err)
{
	bool	must;
	int	i;

	if (must_understand(node, &must, err) == -1)
		return -1;
	for (i = 0; i < H_COUNT; i++)
		if (xml_is(node, headers[i].ns, headers[i].name))
			break;
	if (i == H_COUNT) {
		if (must && is_ours(node))
			return err_set(err, ERR_NOT_UNDERSTOOD,
			    "header %.64s of %.100s is not understood",
			    (const char *)node->name, node->ns == NULL ?
			    "no namespace" : (const char *)node->ns->href);
		return 0;
	}
	/* [SOAP12] 5.2.2: meant for somebody else, so not ours to trust. */
	if (!is_ours(node))
		return err_bad(err, 0, "%s: role is not accepted",
		    headers[i].name);
	return xml_once(&found[i], node, headers[i].name, err);
}

static bool
ends(struct slice s, const char *tail)
{
	size_t	n = strlen(tail);

	return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

/*
 * Created and Expires in UTC: [WSS-BSP] R3217, R3223.  "Z" has a second
 * spelling ([XMLSCHEMA-2] 3.2.7.3), which Python and Java write.
 */
static int
instant(const xmlNode *node, const char *what, int64_t *t, struct err *err)
{
	struct slice	s;

	if (xml_token(node, 64, what, &s, err) == -1)
		return -1;
	if (!(ends(s, "Z") || ends(s, "+00:00")) || xml_datetime(s, t) == -1)
		return err_bad(err, 0, "%s: %.*s is not a time in UTC such as "
		    "2030-01-02T03:04:05Z", what, (int)s.n, (const char *)s.p);
	return 0;
}

/*
 * Neither from the future nor old, whatever Expires says: five minutes and
 * the skew, which is what WCF, and with it AD CS, lets pass.
 */
static int
check_age(int64_t from, int64_t until, int64_t now, struct err *err)
{
	if (until > from + STAMP_LIFE)
		until = from + STAMP_LIFE;
	if (from > now + CLOCK_SKEW)
		return err_set(err, ERR_NO_SECURITY, "Timestamp: created %lld "
		    "s in the future; is the clock right?",
		    (long long)(from - now));
	if (until < now - CLOCK_SKEW)
		return err_set(err, ERR_NO_SECURITY, "Timestamp: expired "
		    "%lld s ago; is the clock right?",
		    (long long)(now - until));
	return 0;
}

/* [WSS-BSP] R3203, R3221, R3224: one Created, then at most one Expires. */
static int
parse_timestamp(const xmlNode *node, int64_t now, struct envelope *e,
    struct err *err)
{
	const xmlNode	*c, *created = NULL, *expires = NULL;
	int64_t		 from, until;

	if (xml_elements_only(node, "Timestamp", err) == -1)
		return -1;
	for (c = xml_first(node); c != NULL; c = xml_next(c)) {
		if (xml_is(c, NS_WSU, "Created") && expires == NULL) {
			if (xml_once(&created, c, "Created", err) == -1)
				return -1;
		} else if (xml_is(c, NS_WSU, "Expires")) {
			if (xml_once(&expires, c, "Expires", err) == -1)
				return -1;
		} else
			return err_bad(err, 0, "Timestamp: unknown element");
	}
	if (created == NULL)
		return err_bad(err, 0, "Timestamp: no Created");
	if (instant(created, "Created", &from, err) == -1)
		return -1;
	until = from + STAMP_LIFE;
	if (expires != NULL && instant(expires, "Expires", &until, err) == -1)
		return -1;
	if (until <= from)
		return err_bad(err, 0,
		    "Timestamp: Expires is not after Created");
	e->created = from;
	return check_age(from, until, now, err);
}

/* [WSS-UNT] 3.1; cepces puts it into wsse.  Absent means PasswordText. */
static int
check_password_type(const xmlNode *node, struct err *err)
{
	struct slice	type;

	if (xml_attr_lax(node, NS_WSSE, "Type", &type, err) == -1)
		return -1;
	if (type.p != NULL && !slice_is(type, PASSWORD_TEXT))
		return err_bad(err, 0,
		    "Password: only PasswordText is accepted");
	return 0;
}

static int
sort_token_part(const xmlNode *c, const xmlNode **part, struct err *err)
{
	static const struct {
		const char	*ns, *name;
	} parts[4] = {
		{ NS_WSSE, "Username" }, { NS_WSSE, "Password" },
		{ NS_WSSE, "Nonce" }, { NS_WSU, "Created" },
	};
	int	i;

	for (i = 0; i < 4; i++)
		if (xml_is(c, parts[i].ns, parts[i].name))
			return xml_once(&part[i], c, parts[i].name, err);
	return err_bad(err, 0, "UsernameToken: unknown element");
}

/* Nonce and Created only serve digests: tolerated, since cepces sends them. */
static int
parse_username_token(const xmlNode *node, struct envelope *e, struct err *err)
{
	const xmlNode	*c, *part[4] = { NULL };

	if (xml_elements_only(node, "UsernameToken", err) == -1)
		return -1;
	for (c = xml_first(node); c != NULL; c = xml_next(c))
		if (sort_token_part(c, part, err) == -1)
			return -1;
	if (part[0] == NULL || part[1] == NULL)
		return err_set(err, ERR_NO_SECURITY, "UsernameToken: no %s",
		    part[0] == NULL ? "Username" : "Password");
	if (xml_token(part[0], USERNAME_MAX, "Username", &e->username,
	    err) == -1 || check_password_type(part[1], err) == -1 ||
	    xml_text(part[1], PASSWORD_MAX, "Password", &e->password,
	    err) == -1)
		return -1;
	e->token = true;
	return 0;
}

static int
parse_security(const xmlNode *node, int64_t now, struct envelope *e,
    struct err *err)
{
	const xmlNode	*c, *stamp = NULL, *token = NULL;

	e->security = true;
	if (xml_elements_only(node, "Security", err) == -1)
		return -1;
	for (c = xml_first(node); c != NULL; c = xml_next(c)) {
		if (xml_is(c, NS_WSU, "Timestamp")) {
			if (xml_once(&stamp, c, "Timestamp", err) == -1)
				return -1;
		} else if (xml_is(c, NS_WSSE, "UsernameToken")) {
			if (xml_once(&token, c, "UsernameToken", err) == -1)
				return -1;
		} else
			return err_bad(err, 0, "Security: unknown element "
			    "%.64s", (const char *)c->name);
	}
	if (stamp != NULL && parse_timestamp(stamp, now, e, err) == -1)
		return -1;
	return token == NULL ? 0 : parse_username_token(token, e, err);
}

static int
read_message_id(const xmlNode *node, struct envelope *e, struct err *err)
{
	struct slice	id = { NULL, 0 };

	if (node != NULL && xml_token(node, MESSAGE_ID_MAX, "MessageID", &id,
	    err) == -1)
		return -1;
	if (id.n != 0)
		e->message_id = id;
	return 0;
}

static int
read_headers(const xmlNode **found, int64_t now, struct envelope *e,
    struct err *err)
{
	if (found[H_ACTION] == NULL)
		return err_set(err, ERR_ACTION, "no Action header");
	if (xml_token(found[H_ACTION], URI_MAX, "Action", &e->action,
	    err) == -1)
		return -1;
	if (found[H_TO] != NULL) {
		if (xml_token(found[H_TO], URI_MAX, "To", &e->to, err) == -1)
			return -1;
		if (e->to.p == NULL)
			e->to = slice_str("");
	}
	if (found[H_SECURITY] == NULL)
		return 0;
	return parse_security(found[H_SECURITY], now, e, err);
}

/*
 * All headers are sorted and the MessageID is read even when one of them is
 * refused: the fault should name the message.
 */
static int
parse_header(const xmlNode *header, int64_t now, struct envelope *e,
    struct err *err)
{
	const xmlNode	*c, *found[H_COUNT] = { NULL };
	int		 r;

	r = xml_elements_only(header, "Header", err);
	for (c = xml_first(header); c != NULL; c = xml_next(c))
		if (sort_header(c, found, err) == -1)
			r = -1;
	if (read_message_id(found[H_MESSAGE_ID], e, err) == -1 || r == -1)
		return -1;
	return read_headers(found, now, e, err);
}

static int
parse_body(const xmlNode *body, struct envelope *e, struct err *err)
{
	if (xml_elements_only(body, "Body", err) == -1)
		return -1;
	e->body = xml_first(body);
	if (e->body != NULL && xml_next(e->body) != NULL)
		return err_bad(err, 0, "Body: more than one element");
	return 0;
}

int
envelope_parse(struct xmlin *x, struct slice s, int64_t now,
    struct envelope *e, struct err *err)
{
	const xmlNode	*root, *header, *body;
	xmlDoc		*doc;

	e->xml = x;
	doc = xmlin_parse(x, s, err);
	if (doc == NULL)
		return -1;
	root = xmlDocGetRootElement(doc);
	if (!xml_is(root, NS_SOAP, "Envelope"))
		return err_set(err, ERR_VERSION, "not a SOAP 1.2 envelope");
	if (xml_elements_only(root, "Envelope", err) == -1)
		return -1;
	/* [SOAP12] 5.1: Header, Body, nothing else. */
	header = xml_first(root);
	body = header != NULL ? xml_next(header) : NULL;
	if (body == NULL || !xml_is(header, NS_SOAP, "Header") ||
	    !xml_is(body, NS_SOAP, "Body") || xml_next(body) != NULL)
		return err_bad(err, 0,
		    "Envelope: must be one Header and one Body");
	if (parse_header(header, now, e, err) == -1)
		return -1;
	return parse_body(body, e, err);
}

void
envelope_free(struct envelope *e)
{
	if (e->xml != NULL)
		xmlin_clear(e->xml);
	*e = (struct envelope){ 0 };
}

/*
 * The path of an absolute http or https URI, which a query may follow, as
 * nginx finds its location; p NULL when it is none.
 */
static struct slice
uri_path(struct slice uri)
{
	const uint8_t	*p, *query, *end = uri.p + uri.n;
	struct slice	 none = { NULL, 0 };

	if (uri.n < 8)
		return none;
	if (strncasecmp((const char *)uri.p, "https://", 8) == 0)
		p = uri.p + 8;
	else if (strncasecmp((const char *)uri.p, "http://", 7) == 0)
		p = uri.p + 7;
	else
		return none;
	query = memchr(p, '?', (size_t)(end - p));
	if (query != NULL)
		end = query;
	p = memchr(p, '/', (size_t)(end - p));
	return p == NULL ? none : slice_of(p, (size_t)(end - p));
}

/* The next octet of a path, in lower case and with its escape undone. */
static int
path_octet(struct slice *s)
{
	char	digits[3] = "";
	uint8_t	c = s->p[0];
	size_t	n = 1;

	if (c == '%' && s->n >= 3) {
		memcpy(digits, s->p + 1, 2);
		if (hex_decode(digits, &c, 1) == 0)
			n = 3;
	}
	*s = slice_of(s->p + n, s->n - n);
	return tolower(c);
}

/* As nginx has found the location: a CA's name may have blanks. */
static bool
same_path(struct slice a, struct slice b)
{
	while (a.n != 0 && b.n != 0)
		if (path_octet(&a) != path_octet(&b))
			return false;
	return a.n == 0 && b.n == 0;
}

int
envelope_check_to(const struct envelope *e, const char *uri, struct err *err)
{
	struct slice	ours = uri_path(slice_str(uri)), theirs;

	if (e->to.p == NULL || slice_is(e->to, NS_WSA "/anonymous"))
		return 0;
	theirs = uri_path(e->to);
	if (theirs.p == NULL || ours.p == NULL || !same_path(theirs, ours))
		return err_set(err, ERR_DESTINATION, "wsa:To is %.*s, this is "
		    "%.130s", (int)(e->to.n < 100 ? e->to.n : 100),
		    (const char *)e->to.p, uri);
	return 0;
}

int
envelope_check_action(const struct envelope *e, struct slice http,
    struct err *err)
{
	if (http.n == 0 || slice_eq(http, e->action))
		return 0;
	return err_set(err, ERR_ACTION, "the action of Content-Type is %.*s, "
	    "wsa:Action is %.*s", (int)(http.n < 70 ? http.n : 70),
	    (const char *)http.p, (int)(e->action.n < 80 ? e->action.n : 80),
	    (const char *)e->action.p);
}

int
envelope_other_action(struct slice action, const char *service,
    struct err *err)
{
	return err_set(err, ERR_ACTION, "wsa:Action %.*s is not of %s, whose "
	    "address this is", (int)(action.n < 100 ? action.n : 100),
	    (const char *)action.p, service);
}

int
envelope_other_body(const xmlNode *body, const char *ns, const char *name,
    struct err *err)
{
	bool	has_ns = body != NULL && body->ns != NULL;

	return err_bad(err, HR_INVALID_ARG, "Body: %.60s of %.90s, must be "
	    "%.30s of %.90s", body == NULL ? "nothing" :
	    (const char *)body->name, has_ns ? (const char *)body->ns->href :
	    "no namespace", name, ns);
}

/* 2030-01-02T03:04:05.678Z */
static void
put_instant(struct xmlw *w, const char *name, int64_t ms)
{
	struct tm	tm;
	time_t		t = (time_t)(ms / 1000);
	char		text[80];

	gmtime_r(&t, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(ms % 1000));
	xmlw_leaf_str(w, name, text);
}

/* WWSAPI wants a timestamp back wherever message security was used. */
static void
put_security(struct xmlw *w, int64_t now)
{
	xmlw_open(w, "o:Security");
	xmlw_attr_str(w, "s:mustUnderstand", "1");
	xmlw_attr_str(w, "xmlns:o", NS_WSSE);
	xmlw_attr_str(w, "xmlns:u", NS_WSU);
	xmlw_open(w, "u:Timestamp");
	xmlw_attr_str(w, "u:Id", "_0");
	put_instant(w, "u:Created", now);
	put_instant(w, "u:Expires", now + CLOCK_SKEW * 1000);
	xmlw_close(w);
	xmlw_close(w);
}

void
envelope_begin(struct xmlw *w, const struct reply_head *h)
{
	buf_reserve(&w->b, 6 * 1024);	/* an issued certificate's answer */
	xmlw_open(w, "s:Envelope");
	xmlw_attr_str(w, "xmlns:s", NS_SOAP);
	xmlw_attr_str(w, "xmlns:a", NS_WSA);
	xmlw_open(w, "s:Header");
	xmlw_open(w, "a:Action");
	xmlw_attr_str(w, "s:mustUnderstand", "1");
	xmlw_text(w, slice_str(h->action));
	xmlw_close(w);
	if (h->relates_to.p != NULL)
		xmlw_leaf(w, "a:RelatesTo", h->relates_to);
	if (h->timestamp)
		put_security(w, h->now);
	xmlw_close(w);
	xmlw_open(w, "s:Body");
}

void
envelope_end(struct xmlw *w)
{
	xmlw_close(w);
	xmlw_close(w);
}
