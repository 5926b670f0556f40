/* The client certificate as nginx passes it on. */
#ifndef CLIENTCERT_H
#define CLIENTCERT_H

#include "buf.h"
#include "err.h"

#define CLIENTCERT_TEXT_MAX	((size_t)64 * 1024)

/*
 * verify: $ssl_client_verify; escaped: $ssl_client_escaped_cert, PEM whose odd
 * characters are %XX.  The certificate's DER is appended to *der; nothing in
 * it has been looked at.  ERR_NO_SECURITY when there was none, ERR_DENIED when
 * nginx did not find it good, ERR_MALFORMED and ERR_TOO_BIG for what is no such
 * text.
 */
int	 clientcert_read(const char *verify, const char *escaped,
	    struct buf *der, struct err *);

#endif
