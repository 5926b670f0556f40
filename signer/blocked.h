/*
 * Public keys that get no certificate: those an operator blocked, and the
 * keys of the CAs themselves.  Kept in memory; the database is asked every
 * some seconds whether the list changed.
 */
#ifndef BLOCKED_H
#define BLOCKED_H

#include "err.h"
#include "pubkey.h"

struct signer;
struct blocked;

/*
 * Read what changed in the list, the whole of it at start; then at most some
 * ten thousand changes at a time.  -1: as db_exec.
 */
int	 blocked_refresh(struct signer *, struct err *);
/*
 * The list of a vault, which has no database: a file, see badkey_line.  A line
 * that is none of a list is refused (ERR_INTERNAL).
 */
int	 blocked_read(struct signer *, const char *path, struct err *);
size_t	 blocked_count(const struct signer *);
void	 blocked_free(struct blocked *);
/* ERR_DENIED (NTE_BAD_KEY) for a key that is on it. */
int	 blocked_check(const struct signer *, const struct pubkey *,
	    struct err *);

#endif
