/* Messages of tests/data/soap, and edits of them. */
#ifndef SOAP_DATA_H
#define SOAP_DATA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

/* 2030-01-02T03:04:05Z, when the messages were sent. */
#define SENT	1893553445

/* p NULL when there is no such file.  buf_free by the caller. */
static inline struct buf
slurp(const char *path)
{
	struct buf	 b = { NULL, 0, 0 };
	FILE		*f = fopen(path, "rb");
	size_t		 n;

	if (f == NULL)
		return b;
	do {
		n = fread(buf_extend(&b, 4096), 1, 4096, f);
		b.n -= 4096 - n;
	} while (n != 0);
	fclose(f);
	return b;
}

static inline struct buf
message(const char *name)
{
	char		path[256];
	struct buf	b;

	snprintf(path, sizeof(path), "tests/data/soap/%s.xml", name);
	b = slurp(path);
	if (b.p == NULL)
		fail_msg("%s: not there; run from the top folder", path);
	return b;
}

/* The first "from" of a message becomes "to". */
static inline struct buf
edited(const char *name, const char *from, const char *to)
{
	struct buf	 b = message(name), out = { NULL, 0, 0 };
	const char	*text = buf_str(&b), *at = strstr(text, from);

	if (at == NULL)
		fail_msg("no \"%s\" in %s", from, name);
	buf_add(&out, text, (size_t)(at - text));
	buf_puts(&out, to);
	buf_puts(&out, at + strlen(from));
	buf_free(&b);
	return out;
}

/* n copies of s; free by the caller. */
static inline char *
times(const char *s, size_t n)
{
	struct buf	b = { NULL, 0, 0 };

	while (n-- > 0)
		buf_puts(&b, s);
	buf_str(&b);
	return (char *)b.p;
}

#endif
