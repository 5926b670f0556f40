/*
 * A hash table of positions in somebody else's array: for the book and the
 * survey, which look keys of fixed size up among millions.
 */
#include <stdlib.h>
#include <string.h>

#include "airgap_index.h"

static const uint8_t *
key_at(const struct index *x, const void *array, size_t position)
{
	return (const uint8_t *)array + position * x->size + x->offset;
}

/* FNV-1a.  Whoever chooses keys to collide has our trust to lose. */
static size_t
hash(const struct index *x, const uint8_t *key)
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t i;

	for (i = 0; i < x->octets; i++)
		h = (h ^ key[i]) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 29);
}

/* The slot that has the key, or the free one where it belongs. */
static size_t
find_slot(const struct index *x, const void *array, const uint8_t *key)
{
	size_t i = hash(x, key) & (x->nslots - 1);

	while (x->slot[i] != 0 && memcmp(key_at(x, array, x->slot[i] - 1),
	    key, x->octets) != 0)
		i = (i + 1) & (x->nslots - 1);
	return i;
}

int64_t
index_find(const struct index *x, const void *array, const uint8_t *key)
{
	if (x->nslots == 0)
		return -1;
	return (int64_t)x->slot[find_slot(x, array, key)] - 1;
}

static void
grow(struct index *x, const void *array)
{
	uint32_t *old = x->slot;
	size_t i, n = x->nslots;

	x->nslots = n == 0 ? 256 : 2 * n;
	x->slot = xcalloc(x->nslots, sizeof(*x->slot));
	for (i = 0; i < n; i++)
		if (old[i] != 0)
			x->slot[find_slot(x, array, key_at(x, array,
			    old[i] - 1))] = old[i];
	free(old);
}

void
index_put(struct index *x, const void *array, size_t position)
{
	size_t i;

	if (2 * (x->used + 1) > x->nslots)
		grow(x, array);
	i = find_slot(x, array, key_at(x, array, position));
	x->used += x->slot[i] == 0;
	x->slot[i] = (uint32_t)position + 1;
}
