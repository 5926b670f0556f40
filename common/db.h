/*
 * PostgreSQL through libpq: connection, prepared statements from one fixed
 * list, notices at COMMIT, notifications.  One connection, one thread.
 */
#ifndef DB_H
#define DB_H

#include <libpq-fe.h>

#include "buf.h"
#include "err.h"

struct db_stmt {
	const char	*name;
	const char	*sql;
	int		 nparams;
};

struct db;

/*
 * stmts ends with a NULL name; it is prepared on every new connection and
 * must outlive the db.  listen: channel to LISTEN on, or NULL.  Connects
 * lazily: db_open never fails for an absent server.
 */
struct db	*db_open(const char *dsn, const struct db_stmt *stmts,
		    const char *listen);
void		 db_close(struct db *);

/* Connect or reconnect if needed; ERR_UNAVAILABLE on failure. */
int	 db_ready(struct db *, struct err *);
/*
 * Has anything been notified since the last call?  Reads the socket without
 * waiting.  1 = yes (also after every reconnect), 0 = no, -1 = the
 * connection is gone (ERR_UNAVAILABLE).
 */
int	 db_changed(struct db *, struct err *);
/*
 * The same in two steps, for threads that share a db and its lock: db_quiet
 * is the system call, and needs no lock; true when the server has sent
 * nothing.  db_changed_unless believes it when it is.
 */
bool	 db_quiet(struct db *);
int	 db_changed_unless(struct db *, bool quiet, struct err *);

struct db_param {		/* text when n < 0, binary otherwise */
	const void	*p;	/* NULL = SQL NULL */
	int		 n;
};
#define DB_TEXT(s)	((struct db_param){ (s), -1 })
#define DB_BIN(p, n)	((struct db_param){ (p), (int)(n) })

/*
 * Run a prepared statement by name.  The result is in text format, or binary
 * with db_exec_bin; the caller frees it with PQclear.  NULL: a lost
 * connection, lack of resources or a server shutting down is
 * ERR_UNAVAILABLE, anything else ERR_INTERNAL with SQLSTATE in the text.
 */
PGresult	*db_exec(struct db *, const char *stmt,
		    const struct db_param *, int n, struct err *);
PGresult	*db_exec_bin(struct db *, const char *stmt,
		    const struct db_param *, int n, struct err *);

/*
 * Transactions.  db_commit: any notice at COMMIT means "not durable" and a
 * lost connection means "in doubt": both return -1 with *in_doubt set.
 */
int	 db_begin(struct db *, struct err *);
int	 db_commit(struct db *, bool *in_doubt, struct err *);
void	 db_rollback(struct db *);
/* COPY ... FROM STDIN (FORMAT binary): rows is the whole stream. */
int	 db_copy(struct db *, const char *sql, struct slice rows, struct err *);

PGconn	*db_conn(struct db *);		/* lent, for the cli's migrations */

#endif
