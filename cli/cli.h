/*
 * What the commands share: the options before the sub-command, configuration
 * and database when a command asks for them, and the table of commands.
 */
#ifndef CLI_H
#define CLI_H

#include "args.h"
#include "cconf.h"
#include "certfile.h"
#include "db.h"
#include "out.h"
#include "policy.h"

/* What a script sees; documented in countersign(1). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,	/* refused, or the answer is no */
	EXIT_USAGE = 2,
	EXIT_UNAVAILABLE = 3,	/* database, signer or token */
	EXIT_DAMAGED = 4	/* ledger verify */
};

struct cli {
	const char	*conf_path;
	bool		 json;
	struct cconf	*conf;		/* cli_conf */
	struct db	*db;		/* cli_db */
	int		 code;		/* exit code, when not told by err */
};

/*
 * A handler returns 0 (exit code cli->code) or -1 with err (exit code by its
 * kind, or cli->code when that is set).
 */
struct command {
	const char		*noun;
	const char		*verb;	/* or NULL */
	const char		*args;	/* positional, for people */
	size_t			 min, max;	/* number of them */
	const char		*help;	/* one line */
	const struct opt	*opts;
	int			(*run)(struct cli *, const struct args *,
				    struct err *);
};

/*
 * Load the configuration / connect as the operator, once: into c->conf, c->db.
 * ERR_MALFORMED or ERR_INTERNAL / ERR_UNAVAILABLE.
 */
int	 cli_conf(struct cli *, struct err *);
int	 cli_db(struct cli *, struct err *);
/*
 * Who sits here: by whom the session was begun, or sudo's word for it, or whose
 * process this is.  A claim: only what cannot confuse a log.
 */
#define CLI_OPERATOR	65
void	 cli_operator(char out[CLI_OPERATOR]);
void	 cli_free(struct cli *);

/* A mistake in the command line: -1, exit code 2. */
int	 cli_usage(struct cli *, struct err *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* As account_canonical and ca_name_check, but a mistake in the command line. */
int	 cli_account(struct cli *, const char *typed,
	    char out[129], struct err *);
int	 cli_ca_name(struct cli *, const char *typed, struct err *);
/* Print on standard output and free; -1 when it could not be written. */
int	 cli_print(struct cli *, struct out *, struct err *);
/* The same behind a COMMIT: what is so all the same is told as well. */
int	 cli_print_done(struct cli *, struct out *, const char *done,
	    struct err *);
/* The same of a query's rows, which are cleared; NULL (it failed): -1. */
int	 cli_rows(struct cli *, PGresult *, const struct out_col *,
	    enum out_form, struct err *);
/*
 * For programs: what was changed and what it is now.  People who ask for a
 * change want to hear of failure alone: nothing is printed without --json.
 */
int	 cli_outcome(struct cli *, const char *name, const char *outcome,
	    struct err *);
/* People are told, too. */
int	 cli_tell(struct cli *, const char *name, const char *outcome,
	    struct err *);
/* The same of a document that went to this file; NULL or "-": none did. */
int	 cli_written(struct cli *, const char *path, struct err *);
/* As --format and -o say; what they cannot mean is a mistake there. */
int	 cli_export(struct cli *, const struct certs *, const struct args *,
	    struct err *);
/*
 * One prepared statement of sql.c, with n text parameters (NULL = NULL), 16 at
 * most; outside a transaction it gets one, so that it is durable when this
 * returns.  A result in text, PQclear by the caller; NULL: as db_exec, or as
 * db_commit, and then it may be done all the same.
 */
PGresult *cli_query(struct cli *, const char *stmt, const char *const *v,
	    int n, struct err *);

/*
 * The policy in force with its id and the certificates of its CAs.
 * NULL with ERR_DENIED when there is none.  policy_free by the caller.
 */
struct policy	*cli_policy(struct cli *, struct err *);
/*
 * Give a policy its id and the certificates of the CAs it names; policy_ready
 * says whether these are all.  -1: as policy_attach_key, or the database cannot
 * be asked.
 */
int	 cli_attach(struct cli *, struct policy *, struct err *);

/*
 * Add the certificate of a CA's key and its issuers up to the root; none: no
 * such key.
 */
int	 cli_chain(struct cli *, const char *ca, struct certs *, struct err *);

/* Has this certificate, a bytea in text form, ended? */
bool	 cli_has_ended(const char *text);

/* Bytes of a bytea in text form ("\x..."), appended; else ERR_INTERNAL. */
int	 cli_bytea(const char *text, struct buf *, struct err *);
/* {"a","b"}: an array parameter in text form, appended. */
void	 cli_array(const struct strlist *, struct buf *);
/*
 * "2026-11-24", "2026-11-24T09:00:00Z", or "7d" (ago) to unix seconds;
 * ERR_MALFORMED.
 */
int	 cli_time(const char *, int64_t *, struct err *);

#endif
