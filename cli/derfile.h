/* An object from a file as people have it: DER, PEM or bare base64. */
#ifndef DERFILE_H
#define DERFILE_H

#include "buf.h"
#include "err.h"

/*
 * In DER, at most max bytes, appended to out; only the wrapping is looked at.
 * "-" is standard input.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 derfile_read(const char *path, size_t max, struct buf *out,
	    struct err *);

#endif
