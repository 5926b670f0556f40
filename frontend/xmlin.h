/*
 * Reads XML of hostile origin: UTF-8 only, no DOCTYPE, no entities but the
 * five, no processing instruction inside, no XML signature or encryption
 * anywhere ([security] X8), and limits that hold while libxml2 parses.
 *
 * The tree is libxml2's, without comments.  Walk it with the functions below;
 * slices they lend live as long as the document.
 */
#ifndef XMLIN_H
#define XMLIN_H

#include <libxml/tree.h>

#include "buf.h"
#include "err.h"

#define XML_DEPTH_MAX		32
#define XML_ELEMENTS_MAX	2000
#define XML_ATTRIBUTES_MAX	32	/* of one element */
#define XML_NAME_MAX		256
/*
 * Declarations in the document: there are writers that declare at each
 * element, and a request may name 256 of them.
 */
#define XML_NAMESPACES_MAX	320
#define XML_TEXT_MAX		(192 * 1024)

struct xmlin;

/* Once per process, before anything else uses libxml2: see xmlmem.h. */
void		 xmlin_init(void);
struct xmlin	*xmlin_new(void);	/* one per thread */
void		 xmlin_free(struct xmlin *);

/*
 * NULL with ERR_MALFORMED or ERR_TOO_BIG.  The document lives until the next
 * one is parsed or xmlin_clear; never xmlFreeDoc.
 */
xmlDoc		*xmlin_parse(struct xmlin *, struct slice, struct err *);
void		 xmlin_clear(struct xmlin *);	/* wipes: passwords in it */

bool		 xml_is(const xmlNode *, const char *ns, const char *name);
/* First child element, next sibling element; NULL at the end. */
const xmlNode	*xml_first(const xmlNode *);
const xmlNode	*xml_next(const xmlNode *);
/*
 * Refuses text other than white space between the child elements, and, as
 * the three below, an element that is nil and has something in it.
 */
int		 xml_elements_only(const xmlNode *, const char *what,
		    struct err *);
/*
 * The text of an element that holds nothing but text, at most max bytes.
 * Untrimmed; empty for an empty element.
 */
int		 xml_text(const xmlNode *, size_t max, const char *what,
		    struct slice *, struct err *);
/* The same, white space around removed. */
int		 xml_token(const xmlNode *, size_t max, const char *what,
		    struct slice *, struct err *);
/*
 * An attribute; ns NULL = in no namespace.  Empty slice with p NULL when
 * absent.
 */
struct slice	 xml_attr(const xmlNode *, const char *ns, const char *name);
/*
 * One that should stand in no namespace and that some clients put into this
 * one; trimmed.  Refuses one that stands in both.
 */
int		 xml_attr_lax(const xmlNode *, const char *ns,
		    const char *name, struct slice *, struct err *);
/* Is it there (NULL: no), and not xsi:nil? */
int		 xml_given(const xmlNode *, const char *what, bool *,
		    struct err *);
/*
 * Remember a child that may come once: sets *slot, refuses a second one.  what
 * names it; here and above a refusal is ERR_MALFORMED, over a limit
 * ERR_TOO_BIG.
 */
int		 xml_once(const xmlNode **slot, const xmlNode *,
		    const char *what, struct err *);

#endif
