/*
 * One request as the worker holds it from its first byte to its log line.  One
 * thread at a time has it; between the halves of serve.h none.
 */
#ifndef REQ_H
#define REQ_H

#include "certauth.h"
#include "ces.h"
#include "envelope.h"
#include "getpolicies.h"
#include "http.h"
#include "rst.h"
#include "serve.h"

/* Where the time went. */
enum lap { LAP_READ, LAP_PARSE, LAP_AUTH, LAP_REQUEST, LAP_SIGNER, LAPS };

/* Owns everything of one request. */
struct req {
	const struct serve	*s;
	FCGX_Request		*fcgi;
	uint8_t			 id[16];	/* log, fault, row share it */
	int64_t			 now;		/* unix milliseconds */
	struct http_request	 http;
	struct buf		 in, cert;	/* message, certificate's DER */
	struct envelope		 env;		/* of the first half */
	struct buf		 message_id;	/* of both */
	struct certauth		 who;		/* by certificate */
	const struct account	*account;	/* once it is proven */
	struct ticket		 ticket;	/* by Kerberos */
	struct buf		 proof;		/* ours for that client */
	struct getpolicies	 query;
	struct rst		 rst;
	struct request		*request;
	struct buf		 question;	/* DER, for a signer */
	struct link_question	 asked;
	bool			 newer;		/* asked once more */
	struct ces_reply	 reply;
	struct ocsp_reply	 ocsp;
	struct xmlw		 out;
	struct buf		 text;		/* whoami's answer */
	struct err		 err;
	const char		*call, *outcome;
	int64_t			 start, mark, us[LAPS];
};

/* Its id and its clock begin here. */
struct req	*req_new(const struct serve *, FCGX_Request *);
void		 req_free(struct req *);	/* wipes the message */
/* What passed since the last lap was this one's. */
void		 req_lap(struct req *, enum lap);
/*
 * The line of the log, and the same as numbers, once it is answered: nothing
 * of the message but names, never a password or a token.
 */
void		 req_log(const struct req *, int status);
void		 req_count(const struct req *);

#endif
