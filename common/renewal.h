/*
 * Renewal: a request signed with the key of a certificate that we issued.
 * The signature says who asks; the row of that certificate says what it was
 * and whether it still counts.  Of a request that was judged: request_parse has
 * verified the old key's and the new key's signatures.
 */
#ifndef RENEWAL_H
#define RENEWAL_H

#include "decide.h"

/*
 * Does it say so and is it signed so, with a certificate that a signer may have
 * issued?  For addresses that only renew.  ERR_DENIED, also for no request at
 * all (NULL).
 */
int	 renewal_claimed(const struct request *, struct err *);
/*
 * The certificate that is renewed, when its row is there and its bytes are
 * those of the signer and of the attribute; else NULL.  Lent by the question.
 * Whoever signed with it is its account, whatever the rules below say.
 */
const struct issued *renewal_holder(const struct decide_ask *);

/*
 * The rules about the old certificate: ours, not revoked, in validity and
 * grace, of this template or one it supersedes, of the same account, key,
 * length of the chain, anonymous.  -1: ERR_DENIED, and *out is untouched; so it
 * is on 0 when the certificate was issued elsewhere (foreign.h), or by another CA
 * of the policy for this account, and the account may ask for a new one in the
 * same way: then that is what it asks.
 */
int	 renewal_judge(const struct decide_ask *, const struct template *,
	    const struct issued **out, struct err *);

/*
 * Does the request ask for exactly the names of the old certificate, but for
 * those that we add ourselves?  1 and these names (names_free), 0 when not;
 * -1 when the request's names cannot be read, or, as issued_names, the old
 * certificate.
 */
int	 renewal_same_names(const struct issued *, const struct request *,
	    struct names *out, struct err *);

#endif
