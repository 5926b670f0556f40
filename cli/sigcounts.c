/* How often each CA's key was used, added up from the ledgers. */
#include "sigcounts.h"

#include <stdlib.h>
#include <string.h>

static struct sigcount *
find(struct sigcounts *c, const char *ca)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->v[i].ca, ca) == 0)
			return &c->v[i];
	c->v = xreallocarray(c->v, c->n + 1, sizeof *c->v);
	c->v[c->n].ca = xstrdup(ca);
	c->v[c->n].n = 0;
	return &c->v[c->n++];
}

int
sigcounts_add(struct sigcounts *c, const struct ledger_entry *e,
    struct err *err)
{
	struct buf ca = { 0 };
	int64_t n = 0;
	int rc = 0;

	if (ledger_get(e, "ca", &ca) != 0 ||
	    ledger_get_num(e, "count", &n) != 0 ||
	    n < 1 || n > INT64_C(1) << 32)
		rc = ledger_bad(e, "ca or count", err);
	else
		find(c, buf_str(&ca))->n += (uint64_t)n;
	buf_free(&ca);
	return rc;
}

void
sigcounts_free(struct sigcounts *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		free(c->v[i].ca);
	free(c->v);
}
