/*
 * Hash functions.  One that is needed often is made ready once: looking it up
 * by its name and allocating a context cost more than the hash of a short
 * text.  Such a struct digest is not for two threads at a time.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include "buf.h"

#define DIGEST_MAX	64	/* octets */

struct digest;

struct evp_md_st;

/* SHA-256, where once is enough. */
void		 digest_sha256(struct slice, uint8_t out[32]);

struct digest	*digest_new(const char *name);	/* aborts when there is none */
void		 digest_free(struct digest *);
/* How many octets it wrote. */
size_t		 digest_run(struct digest *, struct slice,
		    uint8_t out[DIGEST_MAX]);
const struct evp_md_st *digest_md(const struct digest *);	/* lent */

#endif
