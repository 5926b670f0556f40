/*
 * Rows in PostgreSQL's binary form, read and written: as COPY takes them, as
 * ledgers keep them.
 */
#include "tuple.h"

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static void
put_be32(struct buf *b, uint32_t v)
{
	const uint8_t be[] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 8), (uint8_t)v };

	buf_add(b, be, sizeof(be));
}

int
tuple_parse(struct slice s, struct tuple *out)
{
	static const uint8_t empty[1];
	uint32_t len;
	size_t i, n;

	if (s.n < 2 || (n = (size_t)s.p[0] << 8 | s.p[1]) > TUPLE_MAX)
		return -1;
	s.p += 2;
	s.n -= 2;
	for (i = 0; i < n; i++) {
		if (s.n < 4)
			return -1;
		len = be32(s.p);
		s.p += 4;
		s.n -= 4;
		out->field[i] = slice_of(NULL, 0);
		if (len == UINT32_MAX)
			continue;
		if (len > s.n)
			return -1;
		out->field[i] = slice_of(len > 0 ? s.p : empty, len);
		s.p += len;
		s.n -= len;
	}
	out->n = n;
	return s.n == 0 ? 0 : -1;
}

void
tuple_put(struct buf *b, const struct tuple *t)
{
	size_t i;

	buf_addc(b, (uint8_t)(t->n >> 8));
	buf_addc(b, (uint8_t)t->n);
	for (i = 0; i < t->n; i++) {
		if (t->field[i].p == NULL) {
			put_be32(b, UINT32_MAX);
			continue;
		}
		put_be32(b, (uint32_t)t->field[i].n);
		buf_add(b, t->field[i].p, t->field[i].n);
	}
}

void
tuple_of(const PGresult *r, int row, int first, int last, struct tuple *out)
{
	int i;

	out->n = 0;
	for (i = first; i <= last && out->n < TUPLE_MAX; i++)
		out->field[out->n++] = PQgetisnull(r, row, i) ?
		    slice_of(NULL, 0) : slice_of(PQgetvalue(r, row, i),
		    (size_t)PQgetlength(r, row, i));
}
