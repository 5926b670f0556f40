/*
 * Checks of a finished certificate against the profile of [RFC5280] and of a
 * private CA: its bytes are read anew, by nothing that wrote them.  Runs over
 * every TBSCertificate before it is signed and, with "countersign cert check",
 * over what was issued.
 *
 * The key's arithmetic (ROCA, factors, points) is pubkey_parse's.
 */
#ifndef CERTLINT_H
#define CERTLINT_H

#include "buf.h"
#include "err.h"

struct certlint_ask {
	struct slice	 tbs;		/* TBSCertificate, whole TLV */
	struct slice	 outer;		/* signatureAlgorithm TLV, or empty */
	/* The issuer: Name and SPKI TLVs, key identifier, unix seconds;
	   empty or 0: not compared. */
	struct slice	 ca_subject, ca_spki, ca_ski;
	int64_t		 ca_not_before, ca_not_after;
	bool		 responder;	/* of OCSP, [RFC6960] 4.2.2.2 */
};

struct certlint_rule {
	const char	*name;		/* "san-dns-name" */
	const char	*section;	/* "[RFC5280] 4.2.1.6" */
	const char	*text;		/* what is wrong, when it is broken */
};

/* All rules, for people; n of them. */
const struct certlint_rule *certlint_rules(size_t *n);

/* The first finding: ERR_DENIED, naming rule and section. */
int	 certlint(const struct certlint_ask *, struct err *);
/* All of them: found[i] says whether rule i is broken.  How many are. */
size_t	 certlint_all(const struct certlint_ask *, bool *found);

/*
 * tbs, outer and the ca_* of an issuer out of whole certificates; borrowed.
 * -1 when they are not in the form of one.
 */
int	 certlint_slice(struct slice der, struct certlint_ask *,
	    struct err *);
int	 certlint_issuer(struct slice ca_der, struct certlint_ask *,
	    struct err *);

#endif
