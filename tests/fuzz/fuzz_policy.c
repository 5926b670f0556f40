/*
 * Policies: who can write to the database can give one to every signer and
 * worker.  One that may be published is also one that may be in force, and a
 * list of faults is empty just then.
 */
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct policy *
try_one(struct policy *(*parse)(struct slice, struct err *), struct slice s)
{
	struct err	 err = ERR_INIT;
	struct policy	*p = parse(s, &err);

	if ((p == NULL) != (err.kind != ERR_NONE) ||
	    (p == NULL && err.kind != ERR_MALFORMED &&
	    err.kind != ERR_TOO_BIG))
		abort();
	return p;
}

static void
count(void *arg, unsigned line, const char *text)
{
	(void)line;
	if (*text == '\0')
		abort();
	++*(int *)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice	 s = slice_of(data, n);
	struct policy	*fresh = try_one(policy_parse_new, s);
	struct policy	*p = try_one(policy_parse, s);
	int		 told = 0, faults = policy_lint_all(s, count, &told);

	if (told != faults || (faults == 0) != (fresh != NULL) ||
	    (fresh != NULL && p == NULL))
		abort();
	policy_free(fresh);
	policy_free(p);
	return 0;
}
