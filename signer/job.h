/*
 * One request on the signer's side: everything of it, freed at one place.
 * The worker has checked it already; here it is checked again, from the
 * client's own bytes.
 */
#ifndef JOB_H
#define JOB_H

#include "account.h"
#include "ca.h"
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
	JOB_RECORD,		/* status is set; a row is to be written */
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
	int64_t		 received;	/* unix microseconds */
	int64_t		 decided;	/* unix microseconds */
	char		*account;	/* canonical name */
	const struct account *acct;	/* from the snapshot, or NULL */
	struct ca	*ca;		/* borrowed */
	struct request	*req;
	struct agency	 agency;
	struct issued_set *issued;	/* of an approval; else the batch's */
	struct err	 parse_err;	/* why req is NULL */
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
					   MSG_PONG: common/pong.h */
	bool		 intent;	/* its serial is in the ledger */
	bool		 committed;	/* its row is there */
	bool		 stored;	/* answered from a row */
	int64_t		 pending_since;	/* unix seconds */
	const struct job *first;	/* of a JOB_COPY */
	int64_t		 t0, us_check, us_sign, us_commit;
};

struct job	*job_new(void);
void		 job_free(struct signer *, struct job *);

/* Decode and check what needs neither policy nor database. */
void		 job_open(struct signer *, struct job *);
/* The policy hash, for calls that decide something. */
void		 job_policy(struct signer *, struct job *);
/*
 * Parse the request; what is wrong with it is told by job_check.  Then the
 * serials of certificates it is signed with, at most two, can be looked up.
 */
void		 job_parse(struct job *);
size_t		 job_signers(const struct job *, struct slice serial[2]);
/* Whoever renews anonymously is the account of the old certificate. */
void		 job_identify(const struct signer *, struct job *);
/* Answer from a row, if it is this caller's and this request's. */
void		 job_stored(struct job *, const struct stored *);
/* The exchange certificate, made when there is none for tomorrow. */
void		 job_ket(struct signer *, struct job *, struct job *const *,
		    size_t nearlier);
/* Who asks, if they may by this method: check_ca and load_account. */
int		 job_caller(struct signer *, struct job *,
		    const struct policy_ca **, struct err *);
void		 job_answered(struct job *, enum msg_status, const char *text);
/* Validity, serial number and TBSCertificate of a decision. */
int		 job_build(struct signer *, struct job *,
		    const struct pubkey *, struct err *);
/* Look a request number up. */
void		 job_query(struct signer *, struct job *);
/*
 * Parse, decide, and unless it must wait for approval build the
 * TBSCertificate.
 */
int		 job_decide(struct signer *, struct job *, struct err *);
/* A decision of which a row is written. */
void		 job_record(struct signer *, struct job *, enum msg_status,
		    const char *text);
/* A fresh request of an account with a one-time secret spends it. */
bool		 job_spends(const struct job *);
void		 job_token_sha256(const struct job *, uint8_t out[32]);
/* All of it: JOB_RECORD or JOB_ANSWERED. */
void		 job_check(struct signer *, struct job *);
/* Sign a job whose intent is in the ledger; -1 leaves no certificate. */
int		 job_sign(struct job *, struct err *);

/* A refusal of which no row is kept. */
void	 job_refuse(struct job *, const struct err *);

/* Whom the row is about: the account, or whom it enrolls on behalf of. */
const char	*job_owner(const struct job *);
/* Who asked on behalf of the owner, or NULL. */
const char	*job_agent(const struct job *);

/* Nothing is recorded; try again.  The text is for our log only. */
void		 job_unavailable(struct job *, const char *text);

/* Build the answer, send it, and write the line of the log. */
void		 job_answer(struct signer *, struct job *);

#endif
