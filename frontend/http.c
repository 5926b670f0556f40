/*
 * FastCGI parameters and body: the first step of every request, and its last,
 * the answer's header.
 */
#include <string.h>
#include <strings.h>

#include "http.h"
#include "xmlchar.h"

enum param {
	P_SERVICE, P_AUTH, P_CA, P_URI, P_METHOD, P_TYPE, P_LENGTH,
	P_ADDRESS, P_ENCODING, P_TYPE_HEADER, P_ACCEPT, P_RENEWAL,
	P_VERIFY, P_CERT, P_TARGET, P_NONE_MATCH, P_AUTHORIZATION, P_COUNT
};
#define NAME(s)	{ s, sizeof(s) - 1 }
struct name {
	const char	*p;
	size_t		 n;
};

/*
 * HTTP_CONTENT_TYPE nobody reads: of two such headers nginx makes one
 * CONTENT_TYPE, but passes both here, where a second one is refused.
 */
static const struct name names[P_COUNT] = {
	NAME("CS_SERVICE"), NAME("CS_AUTH"), NAME("CS_CA"), NAME("CS_URI"),
	NAME("REQUEST_METHOD"), NAME("CONTENT_TYPE"), NAME("CONTENT_LENGTH"),
	NAME("REMOTE_ADDR"), NAME("HTTP_CONTENT_ENCODING"),
	NAME("HTTP_CONTENT_TYPE"), NAME("HTTP_ACCEPT"),
	NAME("CS_RENEWAL_ONLY"), NAME("CS_CLIENT_VERIFY"),
	NAME("CS_CLIENT_CERT"), NAME("REQUEST_URI"),
	NAME("HTTP_IF_NONE_MATCH"), NAME("HTTP_AUTHORIZATION"),
};

static void
end(struct http_request *r, int status, const char *why)
{
	r->status = status;
	r->why = why;
}

static bool
printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

/* [RFC9110] 5.3: lists, which Perl's LWP sends one by one; the first counts. */
static bool
is_list(int i)
{
	return i == P_ACCEPT || i == P_NONE_MATCH;
}

static int
collect(char *const *envp, const char **value)
{
	size_t	n;
	int	i;

	for (; *envp != NULL; envp++) {
		n = strcspn(*envp, "=");
		for (i = 0; i < P_COUNT; i++) {
			if (names[i].n != n ||
			    memcmp(*envp, names[i].p, n) != 0 ||
			    (*envp)[n] != '=')
				continue;
			if (!printable(*envp + n) ||
			    (value[i] != NULL && !is_list(i)))
				return -1;
			if (value[i] == NULL)
				value[i] = *envp + n + 1;
		}
	}
	return 0;
}

/* Asked by operators' programs, without a message. */
static bool
is_about_us(const struct http_request *r)
{
	return r->service == HTTP_STATUS || r->service == HTTP_METRICS;
}

/* -1; in the log whoever looks after nginx reads which word it is. */
static int
unusable(struct http_request *r, enum param word)
{
#define WHY(name)	"nginx passes no usable " name
	static const char *const why[P_COUNT] = {
		[P_SERVICE] = WHY("CS_SERVICE"),
		[P_AUTH] = WHY("CS_AUTH"),
		[P_CA] = WHY("CS_CA"),
		[P_URI] = WHY("CS_URI"),
		[P_METHOD] = WHY("REQUEST_METHOD"),
		[P_VERIFY] = WHY("CS_CLIENT_VERIFY"),
		[P_CERT] = WHY("CS_CLIENT_CERT"),
		[P_RENEWAL] = WHY("CS_RENEWAL_ONLY")
	};
#undef WHY

	end(r, 500, why[word]);
	return -1;
}

static int
read_auth(const char *const *v, struct http_request *r)
{
	if (strcmp(v[P_AUTH], "password") == 0)
		r->auth = AUTH_PASSWORD;
	else if (strcmp(v[P_AUTH], "certificate") == 0)
		r->auth = AUTH_CERTIFICATE;
	else if (strcmp(v[P_AUTH], "kerberos") == 0)
		r->auth = AUTH_KERBEROS;
	else if (strcmp(v[P_AUTH], "anonymous") == 0)
		r->auth = AUTH_ANONYMOUS;
	else
		return unusable(r, P_AUTH);
	if (r->auth == AUTH_CERTIFICATE && v[P_VERIFY] == NULL)
		return unusable(r, P_VERIFY);
	if (r->auth == AUTH_CERTIFICATE && v[P_CERT] == NULL)
		return unusable(r, P_CERT);
	r->verify = v[P_VERIFY] != NULL ? v[P_VERIFY] : "";
	r->cert = v[P_CERT] != NULL ? v[P_CERT] : "";
	r->authorization = v[P_AUTHORIZATION];
	if (v[P_RENEWAL] != NULL && strcmp(v[P_RENEWAL], "on") == 0)
		r->renewal_only = true;
	else if (v[P_RENEWAL] != NULL && strcmp(v[P_RENEWAL], "off") != 0)
		return unusable(r, P_RENEWAL);
	/* These ask nobody who they are. */
	if (r->service == HTTP_OCSP || is_about_us(r))
		return r->auth == AUTH_ANONYMOUS ? 0 : unusable(r, P_AUTH);
	/* Nobody could say for whom a new certificate would be. */
	if (r->auth == AUTH_ANONYMOUS && r->service != HTTP_CES)
		return unusable(r, P_AUTH);
	if (r->auth == AUTH_ANONYMOUS && !r->renewal_only)
		return unusable(r, P_RENEWAL);
	return 0;
}

/* The constants of the location; anything else is nginx's configuration. */
static int
read_constants(const char *const *v, struct http_request *r)
{
	static const enum param	all[] = { P_SERVICE, P_AUTH, P_URI, P_METHOD };
	size_t	i;

	for (i = 0; i < sizeof all / sizeof all[0]; i++)
		if (v[all[i]] == NULL)
			return unusable(r, all[i]);
	if (strcmp(v[P_SERVICE], "cep") == 0)
		r->service = HTTP_CEP;
	else if (strcmp(v[P_SERVICE], "ocsp") == 0)
		r->service = HTTP_OCSP;
	else if (strcmp(v[P_SERVICE], "ces") == 0)
		r->service = HTTP_CES;
	else if (strcmp(v[P_SERVICE], "whoami") == 0)
		r->service = HTTP_WHOAMI;
	else if (strcmp(v[P_SERVICE], "status") == 0)
		r->service = HTTP_STATUS;
	else if (strcmp(v[P_SERVICE], "metrics") == 0)
		r->service = HTTP_METRICS;
	else
		return unusable(r, P_SERVICE);
	if (r->service == HTTP_CES && v[P_CA] == NULL)
		return unusable(r, P_CA);
	if (read_auth(v, r) == -1)
		return -1;
	r->ca = v[P_CA] != NULL ? v[P_CA] : "";
	r->uri = v[P_URI];
	r->address = v[P_ADDRESS] != NULL ? v[P_ADDRESS] : "";
	return 0;
}

/*
 * One "; name=value" of a media type; *s moves behind it.  [RFC9110] 5.6.6:
 * a semicolon may stand there for nothing.
 */
static int
media_param(struct slice *s, struct slice *name, struct slice *value)
{
	const uint8_t	*p, *eq;

	*s = xml_trim(slice_of(s->p + 1, s->n - 1));
	*name = *value = slice_of(s->p, 0);
	if (s->n == 0 || s->p[0] == ';')
		return 0;
	eq = memchr(s->p, '=', s->n);
	if (eq == NULL)
		return -1;
	*name = xml_trim(slice_of(s->p, (size_t)(eq - s->p)));
	s->n -= (size_t)(eq + 1 - s->p);
	s->p = eq + 1;
	if (s->n != 0 && s->p[0] == '"') {
		p = memchr(s->p + 1, '"', s->n - 1);
		if (p == NULL)
			return -1;
		*value = slice_of(s->p + 1, (size_t)(p - s->p - 1));
		s->n -= (size_t)(p + 1 - s->p);
		s->p = p + 1;
		*s = xml_trim(*s);
		return s->n == 0 || s->p[0] == ';' ? 0 : -1;
	}
	p = memchr(s->p, ';', s->n);
	if (p == NULL)
		p = s->p + s->n;
	*value = xml_trim(slice_of(s->p, (size_t)(p - s->p)));
	s->n -= (size_t)(p - s->p);
	s->p = p;
	return 0;
}

/*
 * [RFC3902]: application/soap+xml, at most one charset, which is UTF-8; the
 * action is for envelope_check_action.
 */
static bool
is_soap(const char *type, struct slice *action)
{
	struct slice	 s, name, value;
	const char	*semi;
	unsigned	 charsets = 0, actions = 0;

	if (type == NULL)
		return false;
	semi = strchrnul(type, ';');
	s = xml_trim(slice_of(type, (size_t)(semi - type)));
	if (!xml_word(s, "application/soap+xml"))
		return false;
	s = xml_trim(slice_str(semi));
	while (s.n != 0) {
		if (media_param(&s, &name, &value) == -1)
			return false;
		if (xml_word(name, "charset") && (!xml_utf8(value) ||
		    ++charsets > 1))
			return false;
		if (!xml_word(name, "action"))
			continue;
		if (++actions > 1)
			return false;
		*action = value;
	}
	return true;
}

static bool
is_ocsp(const char *type)
{
	const char	*semi;

	if (type == NULL)
		return false;
	semi = strchrnul(type, ';');
	return xml_word(xml_trim(slice_of(type, (size_t)(semi - type))),
	    "application/ocsp-request");
}

static int
read_length(const char *s, size_t *out)
{
	size_t	n = 0;

	if (s == NULL || *s == '\0' || strlen(s) > 9)
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = n * 10 + (size_t)(*s - '0');
	}
	*out = n;
	return 0;
}

void
http_parse(char *const *envp, struct http_request *r)
{
	const char	*v[P_COUNT] = { NULL };

	*r = (struct http_request){ .ca = "", .uri = "", .address = "",
	    .verify = "", .cert = "" };
	if (collect(envp, v) == -1) {
		end(r, 400, "a parameter stands twice or has control bytes");
		return;
	}
	if (read_constants(v, r) == -1)
		return;
	r->json = v[P_ACCEPT] != NULL &&
	    strncasecmp(v[P_ACCEPT], HTTP_JSON, strlen(HTTP_JSON)) == 0;
	r->post = strcmp(v[P_METHOD], "POST") == 0;
	if (r->auth == AUTH_KERBEROS && r->authorization == NULL) {
		end(r, 401, "no Authorization");
		return;
	}
	if (strcmp(v[P_METHOD], "GET") == 0 && (is_about_us(r) ||
	    (r->service == HTTP_WHOAMI && r->auth != AUTH_PASSWORD)))
		return;
	if (strcmp(v[P_METHOD], "GET") == 0 && r->service == HTTP_OCSP) {
		r->target = v[P_TARGET] != NULL ? v[P_TARGET] : "";
		r->none_match = v[P_NONE_MATCH];
	} else if (strcmp(v[P_METHOD], "GET") == 0 ||
	    strcmp(v[P_METHOD], "HEAD") == 0)
		end(r, 200, "probe");
	else if (!r->post || is_about_us(r))
		end(r, 405, "method is neither POST nor GET");
	else if (r->service == HTTP_OCSP && !is_ocsp(v[P_TYPE]))
		end(r, 415, "content type is not application/ocsp-request");
	else if (r->service != HTTP_OCSP && !is_soap(v[P_TYPE], &r->action))
		end(r, 415, "content type is not application/soap+xml in "
		    "utf-8: this is SOAP 1.2");
	else if (v[P_ENCODING] != NULL && v[P_ENCODING][0] != '\0' &&
	    strcasecmp(v[P_ENCODING], "identity") != 0)
		end(r, 415, "content encoding is not accepted");
	else if (read_length(v[P_LENGTH], &r->length) == -1)
		end(r, 400, "no content length");
}

bool
http_names_tag(const char *none_match, const char *tag)
{
	const char	*s = none_match, *end;
	size_t		 n = strlen(tag);

	if (strcmp(s, "*") == 0)
		return true;
	for (;;) {
		s += strspn(s, " \t,");
		if (strncmp(s, "W/", 2) == 0)
			s += 2;
		if (*s != '"' || (end = strchr(s + 1, '"')) == NULL)
			return false;
		end++;
		if ((size_t)(end - s) == n && memcmp(s, tag, n) == 0)
			return true;
		s = end;
	}
}

int
http_read(const struct http_request *r, FCGX_Stream *in, struct buf *out,
    struct err *err)
{
	static const size_t	limits[] = {
		[HTTP_CEP] = HTTP_CEP_MAX, [HTTP_CES] = HTTP_CES_MAX,
		[HTTP_WHOAMI] = HTTP_CEP_MAX, [HTTP_OCSP] = HTTP_OCSP_MAX
	};
	size_t	max = limits[r->service];
	int	got;

	if (r->length > max)
		return err_set(err, ERR_TOO_BIG,
		    "message of %zu bytes, limit %zu", r->length, max);
	if (r->length == 0)
		return 0;
	got = FCGX_GetStr((char *)buf_extend(out, r->length), (int)r->length,
	    in);
	if (got < 0 || (size_t)got != r->length)
		return err_bad(err, 0, "message of %d bytes, %zu announced",
		    got, r->length);
	if (FCGX_GetChar(in) != -1)
		return err_bad(err, 0, "message is longer than announced");
	return 0;
}

static const char *
status_words(int status)
{
	switch (status) {
	case 200:
		return "200 OK";
	case 400:
		return "400 Bad Request";
	case 401:
		return "401 Unauthorized\r\nWWW-Authenticate: Negotiate";
	case 403:
		return "403 Forbidden";
	case 404:
		return "404 Not Found";
	case 405:
		return "405 Method Not Allowed\r\nAllow: GET, HEAD, POST";
	case 415:
		return "415 Unsupported Media Type";
	case 503:
		return "503 Service Unavailable";
	default:
		return "500 Internal Server Error";
	}
}

void
http_retry_after(FCGX_Stream *out, unsigned seconds)
{
	FCGX_FPrintF(out, "Retry-After: %u\r\n", seconds);
}

void
http_proof(FCGX_Stream *out, struct slice token)
{
	FCGX_PutS("WWW-Authenticate: Negotiate ", out);
	FCGX_PutStr((const char *)token.p, (int)token.n, out);
	FCGX_PutS("\r\nPersistent-Auth: false\r\n", out);
}

void
http_reply(FCGX_Stream *out, int status, const char *type, struct slice body)
{
	FCGX_FPrintF(out, "Status: %s\r\nContent-Length: %lu\r\n",
	    status_words(status), (unsigned long)body.n);
	FCGX_FPrintF(out, "Content-Type: %s\r\n\r\n", type);
	if (body.n != 0)
		FCGX_PutStr((const char *)body.p, (int)body.n, out);
}
