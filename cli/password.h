/* A password from a file, standard input or the terminal, and its hash. */
#ifndef PASSWORD_H
#define PASSWORD_H

#include "args.h"
#include "buf.h"
#include "err.h"

/*
 * As --password-file, --password-stdin or --no-password say; without any of
 * them it is asked for twice on the terminal.  *hash is libsodium's argon2id
 * string (free), or NULL with --no-password.  ERR_MALFORMED for a password
 * that no client can send, or one that was typed in two ways.
 */
int	 password_hash(const struct args *, char **hash, struct err *);

/* The hash of a password that is at hand. */
int	 password_encode(struct slice, char **hash, struct err *);

#define PASSWORD_OPTS \
	{ "password-file", "FILE", "password from a file only its owner " \
	    "can read", false }, \
	{ "password-stdin", NULL, "password from the first line of standard " \
	    "input", false }

#endif
