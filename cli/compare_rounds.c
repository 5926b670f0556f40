/* Rounds over an air gap against the vault's ledger: a part of compare.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static bool
has_hash(const PGresult *res, int row, int col, const uint8_t want[32])
{
	return PQgetlength(res, row, col) == 32 &&
	    memcmp(PQgetvalue(res, row, col), want, 32) == 0;
}

static int
find_row(const PGresult *res, const char *n)
{
	int row;

	for (row = 0; row < PQntuples(res); row++)
		if (strcmp(PQgetvalue(res, row, 0), n) == 0)
			return row;
	return -1;
}

static void
take_round(struct compare *m, const PGresult *res, struct chr_round *r)
{
	char n[24];
	int row;
	bool same;

	snprintf(n, sizeof n, "%" PRIu64, r->n);
	row = find_row(res, n);
	same = row >= 0 && has_hash(res, row, 1, r->bundle);
	/* All that can be said of it is which bundle it was. */
	if (!r->answered)
		r->seen = true;
	if (!r->answered && !same)
		compare_find(m, COMPARE_MISSING, "round", n, "was begun by "
		    "the vault with a bundle that the database does not know: "
		    "have it answer that one first, then copy its ledger");
	else if (r->answered && row >= 0 && PQgetlength(res, row, 2) > 0) {
		r->seen = true;
		if (!same || !has_hash(res, row, 2, r->response))
			compare_find(m, "row", "round", n,
			    "is not what the vault's ledger says");
	} else if (r->answered && r->claimed)
		compare_find(m, COMPARE_MISSING, "round", n, "answered by the "
		    "vault, but the answer was not imported");
}

int
compare_rounds(struct compare *m, struct err *err)
{
	PGresult *res;
	size_t i;

	if (m->c->nround == 0)
		return 0;
	res = compare_page(m, "verify_rounds", NULL, 0, err);
	if (res == NULL)
		return -1;
	for (i = 0; i < m->c->nround; i++)
		take_round(m, res, &m->c->round[i]);
	PQclear(res);
	/* A vault believes what the desk's database says of a manager. */
	for (i = 0; i < m->c->nused && m->all_here; i++)
		if (!chronicle_given(m->c, &m->c->used[i]))
			compare_find_hex(m, "row", "request",
			    m->c->used[i].id, CHR_ID, "was issued by the "
			    "vault with an approval that no signer took");
	return 0;
}
