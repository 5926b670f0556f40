/*
 * OCSP over HTTP ([RFC6960] A, [RFC5019] 5): answers come signed from the
 * database, or from a signer when there is none that is fresh.
 */
#ifndef OCSP_H
#define OCSP_H

#include <fcgiapp.h>

#include "buf.h"
#include "err.h"

struct ocsp;

/* Its own connection, shared by the threads of the process. */
struct ocsp	*ocsp_new(const char *dsn);
void		 ocsp_free(struct ocsp *);

struct req;

struct ocsp_reply {
	struct buf	 der;		/* of an OCSPResponse; empty: refused */
	/* Unix seconds; 0: not to be kept by who is in between. */
	int64_t		 this_update, next_update;
	const char	*from;		/* for the log */
};

/*
 * The question is in the address, or is the body; the answer r->ocsp, or there
 * is none and r->err says why: ERR_MALFORMED and ERR_TOO_BIG, ERR_DENIED for
 * another CA's certificate, ERR_UNAVAILABLE, ERR_INTERNAL.  Waits for a signer
 * where the database has nothing fresh (link_call).
 */
int	 ocsp_answer(struct req *, struct err *);

/*
 * The question in the path of a GET ([RFC6960] A.1), behind the address of the
 * service; DER, appended.  ERR_MALFORMED, ERR_TOO_BIG.
 */
int	 ocsp_path(const char *target, const char *uri, struct buf *,
	    struct err *);

/*
 * The answer with its HTTP header, or what err says in the words of OCSP
 * ([RFC6960] 4.2.1, OCSPResponseStatus), or only that the client has it already
 * (304, [RFC9110] 15.4.5).
 */
void	 ocsp_write(const struct req *, FCGX_Stream *);
/* Its one line in the log. */
void	 ocsp_log(const struct req *);

#endif
