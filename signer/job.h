/*
 * One request on the signer's side: everything of it, freed at one place.
 * The worker has checked it already; here it is checked again, from the
 * client's own bytes.  The functions stand in the order of a request's way,
 * which batch.c drives.
 */
#ifndef JOB_H
#define JOB_H

#include "account.h"
#include "agent.h"
#include "ca.h"
#include "cmc.h"
#include "decide.h"
#include "link.h"
#include "msg.h"
#include "request.h"
#include "tbs.h"

struct signer;
struct stored;
struct pending;
struct exchange;

enum job_state {
	JOB_NEW,		/* to be looked up, checked and decided */
	JOB_ANSWERED,		/* status is set; nothing to record */
	JOB_COPY,		/* the same as an earlier job of the batch */
	JOB_RECORD,		/* status is set; a row is to be written:
				   JOB_ANSWERED when that has failed */
	JOB_DROPPED		/* not a message: no answer */
};

struct job {
	enum job_state	 state;
	enum msg_status	 status;
	struct link_job	 link;
	struct ask	 ask;		/* borrows from link.msg */
	uint8_t		 row_id[MSG_ID];	/* ask.id or verdict.request */
	struct pending	*pending;	/* that request, or NULL */
	bool		 reserved;	/* see store_reserve */
	/* Unix microseconds. */
	int64_t		 received;	/* its turn came; vault: at the desk */
	int64_t		 decided;
	int64_t		 issue_at;	/* 0: received */
	char		*account;	/* canonical name */
	const struct account *acct;	/* from the snapshot, or NULL */
	struct ca	*ca;		/* borrowed */
	struct request	*req;
	struct agency	 agency;
	struct issued_set *issued;	/* of an approval; else the batch's */
	bool		 parsed;	/* see job_parse */
	struct err	 parse_err;	/* why req is NULL */
	char		*key_owner;	/* whom its key is certified for */
	struct exchange	*exchange;	/* CALL_KET: the one being made */
	struct buf	 archived;	/* CMS for the recovery agents */
	bool		 has_decision;
	struct decision	 decision;
	const struct template *tmpl;	/* borrowed from the policy, or NULL */
	char		*template_name;
	uint32_t	 number, hresult;
	char		 text[256];	/* clean UTF-8; for client and row */
	struct buf	 subject, san;	/* as text; issued or asked for */
	struct tbs	 tbs;
	struct buf	 tbs_der, cert;
	struct buf	 response;	/* MSG_STATUS: the OCSPResponse;
					   MSG_PONG: common/pong.h;
					   CMC, as in the row of one that
					   waits, or has waited */
	struct buf	 answer;	/* as it is sent */
	struct buf	 echoed;	/* stored token, when req is NULL ... */
	struct cmc_echo	 echo;		/* ... and what a response repeats */
	bool		 intent;	/* its serial is in the ledger */
	bool		 committed;	/* its row is there */
	bool		 stored;	/* answered from a row ... */
	bool		 durable;	/* ... that is known to be durable */
	int64_t		 pending_since;	/* unix seconds */
	const struct job *first;	/* of a JOB_COPY */
	int64_t		 t0;		/* log_usec when its turn came */
	int64_t		 us_check, us_sign, us_commit;	/* it took */
};

struct job	*job_new(void);
/* Gives its account back to the snapshot; NULL is fine. */
void		 job_free(struct signer *, struct job *);

/* As it comes, and when it is its turn: job_open.c. */

/* Decode the message: JOB_NEW, or JOB_DROPPED. */
void		 job_read(struct job *);
/* Is a new certificate asked for, and nothing decided yet? */
bool		 job_is_issue(const struct job *);
/*
 * What needs neither policy nor database: peer, age, account name, CA and its
 * key.  What fails here is answered, and so is a ping.
 */
void		 job_open(struct signer *, struct job *);
/* The key that signs, by the policy at hand; or MSG_ELSEWHERE. */
void		 job_key(const struct signer *, struct job *);

/* Judging it: job.c. */

/* Calls that decide something go by s->policy, or MSG_POLICY_CHANGED. */
void		 job_policy(struct signer *, struct job *);
/*
 * Parse the request, once; what is wrong with it is told by job_decide.  Needs
 * nothing but the message: may come long before job_open.
 */
void		 job_parse(struct job *);
/*
 * The certificates it is signed with, and the one that logged on, lent by the
 * job: how many.
 */
#define JOB_SERIALS	(REQUEST_SIGNERS + 1)
size_t		 job_serials(const struct job *,
		    struct issued_ask[JOB_SERIALS]);
/* Whoever renews anonymously is the account of the old certificate. */
void		 job_identify(const struct signer *, struct job *);
/*
 * Load the account that asks into j->acct, if there is one; it may be the
 * certificate's.  ERR_DENIED, or as snapshot_account.
 */
int		 job_account(struct signer *, struct job *, struct err *);
/*
 * The same, and may they by this method?  *ca is the policy's.  Also
 * ERR_UNAVAILABLE when the CA's certificate is another.
 */
int		 job_caller(struct signer *, struct job *,
		    const struct policy_ca **, struct err *);
/*
 * Is who asks, or whom it is for, disabled by now?  Then *why is
 * ERR_UNAVAILABLE.  What cannot be looked up is not.
 */
bool		 job_disabled(struct signer *, const struct job *,
		    struct err *why);
/* What an earlier job of the batch gives somebody else has no row yet. */
void		 job_same_key(struct job *, const struct job *earlier);
/*
 * The whole judgement of a request, and unless it must wait for approval, or
 * for an air gap, its TBSCertificate.  -1 is the answer to its client by kind
 * (job_refuse); a decision that was made before stays (has_decision).
 */
int		 job_decide(struct signer *, struct job *, struct err *);
/*
 * The end of it: validity, serial number and TBSCertificate of a decision.  As
 * tbs_validity, serial_new, tbs_build.
 */
int		 job_build(struct signer *, struct job *,
		    const struct pubkey *, struct err *);
/* job_decide, and its outcome: JOB_RECORD or JOB_ANSWERED. */
void		 job_check(struct signer *, struct job *);

/* Outcomes; texts are for client, row and log unless it says otherwise. */

/* A decision of which a row is written; it gets its number. */
void		 job_record(struct signer *, struct job *, enum msg_status,
		    const char *text);
/* One of which no row is written; a refusal, by the error's kind. */
void		 job_answered(struct job *, enum msg_status, const char *text);
void		 job_refuse(struct job *, const struct err *);
/* Nothing is recorded; try again.  The text is for our log only. */
void		 job_unavailable(struct job *, const char *text);
/* The same, and nothing was begun: the link asks the next signer at once. */
void		 job_elsewhere(struct job *, const char *text);
/*
 * Texts of refusals repeat what was asked for and may be cut in the middle of
 * a character: PostgreSQL and UTF8String take neither half characters nor
 * control characters.
 */
void		 job_text(struct job *, struct slice text);

/* A fresh request of an account with a one-time secret spends it. */
bool		 job_spends(const struct job *);
/* Of the client's own bytes: is it the same request? */
void		 job_token_sha256(const struct job *, uint8_t out[32]);
/* Whom the row is about: the account, or whom it enrolls on behalf of. */
const char	*job_owner(const struct job *);
/* Who asked on behalf of the owner, or NULL. */
const char	*job_agent(const struct job *);
/*
 * What is signed of a job whose intent is in the ledger, on the disk: the
 * certificate, and the answer that the row of a request keeps when its client
 * has to ask for it.  -1 leaves nothing: as cakey_sign.
 */
int		 job_sign(struct signer *, struct job *, struct err *);

/* Answering it, out of its row or made anew: reply.c. */

/* Answer from a row, if it is this caller's and this request's; or refuse. */
void		 job_stored(struct job *, const struct stored *);
/* The CMC response to a request that has a row; appended.  As cakey_sign. */
int		 job_respond(const struct signer *, const struct job *,
		    struct buf *, struct err *);
/*
 * The answer of a job whose row is being committed, as it will be when that
 * has gone well; 0 or -1.  job_answer keeps it for a job that has stayed
 * JOB_RECORD, and makes it anew for any other.
 */
int		 job_answer_ahead(struct signer *, struct job *);
void		 job_answer(struct signer *, struct job *);
/*
 * Send the answer, and add a line to the log.  Those of a batch are sent
 * together, one behind the other: each would wake two threads else.
 */
struct log_line;
void		 job_send(struct signer *, struct job *, struct log_line *);

#endif
