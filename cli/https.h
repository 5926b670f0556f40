/*
 * As much of an HTTPS client as "countersign doctor" needs: one request a
 * connection, in HTTP/1.0 so that the answer ends with it.  Also without TLS,
 * for what is published.
 */
#ifndef HTTPS_H
#define HTTPS_H

#include <openssl/x509.h>

#include "buf.h"
#include "err.h"

struct https_site {
	char		*name;		/* as clients know it */
	char		*port;
	char		*at_host;	/* where to connect to, or NULL */
	char		*at_port;
	X509_STORE	*trust;		/* NULL: whom the system trusts */
	bool		 plain;		/* http:// */
};

struct https_answer {
	int		 status;	/* 200, ... */
	char		 challenge[64];	/* WWW-Authenticate, or "" */
	struct buf	 body;		/* owned by the caller */
	size_t		 enough;	/* of the answer, to stop there; or 0 */
};

/*
 * "https://name:port/..." or "http://..." to name and port (443 or 80 when it
 * has none), https_free by the caller, also after -1; *path points behind them,
 * into url.  ERR_MALFORMED.
 */
int	 https_split(const char *url, struct https_site *, const char **path,
	    struct err *);
void	 https_free(struct https_site *);

/*
 * The server's certificate (X509_free), whatever it is worth: *verify is
 * X509_V_OK or what is wrong with it or its name ([RFC6125] 6.4).  NULL:
 * ERR_UNAVAILABLE, or ERR_INTERNAL when it speaks no TLS of ours.  asked, if
 * not NULL, gets the names of the CAs of which it wants a certificate, the
 * caller's; NULL or empty: it told none.
 */
X509	*https_certificate(const struct https_site *, long *verify,
	    STACK_OF(X509_NAME) **asked, struct err *);

/*
 * GET, or POST of a SOAP message when body is not empty.  Refuses a server
 * whose certificate does not verify (ERR_DENIED): what is sent may hold a
 * password, which the caller sends to no plain site.  ERR_UNAVAILABLE, also
 * when nothing comes for longer than nginx waits for a worker;
 * ERR_INTERNAL, TLS broke off; ERR_MALFORMED or ERR_TOO_BIG, the answer.
 */
int	 https_call(const struct https_site *, const char *path,
	    struct slice body, struct https_answer *, struct err *);

#endif
