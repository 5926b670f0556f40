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
 * What a program that runs the same few statements for ever selects first in
 * each session.  Planned anew for every call, the search for a certificate
 * costs ten times as much as planned once; and plans are made while the
 * tables are small: nested loops over indexes are right for every size.
 */
#define DB_PLANS	"set_config('enable_seqscan', 'off', false), "	\
	"set_config('enable_bitmapscan', 'off', false), "		\
	"set_config('enable_hashjoin', 'off', false), "			\
	"set_config('enable_mergejoin', 'off', false), "		\
	"set_config('jit', 'off', false), "				\
	"set_config('plan_cache_mode', 'force_generic_plan', false)"

/*
 * stmts ends with a NULL name; it is prepared on every new connection and
 * must outlive the db.  listen: channel to LISTEN on, or NULL.  Connects
 * lazily: db_open never fails for an absent server.
 */
struct db	*db_open(const char *dsn, const struct db_stmt *stmts,
		    const char *listen);
void		 db_close(struct db *);
/*
 * A server that does not answer within half a minute is given up: the
 * connection is dropped, ERR_UNAVAILABLE, what was asked may still come true.
 * This is another time for it, in ms, and one for db_commit; 0: as long as it
 * takes.
 *
 * Whenever a connection ends or cannot be made, the next attempt begins with
 * the server that stands behind its own in the DSN.
 */
void		 db_patience(struct db *, int ms, int commit_ms);
/* Drop the connection, as if the server had. */
void		 db_next_host(struct db *);
/* The same, but the next attempt begins with the server of the other one. */
void		 db_follow(struct db *, const struct db *other);

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
/*
 * What to do, while db_changed looks, with the payload of each notification;
 * NULL: the session is new, and whatever came before is missed.
 */
void	 db_on_told(struct db *, void (*)(void *, const char *payload),
	    void *arg);

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

/* A field, lent by the result; NULL is empty.  A number in binary form. */
struct slice	 db_field(const PGresult *, int row, int col);
int64_t		 db_int(const PGresult *, int row, int col);

/*
 * Transactions, one at a time; -1: errors as db_exec's.  A connection that is
 * lost in one is not made again before its end: until db_commit or db_rollback
 * all is ERR_UNAVAILABLE.  db_commit: any notice at COMMIT means "not durable"
 * and a lost connection means "in doubt": both return -1 with *in_doubt set;
 * with it clear nothing was committed.  The transaction is over in any case.
 */
int	 db_begin(struct db *, struct err *);
int	 db_commit(struct db *, bool *in_doubt, struct err *);
void	 db_rollback(struct db *);
bool	 db_in_transaction(const struct db *);
/*
 * A statement without parameters as a transaction of its own, in one round
 * trip: a result, in text, only when it is as durable as after db_commit.
 */
PGresult *db_durable(struct db *, const char *stmt, struct err *);
/*
 * COPY ... FROM STDIN (FORMAT binary), one after the other in one message;
 * rows is the whole stream of one.
 */
struct db_copy {
	const char	*sql;
	struct slice	 rows;
};
int	 db_copy(struct db *, const struct db_copy *, size_t, struct err *);
/*
 * The same as a transaction of its own, without a round trip for BEGIN and
 * COMMIT; returns as db_commit does.  In the session that is there: one that
 * has broken off since db_changed looked is not followed by another.
 */
int	 db_copy_durable(struct db *, const struct db_copy *, size_t,
	    bool *in_doubt, struct err *);
/*
 * What to do in each db_copy_durable from now on, when everything is sent and
 * the server commits: nothing is known of how that ends.  NULL: only wait.
 */
void	 db_meanwhile(struct db *, void (*)(void *), void *arg);

PGconn	*db_conn(struct db *);		/* lent, for the cli's migrations */

#endif
