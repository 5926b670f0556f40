/* What one signer process holds from start to stop. */
#ifndef SIGNER_H
#define SIGNER_H

#include "ca.h"
#include "ledger.h"
#include "link.h"
#include "pace.h"
#include "recover.h"
#include "sconf.h"
#include "snapshot.h"
#include "store.h"
#include "tokenkey.h"

struct audit_pace {			/* see audittable.h */
	bool	 behind;	/* there may be another page */
	bool	 asked;		/* requests came since the last */
	int64_t	 next;		/* not before: monotonic us */
};

struct signer {
	struct sconf		*conf;
	struct tokens		*tokens;
	struct ca		**cas;
	size_t			 ncas;
	struct snapshot		*snapshot;
	struct pace		*pace;		/* NULL: the vault */
	struct store		*store;
	struct store		*lists;		/* NULL: none are made; beside
						   the first, while batches go
						   on */
	struct crl_turn		*turn;		/* of CAs, see crlmake.c */
	struct ledger		*ledger;
	struct link_server	*link;
	struct queue		*queue;		/* NULL but in batch_loop */
	const struct policy	*policy;	/* of the batch at hand */
	struct issued_set	*issued;	/* of the batch, or NULL */
	uint16_t		 prefix;	/* in serial numbers */
	int64_t			 cost;		/* us of one certificate, of
						   the slowest CA */
	struct intents		 unresolved;	/* signed or not, row or not? */
	struct intents		 marks;		/* committed last: must stay */
	struct audit_row	 audited;	/* in the ledger, the last */
	struct audit_pace	 audit;
	unsigned long		 checked;	/* store_session that was found
						   good; 0: look again */
	int64_t			 ended;		/* store_rollback_ended, when
						   it was last looked at */
	bool			 rolled_back;
	struct blocked		*blocked;	/* public keys */
	struct heads		*heads;		/* NULL: no audit key */
	bool			 ledger_failed;	/* stop: never trusted again */
	struct metrics		*metrics;	/* NULL: no metrics-file */
	/* Not before: monotonic seconds. */
	int64_t			 next_metrics;
	int64_t			 next_check;	/* of settings, clock, rows */
	int64_t			 next_partitions;
	int64_t			 next_crl;	/* crl_round */
	bool			 lists_wait;	/* crl_round has more to do */
	int64_t			 next_force;	/* reading the policy again */
	int64_t			 away_since;	/* monotonic us; 0 = ready */
	int64_t			 clock;		/* unix seconds minus those of
						   log_usec, found right */
	bool			 stepped;	/* ... and no months made yet */
	struct err		 unready;	/* why nothing is signed */
};

/*
 * Certificates, chains and keys of the configured CAs, into s->tokens and
 * s->cas.  ERR_INTERNAL; a token that is away is no failure (cakey_token).
 */
int	 signer_load_cas(struct signer *, struct err *);

#endif
