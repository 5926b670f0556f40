/*
 * The file of a ceremony to its steps: all that could not work is refused
 * here, before anybody has come together.
 */
#include <stdlib.h>
#include <string.h>

#include "caroot.h"
#include "ceremony.h"
#include "commands.h"
#include "digest.h"
#include "file.h"

#define TEXT_MAX	(64 * 1024)
#define TEXT_LINE_MAX	200		/* of a title, a name */
#define OPTS_MAX	24		/* of a section */

/*
 * A section has the options of its command, but for the older root's, and
 * before them some of its own.
 */
struct kind {
	const char	*section;
	const char	*verb;		/* of "ca" */
	const struct opt *opts;		/* the command's */
	const char	*first[6];
	const char	*required[4];
	int		(*run)(struct cli *, const struct args *,
			    struct err *);
};

static const struct kind kinds[] = {
	[STEP_ROOT] = { "root", "create-root", opts_ca_create_root, { NULL },
	    { "subject" }, cmd_ca_create_root },
	[STEP_ISSUING] = { "issuing", "sign-subordinate",
	    opts_ca_sign_subordinate, { "root", "request", "request-sha256" },
	    { "root", "request", "subject" }, cmd_ca_sign_subordinate },
	[STEP_CRL] = { "crl", "root-crl", opts_ca_root_crl, { "root" },
	    { "root" }, cmd_ca_root_crl },
	[STEP_ROLLOVER] = { "rollover", "create-root", opts_ca_create_root,
	    { "replaces", "old-passphrase-file", "old-token", "old-module",
	    "old-pin-file" }, { "subject", "replaces" }, cmd_ca_create_root }
};
#define NKINDS	(sizeof kinds / sizeof kinds[0])

/* Read by us, not by the command. */
static const char *const ours[] = { "root", "request", "request-sha256" };

const char *
step_word(const struct step *s)
{
	return kinds[s->kind].section;
}

const char *
step_get(const struct step *s, const char *opt)
{
	return args_get(&s->args, opt);
}

bool
step_makes_root(const struct step *s)
{
	return s->kind == STEP_ROOT || s->kind == STEP_ROLLOVER;
}

static bool
is_ours(const char *opt)
{
	size_t i;

	for (i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (strcmp(opt, ours[i]) == 0)
			return true;
	return false;
}

/* Of the root that a new one replaces: create-root has them, too. */
static bool
is_of_older(const char *opt)
{
	return strcmp(opt, "replaces") == 0 || strncmp(opt, "old-", 4) == 0;
}

/* A path names a root that is there already, a name one made here. */
static char *
in_dir(const char *dir, const char *root)
{
	return strchr(root, '/') != NULL ? xstrdup(root) :
	    file_path(dir, root, "");
}

char *
step_root(const struct step *s, const char *dir)
{
	const char *root = step_makes_root(s) ? s->name :
	    step_get(s, "root");

	return in_dir(dir, root);
}

char *
step_output(const struct step *s)
{
	char *out = NULL;

	if (asprintf(&out, "%s.%s", s->name, s->kind == STEP_CRL ? "crl" :
	    "pem") < 0)
		abort();
	return out;
}

/* A section's own options are strings of their own: ceremony_free. */
static void
add_opt(struct args *a, const char *name, const char *value)
{
	a->opt[a->nopt].name = name;
	a->opt[a->nopt++].value = value;
}

/*
 * The command line that people would type (step_text), made of the section's
 * options and the places that the ceremony has for files.
 */
int
step_run(struct cli *c, const struct step *s, const char *dir,
    struct err *err)
{
	struct args a = { .npos = 1 };
	char *root = step_root(s, dir), *file = step_output(s);
	char *request = file_path(dir, s->name, ".csr");
	char *out = file_path(dir, file, ""), *old = NULL;
	size_t i;
	int rc;

	for (i = 0; i < s->args.nopt; i++)
		if (strcmp(s->args.opt[i].name, "replaces") == 0)
			add_opt(&a, "replaces",
			    old = in_dir(dir, s->args.opt[i].value));
		else if (!is_ours(s->args.opt[i].name))
			add_opt(&a, s->args.opt[i].name,
			    s->args.opt[i].value);
	if (s->kind == STEP_ISSUING || s->kind == STEP_CRL)
		add_opt(&a, "o", out);
	a.pos[0] = root;
	if (s->kind == STEP_ISSUING)
		a.pos[a.npos++] = request;
	rc = kinds[s->kind].run(c, &a, err);
	free(root);
	free(file);
	free(request);
	free(out);
	free(old);
	return rc;
}

void
step_text(const struct step *s, struct buf *out)
{
	size_t i;

	buf_printf(out, "countersign ca %s %s", kinds[s->kind].verb,
	    step_makes_root(s) ? s->name : step_get(s, "root"));
	if (s->kind == STEP_ISSUING)
		buf_printf(out, " %s", step_get(s, "request"));
	for (i = 0; i < s->args.nopt; i++)
		if (!is_ours(s->args.opt[i].name))
			buf_printf(out, " --%s '%s'", s->args.opt[i].name,
			    s->args.opt[i].value);
	if (s->kind == STEP_ISSUING || s->kind == STEP_CRL)
		buf_printf(out, " -o %s.%s", s->name,
		    s->kind == STEP_CRL ? "crl" : "pem");
}

static size_t
add_str(cfg_opt_t *opts, size_t n, const char *name, bool many)
{
	const cfg_opt_t one = CFG_STR(name, NULL, CFGF_NODEFAULT);
	const cfg_opt_t list = CFG_STR_LIST(name, NULL, CFGF_NODEFAULT);

	if (n == OPTS_MAX - 1)
		abort();
	opts[n] = many ? list : one;
	return n + 1;
}

/* Numbers stay text, for the command to read. */
static void
put_options(const struct kind *k, cfg_opt_t *opts)
{
	const cfg_opt_t end = CFG_END();
	const struct opt *o;
	size_t i, n = 0;

	for (i = 0; k->first[i] != NULL; i++)
		n = add_str(opts, n, k->first[i], false);
	for (o = k->opts; o->name != NULL; o++)
		if (strcmp(o->name, "o") != 0 && !is_of_older(o->name))
			n = add_str(opts, n, o->name, o->many);
	opts[n] = end;
}

static cfg_t *
parse(const struct ceremony *c, struct err *err)
{
	const cfg_flag_t many = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	cfg_opt_t section[NKINDS][OPTS_MAX];
	cfg_opt_t opts[] = {
		CFG_STR("title", NULL, CFGF_NODEFAULT),
		CFG_STR("folder", NULL, CFGF_NODEFAULT),
		CFG_STR_LIST("people", NULL, CFGF_NODEFAULT),
		CFG_SEC("root", section[STEP_ROOT], many),
		CFG_SEC("issuing", section[STEP_ISSUING], many),
		CFG_SEC("crl", section[STEP_CRL], many),
		CFG_SEC("rollover", section[STEP_ROLLOVER], many),
		CFG_END()
	};
	size_t i;

	for (i = 0; i < NKINDS; i++)
		put_options(&kinds[i], section[i]);
	return conf_text(buf_slice(&c->text), c->path, opts, err);
}

/* Goes into the transcript, a line each. */
static int
check_line(const char *what, const char *s, struct err *err)
{
	if (*s == '\0' || strlen(s) > TEXT_LINE_MAX ||
	    !slice_is_text(slice_str(s)))
		return err_bad(err, 0, "%s: must be a line of text with 1 to "
		    "%d bytes", what, TEXT_LINE_MAX);
	return 0;
}

/* Four places are left for what step_run adds. */
static int
take_option(struct step *s, const char *name, const char *value,
    struct err *err)
{
	if (s->args.nopt == ARGS_MAX - 4)
		return err_bad(err, 0, "%s %s: too many values",
		    step_word(s), s->name);
	add_opt(&s->args, xstrdup(name), xstrdup(value));
	/* Single quotes stand around it in the transcript. */
	if (strchr(value, '\'') != NULL)
		return err_bad(err, 0, "%s %s: %s: no ' in it",
		    step_word(s), s->name, name);
	return check_line(name, value, err);
}

static int
take_step(struct ceremony *c, enum step_kind kind, cfg_t *sec,
    struct err *err)
{
	struct step *s = &c->step[c->nsteps++];
	unsigned i;
	cfg_opt_t *o;

	s->kind = kind;
	s->name = xstrdup(cfg_title(sec));
	s->line = (unsigned)sec->line;
	if (ca_name_check(s->name, err) != 0)
		return -1;
	for (o = sec->opts; o->name != NULL; o++)
		for (i = 0; i < cfg_opt_size(o); i++)
			if (take_option(s, o->name, cfg_opt_getnstr(o, i),
			    err) != 0)
				return -1;
	for (i = 0; i < 4 && kinds[kind].required[i] != NULL; i++)
		if (step_get(s, kinds[kind].required[i]) == NULL)
			return err_bad(err, 0, "%s:%u: %s %s needs %s",
			    c->path, s->line, kinds[kind].section, s->name,
			    kinds[kind].required[i]);
	return 0;
}

static int
by_line(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->line < y->line ? -1 : x->line > y->line;
}

/* libconfuse sorts sections by their kind; the file's order counts. */
static int
take_steps(struct ceremony *c, cfg_t *cfg, struct err *err)
{
	size_t kind;
	unsigned i;

	for (kind = 0; kind < NKINDS; kind++)
		for (i = 0; i < cfg_size(cfg, kinds[kind].section); i++) {
			if (c->nsteps == CEREMONY_STEPS)
				return err_bad(err, 0, "%s: more than %d steps",
				    c->path, CEREMONY_STEPS);
			if (take_step(c, (enum step_kind)kind, cfg_getnsec(cfg,
			    kinds[kind].section, i), err) != 0)
				return -1;
		}
	if (c->nsteps == 0)
		return err_bad(err, 0, "%s: no step", c->path);
	qsort(c->step, c->nsteps, sizeof c->step[0], by_line);
	return 0;
}

/* As the command would refuse it with the people before it. */
static int
step_plan(const struct step *s, int64_t *days, int *pathlen, struct err *err)
{
	struct cli none = { .conf_path = NULL };
	struct ca_plan ca = { .subject = NULL };
	struct crl_plan crl = { .days = 0 };
	int rc = s->kind == STEP_CRL ?
	    caroot_crl_plan(&none, &s->args, &crl, err) :
	    s->kind == STEP_ISSUING ?
	    caroot_sub_plan(&none, &s->args, &ca, err) :
	    caroot_plan(&none, &s->args, &ca, err);

	*days = s->kind == STEP_CRL ? crl.days : ca.years * 36525 / 100;
	*pathlen = ca.pathlen;
	ca_plan_free(&ca);
	return rc;
}

static int
check_plan(const struct ceremony *c, const struct step *s, int64_t *days,
    int *pathlen, struct err *err)
{
	struct err why = ERR_INIT;

	if (step_plan(s, days, pathlen, &why) == 0)
		return 0;
	return err_bad(err, 0, "%s:%u: %s %s: %s", c->path, s->line,
	    step_word(s), s->name, why.text);
}

/* Of a root that is made here it is known what it may sign. */
static int
check_below(const struct ceremony *c, const struct step *s,
    const struct step *by, struct err *err)
{
	int64_t days, root_days;
	int below, pathlen;

	if (check_plan(c, s, &days, &below, err) != 0 ||
	    check_plan(c, by, &root_days, &pathlen, err) != 0)
		return -1;
	if (s->kind == STEP_ROLLOVER)
		return 0;
	if (days >= root_days)
		return err_bad(err, 0, "%s:%u: %s %s would outlive its issuer "
		    "%s", c->path, s->line, step_word(s), s->name, by->name);
	if (s->kind == STEP_ISSUING && pathlen >= 0 &&
	    (below < 0 || below >= pathlen))
		return err_bad(err, 0, "%s:%u: %s %s: pathlen must be below "
		    "%d, that of %s", c->path, s->line, step_word(s), s->name,
		    pathlen, by->name);
	if (step_get(s, "revoke") != NULL)
		return err_bad(err, 0, "%s:%u: %s %s: revoke: nobody knows "
		    "yet which serial numbers %s will give", c->path, s->line,
		    step_word(s), s->name, by->name);
	return 0;
}

/* The step before that makes this root, or NULL. */
static const struct step *
made_before(const struct ceremony *c, size_t n, const char *root)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (step_makes_root(&c->step[i]) &&
		    strcmp(c->step[i].name, root) == 0)
			return &c->step[i];
	return NULL;
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What would be found out when the root is there, and people wait. */
static int
check_root(const struct ceremony *c, size_t n, struct err *err)
{
	const struct step *s = &c->step[n], *by;
	bool old = s->kind == STEP_ROLLOVER;
	const char *root = step_get(s, old ? "replaces" : "root");

	if (root == NULL || strchr(root, '/') != NULL)
		return 0;
	if ((by = made_before(c, n, root)) == NULL)
		return err_bad(err, 0, "%s:%u: %.64s is made by no step "
		    "before; a root that is there already is named by its "
		    "path", c->path, s->line, root);
	if (!same(step_get(by, "token"), step_get(s, old ? "old-token" :
	    "token")))
		return err_bad(err, 0, "%s:%u: the key of %.64s is made in "
		    "another place: %stoken must be that of line %u", c->path,
		    s->line, root, old ? "old-" : "", by->line);
	return check_below(c, s, by, err);
}

/* No two steps write one file, and none needs what comes later. */
static int
check_steps(const struct ceremony *c, struct err *err)
{
	const struct step *s;
	int64_t days;
	int pathlen;
	size_t i, j;

	for (i = 0; i < c->nsteps; i++) {
		s = &c->step[i];
		for (j = 0; j < i; j++)
			if (strcmp(s->name, c->step[j].name) == 0)
				return err_bad(err, 0, "%s:%u: the name %s "
				    "was used before", c->path, s->line,
				    s->name);
		if (check_plan(c, s, &days, &pathlen, err) != 0 ||
		    check_root(c, i, err) != 0)
			return -1;
	}
	return 0;
}

/* Two at least: one alone is no witness of what he does. */
static int
check_people(const struct ceremony *c, struct err *err)
{
	size_t i, j;

	if (c->people.n < 2 || c->people.n > CEREMONY_PEOPLE)
		return err_bad(err, 0, "%s: people: must be 2 to %d, each "
		    "with what they are there for", c->path, CEREMONY_PEOPLE);
	for (i = 0; i < c->people.n; i++) {
		if (check_line("people", c->people.v[i], err) != 0)
			return -1;
		for (j = 0; j < i; j++)
			if (strcmp(c->people.v[i], c->people.v[j]) == 0)
				return err_bad(err, 0, "%s: people: \"%.64s\" "
				    "twice", c->path, c->people.v[i]);
	}
	return 0;
}

static int
take(struct ceremony *c, cfg_t *cfg, struct err *err)
{
	conf_list(cfg, "people", &c->people);
	if (conf_need(cfg, "title", &c->title, err) != 0 ||
	    check_line("title", c->title, err) != 0 ||
	    conf_need(cfg, "folder", &c->folder, err) != 0 ||
	    check_line("folder", c->folder, err) != 0 ||
	    check_people(c, err) != 0 || take_steps(c, cfg, err) != 0)
		return -1;
	return check_steps(c, err);
}

struct ceremony *
ceremony_read(const char *path, struct err *err)
{
	struct ceremony *c = xcalloc(1, sizeof *c);
	cfg_t *cfg = NULL;
	int rc = -1;

	c->path = xstrdup(path);
	if (file_read(path, TEXT_MAX, &c->text, err) == 0 &&
	    (cfg = parse(c, err)) != NULL)
		rc = take(c, cfg, err);
	if (cfg != NULL)
		cfg_free(cfg);
	digest_sha256(buf_slice(&c->text), c->sha256);
	if (rc == 0)
		return c;
	ceremony_free(c);
	return NULL;
}

void
ceremony_free(struct ceremony *c)
{
	size_t i, j;

	if (c == NULL)
		return;
	for (i = 0; i < c->nsteps; i++) {
		for (j = 0; j < c->step[i].args.nopt; j++) {
			free((char *)c->step[i].args.opt[j].name);
			free((char *)c->step[i].args.opt[j].value);
		}
		free(c->step[i].name);
	}
	strlist_free(&c->people);
	buf_free(&c->text);
	free(c->path);
	free(c->title);
	free(c->folder);
	free(c);
}
