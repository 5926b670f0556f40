/*
 * The vault: the host with the CA keys and without a network
 * (docs/airgap.md).  It takes a bundle of requests and makes one of answers.
 */
#ifndef AIRGAP_VAULT_H
#define AIRGAP_VAULT_H

#include "airgap_book.h"
#include "bundle.h"
#include "signer.h"

#define VAULT_SLACK_S	300	/* between the clocks of the two sides */

struct item;

struct vault {
	struct signer		 s;	/* conf, cas, ledger, snapshot,
					   policy: no link, no store */
	struct bundlekey	*key, *peer;
	struct policy		*policy;
	struct book		*book;
	struct item		*at;	/* whom the snapshot is asked about */
	int64_t			 now;	/* unix seconds */
	/* the bundle at hand */
	FILE			*copy;
	struct bundle_in	*in;
	uint8_t			 hash[BUNDLE_HASH];
	/* the answer */
	struct bundle_out	*out;
	struct strlist		 deny;	/* ids that the officer refuses */
	uint64_t		 issued, denied, again;
};

/* "airgap ..." of the command line; the exit status. */
int	 airgap_main(const char *conf, int argc, char *argv[]);

/* Keys, policy and book; the ledger is locked until vault_close. */
int	 vault_open(struct vault *, const char *conf, struct err *);
void	 vault_close(struct vault *);
/*
 * A private copy of the file, verified; it must go by our policy, and the clock
 * not be before it.  ERR_DENIED, which of that is not so.
 */
int	 vault_take(struct vault *, const char *path, struct err *);
/* Print what is in it.  With list, every request. */
int	 vault_survey(struct vault *, bool list, struct err *);
/* A file's SHA-256, as people compare it and as sha256sum(1) prints it. */
void	 vault_print_hash(const uint8_t hash[32]);
/*
 * Does it follow on what was done?  1: it is new, or was begun; 0: it is
 * answered already; -1: refused (ERR_DENIED).
 */
int	 vault_follows(struct vault *, struct err *);

/* Decide and sign all requests; results go to the answer. */
int	 vault_items(struct vault *, struct err *);
/* Revocations, then the lists that were wished for. */
int	 vault_orders(struct vault *, struct err *);
int	 vault_lists(struct vault *, struct err *);
/* Serial numbers that may have been signed in an attempt before. */
int	 vault_voids(struct vault *, struct err *);

/*
 * All of it: the answer lies in the state folder and is in the ledger, both on
 * the disk.  -1, or a crash: the round is begun, and only the same bundle
 * continues it; what was signed comes into its answer, what may have been is
 * void.
 */
int	 vault_sign(struct vault *, struct err *);
/* Copy the last answer to this path. */
int	 vault_emit(struct vault *, const char *path, struct err *);

/*
 * The policy of this host with the keys that are here: which of a CA's signs,
 * and which certificates answers carry, is the configuration's word.
 */
int	 vault_policy(struct vault *, struct err *);

#endif
