/*
 * Name rules: may this name, asked for by a client, be certified?  Under
 * decide_names.c; pure functions.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "namerule.h"
#include "nametype.h"

struct network {
	uint8_t		 addr[16];
	size_t		 n;		/* octets: 4 or 16 */
	unsigned	 bits;
};

/* "127" alone would be read as an address by some. */
static bool
is_label(const char *s)
{
	size_t	n = strlen(s);

	return name_is_label(s, n) && strspn(s, "0123456789") != n;
}

bool
name_is_host(const char *s, bool wildcard)
{
	return is_label(s) || name_is_dns(s, wildcard);
}

static bool
is_graph_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x21 || *s > 0x7e)
			return false;
	return true;
}

bool
name_is_upn(const char *s)
{
	const char	*at = strchr(s, '@');

	return at != NULL && at != s && strchr(at + 1, '@') == NULL &&
	    is_graph_ascii(s) && strlen(s) <= 255 &&
	    name_is_host(at + 1, false);
}

static size_t
ip_parse(const char *s, uint8_t addr[16])
{
	if (inet_pton(AF_INET, s, addr) == 1)
		return 4;
	return inet_pton(AF_INET6, s, addr) == 1 ? 16 : 0;
}

static bool
is_ip(const char *s)
{
	uint8_t	addr[16];

	return ip_parse(s, addr) != 0;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* KB5014754's tag; readers may undo "%6d", and compare without case. */
bool
name_is_sid_uri(const char *s)
{
	static const char	 tag[] = "tag:microsoft.com,";
	size_t			 i;
	int			 c;

	for (i = 0; tag[i] != '\0'; i++) {
		c = (unsigned char)*s++;
		if (c == '%' && hex_value(s[0]) >= 0 && hex_value(s[1]) >= 0) {
			c = hex_value(s[0]) * 16 + hex_value(s[1]);
			s += 2;
		}
		if (tolower(c) != tag[i])
			return false;
	}
	return true;
}

const char *
asked_kind(const struct asked *a)
{
	static const char *const	kinds[] = {
		[SAN_DNS] = "dns name", [SAN_EMAIL] = "e-mail address",
		[SAN_URI] = "uri", [SAN_IP] = "ip address", [SAN_UPN] = "upn",
		[SAN_GUID] = "guid", [SAN_DIRNAME] = "directory name",
		[SAN_RID] = "registered id", [SAN_OTHER] = "other name"
	};

	return a->rdn != NULL ? a->rdn : kinds[a->kind];
}

const char *
asked_text(const struct asked *a, char out[ASKED_TEXT])
{
	const uint8_t	*p = (const uint8_t *)a->text;
	size_t		 n = strlen(a->text), at = 0, len;

	if (n < ASKED_TEXT)
		return a->text;
	while ((len = utf8_char(p + at, n - at)) != 0 &&
	    at + len <= ASKED_TEXT - 4)
		at += len;
	snprintf(out, ASKED_TEXT, "%.*s...", (int)at, a->text);
	return out;
}

static const char *
san_fault(const struct asked *a)
{
	switch (a->kind) {
	case SAN_DNS:
		return name_is_host(a->text, true) ? NULL : "is no dns name";
	case SAN_EMAIL:
		return name_is_email(a->text) ? NULL : "is no e-mail address";
	case SAN_UPN:
		return name_is_upn(a->text) ? NULL : "is no upn";
	case SAN_IP:
		return is_ip(a->text) ? NULL : "is no ip address";
	case SAN_URI:
		if (!is_graph_ascii(a->text) || strchr(a->text, ':') == NULL)
			return "is no absolute uri";
		return NULL;
	case SAN_GUID:
	case SAN_DIRNAME:
	case SAN_RID:
	case SAN_OTHER:
		break;
	}
	return "is of a kind that is never taken from a request";
}

const char *
asked_fault(const struct asked *a)
{
	if (a->text[0] == '\0')
		return "is empty";
	return a->rdn != NULL ? NULL : san_fault(a);
}

/*
 * "*.x" allows every name below x but those with "_", which no host has by
 * [RFC1034] 3.5: what is not expected is named, or not allowed.  A wildcard
 * name is allowed when the rule allows wildcards and all it stands for: below
 * an allowed name, or the very pattern.
 */
static bool
dns_matches(const char *pattern, bool wildcard, const char *name)
{
	size_t	pn, nn;

	if (strncmp(name, "*.", 2) == 0) {
		if (!wildcard)
			return false;
		if (strcasecmp(pattern, name) == 0)
			return true;
		name += 2;
	}
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	pattern++;		/* ".x" must be the end, with more before */
	pn = strlen(pattern);
	nn = strlen(name);
	return nn > pn && strcasecmp(name + nn - pn, pattern) == 0 &&
	    memchr(name, '_', nn - pn) == NULL;
}

bool
name_rule_allows_dns(const struct name_rule *r, const char *name)
{
	size_t	i;

	if (!name_is_host(name, true))
		return false;
	for (i = 0; i < r->dns.n; i++)
		if (dns_matches(r->dns.v[i], r->wildcard, name))
			return true;
	return false;
}

/* "@domain" or a whole address; both sides were checked for syntax. */
static bool
address_allowed(const struct strlist *patterns, const char *s)
{
	const char	*at = strrchr(s, '@');
	size_t		 i;

	for (i = 0; i < patterns->n; i++)
		if (strcasecmp(patterns->v[i],
		    patterns->v[i][0] == '@' ? at : s) == 0)
			return true;
	return false;
}

static bool
email_allowed(const struct name_rule *r, const char *s)
{
	return name_is_email(s) && address_allowed(&r->email, s);
}

static bool
upn_allowed(const struct name_rule *r, const char *s)
{
	return name_is_upn(s) && address_allowed(&r->upn, s);
}

static int
network_parse(const char *s, struct network *net)
{
	char		 addr[64], *end;
	const char	*slash = strchr(s, '/');
	size_t		 n = slash != NULL ? (size_t)(slash - s) : strlen(s);
	unsigned long	 bits;

	if (n >= sizeof(addr))
		return -1;
	memcpy(addr, s, n);
	addr[n] = '\0';
	net->n = ip_parse(addr, net->addr);
	net->bits = (unsigned)net->n * 8;
	if (net->n == 0)
		return -1;
	if (slash == NULL)
		return 0;
	if (!isdigit((unsigned char)slash[1]))
		return -1;
	bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > net->bits)
		return -1;
	net->bits = (unsigned)bits;
	return 0;
}

/* Bit i of an address, counted from the left. */
static unsigned
ip_bit(const uint8_t *addr, unsigned i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

static bool
network_has(const struct network *net, const uint8_t *addr, size_t n)
{
	unsigned	i;

	if (n != net->n)
		return false;
	for (i = 0; i < net->bits; i++)
		if (ip_bit(net->addr, i) != ip_bit(addr, i))
			return false;
	return true;
}

static bool
ip_allowed(const struct name_rule *r, const char *s)
{
	struct network	 net;
	uint8_t		 addr[16];
	size_t		 i, n = ip_parse(s, addr);

	if (n == 0)
		return false;
	for (i = 0; i < r->ip.n; i++)
		if (network_parse(r->ip.v[i], &net) == 0 &&
		    network_has(&net, addr, n))
			return true;
	return false;
}

/*
 * "*" stands for what is nobody's name: software that finds no SAN reads a
 * CN that looks like one ([RFC6125] 6.4.4), so such a CN needs its own entry.
 * Some take a wildcard for a part of a label, a dot at the end, and what
 * [RFC3490] 3.1 calls dots, but none has a blank in the middle.
 */
static bool
cn_is_plain(const char *s)
{
	static const char *const	marks[] = { ".", ":", "*",
	    "\u3002", "\uff0e", "\uff61", "\uff20" };
	const char	*end;
	size_t		 i;

	if (strchr(s, '@') != NULL)
		return false;
	s += strspn(s, " ");
	end = strchr(s, ' ');
	if (end != NULL && end[strspn(end, " ")] != '\0')
		return true;
	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strstr(s, marks[i]) != NULL)
			return false;
	return true;
}

static bool
cn_allowed(const struct name_rule *r, const char *s)
{
	if (strlist_has(&r->cn, s) && strcmp(s, "*") != 0)
		return true;
	if (strlist_has(&r->cn, "*") && cn_is_plain(s))
		return true;
	return name_rule_allows_dns(r, s) || email_allowed(r, s) ||
	    upn_allowed(r, s);
}

/* "S=x" means what requests show as ST. */
static const struct name_type *
rdn_type(const char *pattern)
{
	return name_type_by_name(pattern, strcspn(pattern, "="));
}

static bool
rdn_allowed(const struct name_rule *r, const char *type, const char *s)
{
	const struct name_type	*t;
	const char		*eq;
	size_t			 i;

	if (strcmp(type, "CN") == 0)
		return cn_allowed(r, s);
	if (strcmp(type, "E") == 0 && email_allowed(r, s))
		return true;
	for (i = 0; i < r->rdn.n; i++) {
		eq = strchr(r->rdn.v[i], '=');
		t = rdn_type(r->rdn.v[i]);
		if (eq == NULL || t == NULL || strcmp(t->name, type) != 0)
			continue;
		if (strcmp(eq + 1, "*") == 0 || strcmp(eq + 1, s) == 0)
			return true;
	}
	return false;
}

bool
name_rule_allows(const struct name_rule *r, const struct asked *a)
{
	if (a->rdn != NULL)
		return rdn_allowed(r, a->rdn, a->text);
	switch (a->kind) {
	case SAN_DNS:
		return name_rule_allows_dns(r, a->text);
	case SAN_EMAIL:
		return email_allowed(r, a->text);
	case SAN_UPN:
		return upn_allowed(r, a->text);
	case SAN_IP:
		return ip_allowed(r, a->text);
	case SAN_URI:
		return strlist_has(&r->uri, a->text);
	case SAN_GUID:
	case SAN_DIRNAME:
	case SAN_RID:
	case SAN_OTHER:
		break;
	}
	return false;
}

static bool
has_san(const struct names *n, enum san_kind kind, const char *text)
{
	size_t	i;

	for (i = 0; i < n->nsan; i++)
		if (n->san[i].kind == kind && strcmp(n->san[i].text, text) == 0)
			return true;
	return false;
}

void
names_fold(const struct names *in, struct names *out)
{
	char	*text, *c;
	size_t	 i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < in->nrdn; i++)
		names_add_rdn(out, in->rdn[i].type, in->rdn[i].value);
	for (i = 0; i < in->nsan; i++) {
		text = xstrdup(in->san[i].text);
		if (in->san[i].kind == SAN_DNS)
			for (c = text; *c != '\0'; c++)
				*c = (char)tolower((unsigned char)*c);
		if (!has_san(out, in->san[i].kind, text))
			names_add_san(out, in->san[i].kind, text);
		free(text);
	}
}

int
names_judge(const struct names *n,
    int (*judge)(const void *, const struct asked *, struct err *),
    const void *arg, struct err *err)
{
	struct asked	a;
	size_t		i;

	memset(&a, 0, sizeof(a));
	for (i = 0; i < n->nrdn; i++) {
		a.rdn = n->rdn[i].type;
		a.text = n->rdn[i].value;
		if (judge(arg, &a, err) == -1)
			return -1;
	}
	a.rdn = NULL;
	for (i = 0; i < n->nsan; i++) {
		a.kind = n->san[i].kind;
		a.text = n->san[i].text;
		if (judge(arg, &a, err) == -1)
			return -1;
	}
	return 0;
}

const char *
dns_pattern_fault(const char *s)
{
	if (s[0] == '.')
		return "starts with a dot; write \"*.domain\" for names below";
	if (strcmp(s, "*") == 0)
		return "allows every name";
	if (strncmp(s, "*.", 2) == 0)
		s += 2;
	return name_is_host(s, false) ? NULL : "is no dns name";
}

const char *
email_pattern_fault(const char *s)
{
	if (s[0] == '@')
		return name_is_host(s + 1, false) ? NULL : "is no domain";
	return name_is_email(s) ? NULL : "is no e-mail address or \"@domain\"";
}

const char *
upn_pattern_fault(const char *s)
{
	if (s[0] == '@')
		return name_is_host(s + 1, false) ? NULL : "is no domain";
	return name_is_upn(s) ? NULL : "is no upn or \"@domain\"";
}

const char *
ip_pattern_fault(const char *s)
{
	struct network	net;
	unsigned	i;

	if (network_parse(s, &net) == -1)
		return "is no ip address or network";
	for (i = net.bits; i < net.n * 8; i++)
		if (ip_bit(net.addr, i))
			return "has bits set behind the prefix";
	return net.bits == 0 ? "allows every address" : NULL;
}

const char *
uri_pattern_fault(const char *s)
{
	if (!is_graph_ascii(s) || strchr(s, ':') == NULL)
		return "is no absolute uri";
	return name_is_sid_uri(s) ? "is a claim of a sid" : NULL;
}

#define USE_CN	"is a common name; use the option cn"

const char *
rdn_pattern_fault(const char *s)
{
	const char	*eq = strchr(s, '=');

	if (eq == NULL || eq == s || eq[1] == '\0')
		return "is not of the form TYPE=value or TYPE=*";
	return strncasecmp(s, "CN=", 3) == 0 ? USE_CN : NULL;
}

const char *
rdn_pattern_idle(const char *s)
{
	const struct name_type	*t = rdn_type(s);

	if (t == NULL)
		return "is of no attribute type that is issued";
	return strcmp(t->name, "CN") == 0 ? USE_CN : NULL;
}

const char *
mail_pattern_idle(const char *s)
{
	return strchr(s, '*') == NULL ? NULL :
	    "has a \"*\"; write \"@domain\" for all of a domain";
}

const char *
cn_pattern_fault(const char *s)
{
	return strchr(s, '*') != NULL && strcmp(s, "*") != 0 ?
	    "has a \"*\" within; only \"*\" alone stands for any" : NULL;
}
