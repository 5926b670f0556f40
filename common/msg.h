/*
 * What crosses the trust boundary: one DER message each way (the ASN.1 is
 * the documentation, the bytes are audit evidence).
 *
 *	Ask ::= SEQUENCE {
 *	  version       INTEGER (1),
 *	  call          ENUMERATED { issue(1), query(2), ping(3),
 *	                  approve(4), deny(5), ocsp(6), ket(7) },
 *	  id            OCTET STRING (SIZE(16)),  -- this attempt
 *	  replayKey     OCTET STRING (SIZE(16)),  -- same message, same key
 *	  policyHash    OCTET STRING (SIZE(32)),
 *	  sentAt        INTEGER,                  -- unix milliseconds
 *	  ca            UTF8String,
 *	  method        INTEGER,                  -- clientAuthentication
 *	  account       UTF8String,               -- canonical name; of an
 *	                                          -- approver, or empty
 *	  address       UTF8String,               -- of the client, for the row
 *	  token         OCTET STRING,             -- the client's original bytes
 *	  hints         SEQUENCE OF UTF8String,   -- AdditionalContext templates
 *	  number        INTEGER,                  -- query: RequestID
 *	  evidence      OCTET STRING,             -- client certificate or empty
 *	  verdict       SEQUENCE {                -- approve and deny only
 *	    request     OCTET STRING (SIZE(16)),  -- the pending one
 *	    operator    UTF8String,               -- user of the command line
 *	    reason      UTF8String,               -- or empty
 *	    subject     UTF8String                -- RFC 4514, or empty
 *	  } OPTIONAL }
 *
 *	Answer ::= SEQUENCE {
 *	  version       INTEGER (1),
 *	  id            OCTET STRING (SIZE(16)),
 *	  status        ENUMERATED,
 *	  hresult       INTEGER,
 *	  text          UTF8String,               -- for the client
 *	  number        INTEGER,                  -- RequestID, 0 = none
 *	  template      UTF8String,               -- for the log
 *	  response      OCTET STRING,             -- CMC full response or empty
 *	  certificate   OCTET STRING }            -- leaf or empty
 *
 * Both sides take this version and no other, with each field there.  In an
 * upgrade signers come first: one that knows another version must take this one
 * too, and answer in the version that it was asked in.
 */
#ifndef MSG_H
#define MSG_H

#include "buf.h"
#include "err.h"
#include "policy.h"

#define MSG_MAX		(256 * 1024)
#define MSG_ID		16

enum msg_call {
	CALL_ISSUE = 1,
	CALL_QUERY = 2,
	CALL_PING = 3,
	/* Both by AUTH_OPERATOR only. */
	CALL_APPROVE = 4,	/* MSG_ISSUED */
	CALL_DENY = 5,		/* MSG_DENIED, CERTSRV_E_ADMIN_DENIED_REQUEST */
	CALL_OCSP = 6,
	CALL_KET = 7		/* MSG_ISSUED, certificate alone */
};

enum msg_status {
	MSG_ISSUED = 1,
	MSG_PENDING = 2,
	MSG_DENIED = 3,		/* hresult, text; if stored number, response */
	MSG_MALFORMED = 4,
	MSG_POLICY_CHANGED = 5,	/* reload the policy and ask once more */
	MSG_UNAVAILABLE = 6,	/* nothing was recorded; try again */
	MSG_PONG = 7,
	MSG_STATUS = 8,		/* of OCSP: response holds it */
	MSG_ELSEWHERE = 9	/* this signer has not the key, or cannot work
				   now: another may */
};

struct verdict {
	uint8_t		 request[MSG_ID];
	struct slice	 operator, reason, subject;
};

struct ask {
	enum msg_call	 call;
	uint8_t		 id[MSG_ID];
	uint8_t		 replay_key[MSG_ID];
	uint8_t		 policy_hash[32];
	int64_t		 sent_at;	/* unix milliseconds */
	struct slice	 ca;		/* slices borrow from the message */
	enum auth_method method;
	struct slice	 account;
	struct slice	 address;
	struct slice	 token;
	struct slice	 hint[4];
	size_t		 nhint;
	uint32_t	 number;
	struct slice	 evidence;
	struct verdict	 verdict;
};

struct answer {			/* slices borrow from the message */
	uint8_t		 id[MSG_ID];
	enum msg_status	 status;
	uint32_t	 hresult;	/* 0 unless it is a refusal */
	struct slice	 text;		/* UTF-8, without control characters */
	uint32_t	 number;	/* RequestID; 0: none */
	struct slice	 template_name;
	struct slice	 response;	/* DER: what, the status says */
	struct slice	 certificate;	/* DER */
};

/* As logged: "issued", "policy-changed", ... */
const char	*msg_status_name(enum msg_status);

/* A call about a pending request: it has a verdict. */
bool	 ask_decides(const struct ask *);

/*
 * Encoded: appended.  Decoded: strict DER, at most MSG_MAX, each field within
 * its limit (msg.c), nothing left over; else *out is untouched.  An ask's
 * errors are ERR_MALFORMED and ERR_TOO_BIG, an answer's ERR_INTERNAL: it is no
 * client's.
 */
void	 ask_encode(const struct ask *, struct buf *);
int	 ask_decode(struct slice, struct ask *, struct err *);
void	 answer_encode(const struct answer *, struct buf *);
int	 answer_decode(struct slice, struct answer *, struct err *);
/* Is it MSG_ELSEWHERE?  For the link, which then asks the next signer. */
bool	 answer_is_elsewhere(struct slice);

/*
 * Ids begin with the UTC day (days since 1970, 16 bits, big endian), so that
 * rows are stored in order of time; the rest is random.  A replay key is a hash
 * of who asked and what ([security] X10), the same on each day.  now: unix
 * seconds.
 */
void	 msg_new_id(int64_t now, uint8_t out[MSG_ID]);
void	 msg_replay_key(struct slice account, struct slice message_id,
	    struct slice token, uint8_t out[MSG_ID]);

#endif
