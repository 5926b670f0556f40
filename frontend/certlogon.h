/*
 * Logging on with a client certificate, and what is remembered of it: that
 * the certificate is good, until the policy or an account changes or it ends;
 * whose it is, for CERTLOGON_ROW_MS.  For so long a certificate that was
 * revoked meanwhile still sees the policy and who it is.  It gets nothing: for
 * every enrollment and poll the signer reads the row itself.
 */
#ifndef CERTLOGON_H
#define CERTLOGON_H

#include "certauth.h"

#define CERTLOGON_ROW_MS	5000

struct certlogon;

/* The snapshot must outlive it.  Any thread may call. */
struct certlogon *certlogon_new(struct snapshot *);
void		 certlogon_free(struct certlogon *);

/*
 * certauth_prove and certauth_holder under the policy in force, with their
 * errors; only a yes is remembered.  now: unix seconds.  The account may be
 * disabled: ask it.
 */
int		 certlogon_identify(struct certlogon *, struct slice der,
		    int64_t now, struct certauth *, struct err *);

#endif
