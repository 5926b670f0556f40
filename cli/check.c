/* Findings of "countersign doctor", gathered and printed. */
#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct out_col cols[] = {
	{ "result", OUT_TEXT }, { "check", OUT_TEXT }, { "object", OUT_TEXT },
	{ "text", OUT_TEXT }, { "advice", OUT_TEXT }, { NULL, OUT_TEXT }
};

static const char *const names[] = {
	[CHECK_OK] = "ok", [CHECK_SKIP] = "skip", [CHECK_WARN] = "warn",
	[CHECK_FAIL] = "fail"
};

struct finding {
	enum check_result result;
	const char	*name;		/* a literal */
	char		*object, *text, *advice;
};

struct checks {
	struct finding	*v;
	size_t		 n;
};

struct checks *
checks_new(void)
{
	return xcalloc(1, sizeof(struct checks));
}

void
checks_free(struct checks *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n; i++) {
		free(c->v[i].object);
		free(c->v[i].text);
		free(c->v[i].advice);
	}
	free(c->v);
	free(c);
}

/* A folder that holds several keys is looked at for each. */
static bool
is_known(const struct checks *c, const char *name, const char *object,
    const char *text)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->v[i].name, name) == 0 &&
		    strcmp(c->v[i].object, object) == 0 &&
		    strcmp(c->v[i].text, text) == 0)
			return true;
	return false;
}

void
check_add(struct checks *c, enum check_result result, const char *name,
    const char *object, const char *advice, const char *fmt, ...)
{
	struct finding *f;
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (is_known(c, name, object, text))
		return;
	c->v = xreallocarray(c->v, c->n + 1, sizeof *c->v);
	f = &c->v[c->n++];
	f->result = result;
	f->name = name;
	f->object = xstrdup(object);
	f->text = xstrdup(text);
	f->advice = advice == NULL ? NULL : xstrdup(advice);
}

size_t
checks_count(const struct checks *c, enum check_result result)
{
	size_t i, n = 0;

	for (i = 0; i < c->n; i++)
		n += c->v[i].result == result;
	return n;
}

/* For programs the good ones as well: what was not looked at is missing. */
static int
print_json(const struct checks *c, struct cli *cli, struct err *err)
{
	struct out *o = out_new(cols, OUT_TABLE);
	size_t i;

	for (i = 0; i < c->n; i++) {
		out_add(o, names[c->v[i].result]);
		out_add(o, c->v[i].name);
		out_add(o, c->v[i].object);
		out_add(o, c->v[i].text);
		out_add(o, c->v[i].advice);
	}
	return cli_print(cli, o, err);
}

/* A table would put the advice far to the right. */
static void
put_finding(struct buf *b, const struct finding *f)
{
	buf_printf(b, "%-5s %-12s ", names[f->result], f->name);
	out_plain(b, f->object);
	buf_puts(b, f->text[0] == '\0' ? "" : ": ");
	out_plain(b, f->text);
	buf_addc(b, '\n');
	if (f->advice == NULL)
		return;
	buf_puts(b, "      -> ");
	out_plain(b, f->advice);
	buf_addc(b, '\n');
}

static void
put_count(struct buf *b, size_t n, const char *word)
{
	buf_printf(b, ", %zu %s%s", n, word, n == 1 ? "" : "s");
}

int
checks_print(const struct checks *c, struct cli *cli, struct err *err)
{
	struct buf b = { 0 };
	size_t i;
	int rc = 0;

	if (cli->json)
		return print_json(c, cli, err);
	for (i = 0; i < c->n; i++)
		put_finding(&b, &c->v[i]);
	buf_printf(&b, "%zu ok, %zu skipped", checks_count(c, CHECK_OK),
	    checks_count(c, CHECK_SKIP));
	put_count(&b, checks_count(c, CHECK_WARN), "warning");
	put_count(&b, checks_count(c, CHECK_FAIL), "failure");
	buf_addc(&b, '\n');
	if (fwrite(b.p, 1, b.n, stdout) != b.n || fflush(stdout) != 0)
		rc = err_set(err, ERR_INTERNAL, "standard output: write");
	buf_free(&b);
	return rc;
}
