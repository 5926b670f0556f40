/*
 * The one way to print rows: an aligned table or "name: value" lines for
 * people, an array of objects with --json.  Values come from requests and
 * databases: what could move a terminal's cursor or turn its text around is
 * escaped, and JSON is always valid.
 */
#ifndef OUT_H
#define OUT_H

#include <libpq-fe.h>
#include <stdio.h>

#include "buf.h"

enum out_type {
	OUT_TEXT,
	OUT_NUMBER,	/* as the value says: digits */
	OUT_BOOL,	/* "t" or "f", as PostgreSQL says it */
	OUT_LIST,	/* one element a line; "" is the empty list */
	OUT_BLOCK,	/* many lines; behind the others, for people */
	OUT_JSON_ONLY	/* text that people do not need */
};

struct out_col {
	const char	*name;		/* snake_case; documented, stable */
	enum out_type	 type;
};

enum out_form { OUT_TABLE, OUT_RECORD };

struct out;

/* cols ends with a NULL name and must outlive the out. */
struct out	*out_new(const struct out_col *, enum out_form);
void		 out_free(struct out *);

/* The next cell, from left to right, row by row; NULL = no value.  Copied. */
void		 out_add(struct out *, const char *);
void		 out_addf(struct out *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
void		 out_num(struct out *, int64_t);
void		 out_bool(struct out *, bool);
/* All rows of a result in text form that has exactly these columns. */
void		 out_result(struct out *, const PGresult *);
size_t		 out_rows(const struct out *);	/* whole ones so far */

/* Append everything as text; only whole rows. */
void		 out_render(const struct out *, bool json, struct buf *);
/* Render, print to the stream, free.  -1 when it could not be written. */
int		 out_print(struct out *, bool json, FILE *);

/* Text of a value safe for a terminal / inside JSON, with the quotes. */
void		 out_plain(struct buf *, const char *);
void		 out_json_string(struct buf *, const char *);

#endif
