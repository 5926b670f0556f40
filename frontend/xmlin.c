/*
 * XML in: libxml2 behind limits and refusals.  The only file that gives it
 * bytes; what it leaves is walked by envelope.c, rst.c and getpolicies.c.
 */
#include <stdlib.h>
#include <string.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "ns.h"
#include "xmlchar.h"
#include "xmlin.h"
#include "xmlmem.h"

struct xmlin {
	struct xmlmem	*mem;
	struct err	*err;		/* of the parse that runs */
	unsigned	 depth;
	unsigned	 elements;
	unsigned	 namespaces;
	size_t		 text;		/* since the last tag */
};

/* What libxml2 makes once it must not make in a message's memory. */
void
xmlin_init(void)
{
	static const char	any[] = "<a b='c'>d</a>";

	xmlmem_init();
	xmlInitParser();
	xmlFreeDoc(xmlReadMemory(any, sizeof(any) - 1, NULL, "UTF-8", 0));
}

/*
 * xmlStopParser alone is no error to libxml2: the part read so far would be
 * handed out as the document.
 */
static void
stop(xmlParserCtxt *ctxt)
{
	ctxt->wellFormed = 0;
	xmlStopParser(ctxt);
}

static void
refuse(xmlParserCtxt *ctxt, enum err_kind kind, const char *text)
{
	struct xmlin	*x = ctxt->_private;

	err_set(x->err, kind, "xml: %s", text);
	stop(ctxt);
}

static void
on_doctype(void *ctx, const xmlChar *name, const xmlChar *public,
    const xmlChar *system)
{
	(void)name;
	(void)public;
	(void)system;
	refuse(ctx, ERR_MALFORMED, "DOCTYPE");
}

static void
on_pi(void *ctx, const xmlChar *target, const xmlChar *data)
{
	xmlParserCtxt	*ctxt = ctx;
	struct xmlin	*x = ctxt->_private;

	(void)target;
	(void)data;
	if (x->depth > 0)
		refuse(ctxt, ERR_MALFORMED,
		    "processing instruction inside the envelope");
}

/*
 * libxml2's words quote the message, perhaps a password; its number and place
 * do not.  The commonest mistake is a password with a bare "&" or "<".
 */
static void
tell(const xmlError *e, struct err *err)
{
	static const struct {
		int		 code;
		const char	*why;
	} known[] = {
		{ XML_ERR_NAME_REQUIRED,
		    "no name behind \"<\" or \"&\": in text, &lt; or &amp;" },
		{ XML_ERR_ENTITYREF_SEMICOL_MISSING,
		    "\"&\" without \";\": in text, &amp;" },
		{ XML_ERR_UNDECLARED_ENTITY, "an entity that XML has not" },
		{ XML_ERR_TAG_NAME_MISMATCH, "an end tag of another element" },
		{ XML_ERR_RESERVED_XML_NAME, "an XML declaration that is not "
		    "at the very beginning" },
	};
	const char	*why = "libxml2 error";
	size_t		 i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].code == e->code)
			why = known[i].why;
	err_set(err, ERR_MALFORMED, "xml: not well-formed: line %d: %s (%d)",
	    e->line, why, e->code);
}

/*
 * After the first mistake libxml2 reads on, only to count more of them: each
 * allocates, none of our limits is asked any more, and two octets make one.
 * To stop it outright would free what its functions still point into.
 */
static void
on_error(void *ctx, xmlError *e)
{
	xmlParserCtxt	*ctxt = ctx;
	struct xmlin	*x = ctxt->_private;

	if (e->level < XML_ERR_ERROR)
		return;
	tell(e, x->err);
	ctxt->wellFormed = 0;	/* or the part read so far is the document */
	ctxt->disableSAX = 1;
	ctxt->instate = XML_PARSER_EOF;
}

static void
on_comment(void *ctx, const xmlChar *text)
{
	(void)ctx;
	(void)text;
}

static void
on_text(void *ctx, const xmlChar *text, int n)
{
	xmlParserCtxt	*ctxt = ctx;
	struct xmlin	*x = ctxt->_private;

	x->text += (size_t)n;
	if (x->text > XML_TEXT_MAX)
		refuse(ctxt, ERR_TOO_BIG, "text of more than 192 KiB");
	else
		xmlSAX2Characters(ctxt, text, n);
}

static bool
long_name(const xmlChar *name)
{
	return name != NULL &&
	    strnlen((const char *)name, XML_NAME_MAX + 1) > XML_NAME_MAX;
}

/* Attributes come as local name, prefix, URI, value, end of value. */
static bool
long_names(const xmlChar *name, const xmlChar *prefix, int nattr,
    const xmlChar **attr)
{
	int	i;

	if (long_name(name) || long_name(prefix))
		return true;
	for (i = 0; i < nattr; i++)
		if (long_name(attr[5 * i]) || long_name(attr[5 * i + 1]))
			return true;
	return false;
}

static const char *
over_limit(struct xmlin *x, int nns, int nattr)
{
	if (++x->depth > XML_DEPTH_MAX)
		return "more than 32 elements deep";
	if (++x->elements > XML_ELEMENTS_MAX)
		return "more than 2000 elements";
	x->namespaces += (unsigned)nns;
	if (x->namespaces > XML_NAMESPACES_MAX)
		return "more than 320 namespace declarations";
	if (nattr > XML_ATTRIBUTES_MAX)
		return "more than 32 attributes in an element";
	return NULL;
}

/* The parameters are libxml2's startElementNsSAX2Func. */
static void
on_start(void *ctx, const xmlChar *name, const xmlChar *prefix,
    const xmlChar *uri, int nns, const xmlChar **ns, int nattr, int ndefault,
    const xmlChar **attr)
{
	xmlParserCtxt	*ctxt = ctx;
	struct xmlin	*x = ctxt->_private;
	const char	*over;

	x->text = 0;
	over = over_limit(x, nns, nattr);
	if (over != NULL) {
		refuse(ctxt, ERR_TOO_BIG, over);
		return;
	}
	if (long_names(name, prefix, nattr, attr)) {
		refuse(ctxt, ERR_TOO_BIG, "name of more than 256 bytes");
		return;
	}
	/* Never "ignored and trusted". */
	if (uri != NULL && (strcmp((const char *)uri, NS_DSIG) == 0 ||
	    strcmp((const char *)uri, NS_XENC) == 0)) {
		refuse(ctxt, ERR_MALFORMED,
		    "XML signature or encryption is not accepted");
		return;
	}
	xmlSAX2StartElementNs(ctxt, name, prefix, uri, nns, ns, nattr,
	    ndefault, attr);
}

static void
on_end(void *ctx, const xmlChar *name, const xmlChar *prefix,
    const xmlChar *uri)
{
	xmlParserCtxt	*ctxt = ctx;
	struct xmlin	*x = ctxt->_private;

	x->text = 0;
	x->depth--;
	xmlSAX2EndElementNs(ctxt, name, prefix, uri);
}

/* Of one message: its words and what it points to are freed with it. */
static xmlParserCtxt *
context_new(struct xmlin *x)
{
	xmlParserCtxt	*ctxt;
	xmlSAXHandler	*sax;

	ctxt = xmlNewParserCtxt();
	if (ctxt == NULL)
		abort();	/* out of memory */
	ctxt->_private = x;
	sax = ctxt->sax;
	sax->internalSubset = on_doctype;
	sax->externalSubset = on_doctype;
	sax->resolveEntity = NULL;
	sax->processingInstruction = on_pi;
	sax->comment = on_comment;
	sax->serror = on_error;
	sax->characters = on_text;
	sax->ignorableWhitespace = on_text;
	sax->cdataBlock = on_text;
	sax->startElementNs = on_start;
	sax->endElementNs = on_end;
	return ctxt;
}

struct xmlin *
xmlin_new(void)
{
	struct xmlin	*x;

	x = xcalloc(1, sizeof(*x));
	x->mem = xmlmem_new();
	return x;
}

void
xmlin_free(struct xmlin *x)
{
	if (x == NULL)
		return;
	xmlmem_free(x->mem);
	free(x);
}

void
xmlin_clear(struct xmlin *x)
{
	xmlmem_clear(x->mem);
}

static bool
is_ascii(struct slice s)
{
	size_t	i;

	for (i = 0; i < s.n && s.p[i] < 0x80; i++)
		;
	return i == s.n;
}

/*
 * "<?xml version='1.0' encoding='utf-8'?>": nothing but UTF-8 may be declared,
 * whatever libxml2 can read ([security] X4).  Python's lxml declares ASCII and
 * writes it, which is UTF-8 as well.
 */
static int
check_declaration(struct slice decl, struct slice all, struct err *err)
{
	const uint8_t	*p, *end = decl.p + decl.n;
	struct slice	 v;
	uint8_t		 quote;

	p = memmem(decl.p, decl.n, "encoding", 8);
	if (p == NULL)
		return 0;
	for (p += 8; p < end && (xml_space(*p) || *p == '='); p++)
		;
	if (p == end || (*p != '"' && *p != '\''))
		return err_set(err, ERR_MALFORMED, "xml: bad declaration");
	quote = *p++;
	v.p = p;
	while (p < end && *p != quote)
		p++;
	v.n = (size_t)(p - v.p);
	if (!xml_utf8(v) && !((xml_word(v, "us-ascii") ||
	    xml_word(v, "ascii")) && is_ascii(all)))
		return err_set(err, ERR_MALFORMED,
		    "xml: encoding other than UTF-8");
	return 0;
}

/* Behind the marker's end, or NULL. */
static const uint8_t *
skip_to(const uint8_t *p, const uint8_t *end, const char *marker)
{
	const uint8_t	*q;

	q = memmem(p, (size_t)(end - p), marker, strlen(marker));
	return q == NULL ? NULL : q + strlen(marker);
}

static bool
starts(const uint8_t *p, const uint8_t *end, const char *word)
{
	size_t	n = strlen(word);

	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

/*
 * libxml2 compares every attribute of a tag with every other one before it
 * tells of any: count them here.  The exact limits are on_start's.
 */
static const uint8_t *
skip_tag(const uint8_t *p, const uint8_t *end, struct err *err)
{
	unsigned	 n = 0;
	uint8_t		 quote = 0;

	for (; p < end; p++) {
		if (quote != 0) {
			if (*p == quote)
				quote = 0;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (*p == '>') {
			return p + 1;
		} else if (*p == '=' &&
		    ++n > 3 * XML_ATTRIBUTES_MAX) {
			err_set(err, ERR_TOO_BIG,
			    "xml: more than 32 attributes in an element");
			return NULL;
		}
	}
	err_set(err, ERR_MALFORMED, "xml: not well-formed: a tag has no end");
	return NULL;
}

/* Behind the markup that begins at p (a '<'), or NULL with err set. */
static const uint8_t *
skip_markup(const uint8_t *p, const uint8_t *end, struct err *err)
{
	const uint8_t	*q;

	if (starts(p, end, "<!--"))
		q = skip_to(p + 4, end, "-->");
	else if (starts(p, end, "<![CDATA["))
		q = skip_to(p + 9, end, "]]>");
	else if (starts(p, end, "<?"))
		q = skip_to(p + 2, end, "?>");
	else if (starts(p, end, "<!")) {
		err_set(err, ERR_MALFORMED, "xml: DOCTYPE");
		return NULL;
	} else
		return skip_tag(p + 1, end, err);
	if (q == NULL)
		err_set(err, ERR_MALFORMED,
		    "xml: not well-formed: a construct has no end");
	return q;
}

/* What must be refused before libxml2 sees it. */
static int
scan(struct slice s, struct err *err)
{
	const uint8_t	*p, *q, *end;

	if (s.n == 0)
		return err_set(err, ERR_MALFORMED, "xml: empty message");
	end = s.p + s.n;
	if (!xml_chars(s))
		return err_set(err, ERR_MALFORMED,
		    "xml: bytes that are not XML characters in UTF-8");
	if (starts(s.p, end, "<?xml") && s.n > 5 && xml_space(s.p[5])) {
		q = skip_to(s.p, end, "?>");
		if (q == NULL)
			return err_set(err, ERR_MALFORMED,
			    "xml: bad declaration");
		if (check_declaration(slice_of(s.p, (size_t)(q - s.p)), s,
		    err) == -1)
			return -1;
	}
	for (p = s.p; (p = memchr(p, '<', (size_t)(end - p))) != NULL;) {
		p = skip_markup(p, end, err);
		if (p == NULL)
			return -1;
	}
	return 0;
}

static xmlDoc *
read_document(struct xmlin *x, struct slice s)
{
	xmlParserCtxt	*ctxt = context_new(x);
	xmlDoc		*doc;

	/* No encoding is UTF-8, as it is; to name it would cost two copies. */
	doc = xmlCtxtReadMemory(ctxt, (const char *)s.p, (int)s.n, NULL,
	    NULL, XML_PARSE_IGNORE_ENC | XML_PARSE_NONET |
	    XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	/* libxml2 goes on when a prefix means nothing or two things. */
	if (doc != NULL && (xmlDocGetRootElement(doc) == NULL ||
	    doc->intSubset != NULL || x->err->kind != ERR_NONE ||
	    !ctxt->nsWellFormed))
		doc = NULL;
	if (doc == NULL)
		tell(&ctxt->lastError, x->err);
	/* The thread's copy of the last error points into x->mem. */
	xmlResetLastError();
	return doc;
}

xmlDoc *
xmlin_parse(struct xmlin *x, struct slice s, struct err *err)
{
	xmlDoc	*doc;

	xmlin_clear(x);
	if (s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0) {
		s.p += 3;
		s.n -= 3;
	}
	if (scan(s, err) == -1)
		return NULL;
	x->err = err;
	x->depth = x->elements = x->namespaces = 0;
	x->text = 0;
	xmlmem_begin(x->mem);
	doc = read_document(x, s);
	xmlmem_end();
	x->err = NULL;
	return doc;
}

bool
xml_is(const xmlNode *node, const char *ns, const char *name)
{
	return node->ns != NULL &&
	    strcmp((const char *)node->name, name) == 0 &&
	    strcmp((const char *)node->ns->href, ns) == 0;
}

static const xmlNode *
element(const xmlNode *node)
{
	while (node != NULL && node->type != XML_ELEMENT_NODE)
		node = node->next;
	return node;
}

const xmlNode *
xml_first(const xmlNode *parent)
{
	return element(parent->children);
}

const xmlNode *
xml_next(const xmlNode *node)
{
	return element(node->next);
}

struct slice
xml_attr(const xmlNode *node, const char *ns, const char *name)
{
	const char	*want = ns != NULL ? ns : "", *uri;
	const xmlAttr	*a;

	for (a = node->properties; a != NULL; a = a->next) {
		uri = a->ns != NULL ? (const char *)a->ns->href : "";
		if (strcmp((const char *)a->name, name) != 0 ||
		    strcmp(uri, want) != 0)
			continue;
		if (a->children == NULL || a->children->content == NULL)
			return slice_str("");
		return slice_str((const char *)a->children->content);
	}
	return slice_of(NULL, 0);
}

int
xml_attr_lax(const xmlNode *node, const char *ns, const char *name,
    struct slice *out, struct err *err)
{
	struct slice	plain = xml_attr(node, NULL, name);
	struct slice	qualified = xml_attr(node, ns, name);

	if (plain.p != NULL && qualified.p != NULL)
		return err_bad(err, 0, "%.64s: %s stands twice",
		    (const char *)node->name, name);
	*out = xml_trim(plain.p != NULL ? plain : qualified);
	return 0;
}

/*
 * [XMLSCHEMA-1] 3.3.4: nil is a boolean, and what is nil is empty; readers
 * that differ in that see two messages.
 */
static int
check_nil(const xmlNode *node, const char *what, bool *nil, struct err *err)
{
	struct slice	 v = xml_attr(node, NS_XSI, "nil");
	const xmlNode	*n;

	*nil = false;
	if (v.p == NULL)
		return 0;
	if (xml_bool(v, nil) == -1)
		return err_bad(err, 0, "%s: nil is neither true nor false",
		    what);
	for (n = node->children; *nil && n != NULL; n = n->next)
		if (n->type != XML_TEXT_NODE || n->content == NULL ||
		    xml_trim(slice_str((const char *)n->content)).n != 0)
			return err_bad(err, 0, "%s: nil, and not empty",
			    what);
	return 0;
}

int
xml_elements_only(const xmlNode *parent, const char *what, struct err *err)
{
	const xmlNode	*n;
	struct slice	 s;
	bool		 nil;

	if (check_nil(parent, what, &nil, err) == -1)
		return -1;
	for (n = parent->children; n != NULL; n = n->next) {
		if (n->type == XML_ELEMENT_NODE)
			continue;
		s = n->content == NULL ? slice_of(NULL, 0) :
		    slice_str((const char *)n->content);
		if (n->type != XML_TEXT_NODE || xml_trim(s).n != 0)
			return err_bad(err, 0, "%s: text between elements",
			    what);
	}
	return 0;
}

int
xml_text(const xmlNode *node, size_t max, const char *what, struct slice *out,
    struct err *err)
{
	const xmlNode	*n = node->children;
	struct slice	 s = { NULL, 0 };
	bool		 nil;

	if (check_nil(node, what, &nil, err) == -1)
		return -1;
	if (n != NULL && (n->type != XML_TEXT_NODE || n->next != NULL))
		return err_bad(err, 0, "%s: holds more than text", what);
	if (n != NULL && n->content != NULL)
		s = slice_str((const char *)n->content);
	if (s.n > max)
		return err_set(err, ERR_TOO_BIG, "%s: %zu bytes, limit %zu",
		    what, s.n, max);
	*out = s;
	return 0;
}

int
xml_token(const xmlNode *node, size_t max, const char *what,
    struct slice *out, struct err *err)
{
	struct slice	s;

	if (xml_text(node, XML_TEXT_MAX, what, &s, err) == -1)
		return -1;
	s = xml_trim(s);
	if (s.n > max)
		return err_set(err, ERR_TOO_BIG, "%s: %zu bytes, limit %zu",
		    what, s.n, max);
	*out = s;
	return 0;
}

int
xml_given(const xmlNode *node, const char *what, bool *given, struct err *err)
{
	bool	nil = false;

	if (node != NULL && check_nil(node, what, &nil, err) == -1)
		return -1;
	*given = node != NULL && !nil;
	return 0;
}

int
xml_once(const xmlNode **slot, const xmlNode *node, const char *what,
    struct err *err)
{
	if (*slot != NULL)
		return err_bad(err, 0, "%s: stands twice", what);
	*slot = node;
	return 0;
}
