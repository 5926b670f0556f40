/* A request from a file as people have it: DER, PEM or bare base64. */
#ifndef CSRFILE_H
#define CSRFILE_H

#include "buf.h"
#include "err.h"

/*
 * PKCS#10, CMS or CMC in DER, appended to out; only the wrapping is looked at.
 * "-" is standard input.  ERR_MALFORMED.
 */
int	 csr_read(const char *path, struct buf *out, struct err *);

#endif
