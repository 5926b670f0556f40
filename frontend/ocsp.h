/*
 * OCSP over HTTP ([RFC6960] A, [RFC5019] 5): answers come signed from the
 * database, or from a signer when there is none that is fresh.
 */
#ifndef OCSP_H
#define OCSP_H

#include <fcgiapp.h>

#include "http.h"
#include "link.h"
#include "snapshot.h"

struct ocsp;

/* Its own connection, shared by the threads of the process. */
struct ocsp	*ocsp_new(const char *dsn);
void		 ocsp_free(struct ocsp *);

struct ocsp_ask {
	struct ocsp	*ocsp;
	struct snapshot	*snap;
	struct link	*link;
	const uint8_t	*id;		/* 16 bytes: the request's */
	const struct http_request *http;
	struct slice	 body;		/* of a POST */
	int64_t		 now;		/* unix milliseconds */
};

struct ocsp_reply {
	struct buf	 der;		/* of an OCSPResponse; empty: refused */
	/* Unix seconds; 0: not to be kept by who is in between. */
	int64_t		 this_update, next_update;
	const char	*from;		/* for the log */
};

/*
 * Waits for a signer where the database has nothing fresh (link_call).
 * 0, or -1 with err: ERR_MALFORMED and ERR_TOO_BIG, ERR_DENIED for another
 * CA's certificate, ERR_UNAVAILABLE, ERR_INTERNAL.  Zero the reply before.
 */
int	 ocsp_answer(const struct ocsp_ask *, struct ocsp_reply *,
	    struct err *);

/*
 * The question in the path of a GET ([RFC6960] A.1), behind the address of the
 * service; DER, appended.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 ocsp_path(const char *target, const char *uri, struct buf *,
	    struct err *);

/*
 * The answer with its HTTP header, or what err says in the words of OCSP
 * ([RFC6960] 4.2.1, OCSPResponseStatus), or only that the client has it already
 * (304, [RFC9110] 15.4.5).  now: unix seconds.
 */
void	 ocsp_write(const struct http_request *, const struct ocsp_reply *,
	    const struct err *, int64_t now, FCGX_Stream *);
/* Its one line in the log. */
void	 ocsp_log(const uint8_t id[16], const struct http_request *,
	    const struct ocsp_reply *, const struct err *);

#endif
