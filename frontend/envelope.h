/*
 * The SOAP 1.2 envelope: WS-Addressing, the WS-Security header and the one
 * element of the Body.  [MS-XCEP] 3.1.4.1, [MS-WSTEP] 3.1.4, [WSS-UNT] 1.0.
 *
 * Two of anything is refused, and so is a header with mustUnderstand that is
 * not known.  ReplyTo and its like are understood and ignored: an answer goes
 * back where the request came from and nowhere else.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "xmlin.h"
#include "xmlw.h"

#define MESSAGE_ID_MAX	256
#define USERNAME_MAX	256
#define PASSWORD_MAX	256
#define CLOCK_SKEW	300	/* seconds, either way: [WSS-BSP] and WWSAPI */

struct envelope {
	struct xmlin	*xml;		/* has what is lent below */
	struct slice	 action;
	struct slice	 message_id;	/* p NULL: none */
	struct slice	 to;		/* p NULL: none */
	bool		 security;	/* a WS-Security header was there */
	int64_t		 created;	/* its Timestamp's; 0: it has none */
	bool		 token;		/* with a UsernameToken in it */
	struct slice	 username;
	struct slice	 password;
	const xmlNode	*body;		/* the Body's one element or NULL */
};

/*
 * Zero *e before, envelope_free after, also when it fails: what was read by
 * then (the MessageID above all) is there for the fault.  now is in unix
 * seconds, for the Timestamp.  ERR_MALFORMED, ERR_TOO_BIG, ERR_ACTION,
 * ERR_NOT_UNDERSTOOD, ERR_VERSION; ERR_NO_SECURITY for a Timestamp that is
 * over and a token without name or password.
 */
int	 envelope_parse(struct xmlin *, struct slice, int64_t now,
	    struct envelope *, struct err *);
void	 envelope_free(struct envelope *);	/* clears its xmlin */

/*
 * wsa:To, when there is one, must have the path of our own URI (scheme, host
 * and port are nginx's business; IIS ignores case), escaped or not, or be the
 * anonymous address, which is what none means ([WS-Addressing] 3.2.1).
 * ERR_DESTINATION.
 */
int	 envelope_check_to(const struct envelope *, const char *uri,
	    struct err *);

/*
 * The action that Content-Type names, if it does, is that of the message
 * ([WS-Addressing-SOAP] 2.1): what HTTP is told and what is done are one thing.
 * AD CS refuses such a message, too.  ERR_ACTION.
 */
int	 envelope_check_action(const struct envelope *, struct slice http,
	    struct err *);

/*
 * Refusals, always -1: an Action of another service than this one ("CEP",
 * "CES"); a Body whose element (or NULL) is not this one.
 */
int	 envelope_other_action(struct slice action, const char *service,
	    struct err *);
int	 envelope_other_body(const xmlNode *, const char *ns, const char *name,
	    struct err *);

/*
 * The way back: everything up to <s:Body> and from </s:Body> on.
 */
struct reply_head {
	const char	*action;
	struct slice	 relates_to;	/* p NULL: left out */
	bool		 timestamp;	/* message credentials were used */
	int64_t		 now;		/* unix milliseconds */
};
void	 envelope_begin(struct xmlw *, const struct reply_head *);
void	 envelope_end(struct xmlw *);

#endif
