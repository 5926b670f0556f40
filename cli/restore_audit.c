/* What operators did, put back: rows of the table audit. */
#include "restore_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * What was done since the restore has numbers of lost rows, which no signer
 * will copy: they begin behind the last that they know.
 */
int
restore_audit_numbers(struct restore *r, struct err *err)
{
	struct chronicle *c = r->c;
	uint8_t at[8];
	char n[24];

	if (c->naudit == 0)
		return 0;
	be64_put((uint64_t)chronicle_audit_latest(c), at);
	snprintf(n, sizeof n, "%" PRId64, c->audit[c->naudit - 1].n);
	if (restore_run(r, "audit_numbers", (struct db_param[]){ DB_TEXT(n) },
	    1, err) != 0)
		return -1;
	if (restore_run(r, "audit_anew", (struct db_param[]){ DB_TEXT(n),
	    DB_BIN(at, 8) }, 2, err) != 0)
		return -1;
	return restore_run(r, "audit_late", (struct db_param[]){
	    DB_TEXT(buf_str(&c->late_n)), DB_TEXT(buf_str(&c->late_at)) }, 2,
	    err);
}

/* Every ledger has it: once is enough. */
int
restore_audit(struct restore *r, const struct ledger_entry *e,
    struct err *err)
{
	struct chr_audit key, *a, *end = r->c->audit + r->c->naudit;
	struct buf row = { 0 };
	struct tuple t;
	int rc = ledger_get_base64(e, "row", &row, err);

	if (rc == 0 && chr_audit_row(buf_slice(&row), &key) != 0)
		rc = ledger_bad(e, "row", err);
	if (rc == 0) {
		a = bsearch(&key, r->c->audit, r->c->naudit, sizeof *a,
		    chr_audit_cmp);
		while (a != NULL && a > r->c->audit &&
		    chr_audit_cmp(a - 1, &key) == 0)
			a--;
		if (a != NULL && !a->seen) {
			restore_vouch(r, e);
			tuple_parse(buf_slice(&row), &t);
			restore_open_rows(&r->audit);
			tuple_put(&r->audit, &t);
			r->done->audit++;
		}
		for (; a != NULL && a < end && chr_audit_cmp(a, &key) == 0;
		    a++)
			a->seen = true;
	}
	buf_free(&row);
	return rc;
}
