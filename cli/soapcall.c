/*
 * The two calls of an enrolling client, for doctor: the path of
 * docs/architecture.md, from outside.
 */
#include "soapcall.h"

#include <libxml/parser.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "ns.h"
#include "xmlw.h"

#define MESSAGE_MAX	((size_t)64 * 1024)
#define CERT_MAX	((size_t)64 * 1024)

/* A leaf that must be understood. */
static void
put_must(struct xmlw *w, const char *name, const char *value)
{
	xmlw_open(w, name);
	xmlw_attr_str(w, "s:mustUnderstand", "1");
	xmlw_text(w, slice_str(value));
	xmlw_close(w);
}

/* [RFC4122] 4.4: 122 random bits between the version and the variant. */
static void
put_message_id(struct xmlw *w)
{
	char id[64], hex[33];
	uint8_t r[16];

	if (RAND_bytes(r, sizeof r) != 1)
		abort();
	hex_encode(r, sizeof r, hex);
	snprintf(id, sizeof id, "urn:uuid:%.8s-%.4s-4%.3s-8%.3s-%.12s", hex,
	    hex + 8, hex + 13, hex + 17, hex + 20);
	xmlw_leaf_str(w, "a:MessageID", id);
}

/* [WSS-UNT] 3.1 */
static void
put_security(struct xmlw *w, const struct soap_call *c)
{
	xmlw_open(w, "o:Security");
	xmlw_attr_str(w, "s:mustUnderstand", "1");
	xmlw_attr_str(w, "xmlns:o", NS_WSSE);
	xmlw_open(w, "o:UsernameToken");
	xmlw_leaf_str(w, "o:Username", c->user);
	xmlw_open(w, "o:Password");
	xmlw_attr_str(w, "Type", PASSWORD_TEXT);
	xmlw_text(w, c->password);
	xmlw_close(w);
	xmlw_close(w);
	xmlw_close(w);
}

/* Everything up to the body; room for all, or growing leaves a password. */
static void
message_begin(struct xmlw *w, const struct soap_call *c, const char *action)
{
	w->b.p = xcalloc(1, MESSAGE_MAX);
	w->b.cap = MESSAGE_MAX;
	xmlw_open(w, "s:Envelope");
	xmlw_attr_str(w, "xmlns:s", NS_SOAP);
	xmlw_attr_str(w, "xmlns:a", NS_WSA);
	xmlw_attr_str(w, "xmlns:xsi", NS_XSI);
	xmlw_open(w, "s:Header");
	put_must(w, "a:Action", action);
	put_message_id(w);
	put_must(w, "a:To", c->url);
	put_security(w, c);
	xmlw_close(w);
	xmlw_open(w, "s:Body");
}

static void
message_end(struct xmlw *w)
{
	xmlw_close(w);
	xmlw_close(w);
}

static bool
is(const xmlNode *n, const char *ns, const char *name)
{
	return n->type == XML_ELEMENT_NODE && n->ns != NULL &&
	    strcmp((const char *)n->ns->href, ns) == 0 &&
	    strcmp((const char *)n->name, name) == 0;
}

/* The next one in document order behind n, below top; NULL at the end. */
static xmlNode *
next_node(xmlNode *top, xmlNode *n)
{
	if (n->children != NULL)
		return n->children;
	while (n != NULL && n != top && n->next == NULL)
		n = n->parent;
	return n == NULL || n == top ? NULL : n->next;
}

static xmlNode *
find(xmlNode *top, xmlNode *from, const char *ns, const char *name)
{
	xmlNode *n = from;

	while (n != NULL && (n = next_node(top, n)) != NULL)
		if (is(n, ns, name))
			return n;
	return NULL;
}

/* The fault's own sentence, which has the request's id in it. */
static int
fault(xmlNode *root, int status, struct err *err)
{
	xmlNode *n = find(root, root, NS_SOAP, "Text");
	xmlChar *text = n == NULL ? NULL : xmlNodeGetContent(n);

	if (text != NULL)
		err_set(err, ERR_DENIED, "%.190s", (const char *)text);
	else
		err_set(err, ERR_DENIED, "http status %d", status);
	xmlFree(text);
	return -1;
}

/* The answer's document, or NULL with err. */
static xmlDoc *
call(const struct soap_call *c, struct xmlw *w, struct err *err)
{
	struct https_answer a = { 0 };
	xmlNode *root;
	xmlDoc *doc = NULL;

	if (https_call(c->site, c->path, buf_slice(&w->b), &a, err) == 0) {
		doc = xmlReadMemory((const char *)a.body.p, (int)a.body.n,
		    NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR |
		    XML_PARSE_NOWARNING);
		root = doc == NULL ? NULL : xmlDocGetRootElement(doc);
		if (root == NULL || doc->intSubset != NULL)
			err_set(err, ERR_DENIED, "http status %d, no soap "
			    "message", a.status);
		else if (a.status != 200 ||
		    find(root, root, NS_SOAP, "Fault") != NULL)
			fault(root, a.status, err);
	}
	buf_free(&a.body);
	buf_wipe(&w->b);
	if (err->kind == ERR_NONE)
		return doc;
	xmlFreeDoc(doc);
	return NULL;
}

/* [MS-XCEP] 3.1.4.1.2.1; nil twice: nothing is known yet, all is wanted. */
int
soap_policies(const struct soap_call *c, size_t *ntemplates, struct err *err)
{
	struct xmlw w = { 0 };
	xmlNode *root, *n;
	xmlDoc *doc;

	message_begin(&w, c, ACTION_GETPOLICIES);
	xmlw_open(&w, "GetPolicies");
	xmlw_attr_str(&w, "xmlns", NS_XCEP);
	xmlw_open(&w, "client");
	xmlw_nil(&w, "lastUpdate");
	xmlw_nil(&w, "preferredLanguage");
	xmlw_close(&w);
	xmlw_nil(&w, "requestFilter");
	xmlw_close(&w);
	message_end(&w);
	if ((doc = call(c, &w, err)) == NULL)
		return -1;
	root = xmlDocGetRootElement(doc);
	*ntemplates = 0;
	for (n = root; (n = find(root, n, NS_XCEP, "policy")) != NULL; )
		++*ntemplates;
	xmlFreeDoc(doc);
	return 0;
}

/* [MS-WSTEP] 3.1.4.1.3.3, with the template beside the request. */
static void
put_rst(struct xmlw *w, struct slice pkcs10, const char *tmpl)
{
	xmlw_open(w, "RequestSecurityToken");
	xmlw_attr_str(w, "xmlns", NS_WST);
	xmlw_leaf_str(w, "TokenType", TOKEN_X509);
	xmlw_leaf_str(w, "RequestType", TYPE_ISSUE);
	xmlw_open(w, "BinarySecurityToken");
	xmlw_attr_str(w, "xmlns", NS_WSSE);
	xmlw_attr_str(w, "ValueType", VALUE_PKCS10);
	xmlw_attr_str(w, "EncodingType", ENCODING_BASE64);
	xmlw_base64(w, pkcs10);
	xmlw_close(w);
	xmlw_open(w, "AdditionalContext");
	xmlw_attr_str(w, "xmlns", NS_AUTH);
	xmlw_open(w, "ContextItem");
	xmlw_attr_str(w, "Name", "CertificateTemplate");
	xmlw_leaf_str(w, "Value", tmpl);
	xmlw_close(w);
	xmlw_close(w);
	xmlw_close(w);
}

/* [MS-WSTEP] 3.1.4.1.3.2: a pending request has a reference there instead. */
static int
take_certificate(xmlNode *root, struct buf *out, struct err *err)
{
	xmlNode *n = find(root, root, NS_WST, "RequestedSecurityToken");
	xmlNode *t = n == NULL ? NULL : find(n, n, NS_WSSE,
	    "BinarySecurityToken");
	xmlChar *text;
	int rc;

	if (t == NULL)
		return err_set(err, ERR_DENIED,
		    "no certificate in the answer: it waits for approval, or "
		    "for the next round over an air gap");
	text = xmlNodeGetContent(t);
	rc = base64_decode((const char *)text, strlen((const char *)text),
	    CERT_MAX, out, err);
	xmlFree(text);
	return rc;
}

int
soap_enroll(const struct soap_call *c, struct slice pkcs10, const char *tmpl,
    struct buf *out, struct err *err)
{
	struct xmlw w = { 0 };
	xmlDoc *doc;
	int rc;

	message_begin(&w, c, ACTION_RST);
	put_rst(&w, pkcs10, tmpl);
	message_end(&w);
	if ((doc = call(c, &w, err)) == NULL)
		return -1;
	rc = take_certificate(xmlDocGetRootElement(doc), out, err);
	xmlFreeDoc(doc);
	return rc;
}
