/*
 * Certificates that we issued, as their rows say: what a renewal, an agent's
 * request and a log-on with such a certificate are judged by.
 */
#ifndef ISSUED_H
#define ISSUED_H

#include "db.h"
#include "name.h"
#include "policy.h"

struct issued {
	struct buf	 serial, der;		/* INTEGER content; whole */
	char		*ca, *account, *template;
	int64_t		 not_before, not_after;	/* unix seconds */
	bool		 revoked;		/* or held */
	unsigned	 renewals;		/* that led to it */
	int64_t		 chain_start;		/* the first one's not_before */
	uint8_t		 spki[32];		/* SHA-256 */
};

/* not_before is so many seconds before the moment of issue: clocks differ. */
#define ISSUED_EARLY	(10 * 60)

struct issued_set;

/*
 * A program that looks certificates up puts this into its list.  The bounds
 * leave the partitions out that the serials' months are not of; LIMIT keeps
 * the planner from anything but one descent of an index for each.
 */
#define ISSUED_STMT							\
	{ "issued", "SELECT c.* FROM unnest($1::bytea[]) k(serial) "	\
	    "CROSS JOIN LATERAL (SELECT c.serial, c.der, c.ca, "	\
	    "c.account, c.template, "					\
	    "floor(extract(epoch FROM c.not_before))::bigint, "		\
	    "floor(extract(epoch FROM c.not_after))::bigint, "		\
	    "(c.revoked_at IS NOT NULL)::int4, c.renewals, "		\
	    "c.spki_sha256, floor(extract(epoch FROM "			\
	    "coalesce(c.chain_start, c.not_before)))::bigint "		\
	    "FROM countersign.certificate c "				\
	    "WHERE c.serial = k.serial AND c.serial BETWEEN $2 AND $3 "	\
	    "LIMIT 1) c", 3 }

/*
 * The rows of these serials (INTEGER contents); one that is no serial of ours
 * is passed over, and nothing is asked when none is left.  NULL only on
 * failure, as db_exec; issued_free by the caller.
 */
struct issued_set *issued_load(struct db *, const struct slice *serials,
		    size_t n, struct err *);
/* A set without a database: empty, and one row more, whose parts it takes. */
struct issued_set *issued_new(void);
void		 issued_add(struct issued_set *, struct issued *);
/* Lent by the set (may be NULL), or NULL. */
const struct issued *issued_find(const struct issued_set *,
		    struct slice serial);
void		 issued_free(struct issued_set *);

/*
 * The parts of its certificate, lent ([RFC5280] 4.1): the first two whole, of
 * the signature the octets.  -1 for what is none, or has no number that a signer
 * draws, or other times than the row.
 */
int		 issued_parts(const struct issued *, struct slice *tbs,
		    struct slice *alg, struct slice *sig);
/*
 * Did that CA's key sign it, for a signer?  Who writes rows and has no key makes
 * no certificate.  -1: ERR_DENIED, CERT_E_UNTRUSTEDROOT.
 */
int		 issued_prove(const struct issued *, const struct policy *,
		    struct err *);

/* Subject and alternative names; names_free by the caller on 0. */
int		 issued_names(const struct issued *, struct names *,
		    struct err *);

#endif
