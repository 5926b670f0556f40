/*
 * Certificates that we issued, as their rows say: what a renewal or another
 * request signed with such a certificate is judged by.
 */
#ifndef ISSUED_H
#define ISSUED_H

#include "db.h"
#include "name.h"

struct issued {
	struct buf	 serial, der;
	char		*ca, *account, *template;
	int64_t		 not_before, not_after;	/* unix seconds */
	bool		 revoked;		/* or held */
	unsigned	 renewals;		/* that led to it */
	uint8_t		 spki[32];		/* SHA-256 */
};

struct issued_set;

/* A program that looks certificates up puts this into its list. */
#define ISSUED_STMT							\
	{ "issued", "SELECT c.serial, c.der, c.ca, c.account, "		\
	    "c.template, extract(epoch FROM c.not_before)::bigint, "	\
	    "extract(epoch FROM c.not_after)::bigint, "			\
	    "(c.revoked_at IS NOT NULL)::int4, c.renewals, "		\
	    "c.spki_sha256 FROM unnest($1::bytea[]) k(serial) "		\
	    "JOIN countersign.certificate c ON c.serial = k.serial", 1 }

/*
 * The rows of these serials (INTEGER contents); one that is no serial of ours
 * is passed over.  NULL only on failure.
 */
struct issued_set *issued_load(struct db *, const struct slice *serials,
		    size_t n, struct err *);
const struct issued *issued_find(const struct issued_set *,
		    struct slice serial);
void		 issued_free(struct issued_set *);

/* Subject and alternative names; names_free by the caller on 0. */
int		 issued_names(const struct issued *, struct names *,
		    struct err *);

#endif
