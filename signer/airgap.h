/*
 * The front desk of CAs whose key is behind an air gap (docs/airgap.md): what
 * a signer without the key does where others sign.
 */
#ifndef AIRGAP_H
#define AIRGAP_H

#include "policy.h"
#include "store.h"

/* Appends the records of whom the job is judged by. */
void	 airgap_put_accounts(const struct job *, struct buf *);

/* Is this request on its way to the other side, or back from it? */
int	 store_airgap_crosses(struct store *, const uint8_t id[MSG_ID],
	    bool *, struct err *);
/* The rows of these jobs that wait; in the transaction of their requests. */
int	 store_airgap_put(struct store *, struct job *const *, size_t,
	    struct err *);
/* What an approver adds, beside the row's decision. */
int	 store_airgap_approve(struct store *, const struct job *,
	    struct err *);

#endif
