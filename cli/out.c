/*
 * Rows, for people or as JSON: the one way to standard output, so that
 * nothing a client sent can move a terminal's cursor.
 */
#include "out.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WIDE_MAX	100	/* of a column in a table */

struct out {
	const struct out_col	*cols;
	size_t			 ncols;
	enum out_form		 form;
	char			**cell;		/* row by row; owned; or NULL */
	size_t			 n;		/* of all */
};

/*
 * One UTF-8 character of [RFC3629]: its length, or 0 when the bytes are none
 * (then *cp is the first byte).
 */
static size_t
utf8_next(const char *text, uint32_t *cp)
{
	const uint8_t *p = (const uint8_t *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i, n;
	uint32_t c;

	*cp = c = p[0];
	if (c < 0x80)
		return 1;
	n = c >= 0xf8 ? 0 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
	if (n == 0)
		return 0;
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return n;
}

/*
 * What nobody sees, and directories pass over when they compare ([Unicode]
 * Default_Ignorable_Code_Point): an approver would take one name for another.
 */
static bool
invisible(uint32_t c)
{
	return c == 0xad || c == 0x034f || c == 0x061c || c == 0x115f ||
	    c == 0x1160 || c == 0x17b4 || c == 0x17b5 ||
	    (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0x3164 ||
	    (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || c == 0xffa0 ||
	    (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Control characters, line separators, what turns the direction of text. */
static bool
unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||
	    (c >= 0x2028 && c <= 0x202e) || invisible(c);
}

/* As JSON has it: two of UTF-16 for what is above ([RFC8259] 7). */
static void
escape(struct buf *b, uint32_t c)
{
	if (c >= 0x10000)
		buf_printf(b, "\\u%04x\\u%04x", 0xd800 + (c - 0x10000) / 0x400,
		    0xdc00 + (c - 0x10000) % 0x400);
	else
		buf_printf(b, "\\u%04x", c);
}

void
out_plain(struct buf *b, const char *text)
{
	uint32_t c;
	size_t n;

	for (; *text != '\0'; text += n == 0 ? 1 : n) {
		n = utf8_next(text, &c);
		if (n == 0 || (n == 1 && unsafe(c)))
			buf_printf(b, "\\x%02x", c);
		else if (unsafe(c))
			escape(b, c);
		else
			buf_add(b, text, n);
	}
}

void
out_json_string(struct buf *b, const char *text)
{
	uint32_t c;
	size_t n;

	buf_addc(b, '"');
	for (; *text != '\0'; text += n == 0 ? 1 : n) {
		n = utf8_next(text, &c);
		if (n == 0)
			buf_puts(b, "\\ufffd");
		else if (c == '\n')
			buf_puts(b, "\\n");
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", (int)c);
		else if (unsafe(c))
			escape(b, c);
		else
			buf_add(b, text, n);
	}
	buf_addc(b, '"');
}

struct out *
out_new(const struct out_col *cols, enum out_form form)
{
	struct out *o = xcalloc(1, sizeof *o);

	o->cols = cols;
	o->form = form;
	while (cols[o->ncols].name != NULL)
		o->ncols++;
	return o;
}

/* A cell may be a one-time secret. */
static void
wipe(char *s)
{
	if (s != NULL)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

void
out_free(struct out *o)
{
	size_t i;

	if (o == NULL)
		return;
	for (i = 0; i < o->n; i++)
		wipe(o->cell[i]);
	free(o->cell);
	free(o);
}

void
out_add(struct out *o, const char *value)
{
	/* Grows by whole powers of two. */
	if ((o->n & (o->n - 1)) == 0)
		o->cell = xreallocarray(o->cell, o->n == 0 ? 1 : o->n * 2,
		    sizeof *o->cell);
	o->cell[o->n++] = value == NULL ? NULL : xstrdup(value);
}

void
out_addf(struct out *o, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	out_add(o, text);
	free(text);
}

void
out_num(struct out *o, int64_t n)
{
	out_addf(o, "%lld", (long long)n);
}

void
out_bool(struct out *o, bool b)
{
	out_add(o, b ? "t" : "f");
}

void
out_result(struct out *o, const PGresult *res)
{
	int row, col;

	for (row = 0; row < PQntuples(res); row++)
		for (col = 0; col < (int)o->ncols; col++)
			out_add(o, PQgetisnull(res, row, col) ? NULL :
			    PQgetvalue(res, row, col));
}

size_t
out_rows(const struct out *o)
{
	return o->n / o->ncols;
}

/* The elements of a list; each is given to put, with the separator between. */
static void
list_put(struct buf *b, const char *list, const char *sep,
    void (*put)(struct buf *, const char *))
{
	char *copy = xstrdup(list), *at = copy, *element;
	bool first = true;

	while (*list != '\0' && (element = strsep(&at, "\n")) != NULL) {
		if (!first)
			buf_puts(b, sep);
		first = false;
		put(b, element);
	}
	free(copy);
}

static void
json_value(struct buf *b, enum out_type type, const char *value)
{
	if (value == NULL)
		buf_puts(b, "null");
	else if (type == OUT_NUMBER)
		buf_puts(b, value);
	else if (type == OUT_BOOL)
		buf_puts(b, *value == 't' ? "true" : "false");
	else if (type == OUT_LIST) {
		buf_addc(b, '[');
		list_put(b, value, ",", out_json_string);
		buf_addc(b, ']');
	} else
		out_json_string(b, value);
}

static void
render_json(const struct out *o, struct buf *b)
{
	size_t row, col;

	buf_puts(b, "[");
	for (row = 0; row < out_rows(o); row++) {
		buf_puts(b, row == 0 ? "\n{" : ",\n{");
		for (col = 0; col < o->ncols; col++) {
			if (col > 0)
				buf_addc(b, ',');
			out_json_string(b, o->cols[col].name);
			buf_addc(b, ':');
			json_value(b, o->cols[col].type,
			    o->cell[row * o->ncols + col]);
		}
		buf_addc(b, '}');
	}
	buf_puts(b, "\n]\n");
}

static void
plain_value(struct buf *b, enum out_type type, const char *value)
{
	if (value == NULL || *value == '\0')
		buf_addc(b, '-');
	else if (type == OUT_BOOL)
		buf_puts(b, *value == 't' ? "yes" : "no");
	else if (type == OUT_LIST)
		list_put(b, value, ",", out_plain);
	else
		out_plain(b, value);
}

/* Columns a text takes: characters, for what plain_value lets through. */
static size_t
width(const struct buf *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->n; i++)
		if ((b->p[i] & 0xc0) != 0x80)
			n++;
	return n;
}

/* As a column or a "name: value" line, for people. */
static bool
shown(const struct out_col *col)
{
	return col->type != OUT_JSON_ONLY && col->type != OUT_BLOCK;
}

/* "received_at" to "RECEIVED AT" (heading) or "received at". */
static void
heading(struct buf *b, const char *name, bool upper)
{
	for (; *name != '\0'; name++)
		buf_addc(b, *name == '_' ? ' ' : upper && *name >= 'a' &&
		    *name <= 'z' ? (uint8_t)(*name - 32) : (uint8_t)*name);
}

/* row == rows means the heading. */
static void
table_cell(const struct out *o, size_t row, size_t col, struct buf *b)
{
	buf_reset(b);
	if (row == out_rows(o))
		heading(b, o->cols[col].name, true);
	else
		plain_value(b, o->cols[col].type,
		    o->cell[row * o->ncols + col]);
}

static void
table_row(const struct out *o, size_t row, const size_t *wide, struct buf *b)
{
	struct buf cell = { 0 };
	size_t col, pad = 0;

	for (col = 0; col < o->ncols; col++) {
		if (!shown(&o->cols[col]))
			continue;
		/* Padding goes before the next cell: no blanks at the end. */
		for (; pad > 0; pad--)
			buf_addc(b, ' ');
		table_cell(o, row, col, &cell);
		pad = width(&cell) < wide[col] ? wide[col] - width(&cell) : 0;
		if (o->cols[col].type == OUT_NUMBER)
			for (; pad > 0; pad--)
				buf_addc(b, ' ');
		buf_add(b, cell.p, cell.n);
		pad += 2;
	}
	buf_addc(b, '\n');
	buf_free(&cell);
}

/*
 * Nothing at all without rows: "grep" and people see the same.  What is wider
 * than a screen pushes aside what stands behind it in its own row, not in all
 * of 200,000.
 */
static void
render_table(const struct out *o, struct buf *b)
{
	size_t *wide = xcalloc(o->ncols, sizeof *wide);
	struct buf cell = { 0 };
	size_t row, col;

	for (row = 0; row <= out_rows(o); row++)
		for (col = 0; col < o->ncols; col++) {
			table_cell(o, row, col, &cell);
			if (width(&cell) > wide[col])
				wide[col] = width(&cell) < WIDE_MAX ?
				    width(&cell) : WIDE_MAX;
		}
	buf_free(&cell);
	if (out_rows(o) > 0) {
		table_row(o, out_rows(o), wide, b);
		for (row = 0; row < out_rows(o); row++)
			table_row(o, row, wide, b);
	}
	free(wide);
}

/* Line by line, so that only the ends of lines survive unescaped. */
static void
block(struct buf *b, const char *text)
{
	char *copy = xstrdup(text), *at = copy, *line;

	while ((line = strsep(&at, "\n")) != NULL) {
		if (at == NULL && *line == '\0')
			break;
		out_plain(b, line);
		buf_addc(b, '\n');
	}
	free(copy);
}

/* Blocks of text stand behind the lines, whatever their place in cols. */
static void
record_row(const struct out *o, size_t row, size_t wide, struct buf *b)
{
	char *const *cell = o->cell + row * o->ncols;
	size_t col, n;

	for (col = 0; col < o->ncols; col++) {
		if (!shown(&o->cols[col]))
			continue;
		heading(b, o->cols[col].name, false);
		buf_addc(b, ':');
		for (n = strlen(o->cols[col].name); n < wide + 1; n++)
			buf_addc(b, ' ');
		plain_value(b, o->cols[col].type, cell[col]);
		buf_addc(b, '\n');
	}
	for (col = 0; col < o->ncols; col++)
		if (o->cols[col].type == OUT_BLOCK && cell[col] != NULL) {
			buf_addc(b, '\n');
			block(b, cell[col]);
		}
}

static void
render_records(const struct out *o, struct buf *b)
{
	size_t col, row, wide = 0;

	for (col = 0; col < o->ncols; col++)
		if (shown(&o->cols[col]) && strlen(o->cols[col].name) > wide)
			wide = strlen(o->cols[col].name);
	for (row = 0; row < out_rows(o); row++) {
		if (row > 0)
			buf_addc(b, '\n');
		record_row(o, row, wide, b);
	}
}

void
out_render(const struct out *o, bool json, struct buf *b)
{
	if (json)
		render_json(o, b);
	else if (o->form == OUT_RECORD)
		render_records(o, b);
	else
		render_table(o, b);
}

int
out_print(struct out *o, bool json, FILE *f)
{
	struct buf b = { 0 };
	int rc = 0;

	out_render(o, json, &b);
	if (b.n > 0 && fwrite(b.p, 1, b.n, f) != b.n)
		rc = -1;
	if (fflush(f) != 0)
		rc = -1;
	buf_wipe(&b);
	out_free(o);
	return rc;
}
