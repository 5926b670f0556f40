/*
 * What ledgers say, all of them together, in memory: of each decision the
 * digests of its rows (about 200 octets), not the rows.  "countersign ledger
 * verify" and "countersign reconcile" hold the database against it.
 */
#ifndef CHRONICLE_H
#define CHRONICLE_H

#include "buf.h"
#include "err.h"
#include "headset.h"
#include "ledger.h"
#include "progress.h"
#include "sigcounts.h"
#include "strlist.h"

#define CHR_DIGEST	16		/* octets of SHA-256 that are kept */
#define CHR_ID		16
#define CHR_SERIAL	16

enum chr_kind { CHR_ISSUE, CHR_DENY, CHR_PEND };

/* A decision: an entry "intent", "denied" or "pending". */
struct chr_row {
	uint8_t		 id[CHR_ID], serial[CHR_SERIAL];
	uint8_t		 submitted[CHR_DIGEST], decided[CHR_DIGEST];
	uint8_t		 cert[CHR_DIGEST];	/* row of the certificate */
	uint8_t		 tbs[CHR_DIGEST];
	struct buf	 tuple;		/* decided; of what waits or waited */
	uint16_t	 ledger, ca;	/* indices */
	enum chr_kind	 kind;
	bool		 has_rows;	/* digests are set */
	bool		 fresh;		/* with it the request came */
	bool		 has_cert;	/* cert is set */
	bool		 committed, voided;
	bool		 claimed;	/* ... before the database was read */
	bool		 row_seen, cert_seen;	/* in the database */
	bool		 void_seen;	/* ... the serial as void */
	bool		 overruled;	/* ... another decision of it */
};

struct chr_revocation {
	uint16_t	 ca;
	uint8_t		 serial[20], octets;
	int64_t		 change;
	uint32_t	 order;		/* as read */
	bool		 released, claimed;
	bool		 seen, good;	/* of the first of a certificate: it
					   is in the database / as it should */
	uint8_t		 what[CHR_DIGEST];	/* at, reason, until */
	uint8_t		 who[CHR_DIGEST];	/* who, note */
};

/*
 * One that is listed has the digest of its row, the others what was about to
 * be signed: a number may be tried more than once, by several signers, before
 * a list with it is committed.
 */
struct chr_list {
	uint16_t	 ca;
	uint64_t	 number;
	char		 tbs[2 * 64 + 1];	/* digest, hex */
	uint8_t		 row[CHR_DIGEST];
	int64_t		 change;	/* that it tells, when listed */
	bool		 listed, claimed, seen;
};

struct chr_responder {
	uint8_t		 serial[CHR_SERIAL], tbs[CHR_DIGEST], der[CHR_DIGEST];
	uint16_t	 ca, ledger;
	bool		 has_der, claimed, seen;
	bool		 good;		/* der is that of a row that fits */
};

/* A row of the table audit; perhaps in several ledgers. */
struct chr_audit {
	int64_t		 n, at;		/* its key: number, PostgreSQL's time */
	uint8_t		 row[CHR_DIGEST];
	bool		 claimed, seen;
};

struct chr_round {		/* over an air gap, as the vault says */
	uint64_t	 n;
	uint8_t		 bundle[32], response[32];
	bool		 answered, claimed;
	bool		 seen;		/* database has it, and its answer */
};

struct chr_ledger {
	char		*dir, *signer, *deployment;
	unsigned	 prefix;	/* in serial numbers; 0 = not told */
	off_t		 size;		/* of all files, when the database
					   was read */
	uint64_t	 entries;
	uint64_t	 signed_to;	/* see headset_signed */
	int64_t		 epoch;		/* the last that it was begun with */
	struct head	 head;		/* the last good one; seq 0: none */
	uint64_t	 head_kept;	/* the last that the database had */
	int64_t		 audit_n, audit_at;	/* key of its last audit row */
	int64_t		 audit_latest;	/* the latest time of one */
};

/* A manager's word before an air gap, and what came of it behind. */
struct chr_approval {
	uint8_t		 id[CHR_ID], by[CHR_DIGEST];
};

/* What does not fit: which check, which object, and why. */
struct chr_sink {
	void	(*finding)(void *, const char *check, const char *object,
		    const char *text);
	void	*arg;
};

struct chronicle {
	struct chr_row		*row;		/* by id, then as read */
	struct chr_row		**by_serial;	/* of CHR_ISSUE */
	size_t			 nrow, caprow, nserial;
	struct chr_revocation	*rev;		/* by ca, serial, change */
	size_t			 nrev, caprev;
	struct chr_list		*list;		/* by ca, number */
	size_t			 nlist, caplist;
	struct chr_responder	*resp;
	size_t			 nresp, capresp;
	struct chr_audit	*audit;		/* by key */
	size_t			 naudit, capaudit;
	struct buf		 late_n, late_at;	/* keys of rows that
					   have numbers of lost ones, text */
	struct chr_approval	*given;		/* at desks; by id, by */
	size_t			 ngiven, capgiven;
	struct chr_approval	*used;		/* in vaults, to issue */
	size_t			 nused, capused;
	struct chr_round	*round;
	size_t			 nround, capround;
	struct chr_ledger	*ledger;
	size_t			 nledger;
	struct strlist		 ca;		/* names */
	struct sigcounts	 counts;	/* of the CAs' keys */
	struct headset		*heads;		/* borrowed */
	struct chr_sink		 sink;
	struct progress		*progress;	/* borrowed, or NULL */
	off_t			 read, all;	/* bytes of ledgers */
};

/*
 * Heads by the caller; note the ledgers' sizes now.  chronicle_free by the
 * caller.
 */
struct chronicle *chronicle_new(const struct strlist *dirs,
		    struct headset *, struct chr_sink);
void		 chronicle_free(struct chronicle *);
/* The latest time of an audit row that a ledger has, or 0. */
int64_t		 chronicle_audit_latest(const struct chronicle *);
/* Read all; damage goes to the sink. */
void		 chronicle_read(struct chronicle *);
/*
 * How far a walk over all ledgers is, at this entry: their sizes so far are in
 * read.
 */
void		 chronicle_progress(struct chronicle *, const char *what,
		    const struct ledger_entry *);

/*
 * The first record of a request / of a serial / ..., or NULL; lent.  All need
 * chronicle_sort before.
 */
struct chr_row	*chronicle_request(const struct chronicle *,
		    const uint8_t id[CHR_ID]);
struct chr_row	*chronicle_serial(const struct chronicle *,
		    const uint8_t serial[CHR_SERIAL]);
struct chr_revocation *chronicle_revocation(const struct chronicle *,
		    const char *ca, const uint8_t *serial, size_t octets);
struct chr_list	*chronicle_list(const struct chronicle *, const char *ca,
		    uint64_t number);
/* Does a desk's ledger have this approval? */
bool		 chronicle_given(const struct chronicle *,
		    const struct chr_approval *);
/* The highest number of a change of this CA; only what is claimed, or all. */
int64_t		 chronicle_change(const struct chronicle *, size_t ca,
		    bool claimed);
/* The highest number of a list that was signed, with or without a row. */
uint64_t	 chronicle_number(const struct chronicle *, size_t ca);
/* Key and digest of a row of the table audit, a tuple; -1: it is none. */
int		 chr_audit_row(struct slice tuple, struct chr_audit *);
int		 chr_audit_cmp(const void *, const void *);	/* by key */
/* Is the ledger of this signer among them?  By prefix / by name. */
bool		 chronicle_has_prefix(const struct chronicle *, unsigned);
bool		 chronicle_has_signer(const struct chronicle *, const char *);
/* Is this ledger, by its index, that of the signer?  One may name nobody. */
bool		 chronicle_is_of(const struct chronicle *, uint16_t ledger,
		    const char *signer);
/* Index of a ca's name, adding it. */
uint16_t	 chronicle_ca(struct chronicle *, const char *);
/* A revocation that is not in a ledger yet, before chronicle_sort. */
void		 chronicle_add(struct chronicle *,
		    const struct chr_revocation *);
void		 chronicle_sort(struct chronicle *);

/* The first octets of SHA-256. */
void	 chr_digest(struct slice, uint8_t out[CHR_DIGEST]);
/* Digests of a revocation's texts, as REV_* have them. */
void	 chr_what(const char *at, const char *reason, const char *until,
	    uint8_t out[CHR_DIGEST]);
void	 chr_who(const char *who, const char *note, uint8_t out[CHR_DIGEST]);

#endif
