/* Finding the elements of an array by a key of fixed size in them. */
#ifndef AIRGAP_INDEX_H
#define AIRGAP_INDEX_H

#include "buf.h"

struct index {			/* the first line is set by the owner */
	size_t		 size, offset, octets;	/* of element, its key */
	uint32_t	*slot;			/* position + 1; 0: free;
						   free(3) by the owner */
	size_t		 nslots, used;
};

/* Position of the element with this key, or -1. */
int64_t	 index_find(const struct index *, const void *array,
	    const uint8_t *key);
/* The element at this position; one with the same key is forgotten. */
void	 index_put(struct index *, const void *array, size_t position);

#endif
