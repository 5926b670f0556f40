/*
 * Whose account a Kerberos ticket is for.  A name alone proves little where
 * many may make names: the directory's own word for who somebody is, the SID,
 * comes first.
 */
#ifndef TICKET_H
#define TICKET_H

#include "pac.h"
#include "snapshot.h"

/* What a ticket says of its owner. */
struct ticket {
	char		*principal;	/* name@REALM, service/host@REALM */
	struct pac	 pac;		/* Active Directory's word */
	bool		 delegated;	/* a service has got it in his name */
};

void		 ticket_free(struct ticket *);

struct ticket_rules {
	const struct strlist *realms;	/* whose principals may log on */
	bool		 need_sid;	/* no account without one */
};

/*
 * The account of a ticket's owner, which may be disabled; give it back with
 * snapshot_account_put.  The one that has the ticket's SID, whatever it is
 * called; else name@REALM is the account "name@realm", and host/fqdn@REALM the
 * machine account whose DNS name is fqdn.  ERR_DENIED: another service, a
 * realm that is not ours, the ticket is of somebody with another name, there is
 * no such account, it has a SID and the ticket another or none (whoever is made
 * anew under an old name must not get what was the old one's), it is for a
 * one-time secret, where there are several realms not called after the ticket's,
 * or has no SID where the settings require one; and a service that logs on in
 * the owner's name.  Else as
 * snapshot_account.
 */
int		 ticket_account(const struct ticket_rules *, struct snapshot *,
		    const struct ticket *, const struct account **,
		    struct err *);

#endif
