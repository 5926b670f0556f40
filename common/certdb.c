/* Rows about client certificates. */
#include <stdlib.h>

#include "certdb.h"

#define SERIAL_MAX	20	/* [RFC5280] 4.1.2.2 */

enum { C_ACCOUNT, C_CA, C_TEMPLATE, C_DER, C_BEFORE, C_AFTER, C_REVOKED };

static struct slice
cell(const PGresult *r, int col)
{
	return slice_of(PQgetvalue(r, 0, col),
	    (size_t)PQgetlength(r, 0, col));
}

static char *
cell_text(const PGresult *r, int col)
{
	struct slice c = cell(r, col);

	return xstrndup((const char *)c.p, c.n);
}

static int64_t
cell_int(const PGresult *r, int col)
{
	struct slice c = cell(r, col);
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < c.n && i < 8; i++)
		v = v << 8 | c.p[i];
	return (int64_t)v;
}

int
certdb_row(struct db *db, struct slice serial, struct cert_row **out,
    struct err *err)
{
	struct db_param p;
	struct cert_row *row;
	struct slice der;
	PGresult *r;

	/* Ours are positive; the octet that keeps one so is not stored. */
	if (serial.n > 1 && serial.p[0] == 0) {
		serial.p++;
		serial.n--;
	}
	*out = NULL;
	if (serial.n == 0 || serial.n > SERIAL_MAX)
		return 0;
	p = DB_BIN(serial.p, serial.n);
	r = db_exec_bin(db, "cert_row", &p, 1, err);
	if (r == NULL)
		return -1;
	if (PQntuples(r) == 1) {
		row = *out = xcalloc(1, sizeof(*row));
		row->account = cell_text(r, C_ACCOUNT);
		row->ca = cell_text(r, C_CA);
		row->template = cell_text(r, C_TEMPLATE);
		der = cell(r, C_DER);
		buf_add(&row->der, der.p, der.n);
		row->not_before = cell_int(r, C_BEFORE);
		row->not_after = cell_int(r, C_AFTER);
		row->revoked = cell(r, C_REVOKED).p[0] != 0;
	}
	PQclear(r);
	return 0;
}

void
cert_row_free(struct cert_row *row)
{
	if (row == NULL)
		return;
	free(row->account);
	free(row->ca);
	free(row->template);
	buf_free(&row->der);
	free(row);
}

static bool
is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s > 0x7f)
			return false;
	return true;
}

int
certdb_account(struct db *db, enum cert_map map, const char *value,
    char **name, struct err *err)
{
	struct db_param p = DB_TEXT(value);
	PGresult *r;

	*name = NULL;
	/* Ours all are; lower() makes an i of U+0130, a k of U+212A. */
	if (!is_ascii(value))
		return 0;
	r = db_exec_bin(db, map == MAP_SAN_UPN ? "by_upn" :
	    map == MAP_SAN_DNS ? "by_dns" : "by_name", &p, 1, err);
	if (r == NULL)
		return -1;
	if (PQntuples(r) == 1)
		*name = cell_text(r, 0);
	PQclear(r);
	return 0;
}
