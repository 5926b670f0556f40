/*
 * The front desk of a CA behind an air gap: where job.c would build a
 * certificate, this says whether the request can wait for the other side.
 */
#include "airgap.h"
#include "approval.h"
#include "bundle.h"
#include "hresult.h"

int
airgap_check(const struct job *j, struct err *err)
{
	const char *ca = j->ca->name;

	if (j->decision.tmpl->archive_key)
		return err_deny(err, CERTSRV_E_KEY_ARCHIVAL_NOT_CONFIGURED,
		    "template %s: ca %s is behind an air gap, and archives no "
		    "keys", j->decision.tmpl->cn, ca);
	if (j->ask.method == AUTH_ANONYMOUS)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "ca %s is behind "
		    "an air gap: an anonymous caller cannot ask for the "
		    "certificate later", ca);
	/* It would be spent before anything can be fetched with it. */
	if (j->acct->one_time != NULL)
		return err_deny(err, CERTSRV_E_ENROLL_DENIED, "ca %s is behind "
		    "an air gap, which a one-time secret cannot wait for", ca);
	return 0;
}

int
airgap_policy(const struct policy_ca *ca, struct err *err)
{
	if (ca->ocsp.n != 0)
		return err_set(err, ERR_INTERNAL, "policy: ca %s has ocsp, "
		    "and is behind an air gap: nobody there answers; take the "
		    "line out", ca->name);
	/* A delta for some days would need a round each time. */
	if (ca->crl_delta != 0)
		return err_set(err, ERR_INTERNAL, "policy: ca %s has "
		    "crl-delta, and is behind an air gap: a round brings "
		    "complete lists alone; take the line out", ca->name);
	return 0;
}

void
airgap_put_accounts(const struct job *j, struct buf *b)
{
	bundle_put_account(j->acct, b);
	if (j->decision.subject != j->acct)
		bundle_put_account(j->decision.subject, b);
}
