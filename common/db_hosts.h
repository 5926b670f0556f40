/*
 * The servers of a connection string, in another order: libpq always begins
 * with the first.
 */
#ifndef DB_HOSTS_H
#define DB_HOSTS_H

#include <libpq-fe.h>

#include "buf.h"

/* As in a connection string, each a list with commas; NULL: it has none. */
struct db_hosts {
	char	*host;
	char	*hostaddr;
	char	*port;
};

/*
 * Those of dsn, beginning with number first (0: as they stand); free with
 * db_hosts_free.  -1: dsn is malformed.
 */
int	 db_hosts_from(const char *dsn, size_t first, struct db_hosts *);
void	 db_hosts_free(struct db_hosts *);
/*
 * The number of the server of this connection (may be NULL), or of one that
 * stands so far behind it, the first again behind the last; 0 when there is one,
 * or when it is none of them.
 */
size_t	 db_hosts_of(const char *dsn, const PGconn *, size_t ahead);

#endif
