/*
 * XML out: every answer is written with this, by cepwrite.c, ces.c, fault.c
 * and envelope.c.
 */
#include <stdlib.h>

#include "base64.h"
#include "xmlchar.h"
#include "xmlw.h"

static void
end_tag(struct xmlw *w)
{
	if (w->in_tag)
		buf_addc(&w->b, '>');
	w->in_tag = false;
}

/* What stands for a character, NULL for itself. */
static const char *const escapes[0x7f] = {
	['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;",
	['\''] = "&apos;", ['\t'] = "&#9;", ['\n'] = "&#10;",
	['\r'] = "&#13;"
};

/* The first character from p on that may not stand for itself. */
static const uint8_t *
skip_plain(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= 0x20 && *p < 0x7f && escapes[*p] == NULL)
		p++;
	return p;
}

static void
put_escaped(struct buf *b, struct slice s)
{
	const uint8_t	*p = s.p, *end = s.p + s.n, *run = s.p;
	const char	*e;
	size_t		 n;

	while ((p = skip_plain(p, end)) < end) {
		n = xml_char(p, end);
		e = n == 1 ? escapes[*p] : NULL;
		if (n != 0 && e == NULL) {
			p += n;
			continue;
		}
		buf_add(b, run, (size_t)(p - run));
		buf_puts(b, n == 0 ? "\xef\xbf\xbd" : e);
		run = ++p;
	}
	buf_add(b, run, (size_t)(end - run));
}

void
xmlw_open(struct xmlw *w, const char *name)
{
	if (w->depth == XMLW_DEPTH)
		abort();	/* the program's own shapes are flatter */
	end_tag(w);
	buf_addc(&w->b, '<');
	buf_puts(&w->b, name);
	w->open[w->depth++] = name;
	w->in_tag = true;
}

void
xmlw_attr(struct xmlw *w, const char *name, struct slice value)
{
	if (!w->in_tag)
		abort();
	buf_addc(&w->b, ' ');
	buf_puts(&w->b, name);
	buf_puts(&w->b, "=\"");
	put_escaped(&w->b, value);
	buf_addc(&w->b, '"');
}

void
xmlw_attr_str(struct xmlw *w, const char *name, const char *value)
{
	xmlw_attr(w, name, slice_str(value));
}

void
xmlw_open_class(struct xmlw *w, const char *name, const char *class)
{
	xmlw_open(w, name);
	xmlw_attr_str(w, "class", class);
}

void
xmlw_text(struct xmlw *w, struct slice text)
{
	end_tag(w);
	put_escaped(&w->b, text);
}

void
xmlw_number(struct xmlw *w, int64_t value)
{
	end_tag(w);
	buf_dec(&w->b, value);
}

void
xmlw_base64(struct xmlw *w, struct slice bytes)
{
	end_tag(w);
	base64_encode(bytes.p, bytes.n, &w->b);
}

void
xmlw_close(struct xmlw *w)
{
	if (w->depth == 0)
		abort();
	w->depth--;
	if (w->in_tag) {
		buf_puts(&w->b, "/>");
		w->in_tag = false;
		return;
	}
	buf_puts(&w->b, "</");
	buf_puts(&w->b, w->open[w->depth]);
	buf_addc(&w->b, '>');
}

void
xmlw_leaf(struct xmlw *w, const char *name, struct slice text)
{
	xmlw_open(w, name);
	xmlw_text(w, text);
	xmlw_close(w);
}

void
xmlw_leaf_str(struct xmlw *w, const char *name, const char *text)
{
	xmlw_leaf(w, name, slice_str(text));
}

void
xmlw_leaf_num(struct xmlw *w, const char *name, int64_t value)
{
	xmlw_open(w, name);
	xmlw_number(w, value);
	xmlw_close(w);
}

void
xmlw_leaf_bool(struct xmlw *w, const char *name, bool value)
{
	xmlw_leaf_str(w, name, value ? "true" : "false");
}

void
xmlw_nil(struct xmlw *w, const char *name)
{
	xmlw_open(w, name);
	xmlw_attr_str(w, "xsi:nil", "true");
	xmlw_close(w);
}

void
xmlw_add(struct xmlw *w, const struct xmlw *piece)
{
	if (piece->depth != 0)
		abort();
	end_tag(w);
	buf_add(&w->b, piece->b.p, piece->b.n);
}

void
xmlw_free(struct xmlw *w)
{
	buf_free(&w->b);
	*w = (struct xmlw){ 0 };
}
