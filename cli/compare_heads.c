/* Signed heads in the database: see docs/ledger.md. */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

/*
 * A head that the database has: its columns, which the signer reads when it
 * starts, are what was signed.
 */
static void
take_head(struct compare *m, const PGresult *res, int row)
{
	const char *line = PQgetvalue(res, row, 0);
	const char *signer = PQgetvalue(res, row, 1);
	struct buf same = { 0 };
	struct head h;

	if (head_parse(line, &h) == 0)
		head_put(&same, &h);
	if (strcmp(buf_str(&same), line) != 0 ||
	    strcmp(h.signer, signer) != 0 ||
	    h.seq != strtoull(PQgetvalue(res, row, 2), NULL, 10) ||
	    strcmp(h.hash, PQgetvalue(res, row, 3)) != 0)
		compare_find(m, "head", "row of", signer, "is not the head "
		    "that it has as text");
	headset_add(m->c->heads, line, &m->c->sink);
	buf_free(&same);
}

int
compare_take_heads(struct compare *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "verify_heads", NULL, 0, err);
	int row;

	if (res == NULL)
		return -1;
	for (row = 0; row < PQntuples(res); row++)
		take_head(m, res, row);
	PQclear(res);
	return 0;
}

/* One that its signer knows to have put there. */
int
compare_heads(struct compare *m, struct err *err)
{
	PGresult *res = cli_query(m->cli, "verify_heads", NULL, 0, err);
	const struct chr_ledger *l;
	uint64_t there;
	size_t i;
	int row;

	if (res == NULL)
		return -1;
	for (i = 0; i < m->c->nledger; i++) {
		l = &m->c->ledger[i];
		for (there = 0, row = 0; l->signer != NULL &&
		    row < PQntuples(res); row++)
			if (strcmp(PQgetvalue(res, row, 1), l->signer) == 0)
				there = strtoull(PQgetvalue(res, row, 2),
				    NULL, 10);
		if (there < l->head_kept)
			compare_find(m, COMPARE_MISSING, "head of", l->signer,
			    "was in the database, says the ledger, and is "
			    "gone or an older one");
	}
	PQclear(res);
	return 0;
}
