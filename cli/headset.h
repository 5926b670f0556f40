/*
 * Signed heads of ledgers that were kept elsewhere, and the audit keys that
 * they must be by; see common/head.h.
 */
#ifndef HEADSET_H
#define HEADSET_H

#include "cconf.h"
#include "head.h"
#include "ledger.h"

struct headset;
struct chr_sink;

/* The keys are borrowed from the configuration. */
struct headset	*headset_new(const struct cconf *);
void		 headset_free(struct headset *);
/*
 * Add a head in text form / all in a file, which must have one (ERR_DENIED).
 * Lines without a head are passed over; one whose signature is wrong is a
 * finding.
 */
void		 headset_add(struct headset *, const char *line,
		    const struct chr_sink *);
int		 headset_file(struct headset *, const char *path,
		    const struct chr_sink *, struct err *);
size_t		 headset_count(const struct headset *);

/*
 * Walking a ledger: at its begin, at each entry, at its end.  What the heads
 * say otherwise goes to the sink.
 */
void		 headset_begin(struct headset *);
void		 headset_entry(struct headset *, const struct ledger_entry *,
		    const struct chr_sink *);
void		 headset_end(struct headset *, const char *signer,
		    const struct chr_sink *);
/*
 * The last entry of the ledger at hand that stands in or before a head, here
 * or elsewhere, by the audit key of the configuration; 0: none.
 */
uint64_t	 headset_signed(const struct headset *);
/*
 * The last head in it that is signed as it should be (seq 0: none); returned is
 * which one its signer knew in the database then, 0: none.
 */
uint64_t	 headset_last(const struct headset *, struct head *);

#endif
