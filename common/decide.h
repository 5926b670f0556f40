/*
 * The decision: policy + account + request -> what would be issued, or the
 * rule that refuses.  Signer, vault and "countersign explain" call the same
 * function, so what is explained is what happens.  Workers only ask who may
 * enroll for what, for the policies that CEP tells: they issue nothing.
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "account.h"
#include "issued.h"
#include "policy.h"
#include "request.h"

struct agency;

/* What is asked, and by whom; all borrowed. */
struct decide_ask {
	const struct policy	*policy;
	const char		*ca;
	const struct account	*account;	/* NULL: anonymous */
	enum auth_method	 method;	/* how the account was proven */
	const struct request	*request;
	const struct agency	*agency;	/* NULL: nobody was looked up */
	/* Rows of the certificates of request->signer; NULL: has none. */
	const struct issued	*issued[REQUEST_SIGNERS];
	const struct issued_set	*certs;		/* those rows, or NULL: then
						   none is renewed without */
	int64_t			 now;		/* unix seconds; in the vault,
						   when the request came */
	/* A quick yes to issued_prove, of who has a CA's key; or NULL. */
	bool			(*proves)(const void *, const struct issued *);
	const void		*prover;
};

/* All but names is lent by what was asked. */
struct decision {
	const struct template	*tmpl;
	const struct policy_ca	*ca;
	bool			 pending;	/* a manager must approve */
	const struct account	*subject;	/* whom it is for: who asks, or
						   whom an agent names */
	struct names		 names;		/* final */
	const char		*sid;		/* for the SID extension, or
						   NULL; the account's */
	const struct issued	*renews;	/* or NULL */
};

/*
 * May this account enroll / autoenroll for the template?  ERR_DENIED, with the
 * rule.  The account of a one-time secret may use the secret's template, and
 * later those that supersede it, and no other, whatever its groups.
 */
int	 decide_enroll(const struct template *, const struct account *,
	    struct err *);
bool	 decide_autoenroll(const struct template *, const struct account *);
/*
 * Is its one-time secret, if it has one, still good for a certificate?
 * ERR_DENIED, with CERTSRV_E_ENROLL_DENIED, when it was used or has expired.
 */
int	 decide_secret(const struct account *, int64_t now, struct err *);
/*
 * Can it get one at all?  decide_enroll, and what no request could change: the
 * account lacks a name that the template puts in, no name rule applies to it,
 * its secret has expired or would have to wait.  For CEP, so that it offers
 * nothing that CES refuses; a spent secret's template it shows to who renews.
 */
int	 decide_offer(const struct policy *, const struct template *,
	    const struct account *, int64_t now, struct err *);

/*
 * Has the CA an address for those who log on so, perhaps only to renew?
 * ERR_DENIED.
 */
int	 decide_method(const struct policy_ca *, enum auth_method, bool renews,
	    struct err *);

/*
 * The one template all hints name, perhaps by its oid, offered by this CA,
 * lent by the policy; or NULL and ERR_DENIED ([MS-WCCE] 3.2.2.6.2.1.4.1).
 */
const struct template	*decide_template(const struct policy *,
			    const char *ca, const struct request *,
			    struct err *);

/*
 * All rules of [MS-WCCE] 3.2.2.6.2.1.4 that apply, in its order.  ERR_DENIED
 * with the HRESULT and a text naming rule and value; ERR_INTERNAL or
 * ERR_MALFORMED for a certificate of our own that cannot be read.  The decision
 * is untouched then; decision_free on 0.
 */
int	 decide(const struct decide_ask *, struct decision *, struct err *);
void	 decision_free(struct decision *);

/*
 * Can what was decided wait for a CA whose key is behind an air gap?
 * ERR_DENIED: what cannot be done without the key or without waiting.
 */
int	 decide_apart(const struct decide_ask *, const struct decision *,
	    struct err *);

#endif
