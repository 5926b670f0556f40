/* What the files that read ledgers share; not for others. */
#ifndef CHRONICLE_INT_H
#define CHRONICLE_INT_H

#include "chronicle.h"

/* One ledger being read. */
struct reading {
	struct chronicle	*c;
	struct chr_ledger	*l;
	uint16_t		 index;
	size_t			*open;	/* rows whose end is to come */
	size_t			 nopen, capopen;
	uint8_t			 (*approved)[CHR_ID];	/* chr_take_approved */
	size_t			 napproved, capapproved;
	bool			 vault;	/* an answer was begun in it */
};

/* Room for one more, zeroed: where it is, of v's type. */
void	*chr_grow(void **v, size_t *n, size_t *cap, size_t size);
#define CHR_GROW(v, n, cap) \
	((__typeof__(v))chr_grow((void **)&(v), &(n), &(cap), sizeof *(v)))

/*
 * Signers are at work meanwhile: what they wrote after the database was read
 * may be here and not there.
 */
bool	 chr_is_claimed(const struct reading *, const struct ledger_entry *);

/* Fields of an entry; -1: ERR_INTERNAL, as ledger_bad. */
int	 chr_get_ca(struct chronicle *, const struct ledger_entry *,
	    uint16_t *, struct err *);
/*
 * 1: there, decoded and appended, or its digest; 0: no such field, as in
 * entries of older versions.
 */
int	 chr_get_base64(const struct ledger_entry *, const char *key,
	    struct buf *, struct err *);
int	 chr_get_digest(const struct ledger_entry *, const char *key,
	    uint8_t out[CHR_DIGEST], struct err *);

/* For the table of types in chronicle.c: chronicle_decision.c. */
int	 chr_take_decision(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_issued(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_void(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_approved(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_done(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_round(struct reading *, const struct ledger_entry *,
	    struct err *);
int	 chr_take_answer(struct reading *, const struct ledger_entry *,
	    struct err *);

#endif
