/* A CA key in a token: --token, --module and --pin-file. */
#ifndef CATOKEN_H
#define CATOKEN_H

#include "cli.h"
#include "tokenkey.h"

#define CATOKEN_OPTS \
	{ "token", "URI", "make the key in this token, pkcs11:token=T;" \
	    "object=NAME (needs --module, --pin-file)", false }, \
	{ "module", "FILE", "PKCS#11 module of the token", false }, \
	{ "pin-file", "FILE", "file with the token's PIN", false }
/* ... and of a CA that comes with its key. */
#define CATOKEN_THERE_OPTS \
	{ "token", "URI", "instead of --key: it is in this token (needs " \
	    "--module, --pin-file)", false }, \
	{ "module", "FILE", "PKCS#11 module of the token", false }, \
	{ "pin-file", "FILE", "file with the token's PIN", false }
/* ... and of a root that is there already. */
#define CATOKEN_ROOT_OPTS \
	{ "token", "URI", "the root's key is in this token (needs --module, " \
	    "--pin-file)", false }, \
	{ "module", "FILE", "PKCS#11 module of the token", false }, \
	{ "pin-file", "FILE", "file with the token's PIN", false }
#define CATOKEN_OLD_OPTS \
	{ "old-token", "URI", "that one's key is in this token", false }, \
	{ "old-module", "FILE", "PKCS#11 module of that token", false }, \
	{ "old-pin-file", "FILE", "file with that token's PIN", false }

struct catoken {
	struct tokens	*tokens;	/* owned; NULL: the other's */
	struct tokenkey	*key;		/* NULL = no token */
	bool		 made;		/* by catoken_new_key */
};

/*
 * What the options say; all zero without --token.  catoken_free by the caller.
 */
int		 catoken_take(struct cli *, const struct args *,
		    struct catoken *, struct err *);
/*
 * The same of --old-token and so on.  A module takes a process for one
 * application: both keys share the modules, so the first is freed last.
 */
int		 catoken_take_old(struct cli *, const struct args *,
		    const struct catoken *first, struct catoken *,
		    struct err *);
/*
 * A new key, "ec:P-256" and the like, in the token or, without --token, in
 * memory.  EVP_PKEY_free by the caller, before catoken_undo and catoken_free.
 */
EVP_PKEY	*catoken_new_key(struct catoken *, const char *spec,
		    struct err *);
/* The key that is there already, for --token; EVP_PKEY_free by the caller. */
EVP_PKEY	*catoken_key(struct catoken *, struct err *);
/*
 * Something after catoken_new_key failed: take the key out again; -1, and
 * said so: it is still there.
 */
int		 catoken_undo(struct catoken *);
void		 catoken_free(struct catoken *);

#endif
