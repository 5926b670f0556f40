/* What one signer process holds from start to stop. */
#ifndef SIGNER_H
#define SIGNER_H

#include "ca.h"
#include "ledger.h"
#include "link.h"
#include "recover.h"
#include "sconf.h"
#include "snapshot.h"
#include "store.h"

struct signer {
	struct sconf		*conf;
	struct ca		**cas;
	size_t			 ncas;
	struct snapshot		*snapshot;
	struct store		*store;
	struct ledger		*ledger;
	struct link_server	*link;
	const struct policy	*policy;	/* of the batch at hand */
	struct issued_set	*issued;	/* of the batch, or NULL */
	uint16_t		 prefix;	/* in serial numbers */
	int64_t			 cost;		/* us of one certificate */
	struct intents		 unresolved;	/* signed or not, row or not? */
	bool			 unsynced;	/* ledger entries buffered */
	bool			 ledger_failed;	/* stop: never trusted again */
	int64_t			 next_check;	/* unix seconds */
	int64_t			 next_partitions;
	int64_t			 next_crl;
	int64_t			 next_force;
	int64_t			 away_since;	/* monotonic us; 0 = ready */
};

#endif
