/*
 * Whole files, read and written.  -1: ERR_DENIED, with errno's words, or
 * ERR_TOO_BIG; nothing of the new one is left then, unless it is only the
 * folder's fsync that failed.  A mode is what the file has, whatever the umask.
 */
#ifndef FILE_H
#define FILE_H

#include <sys/stat.h>

#include "buf.h"
#include "err.h"

/* Whole file, at most max bytes, appended; "-" is standard input. */
int	 file_read(const char *path, size_t max, struct buf *, struct err *);
/* A new file (never over an old one) with this mode; fsynced. */
int	 file_create(const char *path, unsigned mode, struct slice,
	    struct err *);
/*
 * Replace or create, atomically and durably.  NULL or "-" is standard output,
 * and a device or a pipe is written to, not replaced.
 */
int	 file_put(const char *path, unsigned mode, struct slice, struct err *);
/*
 * Replace or create for readers: they see the old one or the new.  Waits for
 * no disk, and a power cut may leave either or an empty one.
 */
int	 file_show(const char *path, unsigned mode, struct slice, struct err *);
/*
 * The two halves of file_put: write beside, then rename.  *staged is the name
 * it has meanwhile; the caller frees, and unlinks it to give up.  A
 * file_commit that fails to rename has unlinked it.
 */
int	 file_stage(const char *path, unsigned mode, struct slice,
	    char **staged, struct err *);
int	 file_commit(const char *staged, const char *path, struct err *);
/* All of it, EINTR or not: 0, or -1 with errno. */
int	 file_write_all(int fd, struct slice);
/*
 * Is there such a file?  If not, errno says why.  Not access(2), which asks
 * for the real user and without capabilities: open(2) may get there.
 */
bool	 file_exists(const char *path);
/* Is what stat(2) told of a name then and now one file, not written to? */
bool	 file_same(const struct stat *, const struct stat *);
/* "dir/name.suffix", caller frees. */
char	*file_path(const char *dir, const char *name, const char *suffix);

#endif
