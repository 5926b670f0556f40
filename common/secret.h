/*
 * Secrets from credential files: never argv, environment or log.  -1:
 * ERR_INTERNAL, whose text has the path and nothing of the content.
 */
#ifndef SECRET_H
#define SECRET_H

#include "buf.h"
#include "err.h"

/*
 * Whole file into out.  Refuses a file that is not regular, readable or
 * writable by group or others (owner is root or ourselves), or larger than
 * max.  Group bits that are the mask of an ACL which lets only us read do not
 * count: systemd's credentials are such.  strip removes one trailing newline.
 * Wipe out with buf_wipe.
 */
int	 secret_read(const char *path, size_t max, bool strip, struct buf *out,
	    struct err *);
/*
 * For OpenSSL's PEM functions, in place of a prompt on the terminal; arg is
 * the passphrase, a struct buf.  NULL or empty: there is none.
 */
int	 secret_pem(char *out, int size, int writing, void *arg);
/* Create with mode 0400, O_EXCL, fsync of file and folder. */
int	 secret_write(const char *path, struct slice, struct err *);

/*
 * RLIMIT_CORE 0, PR_SET_DUMPABLE 0, PR_SET_NO_NEW_PRIVS; call first.  And a
 * stream that the caller has closed is none of our files: what is printed would
 * go into the next that is opened, a connection perhaps.  Reading from it, or
 * printing to standard output, fails; what is logged goes nowhere.
 */
int	 secret_harden(struct err *);

#endif
