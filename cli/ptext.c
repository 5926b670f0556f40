/* Policy files as text: versions raised in place when one is published. */
#include "ptext.h"

#include <string.h>

/* A word, a string with its quotes, or one sign; empty at the end. */
static struct slice
token(struct slice *s)
{
	const uint8_t *p = s->p, *end = s->p + s->n, *from;

	while (p < end) {
		if (strchr(" \t\r\n", *p) != NULL && *p != '\0')
			p++;
		else if (*p == '#' || (end - p > 1 && memcmp(p, "//", 2) == 0))
			while (p < end && *p != '\n')
				p++;
		else if (end - p > 1 && memcmp(p, "/*", 2) == 0) {
			from = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
			p = from == NULL ? end : from + 2;
		} else
			break;
	}
	from = p;
	if (p < end && (*p == '"' || *p == '\'')) {
		for (p++; p < end && *p != *from; p++)
			if (*p == '\\' && p + 1 < end)
				p++;
		if (p < end)
			p++;
	} else if (p < end && strchr("{}=,()", *p) != NULL)
		p++;
	else
		while (p < end && strchr(" \t\r\n{}=,()\"'#", *p) == NULL)
			p++;
	s->p = p;
	s->n = (size_t)(end - p);
	return slice_of(from, (size_t)(p - from));
}

/* Up to the brace that closes the one before s; s moves behind it. */
static struct slice
block(struct slice *s)
{
	const uint8_t *from = s->p;
	struct slice t;
	int depth = 1;

	while ((t = token(s)).n > 0) {
		if (slice_is(t, "{"))
			depth++;
		else if (slice_is(t, "}") && --depth == 0)
			return slice_of(from, (size_t)(t.p - from));
	}
	return slice_of(from, 0);
}

static bool
is_title(struct slice t, const char *name)
{
	if (t.n >= 2 && (t.p[0] == '"' || t.p[0] == '\''))
		t = slice_of(t.p + 1, t.n - 2);
	return slice_is(t, name);
}

struct slice
ptext_template(struct slice text, const char *name)
{
	struct slice t, title, body;

	while ((t = token(&text)).n > 0) {
		if (slice_is(t, "{")) {
			(void)block(&text);
			continue;
		}
		if (!slice_is(t, "template"))
			continue;
		title = token(&text);
		if (!slice_is(token(&text), "{"))
			break;
		body = block(&text);
		if (is_title(title, name))
			return body;
	}
	return slice_of(NULL, 0);
}

/* The next token that is no part of the version option. */
static struct slice
significant(struct slice *s)
{
	struct slice t = token(s);

	while (slice_is(t, "version")) {
		(void)token(s);		/* = */
		(void)token(s);
		t = token(s);
	}
	return t;
}

bool
ptext_same(struct slice a, struct slice b)
{
	struct slice x, y;

	do {
		x = significant(&a);
		y = significant(&b);
		if (!slice_eq(x, y))
			return false;
	} while (x.n > 0);
	return true;
}

void
ptext_set_version(struct slice text, const char *name, uint32_t major,
    uint32_t minor, struct buf *out)
{
	struct slice body = ptext_template(text, name), rest = body, t;
	const uint8_t *from = body.p, *to = body.p;

	while ((t = token(&rest)).n > 0) {
		if (!slice_is(t, "version"))
			continue;
		(void)token(&rest);	/* = */
		t = token(&rest);
		from = t.p;
		to = t.p + t.n;
		break;
	}
	buf_add(out, text.p, (size_t)(from - text.p));
	if (from == to)		/* there was none: a line of its own */
		buf_printf(out, "\n\tversion = \"%u.%u\"", major, minor);
	else
		buf_printf(out, "\"%u.%u\"", major, minor);
	buf_add(out, to, (size_t)(text.p + text.n - to));
}

/*
 * The version that a template must have instead of its own: false when its
 * own will do.
 */
static bool
wanted_version(const struct policy *old, const struct policy *new,
    const struct template *t, uint32_t *minor)
{
	const struct template *o = policy_template_by_name(old, t->cn);
	bool same;

	if (o == NULL || strcmp(o->cn, t->cn) != 0 || t->major > o->major ||
	    (t->major == o->major && t->minor > o->minor))
		return false;
	same = ptext_same(ptext_template(buf_slice(&old->text), t->cn),
	    ptext_template(buf_slice(&new->text), t->cn));
	*minor = same || o->minor == UINT32_MAX ? o->minor : o->minor + 1;
	return t->major != o->major || t->minor != *minor;
}

void
ptext_raise(const struct policy *old, const struct policy *new,
    struct buf *out, struct buf *raised)
{
	const struct template *t;
	struct buf next = { 0 };
	uint32_t major, minor;
	size_t i;

	buf_add(out, new->text.p, new->text.n);
	for (i = 0; i < new->ntemplates; i++) {
		t = &new->templates[i];
		if (!wanted_version(old, new, t, &minor))
			continue;
		major = policy_template_by_name(old, t->cn)->major;
		buf_reset(&next);
		ptext_set_version(buf_slice(out), t->cn, major, minor, &next);
		buf_reset(out);
		buf_add(out, next.p, next.n);
		buf_printf(raised, "%s%s %u.%u", raised->n > 0 ? "\n" : "",
		    t->cn, major, minor);
	}
	buf_free(&next);
}
