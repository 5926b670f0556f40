#include "serials.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define LATELY	10000		/* a signer's batch is at most some hundred */

void
serials_add(struct serials *s, const uint8_t *octets, const uint8_t *id)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 1024 : s->cap * 2;
		s->v = xreallocarray(s->v, s->cap, sizeof *s->v);
	}
	memset(&s->v[s->n], 0, sizeof s->v[s->n]);
	memcpy(s->v[s->n].octets, octets, SERIAL_OCTETS);
	if (id != NULL)
		memcpy(s->v[s->n].id, id, sizeof s->v[s->n].id);
	s->v[s->n++].state = SERIAL_INTENT;
	s->sorted = false;
}

static int
by_octets(const void *a, const void *b)
{
	return memcmp(a, b, SERIAL_OCTETS);
}

struct serial *
serials_find(const struct serials *s, const uint8_t *octets)
{
	size_t i, end;

	if (s->n == 0)
		return NULL;
	if (s->sorted)
		return bsearch(octets, s->v, s->n, sizeof *s->v, by_octets);
	end = s->n > LATELY ? s->n - LATELY : 0;
	for (i = s->n; i-- > end;)
		if (memcmp(s->v[i].octets, octets, SERIAL_OCTETS) == 0)
			return &s->v[i];
	return NULL;
}

struct serial *
serials_by_id(const struct serials *s, const uint8_t *id)
{
	size_t i, end = s->n > LATELY ? s->n - LATELY : 0;

	for (i = s->n; i-- > end;)
		if (memcmp(s->v[i].id, id, sizeof s->v[i].id) == 0)
			return &s->v[i];
	return NULL;
}

void
serials_sort(struct serials *s)
{
	if (s->n > 0)
		qsort(s->v, s->n, sizeof *s->v, by_octets);
	s->sorted = true;
}

void
serials_free(struct serials *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}
