/*
 * What is revoked, void, released: put back behind the certificates that it
 * marks.
 */
#include "restore_int.h"

#include <stdlib.h>
#include <string.h>

/* Void ones are rows of void_serial: a trigger lists them. */
int
restore_void(struct restore *r, struct chr_row *row, const char *at,
    struct err *err)
{
	row->void_seen = true;
	r->done->voids++;
	return restore_run(r, "void", (struct db_param[]){
	    DB_BIN(row->serial, CHR_SERIAL), DB_TEXT(r->c->ca.v[row->ca]),
	    DB_BIN(row->id, CHR_ID),
	    DB_TEXT(r->c->ledger[row->ledger].signer), DB_TEXT(at) }, 5, err);
}

/* Texts of an entry "revoked" or "released". */
enum { T_CA, T_SERIAL, T_CHANGE, T_AT, T_REASON, T_UNTIL, T_WHO, T_NOTE,
    T_N };

/*
 * By the database's own functions, as "cert revoke" and "cert release"; what has
 * no certificate here ("infinity") is void or of a CA before it came here.
 */
static int
put_revocation(struct restore *r, struct chr_revocation *rev, struct buf *v,
    struct err *err)
{
	struct chr_row *row;

	bool none = strcmp(buf_str(&v[T_UNTIL]), "infinity") == 0;

	r->done->revocations++;
	if (none && rev->octets == CHR_SERIAL &&
	    (row = chronicle_serial(r->c, rev->serial)) != NULL)
		return restore_void(r, row, buf_str(&v[T_AT]), err);
	if (none)
		return restore_run(r, "earlier", (struct db_param[]){
		    DB_TEXT(buf_str(&v[T_CA])), DB_TEXT(buf_str(&v[T_SERIAL])),
		    DB_TEXT(buf_str(&v[T_AT])), DB_TEXT(rev->released ? "" :
		    buf_str(&v[T_REASON])) }, 4, err);
	if (rev->released)
		return restore_run(r, "release", (struct db_param[]){
		    DB_TEXT(buf_str(&v[T_CA])),
		    DB_TEXT(buf_str(&v[T_SERIAL])) }, 2, err);
	return restore_run(r, "revoke", (struct db_param[]){
	    DB_TEXT(buf_str(&v[T_CA])), DB_TEXT(buf_str(&v[T_SERIAL])),
	    DB_TEXT(buf_str(&v[T_AT])), DB_TEXT(buf_str(&v[T_REASON])),
	    DB_TEXT(buf_str(&v[T_WHO])), DB_TEXT(buf_str(&v[T_NOTE])) }, 6,
	    err);
}

/* The last of a certificate whose state in the database is another. */
static struct chr_revocation *
last_wanted(const struct restore *r, struct buf *v)
{
	struct chr_revocation *first, *last, *end = r->c->rev + r->c->nrev;
	uint8_t serial[20], what[CHR_DIGEST];
	size_t n = v[T_SERIAL].n / 2;

	if (n > sizeof serial ||
	    hex_decode(buf_str(&v[T_SERIAL]), serial, n) != 0)
		return NULL;
	first = chronicle_revocation(r->c, buf_str(&v[T_CA]), serial, n);
	if (first == NULL || first->good)
		return NULL;
	for (last = first; last + 1 < end && last[1].ca == first->ca &&
	    last[1].octets == first->octets && memcmp(last[1].serial,
	    first->serial, first->octets) == 0; last++)
		;
	chr_what(buf_str(&v[T_AT]), buf_str(&v[T_REASON]),
	    buf_str(&v[T_UNTIL]), what);
	if (last->change != strtoll(buf_str(&v[T_CHANGE]), NULL, 10) ||
	    memcmp(last->what, what, CHR_DIGEST) != 0)
		return NULL;
	first->good = true;
	return last;
}

int
restore_revocation(struct restore *r, const struct ledger_entry *e,
    struct err *err)
{
	static const char *const keys[T_N] = { "ca", "serial", "change", "date",
	    "reason", "until", "who", "note" };
	struct buf v[T_N] = { { 0 } };
	struct chr_revocation *rev;
	size_t i;
	int rc = 0;

	for (i = 0; i < T_N; i++)
		if (ledger_get(e, keys[i], &v[i]) != 0)
			rc = ledger_bad(e, keys[i], err);
	/* Also one that changes nothing: numbers go on above its own. */
	restore_vouch(r, e);
	if (rc == 0 && (rev = last_wanted(r, v)) != NULL)
		rc = put_revocation(r, rev, v, err);
	for (i = 0; i < T_N; i++)
		buf_free(&v[i]);
	return rc;
}

/* Changes go on above the ledgers' numbers. */
int
restore_changes(struct restore *r, struct err *err)
{
	const struct chronicle *c = r->c;
	char number[24], list[24];
	size_t i;

	for (i = 0; i < c->ca.n; i++) {
		snprintf(number, sizeof number, "%lld",
		    (long long)chronicle_change(c, i, false));
		snprintf(list, sizeof list, "%llu",
		    (unsigned long long)chronicle_number(c, i));
		if (restore_run(r, "change", (struct db_param[]){
		    DB_TEXT(c->ca.v[i]), DB_TEXT(number) }, 2, err) != 0 ||
		    restore_run(r, "told", (struct db_param[]){
		    DB_TEXT(c->ca.v[i]), DB_TEXT(list) }, 2, err) != 0)
			return -1;
	}
	return 0;
}
