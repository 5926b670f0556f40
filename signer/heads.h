/*
 * Signed heads of the ledger (common/head.h): an entry in it, and copies in a
 * file, in syslog and in the database.  A copy in the file that cannot be
 * written ends this process like a ledger that cannot: whoever is to notice
 * the end of a ledger that was cut off must have been told of it.
 */
#ifndef HEADS_H
#define HEADS_H

#include "buf.h"
#include "err.h"

struct signer;
struct heads;

/*
 * Load the key that signer.conf names, if it does, into s->heads.
 * ERR_INTERNAL.
 */
int	 heads_open(struct signer *, struct err *);
void	 heads_free(struct heads *);
/* The database has this one (entry number), as it was asked at start. */
void	 heads_known(struct signer *, uint64_t seq);
/* What the entry "start" says about them. */
void	 heads_start(const struct signer *, struct buf *fields);
/*
 * Sign one if enough was written or enough time has passed; now: unix seconds.
 * -1, here and below, is the end of this process.
 */
int	 heads_round(struct signer *, int64_t now, struct err *);
/* Sign one unless the last entry is one; at start and at the end. */
int	 heads_now(struct signer *, struct err *);

#endif
