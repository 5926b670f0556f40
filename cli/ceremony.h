/*
 * A key ceremony: one file that people have reviewed, walked step by step
 * before witnesses.  Each step is a command that exists anyway ("ca
 * create-root" and so on); what it leaves is checked anew from the disk.
 *
 * Everything is made in FOLDER.partial, which becomes FOLDER at the end, and
 * goes away when anything is refused on the way.
 */
#ifndef CEREMONY_H
#define CEREMONY_H

#include <openssl/x509.h>

#include "cli.h"

#define CEREMONY_STEPS	32
#define CEREMONY_PEOPLE	16

enum step_kind { STEP_ROOT, STEP_ISSUING, STEP_CRL, STEP_ROLLOVER };

struct step {
	enum step_kind	 kind;
	char		*name;		/* of what it makes */
	unsigned	 line;
	struct args	 args;		/* names and values are owned */
};

struct ceremony {
	char		*path;
	struct buf	 text;		/* the file */
	uint8_t		 sha256[32];	/* of it */
	char		*title, *folder;
	struct strlist	 people;	/* what they are there for */
	struct step	 step[CEREMONY_STEPS];
	size_t		 nsteps;
};

/*
 * Refuses (ERR_MALFORMED, with the line) what could not work: see
 * countersign(1), "ceremony".  ceremony_free by the caller.
 */
struct ceremony	*ceremony_read(const char *path, struct err *);
void		 ceremony_free(struct ceremony *);

/* "root", "issuing", "crl", "rollover". */
const char	*step_word(const struct step *);
const char	*step_get(const struct step *, const char *opt); /* or NULL */
bool		 step_makes_root(const struct step *);
/*
 * The root that a step is about: made in this ceremony (a name, in dir) or
 * there before (a path).  Caller frees.
 */
char		*step_root(const struct step *, const char *dir);
/*
 * The command of a step, its files in dir, the request that it signs (NAME.csr)
 * as well; args borrow from the step.
 */
int		 step_run(struct cli *, const struct step *, const char *dir,
		    struct err *);
/* The same, as people would type it; appended. */
void		 step_text(const struct step *, struct buf *);

/*
 * For whoever reviews the file: would the request that a step signs be
 * refused?  -1, ERR_NONE: it is not here.
 */
int		 step_request(const struct step *, struct err *);

/*
 * Check what a step has left in dir: profile ([RFC5280] 4.2.1, 5.2), chain,
 * signature, the subject and life that the file says, and each key that is
 * there against its certificate.  ERR_DENIED says what is wrong.
 */
int		 step_check(const struct step *, const char *dir,
		    struct err *);
/*
 * For a root whose key is in a token: what its token shows must be the key of
 * the root's certificate.  Text for the transcript, or nothing; appended.
 */
int		 step_token(struct cli *, const struct step *,
		    const char *dir, struct buf *, struct err *);
/*
 * The ceremony is given up: take the key that this step has made out of its
 * token.  -1: it is still there.
 */
int		 step_undo(struct cli *, const struct step *,
		    const char *dir);
/* The file that a step is about: "NAME.pem" or "NAME.crl"; caller frees. */
char		*step_output(const struct step *);
/* SHA-256 of the certificate's or list's DER, as everybody else shows it. */
int		 step_fingerprint(const struct step *, const char *dir,
		    uint8_t out[32], struct err *);

/* SHA-256 of the first max octets (0 = all) of a file, and how many. */
int		 hash_file(const char *path, uint64_t max, uint8_t out[32],
		    uint64_t *size, struct err *);

/*
 * Walk it; -1 with nothing left behind but keys that their token did not give
 * up, which are printed.  A killed one leaves FOLDER.partial.
 */
int		 ceremony_run(struct cli *, const struct ceremony *,
		    struct err *);

#endif
