/*
 * Inside of the ledger: the chain of lines, as written and as verified.  Not
 * for other parts.
 */
#ifndef LEDGER_CHAIN_H
#define LEDGER_CHAIN_H

#include <sys/types.h>

#include <stdbool.h>

#include "digest.h"
#include "ledger.h"

#define LEDGER_FILE	"ledger"
#define LEDGER_NEXT	"ledger.next"	/* not yet the one */
#define LEDGER_LINE_MAX	(1024 * 1024)	/* with its newline */

struct ledger_chain {
	uint64_t	 seq;		/* of the last line */
	char		 hash[65];	/* of the last line, hex */
	int64_t		 last_time;	/* the latest seen, unix seconds */
	off_t		 base;		/* bytes of the files before */
	/* The first line may be that of any file, not only of the oldest:
	   then before is what it says of the line before, compared with
	   nothing. */
	bool		 later;
	uint64_t	 before;
	char		 before_hash[65];
	struct digest	*sha256;
};

/* Older files of a folder, by the numbers of their last entries. */
struct ledger_files {
	uint64_t	*last;		/* ascending */
	size_t		 n;
};
#define LEDGER_NAME	32		/* "ledger." and 20 digits */

struct ledger_chain	*chain_new(void);
void			 chain_free(struct ledger_chain *);

/* body is the next line before ,"hash": seq and hash move on to it. */
void	 chain_next(struct ledger_chain *, struct slice body);

/*
 * Verify a file from its beginning; cb may be NULL.  *good is the offset
 * behind the last whole line: an unfinished one is no error here.
 */
int	 chain_read(struct ledger_chain *, int fd,
	    int (*cb)(void *, const struct ledger_entry *, struct err *),
	    void *, off_t *good, struct err *);

void	 files_name(uint64_t last, char name[LEDGER_NAME]);
int	 files_list(int dirfd, struct ledger_files *, struct err *);
/* Does the name in the folder, now, mean the file fd? */
bool	 files_is(int dirfd, const char *name, int fd);
/*
 * Leave out the newest if it is the file fd: a turn under way, or one that a
 * crash stopped before the new file had its name.  true if so.
 */
bool	 files_drop(int dirfd, int fd, struct ledger_files *);
void	 files_free(struct ledger_files *);
/* Does what was read follow the newest of the older files? */
int	 files_follow(int dirfd, const struct ledger_files *,
	    const struct ledger_chain *, struct err *);

#endif
