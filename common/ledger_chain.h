/*
 * Inside of the ledger: the chain of lines, as written and as verified.  Not
 * for other parts.
 */
#ifndef LEDGER_CHAIN_H
#define LEDGER_CHAIN_H

#include <sys/types.h>

#include "ledger.h"

#define LEDGER_FILE	"ledger"
#define LEDGER_LINE_MAX	(1024 * 1024)	/* with its newline */

struct ledger_chain {
	uint64_t	 seq;		/* of the last line */
	char		 hash[65];	/* of the last line, hex */
	int64_t		 last_time;	/* the latest seen, unix seconds */
	struct evp_md_ctx_st *ctx;
	struct evp_md_st *md;
};

struct ledger_chain	*chain_new(void);
void			 chain_free(struct ledger_chain *);

/* body is the next line before ,"hash": seq and hash move on to it. */
void	 chain_next(struct ledger_chain *, struct slice body);

/*
 * Verify the file from its beginning; cb may be NULL.  *good is the offset
 * behind the last whole line: an unfinished one is no error here.
 */
int	 chain_read(struct ledger_chain *, int fd,
	    int (*cb)(void *, const struct ledger_entry *, struct err *),
	    void *, off_t *good, struct err *);

#endif
