/*
 * A private key in a PKCS#11 token.  The token may go away and come back: a
 * key is opened when it is used, and again after something failed.  Keys of
 * one module share it, since a module knows one application in a process.
 *
 * A PIN that the token refused is never shown to it again: what must change
 * is the PIN's file.  The PIN is in memory while it is read and checked, and
 * OpenSSL's engine never has it.
 */
#ifndef TOKENKEY_H
#define TOKENKEY_H

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

struct token_conf {
	const char	*uri;		/* p11uri.h */
	const char	*module;	/* path */
	const char	*pin_file;	/* secret_read */
};

struct tokens;			/* the modules of a process */
struct tokenkey;

struct tokens	*tokens_new(void);
void		 tokens_free(struct tokens *);

/*
 * Reads the URI and loads the module, no more; the strings are copied.
 * Belongs to the tokens.
 */
struct tokenkey	*tokenkey_new(struct tokens *, const struct token_conf *,
		    struct err *);

/*
 * Log in and find the key, unless it is open.  ERR_UNAVAILABLE: the token is
 * away, locked or has refused the PIN; ERR_INTERNAL: it is there, but wrong.
 */
int		 tokenkey_open(struct tokenkey *, struct err *);
bool		 tokenkey_is_open(const struct tokenkey *);
/* When it is open; valid until a key of this module is closed. */
EVP_PKEY	*tokenkey_pkey(const struct tokenkey *);
/* Something failed: everything of its module is closed. */
void		 tokenkey_close(struct tokenkey *);
/* Make it in the token: p11_generate; then it can be opened. */
int		 tokenkey_generate(struct tokenkey *, const char *spec,
		    struct err *);
/* Take back what tokenkey_generate has made. */
int		 tokenkey_destroy(struct tokenkey *, struct err *);

/*
 * What can be seen without a PIN.  *spki is appended to: nothing when the
 * token shows no public key.  warning: what an operator should do something
 * about, or "".
 */
int		 tokenkey_look(struct tokenkey *, struct buf *spki,
		    char warning[120], struct err *);

#endif
