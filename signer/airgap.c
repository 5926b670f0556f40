/* The front desk of a CA behind an air gap: what the other side judges by. */
#include "airgap.h"
#include "approval.h"
#include "bundle.h"

void
airgap_put_accounts(const struct job *j, struct buf *b)
{
	bundle_put_account(j->acct, b);
	if (j->decision.subject != j->acct)
		bundle_put_account(j->decision.subject, b);
}
