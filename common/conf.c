/*
 * Configuration with libconfuse, behind a stricter reader.
 *
 * libconfuse lets the last of two equal options win, expands ${VARIABLES}
 * (two hosts would read one text differently), skips bytes it does not know,
 * miscounts lines in comments and keeps its lexer in globals.  So every text
 * is first read here, in a part of its language that has one meaning; what
 * passes is given to it with the comments blanked out.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "file.h"

#define CONF_MAX	(1024 * 1024)	/* bytes of a text */
#define CONF_SECTIONS	4096

enum { TOK_END = 256, TOK_WORD, TOK_STRING };

struct place {				/* of a section in the text */
	const char	*name;
	size_t		 parent;	/* index of its place; 0 = the text */
	unsigned	 nth;		/* of this name in the parent */
	unsigned	 line;
};

struct scan {
	const char	*name;		/* of the file, for messages */
	uint8_t		*p;		/* what is left */
	size_t		 n;
	unsigned	 line;
	struct place	*place;		/* 0 = the text itself */
	size_t		 nplace;
	int		 tok;		/* a TOK or the character itself */
	struct buf	 text;		/* of a word or string */
	struct err	*err;
};

static int __attribute__((format(printf, 2, 3)))
complain(struct scan *s, const char *fmt, ...)
{
	char	text[160];
	va_list	ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	return err_bad(s->err, 0, "%s:%u: %s", s->name, s->line, text);
}

static int
peek(const struct scan *s, size_t i)
{
	return i < s->n ? s->p[i] : '\0';
}

static void
skip(struct scan *s, size_t n)
{
	for (; n > 0; n--, s->p++, s->n--)
		if (*s->p == '\n')
			s->line++;
}

static void
blank(struct scan *s, size_t n)
{
	for (; n > 0; n--) {
		if (*s->p != '\n')
			*s->p = ' ';
		skip(s, 1);
	}
}

static int
blank_block_comment(struct scan *s)
{
	blank(s, 2);
	while (s->n != 0) {
		if (peek(s, 0) == '*' && peek(s, 1) == '/') {
			blank(s, 2);
			return 0;
		}
		blank(s, 1);
	}
	return complain(s, "comment is not closed");
}

static int
skip_space(struct scan *s)
{
	int	c;

	while (s->n != 0) {
		c = peek(s, 0);
		if (c == '#' || (c == '/' && peek(s, 1) == '/')) {
			while (s->n != 0 && peek(s, 0) != '\n')
				blank(s, 1);
		} else if (c == '/' && peek(s, 1) == '*') {
			if (blank_block_comment(s) == -1)
				return -1;
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			skip(s, 1);
		} else {
			break;
		}
	}
	return 0;
}

/* The one character, or escaped pair, at the front of a quoted string. */
static int
read_quoted_char(struct scan *s, int quote)
{
	size_t	n;

	if (peek(s, 0) == '\\') {
		if (peek(s, 1) != '\\' && peek(s, 1) != quote)
			return complain(s, "unknown escape in a string");
		skip(s, 1);
	} else if (quote == '"' && peek(s, 0) == '$' && peek(s, 1) == '{') {
		return complain(s, "${...} is not expanded here");
	}
	n = utf8_char(s->p, s->n);
	if (n == 0)
		return complain(s, s->n == 0 || *s->p == '\n' ?
		    "string is not closed" :
		    "control character or broken UTF-8 in a string");
	buf_add(&s->text, s->p, n);
	skip(s, n);
	return 0;
}

static int
read_string(struct scan *s)
{
	int	quote = peek(s, 0);

	skip(s, 1);
	while (peek(s, 0) != quote)
		if (read_quoted_char(s, quote) == -1)
			return -1;
	skip(s, 1);
	s->tok = TOK_STRING;
	return 0;
}

static bool
is_word(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("_.:@-", c) != NULL);
}

static int
next_token(struct scan *s)
{
	int	c;

	buf_reset(&s->text);
	if (skip_space(s) == -1)
		return -1;
	if (s->n == 0) {
		s->tok = TOK_END;
		return 0;
	}
	c = peek(s, 0);
	if (c == '"' || c == '\'')
		return read_string(s);
	if (is_word(c)) {
		for (; is_word(peek(s, 0)); skip(s, 1))
			buf_addc(&s->text, (uint8_t)peek(s, 0));
		/* What follows would be a comment, as far as the line's end. */
		if (s->text.p[s->text.n - 1] == ':' && peek(s, 0) == '/' &&
		    peek(s, 1) == '/')
			return complain(s, "a url needs quotes");
		s->tok = TOK_WORD;
		return 0;
	}
	if (c == '\0' || strchr("{}=,", c) == NULL)
		return complain(s, "unexpected character 0x%02x, not in a "
		    "quoted string", (unsigned)c);
	skip(s, 1);
	s->tok = c;
	return 0;
}

static int
need(struct scan *s, int tok, const char *behind)
{
	if (next_token(s) == -1)
		return -1;
	if (s->tok != tok)
		return complain(s, "\"%c\" expected behind %s", tok, behind);
	return 0;
}

static int
need_value(struct scan *s, const char *opt)
{
	if (s->tok != TOK_WORD && s->tok != TOK_STRING)
		return complain(s, "value of %s expected", opt);
	return 0;
}

static int
scan_list(struct scan *s, const char *opt)
{
	if (next_token(s) == -1)
		return -1;
	if (s->tok == '}')
		return 0;
	for (;;) {
		if (need_value(s, opt) == -1 || next_token(s) == -1)
			return -1;
		if (s->tok == '}')
			return 0;
		if (s->tok != ',')
			return complain(s, "\",\" or \"}\" expected in %s",
			    opt);
		if (next_token(s) == -1)
			return -1;
	}
}

/*
 * libconfuse reads numbers like C, where 010 is 8: a leading zero is either
 * a mistake or a trick.
 */
static int
scan_value(struct scan *s, const cfg_opt_t *opt)
{
	char	*v;

	if (need(s, '=', opt->name) == -1 || next_token(s) == -1)
		return -1;
	if (s->tok == '{') {
		if ((opt->flags & CFGF_LIST) == 0)
			return complain(s, "%s takes one value", opt->name);
		return scan_list(s, opt->name);
	}
	if (need_value(s, opt->name) == -1)
		return -1;
	v = buf_str(&s->text);
	if (opt->type == CFGT_INT && v[0] == '0' && v[1] != '\0')
		return complain(s, "%s: number %.20s begins with 0", opt->name,
		    v);
	return 0;
}

static int	scan_section(struct scan *, cfg_opt_t *, size_t);

/* Refuse a name that was seen in this section; else remember it. */
static int
once(struct scan *s, struct strlist *seen, const char *name, const char *title)
{
	struct buf	key = { 0 };
	int		rc = 0;

	buf_printf(&key, "%s%s%s", name, title != NULL ? " " : "",
	    title != NULL ? title : "");
	if (strlist_has(seen, buf_str(&key)))
		rc = complain(s, "%s is given twice", buf_str(&key));
	else
		strlist_add(seen, buf_str(&key));
	buf_free(&key);
	return rc;
}

/* Note where a section begins: libconfuse only knows where it ends. */
static int
note_place(struct scan *s, const cfg_opt_t *opt, size_t parent)
{
	struct place	p = { opt->name, parent, 0, s->line };
	size_t		i;

	if (s->nplace == CONF_SECTIONS)
		return complain(s, "more than %d sections", CONF_SECTIONS - 1);
	for (i = parent + 1; i < s->nplace; i++)
		if (s->place[i].parent == parent &&
		    strcmp(s->place[i].name, opt->name) == 0)
			p.nth = s->place[i].nth + 1;
	s->place[s->nplace++] = p;
	return 0;
}

static int
scan_subsection(struct scan *s, const cfg_opt_t *opt, size_t parent,
    struct strlist *seen)
{
	size_t	self = s->nplace;

	if (note_place(s, opt, parent) == -1)
		return -1;
	if ((opt->flags & CFGF_TITLE) != 0) {
		if (next_token(s) == -1)
			return -1;
		if (need_value(s, opt->name) == -1 ||
		    once(s, seen, opt->name, buf_str(&s->text)) == -1)
			return -1;
	} else if ((opt->flags & CFGF_MULTI) == 0 &&
	    once(s, seen, opt->name, NULL) == -1) {
		return -1;
	}
	if (need(s, '{', opt->name) == -1)
		return -1;
	return scan_section(s, opt->subopts, self);
}

static int
scan_option(struct scan *s, cfg_opt_t *opts, size_t self,
    struct strlist *seen)
{
	const cfg_opt_t	*opt;
	const char	*name = buf_str(&s->text);

	if (s->tok != TOK_WORD)
		return complain(s, "name of an option expected");
	for (opt = opts; opt->name != NULL; opt++)
		if (strcmp(opt->name, name) == 0)
			break;
	if (opt->name == NULL || opt->type == CFGT_FUNC)
		return complain(s, "unknown option %s", name);
	if (opt->type == CFGT_SEC)
		return scan_subsection(s, opt, self, seen);
	if (once(s, seen, opt->name, NULL) == -1)
		return -1;
	return scan_value(s, opt);
}

/* Nested only as deep as the tables of options are. */
static int
scan_section(struct scan *s, cfg_opt_t *opts, size_t self)
{
	struct strlist	seen = { NULL, 0 };
	int		ret = -1;

	for (;;) {
		if (next_token(s) == -1)
			break;
		if (s->tok == (self != 0 ? '}' : TOK_END)) {
			ret = 0;
			break;
		}
		if (s->tok == TOK_END) {
			complain(s, "section is not closed");
			break;
		}
		if (scan_option(s, opts, self, &seen) == -1)
			break;
	}
	strlist_free(&seen);
	return ret;
}

/*
 * libconfuse's error function gets no pointer of ours; the lock is for its
 * lexer.
 */
static pthread_mutex_t lexer = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct {
	const char	*name;
	struct err	*err;
} parsing;

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char	text[160];

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	err_bad(parsing.err, 0, "%s:%d: %s",
	    parsing.name != NULL ? parsing.name : "",
	    cfg != NULL ? cfg->line : 0, text);
}

static cfg_t *
parse(FILE *fp, const char *name, cfg_opt_t *opts, struct err *err)
{
	cfg_t	*cfg;
	int	 r;

	cfg = cfg_init(opts, CFGF_NONE);
	if (cfg == NULL) {
		err_set(err, ERR_INTERNAL, "%s: cannot read options", name);
		return NULL;
	}
	cfg->filename = xstrdup(name);
	cfg_set_error_function(cfg, on_error);
	parsing.name = name;
	parsing.err = err;
	pthread_mutex_lock(&lexer);
	r = cfg_parse_fp(cfg, fp);
	pthread_mutex_unlock(&lexer);
	parsing.name = NULL;
	parsing.err = NULL;
	if (r != CFG_SUCCESS) {
		err_bad(err, 0, "%s: cannot be read", name);
		cfg_free(cfg);
		return NULL;
	}
	return cfg;
}

static void
set_lines(cfg_t *cfg, const struct scan *s, size_t self)
{
	const struct place	*p;
	cfg_t			*sec;
	size_t			 i;

	for (i = self + 1; i < s->nplace; i++) {
		p = &s->place[i];
		if (p->parent != self)
			continue;
		sec = cfg_getnsec(cfg, p->name, p->nth);
		if (sec == NULL)
			continue;
		sec->line = (int)p->line;
		if (sec->filename == NULL)
			sec->filename = xstrdup(s->name);
		set_lines(sec, s, i);
	}
}

/* text is ours and is written to. */
static cfg_t *
scan_and_parse(struct scan *s, struct buf *text, cfg_opt_t *opts)
{
	FILE	*fp;
	cfg_t	*cfg;

	s->p = text->p;
	s->n = text->n;
	if (scan_section(s, opts, 0) == -1)
		return NULL;
	fp = fmemopen(text->p, text->n, "r");
	if (fp == NULL) {
		err_set(s->err, ERR_INTERNAL, "%s: %s", s->name,
		    strerror(errno));
		return NULL;
	}
	cfg = parse(fp, s->name, opts, s->err);
	fclose(fp);
	if (cfg != NULL)
		set_lines(cfg, s, 0);
	return cfg;
}

cfg_t *
conf_text(struct slice text, const char *name, cfg_opt_t *opts,
    struct err *err)
{
	struct scan	 s = { .name = name, .line = 1, .nplace = 1,
			    .err = err };
	struct buf	 copy = { 0 };
	cfg_t		*cfg;

	if (text.n > CONF_MAX) {
		err_set(err, ERR_TOO_BIG, "%s: %zu bytes, limit %d", name,
		    text.n, CONF_MAX);
		return NULL;
	}
	buf_add(&copy, text.p, text.n);
	buf_addc(&copy, '\n');
	s.place = xcalloc(CONF_SECTIONS, sizeof(*s.place));
	cfg = scan_and_parse(&s, &copy, opts);
	free(s.place);
	buf_free(&s.text);
	buf_free(&copy);
	return cfg;
}

cfg_t *
conf_file(const char *path, cfg_opt_t *opts, struct err *err)
{
	struct buf	 text = { 0 };
	struct err	 why = ERR_INIT;
	cfg_t		*cfg = NULL;

	if (file_read(path, CONF_MAX, &text, &why) == 0)
		cfg = conf_text(buf_slice(&text), path, opts, err);
	else
		err_set(err, ERR_INTERNAL, "%s", why.text);
	buf_free(&text);
	return cfg;
}

int
conf_fault(const char *path, const struct err *why, struct err *err)
{
	if (strncmp(why->text, path, strlen(path)) == 0)
		*err = *why;
	else
		err_set(err, why->kind, "%s: %s", path, why->text);
	return -1;
}

int
conf_need(cfg_t *cfg, const char *opt, char **out, struct err *err)
{
	const char	*v = cfg_getstr(cfg, opt);
	const char	*file = cfg->filename != NULL ? cfg->filename : "";
	const char	*title = cfg_title(cfg);

	if (v == NULL || *v == '\0') {
		if (title == NULL)
			return err_bad(err, 0, "%s: %s is missing", file, opt);
		return err_bad(err, 0, "%s:%d: %s %s: %s is missing", file,
		    cfg->line, cfg_name(cfg), title, opt);
	}
	*out = xstrdup(v);
	return 0;
}

char *
conf_optional(cfg_t *cfg, const char *opt)
{
	const char	*v = cfg_size(cfg, opt) > 0 ? cfg_getstr(cfg, opt) :
			    NULL;

	return v == NULL ? NULL : xstrdup(v);
}

void
conf_list(cfg_t *cfg, const char *opt, struct strlist *out)
{
	unsigned	n = cfg_size(cfg, opt), i;

	*out = (struct strlist){ NULL, 0 };
	for (i = 0; i < n; i++)
		strlist_add(out, cfg_getnstr(cfg, opt, i));
}

struct unit {
	char	unit;
	int64_t	seconds;
};

static const struct unit units[] = {
	{ 's', 1 },
	{ 'm', 60 },
	{ 'h', 3600 },
	{ 'd', 86400 },
	{ 'w', 7 * 86400 },
	{ 'y', 365 * 86400 },
};

int
conf_duration(const char *s, int64_t *out, struct err *err)
{
	int64_t	v = 0;
	size_t	digits = strspn(s, "0123456789"), i;

	if (digits < 1 || digits > 9 || (s[0] == '0' && digits > 1) ||
	    strlen(s) != digits + 1)
		return err_bad(err, 0, "\"%.40s\" is not a duration such as "
		    "90s, 15m, 8h, 30d, 6w or 1y", s);
	for (i = 0; i < digits; i++)
		v = v * 10 + (s[i] - '0');
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == s[digits])
			break;
	if (i == sizeof(units) / sizeof(units[0]))
		return err_bad(err, 0, "\"%s\": unit is not s, m, h, d, w or y",
		    s);
	if (v > 100 * (int64_t)365 * 86400 / units[i].seconds)
		return err_bad(err, 0, "\"%s\" is above 100y", s);
	*out = v * units[i].seconds;
	return 0;
}
