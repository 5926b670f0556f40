/* Command lines by the table of options that each command has. */
#include "args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What every command takes, in no table of its own. */
static const struct opt builtin[] = {
	{ "help", NULL, NULL, false },
	{ "json", NULL, NULL, false },
	{ NULL, NULL, NULL, false }
};

int
number_parse(const char *text, int64_t min, int64_t max, int64_t *out,
    struct err *err)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	/* strtoll takes white space and "+"; people do not mean that. */
	if (errno != 0 || end == text || *end != '\0' ||
	    strspn(text, "-0123456789") != strlen(text))
		return err_set(err, ERR_MALFORMED, "not a number: %.40s",
		    text);
	if (v < min || v > max)
		return err_set(err, ERR_MALFORMED,
		    "%lld is not between %" PRId64 " and %" PRId64, v, min,
		    max);
	*out = v;
	return 0;
}

const char *
opt_dash(const struct opt *o)
{
	return o->name[1] == '\0' ? "-" : "--";
}

static const struct opt *
opt_find(const struct opt *opts, const char *name, size_t n)
{
	for (; opts != NULL && opts->name != NULL; opts++)
		if (strlen(opts->name) == n &&
		    strncmp(opts->name, name, n) == 0)
			return opts;
	return NULL;
}

/* A folder without a name would be the root of all; nobody means it. */
static bool
may_be_empty(const struct opt *opt)
{
	static const char *const must[] = { "FILE", "DIR", "WHERE", "CA",
	    "SIGNER" };
	size_t i;

	for (i = 0; i < sizeof must / sizeof must[0]; i++)
		if (strcmp(opt->arg, must[i]) == 0)
			return false;
	return true;
}

/* Which of two would count nobody could tell from looking. */
static int
opt_add(struct args *a, const struct opt *opt, const char *value,
    struct err *err)
{
	if (value != NULL && *value == '\0' && !may_be_empty(opt))
		return err_set(err, ERR_MALFORMED, "%s%s: %s is empty",
		    opt_dash(opt), opt->name, opt->arg);
	if (!opt->many && args_has(a, opt->name))
		return err_set(err, ERR_MALFORMED, "%s%s is given twice",
		    opt_dash(opt), opt->name);
	if (a->nopt == ARGS_MAX)
		return err_set(err, ERR_MALFORMED, "more than %d options",
		    ARGS_MAX);
	a->opt[a->nopt].name = opt->name;
	a->opt[a->nopt++].value = value;
	return 0;
}

/* argv[*i] begins with a dash. */
static int
opt_take(struct args *a, const struct opt *opts, int argc, char **argv, int *i,
    struct err *err)
{
	const char *name = argv[*i] + 1, *value = NULL;
	const struct opt *opt;
	size_t n;

	if (*name == '-')
		name++;
	n = strcspn(name, "=");
	if (name[n] == '=')
		value = name + n + 1;
	if ((opt = opt_find(opts, name, n)) == NULL &&
	    (opt = opt_find(builtin, name, n)) == NULL)
		return err_set(err, ERR_MALFORMED, "unknown option %.60s",
		    argv[*i]);
	if (opt->arg == NULL && value != NULL)
		return err_set(err, ERR_MALFORMED, "%s%s takes no value",
		    opt_dash(opt), opt->name);
	if (opt->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return err_set(err, ERR_MALFORMED, "%s%s needs %s",
			    opt_dash(opt), opt->name, opt->arg);
		value = argv[++*i];
	}
	return opt_add(a, opt, value, err);
}

/* A script's variable that is not set; nothing is called so. */
static int
pos_add(struct args *a, const char *value, struct err *err)
{
	if (*value == '\0')
		return err_set(err, ERR_MALFORMED, "argument %zu is empty",
		    a->npos + 1);
	if (a->npos == ARGS_MAX)
		return err_set(err, ERR_MALFORMED, "more than %d arguments",
		    ARGS_MAX);
	a->pos[a->npos++] = value;
	return 0;
}

/* Options may stand anywhere; "-" alone is a file's name. */
int
args_parse(struct args *a, const struct opt *opts, int argc, char **argv,
    struct err *err)
{
	bool ended = false;
	int i, rc;

	memset(a, 0, sizeof *a);
	for (i = 0; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0) {
			ended = true;
			continue;
		}
		if (!ended && argv[i][0] == '-' && argv[i][1] != '\0')
			rc = opt_take(a, opts, argc, argv, &i, err);
		else
			rc = pos_add(a, argv[i], err);
		if (rc != 0)
			return -1;
	}
	a->help = args_has(a, "help");
	a->json = args_has(a, "json");
	return 0;
}

bool
args_has(const struct args *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->nopt; i++)
		if (strcmp(a->opt[i].name, name) == 0)
			return true;
	return false;
}

const char *
args_get(const struct args *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->nopt; i++)
		if (strcmp(a->opt[i].name, name) == 0)
			return a->opt[i].value;
	return NULL;
}

int
args_num(const struct args *a, const char *name, int64_t min, int64_t max,
    int64_t *inout, struct err *err)
{
	const char *value = args_get(a, name);
	struct err why = ERR_INIT;

	if (value == NULL)
		return 0;
	if (number_parse(value, min, max, inout, &why) != 0)
		return err_set(err, ERR_MALFORMED, "--%s: %s", name, why.text);
	return 0;
}

void
args_list(const struct args *a, const char *name, struct strlist *out)
{
	size_t i;

	for (i = 0; i < a->nopt; i++)
		if (strcmp(a->opt[i].name, name) == 0)
			strlist_add(out, a->opt[i].value);
}
