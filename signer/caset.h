/*
 * Which keys this signer has, and what the policy and the database say of
 * them: whose they are, and which of a CA's keys is in use.
 */
#ifndef CASET_H
#define CASET_H

#include "job.h"
#include "signer.h"

/*
 * Look at the policy at hand: sets good (the certificate is the one that
 * everybody else sees) and in_use of each key.  One whose certificate the
 * database has another of is read again from its files: it may be the next
 * certificate of the same key.
 */
void		 caset_look(struct signer *, const struct policy *);
/* The key of that name, or NULL. */
struct ca	*caset_key(const struct signer *, struct slice name);
/* The key in use of that CA, else another of its keys, else NULL. */
struct ca	*caset_of(const struct signer *, struct slice ca);

#endif
