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

struct issued_set;

/* A certificate to look up. */
struct issued_ask {
	struct slice	 serial;	/* INTEGER content, lent */
	bool		 renewed;	/* by a request: one without a row may
					   be of before its CA came here, see
					   foreign.h */
};

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
 * Which CAs came here with a list, when, and what of those without a row is
 * revoked for each: once with NULL where nothing is.  For who judges renewals.
 */
#define EARLIER_STMT							\
	{ "earlier", "SELECT b.ca, "					\
	    "floor(extract(epoch FROM c.created_at))::bigint, r.serial " \
	    "FROM countersign.crl_before b "				\
	    "JOIN countersign.ca c ON c.name = b.ca LEFT JOIN LATERAL "	\
	    "(SELECT v.serial FROM unnest($1::bytea[]) k(serial) "	\
	    "CROSS JOIN LATERAL (SELECT r.serial "			\
	    "FROM countersign.revoked r WHERE r.ca = b.ca "		\
	    "AND r.serial = k.serial LIMIT 1) v) r ON true", 1 }

/*
 * The rows of these; one that is no serial of ours is passed over, and nothing
 * is asked when none is left.  EARLIER_STMT is needed for renewed ones, and run
 * if one of them has no row.  NULL only on failure, as db_exec; issued_free by
 * the caller.
 */
struct issued_set *issued_load(struct db *, const struct issued_ask *,
		    size_t n, struct err *);
/* A set without a database: empty, and one row more, whose parts it takes. */
struct issued_set *issued_new(void);
void		 issued_add(struct issued_set *, struct issued *);
/* A key that came here with a list, at that unix time; copied. */
void		 issued_add_came(struct issued_set *, const char *key,
		    int64_t at);
/* Without a row, and revoked; copied. */
void		 issued_add_revoked(struct issued_set *, const char *key,
		    struct slice serial);
/* Lent by the set (may be NULL), or NULL. */
const struct issued *issued_find(const struct issued_set *,
		    struct slice serial);
/* When that key came, or 0: none of its certificates is of before. */
int64_t		 issued_came(const struct issued_set *, const char *key);
/* Is this one without a row known to be revoked, as that key's? */
bool		 issued_is_revoked(const struct issued_set *,
		    const char *key, struct slice serial);
void		 issued_free(struct issued_set *);
/* What it holds, not itself. */
void		 issued_clear(struct issued *);

/*
 * Is the number one that a signer draws for a certificate which begins then?
 * What the key of a CA signed before that was imported its old clients have,
 * and no row is there that would keep a made-up one out.
 */
bool		 issued_drawn(struct slice serial, int64_t not_before);

/*
 * The parts of its certificate, lent ([RFC5280] 4.1): the first two whole, of
 * the signature the octets.  -1 for what is none, or has no number that a
 * signer draws, or other times than the row.
 */
int		 issued_parts(const struct issued *, struct slice *tbs,
		    struct slice *alg, struct slice *sig);
/*
 * Did that CA's key sign it, for a signer?  Who writes rows and has no key
 * makes no certificate.  -1: ERR_DENIED, CERT_E_UNTRUSTEDROOT.
 */
int		 issued_prove(const struct issued *, const struct policy *,
		    struct err *);

/*
 * Subject and alternative names; names_free by the caller on 0.  ERR_INTERNAL,
 * or as names_parse_dn: it cannot be read.
 */
int		 issued_names(const struct issued *, struct names *,
		    struct err *);

#endif
