/*
 * FastCGI to request.  nginx has matched the location and says with constant
 * parameters what it is; nothing is taken from a header that a client could
 * send but Content-Type, Content-Length, Content-Encoding, Accept,
 * If-None-Match and, where Kerberos is asked for, Authorization, and a second
 * one of anything that is read is refused ([security] N2, N5), but for Accept
 * and If-None-Match, whose lists may come in pieces: only the first is read.
 */
#ifndef HTTP_H
#define HTTP_H

#include <fcgiapp.h>

#include "buf.h"
#include "err.h"
#include "policy.h"

enum http_service { HTTP_CEP, HTTP_CES, HTTP_WHOAMI, HTTP_OCSP,
	HTTP_STATUS, HTTP_METRICS };

#define HTTP_CEP_MAX	((size_t)64 * 1024)
#define HTTP_OCSP_MAX	((size_t)4096)
#define HTTP_CES_MAX	((size_t)256 * 1024)

struct http_request {
	int		 status;	/* 0: go on; else the whole answer */
	const char	*why;		/* for the log, with a status */
	enum http_service service;
	enum auth_method auth;
	const char	*ca;		/* lent by envp, as all below */
	const char	*uri;		/* absolute, of this location */
	const char	*address;	/* of the client */
	const char	*verify;	/* nginx's word on the ... */
	const char	*cert;		/* ... client certificate, escaped */
	const char	*authorization;	/* Kerberos: as sent */
	struct slice	 action;	/* Content-Type's; n 0: none */
	bool		 renewal_only;	/* the location's */
	bool		 post;		/* there is a message to read */
	bool		 json;		/* what the client likes to read */
	const char	*target;	/* OCSP by GET: as requested; or NULL */
	const char	*none_match;	/* with target: If-None-Match; NULL */
	size_t		 length;
};

/*
 * Fills all of it.  GET and HEAD get status 200 and an empty body, but for
 * whoami by certificate or Kerberos, status and metrics, which need no message,
 * and OCSP, where a GET asks ([RFC6960] A.1).  Who comes without a ticket where
 * Kerberos is asked for gets 401, whatever the method ([RFC4559] 4.1).
 */
void	 http_parse(char *const *envp, struct http_request *);

/*
 * Whether If-None-Match names this entity tag, which has its quotes
 * ([RFC9110] 13.1.2, weak comparison; a list that is malformed names those
 * before the fault).
 */
bool	 http_names_tag(const char *none_match, const char *tag);

/*
 * Reads what the request announces, no more and no less, into the buf.
 * ERR_TOO_BIG above the service's limit, ERR_MALFORMED for another length than
 * announced.  What it leaves unread process.c reads.
 */
int	 http_read(const struct http_request *, FCGX_Stream *, struct buf *,
	    struct err *);

#define HTTP_SOAP	"application/soap+xml; charset=utf-8"
#define HTTP_TEXT	"text/plain; charset=utf-8"
#define HTTP_JSON	"application/json"
#define HTTP_METRICS_TEXT	"text/plain; version=0.0.4; charset=utf-8"

/*
 * Before http_reply: the server's own token, in base64, which shows a client
 * that it is the one it has a ticket for ([RFC4559] 4.1, 5); and that the next
 * request on this connection needs a ticket, too ([MS-N2HT] 3.2.5).
 */
void	 http_proof(FCGX_Stream *, struct slice token);
/* Before http_reply: when to ask again ([RFC9110] 10.2.3). */
void	 http_retry_after(FCGX_Stream *, unsigned seconds);

/*
 * The whole answer, header and body, which may be empty.  401 asks for
 * Kerberos, and nothing asks for a password: Windows would show a browser's
 * window, or give up.
 */
void	 http_reply(FCGX_Stream *, int status, const char *type,
	    struct slice body);

#endif
